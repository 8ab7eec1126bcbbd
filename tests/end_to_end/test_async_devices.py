"""The agent with ophyd-async's own devices, by the plans of docs/how-to/your-detector.md."""

from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.agent import build_agent
from ainerd.config import Settings

core = pytest.importorskip("ophyd_async.core")
sim = pytest.importorskip("ophyd_async.sim")

PLANS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "files" / "detectors" / "async_plans.py"
FRAMES = 80
SETTINGS = """
name = "blobs"
[detector]
image = "det"
n_frames = "num_images"
frame_time_s = "frame_time"
[rheo_xpcs]
contrast = 0.2
[rheo_xpcs.partition]
shape = [240, 320]
beam_center_px = [120.0, 160.0]
distance_m = 6.0
energy_keV = 11.0
q_range_inv_nm = [0.019, 0.029]
n_phi = 18
[steering.bounds]
stage-x = [0.0, 8.0]
stage-y = [0.0, 8.0]
[recorded.series]
temperature = "cell-temperature"
[storage]
directory = "tiled"
frames = ["."]
"""


class Photons(sim.PatternGenerator):
    """Draws photons in each frame: frames that are all equal would be refused as copies."""

    rng = np.random.default_rng(0)

    def generate_point(self, channel=1, high_energy=False):
        self._file.blob = (self.rng.poisson(0.3, self._file.blob.shape) + 0.5) / self._exposure  # rounded down
        return 1.0


class Cell(core.StandardReadable):
    def __init__(self, name=""):
        with self.add_children_as_readables():
            self.temperature = core.soft_signal_rw(float, 293.0)
        super().__init__(name=name)


@pytest.fixture(scope="module")
def names(server, tmp_path_factory):
    """Names of a session, with the plans of the page for few frames."""
    folder = tmp_path_factory.mktemp("blobs")
    (folder / "agent.toml").write_text(SETTINGS)
    settings = Settings.load(folder / "agent.toml")
    RE, photons = RunEngine({}), Photons()
    with core.init_devices():
        num_images, frame_time = core.soft_signal_rw(int, FRAMES), core.soft_signal_rw(float, 0.01)
        stage, cell = sim.SimStage(photons), Cell()
        paths = core.StaticPathProvider(core.UUIDFilenameProvider(), folder)
        detector = sim.SimBlobDetector(paths, photons, config_sigs=[num_images, frame_time], name="det")
    RE(bps.mv(stage.x.velocity, 100.0, stage.y.velocity, 100.0))
    plans = {}
    exec(PLANS.read_text().replace("5000", str(FRAMES)), plans)
    client = server.client().create_container(folder.name)
    agent = build_agent(
        settings, client, detector=detector, actuators=[stage.x, stage.y], beside=[cell], acquire=plans["flown"]
    )
    agent.attach(RE)
    yield {"RE": RE, "agent": agent, "detector": detector, "stage": stage, **plans}
    agent.close()


def newest(names, n):
    """The last `n` results, once everything that came is written."""
    assert names["agent"].drain(60)
    table = names["agent"].results.table(all=True)
    assert table["status"].eq("complete").all(), table["reason"].dropna().tolist()
    return table.tail(n)


def test_it_explores_with_a_detector_that_flies(names):
    agent = names["agent"]
    names["RE"](agent.explore(1))
    table, suggestions = newest(names, 1), agent.results.suggestions()
    measured = suggestions[suggestions["status"] == "measured"].set_index("raw_uid")
    for name in ("stage-x", "stage-y"):
        assert np.allclose(measured.loc[table["raw_uid"], name], table[name])
    assert agent.suggest()["travel"] != 0  # velocities and the length of an exposure are known
    monitored = [agent.results.rows(key, "temperature") for key in table.index]
    assert all((series["temperature"] == 293.0).all() and len(series) for series in monitored)


def test_it_analyses_each_event_of_count_and_scan(names):
    newest(names, 0)
    n = len(names["agent"].results.table(all=True))
    detector, stage = names["detector"], names["stage"]
    names["RE"](bp.count([detector, stage], num=2, per_shot=names["take"]))
    names["RE"](bp.scan([detector], stage.x, 0, 8, 2, per_step=names["step"]))
    table = newest(names, 4)
    assert len(names["agent"].results.table(all=True)) == n + 4
    assert table["event"].tolist() == [1, 2] * 2
    assert table["stage-x"].tolist()[2:] == [0.0, 8.0] and table["stage-x"].iloc[:2].nunique() == 1
