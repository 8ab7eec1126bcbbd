import numpy as np

from ainerd_xpcs.dynamics import clock
from sim_devices import hidden_sample


def places(sample, n=40):
    """One position deep inside each region, in mm."""
    names = sample.regime_map(n)
    middles = {}
    for name in sample.regions:
        inside = names == name
        core = inside & np.all([np.roll(inside, shift, axis) for axis in (0, 1) for shift in (-1, 1)], axis=0)
        row, column = np.argwhere(core)[len(np.argwhere(core)) // 2]
        middles[name] = ((column + 0.5) * 10 / n, (row + 0.5) * 10 / n)
    return middles


def test_avalanches_are_the_events_of_the_exposure_and_large_ones_jump_further():
    sample, rng = hidden_sample("inclusions", 3), np.random.default_rng(0)
    x, y = places(sample)["avalanche"]
    events = ((95.0, 1.0), (100.0, 0.2), (120.5, 1.6), (150.0, 1.0))
    (first, small), (second, large) = sample.dynamics(x, y, 100, 50, rng, events=events).events
    assert (first, second) == (0, 20.5)
    assert 0.5 < small < 1.5 and 4.5 < large < 12
    assert sample.dynamics(x, y, 100, 50, rng).events == ()


def test_matrix_ages_within_an_exposure_and_only_gently_between_them():
    sample, rng = hidden_sample("inclusions", 3), np.random.default_rng(0)
    x, y = places(sample)["ageing"]

    def relaxation(age, t):
        s = clock(sample.dynamics(x, y, age, 50, rng), np.array([t, t + 0.1]))
        return 0.1 / (s[1] - s[0])

    assert relaxation(0, 45) > 4 * relaxation(0, 0)
    assert 1.5 < relaxation(900, 0) / relaxation(0, 0) < 3
