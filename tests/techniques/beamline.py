"""A beamline with a plain camera: it does not fly, and its frames come in events."""

import numpy as np
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from ophyd import Component, Device, Signal
from ophyd.sim import NullStatus, SynAxis

from ainerd.agent import build_agent, open_tiled
from ainerd.config import Settings
from ainerd.server import open_catalog
from tests.techniques.installing import TOY

SHAPE = (6, 8)


class Camera(Device):
    """Frames of Poisson counts: 4 a pixel on average, 20 where the sample is bright."""

    image = Component(Signal, value=np.zeros(SHAPE, np.uint16))

    def __init__(self, axis, **options):
        super().__init__("", **options)
        self._axis, self._rng = axis, np.random.default_rng(0)

    def trigger(self):
        mean = 20.0 if self._axis.position > 7 else 4.0
        self.image.put(self._rng.poisson(mean, SHAPE).astype(np.uint16))
        return NullStatus()


class Beamline:
    """Objects of a session: devices, a RunEngine, a Tiled client, and the agent of a TOML file.

    `changes` are made in the text of the TOML. The server at `uri` reads the folder `results`.
    """

    def __init__(self, folder, uri, *, toml=TOY / "toy.toml", results=None, **changes):
        storage = f'directory = "tiled"\nuri = "{uri}"' + (f'\nresults = "{results}"' if results else "")
        text = toml.read_text().replace('directory = "tiled"', storage)
        for name, value in changes.items():
            before = next(line for line in text.splitlines() if line.startswith(f"{name} ="))
            text = text.replace(before, f"{name} = {value}")
        self.toml = folder / "agent.toml"
        self.toml.write_text(text)
        self.settings = Settings.load(self.toml)
        self.client, self.close_tiled = open_tiled(self.settings.storage)
        self.x, self.temperature = SynAxis(name="sample_x"), Signal(name="temperature", value=300.0)
        self.camera = Camera(self.x, name="camera")
        self.RE = RunEngine({}, context_managers=[])
        (raw, _), backup = open_catalog(self.client), folder / "tiled/unwritten"
        self.RE.subscribe(TiledWriter(raw, batch_size=1, max_array_size=0, backup_directory=backup))
        self.agent = None

    def start_agent(self, **options):
        self.agent = build_agent(
            self.settings, self.client, detector=self.camera, actuators=[self.x], beside=[self.temperature], **options
        )
        self.agent.attach(self.RE)
        return self.agent

    def table(self):
        """The results, once everything that came is written."""
        assert self.agent.drain()
        return self.agent.results.table(all=True)

    def close(self):
        if self.agent is not None:
            self.agent.close()
        self.close_tiled()
        self.RE.loop.call_soon_threadsafe(self.RE.loop.stop)
        self.RE._th.join()
        self.RE.loop.close()
