"""The parts of the screen: limits, profiles, windows and sums, against SciPy and sums by hand."""

import itertools

import numpy as np
import pytest
from scipy.stats import poisson, ttest_1samp

from ainerd_xpcs.numerics import Events, Partition
from ainerd_xpcs.numerics._counts import add_block, is_summed
from ainerd_xpcs.numerics._screen_areas import Windows
from ainerd_xpcs.numerics._screen_neighbours import NeighbourScreen, _compare, _compare_events
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


def test_profiles_are_orthonormal_quadratics_of_the_place():
    rng, edges = np.random.default_rng(0), np.array([0, 40, 100, 107])
    rows, columns = rng.uniform(0, 60, 107), rng.uniform(0, 60, 107)
    rows[100:], columns[100:] = 7.0, np.arange(7.0)  # a line: no function of the rows
    basis = _quadratics(edges, rows, columns)
    for a, b in itertools.pairwise(edges):
        some = basis[:, a:b]
        there = np.any(some, axis=1)
        assert some[there] @ some[there].T / (b - a) == pytest.approx(np.eye(there.sum()), abs=1e-9)
        quadratic = (
            3
            + 0.1 * columns[a:b]
            - 0.02 * columns[a:b] ** 2
            + (b < 107) * 1e-3 * rows[a:b] * (columns[a:b] - rows[a:b])
        )
        coefficient = some @ quadratic / (b - a)
        assert coefficient @ some == pytest.approx(quadratic)
    assert np.any(basis[:, 100:], axis=1).tolist() == [True, True, False, True, False, False]


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


def test_swapped_frames_are_reported_at_six_standard_errors():
    screen = NeighbourScreen(RING)
    x = np.random.default_rng(3).normal(0, 1, 30)
    for t, is_reported in ((5.9, False), (6.1, True), (-6.1, True)):
        moved = x - x.mean() + t * x.std(ddof=1) / np.sqrt(30)
        screen._differences = np.array([30, moved.sum(), (moved**2).sum()])
        assert ttest_1samp(moved, 0).statistic == pytest.approx(t) and (screen.swapped() is not None) is is_reported
    screen._differences = np.array([23, 23.0, 23.0])
    assert screen.swapped() is None  # too few


def test_windows_are_joined_two_by_two_when_there_is_no_room():
    windows, rng = Windows(16, 30), np.random.default_rng(4)
    added = rng.poisson(3.0, (41, 30)).astype(float)
    for n, counts in enumerate(added, 1):
        row = windows.newest()
        row += counts
        each = 1 if n <= 16 else 2 if n <= 32 else 4
        assert len(windows.sums) == (n - 1) // each + 1
        for k, total in enumerate(windows.sums):
            assert np.array_equal(total, added[each * k : min(each * (k + 1), n)].sum(0))


def test_a_pixel_varies_far_more_than_the_others_of_its_bin():
    screen, rng = NeighbourScreen(RING), np.random.default_rng(5)
    n = len(RING.pixels)
    counts, good = np.full(n, 100.0), rng.random(n) < 0.9
    excess = rng.normal(0, 50, n)
    wrong = screen._far(excess, counts, 2.0, good, (5.0, 3.0))
    assert not wrong.any()
    for k in np.unique(screen._roi):
        some = np.flatnonzero((screen._roi == k) & good)
        middle, most = np.quantile(excess[some] / 1e4, [0.5, 0.9])
        limit = 1e4 * (middle + 5 * (most - middle) + 3 * 2.0 / 100)
        above, below = some[:2]
        changed = excess.copy()
        changed[above], changed[below] = 1.01 * limit, 0.99 * limit
        middle, most = np.quantile(changed[some] / 1e4, [0.5, 0.9])
        limit = 1e4 * (middle + 5 * (most - middle) + 3 * 2.0 / 100)
        changed[above], changed[below] = 1.001 * limit, 0.999 * limit
        assert np.flatnonzero(screen._far(changed, counts, 2.0, good, (5.0, 3.0))).tolist() == [above]
        few = counts.copy()
        few[above] = 7  # too few counts
        assert above not in np.flatnonzero(screen._far(changed, few, 2.0, good, (5.0, 3.0)))


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
