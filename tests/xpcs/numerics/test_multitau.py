"""The multi-tau correlator: frames and pixels left out, open ends, contrast within a frame, errors from parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import MultiTau, Partition


def pushed(partition, frames, valid=None, step=13):
    live = MultiTau(partition)
    for a in range(0, len(frames), step):
        live.push(frames[a : a + step], None if valid is None else valid[a : a + step])
    return live


def test_too_few_frames_and_other_shapes_are_refused(frames, partition):
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        pushed(partition, frames[:1]).result()
    with pytest.raises(ValueError, match=r"valid has shape \(2,\), expected \(3,\)"):
        MultiTau(partition).push(frames[:3], [True, False])


def test_pixels_left_out_at_the_beginning_are_as_if_masked(frames, partition):
    out = np.array([3, 4, 100, 230])
    roi_map = partition.roi_map.copy().ravel()
    roi_map[partition.pixels[out]] = 0
    masked = Partition.from_roi_map(roi_map.reshape(partition.shape), static_map=partition.static_map)
    live = MultiTau(partition)
    live.leave_out(out)
    live.push(frames)
    g2, wanted = live.result(), pushed(masked, frames).result()
    np.testing.assert_allclose(g2.value, wanted.value, atol=1e-6)
    np.testing.assert_allclose(g2.contrast0, wanted.contrast0, atol=1e-6)
    np.testing.assert_array_equal(g2.n_pixels, masked.n_pixels)


@pytest.mark.parametrize("photons", [0.003, 3.0])
def test_frames_before_a_pixel_was_left_out_keep_their_weight(photons):
    """A hot pixel makes earlier frames look brighter: they would outweigh sparse later ones, or count less."""
    one = Partition.from_roi_map(np.ones((30, 30), int))
    counts = np.random.default_rng(2).poisson(photons, (400, 900)).astype(np.uint16)
    counts[:, 17] = 200
    late, masked = MultiTau(one), MultiTau(one)
    masked.leave_out([17])
    for live in (late, masked):
        live.push(counts[:100])
    late.leave_out([17])
    for live in (late, masked):
        live.push(counts[100:])
    wanted, g2 = masked.result(), late.result()
    # one of sixteen parts lacks the pairs of the first quarter
    assert np.sqrt(np.mean((g2.value - wanted.value) ** 2) / np.mean(wanted.error**2)) < 0.3


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), n_pixels=st.integers(1, 80), n_static=st.integers(1, 5), n=st.integers(2, 70))
def test_parts_average_to_the_whole(seed, n_pixels, n_static, n):
    rng = np.random.default_rng(seed)
    roi = np.r_[1, 2, rng.integers(1, 3, n_pixels)][None]
    partition = Partition.from_roi_map(roi, static_map=rng.integers(1, n_static + 1, roi.shape))
    frames = rng.poisson(2.0, (n, *roi.shape)).astype(np.uint16)
    whole = pushed(partition, frames).result()
    for k in range(2):
        mine = whole.part_roi == k
        assert whole.part_weight[mine].sum() == pytest.approx(1) and mine.sum() <= 16 + n_static
        average = whole.part_weight[mine] @ whole.parts[mine]
        np.testing.assert_allclose(average, whole.value[k], rtol=1e-9)


def speckle(rng, n_frames, n_pixels, modes, keep, photons):
    """Counts of the mean of `modes` speckle patterns, whose fields keep `keep` of themselves from frame to frame."""
    shape = (2, modes, n_pixels)
    field, out = rng.normal(size=shape), np.empty((n_frames, n_pixels), np.uint16)
    for t in range(n_frames):
        if t:
            field = keep * field + np.sqrt(1 - keep**2) * rng.normal(size=shape)
        out[t] = rng.poisson(photons * (field**2).sum(0).mean(0) / 2)
    return out


@pytest.mark.parametrize("photons", [0.05, 2.0])
@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_contrast_within_a_frame_and_its_error_are_right(photons, keep):
    rng = np.random.default_rng(3)
    roi = np.repeat(np.arange(1, 101), 60).reshape(100, 60)
    g2 = pushed(Partition.from_roi_map(roi), speckle(rng, 200, roi.size, 4, keep, photons)).result()
    assert 0.8 < g2.contrast0.std() / np.sqrt((g2.contrast0_err**2).mean()) < 1.25
    assert abs(g2.contrast0.mean() - 0.25) < 4 * g2.contrast0.std() / 10


def test_errors_and_bias_of_a_static_sample_reflect_the_number_of_speckles():
    rng = np.random.default_rng(5)
    roi = np.repeat(np.arange(1, 151), 60).reshape(150, 60)
    static = np.tile(np.repeat([1, 2], 30), (150, 1))
    g2 = pushed(Partition.from_roi_map(roi, static_map=static), speckle(rng, 40, roi.size, 4, 1.0, 20.0)).result()
    value = (g2.value - g2.bias)[:, 5] - 1
    error = value.std() / np.sqrt(150)
    assert abs(value.mean() - 0.25) < 4 * error  # (m - 1) / (4 m + 1) of bins of m would be .016 less
    assert g2.value[:, 5].mean() - 1 < 0.25 - 2 * error
    assert 0.85 < value.std() / np.sqrt((g2.error[:, 5] ** 2).mean()) < 1.2
