"""Read a file several times: what the screen leaves out, then the pixels and frames that spoil what is left."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import (
    Audit,
    Events,
    EventScreen,
    Influence,
    LeftOut,
    Partition,
    RigakuReader,
    Screen,
    beyond,
    g2_by_age,
    unlike,
)
from ainerd_xpcs.technique._maps import MapFile

MOST = 4096  # frames of events that are told apart: more are summed in groups
ROUNDS = 6  # a strong fault may hide a weak one
FEWEST_FRAMES, FEWEST_BINS = 64, 8
Found = list[tuple[str, str, float, float, str]]  # pixel or frame, its bin, change in errors, that with others, reason


class _Pass:
    """Takes the frames of one reading of a file, as `ExposureAnalysis` does."""

    every = 1 << 62  # no frame is needed whole

    def __init__(self, partition: Partition) -> None:
        self.partition, self.pixels = partition, partition.pixels

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take a whole frame; none is needed."""

    def open_events(self, path: Path, pixel_order: str) -> RigakuReader:
        """Open the files of a Rigaku detector."""
        return RigakuReader(path, self.partition, order=pixel_order)  # type: ignore[arg-type]


class _Screening(_Pass):
    screen: Screen | None = None

    def push(self, block: NDArray[Any] | Events, first: int = 0) -> None:
        """Screen the next frames."""
        if isinstance(block, Events):
            self.screen, start = self.screen or EventScreen(self.partition), None
            block = block.moved(first)
        else:
            self.screen, start = self.screen or Screen(self.partition), first
        for _ in self.screen.push(block, first=start):
            pass


class _Auditing(_Pass):
    """Passes the pixels `used` of the good frames to an `Audit`: those of events summed `together` at a time."""

    def __init__(self, partition: Partition, used: NDArray[np.bool_], good: NDArray[np.int64], together: int) -> None:
        super().__init__(partition)
        mask = np.zeros(partition.shape, bool)
        mask.ravel()[self.pixels[~used]] = True
        self._used, self._good, self._together = used, good, together
        self._n_good = np.add.reduceat(good, np.arange(0, len(good), together))
        self._sum, self._group = np.zeros(len(self.pixels)), 0
        self.audit = Audit(partition.without(mask), int(np.count_nonzero(self._n_good)))

    def push(self, block: NDArray[Any] | Events, first: int = 0) -> None:
        """Add the next frames."""
        if not isinstance(block, Events):
            number = first + np.flatnonzero(self._good[first : first + len(block)])
            self.audit.push(block[number - first][:, self._used], number)
            return
        events = block.moved(first).gathered(self.partition)
        tick = np.repeat(events.ticks, np.diff(events.offsets))
        keep = np.flatnonzero(self._good[tick])
        group = tick[keep] // self._together
        for g in np.unique(group):
            self.pass_until(g)
            mine = keep[slice(*np.searchsorted(group, [g, g + 1]))]
            np.add.at(self._sum, events.pixel[mine], events.count[mine])

    def pass_until(self, group: int) -> None:
        """Pass the groups before one, also empty ones."""
        for g in range(self._group, group):
            if self._n_good[g]:
                together = self._n_good[g : g + 1]
                self.audit.push(self._sum[None, self._used], np.array([g * self._together]), together)
            self._sum[:] = 0
        self._group = max(group, self._group)

    def result(self, *, of_events: bool) -> Influence:
        """Return the influence of pixels and frames."""
        if of_events:
            self.pass_until(len(self._n_good))
        return self.audit.result()


