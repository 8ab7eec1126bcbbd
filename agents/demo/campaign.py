"""``make demo``: the whole loop on an embedded Tiled server, compared with the truth at the end.

Each run explores another sample; ``python -m agents.demo --seed N`` repeats one.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from bluesky import RunEngine, SupplementalData
from rich import get_console
from rich.panel import Panel
from sklearn.metrics import adjusted_rand_score
from tiled.client.container import Container
from tiled.queries import Key

from agents.demo import catalog_in, cycles, progress_bar
from agents.demo.simulated import HARDWARE, agent_of, hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from agents.session import raw_writer
from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd.server import ServerError
from ainerd.words import number_of, runnable
from sim_devices import SimulatedInstrument

OUTPUT = Path(__file__).resolve().parents[2] / "output" / "demo"
# Chosen by the seed; the last three move thousands of scatterers, and get fewer frames.
SAMPLES = ("voronoi", "bands", "blocks", "inclusions", "particles", "flow_field")
MOVED = ("blocks", "particles", "flow_field")
PICTURED = 27  # seed of the pictures in the documentation
SEEDS = 1000
Runs = tuple[tuple[int, int, float], ...]
RUNS: Runs = ((9, 500, 0.1), (1, 5000, 0.01), (8, 500, 0.1))  # positions, frames, seconds a frame: 50 s each
RUNS_RIGAKU: Runs = ((4, 2000, 0.025),)
RIGAKU = TOML.parents[1] / "rigaku" / "agent.toml"
RUNS_MOVED: Runs = ((9, 192, 0.26), (1, 500, 0.1), (8, 192, 0.26))  # a multiple of 64: shipped calibrations fit
SPEED = 60.0  # simulated seconds in one second of the wall clock
console = get_console()


def main() -> None:
    """Run the demo from the command line; print one line and exit with 2 if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m agents.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="seed of the sample; a random one by default")
    parser.add_argument(
        "--detector", choices=("lambda750k", "rigaku"), help="rigaku: four exposures in files of events"
    )
    parser.add_argument("--profile", choices=("rheo_xpcs", "cycles"), help="cycles: an amplitude sweep of oscillations")
    arguments = parser.parse_args()
    try:
        if arguments.profile == "cycles":
            cycles.run(Settings.load(cycles.TOML), seed=arguments.seed or 0)
            return
        explore(arguments.seed, OUTPUT, is_rigaku=arguments.detector == "rigaku")
    except (ValueError, ServerError) as err:
        print(f"ainerd: {err}", file=sys.stderr)
        sys.exit(2)


def explore(seed: int | None, output: Path, *, is_rigaku: bool = False) -> None:
    """Run the demo with the settings of the environment, if it names some."""
    config = RIGAKU if is_rigaku else os.environ.get("AINERD_CONFIG")
    settings, runs = Settings.load(config or TOML), RUNS_RIGAKU if is_rigaku else None
    run(settings, seed=seed, hardware=hardware_beside(config), runs=runs, output=output.resolve())


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
    again = runnable(f"python -m agents.demo --seed {seed}")
    console.print(f"Sample number {seed}: `{again}` repeats it.", soft_wrap=True)
    with catalog_in(output, settings) as client:
        console.print(f"[dim]Everything goes to {output}, at most 1.5 GB.[/]")
        instrument = simulated_instrument(
            settings.storage.frames[0], hardware, sample=sample, sample_seed=seed, speed=SPEED
        )
        agent = agent_of(client, settings, instrument)
        RE = RunEngine({})
        RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
        RE.subscribe(writer := raw_writer(client, settings))
        agent.attach(RE)
        console.print(f"Follow the campaign in a browser: open {agent.page}")
        with progress_bar() as bars:
            task = bars.add_task("positions", total=sum(n for n, _, _ in runs))
            RE.subscribe(lambda name, doc: bars.update(task, completed=agent.concluded), "stop")
            for positions, n_frames, seconds in runs:
                instrument.detector.cam.num_images.put(n_frames)
                instrument.detector.cam.acquire_period.put(seconds)
                instrument.detector.cam.acquire_time.put(seconds)
                RE(agent.explore(positions))
            agent.drain()
            writer.shutdown()
            bars.update(task, completed=agent.concluded)
        report(agent, client, instrument)
        figure = output / "campaign.png"
        agent.plot(truth=truth_map(instrument)).savefig(figure, dpi=150)
        agent.close()
        size = sum(f.stat().st_size for f in output.rglob("*") if f.is_file()) / 1e9
        console.print(f"\nfigure: {figure}\n{size:.2f} GB in {output}, {time.perf_counter() - began:.0f} s")
        served = f"{runnable('ainerd serve')} {output / 'tiled'} --frames {settings.storage.frames[0]} --open"
        console.print(f"the server stops; to see the page: {served}", soft_wrap=True)
        return agent


