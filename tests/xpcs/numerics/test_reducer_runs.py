"""Runs that do not go as announced: aborted runs, open ends, gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import Partition, TwoTimeReducer, reduction_operator
from tests.weighted import full_map


def blocks_of(n, sizes):
    edges, i = [0], 0
    while edges[-1] < n:
        edges.append(min(edges[-1] + sizes[i % len(sizes)], n))
        i += 1
    return list(zip(edges[:-1], edges[1:], strict=True))


def reduce(frames, partition, n_frames, blocks=(7,), **options):
    reducer = TwoTimeReducer(partition, n_frames, **{"dtype": "float64", **options})
    for a, b in blocks_of(len(frames), blocks):
        reducer.push(frames[a:b])
    return reducer


def of_full(frames, partition, operator):
    full = full_map(frames, partition)
    light = np.array([frames[:, partition.roi_map == k].sum(1) for k in range(1, 7)], float)
    by_light = operator * light[:, None]  # each frame counts with its photons in the bin
    by_light /= by_light.sum(2, keepdims=True)
    return by_light @ full @ by_light.swapaxes(1, 2)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(2, 60),
    size=st.integers(1, 20),
    announced=st.one_of(st.none(), st.integers(60, 90)),
    blocks=st.lists(st.integers(1, 70), min_size=1, max_size=5),
)
def test_a_partial_map_is_its_operator_on_the_full_map(frames, partition, n, size, announced, blocks):
    reducer = reduce(frames[:n], partition, announced, blocks, size=size)
    operator = reducer.operator.toarray()
    assert operator.shape == (size, n)
    assert np.allclose(operator.sum(1), 1, atol=1e-12) and operator.min() >= 0
    maps = reducer.maps()
    assert np.abs(maps - of_full(frames[:n], partition, operator)).max() < 1e-11


@pytest.mark.parametrize(
    ("announced", "n", "most", "rms"),
    [
        *((None, n, 0.035, 0.0013) for n in (1025, 1500, 2500, 5000)),
        *((5000, n, 0.071, 0.004) for n in (1500, 3000, 4500)),
    ],
)
def test_the_error_of_a_partial_map_is_as_documented(announced, n, most, rms):
    reducer = TwoTimeReducer(Partition.from_roi_map([[1]]), announced, size=256)
    reducer.push(np.zeros((n, 1), np.uint8))
    t = np.arange(n) * 256 / n
    c2 = np.exp(-2 * np.abs(t[:, None] - t) / 5)
    part, exact = (r @ (r @ c2).T for r in (reducer.operator, reduction_operator("area", n, 256)))
    assert most / 4 < np.abs(part - exact).max() < most
    assert np.sqrt(((part - exact) ** 2).mean()) < rms


def test_intermediate_maps_do_not_change_the_result(frames, partition):
    reducer = TwoTimeReducer(partition, 60, size=12)
    for a, b in blocks_of(60, (9,)):
        reducer.push(frames[a:b])
        assert np.isfinite(reducer.maps()).all()
    assert np.array_equal(reducer.maps(), reduce(frames, partition, 60, (9,), size=12, dtype="float32").maps())


def test_repeated_and_surplus_frames_are_refused(frames, partition):
    reducer = TwoTimeReducer(partition, 60)
    reducer.push(frames[:20])
    with pytest.raises(ValueError, match="frame 10 was pushed before: the next is 20"):
        reducer.push(frames[10:30], first=10)
    with pytest.raises(ValueError, match="frame 65 was pushed, 60 were announced"):
        reducer.push(frames[:5], first=60)
    with pytest.raises(ValueError, match=r"valid has shape \(3,\), expected \(5,\)"):
        reducer.push(frames[:5], valid=[True] * 3)
    assert reducer.n_pushed == 20
    reducer.push(frames[20:40])
