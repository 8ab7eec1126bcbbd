"""`ainerd train`: fit encoders to simulated exposures, and tune one to measured ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli import Config, Tiled, bars, opened, show_file, store_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.results import ResultStore

Watch = Callable[[str, int, int, dict[str, float]], None]
train = typer.Typer(help="Fit an encoder to simulated exposures of known dynamics.", no_args_is_help=True)
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn at random.")]
Folder = Annotated[Path, typer.Option(help="Folder for what is written; what is there goes on where it stopped.")]


@train.command()
def pca(
    out: Annotated[Path, typer.Option(help="Folder for pca.safetensors and bank.safetensors.")] = Path("weights"),
    seed: Annotated[int, typer.Option(min=0, help="One seed, one pair of files.")] = 0,
    exposures: Annotated[int, typer.Option(min=1, help="Simulated exposures to fit.")] = 3000,
    bank: Annotated[int, typer.Option(min=1, help="Simulated exposures to keep for calibration.")] = 5500,
) -> None:
    """Fit the principal components, and freeze the bank that novelty is calibrated on."""
    from ainerd.latent.training import train_pca
    from ainerd.techniques.rheo_xpcs import simulated_exposures, write_bank

    with bars() as progress:
        advance = partial(progress.advance, progress.add_task("simulating", total=exposures + bank))
        encoder_file = train_pca(out, seed=seed, exposures=exposures, advance=advance)
        bank_file = out / "bank.safetensors"
        write_bank(bank_file, *simulated_exposures(bank, seed=seed, advance=advance), seed=seed)
    show_file(encoder_file)
    show_file(bank_file)


@train.command()
def ours(
    out: Folder = Path("weights"),
    seed: Seed = 1,
    truths: Annotated[int | None, typer.Option(min=100, help="Noise-free maps to draw; default: as shipped.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of 160 of them; default: as shipped.")] = None,
    from_tiled: Annotated[
        bool, typer.Option("--from-tiled", help="Tune the shipped encoder to the complete results on a server.")
    ] = False,
    regime: Annotated[list[int] | None, typer.Option(help="With --from-tiled: only runs of this regime.")] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Train the learned encoder to noise-free maps, as it is shipped: under an hour on two cores.

    With --from-tiled the shipped one is tuned to measured runs instead: some minutes. Under torchrun several
    processes train together.
    """
    from ainerd.latent.training import train_ours, tune_ours

    chosen: dict[str, Any] = {"truths": truths, "steps": steps}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    with _watched() as watch:
        if from_tiled:
            with opened(tiled, config) as client:
                file = tune_ours(out, _measured(store_of(client), regime, watch), seed=seed, watch=watch, **chosen)
        else:
            file = train_ours(out, seed=seed, watch=watch, **chosen)
    show_file(file)


@train.command()
def run(
    out: Folder = Path("weights"),
    seed: Seed = 1,
    truths: Annotated[int | None, typer.Option(min=2, help="Truths to draw; default: as shipped.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of 192 of them; default: as shipped.")] = None,
) -> None:
    """Train the run encoder, the default, to tell exposures of one regime from others: half an hour on two cores."""
    from ainerd.latent.training import train_run

    chosen = {name: value for name, value in {"truths": truths, "steps": steps}.items() if value is not None}
    with _watched() as watch:
        file = train_run(out, seed=seed, watch=watch, **chosen)
    show_file(file)


@train.command()
def nights(
    out: Annotated[Path, typer.Option(help="Folder for regimes.safetensors.")] = Path("weights"),
    seed: Seed = 0,
    regimes: Annotated[int, typer.Option(min=1000, help="Simulated regimes of known kinds.")] = 5000,
) -> None:
    """Simulate nights of known regimes, from which the agent computes whether a regime is new: some minutes.

    The file is valid for the shipped encoder and bank only.
    """
    import numpy as np

    from ainerd.techniques.rheo_xpcs import RheoXPCS, simulated_exposures, views
    from ainerd.techniques.rheo_xpcs._calibration import write_null
    from ainerd.xpcs import Partition

    one = np.ones((8, 8), np.int32)
    technique = RheoXPCS(Partition(roi_map=one, static_map=one, q=np.full(1, np.nan), phi=np.full(1, np.nan)))
    with bars() as progress:
        advance = partial(progress.advance, progress.add_task("simulating", total=2 * regimes))
        clean, _ = simulated_exposures(regimes, seed=seed + 7, advance=advance)
        simulated = views(technique, clean, seed=seed, advance=advance)
        progress.add_task("nights", total=None)
        write_null(out / "regimes.safetensors", technique, simulated, seed=seed)
    show_file(out / "regimes.safetensors")


@train.command()
def paper(
    out: Folder = Path("weights"),
    seed: Seed = 0,
    maps: Annotated[int, typer.Option(min=16, help="Simulated maps of 256 px.")] = 2000,
    epochs: Annotated[int, typer.Option(min=1, help="How often each is seen.")] = 60,
    cpu_s: Annotated[float | None, typer.Option(min=0, help="End after this much CPU time, in seconds.")] = None,
) -> None:
    """Train the network of the AI-NERD paper by its recipe: days on a CPU."""
    from ainerd.latent.training import train_paper

    with _watched() as watch:
        file = train_paper(out, seed=seed, maps=maps, epochs=epochs, cpu_s=cpu_s, watch=watch)
    show_file(file)


def _measured(store: "ResultStore", regimes: list[int] | None, watch: Watch) -> Iterator["NDArray[np.float32]"]:
    """Yield the maps of complete results, of all regimes or some."""
    results = store.search(status="complete")
    if regimes:
        results = results[results["regime"].isin(regimes)]
    if results.empty:
        of = f" of regime {', '.join(map(str, regimes))}" if regimes else ""
        raise ValueError(f"no complete results{of} to tune to")
    for i, key in enumerate(results.index):
        yield store.array(str(key), "c2")
        watch("reading", i + 1, len(results), {})


@contextmanager
def _watched() -> Iterator[Watch]:
    """Show a progress bar for each stage, with the watched numbers beside it."""
    from rich.progress import TaskID, TextColumn

    with bars(TextColumn("{task.fields[watched]}")) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, watched="")
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in watched.items())
            progress.update(tasks[stage], completed=done, watched=numbers)

        yield watch
