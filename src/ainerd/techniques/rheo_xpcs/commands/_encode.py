"""`ainerd encode` and `ainerd rheo-xpcs similar`: encode maps in a file, and find the nearest results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli import Config, Json, Tiled, opened, show_near, store_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Map = NDArray[np.float32]

SCALED = "values within [0, 1]: taken as scaled like the published data, C = 0.95 + 0.4 x"
CORRELATION = "values beyond [0, 1]: taken as a two-time correlation of baseline 1"


def encode(
    file: Annotated[Path, typer.Argument(help="A C2 map, .npy, 256 × 256; of baseline 1, or scaled to [0, 1].")],
    published: Annotated[Path | None, typer.Option(help="Published state dict (.pth), to compare.")] = None,
    out: Annotated[Path | None, typer.Option(help="Figure (.png). Default: FILE's name with _encoded, here.")] = None,
) -> None:
    """Encode a measured C2 map and show what each encoder keeps of it."""
    from rich.console import Console
    from rich.table import Table

    from ainerd.latent import Encoder

    c2, rule = _read(file)
    encoders = [Encoder.load()] + ([Encoder.load(published)] if published else [])
    table = Table("encoder", "latent", "explained variance", "first numbers", title=str(file), caption=rule)
    decoded: dict[str, Map] = {}
    for encoder in encoders:
        z = encoder.encode(c2[None])
        decoded[encoder.name] = encoder.decode(z)[0]
        explained = 1 - (c2 - decoded[encoder.name]).var() / c2.var()
        first = "  ".join(f"{x:.3g}" for x in z[0, :5])
        table.add_row(encoder.name, str(encoder.n_latent), f"{explained:.3f}", first)
    figure = out or Path(f"{file.stem}_encoded.png")
    _draw(figure, {"measured": c2, **decoded})
    console = Console()
    console.print(table)
    console.print(f"figure: {figure}")


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

    from ainerd.latent import Encoder

    maps = read_npy(file)
    if maps.ndim != 3 or maps.shape[1:] != (256, 256) or maps.dtype.kind != "f" or not np.isfinite(maps).all():
        raise ValueError(f"{file}: needs finite maps of shape (n, 256, 256), got {maps.dtype} {maps.shape}")
    with opened(tiled, config) as client:
        store = store_of(client)
        points = store.embeddings()
        if points.empty:
            raise ValueError("there are no complete results to compare with")
        info = store.record(points.index[-1]).model
        model = Encoder.load(str(encoder or info["name"]))
        if model.sha256 != info["sha256"]:
            raise ValueError(
                f"the results are of encoder {info['name']!r} with SHA-256 {info['sha256'][:12]}…, this one has "
                f"{model.sha256[:12]}…: give its weights with --encoder"
            )
        show_near(store, store.similar(model.encode_run(maps), n), as_json=json)


def read_npy(file: Path) -> "NDArray[Any]":
    """Read the array of numbers in a ``.npy`` file."""
    import numpy as np

    try:
        with file.open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file}: not a .npy file of numbers ({error})") from None


def _read(file: Path) -> tuple["Map", str]:
    """Read a map as one of baseline 1, and return the rule that was applied."""
    import numpy as np

    from ainerd.latent import from_unit

    c2 = read_npy(file)
    if c2.shape != (256, 256) or c2.dtype.kind not in "fiu":
        raise ValueError(f"{file}: needs one real map of shape (256, 256), got {c2.dtype} {c2.shape}")
    if not np.isfinite(c2).all():
        raise ValueError(f"{file}: holds values that are not finite")
    if c2.min() == c2.max():
        raise ValueError(f"{file}: is constant, there is nothing to encode")
    if c2.min() >= 0 and c2.max() <= 1:
        return from_unit(c2), SCALED
    return c2.astype(np.float32), CORRELATION


def _draw(figure: Path, maps: dict[str, "Map"]) -> None:
    """Draw each map in a panel, all on the color scale of the first."""
    from ainerd.techniques.rheo_xpcs import draw_map, new_figure

    first, fig = next(iter(maps.values())), new_figure(4.4 * len(maps), 4)
    panels = fig.subplots(1, len(maps))
    for axes, (name, c2) in zip(panels, maps.items(), strict=True):
        image = draw_map(axes, c2, 1, first.min(), first.max(), "none")
        axes.set(title=name, xlabel="$t_1$ / exposure", ylabel="$t_2$ / exposure")
    fig.colorbar(image, ax=list(panels), label="$C_2$")
    fig.savefig(figure, dpi=120)
