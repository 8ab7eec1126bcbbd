"""Compare with results of other packages for the same counts (tests/xpcs/numerics/reference)."""

from pathlib import Path

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, two_time


@pytest.fixture(scope="module")
def peers():
    with np.load(Path(__file__).parent / "reference" / "peers.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def bins(peers):
    return Partition.from_roi_map(peers["roi_map"].astype(int))


@pytest.mark.parametrize("peer", ["skbeam_two_time", "pychx_two_time"])
def test_two_time_of_scikit_beam_and_pychx(peers, bins, peer):
    """Their diagonals hold the shot noise: pixels over photons."""
    full = two_time(peers["flicker"], bins, dtype="float64")
    for k, c2 in enumerate(full):
        np.fill_diagonal(c2, np.diagonal(c2) + 1 / peers["flicker"][:, bins.roi_map == k + 1].mean(1))
    assert np.abs(full - peers[peer]).max() < 1e-12


def test_multi_tau_of_scikit_beam(peers, bins):
    correlator = MultiTau(bins)
    correlator.push(peers["steady"])
    g2 = correlator.result()
    lags, wanted = peers["skbeam_lags"], peers["skbeam_multi_tau"]
    for lag, value in zip(g2.lag, g2.value.T, strict=True):
        if lag in lags:
            assert np.abs(value - wanted[:, np.flatnonzero(lags == lag)[0]]).max() < 1e-5
    assert np.isin(lags[1:], g2.lag).all()
