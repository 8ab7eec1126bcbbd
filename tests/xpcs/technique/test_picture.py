"""Mean frame, I(q) and I(t), against numpy over the frames themselves."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ainerd.documents import FrameReader, Whole
from ainerd_xpcs.numerics import Partition, TwoTimeReducer, per_bin
from ainerd_xpcs.technique import PartitionSettings, build_partition, draw_exposure
from ainerd_xpcs.technique._picture import (
    DIMS,
    UNITS,
    Field,
    Picture,
    binned,
    binning,
    field_of,
    hot,
    intensities,
    q_of_pixels,
    time_edges,
)

SETTINGS = PartitionSettings(
    shape=(48, 64),
    beam_center_px=(20.0, 30.0),
    distance_m=3.0,
    energy_keV=11.0,
    q_range_inv_nm=(0.005, 0.012),
    n_phi=6,
)
T = 300
NONE = np.empty((0, 2), np.int64)  # missing frames
HOT = 11 * 64 + 50  # flat index of a pixel that counts by itself
LAYOUTS = {"bitshuffle": hdf5plugin.Bitshuffle(cname="lz4"), "plain": {}}


class Exposure:
    """The part of an exposure that uses a picture."""

    def __init__(self, partition, field, n_frames):
        self.pixels, self.n = partition.pixels, n_frames
        self.reducer = TwoTimeReducer(partition, n_frames, size=64)
        self.picture = Picture(field, n_frames)
        self.whole = self.picture.see

    @property
    def every(self):
        return self.picture.every

    def finish(self, bad=()):
        arrays, summary = self.picture.finish(bad)
        edges, partition = time_edges(self.n, self.reducer.partition.n_roi), self.reducer.partition
        counts = per_bin(self.reducer.photons_between(edges), partition)
        return arrays | intensities(counts, partition.n_pixels, 0.01, edges, NONE), summary


@pytest.fixture(scope="module")
def movie():
    """A scattering that falls with q; the beam weakens by a fifth and drifts by two pixels, and one pixel is hot."""
    rng, time = np.random.default_rng(0), np.linspace(0, 1, T)
    rows, columns = np.mgrid[:48, :64] + 0.5
    frames = np.empty((T, 48, 64), np.uint16)
    for t, frame in zip(time, frames, strict=True):
        away = np.hypot(rows - 20.0, columns - 30.0 - 2 * t)
        frame[:] = rng.poisson((1 - 0.2 * t) * 4 / (1 + (away / 10) ** 2))
    frames.reshape(T, -1)[:, HOT] = 900
    return frames


@pytest.fixture(scope="module")
def partition():
    return build_partition(SETTINGS)


@pytest.fixture(params=LAYOUTS)
def exposure(request, tmp_path, movie, partition):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("d", data=movie, chunks=(1, 48, 64), **LAYOUTS[request.param])
    exposure = Exposure(partition, field_of(SETTINGS), T)
    reader = FrameReader(tmp_path / "m.h5", "d", partition.pixels, (48, 64))
    for block in reader.blocks(0, T, whole=Whole(exposure)):
        exposure.reducer.push(block)
    return exposure


def test_the_picture_is_that_of_the_frames(exposure, movie, partition):
    arrays, summary = exposure.finish()
    seen = movie[5::6].astype(float)
    assert summary == {"whole_frames": 50, "mean_frame_binning": 1} and exposure.every == 6
    expected = seen.mean(axis=0).astype(np.float32)
    expected.ravel()[HOT] = np.nan
    np.testing.assert_array_equal(arrays["mean_frame"], expected)

    rows, columns = np.mgrid[:48, :64] + 0.5 - np.array([20.0, 30.0])[:, None, None]
    angle = np.arctan(55e-6 * np.hypot(rows, columns) / 3.0)
    q = 4 * np.pi / (1.23984198 / 11.0) * np.sin(angle / 2)
    i_q = arrays["saxs"]
    for k in (0, i_q.size // 2, i_q.size - 1):  # each pixel belongs to the nearest of the rings, but for their borders
        ring = np.abs(q - arrays["saxs_q"][k]) < 0.3 * (arrays["saxs_q"][1] - arrays["saxs_q"][0])
        assert i_q[k] == pytest.approx(np.nanmean(expected[ring]), abs=5 * np.sqrt(i_q[k] / 50 / ring.sum()) + 0.05)
    labels = np.searchsorted(np.linspace(q.min(), q.max(), i_q.size + 1)[1:-1], q)
    exact = [np.nanmean(expected[labels == k], dtype=float) for k in range(i_q.size)]
    np.testing.assert_allclose(i_q, exact, rtol=2e-2)  # a pixel on a border may go either way
    assert np.median(np.abs(i_q / exact - 1)) < 1e-6

    inside = [movie.reshape(T, -1)[:, partition.roi_map.ravel() == k + 1].mean(axis=1) for k in range(partition.n_roi)]
    np.testing.assert_allclose(arrays["intensity"], inside, rtol=1e-6)
    total = movie.reshape(T, -1)[:, partition.roi_map.ravel() > 0].mean(axis=1)
    np.testing.assert_allclose(arrays["intensity_total"], total, rtol=1e-6)
    np.testing.assert_allclose(arrays["intensity_time"], 0.01 * (np.arange(T) + 0.5))


def test_a_beam_that_weakens_and_drifts_is_seen(exposure, partition):
    arrays, _ = exposure.finish()
    total = arrays["intensity_total"]
    assert total[-30:].mean() / total[:30].mean() == pytest.approx(0.82, abs=0.02)
    right, left = (np.abs((partition.phi - phi + 180) % 360 - 180) < 31 for phi in (0, 180))
    ratio = arrays["intensity"][right].mean(axis=0) / arrays["intensity"][left].mean(axis=0)
    assert ratio[-30:].mean() / ratio[:30].mean() > 1.1  # the beam moved towards one side


def test_arrays_have_dimensions_and_units(exposure):
    arrays, summary = exposure.finish()
    assert {name: len(dims) for name, dims in DIMS.items()} == {name: array.ndim for name, array in arrays.items()}
    assert {*arrays, *summary} <= set(UNITS)


def test_it_is_drawn_as_far_as_it_is_there(exposure):
    arrays, _ = exposure.finish()
    arrays |= {"g2": np.ones((6, 3)), "tau": np.array([0.1, 0.2, 0.4])}
    for missing, labels in (([], 3), (["saxs_q"], 2), (["mean_frame", "intensity_time", "saxs"], 0)):
        figure = Figure(layout="constrained")
        there = {name: array for name, array in arrays.items() if name not in missing}
        draw_exposure(figure, there, duration_s=3.0, names=list("123456"))
        figure.draw_without_rendering()
        titles = [axes.get_title() or axes.get_ylabel() for axes in figure.axes]
        assert len({"mean frame", "$I(q)$", "$I(t)$"} & set(titles)) == labels and "$g_2$" in titles
        lines = [len(axes.lines) for axes in figure.axes if axes.get_ylabel() == "$I(t)$"]
        assert lines == [7] * (labels > 0)  # six bins and all


def test_pixels_found_bad_elsewhere_are_marked_and_left_out(exposure, movie):
    others = [20 * 64 + 40, 31]
    arrays, _ = exposure.finish(bad=others)
    assert np.flatnonzero(np.isnan(arrays["mean_frame"])).tolist() == [31, HOT, others[0]]
    clean, _ = exposure.finish()
    ring = field_of(SETTINGS).ring.ravel()
    changed = np.flatnonzero(clean["saxs"] != arrays["saxs"])
    assert set(changed) == set(ring[others])


@pytest.mark.parametrize("n_frames", [1, 49, 50, 51, 99, 100, 500, 2499, 2500, 2549, 5000, 10**4, 10**6])
def test_at_least_fifty_frames_and_at_most_two_percent(n_frames):
    every = Picture(Field.of((2, 2)), n_frames).every
    n = n_frames // every
    assert n >= min(50, n_frames) and n <= max(n_frames / 50, 99) and n <= 400
    if n_frames >= 2500:
        assert n <= n_frames / 50


@settings(deadline=None, max_examples=30)  # the first one compiles
@given(st.integers(1, 3000))
def test_an_open_ended_run_is_a_mean_over_equal_shares(n_frames):
    picture, stands_for, before = Picture(Field.of((1, 1)), None), np.zeros(n_frames), 0
    for number in range(n_frames):
        if (number + 1) % picture.every == 0:
            stands_for[before : number + 1] = number
            before = number + 1
        picture.see(np.array([[1 + number % 7]], np.uint16), number)
    assert picture.n_whole >= min(50, n_frames) and picture.n_whole <= 50 + 25 * np.log2(max(n_frames / 50, 1)) + 1
    arrays, _ = picture.finish([])
    assert arrays["mean_frame"].item() == pytest.approx(np.mean(1 + stands_for[:before] % 7), rel=1e-6)


def test_values_that_the_detector_marks_are_no_intensity(partition):
    field = field_of(SETTINGS)
    frames = np.random.default_rng(1).poisson(1.0, (60, 48, 64)).astype(np.int32)
    marked = frames.copy()
    marked[:, 10:12, :] = -1  # a gap
    marked[3:, 5, 5] = np.iinfo(np.int32).max  # it saturates
    pictures = []
    for movie in (frames, marked):
        picture = Picture(field, 60)
        for number, frame in enumerate(movie):
            picture.see(frame, number)
        pictures.append(picture.finish([])[0])
    clean, marks = pictures
    assert np.isnan(marks["mean_frame"][10:12]).all() and np.isnan(marks["mean_frame"][5, 5])
    assert np.isnan(marks["mean_frame"]).sum() == 129 and not np.isnan(clean["mean_frame"]).any()
    # other pixels of a ring stand for those that are missing
    np.testing.assert_allclose(marks["saxs"], clean["saxs"], rtol=0.2)


def test_a_large_detector_is_binned_to_its_share():
    assert [binning(shape) for shape in ((128, 192), (516, 1556), (2167, 2070), (4371, 4150))] == [1, 2, 5, 10]
    image = np.arange(35.0).reshape(5, 7)
    image[0, :2] = image[4, 6] = np.nan
    small = binned(image, 2)
    assert small.shape == (3, 4) and small.dtype == np.float32
    assert small[0, 0] == np.mean([7, 8]) and small[1, 1] == np.mean([16, 17, 23, 24]) and np.isnan(small[2, 3])
    for n_roi, n_frames in ((18, 10**6), (144, 5000), (1, 64)):
        shape = (516, 1556)
        q = q_of_pixels(shape, {**INSTRUMENT, "beam_center_row_px": 258, "beam_center_column_px": 778})
        n = len(time_edges(n_frames, n_roi)) - 1
        mean_frame, saxs, intensity = 258 * 778 * 4, Field.of(shape, q).q.size * 12, (n_roi + 1) * n * 4
        assert mean_frame + saxs + intensity + 8 * n + 10 * 150 * 4 < 1e6 and intensity <= 100_000


INSTRUMENT = {"distance_m": 8.0, "energy_keV": 11.0, "pixel_m": 55e-6}


def test_without_geometry_there_is_no_i_of_q():
    assert q_of_pixels((4, 4), INSTRUMENT) is None
    partition = Partition.from_roi_map(np.repeat([[1, 2]], 4, axis=1))
    picture = Picture(Field.of(partition.shape), 100)
    assert picture.every == 2
    for number in range(100):
        picture.see(np.ones(partition.shape, np.uint8), number)
    arrays, _ = picture.finish([])
    assert set(arrays) == {"mean_frame"} and (arrays["mean_frame"] == 1).all()
    assert Picture(Field.of((4, 4)), 100).finish([]) == ({}, {"whole_frames": 0})


def test_missing_frames_do_not_count_in_intensities():
    edges, missing = np.array([0, 40, 80, 100]), np.array([[30, 50]])  # of 40, 40 and 20 frames 30, none and 20 came
    counts = np.array([[30 * 8.0], [0.0], [20 * 8.0]])
    arrays = intensities(counts, [4], 0.5, edges, missing)
    np.testing.assert_array_equal(arrays["intensity"], [[2.0, np.nan, 2.0]])
    np.testing.assert_array_equal(arrays["intensity_total"], [2.0, np.nan, 2.0])
    np.testing.assert_array_equal(arrays["intensity_time"], [10.0, 30.0, 45.0])


def test_speckle_is_not_hot_and_a_hot_pixel_is():
    rng = np.random.default_rng(3)
    for mean in (0.02, 1.0, 50.0):
        speckle = rng.poisson(rng.exponential(mean, (300, 300))).astype(float)  # contrast 1
        bad = np.zeros(speckle.shape, bool)
        assert not hot(speckle, bad.ravel()).any()
        speckle[100, 100] = 30 * mean + 30
        assert np.argwhere(hot(speckle, bad)).tolist() == [[100, 100]]
