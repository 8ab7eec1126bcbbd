"""`ainerd audit`: the pixels and frames that change g2 or C2 beyond its error, and a mask of the pixels.

The screen reads the frames of a file first, then each round names pixels and frames in the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ainerd.cli import Force, bars, check_out
from ainerd.words import number_of
from ainerd_xpcs.technique._analyze import (
    Dataset,
    MetadataFile,
    NFrames,
    Order,
    find_events,
    push_all,
    read_bins,
    read_partition_settings,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd_xpcs.numerics import Audit, Influence, LeftOut, Partition, RigakuReader
    from ainerd_xpcs.technique._maps import MapFile

LISTED = 60  # lines of the table
MOST = 4096  # frames of events that are told apart: more are summed in groups
ROUNDS = 6  # a strong fault may hide a weak one
FEWEST_FRAMES, FEWEST_BINS = 64, 8
DIM = "has {:.0%} of the light of the frames around it, and so its row of C2 if that is not divided out"
UNLIKE = "C2 with those before and after it is {:.3f}; these are more alike"
Findings = list[tuple[str, str, float, float, str]]  # name, bin, change in errors, that with others, reason


def audit(
    file: Annotated[Path, typer.Argument(help="Frames (HDF5), events (.bin, .bin.000, .imm), or two-time maps.")],
    roi: Annotated[
        Path | None, typer.Option(help="Bins, as for analyze. Without them, the maps in a result file.")
    ] = None,
    dataset: Dataset = "entry/data/data",
    mask: Annotated[
        Path | None, typer.Option(help="Write the pixels found, and those masked or left out already (.npy).")
    ] = None,
    force: Force = False,
    metadata: MetadataFile = None,
    order: Order = None,
    frames: NFrames = None,
) -> None:
    """Name the pixels and frames whose removal changes g2 or C2 beyond its error, and write a mask.

    Of a file with two-time maps and no frames: the bins, and the rows of the maps.
    """
    from ainerd_xpcs.technique._acquisition import is_events

    of_events = is_events(file)
    if not file.is_file():
        raise ValueError(f"no file {file}")
    if not of_events and any(x is not None for x in (metadata, order, frames)):
        raise ValueError(f"{file}: --metadata, --order and --frames are for events, .bin or .imm")
    of_frames = of_events or (roi is not None and file.suffix != ".npy")
    if mask is not None:
        if not of_frames:
            raise ValueError(f"--mask {mask}: needs frames, with their bins (--roi); maps hold no pixels")
        if mask.suffix != ".npy":
            raise ValueError(f"--mask {mask}: give a name that ends in .npy")
        if not mask.parent.is_dir():
            raise ValueError(f"--mask {mask}: there is no folder {mask.parent}")
        check_out(mask, force)
    if not of_frames:
        _show(file, *_of_maps(file, roi))
        return
    examined, roi = _of_frames(file, roi, dataset, metadata, order, frames, of_events)
    _show(file, examined.findings, examined.summary)
    if mask is not None:
        print(f"mask: {mask}, {_write_mask(mask, examined.mask, roi)} pixels")


def _of_maps(file: Path, roi: Path | None) -> tuple[Findings, list[str]]:
    from ainerd_xpcs.technique._maps import MapFile

    try:
        with MapFile(file, frame_time_s=1.0, bins=None if roi is None else read_bins(roi)) as maps:
            findings, n = examine_maps(maps), maps.partition.n_roi
    except ValueError as err:
        raise ValueError(f"{err}; if it holds frames, give their bins with --roi") from None
    few = f"; fewer than {FEWEST_BINS} bins are not compared" * (n < FEWEST_BINS)
    return findings, [f"{n} maps of {maps.n_rows} rows; rows and bins found: {len(findings)}{few}"]


def _of_frames(
    file: Path, roi: Path | None, dataset: str, metadata: Path | None, order: Literal["rows", "columns"] | None,
    n_frames: int | None, of_events: bool,
) -> "tuple[Examined, Path]":  # fmt: skip
    from ainerd.documents import FrameError
    from ainerd_xpcs.technique._files import find_movie

    movie: Any
    if of_events:
        movie, _, roi = find_events(file, metadata, roi, order, n_frames)
        partition = movie.partition
    else:
        assert roi is not None
        movie, partition = find_movie(file, dataset), read_bins(roi)
    with bars() as progress:

        def read(taker: Any) -> int:
            n, task = 0, progress.add_task("frames", total=movie.n_frames)
            for n in push_all(movie, taker):
                progress.update(task, completed=n)
            return movie.n_frames or n

        try:
            return examine(partition, read, of_events=of_events), roi
        except (ValueError, FrameError) as err:
            raise ValueError(f"{file}: {err}") from None


def _show(file: Path, findings: Findings, summary: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "bin", "change (errors)", "with the others", "why", title=escape(str(file)))
    for what, label, *sigmas, why in findings[:LISTED]:
        table.add_row(what, label, *(f"{x:.2g}" if x == x else "–" for x in sigmas), why)
    if findings:
        Console().print(table)
    print(*[f"not listed: {len(findings) - LISTED} more"] * (len(findings) > LISTED), *summary, sep="\n")


def _write_mask(path: Path, mask: "NDArray[np.bool_]", roi: Path) -> int:
    """Write the pixels found with those that the settings mask, and return their number."""
    import numpy as np

    from ainerd_xpcs.technique._detector_maps import read_mask

    before = read_mask(read_partition_settings(roi)) if roi.suffix == ".toml" else None
    mask = mask if before is None else mask | before
    np.save(path, mask)
    return int(mask.sum())


@dataclass
class Reading:
    """Passes the frames of one reading of a file on, in place of an `ExposureAnalysis`."""

    partition: "Partition"
    push: Callable[[Any, int], object]
    every: int = 1 << 62  # no frame is needed whole

    @property
    def pixels(self) -> "NDArray[np.int64]":
        """Flat indices of the partition's pixels."""
        return self.partition.pixels

    def open_events(self, path: Path, pixel_order: str) -> "RigakuReader":
        """Open the files of a Rigaku detector."""
        from ainerd_xpcs.numerics import RigakuReader

        return RigakuReader(path, self.partition, order=pixel_order)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Examined:
    """The result of an audit of frames: its findings, and the mask (ny, nx) of all pixels found."""

    mask: "NDArray[np.bool_]"
    findings: Findings
    summary: list[str]