@dataclass(frozen=True)
class Examined:
    """What was found in frames.

    Attributes
    ----------
    partition : Partition
    left_out : LeftOut
        What the screen leaves out.
    before, after : Influence
        With all pixels, and without those found.
    used : ndarray of bool, shape (n_pixels,)
        False for the pixels found, and those that the screen leaves out.
    together : int
        Frames that were summed.
    found : list
    """

    partition: Partition
    left_out: LeftOut
    before: Influence
    after: Influence
    used: NDArray[np.bool_]
    together: int
    found: Found

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels found and those that the screen leaves out, (ny, nx)."""
        mask = np.zeros(self.partition.shape, bool)
        mask.ravel()[self.partition.pixels[~self.used]] = True
        return mask


def examine(partition: Partition, read: Callable[[Any], int], *, of_events: bool) -> Examined:
    """Examine the frames that `read` passes to the method `push` of its argument; it returns their number.

    Raises
    ------
    ValueError
        If there are fewer than 64 good frames, or if the screen refuses the run.
    """
    screening = _Screening(partition)
    n_frames = read(screening)
    if screening.screen is None or n_frames < FEWEST_FRAMES:
        raise ValueError(f"{n_frames} frame(s): an audit needs at least {FEWEST_FRAMES}")
    for _ in screening.screen.flush():
        pass
    left, good = screening.screen.left_out, np.ones(n_frames, np.int64)
    for frames in left.frames.values():
        good[frames] = 0
    if good.sum() < FEWEST_FRAMES:
        raise ValueError(f"{good.sum()} good frame(s): an audit needs at least {FEWEST_FRAMES}")
    pixels = partition.pixels
    found: Found = [
        (f"frame {t}", "all", np.nan, np.nan, f"left out by ainerd already: {reason}")
        for reason, frames in left.frames.items() for t in frames
    ]  # fmt: skip
    by_screen = {int(i): reason for reason, flat in left.pixels.items() for i in np.flatnonzero(np.isin(pixels, flat))}
    together = -(-n_frames // MOST) if of_events else 1
    used, influences = np.ones(len(pixels), bool), list[Influence]()
    for n in range(ROUNDS):
        auditing = _Auditing(partition, used, good, together)
        read(auditing)
        influences.append(auditing.result(of_events=of_events))
        at = np.flatnonzero(used)
        named = np.array(list(by_screen)) if n == 0 and by_screen else at[influences[-1].pixels]
        if not named.size:
            break
        for i, j in zip(named, np.searchsorted(at, named), strict=True):
            row, column = np.divmod(pixels[i], partition.shape[1])
            reason = f"left out by ainerd already: {by_screen[i]}" if i in by_screen else _why(influences[-1], j)
            where, label = f"pixel ({row}, {column})", str(partition.roi_map[row, column])
            alone, together_with = influences[-1].sigma[j], influences[-1].together[j] or np.nan
            found.append((where, label, float(alone), float(together_with), reason))
        used[named] = False
    last = influences[-1]
    what = f"frames {{:.0f}} to +{together - 1}" if together > 1 else "frame {:.0f}"
    light = "has {:.0%} of the light of the frames around it: C2 changes where the light of each is not divided out"
    alike = "C2 with the frames before and after it is {:.3f}; these are more alike"
    for rows, why in ((last.unlit, light), (last.unlike, alike)):
        found += [(what.format(t), "all", abs(sigma), np.nan, why.format(x)) for t, sigma, x in rows]
    return Examined(partition, left, influences[0], last, used, together, found)


def _why(influence: Influence, j: int) -> str:
    """Return in a sentence how pixel number j differs from its bin."""
    of_eighths = influence.of_eighths[:, j]
    low, mean, high = of_eighths.min(), of_eighths.mean(), of_eighths.max()
    if high - low > 0.6 * mean:
        return f"counts {low:.2g} to {high:.2g} times as much as its bin, depending on the eighth of the run"
    if abs(mean - 1) > 0.5:
        return f"counts {mean:.2g} times as much as its bin in all the run"
    return f"flickers: what it adds to g2 is {influence.ratio[j]:.2g} times the median of its bin"


def examine_maps(file: MapFile) -> Found:
    """Return the bins and the rows of two-time maps that differ from the others; of fewer than 8 bins, only rows."""
    next(file.maps())  # counts the rows
    sums, g2 = np.zeros((4, file.n_rows)), []
    for c2 in file.maps(file.n_rows):
        for k in (1, 2):
            beside = c2.diagonal(k)
            known = np.isfinite(beside)
            sums[k - 1, :-k] += np.where(known, beside, 0)
            sums[k + 1, :-k] += known
        g2.append(g2_by_age(c2, 1)[1][0])
    with np.errstate(invalid="ignore"):
        near, over = sums[0, :-1] / sums[2, :-1], sums[1, :-2] / sums[3, :-2]
    why = "C2 with the rows before and after it is {:.3f}; these are more alike"
    found: Found = [(f"row {t:.0f}", "all", sigma, np.nan, why.format(x)) for t, sigma, x in unlike(near, over)]
    if len(g2) < FEWEST_BINS:
        return found
    edges = np.unique(np.geomspace(1, file.n_rows, 12).astype(int)) - 1
    curves = np.array([np.nanmean(np.array(g2)[:, a:b], axis=1) for a, b in pairwise(edges)])
    odd = (beyond(curves, curves.size) | beyond(-curves, curves.size)).any(0)
    middle, low, high = np.quantile(curves, [0.5, 0.1, 0.9], axis=1, keepdims=True)
    away = np.abs(curves - middle) * 2.563 / np.maximum(high - low, 1e-12)
    for k in map(int, np.flatnonzero(odd)):
        lag = int(away[:, k].argmax())
        text = f"g2 from lag {edges[lag] + 1} on is {curves[lag, k]:.3f}, the median of the bins {middle[lag, 0]:.3f}"
        found.append(("bin", str(k + 1), float(away[lag, k]), np.nan, text))
    return found
