"""An archive reprocessed by Dask, also on SLURM, with the same results as in one process."""

import getpass
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from distributed import Client, KilledWorker, LocalCluster
from typer.testing import CliRunner

from agents.demo.simulated import hardware_beside, simulated_instrument
from ainerd.agent import build_technique
from ainerd.cli import app, reanalysis
from ainerd.cli.reanalysis import Workplace, analyse
from ainerd.config import Settings
from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import ServerError, embedded_server, open_catalog
from ainerd.technique import Series
from ainerd_xpcs.technique import RheoXPCS
from tests.waiting import until

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
REPLAY = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "files" / "slurm" / "replay.py"
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

    def workplace(self, *, embedded):
        """Return the description that a worker receives."""
        settings = Settings.load(SMALL)
        technique = build_technique(settings, self.store)
        return Workplace.of(settings, self.server.client(), technique, embedded=embedded)

    def forget(self, *keys):
        """Remove results; all of them without `keys`."""
        results = self.store.container["results"]
        for key in keys or list(results):
            results.delete_contents(key, recursive=True, external_only=False)
        self.store.refresh()

    def results(self):
        """Return the parts of each result that two analyses must share, with arrays as bytes."""
        self.store.refresh()
        results = {}
        for key in self.store.table().index:
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


@pytest.fixture(scope="module")
def cluster():
    """A worker, started before the archive exists, and its client; each start imports the agent."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client


@pytest.fixture(scope="module", autouse=True)
def environment(cluster, archive, bank_file):
    """Set the environment of the command: the archive, and a part of the shipped bank, which is calibrated quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_CONFIG", str(SMALL))
        patch.setenv("AINERD_RHEO_XPCS__BANK", str(bank_file))
        patch.setenv("AINERD_STORAGE__DIRECTORY", str(archive.server.directory))
        patch.setenv("AINERD_STORAGE__FRAMES", json.dumps([str(archive.server.directory.parent / "frames")]))
        yield


@pytest.fixture(scope="module")
def serial(archive):
    """Output and results of one process; its results are removed afterwards."""
    output = archive.replay()
    results = archive.results()
    archive.forget()
    return output, results


@pytest.fixture
def address(cluster):
    return cluster[0].scheduler_address


def kill_at_work(archive, client, replay):
    """Kill the worker while it analyses a run, and return its process id. It stands still during a second look."""

    def is_at_work():
        return any(client.processing().values()) and len(archive.store.table("computing"))

    (pid,) = client.run(os.getpid).values()
    while not replay.done():
        if is_at_work():
            os.kill(pid, signal.SIGSTOP)
            is_caught = is_at_work()
            os.kill(pid, signal.SIGKILL if is_caught else signal.SIGCONT)
            if is_caught:
                return pid
        time.sleep(0.05)
    raise AssertionError(f"no moment with a run in hand: {replay.result()}")


def test_workers_of_dask_write_the_results_of_one_process_bit_for_bit(archive, address, serial):
    archive.forget()
    output = archive.replay("--dask", address)
    assert output == serial[0]
    assert len(output["complete"]) == RUNS - 1 and "no file" in " ".join(output["failed"].values())
    assert archive.results() == serial[1]
    assert any(record["novelty_p"] is not None for record, _ in serial[1].values() if record["status"] == "complete")


def test_only_missing_results_are_made_and_again_after_a_killed_worker(archive, cluster, address, serial):
    first, *others = serial[0]["complete"].values()
    created = archive.store.table()["created"]
    archive.forget(first)
    with ThreadPoolExecutor() as pool:
        output = pool.submit(archive.replay, "--dask", address)
        killed = kill_at_work(archive, cluster[1], output)
        output = output.result()
    assert list(output["complete"].values()) == [first] and not output["failed"]
    assert archive.results() == serial[1]
    assert archive.store.table()["created"][others].equals(created[others])
    assert killed not in cluster[1].run(os.getpid).values()


def test_no_key_travels(archive, cluster, serial, monkeypatch):
    """The API key is neither sent nor logged; a worker without it says so."""
    lines = [line for logs in cluster[0].get_logs().values() for line in str(logs).splitlines()]
    lines += map(str, cluster[1].get_scheduler_logs())
    assert lines and not any(archive.server.api_key in line for line in lines)
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", archive.server.api_key)
    settings = Settings.load(SMALL)
    workplace = Workplace.of(
        settings, archive.server.client(), build_technique(settings, archive.store), embedded=False
    )
    assert settings.storage.api_key and archive.server.api_key not in str(workplace)
    uid = next(iter(serial[0]["complete"])).partition("/")[0]
    with pytest.raises(ServerError, match="requires an API key"):
        cluster[1].submit(analyse, uid, workplace, pure=False).result()
    other = replace(workplace, embedded=True, parameters='{"technique": "rheo_xpcs", "n_roi": 2}')
    with pytest.raises(ValueError, match="n_roi.* would differ from this command's"):
        cluster[1].submit(analyse, uid, other, pure=False).result()


