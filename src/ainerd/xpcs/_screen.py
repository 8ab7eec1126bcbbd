"""Screen a run for bad pixels and frames before anything is correlated, so that maps and g2 leave out the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import check_counts, check_valid
from ainerd.xpcs._partition import Array, Floats, Partition
from ainerd.xpcs._screen_frames import LAG, FrameScreen
from ainerd.xpcs._screen_pixels import PixelScreen

if TYPE_CHECKING:
    from ainerd.xpcs._multitau import MultiTau
    from ainerd.xpcs._two_time import TwoTimeReducer

WINDOW = 64  # frames examined before the first frames are passed on
ALL = 512  # frames whose counts are all summed, pixel by pixel; later a quarter of the frames
SHARE = 0.01  # of the pixels, or of the pixels of a frame: more is not a problem of single pixels
FEW = 3  # pixels that may be bad in any case

_NO_PIXELS = np.empty(0, np.int64)


class SpoiltRunError(ValueError):
    """More of a run is spoilt than can be left out; the message gives the numbers."""


@dataclass(frozen=True)
class Screened:
    """The next frames of a run that are ready to be correlated.

    Attributes
    ----------
    frames : ndarray, shape (b, n_pixels)
        Gathered counts.
    valid : ndarray of bool, shape (b,)
        False for frames to leave out.
    leave_out : ndarray of int
        Positions, in ``partition.pixels``, of the pixels found bad since the block before.
    """

    frames: Array
    valid: NDArray[np.bool_]
    leave_out: NDArray[np.int64]

    def to(self, *correlators: "TwoTimeReducer | MultiTau") -> None:
        """Leave the bad pixels out of the correlators, then push the frames."""
        for correlator in correlators:
            if self.leave_out.size:
                correlator.leave_out(self.leave_out)
            if len(self.frames):
                correlator.push(self.frames, valid=self.valid)


@dataclass(frozen=True)
class LeftOut:
    """Pixels and frames that a screen has left out, by reason.

    Attributes
    ----------
    pixels : dict of str to ndarray of int
        Flat detector indices: "saturated" (the top of the detector's range), "impossible" (a count too high for speckle
        of this mean), "hot", "dead".
    frames : dict of str to ndarray of int
        Indices in the run, from 0: "told" (marked as not valid), "missing", "dark", "overflow" (more than 1 % of the
        pixels saturated or impossible), "displaced".
    moved : ndarray of int
        Frames from which on the pattern has changed for good; later frames are not left out.
    """

    pixels: dict[str, NDArray[np.int64]]
    frames: dict[str, NDArray[np.int64]]
    moved: NDArray[np.int64]

    @property
    def n_pixels(self) -> int:
        """Number of pixels left out."""
        return sum(map(len, self.pixels.values()))

    @property
    def n_frames(self) -> int:
        """Number of frames left out."""
        return sum(map(len, self.frames.values()))


class Screen:
    """Find bad pixels and frames as they arrive, before they are correlated.

    The first 92 frames are held back and examined together; later the last 28 frames and their block. A pixel is left
    out if it reaches the top of the detector's range, if it has a count that is impossible for speckle of its mean, or
    if its mean over the run is too high, or zero. A frame is left out if it is dark, overflows, or shows a displaced
    pattern.

    Parameters
    ----------
    partition : Partition
    n_frames : int, optional
        Number of frames to come; None for an open-ended run.
    saturation : float, optional
        Counts at or above which a pixel is saturated, if lower than the maximum of the frames' integer type.

    Notes
    -----
    A count is impossible if its probability among all pixels and frames is below 1e-6 under the geometric distribution
    (fully developed speckle, contrast 1) with the mean of its static sub-bin. The mean of a pixel over the run is
    compared with the means of the pixels around it, allowing for Poisson counts and for static speckle of the contrast
    that these means show. The shares of the sub-bins in a frame are compared with those in the frames before, in
    windows of 1, 4 and 16 frames.
    """

    def __init__(self, partition: Partition, n_frames: int | None = None, *, saturation: float | None = None) -> None:
        if saturation is not None and not saturation > 0:
            raise ValueError(f"saturation must be positive, got {saturation}")
        self.partition, self.n_frames = partition, n_frames
        self._saturation = np.inf if saturation is None else float(saturation)
        self._pixels = PixelScreen(partition, n_frames)
        self._frames = FrameScreen(partition)
        self._limit = np.full(len(partition.static_roi), np.inf)  # of counts, by sub-bin
        self._held: list[tuple[Array, NDArray[np.bool_]]] = []  # frames, and which of them are valid
        self._n_received = self._n_returned = 0
        self._begun, self._next = False, WINDOW
        self._new: list[NDArray[np.int64]] = []  # bad pixels that no block has reported yet
        self._bad: dict[str, list[NDArray[np.int64]]] = {r: [] for r in ("saturated", "impossible", "hot", "dead")}
        self._spoilt: dict[str, list[NDArray[np.int64]]] = {r: [] for r in ("told", "missing", "overflow")}

    @property
    def left_out(self) -> LeftOut:
        """Pixels and frames left out so far."""
        frames = {reason: np.concatenate([_NO_PIXELS, *numbers]) for reason, numbers in self._spoilt.items()}
        dark, displaced, moved = self._frames.bad()
        pixels = {r: np.sort(self.partition.pixels[np.concatenate([_NO_PIXELS, *x])]) for r, x in self._bad.items()}
        return LeftOut(pixels, frames | {"dark": dark, "displaced": displaced}, moved)

    def push(self, frames: Array, *, first: int | None = None, valid: ArrayLike | None = None) -> list[Screened]:
        """Take the next frames, and return those that are ready to be correlated.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts. They are kept for a while, and must not be overwritten.
        first : int, optional
            Index of the first of them in the run, from 0. Skipped frames are missing: they are returned as frames of
            zeros that are not valid.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out.

        Raises
        ------
        SpoiltRunError
            If more than 1 % of the pixels are bad, or more than half of the frames overflow.
        ValueError
            If the frames do not fit, repeat earlier ones, or hold negative or non-finite numbers.
        """
        block = check_counts(self.partition.gather(frames))
        keep = check_valid(valid, len(block))
        begin = self._n_received if first is None else int(first)
        if begin < self._n_received:
            raise ValueError(f"frame {begin} was pushed before: the next is {self._n_received}")
        if begin > self._n_received:
            gap = begin - self._n_received
            self._spoilt["missing"].append(np.arange(self._n_received, begin))
            self._hold(np.zeros((gap, block.shape[1]), block.dtype), np.zeros(gap, bool))
        self._spoilt["told"].append(begin + np.flatnonzero(~keep))
        self._hold(block, keep)
        if not self._begun and self._n_received >= WINDOW + LAG:
            self._begin()
        return list(self._ready(self._n_received - LAG)) if self._begun else []

    def flush(self) -> list[Screened]:
        """Return the frames still held at the end of the run, and the pixels that only the whole run shows bad."""
        if self._n_received == 0:
            return []
        if not self._begun:
            self._begin()
        self._look()
        self._refuse_overflow()
        return list(self._ready(self._n_received))

    def _hold(self, block: Array, keep: NDArray[np.bool_]) -> None:
        if len(block) == 0:
            return
        self._held.append((block, keep))
        if self._begun:
            step = 1 if self._pixels.n_seen < ALL else 4
            counts, over, column = _add_block(block, self.partition.static_edges, self._limit, step)
            if over.any():
                self._catch(block, keep, counts, over)
            self._add(block, keep, column, step)
            self._frames.add(self._pixels.without_bad(counts, block), keep)
            if self._pixels.n_seen >= self._next:
                self._look()
        self._n_received += len(block)

    def _begin(self) -> None:
        """Examine the first frames together."""
        block = np.concatenate([frames for frames, _ in self._held])
        keep = np.concatenate([each for _, each in self._held])
        self._begun, self._n_received = True, 0  # frame numbers below count from the first
        self._top = min(self._saturation, np.iinfo(block.dtype).max if block.dtype.kind in "ui" else np.inf)
        edges, n_sub = self.partition.static_edges, len(self._limit)
        self._limit = np.full(n_sub, np.nextafter(self._top, 0))
        counts, over, column = _add_block(block, edges, self._limit, 1)
        self._catch(block, keep, counts, over)
        self._add(block, keep, column, 1)
        # counts that are too high raise their own limits, so repeat without them
        for _ in range(10):
            self._pixels.fit()
            self._limit = self._limits()
            if not self._catch(block, keep, counts, _add_block(block, edges, self._limit)[1]):
                break
        self._look()
        counts = self._pixels.without_bad(counts, block)
        self._frames.begin(counts[keep], self._pixels.contrast(block[keep], counts[keep]))
        self._frames.add(counts, keep)
        self._n_received = len(block)
        self._refuse_overflow()

    def _refuse_overflow(self) -> None:
        n = sum(map(len, self._spoilt["overflow"]))
        if n > self._n_received / 2:
            raise SpoiltRunError(
                f"in {n} of {self._n_received} frames more than {SHARE:.0%} of the pixels are at the top of their "
                "range or have counts that speckle cannot give: are gaps and bad pixels of the detector masked?"
            )

    def _add(self, block: Array, keep: NDArray[np.bool_], column: Array, step: int) -> None:
        """Add sums over frames, without the frames that are left out."""
        which = _is_summed(len(block), step)
        if not keep.all():
            column = column - block[which & ~keep].sum(0, dtype=float)
        self._pixels.total += column
        self._pixels.n_seen += int((which & keep).sum())

    def _limits(self) -> Floats:
        return np.minimum(self._pixels.limits(), np.nextafter(self._top, 0))

    def _catch(self, block: Array, keep: NDArray[np.bool_], counts: Floats, over: NDArray[np.bool_]) -> int:
        """Find counts above the limits of their sub-bins: bad pixels, or overflowing frames. Return the bad pixels."""
        edges = self.partition.static_edges
        frame, pixel = [_NO_PIXELS], [_NO_PIXELS]
        bright = np.maximum(self._pixels.brightness(counts), 1)  # a brighter frame may hold more
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
            self._spoilt["overflow"].append(self._n_received + np.flatnonzero(overflow))
            frames, pixels = frames[~overflow[frames]], pixels[~overflow[frames]]
        at_top = np.unique(pixels[block[frames, pixels] >= self._top])
        return self._drop("saturated", at_top) + self._drop("impossible", np.setdiff1d(pixels, at_top))

    def _look(self) -> None:
        """Find hot and dead pixels by their means."""
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
            n_bad = {r: sum(map(len, x)) for r, x in self._bad.items() if x}
            if sum(n_bad.values()) > self._few:
                raise SpoiltRunError(
                    f"{sum(n_bad.values())} of {len(self.partition.pixels)} pixels are bad "
                    f"({', '.join(f'{n} {r}' for r, n in n_bad.items())}), more than {SHARE:.0%}: "
                    "are gaps and bad pixels of the detector masked?"
                )
        return len(pixels)

    def _ready(self, end: int) -> Iterator[Screened]:
        """Yield the blocks that lie entirely before `end`."""
        while self._held and self._n_returned + len(self._held[0][0]) <= end:
            block, _ = self._held.pop(0)
            valid = self._frames.good(self._n_returned, self._n_returned + len(block))
            self._n_returned += len(block)
            yield Screened(block, valid, self._unreported())
        if self._new and not self._held:
            yield Screened(np.zeros((0, len(self.partition.pixels))), np.ones(0, bool), self._unreported())

    def _unreported(self) -> NDArray[np.int64]:
        new, self._new = np.concatenate([_NO_PIXELS, *self._new]), []
        return np.sort(new)


def _kernel(number: Any) -> Callable[..., None]:
    @nb.njit(nogil=True, fastmath=True, cache=True)
    def add(block: Array, edges: Array, limit: Array, step: int, counts: Array, over: Array, column: Array) -> None:
        n_frames, n_pixels = block.shape
        whole = n_frames - n_frames % 4
        for b in range(0, whole, 4):  # four at once, to spread the cost of incomplete vectors
            for j in range(edges.size - 1):
                first, last = edges[j], edges[j + 1]
                x0, x1 = block[b, first:last], block[b + 1, first:last]
                x2, x3 = block[b + 2, first:last], block[b + 3, first:last]
                s0, s1, s2, s3, highest = number(0), number(0), number(0), number(0), x0[0]
                for p in range(x0.size):
                    s0, s1 = number(s0 + x0[p]), number(s1 + x1[p])
                    s2, s3 = number(s2 + x2[p]), number(s3 + x3[p])
                    highest = max(highest, max(max(x0[p], x1[p]), max(x2[p], x3[p])))
                counts[b, j], counts[b + 1, j], counts[b + 2, j], counts[b + 3, j] = s0, s1, s2, s3
                over[b : b + 4, j] = highest > limit[j]
            if step and b % (4 * step) == 0:
                x0, x1, x2, x3 = block[b], block[b + 1], block[b + 2], block[b + 3]
                for p in range(n_pixels):
                    column[p] = number(column[p] + x0[p] + x1[p] + x2[p] + x3[p])
        for b in range(whole, n_frames):
            for j in range(edges.size - 1):
                x = block[b, edges[j] : edges[j + 1]]
                s, highest = number(0), x[0]
                for p in range(x.size):
                    s, highest = number(s + x[p]), max(highest, x[p])
                counts[b, j], over[b, j] = s, highest > limit[j]
            if step == 1:
                for p in range(n_pixels):
                    column[p] = number(column[p] + block[b, p])

    return add


_sum_short, _sum = _kernel(np.uint32), _kernel(np.float64)


def _add_block(
    block: Array, edges: NDArray[np.int64], limit: Floats, step: int = 0
) -> tuple[Floats, NDArray[np.bool_], Array]:
    """Return sums over sub-bins, (b, n_sub), whether a pixel of theirs is above `limit`, and sums over frames.

    The last, (n_pixels,), are over the frames that `_is_summed` marks for this step.
    """
    # sums of 16-bit counts fit into 32 bits for blocks and sub-bins of this size
    short = block.dtype.kind == "u" and block.dtype.itemsize <= 2 and max(len(block), edges[-1]) < 1 << 16
    counts = np.empty((len(block), len(edges) - 1))
    over = np.empty(counts.shape, bool)
    column = np.zeros(block.shape[1], np.uint32 if short else np.float64)
    (_sum_short if short else _sum)(block, edges, limit, step, counts, over, column)
    return counts, over, column


def _is_summed(n_frames: int, step: int) -> NDArray[np.bool_]:
    """Return which frames of a block `_add_block` sums over: all, or every `step`-th group of four."""
    group = np.arange(n_frames) // 4
    return np.asarray((group % step == 0) & ((step == 1) | (group < n_frames // 4)))
