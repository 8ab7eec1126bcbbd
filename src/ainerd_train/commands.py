"""`ainerd train`. Functions import heavy modules."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ainerd.cli import Dask, bars, mapping, show_file


class Kind(StrEnum):
    """The encoders, and the simulated nights."""

    pca = "pca"
    ours = "ours"
    run = "run"
    nights = "nights"


def train(
    kind: Annotated[Kind, typer.Argument(help="An encoder, or the nights that calibrate claims of new regimes.")],
    out: Annotated[Path, typer.Option(help="Folder.")] = Path("weights"),
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random draws; default: as shipped.")] = None,
    n: Annotated[
        int | None, typer.Option("--n", min=2, help="Simulated exposures, truths or regimes; default: as shipped.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of ours and run; default: as shipped.")] = None,
    dask: Dask = None,
) -> None:
    """Train an encoder, or simulate nights, with exposures of known dynamics.

    pca: principal components. ours: the encoder of single maps, under an hour on two cores. run: the encoder of whole
    exposures, the default, half an hour. nights: nights of known regimes, with which claims are calibrated, some
    minutes; they are valid for the shipped encoder and reference.
    """
    import ainerd_train

    given = {name: value for name, value in {"seed": seed, "steps": steps}.items() if value is not None}
    if steps is not None and kind not in (Kind.ours, Kind.run):
        raise ValueError(f"train {kind} has no steps: leave --steps out")
    if kind is Kind.nights:
        _nights(out, seed or 0, n or 5000, dask)
    else:
        given |= {} if n is None else {"truths": n}
        _train(getattr(ainerd_train, f"train_{kind}"), out, **given)


def _nights(out: Path, seed: int, regimes: int, dask: str | None) -> None:
    import numpy as np

    from ainerd.novelty import MOST
    from ainerd_train._nights import LONGER, views, write_null
    from ainerd_xpcs.numerics import Partition
    from ainerd_xpcs.technique import RheoXPCS, simulated_exposures

    one = np.ones((8, 8), np.int32)
    technique = RheoXPCS(Partition(roi_map=one, static_map=one, q=np.full(1, np.nan), phi=np.full(1, np.nan)))
    with mapping(dask) as over, bars() as progress:
        advance = partial(progress.advance, progress.add_task("simulating", total=2 * regimes + LONGER))
        clean, _ = simulated_exposures(regimes, seed=seed + 7, advance=advance, over=over)
        simulated = views(technique, clean, seed=seed, advance=advance)
        longer = views(technique, clean[:LONGER], each=MOST + 1, seed=seed + 1, has_p=False, advance=advance)
        progress.add_task("nights", total=None)
        write_null(out / "regimes.safetensors", technique, simulated, longer.z, seed=seed)
    show_file(out / "regimes.safetensors")


def _train(training: Callable[..., Path], out: Path, **options: Any) -> None:
    """Run a training with a bar for each stage and the watched numbers beside it, and show the file that it writes."""
    from rich.progress import TaskID, TextColumn

    with bars(TextColumn("{task.fields[watched]}")) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, watched="")
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in watched.items())
            progress.update(tasks[stage], completed=done, watched=numbers)

        file = training(out, watch=watch, **options)
    show_file(file)
