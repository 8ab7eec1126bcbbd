"""A sample under oscillatory shear, its stress, and the times of frames, against theory."""

import numpy as np
import pytest

from sim_devices import OscillatingRheometer, Oscillation, SoftSolid, frame_times, write_oscillation
from tests.sim_devices.conftest import SetClock

STEADY = Oscillation(frequency_hz=0.5, steps=((1.0, 0.1),))


def test_the_stress_is_that_of_the_moduli_and_has_a_third_harmonic_above_yielding():
    solid, rng = SoftSolid(storage_pa=300.0, loss_pa=30.0, yield_strain=0.1), np.random.default_rng(0)
    for strain, softer, third in ((1e-4, 1.0, 0.0), (0.1, 0.5, 0.075)):
        record = write_oscillation(
            Oscillation(frequency_hz=1.0, steps=((1.0, strain),)), solid, 64, every_s=1 / 64, noise=0.0, rng=rng
        )
        waves = np.fft.rfft(record["stress"]) / 32 / strain
        assert -waves[1].imag == pytest.approx(300 * softer, rel=1e-4)
        assert waves[1].real == pytest.approx(solid.moduli(strain)[1], rel=1e-6)
        assert abs(waves[3]) / abs(waves[1]) == pytest.approx(third, abs=1e-4)
    assert np.ptp(record["strain"]) == pytest.approx(0.2)


def test_frames_come_continuously_in_bunches_or_at_chosen_phases():
    rng = np.random.default_rng(0)
    at = STEADY.cycle(frame_times(STEADY, 3, [0.0, 0.5], in_a_bunch=2, frame_time_s=0.01, rng=rng))
    assert at == pytest.approx(np.add.outer([0, 0.5, 1, 1.5, 2, 2.5], [0, 0.005]).ravel())
    off = STEADY.cycle(frame_times(STEADY, 400, [0.25], jitter=0.01, rng=rng)) - np.arange(400)
    assert off.mean() == pytest.approx(0.25, abs=0.002)
    assert off.std() == pytest.approx(0.01, rel=0.15)


def test_the_record_of_a_flight_is_that_of_the_strain_and_of_the_gate():
    rheometer = OscillatingRheometer(name="rheometer", clock=(clock := SetClock()), points=16, noise=0.0)
    clock.t = 5.0
    rheometer.strain_amplitude.put(0.1)
    clock.t = 7.0
    rheometer.kickoff()
    clock.t = 10.0
    (before,) = rheometer.collect_pages()
    turn_s = rheometer.next_turn(clock.t)
    rheometer.open_gate(turn_s)
    clock.t = 12.0
    (after,) = rheometer.collect_pages()
    assert not [*rheometer.collect_pages()]  # there are no further points
    time, strain, stress, gate = (
        np.array([*before["data"][f"rheometer_record_{name}"], *after["data"][f"rheometer_record_{name}"]])
        for name in ("time", "strain", "stress", "gate")
    )
    assert time == pytest.approx(7.0 + np.arange(80) / 16)
    assert strain == pytest.approx(0.1 * np.sin(2 * np.pi * (time - 5.0)))
    assert np.abs(stress).max() == pytest.approx(0.1 * np.hypot(*SoftSolid().moduli(0.1)), rel=0.2)
    assert turn_s == pytest.approx(10.25)
    assert np.isnan(gate[:48]).all() and (gate[48:] == turn_s).all()
    rheometer.strain_amplitude.put(0.0)
    assert rheometer.oscillation is None
