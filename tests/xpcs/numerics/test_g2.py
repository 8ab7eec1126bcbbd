import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, g2, two_time
from tests.weighted import along_diagonals


@pytest.mark.parametrize("normalization", ["smoothed", "paper", "symmetric"])
def test_g2_is_the_mean_along_the_diagonals_of_c2(frames, partition, normalization):
    found = g2(frames, partition, normalization=normalization, dtype="float64")
    full = two_time(frames, partition, normalization=normalization, dtype="float64")
    if normalization == "paper":
        wanted = np.array([[np.diagonal(c2, lag).mean() for lag in range(1, 60)] for c2 in full])
    else:
        wanted = along_diagonals(full, frames, partition, range(1, 60))
    assert np.array_equal(found.lag, np.arange(1, 60))
    assert np.abs(found.value - wanted).max() < 1e-12


@pytest.mark.parametrize("counts", [0.05, 0.5, 20.0])
def test_in_single_precision_every_lag_is_within_1e_4(counts):
    rng = np.random.default_rng(2)
    partition = Partition.from_roi_map(
        np.repeat([1, 2], 300).reshape(30, 20), static_map=np.arange(600).reshape(30, 20) // 100 + 1
    )
    frames = rng.poisson(counts, (900, 30, 20)).astype(np.uint16)
    found = g2(frames, partition).value
    full = two_time(frames, partition, dtype="float64")
    assert np.abs(found - along_diagonals(full, frames, partition, range(1, 900))).max() < 1e-4
    assert np.abs(found[:, :600] - g2(frames, partition, dtype="float64").value[:, :600]).max() < 1e-5


@pytest.mark.parametrize("n_frames", [2, 3, 17, 59])
def test_g2_of_short_movies(frames, partition, n_frames):
    full = two_time(frames[:n_frames], partition, dtype="float64")
    found = g2(frames[:n_frames], partition, dtype="float64").value
    wanted = along_diagonals(full, frames[:n_frames], partition, range(1, n_frames))
    assert np.abs(found - wanted).max() < 1e-12


def test_g2_with_bad_frames_is_the_mean_over_valid_pairs(frames, partition):
    valid = np.ones(60, bool)
    valid[[3, 20, 21]] = False
    found = g2(frames, partition, valid=valid, dtype="float64")
    full = two_time(frames, partition, valid=valid, dtype="float64")
    wanted = along_diagonals(full, frames, partition, range(1, 57), valid)
    assert np.abs(found.value[:, :56] - wanted).max() < 1e-12


def test_multitau_agrees_with_all_lags(frames, partition):
    correlator = MultiTau(partition)
    for start in range(0, 60, 11):
        correlator.push(frames[start : start + 11])
    live = correlator.result()
    every = g2(frames, partition)
    first = live.lag <= 15
    assert np.array_equal(live.lag[first], np.arange(1, 16))
    assert np.abs(live.value[:, first] - every.value[:, :15]).max() < 1e-5
    assert np.array_equal(live.lag[~first], [16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 44, 48, 52, 56])
    assert np.abs(live.value[:, ~first] - every.value[:, live.lag[~first].astype(int) - 1]).max() < 0.2
