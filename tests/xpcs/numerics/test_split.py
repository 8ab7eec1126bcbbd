"""A run divided between workers by bins: the concatenated parts equal the whole."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, TwoTimeReducer


@pytest.fixture(scope="module")
def rings():
    """Three rings in q of five sectors, with two static rings in each."""
    return Partition.annular(
        detector="lambda750k",
        beam_center_px=(258.0, 778.0),
        distance_m=80.0,
        energy_keV=11.0,
        q_range_inv_nm=(0.0005, 0.0022),
        n_q=3,
        n_phi=5,
        n_static=2,
    )


def speckle(partition, n=90, seed=0):
    """Counts under a flickering beam, with an empty frame and a hot pixel."""
    rng = np.random.default_rng(seed)
    field = np.cumsum(rng.normal(size=(n, 2, len(partition.pixels))), 0) / 4
    counts = rng.poisson(((field**2).sum(1) + 1) * (1 + 0.3 * np.sin(np.arange(n)))[:, None]).astype(np.uint16)
    counts[17] = 0
    counts[40:, 3] = 60_000
    return counts


def parts_of(rings, n):
    return [rings.only(bins) for bins in np.array_split(np.arange(1, rings.n_roi + 1), n)]


def reduced(partition, counts, hot):
    valid = np.ones(len(counts), bool)
    valid[[5, 30, 31]] = False
    reducer = TwoTimeReducer(partition, len(counts), size=16)
    for a in range(0, len(counts), 20):
        if a == 40:
            reducer.leave_out(np.flatnonzero(partition.pixels == hot))
        reducer.push(counts[a : a + 20], valid=valid[a : a + 20])
    return reducer.maps()


def shares(partition, parts, counts):
    """Return the counts of the pixels of each part."""
    order = np.argsort(partition.pixels)
    return [counts[:, order[np.searchsorted(partition.pixels, part.pixels, sorter=order)]] for part in parts]


def test_maps_of_the_parts_equal_those_of_the_whole(rings):
    counts, parts = speckle(rings), parts_of(rings, 4)
    hot = rings.pixels[3]
    whole = reduced(rings, counts, hot)
    each = zip(parts, shares(rings, parts, counts), strict=True)
    maps = np.concatenate([reduced(p, c, hot) for p, c in each])
    near = np.abs(np.subtract.outer(np.arange(16), np.arange(16))) <= 1
    np.testing.assert_array_equal(maps[:, ~near], whole[:, ~near])
    np.testing.assert_allclose(maps, whole, rtol=3e-7)


def test_g2_of_the_parts_equals_that_of_the_whole(rings):
    counts, parts = speckle(rings), parts_of(rings, 6)

    def g2(partition, counts):
        correlator = MultiTau(partition)
        correlator.push(counts)
        return correlator.result()

    whole = g2(rings, counts)
    of_parts = [g2(part, share) for part, share in zip(parts, shares(rings, parts, counts), strict=True)]
    for name in ("value", "error"):
        np.testing.assert_array_equal(np.concatenate([getattr(x, name) for x in of_parts]), getattr(whole, name))
