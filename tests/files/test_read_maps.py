"""Two-time maps of other programs, against the same maps reduced here by plain sums."""

import runpy
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_files import MapFile
from ainerd_xpcs.numerics import Partition
from tests.files import map_files
from tests.files.map_files import DEAD, FRAME_S, MAP, PROCESSED, Q, T, write

SIZE = 16


@pytest.fixture(scope="module")
def maps():
    return map_files.correlations(map_files.movie())


@pytest.fixture(scope="module")
def expected(maps):
    """Means over blocks of 8 × 8 frames, without the dead frame, with neighbours in place of the diagonal."""
    out = np.empty((4, SIZE, SIZE))
    for c2, reduced in zip(maps.copy(), out, strict=True):
        c2[DEAD] = c2[:, DEAD] = np.nan
        beside = np.array([np.append(np.nan, c2.diagonal(1)), np.append(c2.diagonal(1), np.nan)])
        for t in range(T):
            c2[t, t] = np.nan if np.isnan(beside[:, t]).all() else np.nanmean(beside[:, t])
        for i, j in product(range(SIZE), range(SIZE)):
            reduced[i, j] = np.nanmean(c2[8 * i : 8 * i + 8, 8 * j : 8 * j + 8])
    return out


def read(path, **options):
    with MapFile(path, **options) as file:
        maps = np.array(list(file.maps(SIZE)))
    assert file.n_rows == T
    return file, maps


OF_NEXUS = [  # mode, half, origin, baseline
    ("one_array_q_first", "all", "upper_left", 1),
    ("one_array_q_last", "upper_half", "upper_left", 1),
    ("data_exchange_keys", "lower_half", "lower_left", 1),
    ("one_array_q_last", "upper_half", "upper_left", 0),
]
CASES = {
    "boost_corr": (map_files.boost_corr, {}, PROCESSED),
    "boost_corr, c2_half": (map_files.boost_corr, {"prefix": "xpcs/twotime/c2_half"}, PROCESSED),
} | {
    str(case): (map_files.nexus, dict(zip(("mode", "half", "origin", "baseline"), case, strict=True)), [1, 2, 3, 4])
    for case in OF_NEXUS
}


@pytest.mark.parametrize("case", CASES)
def test_every_layout_gives_the_same_maps(case, maps, expected, tmp_path):
    layout, options, labels = CASES[case]
    if options.get("baseline") == 0:
        maps = maps.copy()
        maps[:, DEAD] = maps[:, :, DEAD] = np.nan
    file, c2 = read(write(tmp_path / "result.hdf", layout, maps, **options))
    bins = np.array(labels) - 1
    np.testing.assert_allclose(c2, expected[bins], rtol=2e-5)
    assert file.row_s == pytest.approx(FRAME_S)
    np.testing.assert_array_equal(file.partition.roi_map > 0, np.isin(MAP, labels))
    np.testing.assert_allclose(file.partition.q, Q[bins])
    assert file.partition.numbers.tolist() == labels
    assert file.no_partition == ""


def test_a_npy_of_pychx_has_no_bins_unless_they_are_given(maps, expected, tmp_path):
    path = tmp_path / "uid=ab12_g12b.npy"
    np.save(path, np.moveaxis(maps, 0, -1))
    with pytest.raises(ValueError, match="does not say how long a row of its maps is: give --frame-time"):
        read(path)
    file, c2 = read(path, frame_time_s=0.1)
    np.testing.assert_allclose(c2, expected, rtol=2e-5)
    assert file.no_partition == "a .npy holds no bins"
    assert file.partition.n_roi == 4 and np.isnan(file.partition.q).all()
    bins = Partition.from_roi_map(MAP, q=Q)
    assert read(path, frame_time_s=0.1, bins=bins)[0].partition is bins
    with pytest.raises(ValueError, match="has 4 maps, the bins are 2"):
        read(path, frame_time_s=0.1, bins=bins.only([1, 2]))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a .npy file of numbers"):
        read(path, frame_time_s=0.1)


