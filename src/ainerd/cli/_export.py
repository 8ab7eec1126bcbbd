"""`ainerd export`: a result, or the table of all, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._catalog import Config, Tiled, key_of, opened, store_of
from ainerd.cli._show import show_file


def export(
    key: Annotated[
        str | None, typer.Argument(help="Key of a result, or its first characters.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="File to write, which must not exist.", show_default=False)] = None,
    table: Annotated[
        Path | None, typer.Option(help="Table of all results instead: .csv, with units in its header, or .parquet.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write a result to a file, in the format of its technique, or the table of all to CSV or Parquet."""
    import ainerd.results

    if (table is None) == (key is None) or (key is None) != (out is None):
        raise ValueError("give KEY and OUT, or --table alone")
    with opened(tiled, config) as client:
        store = store_of(client)
        if table is not None:
            file = ainerd.results.export_table(store, table)
        else:
            assert key is not None and out is not None
            file = ainerd.results.export(store, key_of(store, key), out)
    show_file(file)
