"""IPython sessions: how long a person waits at the prompt, and whether anything is lost when a session ends.

prompt   A real IPython in a pseudo-terminal, with the small simulated instrument. Its start is compared with its
         necessary parts, measured in turn with it: the imports, in an interpreter of their own, and the start of
         Tiled's server. The latency of a run is from its last StreamDatum to its complete result in Tiled. Numba's
         cache belongs to the study: it is empty for the very first session, which compiles, and full for the others.
         Runs that need a new calibration are counted apart. Then ``agent`` is typed while Tiled is killed or hangs.
leaving  A session takes a run. From the first frame to two seconds after the last, at a random moment, it is ended:
         ``exit`` or Ctrl-D typed, Ctrl-C twice and ``exit``, SIGTERM, the terminal closed (SIGHUP), or ``kill -9``.
         The next session starts with the files that are left. In the end each run must have one result: complete if
         all its frames came, partial if the session ended before the detector did.
restart  How soon an agent is ready that finds synthetic results in Tiled. Ready means built, with its regimes and its
         map of the sample, and with a suggestion. Imports and connection come before.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
from rich.progress import track

from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer, build_technique
from ainerd.results import AtlasRecord, ResultStore
from ainerd.server import EmbeddedServer, connect, embedded_server, open_catalog
from studies._catalogue import REGIMES, record, write
from studies._session import settings_in
from studies._tools import Row, Study, report, spread

PATIENCE_S, READY_S, END_S = 240.0, 600.0, 300.0
PROMPT = r"In \[\d+\]: "
MOST_RUNS = 8  # of a session, to find those that need no new calibration
IMPORTS = """
import time
began = time.perf_counter()
import IPython.terminal.ipapp
import bluesky.plan_stubs, bluesky.plans, agents.demo.simulated, agents.rheo_xpcs, ainerd.agent
import ainerd.techniques.rheo_xpcs._technique, pyFAI.detectors
print(time.perf_counter() - began)
"""
TILED = """
import sys, time
from pathlib import Path
from ainerd.server import EmbeddedServer
began = time.perf_counter()
server = EmbeddedServer.start(Path(sys.argv[1]))
server.client()
print(time.perf_counter() - began)
server.close()
"""
LATENCY = """
import threading, time
from platformdirs import user_cache_path
from ainerd.steering import expose
at = {}
def note(name, doc):
    if name == "stream_datum":
        at["last"] = time.perf_counter()

token = RE.subscribe(note)
write = agent.results.complete
def complete(*args, **kwargs):
    written = write(*args, **kwargs)
    at["done"] = time.perf_counter()
    return written

agent.results.complete = complete
agent.quiet = True
cache = user_cache_path("ainerd")
def latency():
    before = set(cache.glob("*.safetensors"))
    RE(expose(lambda750k, beside=[rheometer], shutter=shutter))
    agent.drain(200)
    print("LATENCY", at["done"] - at["last"], len(set(cache.glob("*.safetensors")) - before))
"""
WARM = "[t.join() for t in threading.enumerate() if t.name == 'ainerd-warm-up']; print('WARM')"
ASK = "asked = time.perf_counter(); display(agent); print('ANSWERED', time.perf_counter() - asked)"
AFTER_S, N_FRAMES = 2.0, 2000
MARKS = f"""
import time
from ainerd.steering import expose
RE(bps.mv(shutter, "open"))
lambda750k.cam.num_images.put({N_FRAMES})
agent.drain(120)
note = open(PATH, "a", buffering=1)
seen = set()
def mark(name, doc):
    if name == "start":
        seen.clear()
    if name not in seen and name in ("start", "stream_datum", "stop"):
        seen.add(name); print(name, time.time(), doc.get("uid"), file=note)

