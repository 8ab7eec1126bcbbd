import time

import numpy as np
import pytest
from ophyd.utils import LimitError

from sim_devices import SimClock, Stage


@pytest.fixture
def stage():
    return Stage(name="sample", clock=SimClock(20))


def test_travel_takes_simulated_time():
    stage = Stage(name="sample", clock=SimClock(400))
    stage.x.velocity.put(0.05)
    start = time.monotonic()
    stage.x.move(9.0)  # 4 mm at 0.05 mm/s, 400 times faster
    assert 0.2 <= time.monotonic() - start < 60  # and not 80
    assert stage.x.position == pytest.approx(9.0, abs=0.002)
    assert stage.y.position == 5.0


@pytest.mark.parametrize("position", [-0.01, 10.01, float("nan")])
def test_limits(stage, position):
    with pytest.raises(LimitError, match="sample_x cannot go to .* mm: its limits are 0.0 to 10.0 mm"):
        stage.x.set(position)
    assert stage.x.position == 5.0


@pytest.fixture
def quick():
    return Stage(name="sample", clock=SimClock(1000), seed=4)


def test_the_reading_is_where_the_screw_stopped(quick):
    off = []
    for target in [2.0, 8.0] * 20:
        quick.x.move(target)
        off.append(quick.x.position - target)
    assert 0.0003 < np.std(off) < 0.0008 and abs(np.mean(off)) < 0.0003
    again = Stage(name="sample", clock=SimClock(1000), seed=4)
    again.x.move(2.0)
    assert again.x.position - 2.0 == off[0]
    for target in (0.0, 10.0, 0.0, 10.0):
        quick.y.move(target)
        assert 0.0 <= quick.y.position <= 10.0


def test_the_sample_lags_behind_after_a_move_down(quick):
    for target, lag in [(6.0, 0.0), (4.0, 0.05), (4.02, 0.03), (3.0, 0.05), (7.0, 0.0)]:
        quick.backlash.put(0.05)
        quick.x.move(target)
        assert quick.x.true_position - quick.x.position == pytest.approx(lag, abs=0.004)