def test_maps_of_the_right_size_are_kept_as_they_are(tmp_path, maps):
    path = tmp_path / "maps.npy"
    np.save(path, maps[:, :SIZE, :SIZE])
    with pytest.raises(ValueError, match="map 1 has 16 rows, at least 64 are needed"):
        read(path, frame_time_s=1.0)
    with MapFile(write(tmp_path / "result.h5", map_files.nexus, maps)) as file:
        c2 = next(file.maps(T))
    off = ~np.eye(T, dtype=bool)
    off[DEAD] = off[:, DEAD] = False
    np.testing.assert_allclose(c2[off], maps[0][off], rtol=1e-6)
    assert np.isnan(c2[DEAD]).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("xpcs/twotime/correlation_map", None, "holds no two-time map in a known layout .*entry, xpcs"),
        ("entry/instrument", None, "give --frame-time"),
        ("xpcs/twotime/correlation_map/c2_00002", np.ones((70, 80)), r"map 2 has shape \(70, 80\)"),
        ("xpcs/twotime/processed_bins", [7, 8, 9], r"bins \[7, 8, 9\], which have no pixel"),
        ("xpcs/twotime/processed_bins", [1, 3, 3], "each must have a number of its own, from 1"),
    ],
)
def test_contents_that_do_not_fit_are_named(name, value, message, maps, tmp_path):
    path = write(tmp_path / "result.hdf", map_files.boost_corr, maps)
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(caught.value).count(str(path)) == 1


def test_maps_that_unpack_to_gigabytes_are_refused(tmp_path):
    with h5py.File(tmp_path / "g12b.h5", "w") as file:
        file.create_dataset("g12b", (60_000, 60_000, 4), "f4", chunks=(1000, 1000, 1), compression="gzip")
    with pytest.raises(ValueError, match=r"g12b.h5: /g12b unpacks to 14.4 GB"):
        read(tmp_path / "g12b.h5", frame_time_s=FRAME_S, bins=Partition.from_roi_map(MAP))


LOW = np.tri(T, k=-1, dtype=bool)
# Arrays that programs store in place of C2 with time from the upper left corner. Each gives the same maps.
STORED = {
    "upper half, 0 elsewhere": lambda c2: np.where(LOW, 0, c2),
    "lower half, -1 elsewhere": lambda c2: np.where(LOW.T, -1, c2),
    "half without the diagonal": lambda c2: np.where(LOW | np.eye(T, dtype=bool), np.nan, c2),
    "C2 - 1": lambda c2: np.where(c2 == 0, 0, c2 - 1),
    "rows run down, half": lambda c2: np.where(LOW, 1, c2)[:, ::-1],
    "float16": lambda c2: c2.astype(np.float16),
}


def plain(path, maps, **attributes):
    with h5py.File(path, "w") as file:
        field = file.create_dataset("entry/twotime/two_time_corr_func", data=maps)
        field.attrs.update(attributes)
        file["entry/instrument/detector/frame_time"] = 1000 * FRAME_S
        file["entry/instrument/detector/frame_time"].attrs["units"] = "ms"
    return path


@pytest.mark.parametrize("name", STORED)
def test_the_kind_of_a_map_is_seen_in_it(name, maps, expected, tmp_path):
    file, c2 = read(plain(tmp_path / "maps.nxs", STORED[name](maps), time_origin_location="lower_left"))
    np.testing.assert_allclose(c2, expected, rtol=2e-3 if name == "float16" else 2e-5)
    assert file.row_s == pytest.approx(FRAME_S)


def test_the_axis_of_the_bins_is_the_one_that_fits(maps, expected, tmp_path):
    last = np.moveaxis(maps, 0, -1)
    for stored, mode in ((last, ""), (last, "one_array_q_first"), (maps, "one_array_q_last")):
        _, c2 = read(plain(tmp_path / "maps.nxs", stored, storage_mode=mode))
        np.testing.assert_allclose(c2, expected, rtol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c2: 2.25 * c2, "map 1 is .* at short lags and .* at long ones: C2 of normalised intensities is 1 to 2"),
        (lambda c2: 0.5 * c2, "map 1 is .* at short lags"),
        (lambda c2: np.roll(c2, 20, axis=2), "map 1 is not symmetric, and no half of it is empty"),
        (lambda c2: np.where(np.arange(T) == T - 1, np.nan, c2), "map 1 is not symmetric"),
    ],
)
def test_an_array_that_is_no_map_of_c2_is_refused(change, message, maps, tmp_path):
    with pytest.raises(ValueError, match=f"maps.nxs: {message}"):
        read(plain(tmp_path / "maps.nxs", change(maps)))