token = RE.subscribe(mark)
"""

study = Study(__doc__)


@study.part
def prompt(rounds: int = 5, quick: bool = False) -> None:
    """Measure starts, first runs, and answers without Tiled; ``--quick`` takes two rounds."""
    rounds = 2 if quick else rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
        starts: list[dict[str, float]] = []
        runs: dict[str, list[dict[str, float]]] = {"very first session": [], "later session": []}
        calibrated: list[float] = []
        for turn in track(range(rounds + 1), description="sessions (the first compiles)"):
            ready_s, latencies = session_and_runs(folder, calibrated, waits=turn == 0)
            if turn:
                others = {"imports": in_interpreter(IMPORTS), "Tiled": in_interpreter(TILED, str(folder / "tiled"))}
                starts.append({"session": ready_s, **others})
            runs["later session" if turn else "very first session"].append(latencies)
        report("prompt_start", start_rows(starts), rounds=rounds, each=starts)
        report("prompt_first_run", run_rows(runs, calibrated), each=runs, calibrated=calibrated)
        report("prompt_without_tiled", without_tiled(folder, rounds), rounds=rounds)


@study.part
def leaving(exits: int = 40, seed: int = 0, quick: bool = False) -> None:
    """End sessions, and judge their runs; ``--quick`` ends six, one in each way."""
    n, rng = 6 if quick else exits, np.random.default_rng(seed)
    ways = [name for _ in range(-(-n // len(WAYS))) for name in rng.permutation([*WAYS])][:n]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_s, left = undisturbed(folder), list[Row]()
        for i, (way, share) in track([*enumerate(zip(ways, rng.uniform(0, 1, n), strict=True))]):
            left.append(leave(folder, i + 1, way, share * (run_s + AFTER_S)))
            run_s = left[-1]["run_s"] or run_s  # the machine may be busier than before
        Marked(folder, n + 1).exit()
        with embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server:
            judge(left, ResultStore(server.client()["ainerd"]))
    rows = [exits_row(way, [each for each in left if way in ("all", each["way"])]) for way in (*WAYS, "all")]
    report("leaving", [row for row in rows if row["exits"]], seed=seed, n_frames=N_FRAMES, each=left)


@study.part
def restart(results: int = 1000, rounds: int = 3) -> None:
    """Start agents on 100 results and on more."""
    rows = []
    for n in dict.fromkeys((min(100, results), results)):
        with (
            tempfile.TemporaryDirectory() as name,
            embedded_server(settings_in(Path(name)).storage.directory) as server,
        ):
            settings = settings_in(Path(name))
            write_own_results(settings, open_catalog(server.client())[1], n)
            took = []
            for _ in range(rounds):
                client = connect(server.uri, server.api_key)
                began = time.perf_counter()
                observer = build_observer(settings, client)
                assert observer.suggest()["reason"]
                took.append(time.perf_counter() - began)
                observer.close()
                client.context.http_client.close()
        rows.append({"results": n, "median (s)": float(np.median(took)), "worst (s)": max(took)})
    report("restart", rows)


class IPython:
    """An IPython session of the small simulated instrument in a pseudo-terminal, at its prompt.

    Parameters
    ----------
    folder : Path
        Its data.
    **environment : str
        Further variables.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        settings = {
            "AINERD_CONFIG": str(TOML.with_name("small.toml")),
            "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
            "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "frames")]),
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLBACKEND": "Agg",
            "TERM": "dumb",
        }
        options = [f"--profile-dir={TOML.parent}", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", *options],
            env=os.environ | settings | environment,
            encoding="utf8",
            timeout=READY_S,
            echo=False,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would be ignored
        )
        self._code = folder / "prepare.py"
        self.process.expect(PROMPT)

    def type(self, line: str, answer: str = "") -> Any:
        """Type a line, wait for `answer` and the next prompt, and return the match of `answer`."""
        self.process.sendline(line)
        match = None
        if answer:
            self.process.expect(answer, timeout=PATIENCE_S)
            match = self.process.match
        self.process.expect(PROMPT)
        return match

    def run(self, code: str) -> None:
        """Run code in the session."""
        self._code.write_text(code)
        self.type(f"%run -i {self._code}")

    def exit(self) -> bool:
        """Type ``exit`` and wait; see `wait`."""
        self.process.sendline("exit")
        return self.wait()

    def wait(self) -> bool:
        """Return whether the process ended by itself in time, if need be later than its terminal; else kill it."""
        deadline = time.monotonic() + END_S
        with suppress(pexpect.TIMEOUT):
            self.process.expect(pexpect.EOF, timeout=END_S)
        while not (ended := self._has_ended) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not ended:
            os.kill(self.process.pid, signal.SIGKILL)
            while not self._has_ended:
                time.sleep(0.05)
        self.process.close(force=True)
        return ended

    @property
    def _has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # pexpect has seen it end
            return True


# prompt


