"""Kill -9 at random moments: sessions, `watch`, `steer`, the RE Manager and the server, while runs come.

A session takes runs: count, num=3, scans, flying, plans that fail or are aborted, and positions that its agent
suggests. Each frame carries its number and the position of the motor, and a witness on disk notes each document after
the agent had it. A process of ``ainerd watch`` follows the same catalog under the same name in half of the rounds, and
where there is a redis-server, one of ``ainerd steer`` lets an RE Manager measure suggestions in others. One or two
processes are killed at a time. In some rounds the disk is full, the server stalls, the catalog is locked, or a clock
jumps. In the end there must be one result for each event that the witness saw, with its position; no event may have
two, no suggestion may be measured twice, and no raw run may stay in the backup without a sentence in the log. The exit
code is 1 otherwise.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bluesky_queueserver_api.zmq import REManagerAPI
from rich.progress import track

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, connect, embedded_server, open_catalog
from studies._killed import END_S, PATIENCE_S, session, steer, watch
from studies._numbered import mismatch
from studies._tools import Row, Study, report

SHARES = {
    "session": 0.3, "server": 0.1, "watch": 0.08, "steer": 0.12, "session and server": 0.07, "watch and server": 0.06,
    "session and watch": 0.07, "steer and server": 0.05, "session and steer": 0.05, "manager": 0.1,
}  # fmt: skip
WEATHER = ("none", "full disk", "server stalls", "catalog locked")
WEATHER_SHARES = (0.55, 0.15, 0.15, 0.15)
LONGEST_S = 5.0  # until the next kill
IN_THE_START = 0.25  # share of the kills that do not wait until the session takes runs
JUMPS = 0.15  # share of the processes whose clock jumps
SIZE_MB = 192  # of the disk of the server and of documents

study = Study(__doc__)


@study.part
def chaos(kills: int = 300, minutes: float = 35.0, seed: int = 0) -> None:
    """Kill processes, and judge the results; ends after so many minutes if the machine is slow."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name) / "tiled") as storage:
        world = World(Path(name), storage, seed)
        try:
            for _ in track(range(kills), "kills"):
                if time.monotonic() - began > 60 * minutes:
                    break
                world.round()
            row, wrong = world.judged()
        finally:
            world.close()
    took = (time.monotonic() - began) / 60
    n = sum(world.killed.values())
    report("chaos_kills", [{"what": what, "times": n} for what, n in [*world.killed.items(), *world.weather.items()]])
    report("chaos", [row], seed=seed, kills=n, minutes=took, wrong=wrong)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder, which is a disk of its own (tmpfs) where this process may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "none", str(folder)]
    is_disk = subprocess.run(command, capture_output=True).returncode == 0
    if not is_disk:
        print("no tmpfs can be mounted here: no round has a full disk", file=sys.stderr)
    try:
        yield folder
    finally:
        if is_disk:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def re_manager(folder: Path, storage: Path, address: tuple[str, str]) -> Iterator[Callable[[], None]]:
    """Run an RE Manager with an open environment, and yield a function that kills it and starts another one.

    At the end its plan ends, and all runs are written.
    """
    ports = list[str]()
    for probe in [contextlib.closing(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]:
        with probe as server:
            ports.append(f"127.0.0.1:{server.getsockname()[1]}")
    redis, control, info = ports
    os.environ |= {
        "AINERD_CHAOS": "\n".join([*map(str, (folder, storage)), *address]),
        "QSERVER_ZMQ_CONTROL_ADDRESS": f"tcp://{control}",
    }
    scripts, users = Path(sys.executable).parent, "profiles/queueserver/startup/user_group_permissions.yaml"
    options = {"startup-module": "studies._queue", "user-group-permissions": users, "redis-addr": redis}
    options |= {"zmq-control-addr": f"tcp://{control}", "zmq-info-addr": f"tcp://{info}"}
    options |= {"update-existing-plans-devices": "NEVER", "existing-plans-devices": folder / "plans.yaml"}
    redis_server = ["redis-server", "--bind", "127.0.0.1", "--port", redis.partition(":")[2], "--save", ""]
    manager = [scripts / "start-re-manager", *(f"--{name}={value}" for name, value in options.items())]
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}  # where the manager finds its startup module
    with open(folder / "queue.log", "w") as log, contextlib.ExitStack() as stack:

        def started(command: list[Any]) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=here)
            stack.callback(process.terminate)
            return process

        def opened() -> subprocess.Popen[bytes]:
            process = started(manager)
            api.wait_for_idle(timeout=PATIENCE_S)
            api.environment_open()
            api.wait_for_idle(timeout=PATIENCE_S)
            if not api.status(reload=True)["worker_environment_exists"]:
                raise RuntimeError(
                    f"the RE Manager opened no environment: {(folder / 'queue.log').read_text()[-2000:]}"
                )
            return process

        def replace() -> None:
            nonlocal running
            os.killpg(running.pid, signal.SIGKILL)  # with its worker
            running.wait()
            running = opened()
            api.queue_autostart(True)

        started(redis_server)
        api = stack.enter_context(contextlib.closing(REManagerAPI(zmq_control_addr=f"tcp://{control}")))
        running = opened()
        yield replace
        if api.status(reload=True)["worker_environment_exists"]:
            api.queue_autostart(False)
            api.wait_for_idle(timeout=PATIENCE_S)
            api.environment_close()
            api.wait_for_idle(timeout=PATIENCE_S)


