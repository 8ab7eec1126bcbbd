"""Tools that all studies share: the command line, tables and records, statistics, time and memory."""

import hashlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from functools import partial
from inspect import signature
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

# Tables are written here; tests set another folder.
FOLDER = Path(os.environ.get("AINERD_STUDIES", Path(__file__).resolve().parents[1] / "output" / "studies"))
WORDS = {"yes": 1.0, "True": 1.0, "no": 0.0, "False": 0.0}
NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?")
Row = dict[str, Any]
Bars = Mapping[str, "float | str"]
Case = tuple[str, int]


class Study(typer.Typer):
    """The command line of a study: ``python -m studies.NAME [PART] [--option value ...]``.

    A part is a function whose keyword arguments, all with defaults, are its options. A study of several parts lists
    them if PART is missing. The part ``all`` runs them in turn, and passes ``--quick`` to those that have it. The exit
    code is 1 if a table misses its bar (`report`).

    Parameters
    ----------
    description : str
        The text of ``--help``.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(
            help=description and "\b\n" + description.replace("\n\n", "\n\n\b\n"),  # lines stay as they are
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
        self._parts: list[Callable[..., None]] = []

    def part(self, function: Callable[..., None]) -> Callable[..., None]:
        """Add a part, named as the function."""
        self._parts.append(function)
        return self.command(function.__name__.strip("_"))(function)

    def __call__(self) -> None:
        """Run the part that the command line names."""
        if len(self._parts) > 1:
            self.command("all")(self._all)
        else:
            self.registered_commands[0].help = self.info.help
        _missed.clear()
        try:
            super().__call__()
        except SystemExit as end:
            sys.exit(end.code or bool(_missed))

    def _all(self, quick: bool = False) -> None:
        """Run all parts in turn."""
        for part in self._parts:
            part(**{"quick": True} if quick and "quick" in signature(part).parameters else {})


_missed: list[str] = []


def report(
    name: str,
    rows: Iterable[Row],
    *,
    most: Bars | None = None,
    least: Bars | None = None,
    wrong: Sequence[str] = (),
    **parameters: Any,
) -> None:
    """Print `rows` as a table, and write them with `parameters` and the machine to ``output/studies/<name>.json``.

    The bar is `most` and `least`, limits of columns, each a number or the name of the column that holds it. A cell
    counts by its first number, "yes" and "True" as 1, and not at all without a number. Sentences in `wrong` miss the
    bar, too. Then the study goes on, and its exit code is 1.
    """
    rows = list(rows)
    table = Table(title=f"studies: {name}")
    for column, value in rows[0].items():
        table.add_column(column, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(x if isinstance(x, str) else f"{x:.4g}" for x in row.values()))
    measured_on = {
        "time": datetime.now(UTC).isoformat(),
        "python": platform.python_version(),
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "load average": os.getloadavg()[0],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    record = {"measured_on": measured_on, **parameters, "wrong": wrong, "rows": rows}
    path.write_text(json.dumps(record, indent=1, default=float))
    console = Console()
    console.print(table)
    console.print(f"{path}")
    for sentence in (*wrong, *misses(rows, most or {}, 1), *misses(rows, least or {}, -1)):
        print(f"{name} misses its bar: {sentence}")
        _missed.append(sentence)


def misses(rows: Sequence[Row], bars: Bars, sign: int) -> Iterator[str]:
    """Yield a sentence for each cell above its limit, or below it if `sign` is -1, and for each missing column."""
    word = "most" if sign > 0 else "least"
    for column, bar in bars.items():
        if not any(column in row for row in rows):
            yield f"no row has {column!r}"
        for row in rows:
            limit = row[bar] if isinstance(bar, str) else bar
            if column in row and sign * _number(row[column]) > sign * _number(limit):
                yield f"{next(iter(row.values()))}: {column} is {row[column]}, at {word} {limit}"


def _number(cell: Any) -> float:
    """Return the first number of a cell, NaN without one."""
    if not isinstance(cell, str):
        return float(cell)
    number = NUMBER.search(cell)
    return WORDS.get(cell, float(number[0]) if number else float("nan"))


def resumed(name: str, run: Row, cases: Sequence[Case], measure: Callable[[Case], Row], workers: int = 1) -> list[Row]:
    """Return a row for each case, measured in processes of one thread each.

    Each row is written to ``output/studies/<name>.jsonl`` when it is done, and an interrupted study continues there.

    Parameters
    ----------
    name : str
    run : dict
        Everything that all rows depend on. A record of another `run` is discarded.
    cases : sequence of (str, int)
    measure : callable
        Returns the row of a case. It must be importable.
    workers : int
        Number of processes.
    """
    record = FOLDER / f"{name}.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not lines or lines[0] != run:
        lines = [run]
        record.write_text(json.dumps(run) + "\n")
    done = {tuple(case): row for case, row in lines[1:]}
    missing = [case for case in cases if case not in done]
    if not missing:
        return [done[case] for case in cases]
    with _pool(workers) as pool, record.open("a") as file:
        running = {pool.submit(measure, case): case for case in missing}
        try:
            for future in track(as_completed(running), name, total=len(missing)):
                case, row = running[future], future.result()
                done[case] = row
                file.write(json.dumps([case, row]) + "\n")
                file.flush()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # only the cases in progress are measured
            raise
    return [done[case] for case in cases]


def _pool(workers: int) -> ProcessPoolExecutor:
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=partial(threadpool_limits, 1))


def digest_of(*paths: Path) -> str:
    """Return the SHA-256 of files, and of all sources and weights in folders, so that changed code is measured anew."""
    files = [
        file for path in paths for file in sorted(path.rglob("*") if path.is_dir() else [path])
        if file.suffix in (".py", ".safetensors")
    ]  # fmt: skip
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def interval(hits: int, n: int) -> str:
    """Return the 95 % interval of a share (Clopper and Pearson)."""
    if not n:
        return "[–]"
    low, high = binomtest(hits, n).proportion_ci()
    return f"[{low:.3f}, {high:.3f}]"


def bootstrap(statistic: Callable[..., NDArray], *paired: NDArray, draws: int = 4000) -> NDArray[np.float64]:
    """Return the 95 % interval of a statistic of the means of paired numbers."""
    drawn = np.random.default_rng(0).integers(0, len(paired[0]), (draws, len(paired[0])))
    return np.nanpercentile(statistic(*(np.asarray(numbers)[drawn].mean(1) for numbers in paired)), [2.5, 97.5])


def ratio(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Return the ratio of the means of paired numbers with its 95 % interval."""
    low, high = bootstrap(np.divide, one, other)
    return f"{one.mean() / other.mean():.3f} [{low:.3f}, {high:.3f}]"


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Return the shortest time of `repeats` calls, in s."""
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return float(best)


def memory_mb(field: str = "VmRSS", process: int | None = None) -> float:
    """Return the memory of this or another process in MB: `VmRSS` is the memory in use, `VmHWM` its peak."""
    (line,) = (
        line for line in Path(f"/proc/{process or 'self'}/status").read_text().splitlines() if line.startswith(field)
    )
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Restart the peak of memory from the memory in use."""
    Path("/proc/self/clear_refs").write_text("5")
