"""Kill -9 at random moments: the session, the server, or both, while a campaign measures.

A session takes counts and scans, and measures the positions that its agent suggests; `BufferingWrapper(TiledWriter)`
writes its runs to the embedded server, or to a stock Tiled on PostgreSQL. Meanwhile somebody in another process holds
and releases the campaign, and adds points. Each frame carries its number and the position of the motor. In the end each
event that Tiled has must have one complete result, of these frames and with this position; no suggestion is measured in
two runs and no position by two suggestions; no suggestion stays open, and nothing stays in the backup of raw runs. The
exit code is 1 otherwise. A kill loses documents that Tiled did not have yet: such events need no result.
"""

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from rich.progress import track
from tiled.client.container import Container

from ainerd.results import AgentNode, ResultStore, TiledError, commands
from ainerd.server import ServerError, connect, embedded_server, open_catalog
from studies._killed import PATIENCE_S, connected, session
from studies._numbered import mismatch, settings_of
from studies._tools import Row, Study, report

SHARES = {"session": 0.5, "server": 0.2, "both": 0.3}
LONGEST_S = 5.0  # until the next kill
IN_THE_START = 0.25  # share of the kills that do not wait until the session has taken a run
COMMANDS = 2  # of a person, in each round
OPEN = ("accepted", "taken")  # statuses of suggestions that somebody measures

study = Study(__doc__)


