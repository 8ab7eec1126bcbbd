import threading

import pytest
from bluesky import RunEngine

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import open_catalog

SMALL = TOML.with_name("small.toml")
FRAMES = 100


class Session:
    """Everything a person has in front of them: devices, a RunEngine, a Tiled client and the agent.

    Its catalogue is a container of `server`; without one, what the settings say.
    """

    def __init__(self, folder, server=None, **options):
        self.settings = Settings.load(SMALL)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [folder / "frames"]
        if server is None:
            self.client, self.close_tiled = open_tiled(self.settings.storage)
        else:
            self.client, self.close_tiled = server.client().create_container(folder.name), lambda: None
        self.store = ResultStore(open_catalog(self.client)[1])
        self.RE = RunEngine({})
        self.use(**options)
        self.agent = None
        self.start_agent()

    def use(self, **options):
        """Put another simulated instrument at the beamline."""
        frames = self.settings.storage.frames[0]
        return self.use_this(simulated_instrument(frames, hardware_beside(SMALL), speed=1000, **options))

    def use_this(self, instrument):
        self.instrument = instrument
        self.detector, self.stage = self.instrument.detector, self.instrument.stage
        self.rheometer, self.shutter = self.instrument.rheometer, self.instrument.shutter
        self.expect(FRAMES)
        return self

    def expect(self, frames):
        self.detector.cam.num_images.put(frames)
        self.detector.cam.acquire_period.put(50 / frames)
        self.detector.cam.acquire_time.put(50 / frames)

    def start_agent(self, **analysis):
        if self.agent is not None:
            self.agent.close()
        settings = self.settings.model_copy(deep=True)
        settings.section.update(analysis)
        self.agent = build_agent(
            self.client,
            detector=self.detector,
            actuators=[self.stage.x, self.stage.y],
            rheometer=self.rheometer,
            shutter=self.shutter,
            settings=settings,
        )
        self.agent.attach(self.RE)
        return self.agent

    def table(self):
        """The results of all agents, once everything that came is written."""
        assert self.agent.drain()
        return self.store.table()

    def close(self):
        self.agent.close()
        self.close_tiled()


@pytest.fixture(scope="module", autouse=True)
def small_bank(bank_file):
    """That bank, for all processes of these tests, and of no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_RHEO_XPCS__BANK", str(bank_file))
        yield


@pytest.fixture
def report_done():
    """Waits for the processes that write reports; at the end, too, so that none outlives the test."""

    def wait():
        for thread in threading.enumerate():
            if thread.name == "ainerd-report":
                thread.join(90)
                assert not thread.is_alive()

    yield wait
    wait()


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch):
    """Only where it is waited for is a report written when a sample is explored."""
    if "report_done" not in request.fixturenames:
        monkeypatch.setattr("ainerd.agent._agent.write_report", lambda results, directory, bounds: directory)


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("session"), server)
    yield session
    session.close()


@pytest.fixture
def session_in(server):
    """Makes sessions in a folder, and closes them."""
    made = []

    def make(folder, **options):
        made.append(Session(folder, server, **options))
        return made[-1]

    yield make
    for session in made:
        session.close()
