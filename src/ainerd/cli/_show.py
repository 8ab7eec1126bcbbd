"""What commands print: bars, tables of results, files that were written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress, ProgressColumn

    from ainerd.results import ResultStore


@contextmanager
def bars(*more: "ProgressColumn", disable: bool = False) -> "Iterator[Progress]":
    """Bars that say how far it is, of how much, how long it will take, and more in columns of one's own."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, *more, disable=disable) as progress:
        yield progress


def show_file(file: Path) -> None:
    """A file that was written, and its size."""
    print(f"{file}  {file.stat().st_size / 1e6:.3g} MB")


def show_near(store: "ResultStore", near: "pd.DataFrame", *, as_json: bool) -> None:
    """Results by their distance, as `ResultStore.similar` gives them."""
    if as_json:
        print(near.reset_index().to_json(orient="records", date_format="iso"))
        return
    from rich.console import Console
    from rich.table import Table

    positions = [*store.record(near.index[0]).positions] if len(near) else []
    forms = {
        "distance": ".3g",
        "scan_id": ".0f",
        **dict.fromkeys(positions, ".2f"),
        "regime": ".0f",
        "novelty_p": ".2g",
    }
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("distance", "scan", *positions, "regime", "p", "time (UTC)", "key"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, row in near.iterrows():
        cells = [format(row[name], form) if row.notna()[name] else "–" for name, form in forms.items()]
        time = f"{row['run_time']:%Y-%m-%d %H:%M}" if row.notna()["run_time"] else "–"
        table.add_row(*cells, time, str(key)[:8])
    Console().print(table)
