"""Many runs with faults in between: what became of each run, what was lost, and how much memory it took.

A RunEngine takes runs with the simulated instrument while a seeded choice of faults happens to files, documents, the
Tiled server (a process of its own, killed and started again) and the agent (closed and started again). In the end every
run must have exactly one result, complete or failed, and the RunEngine must not have failed because of the agent.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from studies._faults import FAULTS, Soak
from studies._report import report


def soak(folder: Path, n: int, seed: int) -> tuple[list[dict[str, Any]], list[str], float]:
    """Rows of the table, what was not as it must be, and memory in the last quarter over that in the second."""
    with closing(Soak(folder, seed)) as soaked, Progress() as bar:
        task = bar.add_task("runs", total=n)
        memory = []
        for _, used in soaked.run(n):
            memory.append(used)
            bar.advance(task)
        soaked.agent.drain(300)
        results = soaked.results()
        wrong = list(soaked.unexpected)
    tried: dict[str, Counter[str]] = {}
    for uid, fault in soaked.fault_of.items():
        found = results.get(uid, [])
        if found not in (["complete"], ["partial"], ["failed"]):
            wrong.append(f"run {uid} ({fault}) has results {found}")
        tried.setdefault(fault, Counter()).update(["runs", *found])
    rows = [
        {"fault": fault, "runs": c["runs"], "complete": c["complete"], "partial": c["partial"], "failed": c["failed"],
         "lost": c["runs"] - c["complete"] - c["partial"] - c["failed"]}
        for fault in FAULTS if (c := tried.get(fault))
    ]  # fmt: skip
    quarters = np.array_split(memory, 4)
    return rows, wrong, float(np.mean(quarters[3]) / np.mean(quarters[1]))


def main() -> None:
    """Soak, print, write; exit code 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows, wrong, growth = soak(Path(folder), arguments.runs, arguments.seed)
    minutes = (time.monotonic() - began) / 60
    report("soak", rows, runs=arguments.runs, seed=arguments.seed, memory_ratio=growth, wrong=wrong, minutes=minutes)
    print(f"memory, last quarter over second: {growth:.3f}; {minutes:.1f} min; not as it must be: {len(wrong)}")
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
