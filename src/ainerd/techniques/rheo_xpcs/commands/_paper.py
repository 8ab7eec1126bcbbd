"""`ainerd rheo-xpcs paper`: the figures of Horwath et al. (2024) of latents and a record that are files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.techniques.rheo_xpcs.commands._encode import read_npy

if TYPE_CHECKING:
    from numpy.typing import NDArray


def paper(
    latents: Annotated[
        Path, typer.Argument(help="Latents, .npy, (exposures, azimuths, m) or (exposures × azimuths, m).")
    ],
    stress: Annotated[Path | None, typer.Option(help="The rheometer's record (.csv): time, stress, rate.")] = None,
    maps: Annotated[Path | None, typer.Option(help="C2 maps of the latents, .npy, in the same order.")] = None,
    azimuths: Annotated[int, typer.Option(min=1, help="Azimuths of an exposure.")] = 18,
    k: Annotated[int | None, typer.Option("--k", "-k", min=1, help="Clusters. Default: by the elbow.")] = None,
    first: Annotated[
        float | None, typer.Option(help="When the first exposure began, s of the record. Default: when shear stopped.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds from one exposure to the next. Default: to the end.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("paper"),
) -> None:
    """Draw the latent space, its clusters, how many there are, six ways to find them, and labels against stress."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from ainerd.cli import bars
    from ainerd.novelty import agreement, evidence, groupings
    from ainerd.techniques.rheo_xpcs import figures

    z = figures.shaped(read_npy(latents), azimuths)
    record, stopped = figures.read_record(stress) if stress else (None, None)
    if record is not None and first is None and stopped is None:
        raise ValueError(f"{stress}: has no shear rate that says when shear stopped: give --first")
    c2 = None if maps is None else _maps(maps, len(z), azimuths)
    points = z.reshape(-1, z.shape[-1]).astype(float)
    with bars() as progress:
        task = progress.add_task("how many clusters", total=12)
        found = evidence(points, advance=lambda: progress.advance(task))
        k = k or found.proposed["elbow"]
        ways = dict(progress.track(groupings(points, k), total=6, description="six ways to find them"))
    agree = agreement(ways)
    start = {"first": stopped or 0.0 if first is None else first, "shear_stopped": stopped or 0.0}
    of = figures.azimuths_of(z, record, k=k, every=every, **start)
    out.mkdir(parents=True, exist_ok=True)
    drawn = {
        "latent.png": figures.latent_figure(of),
        "number.png": figures.number_figure(found),
        "ways.png": figures.ways_figure(*figures.two_dimensions(points), ways, agree),
    }
    if c2 is not None:
        drawn["clusters.png"] = figures.cluster_figure(of, dict(zip(of.runs.index, c2, strict=True)).__getitem__)
    console, said = Console(), ""
    if record is not None:
        coincidence = figures.coincidence(of)
        drawn["timeline.png"], said = figures.timeline_figure(of, coincidence), str(coincidence)
    for name, figure in drawn.items():
        figure.savefig(out / name, dpi=150)
    table = Table("way", "clusters", "unassigned", "agrees with k-means", title=f"{len(z)} exposures × {z.shape[1]}")
    for (name, labels), index in zip(ways.items(), agree[0], strict=True):
        table.add_row(name, str(labels.max() + 1), f"{np.mean(labels < 0):.0%}", f"{index:.2f}")
    console.print(table)
    console.print(
        "clusters by " + ", ".join(f"{name}: {n}" for name, n in found.proposed.items()) + f"; drawn with {k}"
    )
    if said:
        console.print(f"exposures from {of.runs['start_s'].iloc[0]:.0f} s after shear, one each {of.duration_s:.1f} s")
        console.print(said)
    console.print(f"figures in {out}: {', '.join(drawn)}")


def _maps(file: Path, n: int, n_roi: int) -> "NDArray[Any]":
    """Maps (n, n_roi, t, t)."""
    c2 = read_npy(file)
    if c2.ndim not in (3, 4) or c2[..., 0, 0].size != n * n_roi or c2.shape[-1] != c2.shape[-2]:
        raise ValueError(f"{file}: needs a map for each of the {n} × {n_roi} latents, got {c2.shape}")
    return c2.reshape(n, n_roi, *c2.shape[-2:])
