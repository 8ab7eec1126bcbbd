"""What spoils a run, found before anything is correlated, so that maps and g2 leave out the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import check_counts
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._screen_counts import add_block, summed
from ainerd.xpcs._screen_frames import LAG, FrameScreen
from ainerd.xpcs._screen_pixels import PixelScreen

WINDOW = 64  # frames that are looked at before the first is given on
ALL = 512  # frames whose counts are all added up, pixel by pixel; after them a quarter of the frames
SHARE = 0.01  # of the pixels, or of the pixels of a frame: more is not a matter of single pixels
FEW = 3  # pixels that may be bad in any case

_NO_PIXELS = np.empty(0, np.int64)


class SpoiltRunError(ValueError):
    """More of a run is spoilt than can be left out; the message says what."""


class Correlator(Protocol):
    """What a screen stands in front of: `TwoTimeReducer`, `MultiTau`."""

    def push(self, frames: NDArray[Any], *, valid: ArrayLike | None = None) -> None:
        """Add the next frames."""

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out, as if they had been masked."""


@dataclass(frozen=True)
class Screened:
    """The next frames of a run, to be correlated.

    Attributes
    ----------
    frames : ndarray, shape (b, n_pixels)
        Gathered counts.
    valid : ndarray of bool, shape (b,)
        False for frames to leave out.
    leave_out : ndarray of int
        Positions, in ``partition.pixels``, of the pixels that were found bad since the block before.
    """

    frames: NDArray[Any]
    valid: NDArray[np.bool_]
    leave_out: NDArray[np.int64]

    def to(self, *correlators: Correlator) -> None:
        """Push the frames, and say which pixels to leave out before."""
        for correlator in correlators:
            if self.leave_out.size:
                correlator.leave_out(self.leave_out)
            if len(self.frames):
                correlator.push(self.frames, valid=self.valid)


@dataclass(frozen=True)
class LeftOut:
    """What a screen has left out, and why.

    Attributes
    ----------
    pixels : dict of str to ndarray of int
        Flat detector indices: "saturated" (the top of the detector's range), "impossible" (a count that no speckle of
        this mean gives), "hot", "dead".
    frames : dict of str to ndarray of int
        Indices in the run, from 0: "told", "missing", "dark", "overflow" (more than 1 % of the pixels saturated or
        impossible), "displaced".
    moved : ndarray of int
        Frames from which on the picture has changed for good; those after it are not left out.
    """

    pixels: dict[str, NDArray[np.int64]]
    frames: dict[str, NDArray[np.int64]]
    moved: NDArray[np.int64]

    @property
    def n_pixels(self) -> int:
        """How many pixels."""
        return sum(map(len, self.pixels.values()))

    @property
    def n_frames(self) -> int:
        """How many frames."""
        return sum(map(len, self.frames.values()))


