"""Steps of echo and modulus, against noise of known changes."""

import numpy as np
import pytest

from ainerd_shear import find_steps

N = 40


def series(echo, modulus, seed=0):
    """Echoes of eight bins, moduli of each cycle and their errors."""
    rng = np.random.default_rng(seed)
    return echo + rng.normal(0, 0.05, (8, N)), modulus + rng.normal(0, 4, N), np.full(N, 4.0)


@pytest.mark.parametrize("at", [5, 20, 37])
def test_a_step_of_both_is_found_at_its_cycle(at):
    late = np.arange(N) >= at
    for seed in range(5):
        (found,) = find_steps(*series(0.9 - 0.2 * late, 400 - 60.0 * late, seed))
        assert abs(found - at) <= 1


def test_two_steps_are_found():
    number = np.arange(N)
    echo, modulus = (np.select([number < 15, number < 28], [a, b], c) for a, b, c in ((0.9, 0.6, 0.8), (400, 300, 350)))
    assert find_steps(*series(echo, modulus)) == (15, 28)


def test_a_step_of_one_alone_is_none():
    late = np.arange(N) >= 20
    found = [find_steps(*series(0.9, 400 - 60.0 * late, seed)) for seed in range(20)]
    assert sum(map(bool, found)) <= 1


@pytest.mark.parametrize("mu", [0.3, 0.6, 1.0])
def test_training_is_no_step(mu):
    number = 1 + np.arange(N)
    runs = [series(np.exp(-0.4 * number**-mu), 400 + 20 * np.log(number), seed) for seed in range(20)]
    assert sum(bool(find_steps(*run)) for run in runs) <= 1


def test_steps_in_noise_are_rare():
    runs = [series(0.9, 400.0, seed) for seed in range(200)]
    assert sum(bool(find_steps(*run)) for run in runs) <= 6
    assert sum(bool(find_steps(echo)) for echo, *_ in runs) <= 6
    with pytest.raises(ValueError, match="does not fit"):
        find_steps(runs[0][0], np.ones(3), np.ones(3))
