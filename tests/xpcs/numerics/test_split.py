"""A run divided between workers by pixels: the concatenated parts equal the whole."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, Partition, TwoTimeReducer, split


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


def reduced(partition, counts, hot, **options):
    valid = np.ones(len(counts), bool)
    valid[[5, 30, 31]] = False
    reducer = TwoTimeReducer(partition, len(counts), size=16, **options)
    for a in range(0, len(counts), 20):
        if a == 40:
            reducer.leave_out(np.flatnonzero(partition.pixels == hot))
        reducer.push(counts[a : a + 20], valid=valid[a : a + 20])
    return reducer.maps()


def shares(partition, parts, counts):
    """Return the counts of the pixels of each part."""
    order = np.argsort(partition.pixels)
    return [counts[:, order[np.searchsorted(partition.pixels, part.pixels, sorter=order)]] for part in parts]


@pytest.mark.parametrize("diagonal", ["poisson", "neighbour", "raw"])
@pytest.mark.parametrize("normalization", ["smoothed", "paper", "symmetric"])
def test_maps_of_the_parts_equal_those_of_the_whole(rings, normalization, diagonal):
    counts, options = speckle(rings), {"normalization": normalization, "diagonal": diagonal}
    hot = rings.pixels[3]
    whole = reduced(rings, counts, hot, **options)
    parts = split(rings, 4, normalization=normalization)
    each = zip(parts, shares(rings, parts, counts), strict=True)
    maps = np.concatenate([reduced(p, c, hot, **options) for p, c in each])
    assert len(parts) == (3 if normalization == "paper" else 4)
    near = np.abs(np.subtract.outer(np.arange(16), np.arange(16))) <= 1
    np.testing.assert_array_equal(maps[:, ~near], whole[:, ~near])
    np.testing.assert_allclose(maps, whole, rtol=3e-7)


def test_g2_of_the_parts_equals_that_of_the_whole(rings):
    counts, parts = speckle(rings), split(rings, 6)

    def g2(partition, counts):
        correlator = MultiTau(partition)
        correlator.push(counts)
        return correlator.result()

    whole = g2(rings, counts)
    of_parts = [g2(part, share) for part, share in zip(parts, shares(rings, parts, counts), strict=True)]
    for name in ("value", "error"):
        np.testing.assert_array_equal(np.concatenate([getattr(x, name) for x in of_parts]), getattr(whole, name))


@pytest.mark.parametrize("n", [1, 2, 4, 15, 40])
def test_every_pixel_is_in_one_part(rings, n):
    parts = split(rings, n)
    assert min(n, 5) <= len(parts) <= min(n, rings.n_roi)
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in parts]), rings.pixels)
    for name in ("n_pixels", "q", "phi", "static_label"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(rings, name))
    most = max(len(part.pixels) for part in parts)
    assert most <= len(rings.pixels) / n + rings.n_pixels.max()


def test_bins_that_share_a_label_are_not_split_for_paper(rings):
    one_label = Partition.from_roi_map(rings.roi_map)
    assert len(split(one_label, 4)) == 4 and len(split(one_label, 4, normalization="paper")) == 1
    with pytest.raises(ValueError, match="at least one part, got 0"):
        split(rings, 0)
    with pytest.raises(ValueError, match="no normalization 'other'"):
        split(rings, 2, normalization="other")
