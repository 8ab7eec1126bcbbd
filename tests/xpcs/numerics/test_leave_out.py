"""Pixels left out of a reduction, before it begins or while it goes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import Partition, TwoTimeReducer

OUT = np.array([3, 40, 41, 200])


def masked(partition, positions=OUT):
    roi_map = partition.roi_map.copy()
    roi_map.flat[partition.pixels[positions]] = 0
    return Partition.from_roi_map(roi_map, static_map=np.maximum(partition.static_map, 1))


def reduce(frames, partition, n_frames, out=(), at=0, blocks=(7,), **options):
    """Push frames, and leave pixels out from frame `at` on."""
    reducer = TwoTimeReducer(partition, n_frames, **{"dtype": "float64", "size": 12, **options})
    counts, begin, i = partition.gather(frames), 0, 0
    while begin < len(counts):
        if begin == at:
            reducer.leave_out(out)
        end = min(begin + blocks[i % len(blocks)], len(counts), at if begin < at else len(counts))
        reducer.push(counts[begin:end])
        begin, i = end, i + 1
    if at >= len(counts):
        reducer.leave_out(out)
    return reducer


def without(frames, partition, positions=OUT):
    return reduce(frames, masked(partition, positions), len(frames)).maps()


def test_a_pixel_left_out_from_the_start_is_as_if_masked(frames, partition):
    spoilt = partition.gather(frames).copy()
    spoilt[:, OUT] = 65535
    reducer = reduce(spoilt, partition, 60, OUT)
    assert np.abs(reducer.maps() - without(frames, partition)).max() < 1e-12


@settings(max_examples=20, deadline=None)
@given(
    at=st.integers(0, 60),
    announced=st.sampled_from([None, 60]),
    blocks=st.lists(st.integers(1, 70), min_size=1, max_size=4),
)
def test_a_dead_pixel_is_removed_exactly_at_any_time(frames, partition, at, announced, blocks):
    dead = partition.gather(frames).copy()
    dead[:, OUT] = 0
    late = reduce(dead, partition, announced, OUT, at, blocks)
    known = reduce(dead, partition, announced, OUT, 0, blocks)
    assert np.abs(late.maps() - known.maps()).max() < 1e-12
    assert np.abs(late.sums.counts - known.sums.counts).max() < 1e-9


def test_removing_any_pixel_late_has_a_small_effect():
    """Remove one pixel of 2000, normal or hot, after two thirds of the frames; noise is much larger than the error."""
    rng = np.random.default_rng(8)
    partition = Partition.from_roi_map(np.ones((40, 50), int))
    counts = rng.poisson(rng.gamma(4, 0.25, 2000), (60, 2000))
    wanted = without(counts.reshape(60, 40, 50), partition, [357])
    assert np.abs(reduce(counts, partition, 60, [357], 40).maps() - wanted).max() < 1e-4
    hot = counts.copy()
    hot[:, 357] = rng.poisson(40, 60)
    assert np.abs(reduce(hot, partition, 60, [357], 40).maps() - wanted).max() < 5e-2
    assert np.abs(reduce(hot, partition, 60).maps() - wanted).max() > 0.5


def test_a_bin_whose_pixels_are_all_left_out_is_nan(frames, partition):
    edges = np.append(0, np.cumsum(partition.n_pixels))
    for at in (0, 21):
        maps = reduce(frames, partition, 60, np.arange(edges[1], edges[2]), at).maps()
        assert np.isnan(maps[1]).all() and np.isfinite(maps[[0, 2, 3, 4, 5]]).all()
