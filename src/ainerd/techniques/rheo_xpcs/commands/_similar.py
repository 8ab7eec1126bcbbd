"""`ainerd rheo-xpcs similar`: which results are nearest to the maps in a file."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli import Config, Json, Tiled, opened, show_near, store_of
from ainerd.techniques.rheo_xpcs.commands._encode import read_npy


def similar(
    file: Annotated[Path, typer.Argument(help="The C2 maps of a run, .npy, (n, 256, 256), baseline 1.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 10,
    encoder: Annotated[
        Path | None, typer.Option(help="Weights that made the results, if they are not shipped.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find the results that are nearest to the C2 maps in a file, nearest first, among those like the newest."""
    import numpy as np

    from ainerd.latent import Encoder, run_embedding

    maps = read_npy(file)
    if maps.ndim != 3 or maps.shape[1:] != (256, 256) or maps.dtype.kind != "f" or not np.isfinite(maps).all():
        raise ValueError(f"{file}: needs finite maps of shape (n, 256, 256), got {maps.dtype} {maps.shape}")
    with opened(tiled, config) as client:
        store = store_of(client)
        points = store.embeddings()
        if points.empty:
            raise ValueError("there are no complete results to compare with")
        said = store.record(points.index[-1]).model
        model = Encoder.load(str(encoder or said["name"]))
        if model.sha256 != said["sha256"]:
            raise ValueError(
                f"the results are of encoder {said['name']!r} with SHA-256 {said['sha256'][:12]}…, this one has "
                f"{model.sha256[:12]}…: give its weights with --encoder"
            )
        show_near(store, store.similar(run_embedding(model, model.encode(maps)), n), as_json=json)
