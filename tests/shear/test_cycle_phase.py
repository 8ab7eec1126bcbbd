"""The phase of frames under oscillatory shear, against signals of known phase."""

import numpy as np
import pytest

from ainerd_shear import clock_offset, phase_of_record

FREQUENCY = 0.37


def wave(time, amplitude=0.1, noise=0.02, seed=0, begin=1.3):
    rng = np.random.default_rng(seed)
    clean = np.sin(2 * np.pi * FREQUENCY * (time - begin))
    return amplitude * (clean + noise * rng.standard_normal(time.size))


def off(phase, time, begin=1.3):
    """The error of phases, without whole cycles: where the count begins is free."""
    wrong = phase.at(time) - FREQUENCY * (time - begin)
    return wrong - np.rint(np.median(wrong))


@pytest.mark.parametrize("every", [0.05, 0.31])
def test_phase_and_its_error_from_a_noisy_record(every):
    time = np.arange(0, 120, every)
    pulls = []
    for seed in range(6):
        phase = phase_of_record(time, wave(time, seed=seed))
        wrong = off(phase, np.linspace(2, 118, 300))
        assert np.abs(wrong).max() < 0.01
        assert phase.frequency == pytest.approx(FREQUENCY, abs=1e-4)
        pulls.append(wrong.std() / phase.error)
    assert 0.6 < np.mean(pulls) < 1.3


def test_uneven_times_gaps_and_a_sweep_of_the_amplitude():
    rng = np.random.default_rng(1)
    time = np.sort(rng.uniform(0, 150, 2500))
    time = time[(time < 60) | (time > 75)]
    phase = phase_of_record(time, wave(time, amplitude=np.where(time < 90, 0.02, 0.3)))
    assert np.abs(off(phase, np.linspace(2, 148, 300))).max() < 0.01
    assert phase.amplitude[:10] == pytest.approx(0.02, rel=0.05)
    assert phase.amplitude[-10:] == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("first", "last"), [(0, 30), (45, 75), (90, 120)])
def test_a_rest_adds_no_cycles_and_leaves_the_frequency(first, last):
    """The phase of a sample at rest is random, and its cycles do not count."""
    time = np.arange(0, 120, 0.05)
    moves = (time < first) | (time > last)
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(0, 0.002, time.size)
        phase = phase_of_record(time, wave(time, amplitude=0.1 * moves) + noise)
        assert phase.frequency == pytest.approx(FREQUENCY, abs=1e-4)
        inside = moves & (time > phase.time[0]) & (time < phase.time[-1])
        assert np.abs(off(phase, time[inside])).max() < 0.02


def test_a_drift_of_the_frequency_is_followed():
    time = np.arange(0, 200, 0.05)
    turns = 0.5 * time + 2e-5 * time**2
    phase = phase_of_record(time, np.sin(2 * np.pi * turns))
    wrong = phase.at(time[100:-100]) - turns[100:-100]
    assert np.abs(wrong - np.rint(np.median(wrong))).max() < 0.002


def test_each_cycle_has_a_length_of_its_own():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        begins = np.append(0, np.cumsum(1 + 0.08 * np.clip(rng.standard_normal(82), -2.5, 2.5)))
        time = np.arange(0, begins[-1], 0.02)
        turns = np.interp(time, begins, np.arange(83))
        phase = phase_of_record(time, np.sin(2 * np.pi * turns) + 0.005 * rng.standard_normal(time.size))
        wrong = (phase.at(time) - turns)[100:-100]
        assert (wrong - np.rint(np.median(wrong))).std() < 0.01  # half of a window
        assert not phase.stretch.any()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ((np.arange(400), np.ones(400)), "no oscillation"),
        ((np.arange(400) * 0.05, np.random.default_rng(3).normal(size=400)), "points a cycle|no oscillation|cycles"),
        ((np.arange(200) * 0.05, np.sin(2 * np.pi * 0.1 * np.arange(200) * 0.05)), "cycles"),
        ((np.arange(400) * 0.4, np.sin(2 * np.pi * np.arange(400) * 0.4)), "points a cycle"),
        ((np.arange(400), np.ones(300)), "one length"),
    ],
)
def test_without_a_usable_record_there_is_a_reason(record, reason):
    with pytest.raises(ValueError, match=reason):
        phase_of_record(*record)


def test_frames_in_a_rest_are_refused_and_stretches_have_numbers():
    time = np.arange(0, 120, 0.05)
    amplitude = np.select([time < 40, time < 80], [0.1, 0.0], 0.2)
    phase = phase_of_record(time, wave(time, amplitude) + np.random.default_rng(0).normal(0, 1e-3, time.size))
    assert set(phase.stretch) == {0, 1}
    assert phase.amplitude[phase.stretch == 1] == pytest.approx(0.2, rel=0.05)
    assert phase.inside([20.0, 60.0, 100.0]).tolist() == [True, False, True]
    with pytest.raises(ValueError, match=r"1 of 2 frames, from 60 to 60 s, .* and from "):
        phase.at([20.0, 60.0])


def test_the_offset_of_clocks_has_its_error():
    phase = np.arange(80) / 16
    strain = np.sin(2 * np.pi * (phase + 0.05))  # the clock of the detector is late
    one = 1 + np.exp(-(np.subtract.outer(strain, strain) ** 2))
    noise = np.random.default_rng(0).normal(0, 0.1, (40, 8, 80, 80))
    pulls = [(each.cycles - 0.05) / each.error for each in (clock_offset(one + x, phase) for x in noise)]
    assert 0.7 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_frames_that_show_no_turn_have_no_offset():
    maps = 1 + np.random.default_rng(0).normal(0, 0.1, (8, 80, 80))
    with pytest.raises(ValueError, match="no turn"):
        clock_offset(maps, np.arange(80) / 16)
    with pytest.raises(ValueError, match="4 bins"):
        clock_offset(maps[:2], np.arange(80) / 16)
    with pytest.raises(ValueError, match="eight frames"):
        clock_offset(maps, np.arange(80) / 4)
