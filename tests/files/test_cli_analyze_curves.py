"""`ainerd analyze` of g2 that others wrote.

The files are written here as published for each layout. NXxpcs: ``NXxpcs.nxdl.xml`` of the NeXus definitions. pychx
4.4: ``Create_Report.py``, ``export_xpcs_results_to_h5`` (``md`` and ``qval_dict`` are attributes of a dataset).
"""

import re

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_files import FittedCurves, read_curves
from tests.files.map_files import bins_of_boost_corr, curves_of_boost_corr

LAGS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
FRAME_S, TAU_S, Q = 0.02, np.array([0.6, 0.3, 0.15]), np.array([0.02, 0.04, 0.06])
G2 = 1 + 0.2 * np.exp(-2 * FRAME_S * LAGS / TAU_S[:, None])  # (bins, lags)
ERROR = np.full_like(G2, 1e-3)
MAP = np.repeat([0, 1, 2, 3], 30).reshape(12, 10)


def nexus(file, mode=None, keys=False):
    data = file.create_group("entry/data")
    file["entry/definition"] = "NXxpcs"
    data["delay_difference"] = LAGS
    for name, values in (("g2", G2), ("g2_derr", ERROR)):
        if keys:
            for k, row in enumerate(values, start=1):
                data[f"{name}/{k}"] = row
        else:
            data[name] = values if mode == "one_array_q_first" else values.T
            data[name].attrs["storage_mode"] = mode
    file["entry/instrument/detector/frame_time"] = FRAME_S
    masks = file.create_group("entry/instrument/masks")
    masks["dynamic_roi_map"], masks["dynamic_q_list"] = MAP, Q
    masks["dynamic_q_list"].attrs["units"] = "1/nm"


def pychx(file):
    shot = np.full((1, 3), 5.0)  # lag 0
    file["g2"], file["g2_err"] = np.concatenate([shot, G2.T]), np.concatenate([shot, ERROR.T])
    file["taus"] = FRAME_S * np.append(0, LAGS)
    file["roi_mask"], file["avg_img"], file["imgsum"] = MAP, 0.5 * MAP, np.ones(70)
    of_q = file.create_dataset("qval_dict", (1,), dtype="i")
    for k, q in enumerate(Q):
        of_q.attrs[str(k)] = [q / 10]


def gel(file):
    """Write two modes, the slow one beyond the lags, in 27 rings, of which few have photons for more than noise."""
    lags = np.r_[np.arange(1, 9), (np.arange(5, 9) * 2 ** np.arange(1, 14)[:, None]).ravel()]
    q, rng = np.geomspace(0.03, 0.3, 27), np.random.default_rng(0)
    share, tau = np.linspace(0.25, 0.7, 27)[:, None], 60 / (q / 0.03)[:, None]
    g1 = share * np.exp(-((lags / tau) ** 0.7)) + (1 - share) * np.exp(-((lags / 5e6) ** 0.5))
    error = 1e-2 * (q / 0.03)[:, None] ** 2 / np.sqrt(np.maximum(lags / 8, 1))
    g2 = 1 + 0.135 * g1**2 + rng.normal(size=g1.shape) * error
    curves_of_boost_corr(file, lags, g2, error * np.ones_like(g2), 2e-5)
    bins_of_boost_corr(file, np.repeat(np.arange(28), 10).reshape(28, 10), q)


def boost_corr(file):
    curves_of_boost_corr(file, LAGS, G2, ERROR, FRAME_S, averaged=2)
    bins_of_boost_corr(file, MAP, Q)


LAYOUTS = {
    "NXxpcs, lags first": lambda file: nexus(file, "one_array"),
    "NXxpcs, bins first": lambda file: nexus(file, "one_array_q_first"),
    "NXxpcs, a key for each bin": lambda file: nexus(file, keys=True),
    "boost_corr": boost_corr,
    "pychx": pychx,
    "gel": gel,
}


@pytest.fixture
def written(tmp_path, own_folder):
    def write(layout):
        with h5py.File("result.hdf", "w") as file:
            LAYOUTS[layout](file)
        return tmp_path / "result.hdf"

    return write


@pytest.fixture
def gel_file(written):
    return written("gel")


