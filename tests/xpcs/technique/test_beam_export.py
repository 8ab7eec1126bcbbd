"""The picture of the beam in an exported file, read back by h5py and by the reader of pyXpcsViewer."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from ainerd.results import ResultStore, export
from ainerd.server import open_catalog
from ainerd_files.exports import along_diagonals, resampled
from ainerd_xpcs.numerics import g2_from_two_time
from ainerd_xpcs.technique import Field, Picture, q_of_pixels
from tests.results import conftest
from tests.results.conftest import add_partition, make_analysis, make_record

T, FRAME_TIME_S = 1600, 0.01
DIMS = {
    "mean_frame": ("frame_row", "frame_column"),
    "saxs": ("saxs_q",),
    "saxs_q": ("saxs_q",),
    "intensity": ("roi", "intensity_time"),
    "intensity_total": ("intensity_time",),
    "intensity_time": ("intensity_time",),
}
UNITS = dict.fromkeys(DIMS, "photons/pixel/frame") | {"saxs_q": "1/nm", "intensity_time": "s", "temperature": "degC"}
partition, complaints = conftest.partition, conftest.complaints


@pytest.fixture(scope="module")
def seen(partition):
    """The mean of frames whose intensity halves, the bad pixels, and the arrays and the numbers of their picture."""
    shape = partition.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mean = 3 / (1 + np.hypot(rows + 0.5 - 258, columns + 0.5 - 250) / 50)
    bad = np.zeros(shape, bool)
    bad[254:262] = True
    instrument = {"distance_m": 4.0, "energy_keV": 11.0, "pixel_m": 55e-6}
    q = q_of_pixels(shape, {**instrument, "beam_center_row_px": 258.0, "beam_center_column_px": 250.0})
    fading, rng = np.linspace(1, 0.5, T), np.random.default_rng(0)
    picture = Picture(Field.of(shape, q, bad), T)
    frames = []
    for number in range(picture.every - 1, T, picture.every):
        frames.append(rng.poisson(mean * fading[number]).astype(np.uint16))
        picture.see(frames[-1], number)
    arrays, summary = picture.finish([])
    light = fading.reshape(-1, 2).mean(1)
    arrays |= {"intensity": np.tile(light, (partition.n_roi, 1)), "intensity_total": light}
    arrays["intensity_time"] = FRAME_TIME_S * (2 * np.arange(light.size) + 1)
    return np.mean(frames, axis=0), bad, arrays, summary


@pytest.fixture(scope="module")
def file(server, partition, seen, tmp_path_factory):
    _, ainerd = open_catalog(server.client().create_container("beam"))
    store = ResultStore(ainerd)
    add_partition(store, partition)
    _, _, arrays, summary = seen
    base, summary = make_analysis(novelty_p=None), {**summary, "temperature": 25.1}
    arrays = {**base.arrays, "g2_err": base.arrays["g2"] / 10, **arrays}
    dims = {**base.dims, "g2_err": ("azimuth", "tau"), **DIMS}
    analysis = replace(base, arrays=arrays, dims=dims, summary=summary, units=UNITS)
    key = store.begin(make_record(scan_id=3, run_time=1.7e9))
    store.complete(key, analysis, n_frames=T, frame_time_s=FRAME_TIME_S)
    return export(store, key, tmp_path_factory.mktemp("beam") / "scan_3.nxs")


@pytest.fixture(scope="module")
def opened(file):
    from pyxpcsviewer.core.xpcs_file import XpcsFile

    return XpcsFile(str(file))


def test_nexus_names_hold_the_picture(file, seen):
    mean, bad, arrays, _ = seen
    with h5py.File(file) as opened_file:
        temperature = opened_file["entry/sample/temperature"]
        assert temperature[()] == 25.1 and temperature.attrs["units"] == "degC"
        image = opened_file["entry/data/frame_average"]
        assert image.shape == bad.shape and image.attrs["units"] == ""  # NX_COUNT
        assert image[300, 100] == pytest.approx(mean[300:302, 100:102].mean(), rel=1e-5)
        assert np.isnan(image[254:262]).all() and not np.isnan(image[:254]).any()
        saxs = opened_file["entry/saxs"]
        assert saxs.attrs["signal"] == "I" and saxs["Q"].attrs["units"] == "1/nm"
        np.testing.assert_array_equal(saxs["I"], arrays["saxs"])
        intensity = opened_file["entry/intensity"]
        np.testing.assert_array_equal(intensity[intensity.attrs["signal"]], arrays["intensity_total"])
        assert intensity["bins"].shape == (18, intensity["time"].size)
        assert {"mean_frame", "latent"} <= set(opened_file["entry/provenance/arrays"])
        assert not {"saxs", "intensity"} & set(opened_file["entry/provenance/arrays"])
        assert opened_file["entry/provenance/summary/whole_frames"][()] == 50


def test_the_picture_is_valid(file, complaints):
    ours, its_own = complaints(file)
    assert ours == [] and len(its_own) == 3


def test_the_viewer_shows_the_mean_frame(opened, seen):
    mean, bad, _, _ = seen
    image = opened.saxs_2d
    assert image.shape == mean.shape
    good = ~bad & ~np.isnan(image)
    assert abs(image[good] / mean[good] - 1).mean() < 0.25 and image[good].mean() == pytest.approx(mean[good].mean())
    assert np.isfinite(opened.saxs_2d_log).all()
    assert "I=" in opened.get_info_at_position(100, 300)


def test_the_viewer_shows_i_of_q(opened, seen):
    mean, bad, arrays, _ = seen
    q, i_q, _, _ = opened.get_saxs1d_data()
    assert q.size == i_q.shape[1] == arrays["saxs_q"].size and q.size > 100
    own = 10 * opened.qmap.qmap["q"]  # per pixel, by the viewer's geometry
    for k in (10, q.size // 2, q.size - 10):
        ring = (opened.sqmap == k + 1) & ~bad
        assert np.abs(own[ring] - 10 * q[k]).max() < 2 * (q[1] - q[0]) * 10
        assert i_q[0, k] == pytest.approx(mean[ring].mean(), rel=0.02)


def test_the_viewer_shows_the_intensity_in_its_time(opened):
    frame, intensity = opened.Int_t
    seconds = np.arange(intensity.size) * opened.t0  # as its tab does
    np.testing.assert_allclose(seconds, frame * FRAME_TIME_S)
    np.testing.assert_allclose(intensity, 1 - 0.5 * (seconds + opened.t0 / 2) / (T * FRAME_TIME_S), rtol=1e-3)
    assert np.isfinite(opened.Int_t_fft).all()


def test_a_gap_takes_no_other_numbers_of_the_file_away():
    """Rows of a map, and intervals of I(t), in which all frames are missing are NaN."""
    values, centres = np.array([1.0, 1.0, np.nan, 1.0, 3.0]), 5.0 + 10 * np.arange(5)
    np.testing.assert_allclose(resampled(values, centres, 10), [1, 1, 1, 1, np.nan, np.nan, 1, 1, 3, 3])
    np.testing.assert_allclose(resampled(values, centres, 2), [1.0, 2.0])
    maps = 1 + np.random.default_rng(0).random((2, 9, 9)).astype(np.float32)
    maps[:, 4] = maps[:, :, 4] = np.nan
    np.testing.assert_allclose(along_diagonals(maps)[:, 1:], g2_from_two_time(maps))
    np.testing.assert_allclose(along_diagonals(maps)[:, 0], np.nanmean(np.diagonal(maps, 0, 1, 2), axis=1), rtol=1e-6)