class Screen:
    """Finds bad pixels and frames as they come, before they are correlated.

    The first 92 frames are held back and looked at as a whole; after that the last 28, and the block that they are in.
    Pixels are left out that reach the top of the detector's range, that count what no speckle of their mean can give,
    or whose mean over the run is too high, or zero. Frames are left out that are dark, that overflow, or during which
    the picture is displaced.

    Parameters
    ----------
    partition : Partition
    n_frames : int, optional
        Frames that will come; None for an open-ended run.
    saturation : float, optional
        Counts at or above which a pixel is saturated, where that is below the top of the frames' integer type.

    Notes
    -----
    A count is impossible where the geometric distribution (fully developed speckle, contrast 1) of the mean of its
    static sub-bin makes it less than 1e-6 likely among all pixels and frames. The mean of a pixel over the run is
    compared with that of the pixels around it, as static speckle of the contrast that these means show would have it,
    with Poisson counts; see `ainerd.xpcs._screen_pixels`. Of a frame the shares of the sub-bins are compared with those
    of the frames before, in windows of 1, 4 and 16; see `ainerd.xpcs._screen_frames`.
    """

    def __init__(self, partition: Partition, n_frames: int | None = None, *, saturation: float | None = None) -> None:
        if saturation is not None and not saturation > 0:
            raise ValueError(f"saturation must be positive, got {saturation}")
        self.partition, self.n_frames = partition, n_frames
        self._saturation = np.inf if saturation is None else float(saturation)
        self._pixels = PixelScreen(partition, n_frames)
        self._frames = FrameScreen(partition)
        self._limit = np.full(len(partition.static_roi), np.inf)  # of counts, by sub-bin
        self._held: list[tuple[NDArray[Any], NDArray[np.bool_]]] = []  # frames, and which of them were told to be valid
        self._n_came = self._n_given = 0
        self._begun, self._next = False, WINDOW
        self._new: list[NDArray[np.int64]] = []  # bad pixels not told yet
        self._bad: dict[str, list[NDArray[np.int64]]] = {r: [] for r in ("saturated", "impossible", "hot", "dead")}
        self._spoilt: dict[str, list[NDArray[np.int64]]] = {r: [] for r in ("told", "missing", "overflow")}

    @property
    def left_out(self) -> LeftOut:
        """What was left out so far."""
        frames = {reason: np.concatenate([_NO_PIXELS, *found]) for reason, found in self._spoilt.items()}
        frames |= {"dark": self._frames.dark, "displaced": self._frames.displaced}
        pixels = {r: np.sort(self.partition.pixels[np.concatenate([_NO_PIXELS, *x])]) for r, x in self._bad.items()}
        return LeftOut(pixels, frames, self._frames.moved)

    def push(self, frames: NDArray[Any], *, first: int | None = None, valid: ArrayLike | None = None) -> list[Screened]:
        """Take the next frames, and give those that can be correlated.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts. They are kept for a while, and must not be written to.
        first : int, optional
            Index of the first of them in the run, from 0. Frames that it passes over are missing: they are given as
            frames of zeros that are not valid.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out.

        Raises
        ------
        SpoiltRunError
            If more than 1 % of the pixels are bad, or more than half of the frames overflow.
        ValueError
            If the frames do not fit, have come before, or hold negative or non-finite numbers.
        """
        block = check_counts(self.partition.gather(frames))
        keep = np.ones(len(block), bool) if valid is None else np.array(valid, dtype=bool)
        if keep.shape != (len(block),):
            raise ValueError(f"valid has shape {keep.shape}, wanted ({len(block)},)")
        begin = self._n_came if first is None else int(first)
        if begin < self._n_came:
            raise ValueError(f"frame {begin} has come before: the next is {self._n_came}")
        if begin > self._n_came:
            gap = begin - self._n_came
            self._spoilt["missing"].append(np.arange(self._n_came, begin))
            self._hold(np.zeros((gap, block.shape[1]), block.dtype), np.zeros(gap, bool))
        self._spoilt["told"].append(begin + np.flatnonzero(~keep))
        self._hold(block, keep)
        if not self._begun and self._n_came >= WINDOW + LAG:
            self._begin()
        return list(self._give(self._n_came - LAG)) if self._begun else []

    def flush(self) -> list[Screened]:
        """Give what is still held, at the end of the run; with the pixels that only the whole run shows to be bad."""
        if self._n_came == 0:
            return []
        if not self._begun:
            self._begin()
        self._look()
        self._refuse_overflow()
        return list(self._give(self._n_came))

    def _hold(self, block: NDArray[Any], keep: NDArray[np.bool_]) -> None:
        if len(block) == 0:
            return
        self._held.append((block, keep))
        if self._begun:
            step = 1 if self._pixels.n_seen < ALL else 4
            counts, over, column = add_block(block, self.partition.static_edges, self._limit, step)
            if over.any():
                self._catch(block, keep, counts, over)
            self._add(block, keep, column, step)
            self._frames.add(self._pixels.without_bad(counts, block), keep)
            if self._pixels.n_seen >= self._next:
                self._look()
        self._n_came += len(block)

    def _begin(self) -> None:
        """Look at what is held as a whole."""
        block = np.concatenate([frames for frames, _ in self._held])
        keep = np.concatenate([each for _, each in self._held])
        self._begun, self._n_came = True, 0  # for what is said of frames
        self._top = min(self._saturation, np.iinfo(block.dtype).max if block.dtype.kind in "ui" else np.inf)
        edges, n_sub = self.partition.static_edges, len(self._limit)
        self._limit = np.full(n_sub, np.nextafter(self._top, 0))
        counts, over, column = add_block(block, edges, self._limit, 1)
        self._catch(block, keep, counts, over)
        self._add(block, keep, column, 1)
        # what is too high raises the limits that it is held against, so again without it
        for _ in range(10):
            self._pixels.fit()
            self._limit = self._limits()
            if not self._catch(block, keep, counts, add_block(block, edges, self._limit)[1]):
                break
        self._look()
        counts = self._pixels.without_bad(counts, block)
        self._frames.begin(counts[keep], self._pixels.contrast(block[keep], counts[keep]))
        self._frames.add(counts, keep)
        self._n_came = len(block)
        self._refuse_overflow()

    def _refuse_overflow(self) -> None:
        n = sum(map(len, self._spoilt["overflow"]))
        if n > self._n_came / 2:
            raise SpoiltRunError(
                f"in {n} of {self._n_came} frames more than {SHARE:.0%} of the pixels are at the top of their range or "
                "count what no speckle can: are gaps and bad pixels of the detector masked?"
            )

    def _add(self, block: NDArray[Any], keep: NDArray[np.bool_], column: NDArray[Any], step: int) -> None:
        """Add sums over frames, less those of frames that are left out."""
        which = summed(len(block), step)
        if not keep.all():
            column = column - block[which & ~keep].sum(0, dtype=float)
        self._pixels.add(column, int((which & keep).sum()))

    def _limits(self) -> NDArray[np.float64]:
        return np.minimum(self._pixels.limits(), np.nextafter(self._top, 0))

    def _catch(self, block: NDArray[Any], keep: NDArray[np.bool_], counts: NDArray, over: NDArray[np.bool_]) -> int:
        """Find the counts above the limits of their sub-bins: bad pixels, or frames that overflow. How many pixels."""
        edges = self.partition.static_edges
        frame, pixel = [_NO_PIXELS], [_NO_PIXELS]
        bright = np.maximum(self._pixels.brightness(counts), 1)  # what a brighter frame may hold
        for j in np.flatnonzero(over[keep].any(0)):
            rows = np.flatnonzero(over[:, j] & keep)
            x = block[rows, edges[j] : edges[j + 1]]
            limit = np.minimum(self._limit[j] * bright[rows], np.nextafter(self._top, 0))
            b, p = np.nonzero((x > limit[:, None]) & self._pixels.good[edges[j] : edges[j + 1]])
            frame.append(rows[b])
            pixel.append(p + edges[j])
        frames, pixels = np.concatenate(frame), np.concatenate(pixel)
        overflow = np.bincount(frames, minlength=len(block)) > self._few
        if overflow.any():
            keep &= ~overflow
            self._spoilt["overflow"].append(self._n_came + np.flatnonzero(overflow))
            frames, pixels = frames[~overflow[frames]], pixels[~overflow[frames]]
        at_top = np.unique(pixels[block[frames, pixels] >= self._top])
        return self._drop("saturated", at_top) + self._drop("impossible", np.setdiff1d(pixels, at_top))

    def _look(self) -> None:
        """Judge the means of the pixels."""
        self._pixels.fit()
        hot, dead = self._pixels.judge()
        self._drop("hot", hot)
        self._drop("dead", dead)
        self._limit = self._limits()
        self._next = 8 * max(self._pixels.n_seen, 1)

    @property
    def _few(self) -> float:
        return max(SHARE * len(self.partition.pixels), FEW)

    def _drop(self, reason: str, pixels: NDArray[np.int64]) -> int:
        if pixels.size:
            self._bad[reason].append(pixels)
            self._new.append(pixels)
            self._pixels.good[pixels] = False
            found = {r: sum(map(len, x)) for r, x in self._bad.items() if x}
            if sum(found.values()) > self._few:
                raise SpoiltRunError(
                    f"{sum(found.values())} of {len(self.partition.pixels)} pixels are bad "
                    f"({', '.join(f'{n} {r}' for r, n in found.items())}), more than {SHARE:.0%}: "
                    "are gaps and bad pixels of the detector masked?"
                )
        return len(pixels)

    def _give(self, end: int) -> Iterator[Screened]:
        """Blocks that lie before `end` as a whole."""
        while self._held and self._n_given + len(self._held[0][0]) <= end:
            block, _ = self._held.pop(0)
            valid = self._frames.good(self._n_given, self._n_given + len(block))
            self._n_given += len(block)
            yield Screened(block, valid, self._told())
        if self._new and not self._held:
            yield Screened(np.zeros((0, len(self.partition.pixels))), np.ones(0, bool), self._told())

    def _told(self) -> NDArray[np.int64]:
        new, self._new = np.concatenate([_NO_PIXELS, *self._new]), []
        return np.sort(new)
