"""Whether anything is lost when a session is left: at a random moment, in any way that people and machines have.

A real IPython in a pseudo-terminal takes a run with the small simulated detector. From the first frame to two seconds
after the last, at a random moment, it is left: ``exit`` or Ctrl-D typed, Ctrl-C twice and ``exit``, SIGTERM, the
terminal closed (SIGHUP), or ``kill -9``. The next session starts on what is left. In the end each run must have one
result: complete if all its frames came, partial if the session ended before the detector did.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
from rich.progress import track

from agents.rheo_xpcs import TOML
from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer
from studies._report import report

AFTER_S = 2.0
READY_S, END_S = 600.0, 300.0
N_FRAMES = 2000
PROMPT = r"In \[\d+\]: "
PREPARE = f"""
import time
from ainerd.steering import expose
RE(bps.mv(shutter, "open"))
lambda750k.cam.num_images.put({N_FRAMES})
agent.drain(120)
note = open(MARKS, "a", buffering=1)
seen = set()
def mark(name, doc):
    if name == "start":
        seen.clear()
    if name not in seen and name in ("start", "stream_datum", "stop"):
        seen.add(name); print(name, time.time(), doc.get("uid"), file=note)

token = RE.subscribe(mark)
"""


def ipython(folder: Path, **environment: str) -> "pexpect.spawn[str]":
    """A session of the small simulated instrument in a pseudo-terminal, not yet at its prompt; data in `folder`."""
    told = {
        "AINERD_CONFIG": str(TOML.with_name("small.toml")),
        "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "frames")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLBACKEND": "Agg",
        "TERM": "dumb",
    }
    options = [f"--profile-dir={TOML.parent}", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
    return pexpect.spawn(
        sys.executable,
        ["-m", "IPython", *options],
        env=os.environ | told | environment,
        encoding="utf8",
        timeout=READY_S,
        echo=False,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would be ignored
    )


@dataclass
class Session:
    """IPython with the profile, and the file in which it marks what happens to its run."""

    process: "pexpect.spawn[str]"
    marks: Path

    @classmethod
    def start(cls, folder: Path, number: int) -> "Session":
        """At its prompt, with what earlier sessions left analysed."""
        process = ipython(folder)
        session = cls(process, folder / f"marks-{number}")
        process.expect(PROMPT)
        prepare = folder / "prepare.py"
        prepare.write_text(PREPARE)
        session.type(f"MARKS = {str(session.marks)!r}")
        session.type(f"%run -i {prepare}")
        return session

    def type(self, line: str) -> None:
        """A line, and wait for the next prompt."""
        self.process.sendline(line)
        self.process.expect(PROMPT)

    def expose(self) -> None:
        """Begin a run, and return with its first frames."""
        deadline = time.monotonic() + READY_S
        before = self.happened().get("start")
        self.process.sendline("RE(expose(lambda750k, shutter=shutter));")
        while "stream_datum" not in self.happened() or self.happened()["start"] == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no frame came: {self.process.before}")
            time.sleep(0.01)

    def happened(self) -> dict[str, tuple[float, str]]:
        """When what came first of the newest run: start (with its uid), stream_datum, stop."""
        found: dict[str, tuple[float, str]] = {}
        for line in self.marks.read_text().splitlines() if self.marks.exists() else []:
            name, at, uid = line.split()
            if name == "start":
                found = {}
            found[name] = float(at), uid
        return found

    @property
    def lasted_s(self) -> float | None:
        """From the first frames to the stop document, in s; None if it did not come."""
        marks = self.happened()
        return marks["stop"][0] - marks["stream_datum"][0] if "stop" in marks else None

    def wait(self) -> bool:
        """Whether it ended by itself in time; it is gone in any case. It may outlive its terminal."""
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


def typed(*keys: str) -> Callable[[Session], None]:
    """Keys, a fifth of a second after each other."""

    def leave(session: Session) -> None:
        for key in keys:
            session.process.send(key)
            time.sleep(0.2)

    return leave


def signalled(number: int) -> Callable[[Session], None]:
    """A signal to the session."""
    return lambda session: os.kill(session.process.pid, number)


WAYS: dict[str, Callable[[Session], None]] = {
    "exit": typed("exit\n"),
    "Ctrl-D": typed("\x04"),
    "Ctrl-C twice, exit": typed("\x03", "\x03", "exit\n"),
    "SIGTERM": signalled(signal.SIGTERM),
    "terminal closed": signalled(signal.SIGHUP),
    "kill -9": signalled(signal.SIGKILL),
}


def main() -> None:
    """Leave, look, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exits", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="six exits, one of each way")
    arguments = parser.parse_args()
    n, rng = 6 if arguments.quick else arguments.exits, np.random.default_rng(arguments.seed)
    ways = [name for turn in range(-(-n // len(WAYS))) for name in rng.permutation([*WAYS])][:n]
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        long_s = undisturbed(folder)
        left: list[dict[str, Any]] = []
        for i, (way, share) in track([*enumerate(zip(ways, rng.uniform(0, 1, n), strict=True))]):
            left.append(leave(folder, i + 1, way, share * (long_s + AFTER_S)))
            long_s = left[-1]["run_s"] or long_s  # the machine may be busier than before
        last = Session.start(folder, n + 1)
        last.process.sendline("exit")
        last.wait()
        with EmbeddedServer.start(folder / "tiled", readable_storage=[folder / "frames"]) as server:
            judged(left, ResultStore(server.client()["ainerd"]))
    rows = [row(way, [each for each in left if each["way"] == way]) for way in WAYS]
    rows = [found for found in [*rows, row("all", left)] if found["exits"]]
    report("leaving", rows, seed=arguments.seed, n_frames=N_FRAMES, each=left)


def undisturbed(folder: Path) -> float:
    """How long a run lasts from its first frames to its stop document, in s; the second, for the first compiles."""
    session = Session.start(folder, 0)
    for _ in range(2):
        session.expose()
        session.process.expect(PROMPT)
    lasted_s = session.lasted_s
    assert lasted_s is not None
    session.process.sendline("exit")
    session.wait()
    return lasted_s


def leave(folder: Path, number: int, way: str, moment: float) -> dict[str, Any]:
    """Take a run and leave it `moment` s after its first frames."""
    session = Session.start(folder, number)
    session.expose()
    first, uid = session.happened()["stream_datum"][0], session.happened()["start"][1]
    time.sleep(max(first + moment - time.time(), 0))
    ended = "stop" in session.happened()
    WAYS[way](session)
    left = time.monotonic()
    in_time = session.wait()
    waited = time.monotonic() - left
    about = {"way": way, "moment_s": moment, "uid": uid, "before_its_end": not ended, "in_time": in_time}
    return {**about, "waited_s": waited, "stopped": session.lasted_s is not None, "run_s": session.lasted_s}


def judged(left: list[dict[str, Any]], store: ResultStore) -> None:
    """Add to each exit what became of its run: one complete result, or a partial one where frames were never taken."""
    table = store.table()
    for each in left:
        results = table[table["raw_uid"].eq(each["uid"])]
        each["results"] = results["status"].tolist()
        each["n_frames"] = [int(n) for n in results["n_frames"].dropna()] if "n_frames" in results else []
        each["reasons"] = results["reason"].dropna().tolist()
        whole = each["results"] == ["complete"] and each["n_frames"] == [N_FRAMES]
        # The simulated detector ends with its session: what it never took is in no file.
        part = each["results"] in (["partial"], ["complete"]) and not each["stopped"]
        few = each["results"] == ["failed"] and not each["stopped"] and "needs at least" in " ".join(each["reasons"])
        each["as"] = "complete" if whole else "partial" if part or few else "wrong"


def row(way: str, exits: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the exits of one way."""
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
    main()
