"""`ainerd train`: fit encoders to simulated exposures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(help="Fit an encoder to simulated exposures of known dynamics.", no_args_is_help=True)
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn at random.")]
Folder = Annotated[Path, typer.Option(help="Folder for what is written; what is there goes on where it stopped.")]


@train.command()
def pca(
    out: Annotated[Path, typer.Option(help="Folder for pca.safetensors and bank.safetensors.")] = Path("weights"),
    seed: Annotated[int, typer.Option(min=0, help="One seed, one pair of files.")] = 0,
    exposures: Annotated[int, typer.Option(min=1, help="Simulated exposures to fit.")] = 3000,
    bank: Annotated[int, typer.Option(min=1, help="Simulated exposures to keep for calibration.")] = 5400,
) -> None:
    """Fit the principal components, and freeze the bank that novelty is calibrated on."""
    from rich.progress import Progress

    from ainerd.latent import train_pca

    with Progress() as progress:
        task = progress.add_task("simulating", total=exposures + bank)
        files = train_pca(out, seed=seed, exposures=exposures, bank=bank, advance=lambda n: progress.advance(task, n))
    _say(*files)


@train.command()
def ours(
    out: Folder = Path("weights"),
    seed: Seed = 1,
    truths: Annotated[int, typer.Option(min=100, help="Noise-free maps to draw.")] = 45_000,
    steps: Annotated[int, typer.Option(min=1, help="Steps of 160 of them, with fresh noise.")] = 4600,
) -> None:
    """Train the learned encoder to noise-free maps, as it is shipped: under an hour on two cores."""
    from ainerd.latent import train_ours

    with _watched() as watch:
        file = train_ours(out, seed=seed, truths=truths, steps=steps, watch=watch)
    _say(file)


@train.command()
def paper(
    out: Folder = Path("weights"),
    seed: Seed = 0,
    maps: Annotated[int, typer.Option(min=16, help="Simulated maps of 256 px.")] = 2000,
    epochs: Annotated[int, typer.Option(min=1, help="How often each is seen.")] = 60,
    cpu_s: Annotated[float | None, typer.Option(min=0, help="End after this much CPU time, in seconds.")] = None,
) -> None:
    """Train the network of the AI-NERD paper by its recipe: days on a CPU."""
    from ainerd.latent import train_paper

    with _watched() as watch:
        file = train_paper(out, seed=seed, maps=maps, epochs=epochs, cpu_s=cpu_s, watch=watch)
    _say(file)


@contextmanager
def _watched() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """A bar for each stage, with what is worth watching beside it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[watched]}")) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, watched="")
            told = "  ".join(f"{name} {value:.4f}" for name, value in watched.items())
            progress.update(tasks[stage], completed=done, watched=told)

        yield watch


def _say(*files: Path) -> None:
    from rich.console import Console

    for file in files:
        Console().print(f"{file}  {file.stat().st_size / 1e6:.2f} MB")
