"""How long a person waits at the prompt: for the session, for the first run's result, and for ``agent`` without Tiled.

A real IPython in a pseudo-terminal, with the small simulated instrument. Its start is compared with what it cannot do
without, measured in turn with it: the imports, in an interpreter of their own, and the start of Tiled's server in one
that has imported what that needs. The latency of a run is from its last StreamDatum to its complete result in Tiled.
Numba's cache is that of this benchmark: empty for the very first session, which compiles, and full for the others.
Runs whose statistics nobody had before are calibrated for, once; those are told apart.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
from rich.progress import track

from ainerd.server import EmbeddedServer
from studies._report import report
from studies.leaving import PROMPT, ipython

PATIENCE_S = 240.0
MOST_RUNS = 8  # of a session, to find those that nothing was calibrated for
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
PREPARE = """
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
kept = user_cache_path("ainerd")
def latency():
    before = set(kept.glob("*.safetensors"))
    RE(expose(lambda750k, beside=[rheometer], shutter=shutter))
    agent.drain(200)
    print("LATENCY", at["done"] - at["last"], len(set(kept.glob("*.safetensors")) - before))
"""
WARM = "[t.join() for t in threading.enumerate() if t.name == 'ainerd-warm-up']; print('WARM')"
ASK = "asked = time.perf_counter(); display(agent); print('ANSWERED', time.perf_counter() - asked)"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
        starts: list[dict[str, float]] = []
        runs: dict[str, list[dict[str, float]]] = {"very first session": [], "later session": []}
        calibrated: list[float] = []
        for turn in track(range(rounds + 1), description="sessions (the first compiles)"):
            start, latencies = session(folder, calibrated, reads=turn == 0)
            if turn:
                starts.append(start | {"imports": imports(), "Tiled": tiled(folder)})
            runs["later session" if turn else "very first session"].append(latencies)
        report("prompt_start", start_rows(starts), rounds=rounds, each=starts)
        report("prompt_first_run", run_rows(runs, calibrated), each=runs, calibrated=calibrated)
        report("prompt_without_tiled", list(without_tiled(folder, rounds)), rounds=rounds)


def session(folder: Path, calibrated: list[float], *, reads: bool) -> tuple[dict[str, float], dict[str, float]]:
    """A session: how long until its prompt, and the latency of its first and second run that needed no calibration.

    Somebody who `reads` begins when everything is compiled. There is no first one if the first run was calibrated for.
    """
    began = time.perf_counter()
    process = ipython(folder)
    process.expect(PROMPT)
    ready = time.perf_counter() - began
    prepare(process, folder)
    found = {}
    if reads:
        process.sendline(WARM)
        process.expect("WARM", timeout=PATIENCE_S)
        found["compiled"] = time.perf_counter() - began - ready
        process.expect(PROMPT)
    for number in range(MOST_RUNS):
        process.sendline("latency()")
        process.expect(r"LATENCY ([\d.e-]+) (\d+)", timeout=PATIENCE_S)
        took, anew = float(process.match[1]), process.match[2] != "0"
        process.expect(PROMPT)
        if anew:
            calibrated.append(took)
        elif number == 0:
            found["first"] = took
        else:
            found["second"] = took
            break
    process.sendline("exit")
    process.expect(pexpect.EOF, timeout=PATIENCE_S)
    process.close()
    return {"session": ready}, found


def prepare(process: "pexpect.spawn[str]", folder: Path) -> None:
    """Have the session measure itself."""
    code = folder / "prepare.py"
    code.write_text(PREPARE)
    process.sendline(f"%run -i {code}")
    process.expect(PROMPT)


def imports() -> float:
    """What the session imports, in s."""
    return measured([IMPORTS])


def tiled(folder: Path) -> float:
    """The start of the server of the session's catalogue, and the connection to it, in s."""
    return measured([TILED, str(folder / "tiled")])


def measured(code: list[str]) -> float:
    """What an interpreter of its own says that it took."""
    return float(subprocess.run([sys.executable, "-c", *code], check=True, capture_output=True, text=True).stdout)


def start_rows(starts: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Medians, and the session by the sum of imports and Tiled, round by round."""
    ratios = [each["session"] / (each["imports"] + each["Tiled"]) for each in starts]
    rows = [{"what": f"{name} (s)", **spread([each[name] for each in starts])} for name in starts[0]]
    return [*rows, {"what": "session / (imports + Tiled)", **spread(ratios)}]


def run_rows(runs: dict[str, list[dict[str, float]]], calibrated: list[float]) -> list[dict[str, Any]]:
    """Medians of the latencies, and of the first by the second."""
    values = {"very first session: compiled, after the prompt (s)": [x["compiled"] for x in runs["very first session"]]}
    for name, found in runs.items():
        for which in ("first", "second"):
            values[f"{name}: {which} run (s)"] = [each[which] for each in found if which in each]
        both = [each["first"] / each["second"] for each in found if {"first", "second"} <= set(each)]
        values[f"{name}: first / second"] = both
    values["a run that was calibrated for (s)"] = calibrated
    return [{"what": name, **spread(found)} for name, found in values.items() if found]


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most of n."""
    return {"median": float(np.median(values)), "least": min(values), "most": max(values), "n": len(values)}


def without_tiled(folder: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """How long ``agent`` takes when the server is gone, and when it is there and says nothing."""
    for how, number in {"killed": signal.SIGKILL, "hangs": signal.SIGSTOP}.items():
        with served(folder / how) as (server, pid):
            process = ipython(folder, AINERD_STORAGE__URI=server.uri, AINERD_STORAGE__API_KEY=server.api_key)
            process.expect(PROMPT)
            prepare(process, folder)
            os.kill(pid, number)
            took = []
            for _ in range(rounds):
                process.sendline(ASK)
                process.expect(r"ANSWERED ([\d.e-]+)", timeout=PATIENCE_S)
                took.append(float(process.match[1]))
                if "does not answer" not in process.before:
                    raise RuntimeError(f"agent does not say that Tiled is away: {process.before}")
                process.expect(PROMPT)
            process.close(force=True)
        yield {"Tiled": how, **spread(took)}


@contextmanager
def served(directory: Path) -> Iterator[tuple[EmbeddedServer, int]]:
    """A server that nobody starts again, and its process."""
    with EmbeddedServer.start(directory, readable_storage=[directory.parent / "frames"]) as server:
        pid = int(re.search(r'"pid": (\d+)', (directory / "server.json").read_text())[1])  # type: ignore[index]
        server._service._ends.set()  # noqa: SLF001  (who uses it starts it again)
        try:
            yield server, pid
        finally:
            os.kill(pid, signal.SIGCONT) if Path(f"/proc/{pid}").exists() else None


if __name__ == "__main__":
    main()
