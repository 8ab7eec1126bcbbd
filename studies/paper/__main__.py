"""``python -m studies.paper``: the figures of two sets of runs; with LATENTS, those of latent vectors in a file.

The sets are the campaign of ``make demo`` and consecutive exposures at one place of a sample that relaxes after shear.
They are in Tiled, and are simulated first if they are missing.
"""

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import bluesky.plan_stubs as bps
import numpy as np
import typer
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

import agents.demo.campaign
from agents.demo.simulated import hardware_beside
from agents.rheo_xpcs import TOML
from ainerd.config import Settings, SettingsError
from ainerd.results import ResultStore
from ainerd.server import ServerError, embedded_server
from ainerd.steering import expose
from ainerd_xpcs.latent import Encoder
from sim_devices import SimulatedInstrument, Yielding
from studies._session import attached_session
from studies.paper import figures
from studies.paper.azimuths import azimuths_of, coincidence, read_azimuths, read_record, shaped
from studies.paper.comparison import agreement, evidence, groupings, proposed

OUTPUT = Path(__file__).resolve().parents[2] / "output"
EXPOSURES, FRAMES, SECONDS = 60, 256, 50.0  # at one place: fifty minutes in all
SPEED = 15.0  # simulated seconds in one of the wall's
AVALANCHES = 12  # seed of a sample of one regime, which yields
GAP_S = 200.0  # between two of its events at first: most exposures see none
app = typer.Typer(add_completion=False)
console = Console()


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
        draw_campaigns()
        return
    z = shaped(np.load(latents, allow_pickle=False), azimuths)
    record, stopped = read_record(stress) if stress else (None, None)
    if record is not None and first is None and stopped is None:
        raise ValueError(f"{stress}: has no shear rate from which to tell when shear stopped: give --first")
    c2 = None if maps is None else _maps(maps, len(z), azimuths)
    points = z.reshape(-1, z.shape[-1]).astype(float)
    criteria = evidence(points)
    numbers = proposed(criteria)
    k = k or numbers["elbow"]
    ways = dict(groupings(points, k))
    agree = agreement(ways)
    start = {"first": stopped or 0.0 if first is None else first, "shear_stopped": stopped or 0.0}
    clustered = azimuths_of(z, record, k=k, every=every, **start)
    correlated = None if record is None else coincidence(clustered)
    drawn = {
        "latent": figures.latent_figure(clustered),
        "number": figures.number_figure(criteria),
        "ways": figures.ways_figure(*figures.two_dimensions(points), ways, agree),
    }
    if c2 is not None:
        maps_of = dict(zip(clustered.runs.index, c2, strict=True)).__getitem__
        drawn["clusters"] = figures.cluster_figure(clustered, maps_of)
    if correlated is not None:
        drawn["timeline"] = figures.timeline_figure(clustered, correlated)
    save(drawn, out)
    table = Table("way", "clusters", "unassigned", "agrees with k-means", title=f"{len(z)} exposures × {z.shape[1]}")
    for (name, labels), index in zip(ways.items(), agree[0], strict=True):
        table.add_row(name, str(labels.max() + 1), f"{np.mean(labels < 0):.0%}", f"{index:.2f}")
    console.print(table)
    console.print(f"clusters by {', '.join(f'{name}: {n}' for name, n in numbers.items())}; drawn with {k}")
    if correlated is not None:
        begin, length = clustered.runs["start_s"].iloc[0], clustered.duration_s
        console.print(f"exposures from {begin:.0f} s after shear, {length:.1f} s each")
        console.print(str(correlated))


def _maps(file: Path, n: int, n_roi: int) -> NDArray[Any]:
    """Read maps as (n, n_roi, t, t)."""
    c2 = np.load(file, allow_pickle=False)
    if c2.ndim not in (3, 4) or c2[..., 0, 0].size != n * n_roi or c2.shape[-1] != c2.shape[-2]:
        raise ValueError(f"{file}: needs a map for each of the {n} × {n_roi} latents, got {c2.shape}")
    return c2.reshape(n, n_roi, *c2.shape[-2:])


