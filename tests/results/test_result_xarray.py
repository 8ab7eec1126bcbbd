"""Results as xarray: the same numbers as in Tiled, with the dimensions, coordinates and units that they have."""

import numpy as np
import pytest
import xarray as xr

from ainerd.results import ConfigurationRecord
from ainerd.technique import Analysis

PARAMETERS = {"size": 6}
DIMS = {
    "c2": ("roi", "t1", "t2"),
    "denoised": ("roi", "t1", "t2"),
    "g2": ("roi", "tau"),
    "tau": ("tau",),
    "g2_by_age": ("roi", "age", "tau"),
    "age": ("age",),
}
SHAPES = {"c2": (3, 6, 6), "denoised": (3, 4, 4), "g2": (3, 5), "g2_by_age": (3, 2, 5)}


def measured(store, record, scan_id, n_tau=5):
    rng = np.random.default_rng(scan_id)
    arrays = {name: rng.random(shape) for name, shape in SHAPES.items()}
    arrays |= {"tau": 0.1 * np.arange(1, n_tau + 1), "age": np.array([6.0, 12.0])}
    arrays |= {name: array[..., :n_tau] for name, array in arrays.items() if DIMS[name][-1] == "tau"}
    analysis = Analysis(
        embedding=np.zeros(2, np.float32),
        novelty_p=0.2,
        arrays=arrays,
        dims=DIMS,
        tables={"bins": {"q": np.arange(3.0), "what": np.array(["a", "b", "c"])}},
        summary={"tau_s": 1.5},
        units={"tau": "s", "age": "s", "tau_s": "s", "q": "1/nm"},
        calibration={"id": "bank", "n": 9, "alpha": 0.05},
    )
    key = store.begin(record(scan_id=scan_id, raw_uid=str(scan_id), run_time=float(scan_id), parameters=PARAMETERS))
    store.complete(key, analysis, series={"stress": ([0.0, 1.0], [2.0, 3.0])}, n_frames=120, frame_time_s=0.1)
    return key


def test_a_result_has_its_coordinates(store, record):
    key = measured(store, record, 1)
    about = ConfigurationRecord(technique="rheo_xpcs", parameters=PARAMETERS, units={"q": "1/nm"})
    store.add_configuration(about, {"q": np.array([0.02] * 3), "phi": np.array([10.0, 30, 50])}, {"q": ("roi",)})
    told = store[1].to_xarray()
    assert {"roi", "q", "phi", "t1", "t2", "tau", "age"} <= set(told.coords)
    units = {name: told[name].attrs["units"] for name in ("q", "phi", "t1", "tau", "age", "stress")}
    assert units == {"q": "1/nm", "phi": "degree", "t1": "s", "tau": "s", "age": "s", "stress": "Pa"}
    np.testing.assert_allclose(told["t1"], [1, 3, 5, 7, 9, 11])  # 120 frames of 0.1 s in six rows
    np.testing.assert_allclose(told["t1_denoised"], [1.5, 4.5, 7.5, 10.5])
    for name in SHAPES:
        np.testing.assert_array_equal(told[name], store.array(key, name))
    assert (
        told["g2"].sel(tau=0.3, method="nearest").where(told["phi"] == 30, drop=True).item()
        == (store.array(key, "g2")[1, 2])
    )
    assert told["bins_what"].values.tolist() == ["a", "b", "c"] and told["stress"].values.tolist() == [2.0, 3.0]
    assert told.attrs["scan_id"] == 1 and told.attrs["tau_s"] == 1.5 and told.attrs["sample_x"] == 1.0
    few = store[1].to_xarray("g2")
    assert set(few.data_vars) == {"g2"} and "tau" in few.coords and few["g2"].identical(told["g2"])
    with pytest.raises(KeyError, match="no array c3: there are"):
        store[1].to_xarray("c3")


def test_all_results_lie_side_by_side(store, record, tmp_path):
    keys = [measured(store, record, 1), measured(store, record, 2, n_tau=4)]
    failed = store.begin(record(scan_id=3, run_time=3.0))
    store.fail(failed, "dark")
    told = store.to_xarray("g2", "c2")
    assert told["result"].values.tolist() == keys and told["sample_x"].attrs["units"] == "mm"
    assert told["c2"].dims == ("result", "roi", "t1", "t2") and told["g2"].sizes["tau"] == 5
    np.testing.assert_array_equal(told["g2"][1, :, :4], store.array(keys[1], "g2"))
    assert np.isnan(told["g2"][1, :, 4]).all() and told["novelty_p"].values.tolist() == [0.2, 0.2]
    told.to_netcdf(tmp_path / "all.nc")
    with xr.open_dataset(tmp_path / "all.nc") as again:
        assert again["status"].values.tolist() == ["complete"] * 2 and again["c2"].equals(told["c2"])
    assert store.to_xarray(scan_id=2)["scan_id"].values.tolist() == [2]
    assert store.to_xarray(scan_id=9).sizes == {"result": 0}