def test_bins_that_count_from_0_are_the_bins_from_1(maps, expected, tmp_path):
    path = write(tmp_path / "result.hdf", map_files.boost_corr, maps)
    with h5py.File(path, "r+") as file:
        file["xpcs/twotime/processed_bins"][...] = np.array(PROCESSED) - 1
    file, c2 = read(path)
    np.testing.assert_allclose(c2, expected[np.array(PROCESSED) - 1], rtol=2e-5)
    np.testing.assert_allclose(file.partition.q, Q[np.array(PROCESSED) - 1])


def test_the_script_for_xpcs_correlator_writes_maps_that_are_read(tmp_path, own_folder, monkeypatch, maps, expected):
    frames = np.zeros((T, *MAP.shape), np.uint16)
    frames[:, MAP > 0] = map_files.movie()
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["entry_0000/measurement/data"] = frames
    np.savez(tmp_path / "bins.npz", labels=MAP, q=Q)

    def correlate(data, masks, *, ttcf_format, t1_t2_binning, extra_options):
        """The program's formula and form: the upper half of (bins, T, T), masks (bins, rows, columns)."""
        assert (ttcf_format, t1_t2_binning) == ("t1,t2", None) and extra_options["dask_cluster_type"] == "slurm"
        np.testing.assert_array_equal(data[()], frames)
        np.testing.assert_array_equal(masks, MAP == np.arange(1, 5)[:, None, None])
        return SimpleNamespace(ttcf=np.where(np.triu(np.ones((T, T), bool)), maps, np.nan))

    monkeypatch.setitem(sys.modules, "xpcscorr", SimpleNamespace(correlator_dense_chunked=correlate))
    script = Path(__file__).parents[2] / "docs" / "how-to" / "files" / "facilities" / "esrf.py"
    arguments = ["run.h5", "entry_0000/measurement/data", "bins.npz", "out.h5"]
    runpy.run_path(str(script))["main"](*arguments, str(FRAME_S))
    file, reduced = read(tmp_path / "out.h5")
    np.testing.assert_allclose(reduced, expected, rtol=1e-5)
    np.testing.assert_allclose(file.partition.q, Q)
    np.testing.assert_array_equal(file.partition.roi_map, MAP)
    assert file.row_s == pytest.approx(FRAME_S) and not (tmp_path / "out.h5.part").exists()


def test_analyze_shows_maps_and_g2_of_one_file(maps, own_folder):
    path = write("run.hdf", map_files.boost_corr, maps)
    done = CliRunner().invoke(app, ["analyze", str(path)])
    printed = " ".join(done.output.split())
    assert done.exit_code == 0 and "APS, boost_corr: 128 rows of 0.02 s" in printed, done.output
    assert "no p-value: the stored maps have 128 rows" in printed
    with h5py.File("run_maps.h5") as results:
        assert results["c2"].shape == (3, 256, 256) and results["latent"].shape == (3, 64)
        assert results.attrs["layout"] == "APS, boost_corr" and results.attrs["no_claim"]
    assert Path("run_maps.png").stat().st_size > 10_000 and not Path("run_g2.h5").exists()
    with h5py.File(path, "r+") as file:
        lags = np.arange(1, 40)
        file["xpcs/multitau/delay_list"], file["xpcs/multitau/normalized_g2"] = lags, np.ones((39, 4))
    done = CliRunner().invoke(app, ["analyze", str(path), "--force"])
    assert done.exit_code == 0 and "39 lags" in done.output and Path("run_g2.h5").exists(), done.output
