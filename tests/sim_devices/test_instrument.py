"""The devices together: the beam at the sample, the dynamics, the frames of the detector."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest

from ainerd_xpcs.dynamics import Dynamics
from sim_devices import SimulatedInstrument, acquire


@pytest.fixture
def asked(instrument):
    """Return the arguments of the sample at each exposure; its dynamics are sped up by the beam."""
    calls = []

    def dynamics(x, y, age_s, duration_s, rng, *, dose_s, events):
        calls.append({"x": x, "y": y, "age": age_s, "duration": duration_s, "dose": dose_s, "events": events})
        return Dynamics(family="beam", tau_s=45, beam_speedup=0.2, dose_s=dose_s)

    instrument.sample.dynamics = dynamics
    return calls


def test_the_sample_is_asked_where_and_how_old_it_is(run_engine, instrument, asked):
    stage, rheometer = instrument.stage, instrument.rheometer
    run_engine(bps.mv(stage.x, 2.5, stage.y, 7.5))
    before = instrument.clock.now()
    run_engine(bp.count([instrument.detector]))
    (first,) = asked
    assert (first["x"], first["y"], first["duration"]) == (stage.x.true_position, stage.y.true_position, 12.0)
    assert (first["x"], first["y"]) == pytest.approx((2.5, 7.5), abs=0.01) and first["x"] > stage.x.position
    assert before <= first["age"] <= instrument.clock.now()
    run_engine(bps.mv(rheometer.shear_rate_setpoint, 100))
    stopping = instrument.clock.now()
    run_engine(bps.mv(rheometer.shear_rate_setpoint, 0))
    run_engine(bp.count([instrument.detector]))
    assert 0 < asked[1]["age"] <= instrument.clock.now() - stopping


def test_the_detector_sees_the_light_behind_shutter_and_foils(run_engine, instrument):
    seen = {}
    for transmission in (1.0, 0.3):
        run_engine(bps.mv(instrument.attenuator, transmission))
        run_engine(bp.count([instrument.detector]))
        seen[transmission] = instrument.detector.mean_counts.get()
    assert seen[1.0] == pytest.approx(0.5, rel=0.05)
    assert seen[0.3] == pytest.approx(0.5 * instrument.attenuator.transmission.get(), rel=0.05)
    run_engine(bps.mv(instrument.shutter, "close"))
    run_engine(bp.count([instrument.detector]))
    assert instrument.detector.mean_counts.get() == 0


def test_each_spot_keeps_its_dose(run_engine, instrument, asked):
    run_engine(bps.mv(instrument.attenuator, 0.3))
    weak = instrument.attenuator.transmission.get()
    for transmission in (1.0, 0.3, 1.0):
        run_engine(bps.mv(instrument.attenuator, transmission))
        run_engine(bp.count([instrument.detector]))
    run_engine(bps.mv(instrument.shutter, "close"))
    run_engine(bp.count([instrument.detector]))
    run_engine(bps.mv(instrument.stage.x, 5.5))
    run_engine(bp.count([instrument.detector]))
    assert [call["dose"] for call in asked] == pytest.approx([0, 12, 12 * (1 + weak), 12 * (2 + weak), 0], rel=0.005)


def test_the_record_beside_an_acquisition_begins_after_shear(tmp_path, small):
    instrument = SimulatedInstrument(directory=tmp_path / "frames", geometry=small, speed=100.0)
    instrument.detector.cam.num_images.put(50)
    instrument.rheometer.shear_rate_setpoint.put(100.0)
    instrument.clock.later(5.0, lambda: instrument.rheometer.shear_rate_setpoint.put(0.0)).wait(60)
    folder = acquire(instrument, tmp_path, "A0001")
    stress = np.loadtxt(folder / "A0001_rheo.csv", delimiter=",", skiprows=1)[:, 1]
    assert len(stress) >= 6 and 50 < stress.min() and stress.max() < 50_000
