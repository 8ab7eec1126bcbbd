"""`ainerd similar` and `ainerd export`: find the results nearest to one, and write results to files."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._shared import Config, Json, Tiled, key_of, opened, show_file, show_near, store_of


def similar(
    key: Annotated[str, typer.Argument(help="Number of a scan, or the first characters of a result's key.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 10,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the results that are nearest to one in the latent space, nearest first.

    Only results with the same analysis parameters are compared.
    """
    if Path(key).is_file():
        raise ValueError(f"{key} is a file: give the key of a result; for files see the commands of the technique")
    with opened(tiled, config) as client:
        store = store_of(client)
        try:
            near = store.similar(key_of(store, key), n)
        except KeyError as error:
            raise ValueError(error.args[0]) from None
        show_near(store, near, as_json=json)


def export(
    key: Annotated[
        str | None,
        typer.Argument(help="Number of a scan, or the first characters of a result's key.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="File to write, which must not exist.", show_default=False)] = None,
    table: Annotated[
        Path | None, typer.Option(help="Table of all results instead: .csv, with units in its header, or .parquet.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write one result to a file in the format of its technique, or the table of all results to CSV or Parquet."""
    import ainerd.results

    if (table is None) == (key is None) or (key is None) != (out is None):
        raise ValueError("give KEY and OUT, or --table alone")
    if table is not None and table.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{table}: give a name that ends in .csv or .parquet")
    with opened(tiled, config) as client:
        store = store_of(client)
        if table is not None:
            file = store.export(table)
        else:
            assert key is not None and out is not None
            file = ainerd.results.export(store, key_of(store, key), out)
    show_file(file)
