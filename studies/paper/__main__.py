"""``python -m studies.paper``: the figures of two sets of runs; with LATENTS, those of latent vectors in a file."""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ainerd.cli import bars
from ainerd.config import SettingsError
from ainerd.server import ServerError
from studies.paper import azimuths_of, coincidence, figures, read_record
from studies.paper.azimuths import shaped
from studies.paper.comparison import agreement, evidence, groupings

app = typer.Typer(add_completion=False)


@app.command()
def paper(
    latents: Annotated[
        Path | None, typer.Argument(help="Latents, .npy, (exposures, azimuths, m) or (exposures × azimuths, m).")
    ] = None,
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
    out: Annotated[Path, typer.Option(help="Folder of the figures of LATENTS.")] = Path("paper"),
) -> None:
    """Draw the figures of the demo campaign and of a relaxing sample, simulated if necessary; or those of LATENTS.

    Of LATENTS: the latent space, its clusters, how many there are, six ways to group, and labels against stress.
    """
    if latents is None:
        from studies.paper.campaigns import draw_campaigns

        draw_campaigns()
        return
    z = shaped(np.load(latents, allow_pickle=False), azimuths)
    record, stopped = read_record(stress) if stress else (None, None)
    if record is not None and first is None and stopped is None:
        raise ValueError(f"{stress}: has no shear rate from which to tell when shear stopped: give --first")
    c2 = None if maps is None else _maps(maps, len(z), azimuths)
    points = z.reshape(-1, z.shape[-1]).astype(float)
    with bars() as progress:
        task = progress.add_task("how many clusters", total=12)
        criteria = evidence(points, advance=lambda: progress.advance(task))
        k = k or criteria.proposed["elbow"]
        ways = dict(progress.track(groupings(points, k), total=6, description="six ways of grouping"))
    agree = agreement(ways)
    start = {"first": stopped or 0.0 if first is None else first, "shear_stopped": stopped or 0.0}
    clustered = azimuths_of(z, record, k=k, every=every, **start)
    correlated = None if record is None else coincidence(clustered)
    out.mkdir(parents=True, exist_ok=True)
    drawn = {
        "latent.png": figures.latent_figure(clustered),
        "number.png": figures.number_figure(criteria),
        "ways.png": figures.ways_figure(*figures.two_dimensions(points), ways, agree),
    }
    if c2 is not None:
        maps_of = dict(zip(clustered.runs.index, c2, strict=True)).__getitem__
        drawn["clusters.png"] = figures.cluster_figure(clustered, maps_of)
    if correlated is not None:
        drawn["timeline.png"] = figures.timeline_figure(clustered, correlated)
    for name, figure in drawn.items():
        figure.savefig(out / name, dpi=150)
    table = Table("way", "clusters", "unassigned", "agrees with k-means", title=f"{len(z)} exposures × {z.shape[1]}")
    for (name, labels), index in zip(ways.items(), agree[0], strict=True):
        table.add_row(name, str(labels.max() + 1), f"{np.mean(labels < 0):.0%}", f"{index:.2f}")
    console = Console()
    console.print(table)
    proposed = ", ".join(f"{name}: {n}" for name, n in criteria.proposed.items())
    console.print(f"clusters by {proposed}; drawn with {k}")
    if correlated is not None:
        begin, length = clustered.runs["start_s"].iloc[0], clustered.duration_s
        console.print(f"exposures from {begin:.0f} s after shear, {length:.1f} s each")
        console.print(str(correlated))
    console.print(f"figures in {out}: {', '.join(drawn)}")


def _maps(file: Path, n: int, n_roi: int) -> NDArray[Any]:
    """Read maps as (n, n_roi, t, t)."""
    c2 = np.load(file, allow_pickle=False)
    if c2.ndim not in (3, 4) or c2[..., 0, 0].size != n * n_roi or c2.shape[-1] != c2.shape[-2]:
        raise ValueError(f"{file}: needs a map for each of the {n} × {n_roi} latents, got {c2.shape}")
    return c2.reshape(n, n_roi, *c2.shape[-2:])


if __name__ == "__main__":
    try:
        app()
    except (SettingsError, ServerError, ValueError, OSError) as error:
        print(f"studies.paper: {error}", file=sys.stderr)
        sys.exit(2)
