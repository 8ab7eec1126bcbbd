"""A table for the eyes, a JSON for everything else."""

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

FOLDER = Path(__file__).resolve().parents[1] / "output" / "studies"


def report(name: str, rows: list[dict[str, Any]], **about: Any) -> None:
    """Print `rows`, and write them with what they were measured on to ``output/studies/<name>.json``."""
    table = Table(title=f"studies.{name}")
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(x if isinstance(x, str) else f"{x:.4g}" for x in row.values()))
    Console().print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    measured_on = {
        "time": datetime.now(UTC).isoformat(),
        "python": platform.python_version(),
        "cpu": platform.machine(),
    }
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"measured_on": measured_on, **about, "rows": rows}, indent=1))
    Console().print(f"{path}")


def interval(hits: int, n: int) -> str:
    """The share of `hits` among `n` lies there, at 95 % (Clopper and Pearson)."""
    if not n:
        return "[–]"
    low, high = binomtest(hits, n).proportion_ci()
    return f"[{low:.3f}, {high:.3f}]"