def session_and_runs(folder: Path, calibrated: list[float], *, waits: bool) -> tuple[float, dict[str, float]]:
    """Return how long a session took to its prompt, and the latency of its first two runs that need no calibration.

    Latencies of runs that were calibrated are added to `calibrated`; if the first run is one of these, there is no
    first latency. A person who `waits` begins when everything is compiled.
    """
    began = time.perf_counter()
    session = IPython(folder)
    ready = time.perf_counter() - began
    session.run(LATENCY)
    latencies = {}
    if waits:
        session.type(WARM, "WARM")
        latencies["compiled"] = time.perf_counter() - began - ready
    for number in range(MOST_RUNS):
        match = session.type("latency()", r"LATENCY ([\d.e-]+) (\d+)")
        if match[2] != "0":
            calibrated.append(float(match[1]))
        elif number == 0:
            latencies["first"] = float(match[1])
        else:
            latencies["second"] = float(match[1])
            break
    session.exit()
    return ready, latencies


def in_interpreter(code: str, *arguments: str) -> float:
    """Run `code` in an interpreter of its own, and return the time in s that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def start_rows(starts: list[dict[str, float]]) -> list[Row]:
    """Return medians, and the ratio of a session to the sum of imports and Tiled, round by round."""
    ratios = [each["session"] / (each["imports"] + each["Tiled"]) for each in starts]
    rows = [{"what": f"{name} (s)", **spread([each[name] for each in starts])} for name in starts[0]]
    return [*rows, {"what": "session / (imports + Tiled)", **spread(ratios)}]


def run_rows(runs: dict[str, list[dict[str, float]]], calibrated: list[float]) -> list[Row]:
    """Return medians of the latencies, and of the first over the second."""
    values = {"very first session: compiled, after the prompt (s)": [x["compiled"] for x in runs["very first session"]]}
    for name, latencies in runs.items():
        for which in ("first", "second"):
            values[f"{name}: {which} run (s)"] = [each[which] for each in latencies if which in each]
        both = [each["first"] / each["second"] for each in latencies if {"first", "second"} <= set(each)]
        values[f"{name}: first / second"] = both
    values["a run with a new calibration (s)"] = calibrated
    return [{"what": name, **spread(some)} for name, some in values.items() if some]


def without_tiled(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield how long ``agent`` takes when the server is killed, and when it hangs."""
    for how, number in {"killed": signal.SIGKILL, "hangs": signal.SIGSTOP}.items():
        with EmbeddedServer.start(folder / how, readable_storage=[folder / "frames"]) as server:
            pid = json.loads((folder / how / "server.json").read_text())["pid"]
            server._service._ends.set()  # noqa: SLF001  (it must not restart itself)
            session = IPython(folder, AINERD_STORAGE__URI=server.uri, AINERD_STORAGE__API_KEY=server.api_key)
            session.run(LATENCY)
            os.kill(pid, number)
            took = []
            for _ in range(rounds):
                session.process.sendline(ASK)
                session.process.expect(r"ANSWERED ([\d.e-]+)", timeout=PATIENCE_S)
                took.append(float(session.process.match[1]))
                if "does not answer" not in session.process.before:
                    raise RuntimeError(f"agent does not report that Tiled is away: {session.process.before}")
                session.process.expect(PROMPT)
            session.process.close(force=True)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        yield {"Tiled": how, **spread(took)}


# leaving