class World:
    """A server, and sessions that come and go.

    Parameters
    ----------
    folder : Path
    storage : Path
        Folder of the server.
    seed : int
        Of the choice of victims, moments, and plans.
    """

    def __init__(self, folder: Path, storage: Path, seed: int) -> None:
        self.folder, self.storage = folder, storage
        self._rng, self._n = np.random.default_rng(seed), 0
        self.killed, self.weather = Counter[str](), Counter[str]()
        self.ended: list[str] = []  # processes that ended by themselves
        self._alive: dict[str, BaseProcess] = {}
        self._sessions = 0  # number of the newest one
        os.environ["OPHYD_CONTROL_LAYER"] = "dummy"  # or each process has threads before it is forked
        self._fork = get_context("forkserver")
        self._fork.set_forkserver_preload(["studies._killed"])
        self._server: EmbeddedServer = embedded_server(storage, readable_storage=[folder / "frames"])
        open_catalog(self._server.client())
        self._address = self._server.uri, self._server.api_key
        self._queue = contextlib.ExitStack()
        self._shares = {
            name: share
            for name, share in SHARES.items()
            if not ("steer" in name or name == "manager") or shutil.which("redis-server")
        }
        if "steer" in self._shares:
            self._replace_manager = self._queue.enter_context(re_manager(folder, storage, self._address))

    def round(self) -> None:
        """Let all processes work for some time, and kill one or two of them."""
        shares = np.array([*self._shares.values()])
        victim = str(self._rng.choice([*self._shares], p=shares / shares.sum()))
        weather = str(self._rng.choice(WEATHER, p=WEATHER_SHARES))
        if weather == "full disk" and not os.path.ismount(self.storage):
            weather = "none"
        if "session" not in self._alive:
            self._alive["session"] = self._start(session)
        for name, work in (("watch", watch), ("steer", steer)):
            is_needed = name in victim or (name == "steer" and victim == "manager")
            if name not in self._alive and (is_needed or (name in self._shares and self._rng.random() < 0.3)):
                self._alive[name] = self._start(work)
        if self._rng.random() > IN_THE_START:
            self._wait_for_runs()
        moment = float(self._rng.uniform(0, LONGEST_S))
        with self._bad(weather, moment):
            time.sleep(moment)
            for name in victim.split(" and "):
                if name == "server":
                    self._kill_server()
                elif name == "manager":
                    self._replace_manager()
                else:
                    self._alive[name].kill()
        for name in {*victim.split(" and ")} - {"server", "manager"}:
            self._alive.pop(name).join()
        self.killed[victim] += 1
        self.weather[weather] += 1
        self._server_is_back()

    def _wait_for_runs(self) -> None:
        """Wait until the session has taken a run, or has ended by itself."""
        end, files = time.monotonic() + PATIENCE_S, f"session-{self._sessions:04d}.witness"
        while not (self.folder / files).exists():
            if not self._alive["session"].is_alive() or time.monotonic() > end:
                self.ended.append(self._end_of(self._alive["session"]))
                self._alive["session"].kill()
                self._alive["session"].join()
                self._alive["session"] = self._start(session)
                return
            time.sleep(0.05)

    def judged(self) -> tuple[Row, list[str]]:
        """Let a last session analyse the remaining runs; return the counts and the faults."""
        for process in self._alive.values():  # these end as usual
            if process.is_alive():
                process.terminate()
            process.join(PATIENCE_S)
            if process.exitcode != 0:
                self.ended.append(self._end_of(process))
        self._queue.close()
        last = self._start(session, True)
        last.join(END_S)
        if last.is_alive() or last.exitcode:
            return {}, [f"the last session ended with {last.exitcode} (None: never)", self._log()[-2000:]]
        client = connect(*self._address)
        try:
            return self._compare(ResultStore(client["ainerd"]), dict(client["raw"].items()))
        finally:
            client.context.http_client.close()

    def _end_of(self, process: BaseProcess) -> str:
        """Return how a process ended, and the last lines of its log. A process that hangs logs its stack first."""
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGUSR1)  # it writes the stack of each thread to its log
            process.join(1.0)
        log = (self.folder / f"{process.name}.log").read_text(errors="replace")
        return f"{process.name} ended with {process.exitcode} (None: never)\n{log[-5000:]}"

    def _compare(self, store: ResultStore, raw: dict[str, Any]) -> tuple[Row, list[str]]:
        table, seen, wrong = store.table(), self._witnessed(), list[str]()
        n_results: dict[str, Counter[float]] = defaultdict(Counter)
        for uid, event in zip(table["raw_uid"], table["event"].fillna(0), strict=True):
            n_results[uid][event] += 1
        wrong += self.ended
        wrong += [f"{n} results of event {e} of {uid}" for uid, c in n_results.items() for e, n in c.items() if n > 1]
        for uid, events in seen.items():
            if (n := len(n_results[uid])) < events:
                wrong.append(f"run {uid} has {n} results of {events} events{self._sentence(uid)}")
        for key, row in table.iterrows():
            if row["status"] in ("complete", "partial"):
                try:
                    why = mismatch(store, row, str(key))
                except KeyError as error:  # the metadata name an array, and its file does not have it
                    why = str(error)
                if why:
                    wrong.append(f"{row['raw_uid']}, event {row['event']}: {why}")
            elif row["status"] != "failed" or not row["reason"]:
                wrong.append(f"{row['raw_uid']}, event {row['event']}: {row['status']}, {row['reason']}")
        measured = table.dropna(subset=["suggestion_id"]) if "suggestion_id" in table else pd.DataFrame()
        if len(measured):
            runs = measured.groupby("suggestion_id")["raw_uid"].nunique()
            wrong += [f"suggestion {id} was measured in {n} runs" for id, n in runs.items() if n > 1]
        suggestions = store.suggestions()
        still = suggestions["status"].isin(["accepted", "taken"]) if len(suggestions) else pd.Series(dtype=bool)
        wrong += [f"suggestion {id} is still {row['status']}" for id, row in suggestions[still].iterrows()]
        wrong += [f"raw run {uid} is not in Tiled{self._sentence(uid)}" for uid in set(seen) - set(raw)]
        for path in self.storage.joinpath("unwritten").rglob("*"):
            if path.is_file() and path.suffix != ".agent" and path.name not in self._log():
                wrong.append(f"{path.name} stays, and no sentence names it")
        counts = table["status"].value_counts()
        row = {
            "runs": len(seen), "events": sum(seen.values()), "results": len(table),
            **{status: int(counts.get(status, 0)) for status in ("complete", "partial", "failed")},
            "suggestions measured": len(measured), "wrong": len(wrong),
        }  # fmt: skip
        return row, wrong

    def close(self) -> None:
        """End all processes."""
        for process in self._alive.values():
            process.kill()
        self._queue.close()
        self._server.close()

    def _start(self, work: Callable[..., None], is_last: bool = False) -> BaseProcess:
        self._n += 1
        if work is session:
            self._sessions = self._n
        seed, jumps = int(self._rng.integers(2**32)), not is_last and bool(self._rng.random() < JUMPS)
        self.weather["clock of a process jumps"] += jumps
        options = (self.folder, self.storage, self._address, self._n, seed, jumps, is_last)
        process = self._fork.Process(target=work, args=options, name=f"{work.__name__}-{self._n:04d}")
        process.start()
        return process

    @contextlib.contextmanager
    def _bad(self, weather: str, moment: float) -> Iterator[None]:
        """Let something happen for the second half of the time until the kill, and for a second after it."""
        if weather == "none":
            yield
            return
        happens = {"full disk": self._fill, "server stalls": self._stall, "catalog locked": self._lock}[weather]
        thread = threading.Thread(target=happens, args=(moment / 2, moment / 2 + 1.0))
        thread.start()
        yield
        thread.join()

    def _fill(self, after_s: float, for_s: float) -> None:
        time.sleep(after_s)
        filler = self.storage / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        time.sleep(for_s)
        filler.unlink()

    def _stall(self, after_s: float, for_s: float) -> None:
        time.sleep(after_s)
        if (pid := self._server_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(for_s)
                os.kill(pid, signal.SIGCONT)

    def _lock(self, after_s: float, for_s: float) -> None:
        time.sleep(after_s)
        catalog = sqlite3.connect(self.storage / "catalog.db", timeout=5, isolation_level=None)
        with contextlib.closing(catalog), contextlib.suppress(sqlite3.OperationalError):
            catalog.execute("BEGIN EXCLUSIVE")
            time.sleep(for_s)
            catalog.execute("ROLLBACK")

    def _server_pid(self) -> int | None:
        try:
            return int(json.loads((self.storage / "server.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None

    def _kill_server(self) -> None:
        if (pid := self._server_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _server_is_back(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                client = connect(*self._address)
                client.context.http_client.close()
                return
            time.sleep(0.2)
        raise TimeoutError(f"the server did not come back in {PATIENCE_S:.0f} s")

    def _log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def _sentence(self, uid: str) -> str:
        lines = [line for line in self._log().splitlines() if uid in line]
        return (
            "; the log says:" + "".join(f"\n  {line[:200]}" for line in lines)
            if lines
            else ", and the log says nothing"
        )

    def _witnessed(self) -> dict[str, int]:
        """Return the number of events with frames in each run, as its session noted them."""
        events: dict[str, int] = {}
        for path in self.folder.glob("*.witness"):
            for line in path.read_text().splitlines():
                uid, n = line.split()
                events[uid] = int(n)
        return events


if __name__ == "__main__":
    study()