def test_one_run_is_shared_as_the_page_says(archive, address):
    code = (SMALL.parents[2] / "docs" / "how-to" / "files" / "slurm" / "one_run.py").read_text()
    names = {"of_settings": build_technique(Settings.load(SMALL)).partition}
    for of_the_page, here in {
        "tcp://scheduler.example.org:8786": address,
        "100_000": str(FRAMES),
        "/data/movie.h5": str(archive.frames[0]),
        'Partition.load("qmap.h5")': "of_settings",
    }.items():
        assert of_the_page in code
        code = code.replace(of_the_page, here)
    exec(code, names)
    np.testing.assert_array_equal(names["maps"], names["maps_of"](names["partition"], names["path"], FRAMES))


@pytest.mark.parametrize("address", ["nowhere://1", "processes"])
def test_an_address_without_a_scheduler_is_refused(archive, serial, address):
    done = CliRunner().invoke(app, ["replay", "--dask", address])
    assert isinstance(done.exception, ValueError)
    assert f"no Dask scheduler answers at '{address}'" in str(done.exception)


def test_series_are_refused(archive, monkeypatch):
    monkeypatch.setattr(RheoXPCS, "unit", Series("ramp"))
    done = CliRunner().invoke(app, ["replay", "--dask", "local"])
    assert isinstance(done.exception, ValueError) and "is of several runs: leave --dask out" in str(done.exception)


def test_a_run_that_kills_its_workers_is_reported_and_the_others_are_analysed(archive, serial, monkeypatch):
    event, key = [*serial[0]["complete"].items()][-1]
    archive.forget()
    deadly = event.partition("/")[0]

    class Workers(ThreadPoolExecutor):
        def submit(self, function, uid, workplace):
            return super().submit(dies if uid == deadly else function, uid, workplace)

    def dies(uid, workplace):
        raise KilledWorker(uid, None, 4)

    monkeypatch.setattr(reanalysis, "workers", lambda address: Workers(1))
    output = archive.replay("--dask", "local")
    assert output["complete"] == {other: of for other, of in serial[0]["complete"].items() if other != event}
    assert output["failed"][deadly] == "four workers died over it: too little memory?"
    assert archive.results() == {other: result for other, result in serial[1].items() if other != key}


@contextmanager
def slurm(folder):
    """A SLURM of one node, this machine; sets its configuration in the environment."""
    host, ports = socket.gethostname().partition(".")[0], []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    settings = {
        "ClusterName": "one", "SlurmctldHost": f"{host}(127.0.0.1)", "SlurmctldPort": ports[0], "SlurmdPort": ports[1],
        "AuthType": "auth/munge", "AuthInfo": f"socket={folder}/munge", "CredType": "cred/munge",
        "SlurmUser": getpass.getuser(), "SlurmdUser": getpass.getuser(), "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool", "SlurmctldPidFile": f"{folder}/c.pid", "SlurmdPidFile": f"{folder}/d.pid",
        "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none", "MpiDefault": "none", "ReturnToService": 2,
        "SelectType": "select/cons_tres", "SlurmdParameters": "config_overrides", "KillWait": 1,
    }  # fmt: skip
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines += [f"NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000", "PartitionName=all Nodes=ALL Default=YES"]
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
    munge = {"key-file": "key", "socket": "munge", "pid-file": "m.pid", "seed-file": "seed", "log-file": "munge.log"}
    commands = [["munged", "-F", "-f", *(f"--{name}={folder}/{path}" for name, path in munge.items())]]
    commands += [["slurmctld", "-D"], ["slurmd", "-D"]]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PATH", f"/usr/sbin:{os.environ['PATH']}")
        for command in commands:
            log = stack.enter_context(open(folder / f"{command[0]}.out", "wb"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(process.terminate)
            if command[0] == "munged":
                until((folder / "munge").exists)
        until(lambda: "idle" in subprocess.run(["sinfo", "-h"], capture_output=True, text=True).stdout)
        yield


@pytest.mark.skipif(shutil.which("slurmctld", path="/usr/sbin:/usr/bin") is None, reason="SLURM is not installed")
def test_jobs_of_slurm_give_the_same_results(archive, serial, tmp_path, monkeypatch):
    """By the script of the page, whose command runs in this process."""
    pytest.importorskip("dask_jobqueue")
    archive.forget()

    def replay(command):
        assert command[:4] == [sys.executable, "-m", "ainerd", "replay"]
        return subprocess.CompletedProcess(command, 0, archive.replay(*command[4:]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(REPLAY), "1"])
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # munge wants a short path, which others may enter
    folder.chmod(0o755)
    try:
        with slurm(folder), pytest.raises(SystemExit) as ended:
            monkeypatch.setattr(subprocess, "run", replay)
            runpy.run_path(str(REPLAY), run_name="__main__")
    finally:
        shutil.rmtree(folder)
    assert ended.value.code == 0
    assert archive.results() == serial[1]
    assert list(tmp_path.glob("slurm-*.out"))  # the jobs' own logs: SLURM ran them