def save(drawn: dict[str, figures.Figure], folder: Path) -> None:
    """Write figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    console.print(f"figures in {folder}: {', '.join(drawn)}")


def draw_campaigns() -> None:
    """Draw both sets."""
    config, demo = os.environ.get("AINERD_CONFIG"), agents.demo.campaign
    settings = Settings.load(config or TOML)
    if not (demo.OUTPUT / "campaign.png").exists():  # the last file that the demo writes
        demo.run(settings, seed=demo.PICTURED, hardware=hardware_beside(config))
    encoder = Encoder.load(settings.section.get("encoder", "run"))
    draw(demo.OUTPUT, OUTPUT / "figures" / "campaign", encoder)
    if not (OUTPUT / "relaxation" / "done").exists():
        relax(OUTPUT / "relaxation")
    draw(OUTPUT / "relaxation", OUTPUT / "figures" / "relaxation", Encoder.load(), k=4, consecutive=True)


def relax(output: Path, *, exposures: int = EXPOSURES, speed: float = SPEED) -> None:
    """Take consecutive exposures at one place of a sample whose shear has just stopped.

    Parameters
    ----------
    output : Path
        Emptied first.
    exposures : int
    speed : float
        Simulated seconds in one of the wall's.
    """
    shutil.rmtree(output, ignore_errors=True)
    console.print(f"[dim]{exposures} exposures of {SECONDS:g} s at one place go to {output}[/]")
    with attached_session(
        output,
        series={"time_since_shear": "rheometer_time_since_shear"},  # the wall's clock is not the sample's
        sample="null",
        sample_seed=AVALANCHES,
        speed=speed,
        yielding=Yielding(gap_s=GAP_S),
    ) as session:
        session.frames(FRAMES, SECONDS)
        session.RE(stay(session.instrument, exposures))
        with console.status("waiting for the last analysis"):
            session.agent.drain(600)
    (output / "done").touch()


def stay(instrument: SimulatedInstrument, exposures: int) -> MsgGenerator[None]:
    """Plan: expose the middle of the sample again and again."""
    stage, rheometer = instrument.stage, instrument.rheometer
    yield from bps.mv(stage.x, 5.0, stage.y, 5.0)
    for _ in track(range(exposures), "exposures", console=console):
        yield from expose(
            instrument.detector,
            beside=[stage.x, stage.y, rheometer],
            monitored=[rheometer.stress, rheometer.time_since_shear],
            shutter=instrument.shutter,
        )


def draw(source: Path, folder: Path, encoder: Encoder, *, k: int = 5, consecutive: bool = False) -> None:
    """Draw the figures of the results in the Tiled server of the folder `source` into another folder.

    `k` is the number of clusters. `consecutive` exposures follow each other at one place: then label changes are
    correlated with stress dips.
    """
    with embedded_server(source / "tiled", readable_storage=[source / "frames"]) as server:
        store = ResultStore(server.client()["ainerd"])
        azimuths, maps_of = read_azimuths(store, k=k), partial(store.array, name="c2")
        correlated = coincidence(azimuths) if consecutive else None
        drawn = {
            "timeline": figures.timeline_figure(azimuths, correlated),
            "latent": figures.latent_figure(azimuths),
            "clusters": figures.cluster_figure(azimuths, maps_of),
            "similar": figures.similarity_figure(azimuths, maps_of),
            "neighbours": figures.neighbourhood_figure(azimuths, maps_of, encoder.decode),
        }
    save(drawn, folder)
    if correlated is not None:
        console.print(str(correlated))


if __name__ == "__main__":
    try:
        app()
    except (SettingsError, ServerError, ValueError, OSError) as error:
        print(f"studies.paper: {error}", file=sys.stderr)
        sys.exit(2)
