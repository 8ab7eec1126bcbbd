"""`ainerd ingest` and `ainerd analyze` of files with two-time maps: runs and results, each once, whatever is killed."""

import os
import shutil
import signal

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd.results import ResultStore, explain, export, validate
from ainerd.runs import write_run
from ainerd.server import open_catalog
from ainerd_xpcs.technique import MapFile, _ingest, read_curves
from ainerd_xpcs.technique._fitted import FittedCurves
from ainerd_xpcs.technique.commands import analyze, ingest
from tests.killed import killed
from tests.xpcs.technique import map_files

pytestmark = pytest.mark.usefixtures("part_of_bank")

app = typer.Typer()
for command in (analyze, ingest):
    app.command()(command)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three fast and three slow runs of boost_corr, one of 8-ID, and one that holds no maps."""
    folder, paths = tmp_path_factory.mktemp("maps"), []
    for seed, tau in enumerate((8, 8, 8, 300, 300, 300)):
        maps = map_files.correlations(map_files.movie(seed, tau=tau))
        paths.append(map_files.write(folder / f"run_{seed}_Twotime.hdf", map_files.boost_corr, maps))
    with h5py.File(folder / "frames.h5", "w") as file:
        file["entry/data/data"] = np.ones((3, 4, 5))
    return [*paths, folder / "frames.h5"]


@pytest.fixture
def run(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", place.api_key)

    def run(name, *arguments):
        at = [] if name == "analyze" else ["--tiled", place.uri]
        done = CliRunner().invoke(app, [name, *map(str, arguments), *at])
        return done, " ".join(f"{done.output} {done.exception or ''}".split())

    return run


@pytest.fixture
def catalogue(place):
    raw, ainerd = open_catalog(place.client())
    return raw, ResultStore(ainerd, agent="files")


def test_files_become_runs_with_results_once(run, files, catalogue):
    raw, store = catalogue
    done, printed = run("ingest", *files)
    assert done.exit_code == 1 and "7 files: 6 written, 0 were there, 1 refused" in printed
    assert "frames.h5: holds no two-time map in a known layout" in printed
    table = store.table(columns="all")
    assert len(raw) == 6 and set(table["status"]) == {"complete"} and table["digest"].nunique() == 1
    # the fast runs are one regime, the slow ones another
    regimes = table.sort_values("file")["regime"].to_list()
    assert regimes[:3] == [regimes[0]] * 3 and regimes[3:] == [regimes[3]] * 3 and regimes[0] != regimes[3]
    record = store.record(table.index[0])
    assert (record.n_frames, record.frame_time_s) == (128, pytest.approx(0.02))
    assert record.run_time == 1772352000.0 and record.start["layout"] == "APS, boost_corr"
    assert "there is no p-value: the stored maps have 128 rows" in explain(record)
    with MapFile(files[0]) as file:
        of_first = store.search(file=files[0].name).index[0]
        np.testing.assert_array_equal(store.array(of_first, "c2"), np.array(list(file.maps())))
    assert list(store.rows(of_first, "bins")["n_pixels"]) == [30, 30, 30]
    stream = raw[store.record(of_first).raw_uid]["primary"].read()
    assert float(stream["n_rows"][0]) == 128 and float(stream["counts_per_pixel"][0]) == pytest.approx(0.5 * 8 / 3)
    assert validate(store) == []
    # again, with a copy under another name, nothing is written
    copy = shutil.copy(files[0], "copy.hdf")
    done, printed = run("ingest", *files[:6], copy)
    assert done.exit_code == 0 and "7 files: 0 written, 7 were there, 0 refused" in printed
    assert len(raw) == 6 and len(store.table()) == 6


@pytest.mark.parametrize("layout", [map_files.boost_corr, map_files.pychx])
def test_maps_of_256_rows_have_a_p_value(run, catalogue, tmp_path, layout):
    _, store = catalogue
    maps = map_files.correlations(map_files.movie(n_frames=256))
    path = map_files.write(tmp_path / f"long_{layout.__name__}.hdf", layout, maps)
    assert run("ingest", path)[0].exit_code == 0
    key = store.search(file=path.name).index[0]
    result = store.table(columns="all").loc[key]
    assert 0.05 < result["novelty_p"] <= 1 and result["noise_of"] == "the maps" and validate(store) == []
    bins, rings = (store.rows(key, name) for name in ("bins", "rings"))
    known = [p for p in rings["novelty_p"] if p == p]
    assert result["novelty_p"] == pytest.approx(min(1.0, min(known) * len(known)))
    # a memory of 30 rows of .02 s
    assert result["g2_of"] == "the diagonals of the maps" and result["g2_errors"] == "errors of the noise of the maps"
    for tau, error in zip([*bins["tau_s"], *rings["tau_s"]], [*bins["tau_s_err"], *rings["tau_s_err"]], strict=True):
        assert abs(np.log(tau / 0.6)) < 3 * error / tau < 1.2
    middle = rings.iloc[len(rings) // 2]
    assert [result[name] for name in ("q", "tau_s", "kww_exponent")] == list(middle[["q", "tau_s", "kww_exponent"]])
    g2, error = store.array(key, "g2"), store.array(key, "g2_err")
    assert g2.shape == error.shape == (len(bins), 47) and store.array(key, "tau")[0] == pytest.approx(0.02)
    # counts of 20 photons from 30 pixels, of contrast 1 / 4
    assert np.nanmean(bins["shot_noise"]) == pytest.approx(1 / 20, rel=0.3)
    assert np.nanmean(bins["noise_pixels"]) == pytest.approx(30, rel=0.3)
    assert np.nanmean(bins["contrast"]) == pytest.approx(1 / 4, rel=0.3)


def test_g2_of_the_file_is_fitted_for_the_bins_of_its_maps(run, catalogue, tmp_path):
    _, store = catalogue
    path = map_files.write(tmp_path / "both.hdf", map_files.boost_corr, map_files.correlations(map_files.movie()))
    lags, taus = np.unique(np.geomspace(1, 600, 50).astype(int)), np.array([0.1, 0.2, 0.4, 0.8])
    g2 = 1 + 0.2 * np.exp(-2 * 0.02 * lags[:, None] / taus)
    with h5py.File(path, "r+") as file:
        group = file.create_group("xpcs/multitau")
        group["delay_list"], group["normalized_g2"], group["normalized_g2_err"] = lags, g2, np.full_like(g2, 1e-3)
        group["config/avg_frame"], group["config/stride_frame"] = 2, 1
    assert run("ingest", path)[0].exit_code == 0
    key = store.search(file=path.name).index[0]
    bins, result = store.rows(key, "bins"), store.table(columns="all").loc[key]
    processed = np.array(map_files.PROCESSED) - 1
    np.testing.assert_allclose(bins["tau_s"], taus[processed], rtol=0.02)
    np.testing.assert_array_equal(store.array(key, "g2"), g2.T[processed])
    fitted = FittedCurves.of(read_curves(path)).columns
    np.testing.assert_allclose(bins["tau_s_err"], fitted["tau_s_err"][processed], rtol=1e-6)
    assert result["g2_of"] == "the file" and result["tau_s"] == pytest.approx(0.4, rel=0.02)
    assert bins["g2_errors"].str.startswith("errors of the file").all() and validate(store) == []


def test_maps_without_noise_have_the_reason(run, files, catalogue):
    _, store = catalogue
    run("ingest", files[3])
    key = store.search(file=files[3].name).index[0]
    reason = "the stored maps have 128 rows, their noise is measured in 256 or more"
    bins = store.rows(key, "bins")
    assert set(bins["no_tau"]) == {reason} and bins["tau_s"].isna().all() and bins["contrast"].isna().all()
    assert f"No relaxation time is given: {reason}" in explain(store.record(key))
    assert np.isfinite(store.array(key, "g2")).all() and np.isnan(store.array(key, "g2_err")).all()


def test_they_are_compared_and_exported(run, files, catalogue, tmp_path):
    _, store = catalogue
    assert run("ingest", *files[:6])[0].exit_code == 0
    key = store.search(file=files[4].name).index[0]
    assert set(store.similar(key, 2)["file"]) == {files[3].name, files[5].name}
    path = export(store, key, tmp_path / "exported.nxs")
    with MapFile(path) as again, MapFile(files[4]) as before:
        np.testing.assert_array_equal(np.array(list(again.maps())), np.array(list(before.maps())))
        np.testing.assert_array_equal(again.partition.labels, before.partition.labels)
    assert run("ingest", path)[0].exit_code == 0
    copy = store.search(file=path.name).index[0]
    assert [list(store.rows(of, "bins")["bin"]) for of in (key, copy)] == [map_files.PROCESSED] * 2


@pytest.mark.fault(
    "`ainerd ingest` is killed at any step", "The same command leaves one run and one result of each file"
)
def test_kills_leave_each_file_once(run, files, catalogue, monkeypatch, tmp_path):
    raw, _ = catalogue
    files = [shutil.copy(path, tmp_path / path.name) for path in files[2:5]]
    for path in files:
        with h5py.File(path, "r+") as file:
            file.attrs["copy"] = 1  # another content
    before = set(raw)
    taken, completed = ResultStore.take, ResultStore.complete

    def kill(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def then(step):
        return lambda *args, **kwargs: (step(*args, **kwargs), kill())

    for where, name, step in (
        (ResultStore, "take", then(taken)),
        (_ingest, "_documents", kill),
        ("ainerd.runs", "write_run", then(write_run)),
        (ResultStore, "complete", then(completed)),
        ("ainerd.cli.reanalysis", "label", kill),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, step) if not isinstance(where, str) else patch.setattr(f"{where}.{name}", step)
            killed(lambda: run("ingest", *files, "--agent", "killed"))
    assert run("ingest", *files, "--agent", "killed")[0].exit_code == 0
    table = ResultStore(catalogue[1].container, agent="killed").table(columns="all")
    assert sorted(table["file"]) == sorted(path.name for path in files) and set(table["status"]) == {"complete"}
    assert table["regime"].notna().all()
    new = [run_ for uid, run_ in raw.items() if uid not in before]
    assert len(new) == 3 and all(run_.metadata["stop"]["exit_status"] == "success" for run_ in new)


def test_analyze_shows_maps_without_frames(run, files, tmp_path):
    done, printed = run("analyze", files[0])
    assert done.exit_code == 0, printed
    assert "APS, boost_corr: 128 rows of 0.02 s" in printed and "no p-value: the stored maps have 128 rows" in printed
    with h5py.File(tmp_path / "run_0_Twotime_maps.h5") as results:
        assert results["c2"].shape == (3, 256, 256) and results["latent"].shape == (3, 64)
        assert results.attrs["layout"] == "APS, boost_corr" and results.attrs["no_claim"]
    assert (tmp_path / "run_0_Twotime_maps.png").stat().st_size > 10_000
    assert not (tmp_path / "run_0_Twotime_g2.h5").exists()


def test_analyze_shows_maps_and_g2_of_one_file(run, files, tmp_path):
    both = shutil.copy(files[0], "both.hdf")
    with h5py.File(both, "r+") as file:
        lags = np.arange(1, 40)
        file["xpcs/multitau/delay_list"], file["xpcs/multitau/normalized_g2"] = lags, np.ones((39, 4))
    done, printed = run("analyze", both)
    assert done.exit_code == 0, printed
    assert (tmp_path / "both_maps.h5").exists() and (tmp_path / "both_g2.h5").exists() and "39 lags" in printed
