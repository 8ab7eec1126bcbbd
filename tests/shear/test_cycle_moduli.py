"""Moduli of each cycle, against signals of known moduli."""

import numpy as np
import pytest
from scipy.signal import lfilter

from ainerd_shear import cycle_moduli, phase_of_record

FREQUENCY = 0.5
TIME = np.arange(0, 80, 0.04)


def record(seed=0, noise=0.02, storage=400.0, loss=60.0, amplitude=0.1, third=0.0):
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi * FREQUENCY * (TIME + 0.4)
    strain = amplitude * np.sin(turn)
    stress = amplitude * (storage * np.sin(turn) + loss * np.cos(turn) + third * np.sin(3 * turn))
    size = amplitude * np.hypot(storage, loss)
    return strain + noise * amplitude * rng.normal(size=TIME.size), stress + noise * size * rng.normal(size=TIME.size)


def moduli(**options):
    strain, stress = record(**options)
    return cycle_moduli(TIME, strain, stress, phase_of_record(TIME, strain))


def test_moduli_are_within_their_errors():
    pulls = []
    for seed in range(8):
        result = moduli(seed=seed, third=30.0)
        truth = {"storage": 400, "loss": 60, "tan_delta": 0.15, "strain": 0.1}
        third = np.sqrt(2) * (result.third - 30 / np.hypot(400, 60)) / result.third_err  # the error of both parts
        pulls.append([(getattr(result, n) - x) / getattr(result, f"{n}_err") for n, x in truth.items()])
        pulls[-1] += [third.real, third.imag]
    pulls = np.concatenate(pulls, axis=1)
    assert np.abs(pulls.mean(1)).max() < 0.25
    assert pulls.std(1) == pytest.approx(1, abs=0.2)


def test_the_peak_of_the_stress_holds_the_harmonics():
    fine = np.linspace(0, 2 * np.pi, 10_000)
    peak = 0.1 * (400 * np.sin(fine) + 60 * np.cos(fine) + 80 * np.sin(3 * fine)).max()
    assert moduli(third=80.0).peak_stress.mean() == pytest.approx(peak, rel=0.01)


def test_cycles_without_a_quarter_are_left_out():
    result = moduli()
    assert np.array_equal(result.cycle, np.arange(result.cycle[0], result.cycle[0] + len(result.cycle)))
    assert len(result.cycle) == 40  # phases .2 to 40.2: a fifth of the first is missing, four fifths of the last
    strain, stress = record()
    gap = (TIME > 20.2) & (TIME < 21.8)
    stress[gap] = np.nan
    less = cycle_moduli(TIME, strain, stress, phase_of_record(TIME, strain))
    assert set(result.cycle) - set(less.cycle) == {10}


def test_a_record_without_whole_cycles_has_a_reason():
    time = np.arange(0, 40, 0.25)
    strain = np.sin(2 * np.pi * 0.5 * time)
    with pytest.raises(ValueError, match="no whole cycle"):
        cycle_moduli(time, strain, strain, phase_of_record(time, strain))


FIFTY = np.arange(0, 120, 0.04)  # 60 cycles of 50 points


def long_record(shape=1.0, drift=0.0, noise=None, seed=0):
    rng, turn = np.random.default_rng(seed), 2 * np.pi * FREQUENCY * FIFTY
    x, y = rng.normal(size=(2, FIFTY.size)) if noise is None else (noise(rng), noise(rng))
    strain = 0.1 * (shape * np.sin(turn) + drift) + 1e-3 * x
    return FIFTY, strain, shape * (40 * np.sin(turn) + 6 * np.cos(turn)) + y


@pytest.mark.parametrize("drift", [0.5, 20.0])
@pytest.mark.parametrize("creep", [lambda x: x, lambda x: np.log1p(20 * x) / np.log(21)])
def test_a_strain_that_drifts_has_its_frequency_and_moduli(drift, creep):
    time, strain, stress = long_record(drift=drift * creep(FIFTY / FIFTY[-1]))
    phase = phase_of_record(time, strain)
    assert phase.frequency == pytest.approx(FREQUENCY, abs=1e-3)
    assert phase.at((np.arange(50) + 5.25) / FREQUENCY) % 1 == pytest.approx(0.25, abs=0.03)
    result = cycle_moduli(time, strain, stress, phase)
    for value, error, truth in ((result.storage, result.storage_err, 400), (result.loss, result.loss_err, 60)):
        assert value.mean() == pytest.approx(truth, abs=5 * np.median(error) / np.sqrt(value.size))


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [(np.minimum(FIFTY / 40, 1), 20, 60), (FIFTY >= 90, 45, 60), ((FIFTY < 40) | (FIFTY > 80), 0, 20)],
)
def test_cycles_beside_a_rest_or_a_ramp_have_moduli(shape, first, last):
    time, strain, stress = long_record(shape * 1.0)
    result = cycle_moduli(time, strain, stress, phase_of_record(time, strain))
    mine = (result.cycle >= first) & (result.cycle < last)
    assert mine.sum() >= last - first - 1
    assert result.storage[mine] == pytest.approx(400, rel=0.03) and result.loss[mine].mean() == pytest.approx(60, 0.03)


def test_errors_of_correlated_noise_are_those_of_the_scatter():
    def coloured(rng):
        return lfilter([np.sqrt(1 - 0.9**2)], [1, -0.9], rng.normal(size=FIFTY.size + 500))[500:]

    for noise, most in ((None, 1.15), (coloured, 1.3)):
        pulls = []
        for seed in range(4):
            time, strain, stress = long_record(noise=noise, seed=seed)
            result = cycle_moduli(time, strain, stress, phase_of_record(time, strain))
            pulls.append([(result.storage - 400) / result.storage_err, (result.loss - 60) / result.loss_err])
        assert 0.85 < np.concatenate(pulls, axis=1).std() < most