def report(agent: Agent, client: Container, instrument: SimulatedInstrument) -> None:
    """Print the results, read back from Tiled, and how they compare with the truth."""
    table = agent.results.table()
    console.rule("results, read back from Tiled")
    console.print(table)
    exposures = agent.results.table(all=True).groupby(["n_frames", "frame_time_s"], sort=False).size().items()
    frames = "; ".join(f"{number_of(n, 'exposure')} of {k} frames of {s:g} s" for (k, s), n in exposures)
    console.print(f"{frames}. Scans without a row are the plans that hold the exposures together.")
    console.rule("reasons of the positions")
    reasons = agent.results.suggestions().set_index("raw_uid")["reason"]
    for row in table.itertuples():
        console.print(f"scan {row.scan_id}: {reasons.get(row.raw_uid, '')}")
    novel = client["ainerd/results"].search(Key("novelty_p") <= agent.technique.alpha).sort(("novelty_p", 1))
    console.rule(f'client["ainerd/results"].search(Key("novelty_p") <= {agent.technique.alpha})')
    if not len(novel):
        console.print("none is novel")
    for key, node in novel.items():
        console.print(
            f"scan {node.metadata['scan_id']}: p = {node.metadata['novelty_p']:.2g}, regime {table['regime'][key]}"
        )
    console.print(Panel(summary(agent, table, instrument), title="compared with the truth"))


def summary(agent: Agent, table: pd.DataFrame, instrument: SimulatedInstrument) -> str:
    """Return which regimes exist, and how they were measured, separated, and judged.

    Parameters
    ----------
    agent : Agent
    table : DataFrame
        Its results, a row an exposure.
    instrument : SimulatedInstrument
        It knows the truth.
    """
    sample, complete = instrument.sample, table[table["status"] == "complete"]
    places = zip(complete["sample_x"], complete["sample_y"], strict=True)
    truth = pd.Series([instrument.truth(x, y) for x, y in places], complete.index, object, name="truth")
    judged, status = by_regime(truth, complete, sample.regions, sample.unknown), agent.status()
    known = judged[judged["in the reference"] == "yes"].sum()
    low, high = status["supported_range"]
    between = f" (it may be {low} to {high})" if low < high else ""
    n_known, called, alpha = known["with a p-value"], known["called novel"], agent.technique.alpha
    lines = [
        f"There were {len(sample.regions)} regimes. {len(complete)} of {len(table)} exposures have a complete result.",
        f"The agent found {status['regimes']}{between}, without access to the truth. They agree with it to an "
        f"adjusted Rand index of {adjusted_rand_score(truth, complete['regime']):.2f}.",
        f"Of {n_known} exposures with a p-value whose dynamics are in the reference, "
        f"{called} {'is' if called == 1 else 'are'} called novel; "
        f"at alpha = {alpha:g} about {alpha * n_known:.1f} are expected.",
    ]
    crossed = pd.crosstab(complete["regime"], truth)
    return "\n".join(lines) + f"\n\n{judged.to_string()}\n\n{crossed.to_string()}"


def by_regime(truth: pd.Series, complete: pd.DataFrame, regions: Iterable[str], unknown: Iterable[str]) -> pd.DataFrame:
    """Return how often each regime of a sample was measured, judged and called novel.

    Parameters
    ----------
    truth : Series of str
        Regimes of the exposures in `complete`.
    found : DataFrame
    regions : iterable of str
        Names of all regimes.
    unknown : iterable of str
        Names of those whose dynamics are not in the reference of the p-value.
    """
    counted = pd.DataFrame(
        {"with a p-value": complete["novelty_p"].notna(), "called novel": complete["novel"].eq(True)}
    )
    table = counted.assign(exposures=1).groupby(truth).sum().reindex([*regions], fill_value=0)
    table.insert(0, "in the reference", ["no" if name in set(unknown) else "yes" for name in table.index])
    return table


def truth_map(instrument: SimulatedInstrument, n: int = 200) -> np.ndarray:
    """Return the index of the true regime over the sample, (n, n)."""
    return np.unique(instrument.sample.regime_map(n), return_inverse=True)[1].reshape(n, n)


if __name__ == "__main__":
    main()
