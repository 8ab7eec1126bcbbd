"""Mean frame and I(q), against numpy over the frames themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ainerd_xpcs.technique import Field, Picture, draw_exposure, q_of_pixels

SHAPE, T = (48, 64), 300
INSTRUMENT = {"distance_m": 3.0, "energy_keV": 11.0, "pixel_m": 55e-6}
FIELD = Field.of(SHAPE, q_of_pixels(SHAPE, INSTRUMENT | {"beam_center_row_px": 20.0, "beam_center_column_px": 30.0}))
HOT = 11 * 64 + 50  # flat index of a pixel that counts by itself


def picture_of(frames, field=FIELD, bad=()):
    picture = Picture(field, len(frames))
    for number, frame in enumerate(frames):
        picture.see(frame, number)
    return picture.finish(bad)


@pytest.fixture(scope="module")
def movie():
    """A scattering that falls with q, and one hot pixel."""
    away = np.hypot(*(np.mgrid[:48, :64] + 0.5 - np.array([20.0, 30.0])[:, None, None]))
    frames = np.random.default_rng(0).poisson(4 / (1 + (away / 10) ** 2), (T, *SHAPE)).astype(np.uint16)
    frames.reshape(T, -1)[:, HOT] = 900
    return frames


def test_the_picture_is_that_of_the_frames(movie):
    arrays, summary = picture_of(movie)
    assert summary == {"whole_frames": 50, "mean_frame_binning": 1}
    expected = movie[5::6].astype(float).mean(axis=0).astype(np.float32)
    expected.ravel()[HOT] = np.nan
    np.testing.assert_array_equal(arrays["mean_frame"], expected)

    rows, columns = np.mgrid[:48, :64] + 0.5 - np.array([20.0, 30.0])[:, None, None]
    q = 4 * np.pi / (1.23984198 / 11.0) * np.sin(np.arctan(55e-6 * np.hypot(rows, columns) / 3.0) / 2)
    i_q = arrays["saxs"]
    labels = np.searchsorted(np.linspace(q.min(), q.max(), i_q.size + 1)[1:-1], q)
    exact = [np.nanmean(expected[labels == k], dtype=float) for k in range(i_q.size)]
    np.testing.assert_allclose(i_q, exact, rtol=2e-2)  # a pixel on a border may go either way
    assert np.median(np.abs(i_q / exact - 1)) < 1e-6
    np.testing.assert_allclose(arrays["saxs_q"], [q[labels == k].mean() for k in range(i_q.size)], rtol=1e-2)


def test_it_is_drawn_as_far_as_it_is_there():
    lag, times = np.geomspace(0.1, 1, 5), np.arange(20.0)
    arrays = {"g2": np.ones((6, 5)), "tau": lag, "mean_frame": np.ones(SHAPE), "saxs": lag, "saxs_q": lag}
    arrays |= {"intensity": np.ones((6, 20)), "intensity_total": np.ones(20), "intensity_time": times}
    for missing, labels in (([], 3), (["saxs_q"], 2), (["mean_frame", "intensity_time", "saxs"], 0)):
        figure = Figure(layout="constrained")
        there = {name: array for name, array in arrays.items() if name not in missing}
        draw_exposure(figure, there, duration_s=3.0, names=list("123456"))
        titles = [axes.get_title() or axes.get_ylabel() for axes in figure.axes]
        assert len({"mean frame", "$I(q)$", "$I(t)$"} & set(titles)) == labels and "$g_2$" in titles


def test_pixels_found_bad_elsewhere_are_marked_and_left_out(movie):
    others = [20 * 64 + 40, 31]
    (clean, _), (arrays, _) = picture_of(movie), picture_of(movie, bad=others)
    assert np.flatnonzero(np.isnan(arrays["mean_frame"])).tolist() == [31, HOT, others[0]]
    assert set(np.flatnonzero(clean["saxs"] != arrays["saxs"])) == set(FIELD.ring.ravel()[others])


@pytest.mark.parametrize("n_frames", [1, 49, 51, 500, 2549, 10**6])
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


def test_values_that_the_detector_marks_are_no_intensity():
    frames = np.random.default_rng(1).poisson(1.0, (60, *SHAPE)).astype(np.int32)
    marked = frames.copy()
    marked[:, 10:12, :] = -1  # a gap
    marked[3:, 5, 5] = np.iinfo(np.int32).max  # it saturates
    (clean, _), (marks, _) = picture_of(frames), picture_of(marked)
    assert np.isnan(marks["mean_frame"][10:12]).all() and np.isnan(marks["mean_frame"][5, 5])
    assert np.isnan(marks["mean_frame"]).sum() == 129 and not np.isnan(clean["mean_frame"]).any()
    np.testing.assert_allclose(marks["saxs"], clean["saxs"], rtol=0.2)  # other pixels of a ring stand for them


def test_a_large_detector_is_binned_to_its_share():
    image = np.random.default_rng(2).poisson(3.0, (516, 1556)).astype(np.uint16)
    arrays, summary = picture_of(image[None], Field.of(image.shape), bad=[0])
    small = arrays["mean_frame"]
    assert summary["mean_frame_binning"] == 2 and small.shape == (258, 778) and small.nbytes < 1e6
    assert small[5, 7] == image[10:12, 14:16].mean() and small[0, 0] == pytest.approx(image[:2, :2].ravel()[1:].mean())


def test_without_geometry_there_is_no_i_of_q():
    assert q_of_pixels((4, 4), INSTRUMENT) is None
    arrays, _ = picture_of(np.ones((100, 4, 4), np.uint8), Field.of((4, 4)))
    assert set(arrays) == {"mean_frame"} and (arrays["mean_frame"] == 1).all()
    assert Picture(Field.of((4, 4)), 100).finish([]) == ({}, {"whole_frames": 0})
