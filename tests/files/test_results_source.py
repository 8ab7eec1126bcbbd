"""`ainerd watch --source results:…`: each result file of another program once, whatever happens to it or to us."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer
from ainerd.config import Settings
from ainerd.documents import documents_of
from ainerd.results import ResultStore, explain
from ainerd.server import open_catalog
from ainerd.views import report_html
from ainerd_files import FittedCurves, MapFile, ResultFile, ResultFiles, read_curves
from tests.cli.conftest import Site
from tests.containers import new_container
from tests.files import map_files
from tests.files.map_files import FRAME_S, T
from tests.killed import killed
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("part_of_bank")

SMALL = TOML.with_name("small.toml")
LAGS, TAUS = np.unique(np.geomspace(1, 600, 50).astype(int)), np.array([0.1, 0.2, 0.4, 0.8])
G2 = 1 + 0.2 * np.exp(-2 * FRAME_S * LAGS / TAUS[:, None])  # (bins, lags)
READINGS = {"sample_x": "/entry/sample/position_x", "sample_y": "/entry/sample/position_y"}
LATE_S = 0.6


def write(path, *, tau=30, layout=map_files.boost_corr, x=3.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    map_files.write(part, layout, map_files.correlations(map_files.movie(seed, tau=tau)))
    with h5py.File(part, "r+") as file:
        for name, value in {"x": x, "y": 7000.0}.items():
            file[f"entry/sample/position_{name}"] = value
        file["entry/sample/position_y"].attrs["units"] = "um"
    return part.replace(path)


class Pipeline:
    """A folder in which results appear, and agents that follow it in a catalogue of its own."""

    def __init__(self, folder, server):
        self.data, self.folder = folder / "data", folder
        self.data.mkdir()
        self.client = new_container(server.client(), folder.name)
        self.raw, ainerd = open_catalog(self.client)
        self.settings = Settings.load(SMALL)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [self.data]
        self.settings.storage.late_s = LATE_S
        self.settings.acquisition.readings = READINGS
        self.settings.recorded.units = {"sample_x": "mm", "sample_y": "mm"}
        self.store = ResultStore(ainerd, agent=self.settings.name)
        self._close = []

    def follow(self, source=None):
        observer, stop = build_observer(self.settings, self.client), threading.Event()
        observer.quiet = True
        source = ResultFiles(str(self.data)) if source is None else source
        thread = threading.Thread(target=observer.follow, args=(source, stop), daemon=True)
        thread.start()

        def close():
            if stop.is_set():
                return
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
            assert observer.drain()
            observer.close()

        self._close.append(close)
        return observer, close

    def take(self):
        """Take the files that are there, as ``ainerd watch --once``."""
        with closing(build_observer(self.settings, self.client)) as observer:
            observer.quiet = True
            observer.follow(ResultFiles(str(self.data)), threading.Event(), once=True)
            assert observer.drain(180)  # five files, on a busy machine

    def table(self):
        return self.store.table(all=True).sort_values("file")

    def close(self):
        for close in self._close:
            close()


@pytest.fixture(scope="module", autouse=True)
def looks():
    """Let a source look often at its folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SETTLED_S", "LOOK_S"):
            patch.setattr(f"ainerd_files._results.{name}", 0.1)
        yield


@pytest.fixture
def pipeline(tmp_path, server):
    with closing(Pipeline(tmp_path, server)) as process:
        yield process


@pytest.fixture(scope="module")
def taken(tmp_path_factory, server, part_of_bank):
    """The store of results of three files, which were taken together; their keys and paths by name.

    "short": 128 rows; "both": the same, and g2 with errors; "long": 256 rows.
    """
    process = Pipeline(tmp_path_factory.mktemp("taken"), server)
    paths = {name: process.data / f"{name}.hdf" for name in ("short", "both", "long")}
    map_files.write(paths["short"], map_files.boost_corr, map_files.correlations(map_files.movie()))
    shutil.copy(paths["short"], paths["both"])
    with h5py.File(paths["both"], "r+") as file:
        map_files.curves_of_boost_corr(file, LAGS, G2, np.full_like(G2, 1e-3), FRAME_S, averaged=2)
    map_files.write(paths["long"], map_files.boost_corr, map_files.correlations(map_files.movie(n_frames=256)))
    process.take()
    return process.store, {name: process.store.search(file=f"{name}.hdf").index[0] for name in paths}, paths