class Marked(IPython):
    """A session that writes the times of its documents to a file."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder)
        self._marks = folder / f"marks-{number}"
        self.type(f"PATH = {str(self._marks)!r}")
        self.run(MARKS)

    def expose(self) -> None:
        """Begin a run, and return when its first frames are there."""
        deadline = time.monotonic() + READY_S
        before = self.marks().get("start")
        self.process.sendline("RE(expose(lambda750k, shutter=shutter));")
        while "stream_datum" not in self.marks() or self.marks()["start"] == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no frame came: {self.process.before}")
            time.sleep(0.01)

    def marks(self) -> dict[str, tuple[float, str]]:
        """Return time and uid of the first start, stream_datum and stop document of the newest run."""
        marks: dict[str, tuple[float, str]] = {}
        for line in self._marks.read_text().splitlines() if self._marks.exists() else []:
            name, at, uid = line.split()
            if name == "start":
                marks = {}
            marks[name] = float(at), uid
        return marks

    @property
    def run_s(self) -> float | None:
        """Time from the first frames to the stop document; None without one."""
        marks = self.marks()
        return marks["stop"][0] - marks["stream_datum"][0] if "stop" in marks else None


def typed(*keys: str) -> Callable[[Marked], None]:
    """Return a function that types keys, a fifth of a second apart."""

    def leave(session: Marked) -> None:
        for key in keys:
            session.process.send(key)
            time.sleep(0.2)

    return leave


def signalled(number: int) -> Callable[[Marked], None]:
    """Return a function that sends a signal to the session."""
    return lambda session: os.kill(session.process.pid, number)


WAYS: dict[str, Callable[[Marked], None]] = {
    "exit": typed("exit\n"),
    "Ctrl-D": typed("\x04"),
    "Ctrl-C twice, exit": typed("\x03", "\x03", "exit\n"),
    "SIGTERM": signalled(signal.SIGTERM),
    "terminal closed": signalled(signal.SIGHUP),
    "kill -9": signalled(signal.SIGKILL),
}


def undisturbed(folder: Path) -> float:
    """Return the time from the first frames to the stop document, in s, of the second run; the first compiles."""
    session = Marked(folder, 0)
    for _ in range(2):
        session.expose()
        session.process.expect(PROMPT)
    run_s = session.run_s
    assert run_s is not None
    session.exit()
    return run_s


def leave(folder: Path, number: int, way: str, moment: float) -> Row:
    """Take a run and end the session `moment` s after the first frames."""
    session = Marked(folder, number)
    session.expose()
    (first, _), (_, uid) = session.marks()["stream_datum"], session.marks()["start"]
    time.sleep(max(first + moment - time.time(), 0))
    ended = "stop" in session.marks()
    WAYS[way](session)
    left = time.monotonic()
    in_time = session.wait()
    waited, run_s = time.monotonic() - left, session.run_s
    return {
        "way": way, "moment_s": moment, "uid": uid, "before_its_end": not ended, "in_time": in_time,
        "waited_s": waited, "stopped": run_s is not None, "run_s": run_s,
    }  # fmt: skip


def judge(left: list[Row], store: ResultStore) -> None:
    """Add to each exit the results of its run: one complete result, or a partial one where frames were never taken."""
    table = store.table()
    for each in left:
        results = table[table["raw_uid"].eq(each["uid"])]
        each["results"] = results["status"].tolist()
        each["n_frames"] = [int(n) for n in results["n_frames"].dropna()] if "n_frames" in results else []
        each["reasons"] = results["reason"].dropna().tolist()
        whole = each["results"] == ["complete"] and each["n_frames"] == [N_FRAMES]
        # The simulated detector ends with its session: frames that it never took are in no file.
        part = each["results"] in (["partial"], ["complete"]) and not each["stopped"]
        few = each["results"] == ["failed"] and not each["stopped"] and "needs at least" in " ".join(each["reasons"])
        each["as"] = "complete" if whole else "partial" if part or few else "wrong"


def exits_row(way: str, exits: list[Row]) -> Row:
    """Return the counts of the exits of one way."""
    became = Counter(each["as"] for each in exits)
    return {
        "way": way,
        "exits": len(exits),
        "before the run's end": sum(each["before_its_end"] for each in exits),
        "complete": became["complete"],
        "partial, as the frames": became["partial"],
        "lost or doubled": became["wrong"],
        "hung": sum(not each["in_time"] for each in exits),
        "longest exit (s)": max((each["waited_s"] for each in exits), default=0.0),
    }


# restart


def write_own_results(settings: Any, ainerd: Any, n: int) -> None:
    """Write results with the agent's own parameters, scattered about points of known exposures, and their atlas."""
    technique, rng = build_technique(settings, ResultStore(ainerd)), np.random.default_rng(0)
    landmarks = technique.landmarks()
    kinds = rng.choice(np.unique(landmarks.names), REGIMES, replace=False)
    centres = np.stack([landmarks.embeddings[np.array(landmarks.names) == kind].mean(0) for kind in kinds])
    made = []
    for i in range(n):
        scatter = 0.2 * technique.regime_width * np.random.default_rng(i).standard_normal(technique.embedding_size)
        x, y = np.random.default_rng(i).uniform(0, 10, 2)
        made.append(
            record(i).changed(
                agent=settings.name,
                parameters=dict(technique.parameters),
                embedding=centres[i % REGIMES] + scatter,
                positions=dict(zip(settings.steering.bounds, (x, y), strict=True)),
                regime=i % REGIMES,
            )
        )
    write(ainerd, made)
    labels = {r.key: int(r.regime or 0) for r in made}
    ResultStore(ainerd).add_atlas(AtlasRecord(n_regimes=REGIMES, supported_range=(REGIMES, REGIMES), labels=labels))


if __name__ == "__main__":
    study()
