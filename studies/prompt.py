"""IPython sessions: how long a person waits at the prompt, and whether anything is lost when a session ends.

person   How long a person waits for a session, its first and later results, tables, pictures and files. Wall time, and
         CPU time of the session with its Tiled server, which a busy machine hardly changes. A first session has empty
         caches: it compiles and calibrates. The others find them full.
leaving  A session takes a run. From the first frame to two seconds after the last, at a random moment, it is ended:
         ``exit`` or Ctrl-D typed, Ctrl-C twice and ``exit``, SIGTERM, the terminal closed (SIGHUP), or ``kill -9``.
         The next session starts with the files that are left. In the end each run must have one result: complete if
         all its frames came, partial if the session ended before the detector did.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
import pexpect
import psutil
from rich.progress import track

from agents.rheo_xpcs import TOML
from ainerd.results import ResultStore
from ainerd.server import embedded_server
from studies._session import SMALL
from studies._tools import Row, Study, report

READY_S, END_S = 600.0, 300.0
PROMPT = r"In \[\d+\]: "
PERSON = """
import time
import xarray
lasts, dones = [], []
def note(name, doc):
    if name == "stream_datum":
        lasts.append((doc["uid"].split("/")[0], time.perf_counter()))

RE.subscribe(note)
write = agent.results.complete
def complete(*args, **kwargs):
    written = write(*args, **kwargs)
    dones.append(time.perf_counter())
    return written

agent.results.complete = complete
def results_after(n):
    lasts.clear(), dones.clear()
    RE(agent.explore(n))
    agent.drain(600)
    print("LATENCIES", *(done - dict(lasts)[uid] for uid, done in zip(dict(lasts), dones)), "END")

def timed(call):
    began = time.perf_counter()
    call()
    print("TOOK", time.perf_counter() - began)
"""
EXPORT, NAN = 'agent.results.export("all.h5")', float("nan")
ASKED_S = {  # at most, on two idle cores
    "import numpy, scipy": None,
    "import ainerd.agent": 2.0,
    "first session: to the prompt": None,
    "first session: first result": None,
    "session: to the prompt": 12.0,
    "session: first result": 15.0,
    "later results, median": 2.0,
    "later results, worst": None,
    "agent.results": 0.3,
    "agent.plot(), the first": 5.0,
    'agent.results.to_xarray("g2")': 2.0,
    EXPORT: 15.0,
    "ainerd status": 2.0,
    "ainerd report": 10.0,
}
AFTER_S, N_FRAMES, RUN_S = 2.0, 2000, 5.0  # after the last frame; of a run; first guess of its length
MARKS = f"""
import time
from ainerd.plans import expose
RE(bps.mv(shutter, "open"))
lambda750k.cam.num_images.put({N_FRAMES})
agent.drain(120)
def mark(name, doc):
    if name in ("start", "stream_datum", "stop"):
        print("MARK", name, time.time(), doc["uid"])
