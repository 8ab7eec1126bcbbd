"""A session of tests: devices, a RunEngine, a Tiled client and the agent."""

import atexit
import json
import runpy
from contextlib import contextmanager

import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter

from agents.demo.simulated import agent_of, hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.agent import open_tiled
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import open_catalog

SMALL = TOML.with_name("small.toml")
FRAMES = 64  # as few as have a p-value; with as much light in all tests, so that few scorers are calibrated
PERIOD_S = 50 / FRAMES


def environment(folder, client=None, config=SMALL, frames=None):
    """Return the environment of a session in a folder; its results go to a client if there is one."""
    found = {
        "AINERD_CONFIG": str(config),
        "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(frames or folder / "frames")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLBACKEND": "Agg",
    }
    if client is not None:
        found |= {"AINERD_STORAGE__URI": client.uri, "AINERD_STORAGE__API_KEY": str(client.context.api_key)}
    return found


@contextmanager
def started(profile, folder, *more, **options):
    """Run the startup files of a profile in this process, in that folder and environment; yields their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment(folder, *more, **options).items():
            patch.setenv(name, value)
        names = {}
        for file in sorted((profile / "startup").glob("*.py")):
            names = runpy.run_path(str(file), init_globals=names)
        try:
            yield names
        finally:
            for close in (names["agent"].close, names["close_tiled"]):
                close()
                atexit.unregister(close)


def small_beamline(folder, frames=None, **options):
    """Return settings with their data in a folder, and an instrument whose exposures have `FRAMES` frames."""
    settings, frames = Settings.load(SMALL), frames or folder / "frames"
    settings.storage.directory, settings.storage.frames = folder / "tiled", [frames]
    instrument = simulated_instrument(frames, hardware_beside(SMALL), speed=1000, **options)
    expect(instrument.detector.cam, FRAMES)
    return settings, instrument


def expect(cam, frames):
    """Set how many frames the next exposures have, of the same light."""
    cam.num_images.put(frames), cam.acquire_period.put(50 / frames), cam.acquire_time.put(50 / frames)


class Session:
    """Everything a person has in front of them: devices, a RunEngine, a Tiled client and the agent.

    Its catalogue is a container of `server`; without one, what the settings say.
    """

    def __init__(self, folder, server=None, **options):
        self.settings, self.instrument = small_beamline(folder, **options)
        if server is None:
            self.client, self.close_tiled = open_tiled(self.settings.storage)
        else:
            self.client, self.close_tiled = server.client().create_container(folder.name), lambda: None
        self.store = ResultStore(open_catalog(self.client)[1])
        self.RE = RunEngine({})
        backup = self.settings.storage.unwritten
        self.RE.subscribe(TiledWriter(self.client["raw"], batch_size=20, max_array_size=0, backup_directory=backup))
        self.detector, self.stage = self.instrument.detector, self.instrument.stage
        self.rheometer, self.shutter = self.instrument.rheometer, self.instrument.shutter
        self.agent = None
        self.start_agent()

    def expect(self, frames):
        expect(self.detector.cam, frames)

    def start_agent(self, **analysis):
        if self.agent is not None:
            self.agent.close()
        settings = self.settings.model_copy(deep=True)
        settings.section.update(analysis)
        self.agent = agent_of(self.client, settings, self.instrument)
        self.agent.attach(self.RE)
        return self.agent

    def table(self):
        """The results of all agents, once everything that came is written."""
        assert self.agent.drain()
        return self.store.table(all=True)

    def close(self):
        self.agent.close()
        self.close_tiled()
