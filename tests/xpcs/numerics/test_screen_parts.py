"""The parts of the screen: limits, profiles, windows and sums, against SciPy and sums by hand."""

import numpy as np
import pytest
from scipy.stats import poisson

from ainerd_xpcs.numerics._counts import add_block, is_summed
from ainerd_xpcs.numerics._screen_pixels import _highest


def test_a_pixel_exceeds_its_highest_count_less_often_than_allowed():
    """Chernoff's bound for Poisson counts of partly static speckle; of photons alone it is near to the true one."""
    mu, level = np.array([0.1, 3.0, 50.0]), 12.0
    for spread in (0.02, 0.3, 1.0):
        high, x = _highest(mu, spread, level), np.sqrt(spread)
        for mean, most in zip(mu, high, strict=True):
            n = np.arange(4000)
            of_static = x * mean / (1 + x * mean)
            chance = np.convolve(poisson.pmf(n, (1 - x) * mean), (1 - of_static) * of_static**n)[:4000]
            assert chance[n > most].sum() < np.exp(-level)
            assert chance[n > 0.6 * most - 2].sum() > np.exp(-level)  # and not by much

            def bound(u, mean=mean, x=x):
                return (level + (1 - x) * mean * u - np.log1p(-x * mean * u)) / np.log1p(u)

            fine = 1 / (x * mean) * (1 - np.geomspace(1e-4, 0.999, 4000))
            assert most == pytest.approx(bound(fine).min(), rel=0.02)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
@pytest.mark.parametrize(
    ("step", "summed"),
    [(1, range(22)), (2, [*range(4), *range(8, 12), *range(16, 20)]), (3, [*range(4), *range(12, 16)])],
)
def test_a_block_is_summed_over_sub_bins_and_over_some_frames(dtype, step, summed):
    """Twenty-two frames: five groups of four, and two frames that only count if all do."""
    block, edges = np.random.default_rng(6).poisson(2.0, (22, 30)).astype(dtype), np.array([0, 12, 30])
    limit = np.array([5.0, 4.0])
    counts, over, column = add_block(block, edges, limit, step)
    assert np.flatnonzero(is_summed(22, step)).tolist() == [*summed]
    assert np.array_equal(column, block[[*summed]].sum(0))
    assert np.array_equal(counts, np.add.reduceat(block, edges[:-1], axis=1))
    above = np.maximum.reduceat(block, edges[:-1], axis=1) > limit
    for first in range(0, 20, 4):  # of a group it is told together
        above[first : first + 4] = above[first : first + 4].any(0)
    assert np.array_equal(over, above) and above.any() and not above.all()
