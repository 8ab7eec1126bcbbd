"""IPython sessions: how long a person waits for a session, its first and later results, tables, pictures and files.

Medians of wall time, and of CPU time of the command, or of the session with its Tiled server: on a busy machine read
the CPU time. A first session has empty caches: it compiles and calibrates. The others find them full.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pexpect
import psutil

from agents.rheo_xpcs import TOML
from studies._session import SMALL
from studies._tools import Study, report
from tests.end_to_end.sessions import environment

READY_S, END_S, REPEATS = 600.0, 300.0, 3
AINERD = [sys.executable, "-m", "ainerd"]
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
    "ainerd --help": 0.5,
    "ainerd analyze nofile.h5": 1.0,
    "ainerd analyze, 500 frames": 4.0,
    "first session: to the prompt": None,
    "first session: first result": None,
    "session: to the prompt": 15.0,
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
study = Study(__doc__)


@study.part
def person(results: int = 30, small: bool = False, quick: bool = False) -> None:
    """Measure waits with `results` results; ``--small`` has the small detector.

    ``--quick`` takes three results, with the caches of this user and without a first session.
    """
    took = commands()
    results = 3 if quick else results
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not quick:
            caches = {"NUMBA_CACHE_DIR": "numba", "XDG_CACHE_HOME": "cache"}
            os.environ |= {"MPLCONFIGDIR": matplotlib.get_cachedir()} | {k: str(folder / x) for k, x in caches.items()}
        config = SMALL if small else TOML
        for session_name, n in (("first session", 1), ("session", results))[quick:]:
            waits = []
            for left in reversed(range(REPEATS if n > 1 else 1)):
                began = time.perf_counter()
                session = IPython(folder, config)
                waits.append((time.perf_counter() - began, session.cpu_s()))
                if left:
                    session.exit()
            took[f"{session_name}: to the prompt"] = medians(waits)
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
            took[f"ainerd {command}"] = measured([*AINERD, command, *more], session.environment)
        session.exit()
    rows = [
        {"what": what, "wall (s)": took[what][0], "CPU (s)": took[what][1], "asked (s)": asked or NAN}
        for what, asked in ASKED_S.items()
        if what in took
    ]
    report("person", rows, most={"wall (s)": "asked (s)"}, results=results, small=small)


class IPython:
    """An IPython session of the small simulated instrument in a pseudo-terminal, with its data in a folder."""

    def __init__(self, folder: Path, config: Path = SMALL) -> None:
        self.environment = os.environ | environment(folder, config=config) | {"TERM": "dumb"}
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

    def exit(self) -> None:
        """Type ``exit`` and wait."""
        self.process.sendline("exit")
        self.process.expect(pexpect.EOF, timeout=END_S)
        self.process.close(force=True)


def commands() -> dict[str, tuple[float, float]]:
    """Return the times of imports and of commands that need no server. Compiled code is cached before."""
    with tempfile.TemporaryDirectory() as name:
        movie = Path(name) / "movie.h5"
        rng, shape, frames = np.random.default_rng(0), (2, 128, 192), []
        field = rng.normal(size=shape)
        for _ in range(500):
            field = 0.95 * field + np.sqrt(1 - 0.95**2) * rng.normal(size=shape)
            frames.append(rng.poisson((field**2).sum(axis=0) / 2).astype(np.uint16))
        with h5py.File(movie, "w") as file:
            file["entry/data/data"] = frames
        out = ["--frame-time", "0.1", "--out", str(movie.with_name("out.h5")), "--force"]
        analyze = [*AINERD, "analyze", str(movie), "--roi", str(SMALL), *out]
        measured(analyze, rounds=1)
        imports = {
            what: measured([sys.executable, "-c", what]) for what in ("import numpy, scipy", "import ainerd.agent")
        }
        return imports | {
            "ainerd --help": measured([*AINERD, "--help"]),
            "ainerd analyze nofile.h5": measured([*AINERD, "analyze", "nofile.h5"], refuses=True),
            "ainerd analyze, 500 frames": measured(analyze),
        }


def measured(
    command: list[str], environment: Mapping[str, str] = os.environ, rounds: int = REPEATS, refuses: bool = False
) -> tuple[float, float]:
    """Return the medians of wall and CPU time in s of a command, which may exit with 1 for problems."""
    took = []
    for _ in range(rounds):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if (done.returncode > 1) != refuses:
            raise RuntimeError(done.stderr)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        took.append((time.perf_counter() - began, cpu))
    return medians(took)


def medians(took: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of wall times and that of CPU times."""
    wall, cpu = np.median(took, axis=0)
    return float(wall), float(cpu)


if __name__ == "__main__":
    study()