"""
WAYS: dict[str, tuple[str, ...] | signal.Signals] = {  # keys that are typed, or a signal
    "exit": ("exit\n",),
    "Ctrl-D": ("\x04",),
    "Ctrl-C twice, exit": ("\x03", "\x03", "exit\n"),
    "SIGTERM": signal.SIGTERM,
    "terminal closed": signal.SIGHUP,
    "kill -9": signal.SIGKILL,
}

study = Study(__doc__)


@study.part
def person(results: int = 30, small: bool = False, quick: bool = False) -> None:
    """Measure waits with `results` results; ``--small`` has the small detector.

    ``--quick`` takes three results, with the caches of this user and without a first session.
    """
    results, took = 3 if quick else results, dict[str, tuple[float, float]]()
    for what in ("import numpy, scipy", "import ainerd.agent"):
        took[what] = at_best([sys.executable, "-c", what])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not quick:
            caches = {"NUMBA_CACHE_DIR": "numba", "XDG_CACHE_HOME": "cache"}
            os.environ |= {"MPLCONFIGDIR": matplotlib.get_cachedir()} | {k: str(folder / x) for k, x in caches.items()}
        config = SMALL if small else TOML
        for session_name, n in (("first session", 1), ("session", results))[quick:]:
            began = time.perf_counter()
            session = IPython(folder, config)
            ready = time.perf_counter() - began
            took[f"{session_name}: to the prompt"] = ready, session.cpu_s()
            session.run(PERSON)
            before = session.cpu_s()
            times = session.type(f"results_after({n})", r"LATENCIES ([\d.e\- ]+) END")[1].split()
            took[f"{session_name}: first result"] = float(times[0]), (session.cpu_s() - before) / n
            if n == 1:
                session.exit()
        later = [*map(float, times[1:])]
        took["later results, median"], took["later results, worst"] = (np.median(later), NAN), (max(later), NAN)
        for what in ("agent.results", "agent.plot(), the first", 'agent.results.to_xarray("g2")', EXPORT):
            call = what.partition(", the")[0].replace("all.h5", str(folder / "all.h5"))
            before = session.cpu_s()
            match = session.type(f"timed(lambda: repr({call}))", r"TOOK ([\d.e-]+)")
            took[what] = float(match[1]), session.cpu_s() - before
        for command, more in {"status": [], "report": [str(folder / "report.html"), "--force"]}.items():
            took[f"ainerd {command}"] = at_best([sys.executable, "-m", "ainerd", command, *more], session.environment)
        session.exit()
    rows = [
        {"what": what, "wall (s)": took[what][0], "CPU (s)": took[what][1], "asked (s)": asked or NAN}
        for what, asked in ASKED_S.items()
        if what in took
    ]
    report("person", rows, most={"wall (s)": "asked (s)"}, results=results, small=small)


@study.part
def leaving(exits: int = 40, seed: int = 0, quick: bool = False) -> None:
    """End sessions, and judge their runs; ``--quick`` ends six, one in each way."""
    n, rng = 6 if quick else exits, np.random.default_rng(seed)
    ways = [name for _ in range(-(-n // len(WAYS))) for name in rng.permutation([*WAYS])][:n]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_s, left = RUN_S, list[Row]()
        for way, share in track([*zip(ways, rng.uniform(0, 1, n), strict=True)]):
            left.append(leave(folder, way, share * (run_s + AFTER_S)))
            run_s = left[-1]["run_s"] or run_s  # the machine may be busier than before
        session = IPython(folder)  # analyses the remaining runs
        session.run(MARKS)
        session.exit()
        with embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server:
            judge(left, ResultStore(server.client()["ainerd"]))
    rows = [exits_row(way, [each for each in left if way in ("all", each["way"])]) for way in (*WAYS, "all")]
    report("leaving", rows, most={"lost or doubled": 0, "hung": 0}, seed=seed, n_frames=N_FRAMES, each=left)


class IPython:
    """An IPython session of the small simulated instrument in a pseudo-terminal, with its data in a folder."""

    def __init__(self, folder: Path, config: Path = SMALL) -> None:
        settings = {
            "AINERD_CONFIG": str(config),
            "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
            "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "frames")]),
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLBACKEND": "Agg",
            "TERM": "dumb",
        }
        self.environment = os.environ | settings
        options = [f"--profile-dir={TOML.parent}", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", *options],
            env=self.environment,
            encoding="utf8",
            timeout=READY_S,
            echo=False,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would be ignored
        )
        self._pidfd = os.pidfd_open(self.process.pid)
        self._code = folder / "prepare.py"
        self.process.expect(PROMPT)

    def cpu_s(self) -> float:
        """Return the CPU time of the process and of those that it started."""
        session = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in (session, *session.children(recursive=True))]
        return sum(sum(each[:4]) for each in times)  # user, system, and those of children that have ended

    def type(self, line: str, answer: str) -> re.Match[str]:
        """Type a line, wait for `answer` and the next prompt, and return the match of `answer`."""
        self.process.sendline(line)
        self.process.expect(answer, timeout=READY_S)
        match = self.process.match
        self.process.expect(PROMPT)
        return match

    def run(self, code: str) -> None:
        """Run code in the session."""
        self._code.write_text(code)
        self.process.sendline(f'%run -i "{self._code}"')
        self.process.expect(PROMPT)

    def expose(self) -> tuple[str, float]:
        """Begin a run after `MARKS`, and return its uid and the time of its first frames when they are there."""
        self.process.sendline("RE(expose(lambda750k, shutter=shutter), mark);")
        self.process.expect(r"MARK start \S+ (\S+)\s")
        uid = self.process.match[1]
        self.process.expect(r"MARK stream_datum (\S+)\s")
        return uid, float(self.process.match[1])

    def stop_time(self) -> float | None:
        """Return the time of the stop document in the text that the last wait went over."""
        match = re.search(r"MARK stop (\S+)\s", self.process.before)
        return float(match[1]) if match else None

    def exit(self) -> None:
        """Type ``exit`` and wait."""
        self.process.sendline("exit")
        self.wait()

    def wait(self) -> bool:
        """Return whether the process ended by itself in time, if need be later than its terminal; else kill it."""
        with suppress(pexpect.TIMEOUT):
            self.process.expect(pexpect.EOF, timeout=END_S)
        has_ended = bool(select.select([self._pidfd], [], [], END_S)[0])
        os.close(self._pidfd)
        self.process.close(force=True)
        return has_ended


def at_best(command: list[str], environment: Mapping[str, str] = os.environ, rounds: int = 2) -> tuple[float, float]:
    """Return wall and CPU time in s of the fastest of some runs of a command, which may exit with 1 for problems."""
    took = []
    for _ in range(rounds):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode > 1:
            raise RuntimeError(done.stderr)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        took.append((time.perf_counter() - began, cpu))
    return min(took)


def leave(folder: Path, way: str, moment: float) -> Row:
    """Take a run and end the session `moment` s after the first frames."""
    session = IPython(folder)
    session.run(MARKS)
    uid, first = session.expose()
    time.sleep(max(first + moment - time.time(), 0))
    left = time.time()
    if isinstance(how := WAYS[way], signal.Signals):
        os.kill(session.process.pid, how)
    else:
        for key in how:
            session.process.send(key)
            time.sleep(0.2)
    in_time = session.wait()
    stop = session.stop_time()
    return {
        "way": way, "moment_s": moment, "uid": uid, "before_its_end": stop is None or stop > left, "in_time": in_time,
        "waited_s": time.time() - left, "stopped": stop is not None, "run_s": stop and stop - first,
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


if __name__ == "__main__":
    study()
