"""The figures of the paper: ``python -m studies.paper campaigns``, and ``published FOLDER`` for those of its own data.

The campaigns are that of ``make demo`` and consecutive exposures at one place of a sample that relaxes after shear.
They are in Tiled, and are simulated first if they are missing.
"""

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import bluesky.plan_stubs as bps
import numpy as np
import typer
from bluesky.utils import MsgGenerator
from rich.console import Console
from rich.progress import track

import agents.demo.campaign
from agents.demo.simulated import hardware_beside
from agents.rheo_xpcs import TOML
from ainerd.config import Settings, SettingsError
from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import ServerError, embedded_server
from sim_devices import SimulatedInstrument, Yielding
from studies._session import attached_session
from studies._tools import Study, report
from studies.paper import figures
from studies.paper.azimuths import AGES, coincidence, read_azimuths
from studies.paper.published import RANGES, elbow, inertia, read_published, without_clusters

OUTPUT = Path(__file__).resolve().parents[2] / "output"
EXPOSURES, FRAMES, SECONDS = 60, 256, 50.0  # at one place: fifty minutes in all
SPEED = 15.0  # simulated seconds in one of the wall's
AVALANCHES = 12  # seed of a sample of one regime, which yields
GAP_S = 200.0  # between two of its events at first: most exposures see none
console = Console()
study = Study(__doc__)
RECORD = Path(os.environ.get("AINERD_REFERENCE_DATA", "."), "published_rheology.csv")


def save(drawn: dict[str, figures.Figure], folder: Path) -> None:
    """Write figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    console.print(f"figures in {folder}: {', '.join(drawn)}")


@study.part
def campaigns() -> None:
    """Draw the runs of both campaigns."""
    config, demo = os.environ.get("AINERD_CONFIG"), agents.demo.campaign
    if not (demo.OUTPUT / "campaign.png").exists():  # the last file that the demo writes
        demo.run(Settings.load(config or TOML), seed=demo.PICTURED, hardware=hardware_beside(config))
    draw(demo.OUTPUT, OUTPUT / "figures" / "campaign")
    if not (OUTPUT / "relaxation" / "done").exists():
        relax(OUTPUT / "relaxation")
    draw(OUTPUT / "relaxation", OUTPUT / "figures" / "relaxation", k=4, consecutive=True)


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
        series={AGES: "rheometer_time_since_shear"},  # the wall's clock is not the sample's
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


def draw(source: Path, folder: Path, *, k: int = 5, consecutive: bool = False) -> None:
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
        }
    save(drawn, folder)
    if correlated is not None:
        console.print(str(correlated))


@study.part
def published(
    folder: Annotated[Path, typer.Argument(help="A clone of https://github.com/jhorwath/XPCS_Clustering.")],
    record: Annotated[Path, typer.Option(help="The rheometer's record, CSV.")] = RECORD,
) -> None:
    """Count and draw the clusters of the published latents, on the record of their stress."""
    azimuths = read_published(folder, record)
    correlated = coincidence(azimuths)
    curves = {"published": inertia(azimuths.flat), "Gaussian": inertia(without_clusters(azimuths.flat))}
    save({"published": figures.published_figure(azimuths, curves["published"])}, OUTPUT / "figures")
    rows = [
        {
            "latents": name,
            **{f"elbow up to {most}": elbow(curve[:most]) for most in RANGES},
            "left at 4": curve[3] / curve[0],
        }
        for name, curve in curves.items()
    ]
    report(
        "paper_published", rows, least={"elbow up to 20": 4}, most={"elbow up to 20": 6},
        correlation=float(np.nanmax(correlated.correlation)), chance=correlated.chance,
    )  # fmt: skip
    console.print(str(correlated))


if __name__ == "__main__":
    try:
        study()
    except (SettingsError, ServerError, ValueError, OSError) as error:
        print(f"studies.paper: {error}", file=sys.stderr)
        sys.exit(2)