def examine(partition: "Partition", read: Callable[[Reading], int], *, of_events: bool) -> Examined:
    """Examine the frames that `read` passes to a `Reading`; it returns their number.

    Raises
    ------
    ValueError
        If there are fewer than 64 good frames, or if the screen refuses the run.
    """
    import numpy as np

    from ainerd_xpcs.numerics import Audit

    n_frames, left = _screened(partition, read, of_events)
    pixels, numbers = partition.pixels, partition.numbers
    good = np.ones(n_frames, bool)
    good[np.concatenate([*left.frames.values()])] = False
    if good.sum() < FEWEST_FRAMES:
        raise ValueError(f"{number_of(int(good.sum()), 'good frame')}: an audit needs at least {FEWEST_FRAMES}")
    before = "left out by ainerd already: "
    findings: Findings = [
        (f"frame {t}", "all", np.nan, np.nan, before + why) for why, x in left.frames.items() for t in x
    ]
    reasons = {int(i): why for why, x in left.pixels.items() for i in np.flatnonzero(np.isin(pixels, x))}
    mask, together = np.zeros(partition.shape, bool), -(-n_frames // MOST)
    for n in range(ROUNDS):
        auditor, at = Audit(partition.without(mask), n_frames), np.flatnonzero(~mask.ravel()[pixels])
        read(Reading(partition, _pusher(partition, auditor, good, at, together)))
        last = auditor.result()
        named = np.array(list(reasons)) if n == 0 and reasons else at[last.pixels]
        for i, j in zip(named, np.searchsorted(at, named), strict=True):
            row, column = np.divmod(pixels[i], partition.shape[1])
            why = before + reasons[i] if i in reasons else _why(last, j)
            sigmas = float(last.sigma[j]), float(last.together[j] or np.nan)
            findings.append(
                (f"pixel ({row}, {column})", str(numbers[partition.roi_map[row, column] - 1]), *sigmas, why)
            )
        mask.ravel()[pixels[named]] = True
        if not named.size:
            break
    group = f" to +{together - 1}" if of_events and together > 1 else ""
    for rows, why in ((last.unlit, DIM), (last.unlike, UNLIKE)):
        findings += [(f"frame {t:.0f}{group}", "all", abs(sigma), np.nan, why.format(x)) for t, sigma, x in rows]
    summary = [
        f"pixels left out by ainerd already: {left.n_pixels}; found in the others: {mask.sum() - left.n_pixels}",
        f"frames left out by ainerd already: {left.n_frames}; found: {len(last.unlit) + len(last.unlike)}",
        f"pixels that differ from their bins, but change nothing beyond its error: {last.n_slight}",
    ]
    return Examined(mask, findings, summary)


def _screened(partition: "Partition", read: Callable[[Reading], int], of_events: bool) -> "tuple[int, LeftOut]":
    """Return the number of frames, and the pixels and frames that the screen leaves out."""
    from ainerd_xpcs.numerics import EventScreen, Screen

    screen = EventScreen(partition) if of_events else Screen(partition)

    def push(block: Any, first: int) -> None:
        if of_events:
            screen.push(block.moved(first))
        else:
            screen.push(block, first=first)

    n_frames = read(Reading(partition, push))
    screen.flush()
    return n_frames, screen.left_out


def _pusher(
    partition: "Partition", auditor: "Audit", good: "NDArray[np.bool_]", used: "NDArray[np.int64]", together: int
) -> Callable[[Any, int], None]:
    """Return a function that passes the used pixels of good frames to the audit; events are summed in groups."""
    import numpy as np
    import scipy.sparse as sp

    from ainerd_xpcs.numerics import Events

    so_far, begin = np.append(0, np.cumsum(good)), 0

    def push(block: Any, first: int) -> None:
        nonlocal begin
        if not isinstance(block, Events):
            number = first + np.flatnonzero(good[first : first + len(block)])
            auditor.push(block[number - first][:, used], number)
            return
        events = block.moved(first).gathered(partition)
        borders = np.arange(-(-begin // together) * together, events.stop, together)
        edges = np.unique([begin, *borders, events.stop])
        group = np.searchsorted(edges, events.ticks, "right") - 1
        adds = sp.csr_array((good[events.ticks] * 1.0, (group, np.arange(group.size))), (len(edges) - 1, group.size))
        shape = group.size, len(partition.pixels)
        sums = (adds @ sp.csr_array((events.count, events.pixel, events.offsets), shape)).tocsr()[:, used]
        for g, n in enumerate(np.diff(so_far[edges])):
            if n:
                auditor.push(sums[[g]].toarray(), edges[g : g + 1], n)
        begin = events.stop

    return push


def _why(influence: "Influence", j: int) -> str:
    """Return in a sentence how pixel number j differs from its bin."""
    of_eighths = influence.of_eighths[:, j]
    low, mean, high = of_eighths.min(), of_eighths.mean(), of_eighths.max()
    if high - low > 0.6 * mean:
        return f"counts {low:.2g} to {high:.2g} times as much as its bin, depending on the eighth of the run"
    if abs(mean - 1) > 0.5:
        return f"counts {mean:.2g} times as much as its bin in all the run"
    return f"flickers: its contribution to g2 is {influence.ratio[j]:.2g} times the median of its bin"


def examine_maps(file: "MapFile") -> Findings:
    """Return the rows and the bins of two-time maps that differ from the others; of fewer than 8 bins, only rows."""
    import numpy as np

    from ainerd_xpcs.numerics import NORMAL, beyond, g2_by_age, unlike

    next(file.maps())  # counts the rows
    total, known, g2 = np.zeros((2, file.n_rows)), np.zeros((2, file.n_rows)), []
    for c2 in file.maps(file.n_rows):
        for k in (1, 2):
            total[k - 1, :-k] += np.nan_to_num(c2.diagonal(k))
            known[k - 1, :-k] += np.isfinite(c2.diagonal(k))
        g2.append(g2_by_age(c2, 1)[1][0])
    with np.errstate(invalid="ignore"):
        near, over = total / known
    rows = unlike(near[:-1], over[:-2])
    findings: Findings = [(f"row {t:.0f}", "all", sigma, np.nan, UNLIKE.format(x)) for t, sigma, x in rows]
    if len(g2) < FEWEST_BINS:
        return findings
    edges = np.unique(np.geomspace(1, file.n_rows, 12).astype(int)) - 1
    curves = np.array([np.nanmean(np.array(g2)[:, a:b], axis=1) for a, b in pairwise(edges)])
    low, middle, high = np.quantile(curves, [0.1, 0.5, 0.9], axis=1, keepdims=True)
    away = np.abs(curves - middle) * 2 * NORMAL / np.maximum(high - low, 1e-12)
    for k in map(int, np.flatnonzero((beyond(curves, curves.size) | beyond(-curves, curves.size)).any(0))):
        lag = int(away[:, k].argmax())
        why = f"g2 from lag {edges[lag] + 1} on is {curves[lag, k]:.3f}, the median of the bins {middle[lag, 0]:.3f}"
        findings.append(("bin", str(file.partition.numbers[k]), float(away[lag, k]), np.nan, why))
    return findings
