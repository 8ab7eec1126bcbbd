"""The agent on ophyd's own classes, over Channel Access, with the IOC in a process of its own."""

import os
import re
import threading
from contextlib import closing
from pathlib import Path

import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.agent import build_agent
from ainerd.config import Settings
from ainerd.plans import expose
from ainerd.technique import RunInfo
from sim_devices.ioc import start_ioc
from tests.end_to_end.sessions import FRAMES, PERIOD_S, SMALL, small_beamline, started
from tests.epics_clients import keep_channels

epics = pytest.importorskip("epics")
devices = pytest.importorskip("agents.epics")

CHECKOUT = Path(__file__).resolve().parents[2]
PORT = int(os.environ["EPICS_CA_SERVER_PORT"])
LIMIT_S = 20


class Beamline:
    """The IOC, ophyd's devices, a RunEngine and the agent."""

    def __init__(self, folder, server):
        keep_channels()
        self.folder = folder
        hardware = ["--hardware", str(SMALL.with_suffix(".instrument.toml")), "--speed", "1000"]
        self.ioc = start_ioc(folder / "frames", *hardware, port=PORT, log=folder / "ioc.log")
        settings = Settings.load(CHECKOUT / "profiles" / "epics" / "agent.toml")
        small = Settings.load(SMALL)
        settings.section.update(small.section)
        settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.client = server.client().create_container(folder.name)
        self.detector = devices.lambda750k("SIM:", folder / "frames")
        self.stage = devices.Stage("SIM:stage:", name="sample")
        self.rheometer = devices.Rheometer("SIM:rheo:", name="rheometer")
        self.shutter = devices.Shutter("SIM:shutter:Position", name="shutter")
        self.set_up()
        self.agent = build_agent(
            settings,
            self.client,
            detector=self.detector,
            actuators=[self.stage.x, self.stage.y],
            beside=[self.rheometer],
            shutter=self.shutter,
            acquire=bp.count,
        )
        self.RE = RunEngine({})
        self.agent.attach(self.RE)

    def set_up(self):
        """Make the settings of a person after an IOC has started."""
        for device in (self.detector, self.stage, self.rheometer, self.shutter):
            device.wait_for_connection(timeout=LIMIT_S)
        cam = self.detector.cam
        for setting, value in ((cam.num_images, FRAMES), (cam.acquire_period, PERIOD_S), (cam.acquire_time, PERIOD_S)):
            setting.set(value).wait(LIMIT_S)
        self.detector.hdf1.create_directory.set(-3).wait(LIMIT_S)
        self.shutter.set("open").wait(LIMIT_S)

    def results(self, uid):
        """The results of a run, once everything that came is written."""
        assert self.agent.drain(60)
        table = self.agent.results.table(all=True)
        return table[table["raw_uid"] == uid]

    def c2(self, path):
        """The maps of each exposure in a file, from its frames alone."""
        with h5py.File(path) as file:
            frames = file["entry/data/data"][:]
        for some in np.split(frames, len(frames) // FRAMES):
            info = RunInfo(raw_uid="", n_frames=FRAMES, frame_shape=some.shape[1:], frame_time_s=PERIOD_S)
            analysis = self.agent.technique.begin(info)
            analysis.push(some.reshape(FRAMES, -1)[:, analysis.pixels], 0)
            yield analysis.finish().arrays["c2"]

    def close(self):
        self.agent.close()
        self.ioc.kill()


@pytest.fixture(scope="module")
def beamline(server, tmp_path_factory):
    beamline = Beamline(tmp_path_factory.mktemp("epics"), server)
    yield beamline
    beamline.close()


def put(name, value):
    assert epics.caput(f"SIM:{name}", value, wait=True, timeout=LIMIT_S) == 1


def test_the_first_session_of_the_readme_works(beamline, server, tmp_path, variables):
    """With two positions, in this process, after the startup files; IPython runs all of it in test_leaving."""
    variables(BLUESKY_PREDECLARE=1)
    client, frames = server.client().create_container(tmp_path.name), beamline.folder / "frames"
    with started(CHECKOUT / "profiles" / "epics", tmp_path, client, frames=frames) as names:
        for block in re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S):
            exec(block.replace("explore(3)", "explore(1)"), names)
        agent = names["agent"]
        table, suggestions = agent.results.table(all=True), agent.results.suggestions()
        assert table["status"].tolist() == ["complete"] * 2, table["reason"].tolist()
        assert table["novelty_p"].notna().all()
        measured = suggestions[suggestions["status"] == "measured"].set_index("raw_uid").loc[table["raw_uid"]]
        for name in ("sample_x", "sample_y"):
            assert table[name].to_numpy() == pytest.approx(measured[name].to_numpy(), abs=0.01)
        assert all(len(agent.results.rows(key, "stress")) for key in table.index)


