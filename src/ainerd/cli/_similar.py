"""`ainerd similar`: which results are nearest to one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._catalog import Config, Json, Tiled, key_of, opened, store_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ainerd.results import ResultStore

WHAT = "Key of a result, or its first characters; or a .npy with the C2 maps of a run, (n, 256, 256), baseline 1."


def similar(
    what: Annotated[str, typer.Argument(help=WHAT)],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 10,
    encoder: Annotated[
        Path | None, typer.Option(help="For a .npy: the weights that made the results, if they are not shipped.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find the results that are nearest in the latent space, nearest first.

    Only results of the same analysis parameters are compared; a file is compared with those of the newest.
    """
    with opened(tiled, config) as client:
        store = store_of(client)
        try:
            near = store.similar(
                _point(store, Path(what), encoder) if what.endswith(".npy") else key_of(store, what), n
            )
        except KeyError as error:
            raise ValueError(error.args[0]) from None
        positions = store.record(near.index[0]).positions if len(near) else {}
    if json:
        print(near.reset_index().to_json(orient="records", date_format="iso"))
        return
    from rich.console import Console

    Console().print(_table(near, [*positions]))


def _point(store: "ResultStore", file: Path, weights: Path | None) -> "NDArray[np.float32]":
    """Where the maps in a file lie, by the encoder of the newest results."""
    import numpy as np

    from ainerd.latent import Encoder, run_embedding

    try:
        with file.open("rb") as stream:
            maps = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file}: not a .npy file of numbers ({error})") from None
    if maps.ndim != 3 or maps.shape[1:] != (256, 256) or maps.dtype.kind != "f" or not np.isfinite(maps).all():
        raise ValueError(f"{file}: needs finite maps of shape (n, 256, 256), got {maps.dtype} {maps.shape}")
    points = store.embeddings()
    if points.empty:
        raise ValueError("there are no complete results to compare with")
    said = store.record(points.index[-1]).model
    encoder = Encoder.load(str(weights or said["name"]))
    if encoder.sha256 != said["sha256"]:
        raise ValueError(
            f"the results are of encoder {said['name']!r} with SHA-256 {said['sha256'][:12]}…, this one has "
            f"{encoder.sha256[:12]}…: give its weights with --encoder"
        )
    return run_embedding(encoder, encoder.encode(maps))


def _table(near: "pd.DataFrame", positions: list[str]) -> Any:
    from rich.table import Table

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
    return table
