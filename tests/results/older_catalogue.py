"""Write the catalogue that `test_upgrade` opens: ``python tests/results/older_catalogue.py VERSION``.

It holds what an agent stores: three results, one of them failed, a suggestion, an atlas, a note and a checkpoint. Write
one at each release; those of older versions stay.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord, save_checkpoint
from ainerd.server import archive, embedded_server, open_catalog
from ainerd.technique import Analysis

FOLDER = Path(__file__).parent / "catalogues"
JUDGED = {"alpha": 0.05}
C2 = np.linspace(1, 1.2, 2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8)


def result(number: int, **more) -> ResultRecord:
    """Return the record of a run."""
    uid = f"00000000-0000-0000-0000-{number:012d}"
    record = {"raw_uid": uid, "technique": "rheo_xpcs", "agent": "a", "parameters": {"size": 8}, "scan_id": number}
    return ResultRecord(**record, positions={"sample_x": float(number)}, run_time=1.79e9 + number, **more)


def main() -> None:
    """Write the results on an embedded server, and pack an archive of it."""
    with tempfile.TemporaryDirectory() as scratch:
        with embedded_server(Path(scratch, "tiled")) as server:
            _, ainerd = open_catalog(server.client())
            store = ResultStore(ainerd, agent="a")
            records = [result(number) for number in (1, 2, 3)]
            for record, p in zip(records[:2], (0.4, 0.01), strict=True):
                made = Analysis(
                    embedding=np.array([p, 1], np.float32),
                    novelty_p=p,
                    calibration=JUDGED,
                    arrays={"c2": C2 * np.float32(p)},
                )
                store.complete(store.begin(record), made)
            store.fail(store.begin(records[2]), "no frames")
            store.add_suggestion(SuggestionRecord(agent="a", positions={"sample_x": 4.0}, reason="unexplored"))
            labels = {record.key: regime for regime, record in enumerate(records[:2])}
            store.add_atlas(
                AtlasRecord(labels=labels, n_regimes=2, supported_range=(1, 2), agent="a", digest=records[0].digest)
            )
            store.log("scan 1 is done")
            save_checkpoint(ainerd, "a", {"bounds": {"sample_x": [0.0, 10.0]}})
        archive(Path(scratch, "tiled"), Path(scratch, "archive"))
        FOLDER.mkdir(exist_ok=True)
        shutil.make_archive(str(FOLDER / sys.argv[1]), "zip", Path(scratch, "archive"))


if __name__ == "__main__":
    main()
