"""Results as NeXus files, tables and xarray datasets."""

from dataclasses import replace

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr

from ainerd.results import ConfigurationRecord, export
from ainerd_files import MapFile, read_curves
from ainerd_xpcs.numerics import Partition, g2_from_two_time
from tests.results.conftest import make_analysis


@pytest.fixture(scope="module")
def file(night, tmp_path_factory):
    _, store, keys = night
    return export(store, keys[2], tmp_path_factory.mktemp("export") / "scan_2.nxs")


def test_nexus_names_hold_the_numbers(file, night):
    _, store, keys = night
    with h5py.File(file) as opened:
        entry = opened["entry"]
        np.testing.assert_array_equal(entry["twotime/two_time_corr_func"], store.array(keys[2], "c2"))
        np.testing.assert_array_equal(entry["data/g2"], store.array(keys[2], "g2").T)
        np.testing.assert_array_equal(entry["data/delay_difference"], np.arange(1, 41))
        np.testing.assert_allclose(entry["twotime/t1"], np.arange(16))  # 1600 frames of 10 ms in 16 rows
        assert entry["entry_identifier"][()] == b"2" and entry["definition"][()] == b"NXxpcs"
        assert entry["start_time"][()] == b"2026-11-19T18:10:00+00:00" and entry["end_time"][()].startswith(b"2026")
        assert entry["sample/sample_x/value"][()] == 2.5 and entry["sample/sample_x/value"].attrs["units"] == "mm"
        assert entry["sample/stress/value"][0] == 23.0
        assert entry["provenance/regime"][()] == 0 and entry["provenance/key"][()].decode() == keys[2]
        from_map = entry["twotime/g2_from_two_time_corr_func"][:, 1:]
    np.testing.assert_allclose(from_map, g2_from_two_time(store.array(keys[2], "c2")), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # a result has no intensities
def test_the_viewer_opens_it(file, night, partition):
    from pyxpcsviewer.core.xpcs_file import XpcsFile

    _, store, keys = night
    opened, c2 = XpcsFile(str(file)), store.array(keys[2], "c2")
    assert opened.atype == ("Twotime", "Multitau")
    _, t_el, g2, _, labels = opened.get_g2_data()
    np.testing.assert_allclose(t_el, store.array(keys[2], "tau"))
    np.testing.assert_array_equal(g2, store.array(keys[2], "g2").T)
    assert "φ=350.0" in labels[0]
    shown = opened.get_twotime_c2(6, correct_diag=False)
    np.testing.assert_allclose(np.triu(shown["c2_mat"]), np.triu(c2[6]), rtol=1e-6)
    assert shown["delta_t"] == pytest.approx(1.0)
    q = 10 * opened.qmap.qmap["q"][partition.roi_map > 0]  # per pixel, by the viewer's own geometry
    assert q.min() == pytest.approx(0.019, rel=2e-3) and q.max() == pytest.approx(0.029, rel=2e-3)
    phi = opened.qmap.qmap["phi"][partition.roi_map == 5]  # our 90 degrees, along the rows
    assert np.mean(phi) == pytest.approx(-90, abs=1)


def test_an_export_is_valid(file, complaints):
    ours, its_own = complaints(file)
    assert ours == [] and len(its_own) == 3  # of two fields of the maps


def test_without_the_configuration_there_are_no_masks(night, tmp_path):
    _, store, keys = night
    with h5py.File(export(store, keys[8], tmp_path / "scan_0.nxs")) as opened:
        assert "xpcs" not in opened and "masks" not in opened["entry/instrument"]
        assert "two_time_corr_func" in opened["entry/twotime"]


@pytest.mark.parametrize("has_masks", [True, False])
def test_bins_keep_their_numbers(has_masks, store, record, tmp_path):
    of_file = np.zeros((6, 20), int)
    of_file[:, 5:] = np.repeat([2, 5, 9], 5)
    partition = Partition.from_roi_map(of_file, q=[0.02, 0.03, 0.04])
    arrays = {name: getattr(partition, name) for name in ("roi_map", "static_map", "q", "phi")}
    store.add_configuration(ConfigurationRecord(technique="rheo_xpcs", parameters=PARAMETERS), arrays, {})
    c2 = np.random.default_rng(0).normal(1.2, 0.01, (3, 64, 64))
    arrays = {"c2": (c2 + c2.transpose(0, 2, 1)) / 2, "g2": np.full((3, 5), 1.2), "tau": 0.1 * np.arange(1, 6)}
    summary = {} if has_masks else {"bins_of": "the file"}
    tables = {"bins": {"bin": partition.numbers}}
    analysis = replace(make_analysis(novelty_p=None), arrays=arrays, dims={}, tables=tables, summary=summary)
    key = store.begin(record(parameters=PARAMETERS))
    store.complete(key, analysis, n_frames=640, frame_time_s=0.1)
    path = export(store, key, tmp_path / "result.nxs")
    with h5py.File(path) as file:
        assert file["entry/twotime/bin"][()].tolist() == file["entry/data/bin"][()].tolist() == [2, 5, 9]
    curves = read_curves(path)
    with MapFile(path) as file:
        read = np.array(list(file.maps(64)))
    assert file.partition.numbers.tolist() == curves.numbers.tolist() == [2, 5, 9]
    np.testing.assert_allclose(np.triu(read, 1), np.triu(analysis.arrays["c2"], 1), rtol=1e-6)
    if has_masks:
        for each in (file.partition, curves.partition):
            np.testing.assert_array_equal(each.labels, of_file)
            np.testing.assert_allclose(each.q, [0.02, 0.03, 0.04])


def test_results_that_cannot_be_exported(night, file):
    _, store, keys = night
    for key, path, error, message in (
        (keys[2], file, ValueError, "exists already"),
        (keys[5], "new.nxs", ValueError, "is failed: zero photons"),
        (keys[6], "new.nxs", ValueError, "is computing"),
        ("nothing", "new.nxs", KeyError, "no result 'nothing'"),
    ):
        with pytest.raises(error, match=message):
            export(store, key, path)


def test_the_table_as_a_file(night, tmp_path):
    _, store, _ = night
    table = store.table(all=True)
    parquet = pd.read_parquet(store.export(tmp_path / "results.parquet"))
    assert list(parquet.columns) == list(table.columns) and (parquet.dtypes == table.dtypes).all()
    for name, column in table.items():
        assert parquet[name].dropna().to_dict() == column.dropna().to_dict()
    assert parquet.attrs["units"]["stress_min"] == "Pa"
    csv = pd.read_csv(store.export(tmp_path / "results.csv"), index_col="key")
    assert list(csv.index) == list(table.index)
    np.testing.assert_array_equal(csv["stress_min [Pa]"], table["stress_min"])
    excel = pd.read_excel(store.export(tmp_path / "results.xlsx"), index_col="key")
    np.testing.assert_array_equal(excel["stress_min [Pa]"], table["stress_min"])
    assert list(excel.index) == list(table.index) and excel["run_time"].iloc[0].hour == table["run_time"].iloc[0].hour
    with pytest.raises(ValueError, match="csv, .parquet, .xlsx, .h5 or .nc"):
        store.export(tmp_path / "results.txt")


def test_a_spreadsheet_computes_no_text_of_a_table(store, record, tmp_path):
    store.begin(record(start={"sample": '=HYPERLINK("http://x")'}, positions={"@x": -1.5}))
    csv = pd.read_csv(store.export(tmp_path / "results.csv"))
    assert csv.loc[0, ["sample", "'@x"]].tolist() == ['\'=HYPERLINK("http://x")', -1.5]
    sheet = openpyxl.load_workbook(store.export(tmp_path / "results.xlsx")).active
    assert not any(cell.data_type == "f" for row in sheet for cell in row)


def test_a_result_and_a_store_export_themselves(night, tmp_path):
    _, store, keys = night
    with h5py.File(store[2].export(tmp_path / "scan_2.h5")) as opened:
        np.testing.assert_array_equal(opened["entry/data/g2"], store.array(keys[2], "g2").T)
    (row,) = pd.read_csv(store[2].export(tmp_path / "scan_2.csv")).to_dict("records")
    assert row["key"] == keys[2] and row["sample_x [mm]"] == 2.5
    store[2].export(str(tmp_path / "scan_2.json"))  # by the server
    assert keys[2] not in (tmp_path / "scan_2.json").read_text() and "two_time" not in store[2].metadata
    with xr.open_datatree(store.export(tmp_path / "all.h5"), engine="h5netcdf") as opened:
        assert set(opened) == {*keys} - {keys[i] for i in (5, 6, 12)}
        assert opened[keys[2]].dataset.equals(store[2].to_xarray())
        assert opened[keys[2]].attrs["scan_id"] == 2 and opened[keys[2]]["stress"].attrs["units"] == "Pa"
    assert len(pd.read_parquet(store.export(tmp_path / "all.parquet"))) == 13
    with pytest.raises(ValueError, match="exists already"):
        store.export(tmp_path / "all.h5")


PARAMETERS = {"size": 6}
DIMS = {"c2": ("roi", "t1", "t2"), "denoised": ("roi", "t1", "t2"), "g2": ("roi", "tau"), "tau": ("tau",)}
SHAPES = {"c2": (3, 6, 6), "denoised": (3, 4, 4)}


def measured(store, record, scan_id, n_tau=5):
    rng = np.random.default_rng(scan_id)
    arrays = {name: rng.random(shape) for name, shape in SHAPES.items()}
    arrays |= {"tau": 0.1 * np.arange(1, n_tau + 1), "g2": rng.random((3, n_tau))}
    tables, units = {"bins": {"q": np.arange(3.0), "what": np.array(["a", "b", "c"])}}, {"tau": "s", "q": "1/nm"}
    analysis = replace(make_analysis(tau_s=1.5), arrays=arrays, dims=DIMS, tables=tables, units=units)
    key = store.begin(record(scan_id=scan_id, raw_uid=str(scan_id), run_time=float(scan_id), parameters=PARAMETERS))
    store.complete(key, analysis, series={"stress": ([0.0, 1.0], [2.0, 3.0])}, n_frames=120, frame_time_s=0.1)
    return key


def test_a_result_has_its_coordinates(store, record):
    key = measured(store, record, 1)
    configuration = ConfigurationRecord(technique="rheo_xpcs", parameters=PARAMETERS, units={"q": "1/nm"})
    of_bins = {"roi": np.array([2, 5, 9]), "q": np.array([0.02] * 3), "phi": np.array([10.0, 30, 50])}
    store.add_configuration(configuration, of_bins, {"q": ("roi",)})
    data = store[1].to_xarray()
    assert data["roi"].values.tolist() == [2, 5, 9] and data["phi"].values.tolist() == [10, 30, 50]
    assert {"roi", "q", "phi", "t1", "t2", "tau"} <= set(data.coords)
    units = {name: data[name].attrs["units"] for name in ("q", "phi", "t1", "tau", "stress")}
    assert units == {"q": "1/nm", "phi": "degree", "t1": "s", "tau": "s", "stress": "Pa"}
    np.testing.assert_allclose(data["t1"], [1, 3, 5, 7, 9, 11])  # 120 frames of 0.1 s in six rows
    np.testing.assert_allclose(data["t1_denoised"], [1.5, 4.5, 7.5, 10.5])
    for name in (*SHAPES, "g2"):
        np.testing.assert_array_equal(data[name], store.array(key, name))
    assert data["bins_what"].values.tolist() == ["a", "b", "c"] and data["stress"].values.tolist() == [2.0, 3.0]
    assert data.attrs["scan_id"] == 1 and data.attrs["tau_s"] == 1.5 and data.attrs["sample_x"] == 1.0
    few = store[1].to_xarray("g2")
    assert set(few.data_vars) == {"g2"} and "tau" in few.coords and few["g2"].identical(data["g2"])
    with pytest.raises(KeyError, match="no array c3: there are"):
        store[1].to_xarray("c3")


def test_all_results_in_one_dataset(store, record, tmp_path):
    keys = [measured(store, record, 1), measured(store, record, 2, n_tau=4)]
    failed = store.begin(record(scan_id=3, run_time=3.0))
    store.fail(failed, "dark")
    data = store.to_xarray("g2", "c2")
    assert data["result"].values.tolist() == keys and data["sample_x"].attrs["units"] == "mm"
    assert data["c2"].dims == ("result", "roi", "t1", "t2") and data["g2"].sizes["tau"] == 5
    np.testing.assert_array_equal(data["g2"][1, :, :4], store.array(keys[1], "g2"))
    assert np.isnan(data["g2"][1, :, 4]).all() and data["novelty_p"].values.tolist() == [0.4, 0.4]
    data.to_netcdf(tmp_path / "all.nc")
    with xr.open_dataset(tmp_path / "all.nc") as again:
        assert again["status"].values.tolist() == ["complete"] * 2 and again["c2"].equals(data["c2"])
    assert store.to_xarray(scan_id=2)["scan_id"].values.tolist() == [2]
    assert store.to_xarray(scan_id=9).sizes == {"result": 0}
