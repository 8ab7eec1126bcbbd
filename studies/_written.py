"""Runs that an agent takes, analyses and writes, on a Tiled server that is there."""

from pathlib import Path

from bluesky import RunEngine

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd.server import connect, open_catalog
from studies._faults import FRAMES, Soak
from studies._server import KEY


class Session(Soak):
    """An instrument, a RunEngine and an agent; no faults.

    Parameters
    ----------
    folder : Path
        Frames go to ``frames`` in it.
    uri : str
        Of the server.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        small = TOML.with_name("small.toml")
        self._folder, self.fault_of, self.unexpected, self._documents = folder, {}, [], []
        self.settings = Settings.load(small)
        self.settings.storage.directory, self.settings.storage.frames = folder / "agent", [folder / "frames"]
        self.client = connect(uri, KEY)
        open_catalog(self.client)
        self.instrument = simulated_instrument(folder / "frames", hardware_beside(small), speed=1000)
        self.RE = RunEngine({})
        self.agent = self._start_agent()
        self.RE.unsubscribe(self._token)
        self.agent.attach(self.RE)

    def close(self) -> None:
        """End the session; the server goes on."""
        self.agent.close()
        self.client.context.http_client.close()

    def explore(self, n: int) -> None:
        """Have the agent take `n` runs where it wants, and wait for their results."""
        cam = self.instrument.detector.cam
        cam.num_images.put(FRAMES), cam.acquire_period.put(0.01), cam.acquire_time.put(0.01)
        self.RE(self.agent.explore(n))
        if not self.agent.drain(600):
            raise RuntimeError("not analysed in 600 s")
