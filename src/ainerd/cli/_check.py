"""`ainerd check` and `ainerd doctor`: check settings, installation and server."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._shared import Config, Json, Tiled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.technique import Finding

MOST = 50  # frames to average
Dataset = Annotated[str | None, typer.Option(help="Frames in that file; without it the largest dataset.")]


def check(
    config: Annotated[Path, typer.Argument(help="Settings of an instrument (.toml).")],
    draw: Annotated[Path | None, typer.Option(help="Picture (.png, .pdf) of the parts of a frame in use.")] = None,
    frame: Annotated[Path | None, typer.Option(help="Frame to draw it on (.npy, HDF5); else an empty one.")] = None,
    dataset: Dataset = None,
    json: Json = False,
) -> None:
    """Check settings and technique without a server, and show how to correct problems; exit code 1 if there are any."""
    from ainerd.cli import _checks

    if frame is not None and draw is None:
        raise ValueError("--frame needs a picture: give --draw picture.png")
    show(_checks.settings(config) if draw is None else _checks.picture(config, draw, frame, dataset), json=json)


def doctor(
    results: Annotated[bool, typer.Option("--results", help="Check every result in the catalogue, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check versions, settings, technique, storage and server; exit code 1 if there is a problem.

    Each problem comes with its remedy. The check writes a small node to the server and removes it.
    """
    from ainerd.cli import _checks

    show(_checks.everything(tiled, config, results), json=json)


def show(findings: Iterable["Finding"], *, json: bool = False) -> None:
    """Print the findings, one per line or as JSON, and exit, with code 1 if there is a problem."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    console, shown = Console(soft_wrap=True), []
    for finding in findings:
        shown.append({**asdict(finding), "ok": finding.ok})
        if not json:
            mark = Text("ok      ", "green") if finding.ok else Text("problem ", "bold red")
            console.print(mark, Text(f"{finding.what}: {' '.join(finding.said.split())}"), sep="")
            if not finding.ok:
                console.print(Text(f"        → {finding.todo}", "yellow"))
    if json:
        console.print_json(data=shown, indent=None)
    raise typer.Exit(0 if all(each["ok"] for each in shown) else 1)


def mean_frame(path: Path, dataset: str | None = None) -> "NDArray[np.float64]":
    """Return the mean, (ny, nx), of at most 50 frames that are evenly spread over a .npy or HDF5 file.

    A pixel is NaN if in all frames it is negative or has the largest value of its type: detectors mark gaps and bad
    pixels in this way.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Name of the dataset in an HDF5 file, with shape (frames, ny, nx) or (ny, nx); by default the largest one.

    Raises
    ------
    ValueError
        If the file or the frames in it cannot be read.
    """
    import numpy as np

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".npy":
        try:
            return _mean(np.load(path, mmap_mode="r", allow_pickle=False), path)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: {error}") from None
    import h5py

    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers the filters)
    try:
        with h5py.File(path, "r") as file:
            name = dataset or _largest(file, path)
            found = file.get(name)
            if not isinstance(found, h5py.Dataset):
                raise ValueError(f"{path} has no dataset {name!r}")
            return _mean(found, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5: {error}") from None


def _largest(file: Any, path: Path) -> str:
    import h5py

    found: dict[str, int] = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and item.dtype.kind in "uif":
            found[name] = item.size

    file.visititems(look)
    if not found:
        raise ValueError(f"{path} holds no frames, of (ny, nx) or (frames, ny, nx)")
    return max(found, key=lambda name: found[name])


def _mean(frames: Any, path: Path) -> "NDArray[np.float64]":
    import numpy as np

    if len(frames.shape) not in (2, 3) or 0 in frames.shape or np.dtype(frames.dtype).kind not in "buif":
        raise ValueError(f"{path}: frames must be of (ny, nx) or (frames, ny, nx), got {frames.shape}, {frames.dtype}")
    n = frames.shape[0] if len(frames.shape) == 3 else 1
    top = np.iinfo(frames.dtype).max if np.dtype(frames.dtype).kind in "ui" else np.inf
    total, marked = np.zeros(frames.shape[-2:]), np.ones(frames.shape[-2:], bool)
    wanted = np.unique(np.linspace(0, n - 1, min(n, MOST)).astype(int))
    for k in wanted:
        frame = np.asarray(frames[k] if len(frames.shape) == 3 else frames)
        marked &= ~((frame >= 0) & (frame < top))
        total += frame
    return np.where(marked, np.nan, total / wanted.size)
