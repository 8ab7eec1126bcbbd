"""Write the catalogue that `test_upgrade` opens: ``python tests/end_to_end/older_catalogue.py FILE.zip``.

It is a small campaign of this version on the simulated instrument: three exposures, a person's note, a regime with a
name, and the checkpoint of an agent. Write it at each release, under the name of that version; the older ones stay.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bluesky import RunEngine

from agents.demo.simulated import agent_of, hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.agent import open_tiled
from ainerd.config import Settings
from ainerd.server import archive

SMALL = TOML.with_name("small.toml")
N, N_FRAMES = 3, 64


def main() -> None:
    """Measure, and pack the archive."""
    with tempfile.TemporaryDirectory() as scratch:
        settings, frames = Settings.load(SMALL), Path(scratch, "frames")
        settings.storage.directory, settings.storage.frames = Path(scratch, "tiled"), [frames]
        client, close = open_tiled(settings.storage)
        instrument = simulated_instrument(frames, hardware_beside(SMALL), speed=1000)
        cam = instrument.detector.cam
        cam.num_images.put(N_FRAMES)
        for signal in (cam.acquire_period, cam.acquire_time):
            signal.put(50 / N_FRAMES)
        agent = agent_of(client, settings, instrument)
        RE = RunEngine({})
        agent.attach(RE)
        RE(agent.explore(N))
        while not agent.drain():
            pass
        agent.note("of an older version")
        agent.name_regime(0, "gel")
        agent.close()
        close()
        archive(settings.storage.directory, Path(scratch, "archive"))
        shutil.make_archive(sys.argv[1].removesuffix(".zip"), "zip", Path(scratch, "archive"))


if __name__ == "__main__":
    main()