def test_a_file_becomes_a_point_a_regime_and_a_next_position(pipeline):
    observer, _ = pipeline.follow()
    first = observer.suggest()
    for seed, tau in enumerate((8, 8, 300, 300)):
        write(pipeline.data / "Twotime" / f"run_{seed}.hdf", tau=tau, x=1.0 + seed, seed=seed)
    shutil.copy(pipeline.data / "Twotime" / "run_0.hdf", pipeline.data / "the same.hdf")
    until(lambda: observer.concluded == 4 and len(pipeline.raw) == 4)
    table = pipeline.table()
    assert set(table["status"]) == {"complete"} and len(table) == 4
    assert list(table["sample_x"]) == [1, 2, 3, 4] and set(table["sample_y"]) == {7.0}  # mm
    regimes = table["regime"].to_list()
    assert regimes[0] == regimes[1] != regimes[2] == regimes[3]
    record = pipeline.store.record(table.index[3])
    assert (record.n_frames, record.frame_time_s) == (T, pytest.approx(FRAME_S))
    assert "there is no p-value: the stored maps have 128 rows" in explain(record)
    with MapFile(pipeline.data / "Twotime" / "run_3.hdf") as file:
        np.testing.assert_array_equal(pipeline.store.array(record.key, "c2"), np.array(list(file.maps())))
    again = observer.suggest()
    assert any(again[name] != first[name] for name in ("sample_x", "sample_y"))
    # the run names the file, from which it can be analysed again
    by_name = dict(documents_of(pipeline.raw[record.raw_uid]))
    assert by_name["start"]["result_file"]["path"] == str(pipeline.data / "Twotime" / "run_3.hdf")
    assert "stream_resource" not in by_name and observer.catch_up() == 0
    # its bins are not those of the settings
    data = pipeline.store[record.key].to_xarray()
    assert data["c2"].sizes["roi"] == 3 and "q" not in data.coords


