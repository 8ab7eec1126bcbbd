"""Write the catalogue that `test_upgrade` continues: ``python -m tests.end_to_end.older_catalogue``.

It is the catalogue of a session: two exposures that the agent chose, and one with the shutter closed. Write one at each
release; those of older versions stay. Maps of 64 frames in one bin are small files.
"""

import os
import shutil
import tempfile
from pathlib import Path

import bluesky.plans as bp

import ainerd
from tests.end_to_end.sessions import Session
from tests.small_bank import write_small_bank

FOLDER = Path(__file__).parent / "catalogues"
FRAMES = 64
ONE_BIN = ("AINERD_RHEO_XPCS__PARTITION__N_PHI", "1")


def write_bank(folder: Path) -> Path:
    """Write the bank of the catalogues: another one would be another analysis."""
    return write_small_bank(folder / "bank.safetensors", lambda families: range(0, len(families), 13))


def main() -> None:
    """Run the session, and pack a copy of its catalogue under the version that wrote it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        os.environ["AINERD_RHEO_XPCS__BANK"] = str(write_bank(folder))
        os.environ.update([ONE_BIN])
        session = Session(folder)
        session.expect(FRAMES)
        session.RE(session.agent.explore(2))
        session.RE(bp.count([session.detector]))
        assert session.agent.drain(600)
        session.close()
        of_session = "unwritten", "reports", "api_key", "server.*", "lock", "users", "page.html", "ui.yml"
        shutil.copytree(folder / "tiled", folder / "copy", ignore=shutil.ignore_patterns(*of_session))
        shutil.make_archive(str(FOLDER / ainerd.__version__.partition("+")[0]), "zip", folder / "copy")


if __name__ == "__main__":
    main()
