"""`ainerd train`: fit encoders to simulated exposures."""

from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(help="Fit an encoder to simulated exposures of known dynamics.", no_args_is_help=True)


@train.callback()
def _group() -> None:
    """Keep `pca` a subcommand while it is the only one."""


@train.command()
def pca(
    out: Annotated[Path, typer.Option(help="Folder for pca.safetensors and bank.safetensors.")] = Path("weights"),
    seed: Annotated[int, typer.Option(min=0, help="One seed, one pair of files.")] = 0,
    exposures: Annotated[int, typer.Option(min=1, help="Simulated exposures to fit.")] = 3000,
    bank: Annotated[int, typer.Option(min=1, help="Simulated exposures to keep for calibration.")] = 600,
) -> None:
    """Fit the principal components, and freeze the bank that novelty is calibrated on."""
    from rich.console import Console
    from rich.progress import Progress

    from ainerd.latent import train_pca

    with Progress() as progress:
        task = progress.add_task("simulating", total=exposures + bank)
        files = train_pca(out, seed=seed, exposures=exposures, bank=bank, advance=lambda n: progress.advance(task, n))
    for file in files:
        Console().print(f"{file}  {file.stat().st_size / 1e6:.2f} MB")