def run(*arguments):
    done = CliRunner().invoke(app, ["analyze", *map(str, arguments)])
    return done, " ".join(f"{done.output} {done.exception or ''}".split())


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "gel"])
def test_every_layout_gives_the_same_curves(layout, written):
    curves = read_curves(written(layout))
    np.testing.assert_allclose(curves.tau_s, FRAME_S * LAGS)
    np.testing.assert_allclose(curves.g2, G2)
    np.testing.assert_allclose(curves.error, ERROR)
    np.testing.assert_allclose(curves.q, Q)
    np.testing.assert_array_equal(curves.partition.roi_map, MAP)
    np.testing.assert_array_equal(curves.n_pixels, 30)


def test_numbers_for_poisson_errors_come_along(written):
    path = written("boost_corr")
    with h5py.File(path, "r+") as file:
        file["xpcs/temporal_mean/scattering_2d"] = np.where(MAP == 2, np.nan, 0.01 * MAP)[None]
        file["xpcs/spatial_mean/intensity_vs_time"] = np.ones((2, 1000))
        file["xpcs/average/file_list"] = [b"a", b"b", b"c"]
    curves = read_curves(path)
    # frames are averaged in pairs, and the image is that of a single frame
    np.testing.assert_allclose(curves.mean_counts, [0.02, np.nan, 0.06])
    assert (curves.n_frames, curves.n_files, curves.frame_time_s) == (1000, 3, pytest.approx(FRAME_S))
    of_pychx = read_curves(written("pychx"))
    assert of_pychx.n_frames == 70 and of_pychx.mean_counts.tolist() == [0.5, 1.0, 1.5]


def test_the_command_fits_them(written, tmp_path):
    done, printed = run(written("NXxpcs, lags first"))
    assert done.exit_code == 0, printed
    assert "12 lags, 0.02 to 1.28 s" in printed and "no fit" not in printed
    with h5py.File(tmp_path / "result_g2.h5") as results:
        np.testing.assert_allclose(results["bins/tau_s"], TAU_S, rtol=1e-3)
        np.testing.assert_allclose(results["g2"], G2)
        assert results["entry/instrument/masks/dynamic_roi_map"].shape == MAP.shape
    assert (tmp_path / "result_g2.png").stat().st_size > 10_000


def test_curves_of_one_q_have_no_exponent_and_the_reason(written, tmp_path):
    path = written("NXxpcs, lags first")
    with h5py.File(path, "r+") as file:
        file["entry/instrument/masks/dynamic_q_list"][:] = 0.04
    reason = "all relaxation times are at one q"
    assert f"no exponent of tau over q is given: {reason}" in run(path)[1]
    with h5py.File(tmp_path / "result_g2.h5") as results:
        assert results.attrs["no_q_exponent"] == reason and "q_exponent" not in results.attrs
    figure = Figure()
    FittedCurves.of(read_curves(path)).draw_over_q(figure)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert f"no exponent: {reason}" in [label.replace("\n", " ") for label in labels]


def test_a_bin_without_a_good_pixel_takes_its_curve_away(written):
    path = written("boost_corr")
    with h5py.File(path, "r+") as file:
        file["xpcs/qmap/mask"][6:9] = 0  # all of the second bin
        file["xpcs/multitau/normalized_g2"][:, 1] = 0  # as boost_corr leaves it
    curves = read_curves(path)
    np.testing.assert_allclose(curves.g2, G2[[0, 2]])
    np.testing.assert_allclose(curves.error, ERROR[[0, 2]])
    np.testing.assert_allclose(curves.q, Q[[0, 2]])
    assert curves.partition.n_roi == 2 and curves.n_pixels.tolist() == [30, 30] and curves.mean_counts.size == 2


@pytest.mark.parametrize(
    ("layout", "name", "value", "message"),
    [
        ("boost_corr", "entry/instrument/detector_1/frame_time", None, "frame_time is not there: give --frame-time"),
        ("boost_corr", "entry/instrument/detector_1/frame_time", 0.0, "frame_time is 0, expected a positive"),
        ("boost_corr", "xpcs/multitau/normalized_g2", G2, "has shape (3, 12), expected (12 lags, bins)"),
        ("boost_corr", "xpcs/multitau/delay_list", None, "/xpcs/multitau/delay_list is not there"),
        ("boost_corr", "xpcs/multitau/delay_list", 0 * LAGS, "are not positive numbers"),
        ("boost_corr", "xpcs/multitau/normalized_g2_err", -0.1 * G2.T, "normalized_g2_err holds negative errors"),
        ("NXxpcs, lags first", "entry/data/delay_difference", b"12", "delay_difference holds no numbers"),
    ],
)
def test_contents_that_do_not_fit_are_named(layout, name, value, message, written):
    path = written(layout)
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    done, printed = run(path)
    assert done.exit_code != 0 and message in printed and isinstance(done.exception, ValueError)


