"""Long measurements in processes, which go on where they were stopped."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from studies._report import FOLDER

Row = dict[str, Any]
Case = tuple[str, int]


def resumed(name: str, run: Row, cases: Sequence[Case], measure: Callable[[Case], Row], pool: Executor) -> list[Row]:
    """A row of each case, in their order; those that ``output/studies/<name>.jsonl`` holds already from there.

    `run` is what all rows depend on: the record of another one is begun anew.
    """
    record = FOLDER / f"{name}.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not lines or lines[0] != run:
        lines = [run]
        record.write_text(json.dumps(run) + "\n")
    done = {tuple(case): row for case, row in lines[1:]}
    left = [case for case in cases if case not in done]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with pool, Progress(*columns) as bar, record.open("a") as file:
        task = bar.add_task(name, total=len(cases), completed=len(cases) - len(left))
        for case, row in zip(left, pool.map(measure, left), strict=True):
            done[case] = row
            file.write(json.dumps([case, row]) + "\n")
            file.flush()
            bar.advance(task)
    return [done[case] for case in cases]


def digest_of(files: Iterable[Path]) -> str:
    """Of what decides: what was measured with others is not taken."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
