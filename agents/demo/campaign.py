"""``make demo``: the whole loop on an embedded Tiled server, compared with the truth at the end.

Each run explores another sample; ``python -m agents.demo --seed N`` repeats one.
"""

import argparse
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from bluesky import RunEngine, SupplementalData
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from tiled.client.container import Container
from tiled.queries import Key

from agents.demo.simulated import HARDWARE, hardware_beside, simulated_instrument
from agents.demo.truth import summary, truth_map
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import Agent, open_tiled
from ainerd.config import Settings, SettingsError
from ainerd.latent import ModelError
from ainerd.server import ServerError
from sim_devices import SimulatedInstrument

OUTPUT = Path(__file__).resolve().parents[2] / "output" / "demo"
# Chosen by the seed; the last three move thousands of scatterers, and get fewer frames.
SAMPLES = ("voronoi", "bands", "blocks", "inclusions", "particles", "flow_field")
MOVED = ("blocks", "particles", "flow_field")
PICTURED = 3  # seed of the pictures in the documentation
SEEDS = 1000
Runs = tuple[tuple[int, int, float], ...]
RUNS: Runs = ((9, 500, 0.1), (1, 5000, 0.01), (8, 500, 0.1))  # positions, frames, seconds a frame: 50 s each
RUNS_MOVED: Runs = ((9, 200, 0.25), (1, 500, 0.1), (8, 200, 0.25))
SPEED = 60.0  # simulated seconds in one second of the wall clock
console = Console()


def main() -> None:
    """Run the demo; print one line and exit with 2 if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m agents.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="seed of the sample; a random one by default")
    seed, config = parser.parse_args().seed, os.environ.get("AINERD_CONFIG")
    try:
        run(Settings.load(config or TOML), seed=seed, hardware=hardware_beside(config))
    except (SettingsError, ServerError, ModelError) as err:
        print(f"ainerd: {err}", file=sys.stderr)
        sys.exit(2)


def run(
    settings: Settings,
    *,
    seed: int | None = None,
    hardware: Path = HARDWARE,
    runs: Runs | None = None,
    output: Path = OUTPUT,
) -> Agent:
    """Explore a hidden sample, and print and draw the results.

    Parameters
    ----------
    settings : Settings
    seed : int, optional
        Seed of the sample; by default a random one.
    hardware : Path
        Description of the instrument; see `agents.demo.simulated`.
    runs : tuple of (int, int, float), optional
        Positions, frames and seconds a frame.
    output : Path
        Emptied first.
    """
    began = time.perf_counter()
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    sample = SAMPLES[seed % len(SAMPLES)]
    runs = runs or (RUNS_MOVED if sample in MOVED else RUNS)
    console.print(f"A new sample: number {seed}. `python -m agents.demo --seed {seed}` repeats it.")
    shutil.rmtree(output, ignore_errors=True)
    settings.storage.directory, settings.storage.frames = output / "tiled", [output / "frames"]
    console.print(f"[dim]Everything goes to {output}, at most 1.5 GB; `make clean` removes it.[/]")
    with console.status("starting Tiled"):
        client, close = open_tiled(settings.storage)
    try:
        frames = settings.storage.frames[0]
        instrument = simulated_instrument(frames, hardware, sample=sample, sample_seed=seed, speed=SPEED)
        agent = build_agent(
            client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            rheometer=instrument.rheometer,
            shutter=instrument.shutter,
            settings=settings,
        )
        RE = RunEngine({})
        RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
        agent.attach(RE)
        console.print(f"Follow the campaign in a browser: open {agent.page}")
        with progress(agent, sum(n for n, _, _ in runs)):
            for positions, n_frames, seconds in runs:
                instrument.detector.cam.num_images.put(n_frames)
                instrument.detector.cam.acquire_period.put(seconds)
                instrument.detector.cam.acquire_time.put(seconds)
                RE(agent.explore(positions))
        agent.drain()
        report(agent, client, instrument)
        figure = output / "campaign.png"
        agent.plot(truth=truth_map(instrument)).savefig(figure, dpi=150)
        agent.close()
        size = sum(f.stat().st_size for f in output.rglob("*") if f.is_file()) / 1e9
        console.print(f"\nfigure: {figure}\n{size:.2f} GB in {output}, {time.perf_counter() - began:.0f} s")
        return agent
    finally:
        close()


@contextmanager
def progress(agent: Agent, positions: int) -> Iterator[None]:
    """Show two bars: measured positions, and analysed frames of the present run."""
    columns = TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    done = threading.Event()
    with Progress(*columns, console=console) as bars:
        campaign, frames = bars.add_task("positions", total=positions), bars.add_task("frames", total=None)

        def watch() -> None:
            while not done.wait(0.2):
                read, announced = agent.progress or (0, None)
                bars.update(frames, completed=read, total=announced)
                bars.update(campaign, completed=agent.concluded)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            bars.update(campaign, completed=agent.concluded)


def report(agent: Agent, client: Container, instrument: SimulatedInstrument) -> None:
    """Print the results, read back from Tiled, and how they compare with the truth."""
    table = agent.results.table()
    console.rule("results, read back from Tiled")
    shown = table[["scan_id", "sample_x", "sample_y", "n_frames", "regime", "novelty_p", "novel", "status"]]
    console.print(shown.to_string(index=False, float_format="%.3g"))
    console.rule("reasons of the positions")
    console.print(story(agent, table))
    novel = client["ainerd/results"].search(Key("novelty_p") <= agent.technique.alpha).sort(("novelty_p", 1))
    console.rule(f'client["ainerd/results"].search(Key("novelty_p") <= {agent.technique.alpha})')
    for node in novel.values():
        result = node.metadata
        console.print(f"  p = {result['novelty_p']:.4f} at ({result['sample_x']:.2f}, {result['sample_y']:.2f}) mm")
    console.print(Panel(summary(agent, table, instrument), title="compared with the truth"))


def story(agent: Agent, table: pd.DataFrame) -> Table:
    """Return the path, a line for each exposure, with the reason of every suggestion."""
    reasons = agent.results.suggestions().set_index("raw_uid")["reason"]
    lines = Table(box=None, pad_edge=False)
    for name in ("#", "position (mm)", "because", "found"):
        lines.add_column(name)
    for number, row in enumerate(table.itertuples(), start=1):
        marked = f"regime {row.regime}" + (
            f", [bold red]novel, p = {row.novelty_p:.3g}[/]" if row.novel is True else ""
        )
        lines.add_row(str(number), f"{row.sample_x:.2f}, {row.sample_y:.2f}", reasons.get(row.raw_uid, ""), marked)
    return lines


if __name__ == "__main__":
    main()
