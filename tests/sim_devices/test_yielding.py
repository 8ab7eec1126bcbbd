"""The yield events against the laws they are drawn from."""

import numpy as np
from scipy import stats

from sim_devices import Yielding

HOUR = Yielding(1).between(0, 3600)


def test_halves_give_the_whole_and_the_seed_gives_all():
    yielding = Yielding(1)
    assert yielding.between(1800, 3600) == tuple(event for event in HOUR if event[0] >= 1800)
    cuts = [0, HOUR[0][0], 17.3, 900, HOUR[90][0], 3600]  # an event on a cut belongs to the part that begins there
    parts = [yielding.between(start, stop) for start, stop in zip(cuts[:-1], cuts[1:], strict=True)]
    assert sum(parts, ()) == HOUR
    assert yielding.between(-100, 0) == yielding.between(5, 5) == ()
    assert Yielding(2).between(0, 3600) != HOUR != yielding.between(0, 3600, shear_number=1)


def test_ages_increase_and_the_rate_falls_slowly():
    """Counts of 300 processes against the integral of (1 + age / 600)^-0.3 / 13."""
    for start, stop in ((0, 60), (600, 1200), (3000, 3600), (20_000, 20_600)):
        counts = [len(Yielding(seed).between(start, stop)) for seed in range(300)]
        age = np.linspace(start, stop, 2001)
        expected = np.trapezoid((1 + age / 600) ** -0.3 / 13, age)
        error = np.std(counts, ddof=1) / np.sqrt(300)
        assert abs(np.mean(counts) - expected) < 4 * error
        assert error < 0.02 * expected
    ages = [age for age, _ in HOUR]
    assert all(np.diff(ages) > 0)


def test_sizes_follow_the_power_law_between_its_ends():
    sizes = np.array([size for seed in range(20) for _, size in Yielding(seed).between(0, 3600)])
    assert 0.15 <= sizes.min() < 0.151 and 1.9 < sizes.max() <= 2.0
    inside = stats.truncpareto(b=0.5, c=2 / 0.15, scale=0.15)
    assert stats.kstest(sizes, inside.cdf).pvalue > 0.01
