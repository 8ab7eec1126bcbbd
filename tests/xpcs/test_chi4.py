"""Fluctuations of the dynamics in time: none in a steady movie, and those that were put in."""

import numpy as np
import pytest

from ainerd.xpcs import Partition, chi4, in_halves, two_time

SHAPE, T = (40, 30), 600


def movie(rates, seed):
    """Photons of a field whose rate of decorrelation from frame to frame is prescribed, (T, 40, 30)."""
    rng = np.random.default_rng(seed)
    noise = lambda: rng.normal(size=(*SHAPE, 2)) @ [1, 1j]  # noqa: E731
    field, frames = noise(), []
    for rate in rates:
        keep = np.exp(-rate)
        field = keep * field + np.sqrt(1 - keep**2) * noise()
        frames.append(rng.poisson(2 * np.abs(field) ** 2))
    return np.array(frames, np.uint16)


def measured(rates, seed):
    halves = in_halves(Partition.from_roi_map(np.ones(SHAPE, int)))
    return chi4(two_time(movie(rates, seed), halves, size=T))


def test_halves_are_equal_and_keep_their_bins():
    labels = np.repeat([1, 2], 600).reshape(SHAPE)
    whole = Partition.from_roi_map(labels, q=[0.02, 0.03])
    halves = in_halves(whole, 10)
    assert halves.n_pixels.tolist() == [300] * 4 and halves.q.tolist() == [0.02, 0.02, 0.03, 0.03]
    assert (((halves.roi_map + 1) // 2) == labels).all()
    with pytest.raises(ValueError, match="must be even"):
        in_halves(whole, 3)
    with pytest.raises(ValueError, match="fewer than"):
        in_halves(Partition.from_roi_map(np.eye(3, dtype=int)))


def test_steady_dynamics_have_none():
    found = [measured(np.full(T, 0.05), seed) for seed in range(4)]
    pulls = np.array([each.value[0, :100:10] / each.error[0, :100:10] for each in found])
    assert abs(pulls.mean()) < 0.7 and pulls.std() < 2.0
    halves = in_halves(Partition.from_roi_map(np.ones(SHAPE, int)))
    one = two_time(movie(np.full(T, 0.05), 0), halves, size=T)[0]
    # the variance of one map is noise
    assert np.var(one.diagonal(10)) > 4 * max(abs(each.value[0, 9]) for each in found)


def test_those_that_were_put_in_are_found():
    rates = np.where(np.arange(T) // 50 % 2, 0.1, 0.01)
    clock = np.append(0, np.cumsum(rates))[1:]
    truth = np.exp(-2 * np.abs(clock[:, None] - clock))
    found = [measured(rates, seed) for seed in range(4)]
    for lag in (5, 10, 20):
        expected = np.var(truth.diagonal(lag), ddof=1)
        values = [each.value[0, lag - 1] for each in found]
        assert np.mean(values) == pytest.approx(expected, rel=0.2)
        assert min(each.value[0, lag - 1] / each.error[0, lag - 1] for each in found) > 2.5


def test_maps_must_be_in_pairs():
    with pytest.raises(ValueError, match="pairs of halves"):
        chi4(np.ones((3, 50, 50)))
    maps = np.ones((2, 50, 50))
    maps[:, 20:] = np.nan
    assert np.isnan(chi4(maps).value).all()