@pytest.mark.fault("The detector ends an exposure with the state Error", "The result fails, and names the state")
def test_a_fault_is_a_reason(beamline):
    put("sim:Fault", 1)
    (uid,) = beamline.RE(bp.count([beamline.detector, beamline.stage]))
    (row,) = beamline.results(uid).to_dict("records")
    assert row["status"] == "failed" and "lambda750k_cam_detector_state is 6" in row["reason"]


def by_ophyd_async(own, beamline, client, folder):
    """An agent, detector and stage of ophyd-async at the same IOC."""
    settings, frames = Settings.load(SMALL), beamline.folder / "frames"
    settings.detector.image = "det"
    settings.detector.n_frames, settings.detector.frame_time_s = "det-driver-num_images", "det-driver-acquire_period"
    settings.storage.directory, settings.storage.frames = folder / "tiled", [frames]
    settings.steering.bounds = {f"sample-{x}": settings.steering.bounds[f"sample_{x}"] for x in "xy"}
    settings.recorded.units = {}
    with pytest.importorskip("ophyd_async.core").init_devices():
        detector = own.lambda750k("ca://SIM:", frames, name="det")
        stage = own.Stage("ca://SIM:stage:", name="sample")
    around = {"beside": [beamline.rheometer], "shutter": beamline.shutter, "acquire": own.flown}
    return build_agent(settings, client, detector=detector, actuators=[stage.x, stage.y], **around), detector, stage


def test_the_same_frames_give_the_same_maps_from_every_source(beamline, server, tmp_path):
    """By documents of our detector, of ophyd and of ophyd-async; Eigers and folders have tests of their own."""
    _, instrument = small_beamline(beamline.folder)
    ours, RE = instrument.detector, beamline.RE
    instrument.shutter.set("open").wait(LIMIT_S)

    def seen(plan):
        (uid,) = RE(plan)
        (key,) = beamline.results(uid).index
        return beamline.agent.results.array(key, "c2")

    first = seen(expose(ours))
    (recorded,) = (beamline.folder / "frames").glob("lambda750k_*.h5")
    assert not np.array_equal(seen(expose(ours)), first)
    put("sim:Recording", str(recorded).encode())
    maps = {"ophyd": seen(bp.count([beamline.detector]))}
    own = pytest.importorskip("agents.epics_async")
    agent, detector, stage = by_ophyd_async(own, beamline, server.client().create_container(tmp_path.name), tmp_path)
    with closing(agent):
        beamline.agent.detach()
        agent.attach(RE)
        for plan in (own.flown, own.triggered):
            RE(plan([detector, stage], {}))
        assert agent.drain(60)
        maps |= {f"ophyd-async {key}": agent.results.array(key, "c2") for key in agent.results.table(all=True).index}
        agent.detach()
    beamline.agent.attach(RE)
    put("sim:Recording", b"")
    assert len(maps) == 3
    for name, c2 in maps.items():
        np.testing.assert_array_equal(c2, first, err_msg=name)


def test_a_plan_without_an_ioc_ends_with_a_sentence(beamline):
    needed, gone = [beamline.detector, beamline.stage, beamline.shutter], threading.Event()
    beamline.shutter.subscribe(lambda connected, **_: connected or gone.set(), beamline.shutter.SUB_META, run=False)
    beamline.ioc.kill()
    assert gone.wait(LIMIT_S)
    with pytest.raises(RuntimeError, match=r"no IOC answered for .*shutter in 0.5 s: start it, and run the plan again"):
        beamline.RE(devices.connected(bp.count(needed[:2]), needed, wait_s=0.5))
