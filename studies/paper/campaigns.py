"""The figures of two sets of runs in Tiled, which are simulated first if they are missing.

The sets are the campaign of ``make demo`` and consecutive exposures at one place of a sample that relaxes after shear.
"""

import os
import shutil
from functools import partial
from pathlib import Path

import bluesky.plan_stubs as bps
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from rich.console import Console
from rich.progress import track

import agents.demo.campaign
from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings
from ainerd.latent import Encoder
from ainerd.results import ResultStore
from ainerd.steering import expose
from sim_devices import SimulatedInstrument, Yielding
from studies.paper.azimuths import read_azimuths
from studies.paper.coincidence import Coincidence, coincidence
from studies.paper.figures import (
    cluster_figure,
    latent_figure,
    neighbourhood_figure,
    similarity_figure,
    timeline_figure,
)

OUTPUT = Path(__file__).resolve().parents[2] / "output"
EXPOSURES, FRAMES, SECONDS = 60, 256, 50.0  # at one place: fifty minutes in all
SPEED = 15.0  # simulated seconds in one of the wall's
SMALL = TOML.with_name("small.toml")
AVALANCHES = 12  # seed of a sample of one regime, which yields
GAP_S = 200.0  # between two of its events at first: most exposures see none
console = Console()


def draw_campaigns() -> None:
    """Draw both sets."""
    config = os.environ.get("AINERD_CONFIG")
    settings = Settings.load(config or TOML)
    if not (agents.demo.campaign.OUTPUT / "campaign.png").exists():  # the last file that the demo writes
        agents.demo.campaign.run(settings, seed=agents.demo.campaign.PICTURED, hardware=hardware_beside(config))
    draw(settings, agents.demo.campaign.OUTPUT, OUTPUT / "figures" / "campaign")
    settings, relaxing = Settings.load(SMALL), OUTPUT / "relaxation"
    if not (relaxing / "done").exists():
        relax(settings, relaxing)
    draw(settings, relaxing, OUTPUT / "figures" / "relaxation", k=4, consecutive=True)


def relax(settings: Settings, output: Path, *, exposures: int = EXPOSURES, speed: float = SPEED) -> None:
    """Take consecutive exposures at one place of a sample whose shear has just stopped.

    Parameters
    ----------
    settings : Settings
    output : Path
        Emptied first.
    exposures : int
    speed : float
        Simulated seconds in one of the wall's.
    """
    shutil.rmtree(output, ignore_errors=True)
    settings.storage.directory, settings.storage.frames = output / "tiled", [output / "frames"]
    settings.recorded.series["time_since_shear"] = "rheometer_time_since_shear"  # the wall's clock is not the sample's
    console.print(f"[dim]{exposures} exposures of {SECONDS:g} s at one place go to {output}[/]")
    client, close = open_tiled(settings.storage)
    try:
        instrument = simulated_instrument(
            output / "frames",
            hardware_beside(SMALL),
            sample="null",
            sample_seed=AVALANCHES,
            speed=speed,
            yielding=Yielding(gap_s=GAP_S),
        )
        RE = RunEngine({})
        agent = build_agent(
            client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            rheometer=instrument.rheometer,
            settings=settings,
        )
        agent.quiet = True
        agent.attach(RE)
        RE(stay(instrument, exposures))
        with console.status("waiting for the last analysis"):
            agent.drain(600)
        agent.close()
        (output / "done").touch()
    finally:
        close()


def stay(instrument: SimulatedInstrument, exposures: int) -> MsgGenerator[None]:
    """Plan: expose the middle of the sample again and again."""
    detector, stage, rheometer = instrument.detector, instrument.stage, instrument.rheometer
    yield from bps.mv(detector.cam.num_images, FRAMES)
    for time in (detector.cam.acquire_period, detector.cam.acquire_time):
        yield from bps.mv(time, SECONDS / FRAMES)
    yield from bps.mv(stage.x, 5.0, stage.y, 5.0)
    for _ in track(range(exposures), "exposures", console=console):
        yield from expose(
            detector,
            beside=[stage.x, stage.y, rheometer],
            monitored=[rheometer.stress, rheometer.time_since_shear],
            shutter=instrument.shutter,
        )


def draw(
    settings: Settings, source: Path, folder: Path, *, k: int = 5, consecutive: bool = False
) -> Coincidence | None:
    """Draw the figures of the results in the Tiled server of a folder.

    Parameters
    ----------
    settings : Settings
    source : Path
        Folder with the server's folder ``tiled``.
    folder : Path
        Folder of the pictures.
    k : int
        Number of clusters.
    consecutive : bool
        Whether the exposures follow each other at one place; then label changes are correlated with stress dips.
    """
    settings.storage.directory, settings.storage.frames = source / "tiled", [source / "frames"]
    folder.mkdir(parents=True, exist_ok=True)
    encoder = Encoder.load(settings.section.get("encoder", "run"))
    client, close = open_tiled(settings.storage)
    try:
        store = ResultStore(client["ainerd"])
        azimuths, maps_of = read_azimuths(store, k=k), partial(store.array, name="c2")
        correlated = coincidence(azimuths) if consecutive else None
        figures = {
            "timeline": timeline_figure(azimuths, correlated),
            "latent": latent_figure(azimuths),
            "clusters": cluster_figure(azimuths, maps_of),
            "similar": similarity_figure(azimuths, maps_of),
            "neighbours": neighbourhood_figure(azimuths, maps_of, encoder.decode),
        }
    finally:
        close()
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120)
        console.print(f"figure: {folder / f'{name}.png'}")
    if correlated is not None:
        console.print(str(correlated))
    return correlated
