"""Counts that cannot be photons: the chance of equal frames, histograms and contrasts, against counts by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import poisson

from ainerd_xpcs.numerics import no_light
from ainerd_xpcs.numerics._faults_of_counts import no_photons, no_relaxation
from ainerd_xpcs.numerics._screen_copies import CopyScreen, _equal_before, _keys


def test_the_chance_of_an_equal_frame_is_bounded_pixel_by_pixel():
    """By Stirling's bound of k^k exp(-k) / k!, or by six times the mean count, where that is less."""
    last, good = np.array([3, 0, 5, 2], np.uint16), np.array([True, True, True, False])
    block = np.array([[3, 0, 5, 7], [3, 0, 5, 1], [3, 1, 5, 1], [3, 1, 5, 1]], np.uint16)

    def chance(*counts):
        least = np.log(6.0 * sum(counts) / 4)
        return sum(min(-0.5 * np.log(2 * np.pi * k), least) for k in counts)

    assert _equal_before(block, last, good) == pytest.approx([chance(3, 5), chance(3, 5), 0, chance(3, 1, 5)])
    dim, of_one = np.zeros((1, 1000), np.uint16), np.log(6.0 * 1 / 1000)
    dim[0, 7] = 1
    assert _equal_before(dim, dim[0], np.ones(1000, bool)) == pytest.approx([of_one])  # a pixel that hardly ever counts
    assert not _equal_before(0 * dim, 0 * dim[0], np.ones(1000, bool))[0]
    counts = np.array([[4.0, 0.0, 9.0], [4.0, 0.0, 9.0], [9.0, 0.0, 4.0], [0.0, 0.0, 0.5]])
    limit = -0.5 * np.log(2 * np.pi * 4) - 0.5 * np.log(2 * np.pi * 9)
    for more, expected in ((1e-9, [True] * 3 + [False]), (-1e-9, [False] * 4)):
        sure, keys = _keys(counts, counts.view(np.uint64), limit + more)
        assert sure.tolist() == expected
    assert keys[0] == keys[1] != keys[2]


def test_only_a_sure_frame_is_a_copy_of_an_earlier_one(monkeypatch):
    monkeypatch.setattr("ainerd_xpcs.numerics._screen_copies.LOOK_BACK", 3)
    screen, keys = CopyScreen(100), np.array([5, 6, 5, 5, 7], np.uint64)
    sure = np.array([True, True, False, True, True])
    assert screen._again(sure, keys).tolist() == [False, False, False, True, False]
    assert screen._again(np.ones(2, bool), np.array([8, 5], np.uint64)).tolist() == [False, True]
    assert screen._again(np.ones(3, bool), np.array([9, 10, 11], np.uint64)).tolist() == [False] * 3
    assert screen._again(np.ones(1, bool), np.array([5], np.uint64)).tolist() == [True]  # up to twice as far back
    for key in range(20, 28):
        screen._again(np.ones(1, bool), np.array([key], np.uint64))
    assert screen._again(np.ones(1, bool), np.array([5], np.uint64)).tolist() == [False]
    assert CopyScreen(100)._limit == pytest.approx(np.log(1e-6 / 100 / 6))
    share = np.array([0.01, 0.01, 0.5])  # each counted pixel is as likely as six times the mean, or Stirling's bound
    limit = CopyScreen(1000)._limit
    least = [limit / np.log(0.06), limit / np.log(0.06), limit / (-0.5 * np.log(2 * np.pi))]
    counted = np.array(least) * [1.01, 0.99, 1.01]
    screen = CopyScreen(1000)
    screen.repeated_events(np.arange(3, dtype=np.uint64), np.full(3, 1e4), np.full(3, 0.01))
    assert screen.repeated_events(np.arange(3, dtype=np.uint64), counted, share[0]).tolist()[:2] == [True, False]


def photons(*means, n=10**6):
    """The histogram of a mixture of Poisson distributions."""
    return np.rint(n * np.mean([poisson.pmf(np.arange(40), mean) for mean in means], axis=0)).astype(int)


def test_any_mixture_of_photons_is_one_and_other_counts_are_named():
    for means in ((0.01,), (0.5,), (4.0,), (0.1, 3.0, 9.0), (12.0,)):
        assert no_photons(photons(*means)) is None is no_relaxation(photons(*means))
    assert no_photons(np.zeros(8, int)) is None is no_photons(np.array([9, 0, 0]))
    three = np.zeros(40, int)
    three[::3] = photons(1.0)[:14]
    assert no_photons(three) == "all counts are multiples of 3" and no_relaxation(three) is None
    moved = np.roll(photons(2.0), 2)
    assert no_photons(moved) == no_relaxation(moved) == "no pixel counts less than 2"
    often = photons(2.0)
    often[4] *= 3
    assert no_photons(often) == "more pixels count 4 than photons allow" and no_relaxation(often) is None
    for share, is_low in ((0.149, False), (0.151, True)):
        cut = np.array([1e6 * (1 - share) * 0.6, 1e6 * (1 - share) * 0.4, 1e6 * share]).astype(int)
        cut = np.append(cut, np.zeros(5, int))
        cut[2] += 10**6 - cut.sum()
        why = no_photons(cut)
        assert why is None or why == "counts end at 2, as if they were cut off there"
        low = np.array([int(1e6 * (1 - share)), int(1e6 * share), 0])
        assert no_photons(low) is not None and (no_relaxation(low) is not None) is is_low


@pytest.mark.parametrize("counts", [0.5, 4.0])
def test_contrast_that_no_light_has_is_named(counts):
    """Of twenty equal parts; a dead time may take 3 % of the pairs, and less where pixels count more."""

    def why(within, of_next, spread=0.0, n=20, lag=1):
        off = spread * np.resize([1.0, -1.0], n)
        g2 = SimpleNamespace(
            parts0=within + off, parts=1.1 + np.full((n, 2), of_next), part_weight=np.ones(n), n_pixels=np.array([5.0]),
            part_roi=np.zeros(n, int), bias=np.full((1, 2), 0.1), lag=np.array([lag, 2]),
        )  # fmt: skip
        return no_light(g2, counts)

    hot, after = "a contrast above 1: hot or", "more contrast between frames than within one"
    assert why(1.14, 0.5) is None and why(1.16, 0.5).startswith(hot)  # fifteen per cent more
    error = 6 / np.sqrt(20)
    assert why(1.16 + 0.2 * error, 0.5, 0.21) is None and why(1.16 + 0.2 * error, 0.5, 0.19).startswith(hot)
    lost = min(0.03, 0.05 / counts)
    for next_ in (0.2, 0.6):
        allowed = 0.15 * next_ + lost * (1 + next_)
        assert why(next_ - allowed + 1e-3, next_) is None and why(next_ - allowed - 1e-3, next_).startswith(after)
    assert why(2.0, 0.5, n=11) is None and why(2.0, 0.5, lag=2) is None