def test_the_time_of_a_frame_may_be_given(written):
    np.testing.assert_allclose(read_curves(written("NXxpcs, lags first"), frame_time_s=0.5).tau_s, 0.5 * LAGS)


def test_a_file_without_g2_wants_bins(tmp_path):
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["entry/data/data"] = np.zeros((3, 4, 5))
    done, printed = run(tmp_path / "frames.h5")
    assert done.exit_code != 0 and "holds no g2 in a known layout (entry/data/g2" in printed
    assert "only entry. For a file of frames give the bins, --roi" in printed


def test_the_viewer_of_aps_reads_the_same(written):
    from pyxpcsviewer.core.file_io.hdf_reader import get, get_analysis_type

    path = written("boost_corr")
    names = ["tau", "t0", "g2", "g2_err", "stride_frame", "avg_frame", "dqmap", "dqlist"]
    theirs, ours = get(str(path), names, "alias"), read_curves(path)
    assert get_analysis_type(str(path)) == ("Multitau",)
    row_s = theirs["t0"] * theirs["stride_frame"] * theirs["avg_frame"]
    np.testing.assert_allclose(np.ravel(theirs["tau"]) * row_s, ours.tau_s)
    np.testing.assert_array_equal(theirs["g2"].T, ours.g2)
    np.testing.assert_array_equal(theirs["g2_err"].T, ours.error)
    np.testing.assert_array_equal(theirs["dqmap"], ours.partition.roi_map)
    np.testing.assert_allclose(10 * np.ravel(theirs["dqlist"]), ours.q)


def test_a_file_of_many_rings_begins_with_those_that_carry_something(gel_file):
    done = CliRunner().invoke(app, ["analyze", str(gel_file)], env={"COLUMNS": "160"})
    rows = [line for line in done.output.splitlines() if re.match(r" +\d+ +0\.\d", line)]
    assert len(rows) == 27 and "half (s)" in done.output
    assert "with the same contrast" in done.output and ", two stretched: contrast" in done.output
    fitted = FittedCurves.of(read_curves(gel_file))
    with_tau = np.isfinite(fitted.fit.tau)[fitted.order].tolist()
    assert 3 <= sum(with_tau) < 20 and with_tau == sorted(with_tau, reverse=True)
    assert [int(row.split()[0]) for row in rows] == fitted.curves.numbers[fitted.order].tolist()
    figure = Figure()
    fitted.draw(figure)
    assert len(figure.axes) == 4 and len(fitted.chosen()) == 4
    for axes in figure.axes:  # noise at the shortest lags is ten times as large
        low, high = axes.get_ylim()
        assert high - low < 0.6 and len(axes.get_legend().get_texts()) == 2
    assert np.isfinite(fitted.fit.share[list(fitted.chosen())]).all()


def test_contrast_and_shared_parameters_are_options(gel_file):
    assert "contrast 0.135, exponent" in run(gel_file, "--contrast", 0.135, "--share", "exponent")[1]
    assert "with the same" not in run(gel_file, "--share", "none", "--force")[1]
    given = run(gel_file, "--share", "none", "--contrast", 0.135, "--force")[1]
    assert "with the same contrast" in given and "exponent" in given
    assert "exponent" not in given.split("with the same")[1]
    assert "'tau' cannot be shared" in run(gel_file, "--share", "contrast,tau", "--force")[1]
    assert "--dataset is for frames in HDF5, with --roi" in run(gel_file, "--dataset", "exchange", "--force")[1]
    assert "--share is for a file with g2" in run(gel_file, "--share", "contrast", "--roi", gel_file, "--force")[1]


def test_what_the_commands_write_they_read(gel_file, tmp_path):
    for name in ("a.hdf", "b.hdf"):
        (tmp_path / name).write_bytes(gel_file.read_bytes())
    for command in (["analyze", "result.hdf", "--out", "one.h5"], ["average", "a.hdf", "b.hdf", "--out", "mean.h5"]):
        assert CliRunner().invoke(app, command).exit_code == 0
    once, mean, given = (read_curves(name) for name in ("one.h5", "mean.h5", "result.hdf"))
    for name in ("tau_s", "g2", "error", "q", "numbers", "n_pixels", "frame_time_s"):
        np.testing.assert_allclose(getattr(once, name), getattr(given, name))
    assert mean.n_files == 2 and np.allclose(mean.g2, given.g2)
    assert CliRunner().invoke(app, ["average", "one.h5", "mean.h5", "--out", "all.h5"]).exit_code == 0
