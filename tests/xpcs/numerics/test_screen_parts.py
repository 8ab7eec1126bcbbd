"""The parts of the screen: limits, profiles, windows and sums, against SciPy and sums by hand."""

import numpy as np
import pytest
from scipy.stats import poisson

from ainerd_xpcs.numerics import Events, Partition
from ainerd_xpcs.numerics._counts import add_block, is_summed
from ainerd_xpcs.numerics._screen_neighbours import _compare, _compare_events
from ainerd_xpcs.numerics._screen_pixels import _fit, _highest, _median, _quadratics

RING = Partition.from_roi_map(1 + np.arange(4).repeat(300).reshape(40, 30))


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


def test_the_profile_is_fitted_to_good_pixels_that_are_not_far_above_their_neighbours():
    rng, edges = np.random.default_rng(1), np.array([0, 400, 500])
    rows, columns = rng.uniform(0, 60, 500), rng.uniform(0, 60, 500)
    basis = _quadratics(edges, rows, columns)
    truth = np.array([[0.0, 0.4, -0.3, 0.1, 0.0, 0.05], [0.0, 0, 0, 0, 0, 0]])
    eta = np.concatenate([truth[0] @ basis[:, :400], truth[1] @ basis[:, 400:]])
    counts, good = 200 * np.exp(eta), np.ones(500, bool)
    expected = counts.copy()
    good[[3, 420]], counts[[3, 420]] = False, 0  # bad ones count nothing here
    counts[[77, 250, 430]] *= 1000
    coefficient = np.zeros((2, 6))
    mu = _fit(edges, basis, counts, good, np.array([6, 1]), coefficient)
    assert mu == pytest.approx(expected, rel=0.02)
    assert coefficient[0, 1:] == pytest.approx(truth[0, 1:], abs=0.01) and not coefficient[1, 1:].any()
    near, values = np.zeros(50), np.array([5.0, 1, 9, 3, 7, 100])
    assert _median(values, np.array([1, 1, 1, 1, 1, 0], bool), 0, 6, near) == 5
    assert _median(values, np.ones(6, bool), 0, 6, near) == 6 and _median(values, np.zeros(6, bool), 0, 6, near) == 0


def test_neighbours_are_summed_alike_in_frames_and_in_events():
    rng = np.random.default_rng(2)
    block, good = rng.poisson(0.7, (6, 50)).astype(np.uint16), rng.random(50) < 0.8
    counts, excess, sums = np.zeros((2, 50)), np.zeros((2, 50)), np.zeros((3, 5))
    events = Events.of(block)
    _compare_events(events.offsets, events.pixel, events.count, np.array([1, 2, 4]), good, counts[1], excess[1], sums)
    x = block.astype(float)
    for i, b in enumerate((1, 2, 4)):
        of_block = _compare(block[b - 1], block[b], block[b + 1], good, counts[0], excess[0])
        w, now, y = (x[b + k][good] for k in (-1, 0, 1))
        expected = (w.sum(), now.sum(), y.sum(), w @ now, now @ y)
        assert of_block == pytest.approx(expected) and sums[i] == pytest.approx(expected)
    of_frames = sum(x[b] * (x[b] - 1 - (x[b - 1] + x[b + 1]) / 2) for b in (1, 2, 4))
    assert excess == pytest.approx(np.array([of_frames] * 2)) and counts == pytest.approx(
        np.array([x[[1, 2, 4]].sum(0)] * 2)
    )


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
