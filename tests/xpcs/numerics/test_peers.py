"""Compare with results of other packages for the same counts (tests/xpcs/numerics/reference)."""

from pathlib import Path

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, g2, two_time


@pytest.fixture(scope="module")
def peers():
    with np.load(Path(__file__).parent / "reference" / "peers.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def bins(peers):
    return Partition.from_roi_map(peers["roi_map"].astype(int))


@pytest.mark.parametrize("peer", ["skbeam_two_time", "pychx_two_time"])
def test_two_time_of_scikit_beam_and_pychx(peers, bins, peer):
    full = two_time(peers["flicker"], bins, diagonal="raw", normalization="symmetric", dtype="float64")
    assert np.abs(full - peers[peer]).max() < 1e-12


def test_multi_tau_of_scikit_beam(peers, bins):
    correlator = MultiTau(bins)
    correlator.push(peers["steady"])
    found = correlator.result()
    lags, wanted = peers["skbeam_lags"], peers["skbeam_multi_tau"]
    for lag, value in zip(found.lag, found.value.T, strict=True):
        if lag in lags:
            assert np.abs(value - wanted[:, np.flatnonzero(lags == lag)[0]]).max() < 1e-5
    assert np.isin(lags[1:], found.lag).all()
    every = g2(peers["steady"], bins, dtype="float64")
    assert np.abs(every.value[:, :15] - wanted[:, 1:16]).max() < 1e-12
