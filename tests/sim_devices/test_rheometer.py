import csv
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sim_devices import Rheometer, SimClock

# From the record of Horwath et al. (2024): seconds after shear stopped, Pa.
PUBLISHED = {10: 192.94, 20: 152.03, 30: 135.56, 50: 120.02, 100: 101.07, 200: 88.88, 300: 87.70}
HEADER = "time,shear_rate,shear_stress,viscosity,torque\n"


class SetClock(SimClock):
    """A clock that is set by hand."""

    t = 0.0

    def now(self):
        return self.t


@pytest.fixture
def rheometer():
    return Rheometer(name="rheometer", clock=SetClock(1.0), seed=3)


def at(rheometer, t):
    rheometer._clock.t = t
    return {name.removeprefix("rheometer_"): entry["value"] for name, entry in rheometer.read().items()}


def test_relaxation_follows_the_published_record(rheometer):
    assert at(rheometer, 0)["stress"] == pytest.approx(22678, rel=0.01)
    for t, stress in PUBLISHED.items():
        assert at(rheometer, t)["stress"] == pytest.approx(stress, rel=0.07)


def test_reading_is_consistent(rheometer):
    values = at(rheometer, 123.0)
    assert values["time_since_shear"] == 123.0
    assert values["viscosity"] == pytest.approx(values["stress"] / values["shear_rate"])
    assert values["torque"] / values["stress"] == pytest.approx(0.83468 / 192.94, rel=1e-3)
    assert abs(values["shear_rate"]) < 5e-6
    assert rheometer.describe()["rheometer_viscosity"]["units"] == "Pa s"


def test_dips_are_small_and_recover(rheometer):
    times = np.arange(1000, 3000, 2.0)
    stress = np.array([at(rheometer, t)["stress"] for t in times])
    depth = 87.0 - stress
    assert -0.3 < depth.min() and 0.8 < depth.max() < 2.3
    assert np.mean(depth < 0.3) > 0.3
    again = Rheometer(name="rheometer", clock=SetClock(1.0), seed=3)
    assert np.array_equal(stress, [at(again, t)["stress"] for t in times])


def test_monitored_while_staged():
    rheometer = Rheometer(name="rheometer", clock=SimClock(20))
    seen = []
    rheometer.stress.subscribe(lambda value, **_: seen.append(value), run=False)
    time.sleep(0.3)
    assert not seen
    rheometer.stage()
    time.sleep(1.1)
    rheometer.unstage()
    assert 3 <= len(set(seen)) <= 6
    count = len(seen)
    time.sleep(0.4)
    assert len(seen) == count


def test_replay_interpolates_from_the_moment_of_the_call(rheometer, tmp_path):
    record = tmp_path / "record.csv"
    record.write_text(HEADER + "190,100,40000,400,170\n200,0,200,-1e8,0.8\n220,0,100,1e9,0.4\n")
    rheometer._clock.t = 50.0
    rheometer.replay(record)
    assert at(rheometer, 50)["stress"] == 40000
    assert at(rheometer, 55)["stress"] == pytest.approx(20100)
    values = at(rheometer, 70)
    assert (values["stress"], values["torque"]) == (pytest.approx(150), pytest.approx(0.6))
    assert values["time_since_shear"] == 70
    assert at(rheometer, 500)["stress"] == 100


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("time,shear_rate,shear_stress,torque\n0,1,2,3\n", "no column viscosity"),
        (HEADER + "0,1,two,3,4\n", "column shear_stress .* not a number"),
        (HEADER + "0,1,2\n", "column viscosity .* not a number"),
        (HEADER + "5,1,2,3,4\n5,1,2,3,4\n", "column time .* increase"),
        (HEADER, "column time .* at least one"),
        ("", "no column time, shear_rate"),
        (None, "cannot read the rheometer record"),
        (b"\xff\xfe\x00\x81", "cannot read the rheometer record"),
    ],
)
def test_bad_record_is_named(rheometer, tmp_path, text, complaint):
    record = tmp_path / "record.csv"
    if text is not None:
        record.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=complaint) as error:
        rheometer.replay(record)
    assert str(record) in str(error.value)
    assert at(rheometer, 100)["stress"] == pytest.approx(101, rel=0.05)  # goes on as before


@pytest.mark.skipif("AINERD_REFERENCE_DATA" not in os.environ, reason="AINERD_REFERENCE_DATA is not set")
def test_published_record_plays_back(rheometer):
    path = Path(os.environ["AINERD_REFERENCE_DATA"]) / "published_rheology.csv"
    rheometer.replay(path)
    with path.open() as file:
        for row in list(csv.DictReader(file))[::20]:
            assert at(rheometer, float(row["time"]))["stress"] == pytest.approx(float(row["shear_stress"]))
