"""An archive reprocessed on workers of Dask, with the same results as in one process."""

import json
import os
from contextlib import closing
from pathlib import Path

import dask
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from distributed import Client, LocalCluster
from typer.testing import CliRunner

from agents.demo.simulated import hardware_beside, simulated_instrument
from ainerd.agent import build_technique
from ainerd.cli import app, mapping
from ainerd.cli._dask import completed
from ainerd.cli.reanalysis import Analyst
from ainerd.config import Settings
from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import embedded_server, open_catalog
from ainerd.technique import Series
from ainerd_xpcs.technique import RheoXPCS

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
SLURM = SMALL.parents[2] / "docs" / "how-to" / "files" / "slurm"
RUNS, FRAMES = 3, 64


class Archive:
    """Runs in Tiled, one of them without its frames, and the results that a command writes."""

    def __init__(self, folder, server):
        self.server = server
        self.raw, ainerd = open_catalog(server.client())
        self.store = ResultStore(ainerd)
        settings = Settings.load(SMALL)
        settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
        devices = simulated_instrument(folder / "frames", hardware_beside(SMALL), speed=1000)
        cam = devices.detector.cam
        cam.num_images.put(FRAMES), cam.acquire_period.put(0.5), cam.acquire_time.put(0.5)
        engine = RunEngine({})
        engine.subscribe(TiledWriter(self.raw, batch_size=1))
        for i in range(RUNS):
            devices.stage.x.set(5 + 0.1 * i).wait(10)
            engine(expose(devices.detector, beside=[devices.stage.x, devices.stage.y], shutter=devices.shutter))
        *self.frames, lost = sorted((folder / "frames").rglob("*.h5"), key=os.path.getmtime)
        lost.unlink()

    def replay(self, *arguments):
        """Return the output of the command: uids and keys of complete runs, and reasons of failed ones."""
        done = CliRunner().invoke(app, ["replay", "--json", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert self.server.api_key not in done.output
        return json.loads(done.stdout)

    def forget(self, *keys):
        """Remove results; all of them without `keys`."""
        results = self.store.container["results"]
        for key in keys or list(results):
            results.delete_contents(key, recursive=True, external_only=False)

    def results(self):
        """Return the parts of each result that two analyses must share, with arrays as bytes."""
        self.store, results = ResultStore(self.store.container), {}
        for key in self.store.table(all=True).index:
            record = self.store.record(key)
            arrays = {name: self.store.array(key, name) for name in record.arrays}
            metadata = record.metadata()
            for name in ("created", "atlas_version"):
                metadata.pop(name, None)
            results[key] = metadata, {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
        return results


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    with embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server:
        yield Archive(folder, server)


@pytest.fixture(scope="module", autouse=True)
def environment(archive, bank_file):
    """Set the environment of the command: the archive, and a part of the shipped bank, which is calibrated quickly."""
    folder = archive.server.directory
    values = {"CONFIG": SMALL, "RHEO_XPCS__BANK": bank_file, "STORAGE__DIRECTORY": folder}
    values["STORAGE__FRAMES"] = json.dumps([str(folder.parent / "frames")])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(f"AINERD_{name}", str(value))
        yield


@pytest.fixture(scope="module")
def address(environment):
    """A worker with the environment of the command; a task over which it dies is repeated once.

    The first death may count for the next task as well: Dask gives a worker one task at a time once it knows three.
    """
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def serial(archive):
    """Output and results of one process."""
    return archive.replay(), archive.results()


def test_workers_write_the_results_of_one_process_bit_for_bit(archive, serial, address):
    """Each run once, and only missing results are made."""
    archive.forget()
    made, again = (archive.replay("--dask", address) for _ in range(2))
    assert made == serial[0] and len(made["complete"]) == RUNS - 1
    assert not again["complete"] and not again["failed"]
    assert "nothing to analyse" in CliRunner().invoke(app, ["replay"]).output
    assert "no file" in " ".join(made["failed"].values()) and archive.results() == serial[1]
    assert any(record["novelty_p"] is not None for record, _ in serial[1].values() if record["status"] == "complete")


def test_a_task_over_which_workers_die_does_not_stop_the_others(address):
    ended = dict(completed(address, eval, ["1 + 1", "__import__('os')._exit(1)", "2 + 2"]))
    assert ended.pop("__import__('os')._exit(1)") is None
    assert {name: future.result() for name, future in ended.items()} == {"1 + 1": 2, "2 + 2": 4}


def test_workers_with_other_settings_are_refused(archive, address):
    other = {"AINERD_RHEO_XPCS__CONTRAST": "0.21"}  # not in the environment of the worker
    done = CliRunner().invoke(app, ["replay", "--dask", address], env=other)
    assert isinstance(done.exception, ValueError) and "a worker has other settings" in str(done.exception)
    assert archive.store.table(all=True)["digest"].nunique() == 1


def test_a_run_over_which_workers_die_has_a_failed_result(archive, serial):
    """It is repeated with --all; a run that has a result keeps it."""
    store, (name, key) = archive.store, next(iter(serial[0]["complete"].items()))
    uid = name.partition("/")[0]
    with closing(Analyst(Settings.load(SMALL), archive.server.client())) as analyst:
        assert analyst.give_up(uid).status == "complete"
        archive.forget(key)
        assert analyst.give_up(uid).status == "failed" and "died" in store.record(key).reason
    assert archive.replay("--all")["complete"] == {name: key}


def script(name, of_the_page):
    """Return the code of a script of the page, with other values in place of those of the page."""
    code = (SLURM / name).read_text()
    for there, here in of_the_page.items():
        assert there in code
        code = code.replace(there, here)
    return code


def test_one_run_is_shared_as_the_page_says(archive, address):
    of_the_page = {
        "tcp://scheduler.example.org:8786": address,
        "100_000": str(FRAMES),
        "/data/movie.h5": str(archive.frames[0]),
        'Partition.load("qmap.h5")': "of_settings",
    }
    names = {"of_settings": build_technique(Settings.load(SMALL)).partition}
    exec(script("one_run.py", of_the_page), names)
    for name, whole in zip(("c2", "g2", "g2_err"), names["correlated"](names["bins"]), strict=True):
        np.testing.assert_array_equal(names[name], whole)


def test_the_jobs_of_slurm_are_workers(tmp_path):
    """`sbatch` is a script here, which reads the job before it returns (Dask deletes the file then) and starts it."""
    for name, does in {
        "sbatch": 'job=$(<"$1")\nbash -c "$job" > /dev/null 2>&1 &\necho "Submitted batch job 1"',
        "scancel": "true",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    of_the_page = {
        'cores=16, processes=16, memory="64GB"': 'cores=1, processes=1, memory="2GB"',
        "source ~/ainerd.env": "true",
        "jobs=4": "jobs=1",
    }
    given = []

    def use(text):
        with Client(text.split()[1], set_as_default=False) as client:
            given.append(client.submit(eval, "1 + 1").result())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        exec(script("workers.py", of_the_page), {"input": use})
    assert given == [2]


def test_an_address_without_a_scheduler_is_refused():
    with pytest.raises(ValueError, match="no Dask scheduler answers at 'processes'"), mapping("processes"):
        pass


def test_series_are_analysed_in_one_process(archive, monkeypatch):
    monkeypatch.setattr(RheoXPCS, "unit", Series("ramp"))
    done = CliRunner().invoke(app, ["replay", "--dask", "local"])
    assert isinstance(done.exception, ValueError) and "is of several runs: leave --dask out" in str(done.exception)
