"""`ainerd similar`: which results are nearest to one."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._catalog import Config, Json, Tiled, key_of, opened, store_of
from ainerd.cli._show import show_near


def similar(
    key: Annotated[str, typer.Argument(help="Key of a result, or its first characters.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 10,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find the results that are nearest in the latent space, nearest first.

    Only results of the same analysis parameters are compared.
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
