import time

import bluesky.plan_stubs as bps
import pytest
from ophyd.utils import LimitError

from sim_devices import SimClock, Stage


@pytest.fixture
def stage():
    return Stage(name="sample", clock=SimClock(20))


def test_travel_takes_simulated_time(stage):
    start = time.monotonic()
    stage.x.move(9.0)  # 4 mm at 1 mm/s, 20 times faster
    assert 0.2 <= time.monotonic() - start < 0.6
    assert stage.x.position == 9.0
    assert stage.y.position == 5.0


def test_both_axes_under_a_run_engine(stage, run_engine):
    run_engine(bps.mv(stage.x, 1.0, stage.y, 2.0))
    reading, description = stage.read(), stage.describe()
    assert {name: reading[name]["value"] for name in reading} == {"sample_x": 1.0, "sample_y": 2.0}
    assert all(description[name]["units"] == "mm" for name in ("sample_x", "sample_y"))
    assert stage.hints["fields"] == ["sample_x", "sample_y"]


@pytest.mark.parametrize("position", [-0.01, 10.01, float("nan")])
def test_limits(stage, position):
    with pytest.raises(LimitError, match="sample_x cannot go to .* mm: its limits are 0.0 to 10.0 mm"):
        stage.x.set(position)
    assert stage.x.position == 5.0


def test_stop_on_the_way(stage):
    stage.velocity.put(0.1)
    status = stage.x.set(10.0)
    time.sleep(0.3)
    stage.stop()
    assert status.exception(timeout=1) is not None
    where = stage.x.position
    assert 5.0 < where < 6.5
    time.sleep(0.1)
    assert stage.x.position == where and not stage.x.moving


def test_clock():
    clock = SimClock(speed=50)
    readings = [clock.now()]
    for _ in range(20):
        time.sleep(0.005)
        readings.append(clock.now())
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] == pytest.approx(50 * 0.1, rel=0.8, abs=0.1)
    assert clock.wall(10) == 0.2
    with pytest.raises(ValueError, match="speed"):
        SimClock(0)