def test_a_file_that_grows_or_is_written_again(pipeline):
    pipeline.settings.storage.late_s = 60.0
    looks, problem = [], ResultFile.problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResultFile, "problem", lambda self: (looks.append(self.path.name), problem(self))[1])
        observer, _ = pipeline.follow()
        whole = write(pipeline.folder / "whole.hdf", tau=8).read_bytes()
        with open(pipeline.data / "run.hdf", "wb") as file:
            file.write(whole[: len(whole) // 2])
            file.flush()
            until(lambda: len(looks) > 2)  # it has settled, and cannot be read
            assert observer.concluded == 0 and len(pipeline.store.table(all=True)) == 0
            file.write(whole[len(whole) // 2 :])
        until(lambda: observer.concluded == 1 and len(pipeline.raw) == 1)
        os.utime(pipeline.data / "run.hdf", (1e9, 1e9))  # the same content again
        n = len(looks)
        until(lambda: len(looks) > n)
        write(pipeline.data / "run.hdf", tau=300, x=4.0)
        until(lambda: observer.concluded == 2 and len(pipeline.raw) == 2)
    table = pipeline.store.table(all=True).sort_values("sample_x")
    assert list(table["status"]) == ["complete"] * 2 and list(table["sample_x"]) == [3.0, 4.0]
    assert table["superseded_by"].iloc[0] == table.index[1] and table["supersedes"].iloc[1] == table.index[0]


def test_files_of_other_programs_and_files_that_cannot_be_read(pipeline, caplog):
    maps, data = map_files.correlations(map_files.movie()), pipeline.data / "watched"
    (data / ".rsync-partial").mkdir(parents=True)
    map_files.write(data / "nexus.h5", map_files.nexus, maps)
    np.save(data / "uid=7_g12b.npy", np.moveaxis(maps, 0, -1))  # of pychx, without the time of a row
    (data / "garbage.hdf").write_bytes(b"no HDF5" * 100)
    (data / ".rsync-partial" / "partial.hdf").write_bytes(b"no HDF5" * 100)
    with h5py.File(data / "g2.hdf", "w") as file:
        map_files.curves_of_boost_corr(file, LAGS, G2, np.full_like(G2, 1e-3), FRAME_S)
    with h5py.File(write(data / "degrees.hdf", seed=1), "r+") as file:
        file["entry/sample/position_x"].attrs["units"] = "deg"
    write(pipeline.data / "night2" / "linked.hdf", seed=2)
    write(pipeline.folder / "secrets" / "secret.hdf", seed=2)
    (data / "link.hdf").symlink_to(pipeline.folder / "secrets" / "secret.hdf")
    for name, to in {"today": pipeline.data / "night2", "again": data, "away": pipeline.folder / "secrets"}.items():
        (data / name).symlink_to(to)
    source = f"{data}?frame_time=0.03"
    observer, close = pipeline.follow(ResultFiles(source))
    until(lambda: observer.concluded == 6)
    until(lambda: len(pipeline.raw) == 6 and "link.hdf is left out" in caplog.text)
    assert caplog.text.count("leads outside storage.frames") == 1
    close()
    observer, close = pipeline.follow(ResultFiles(source))
    write(data / "next.hdf", seed=3)
    until(lambda: observer.concluded == 1)
    table = pipeline.table()
    by_name = {file: str(key) for key, file in table["file"].items()}
    with pytest.raises(ValueError, match="^next.hdf has no suggestion"):
        observer.why(by_name["next.hdf"])
    close()
    # results that are read back name their files
    assert "of garbage.hdf: no result" in str(pipeline.store[by_name["garbage.hdf"]])
    page = report_html(pipeline.store)
    assert all(name in page for name in by_name) and "scan ?" not in page and "<td>?</td>" not in page
    read = table[table["status"] == "complete"].set_index("file")
    layouts = {"linked.hdf": "APS, boost_corr", "next.hdf": "APS, boost_corr", "nexus.h5": "NXxpcs"}
    assert dict(read["layout"]) == layouts | {"uid=7_g12b.npy": "NSLS-II, pychx (.npy)"}
    assert set(read["frame_time_s"]) == {0.03} and len(table) == len(pipeline.raw) == 7
    reasons = " ".join(table["reason"].dropna())
    for message in ("garbage.hdf is not", "g2.hdf: it holds g2", "'deg' cannot be converted to 'mm'"):
        assert reasons.count(message) == 1
    assert "secret" not in reasons and "outside the allowed roots" in caplog.text


def test_maps_of_256_rows_have_a_p_value(taken):
    store, keys, _ = taken
    key = keys["long"]
    result = store.table(all=True).loc[key]
    assert 0.05 < result["novelty_p"] <= 1 and result["noise_of"] == "the maps"
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
    for name, value in {"shot_noise": 1 / 20, "noise_pixels": 30, "contrast": 1 / 4}.items():
        assert np.nanmean(bins[name]) == pytest.approx(value, rel=0.3)


def test_g2_of_the_file_is_fitted_for_the_bins_of_its_maps(taken):
    store, keys, paths = taken
    bins, result = store.rows(keys["both"], "bins"), store.table(all=True).loc[keys["both"]]
    processed = np.array(map_files.PROCESSED) - 1
    np.testing.assert_allclose(bins["tau_s"], TAUS[processed], rtol=0.02)
    np.testing.assert_array_equal(store.array(keys["both"], "g2"), G2[processed])
    fitted = FittedCurves.of(read_curves(paths["both"])).columns
    np.testing.assert_allclose(bins["tau_s_err"], fitted["tau_s_err"][processed], rtol=0.1)  # of three bins, not four
    assert result["g2_of"] == "the file" and result["tau_s"] == pytest.approx(0.4, rel=0.02)
    assert bins["g2_errors"].str.startswith("errors of the file").all()


def test_maps_without_noise_have_the_reason(taken):
    store, keys, _ = taken
    reason, bins = "the stored maps have 128 rows", store.rows(keys["short"], "bins")
    assert bins["no_tau"].str.startswith(reason).all() and bins["tau_s"].isna().all() and bins["contrast"].isna().all()
    assert f"No relaxation time is given: {reason}" in explain(store.record(keys["short"]))
    assert np.isfinite(store.array(keys["short"], "g2")).all()
    assert np.isnan(store.array(keys["short"], "g2_err")).all()


@pytest.mark.fault(
    "`ainerd watch --source results:…` is killed at any step", "A restart leaves one run and one result of each file"
)
def test_kills_leave_each_file_once(pipeline):
    for seed in range(2):
        write(pipeline.data / f"run_{seed}.hdf", seed=seed)
    taken, completed = ResultStore.take, ResultStore.complete

    def kill(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def then(step):
        return lambda *args, **kwargs: (step(*args, **kwargs), kill())

    def work():
        pipeline.follow()
        time.sleep(60)

    for name, step in (("take", then(taken)), ("complete", then(completed))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResultStore, name, step)
            killed(work)
    pipeline.follow()
    until(lambda: [run.metadata.get("stop", {}).get("exit_status") for run in pipeline.raw.values()] == ["success"] * 2)
    until(lambda: pipeline.table()["status"].eq("complete").sum() == 2)
    table = pipeline.table()
    assert list(table["file"]) == [f"run_{seed}.hdf" for seed in range(2)] and set(table["status"]) == {"complete"}


def program(path, lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + lines)
    path.chmod(0o755)


def test_the_script_for_8_id_reads_what_boost_corr_wrote(pipeline):
    programs, name = pipeline.folder / "bin", "A0056_clay_a0002_f003000_eiger4m_r00001"
    for seed in range(2):
        write(pipeline.folder / "made" / f"{name}_{'BF'[seed]}CC_results.hdf", seed=seed)
    takes = f'test "$1 $2 $3 $4 $5 $6 $7 $9" = "-r /raw/{name}.h5 -q qmap.hdf -t Both -o -w"'
    program(programs / "boost_corr_bin", f"set -e\n{takes}\ncp '{pipeline.folder}/made/'* \"$8\"\n")
    program(programs / "ainerd", f"exec '{sys.executable}' -c 'from ainerd.cli import main; main()' \"$@\"\n")
    Site(pipeline.folder / "bin").install("results", {}, sources="ainerd_files:ResultFiles")
    storage = pipeline.settings.storage
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(programs), *sys.path]),
        "AINERD_STORAGE__URI": pipeline.client.uri,
        "AINERD_STORAGE__API_KEY": str(pipeline.client.context.api_key),
        "AINERD_STORAGE__DIRECTORY": str(storage.directory),
        "AINERD_STORAGE__FRAMES": json.dumps([str(path) for path in storage.frames]),
        "AINERD_STORAGE__LATE_S": "0",
    }
    script = SMALL.parents[2] / "docs" / "how-to" / "files" / "facilities" / "aps_8id.sh"
    arguments = [f"/raw/{name}.h5", "qmap.hdf", str(pipeline.data), str(SMALL)]
    done = subprocess.run(["sh", script, *arguments], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    table = pipeline.table()
    assert list(table["file"]) == [f"{name}_{peak}_results.hdf" for peak in ("BCC", "FCC")]
    assert set(table["status"]) == {"complete"} and len(pipeline.raw) == 2


def test_a_run_in_tiled_is_analysed_again_from_its_file(pipeline):
    path, secret = write(pipeline.data / "run.hdf"), pipeline.folder / "secret.hdf"
    pipeline.take()
    for contrast, change, reason in (
        (0.3, lambda: None, None),
        (0.4, lambda: write(path, tau=300), "has changed since its run was made"),
        (0.5, lambda: path.replace(secret) and path.symlink_to(secret), "outside the allowed roots"),
    ):
        change()
        known = pipeline.store.table(all=True).index
        pipeline.settings.section["contrast"] = contrast
        with closing(build_observer(pipeline.settings, pipeline.client)) as observer:
            observer.quiet = True
            assert (observer.catch_up(), observer.drain(), observer.catch_up()) == (1, True, 0)
        (key,) = pipeline.store.table(all=True).index.difference(known)
        result = pipeline.store.record(key)
        assert (result.status, result.reason or "") == ("complete", "") if reason is None else reason in result.reason


def test_a_wrong_folder_is_refused(pipeline):
    intake = SimpleNamespace(settings=pipeline.settings, stop=threading.Event())
    for address, message in (
        ("", "give results:FOLDER"),
        (pipeline.data / "nowhere", "no folder .*nowhere"),
        (pipeline.folder, "outside storage.frames"),
    ):
        with pytest.raises(ValueError, match=message):
            list(ResultFiles(str(address)).documents(intake))
