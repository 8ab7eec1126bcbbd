"""The plans of docs/how-to/your-detector.md with ophyd-async's own devices; `ainerd init` has an agent with them."""

from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine

core = pytest.importorskip("ophyd_async.core")
sim = pytest.importorskip("ophyd_async.sim")

PLANS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "files" / "detectors" / "async_plans.py"


def test_the_plans_of_the_page_take_all_frames(tmp_path):
    RE, pattern, plans, taken = RunEngine({}), sim.PatternGenerator(), {}, []
    exec(PLANS.read_text().replace("5000", "20"), plans)
    with core.init_devices():
        stage = sim.SimStage(pattern)
        paths = core.StaticPathProvider(core.UUIDFilenameProvider(), tmp_path)
        detector = sim.SimBlobDetector(paths, pattern, name="det")
    RE(bps.mv(stage.x.velocity, 100.0, stage.y.velocity, 100.0))

    def count(name, doc):
        if name == "stream_datum":
            taken[-1] += doc["indices"]["stop"] - doc["indices"]["start"]

    for plan in (
        plans["flown"]([detector, stage.x], {}),
        bp.count([detector, stage], num=2, per_shot=plans["take"]),
        bp.scan([detector], stage.x, 0, 8, 2, per_step=plans["step"]),
    ):
        taken.append(0)
        RE(plan, count)
    assert taken == [20, 2, 2]  # each frame, and one index for each event of 20 frames