@study.part
def chaos(kills: int = 200, minutes: float = 60.0, seed: int = 0, postgres: bool = False) -> None:
    """Kill processes, and judge the results; ends after so many minutes if the machine is slow.

    With `postgres` the server is a stock Tiled on PostgreSQL.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name), seed, postgres)
        try:
            for _ in track(range(kills), "kills"):
                if time.monotonic() - began > 60 * minutes:
                    break
                world.round()
            row, wrong = world.judged()
        finally:
            world.close()
    row = {**{f"{what} killed": world.killed[what] for what in SHARES}, "commands": world.n_commands, **row}
    name = "chaos_postgres" if postgres else "chaos"
    report(name, [row], seed=seed, minutes=(time.monotonic() - began) / 60, wrong=wrong)


class World:
    """A server, and one session after another.

    Parameters
    ----------
    folder : Path
    seed : int
        Of the choice of victims, moments, plans and commands.
    postgres : bool
    """

    def __init__(self, folder: Path, seed: int, postgres: bool) -> None:
        self._folder, self._storage = folder, folder / "tiled"
        self._rng, self._n, self.killed = np.random.default_rng(seed), 0, Counter[str]()
        self._ended: list[str] = []  # sessions that ended by themselves
        os.environ["OPHYD_CONTROL_LAYER"] = "dummy"  # or each process has threads before it is forked
        self._fork = get_context("forkserver")
        self._fork.set_forkserver_preload(["studies._killed"])
        if postgres:
            from studies._postgres import MortalTiled

            self._storage.mkdir()
            self._mortal: MortalTiled | None = MortalTiled(folder)
            self._address: tuple[str, str] = self._mortal.uri, self._mortal.api_key
            open_catalog(connected(self._address))
        else:
            self._mortal, self._server = None, embedded_server(self._storage, readable_storage=[folder / "frames"])
            open_catalog(self._server.client())
            self._address = self._server.uri, self._server.api_key
        self.n_commands = 0
        self._session: BaseProcess | None = None

    def round(self) -> None:
        """Let the session work for some time, and kill it, the server, or both."""
        victim = str(self._rng.choice([*SHARES], p=[*SHARES.values()]))
        alive = self._session = self._session or self._start()
        if self._rng.random() > IN_THE_START and not self._has_taken_a_run(alive):
            self._ended.append(self._end_of(alive))
            alive.kill()
        for _ in range(COMMANDS):
            time.sleep(float(self._rng.uniform(0, LONGEST_S / COMMANDS)))
            self._command()
        if victim != "session":
            self._kill_server()
        if victim != "server":
            alive.kill()
        if victim != "server" or not alive.is_alive():
            alive.join()
            self._session = None
        self.killed[victim] += 1
        connected(self._address).context.http_client.close()  # the server is back

    def judged(self) -> tuple[Row, list[str]]:
        """Let a last session analyse the remaining runs; return the counts and the faults."""
        if self._session is not None:
            self._session.terminate()
            self._session.join(PATIENCE_S)
            if self._session.exitcode != 0:
                self._ended.append(self._end_of(self._session))
        last = self._session = self._start(is_last=True)
        last.join(6 * PATIENCE_S)
        if last.exitcode != 0:
            return {}, [self._end_of(last)]
        client = connect(*self._address)
        try:
            store = ResultStore(client["ainerd"])
            events = {uid: events_of(run) for uid, run in client["raw"].items()}
            backup = [path.name for path in (self._storage / "unwritten").rglob("*.jsonl")]
            wrong = [*self._ended, *faults(store, events), *(f"{name} stays in the backup" for name in backup)]
            status = store.table(all=True)["status"].value_counts()
            row = {"runs": len(events), "events": sum(events.values()), **status.to_dict(), "wrong": len(wrong)}
            return row, wrong
        finally:
            client.context.http_client.close()

    def close(self) -> None:
        """End all processes."""
        if self._session is not None:
            self._session.kill()
        (self._mortal or self._server).close()

    def _command(self) -> None:
        """Give a command as another process does; a server that was just killed takes none."""
        x = float(np.round(self._rng.uniform(0, 10), 6))
        holds: list[commands.Command] = [commands.Hold(by="Ada"), commands.Release(by="Ada")]
        given = holds if self._rng.random() < 0.5 else [commands.Add(position={"sample_x": x}, by="Ada")]
        with suppress(TiledError, ServerError, KeyError):
            client = connect(*self._address)
            for command in given:
                AgentNode(client["ainerd"], settings_of(self._folder, self._storage).name).send(command)
                self.n_commands += 1
            client.context.http_client.close()

    def _start(self, *, is_last: bool = False) -> BaseProcess:
        self._n += 1
        options = (self._folder, self._storage, self._address, self._n, int(self._rng.integers(2**32)), is_last)
        process = self._fork.Process(target=session, args=options, name=f"session-{self._n:04d}")
        process.start()
        return process

    def _has_taken_a_run(self, process: BaseProcess) -> bool:
        """Wait for the end of its first run; return False if there is none in time."""
        end = time.monotonic() + PATIENCE_S
        while not (self._folder / f"{process.name}.began").exists():
            if not process.is_alive() or time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def _kill_server(self) -> None:
        if self._mortal is not None:
            return self._mortal.kill()
        with suppress(OSError, ValueError, KeyError):  # it is about to start
            os.kill(int(json.loads((self._storage / "server.json").read_text())["pid"]), signal.SIGKILL)

    def _end_of(self, process: BaseProcess) -> str:
        """Return how a process ended, and the last lines of its log. A process that hangs logs its stack first."""
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGUSR1)
            process.join(1.0)
        log = (self._folder / f"{process.name}.log").read_text(errors="replace")
        return f"{process.name} ended with {process.exitcode} (None: never)\n{log[-5000:]}"


def events_of(run: Container) -> int:
    """Return the number of exposures of a run that Tiled has."""
    with suppress(KeyError):  # a run without frames, or none of them was written
        return int(run["primary"].base["stack_image"].shape[0])
    return 0


def faults(store: ResultStore, events: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for each event without its one complete result, and for each suggestion that is wrong."""
    table, suggestions = store.table(all=True), store.suggestions()
    n_results = Counter(zip(table["raw_uid"], table["event"].fillna(1).astype(int), strict=True))
    yield from (f"{n} results of event {event} of {uid}" for (uid, event), n in n_results.items() if n > 1)
    for key, row in table.iterrows():
        name, n = f"event {row['event']} of {row['raw_uid']}", events.get(row["raw_uid"], 0)
        if row["status"] == "complete":
            if why := mismatch(store, row, str(key)):
                yield f"{name}: {why}"
        elif row["event"] <= n:
            yield f"{name} is {row['status']}: {row['reason']}"
    for uid, n in events.items():
        yield from (f"event {event} of {uid} has no result" for event in range(1, n + 1) if not n_results[uid, event])
    runs = table.dropna(subset=["suggestion_id"]).groupby("suggestion_id")["raw_uid"].nunique()
    yield from (f"suggestion {id} was measured in {n} runs" for id, n in runs[runs > 1].items())
    measured = suggestions[suggestions["status"] == "measured"]
    again = measured[measured["sample_x"].round(6).duplicated(keep=False)]
    yield from (f"x = {row['sample_x']:g} was suggested twice: {row['reason']}" for _, row in again.iterrows())
    still = suggestions[suggestions["status"].isin(OPEN)]
    yield from (f"suggestion {id} is still {row['status']}" for id, row in still.iterrows())


if __name__ == "__main__":
    study()
