"""Screen a run for bad pixels and frames before anything is correlated, so that maps and g2 leave out the same."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._counts import add_block, check_counts, check_valid, is_summed
from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._faults_of_counts import no_photons, no_relaxation
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._screen_areas import AreaScreen
from ainerd_xpcs.numerics._screen_copies import CopyScreen
from ainerd_xpcs.numerics._screen_frames import LAG, FrameScreen
from ainerd_xpcs.numerics._screen_neighbours import NeighbourScreen
from ainerd_xpcs.numerics._screen_pixels import PixelScreen
from ainerd_xpcs.numerics._screened import LeftOut, Screened, SpoiltRunError

WINDOW = 64  # frames examined before the first frames are passed on
ALL = 512  # frames whose counts are all summed, pixel by pixel; later a quarter of the frames
SHARE = 0.01  # of the pixels of a frame: more is not a problem of single pixels
MOST = 0.15  # share of the pixels that may be bad
MOST_COPIES = 0.6  # share of the frames that may be copies
FEW = 3  # pixels that may be bad in any case

_NO_PIXELS = np.empty(0, np.int64)


class Screen:
    """Find bad pixels and frames as they arrive, before they are correlated.

    The first 92 frames are held back and examined together; later the last 28 frames and their block. A pixel is left
    out if it reaches the top of the detector's range, if it has a count that is impossible for speckle of its mean, if
    its mean over the run is too high, or zero, or if its row, column or tile dies or flickers. A frame is left out if
    it is dark, overflows, is a copy of an earlier one, or shows a displaced pattern.

    Parameters
    ----------
    partition : Partition
    n_frames : int, optional
        Number of frames to come; None for an open-ended run.

    Notes
    -----
    A count is impossible if its probability among all pixels and frames is below 1e-6 under the geometric distribution
    (fully developed speckle, contrast 1) with the mean of its static sub-bin. The mean of a pixel over the run is
    compared with the means of the pixels around it, allowing for Poisson counts and for static speckle of the contrast
    that these means show. The shares of the sub-bins in a frame are compared with those in the frames before, in
    windows of 1, 4 and 16 frames.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(2.0, (64, 400)).astype(np.uint16)
    >>> frames[:, 7] = 900  # a hot pixel
    >>> screen = Screen(Partition.from_roi_map(np.ones((20, 20), int)), 64)
    >>> blocks = [*screen.push(frames), *screen.flush()]
    >>> screen.left_out.n_pixels, sum(len(block.frames) for block in blocks)
    (1, 64)
    """

    def __init__(self, partition: Partition, n_frames: int | None = None) -> None:
        self.partition, self.n_frames = partition, n_frames
        self._copies, self._areas = CopyScreen(n_frames), AreaScreen(partition)
        self._neighbours = NeighbourScreen(partition)
        self._pixels = PixelScreen(partition, n_frames)
        self._frames = FrameScreen(partition)
        self._limit = np.full(len(partition.static_roi), np.inf)  # of counts, by sub-bin
        self._held: list[tuple[int, Array, NDArray[np.bool_]]] = []  # first index, frames, and which are valid
        self._n_received = self._n_returned = 0  # frames that came
        self._missing: list[tuple[int, int, int]] = []  # frames that came before each gap, its first index, its length
        self._n_missing = 0
        self._begun, self._next = False, WINDOW
        self._new: list[NDArray[np.int64]] = []  # bad pixels that no block has reported yet
        reasons = "saturated", "impossible", "hot", "dead", "died", "flickering"
        self._bad: dict[str, list[NDArray[np.int64]]] = {r: [] for r in reasons}
        self._spoilt: dict[str, list[NDArray[np.int64]]] = {r: [] for r in ("invalid", "overflow", "copy")}

    @property
    def left_out(self) -> LeftOut:
        """Pixels and frames left out so far."""
        pixels, frames = self._by_reason()
        dark, displaced, moved = map(self._indices, self._frames.bad())
        missing = np.array([gap[1:] for gap in self._missing], np.int64).reshape(-1, 2)
        frames = {reason: self._indices(numbers) for reason, numbers in frames.items()}
        return LeftOut(pixels, frames | {"dark": dark, "displaced": displaced}, missing, moved)

    def _by_reason(self) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
        """Return flat indices of the bad pixels, and frames that are noted one by one, by reason."""
        pixels, frames = (
            {r: np.concatenate([_NO_PIXELS, *x]) for r, x in of.items()} for of in (self._bad, self._spoilt)
        )
        return {r: np.sort(self.partition.pixels[x]) for r, x in pixels.items()}, frames

    @property
    def _next_index(self) -> int:
        """Index in the run of the next frame, if none is missing before it."""
        return self._n_received + self._n_missing

    def _indices(self, came: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices in the run of frames that are counted as they came."""
        before = np.array([n for n, *_ in self._missing], np.int64)
        missing = np.append(0, np.cumsum([n for *_, n in self._missing], dtype=np.int64))
        return np.asarray(came + missing[np.searchsorted(before, came, "right")])

    def push(
        self, frames: Array | Events, *, first: int | None = None, valid: ArrayLike | None = None
    ) -> list[Screened]:
        """Take the next frames, and return those that are ready to be correlated.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts. They are kept for a while, and must not be overwritten.
        first : int, optional
            Index of the first of them in the run, from 0. Skipped frames are missing. A gap of any length
            costs nothing.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out.

        Raises
        ------
        SpoiltRunError
            If more than 15 % of the pixels are bad, or more than half of the frames overflow. `flush` also
            raises it if more than 60 % of the frames are copies.
        ValueError
            If the frames do not fit, repeat earlier ones, or hold negative or non-finite numbers.
        """
        if isinstance(frames, Events):
            raise ValueError("a Screen takes dense frames; for Events there is EventScreen")
        block = check_counts(self.partition.gather(frames))
        keep = check_valid(valid, len(block))
        following = self._next_index
        begin = following if first is None else int(first)
        if begin < following:
            raise ValueError(f"frame {begin} was pushed before: the next is {following}")
        if begin > following:
            self._missing.append((self._n_received, following, begin - following))
            self._n_missing += begin - following
        self._spoilt["invalid"].append(self._n_received + np.flatnonzero(~keep))
        self._hold(begin, block, keep)
        if not self._begun and self._n_received >= WINDOW + LAG:
            self._begin()
        return list(self._ready(self._n_received - LAG)) if self._begun else []

    def flush(self) -> list[Screened]:
        """Return the frames still held at the end of the run, and the pixels that only the whole run shows bad."""
        if self._n_received == 0:
            return []
        if not self._begun:
            self._begin()
        self._look_at_run(self._n_received)
        return list(self._ready(self._n_received))

    def _look_at_run(self, n_frames: int) -> None:
        """Find the pixels that only the whole run shows bad; raise SpoiltRunError if too many frames are spoilt."""
        self._look()
        for reason, rule in (("died", self._areas.died), ("flickering", self._areas.flickering)):
            self._drop(reason, rule(self._pixels.good))
        self._refuse_overflow()
        copies = sum(map(len, self._spoilt["copy"]))
        if copies > MOST_COPIES * n_frames:
            raise SpoiltRunError(f"{copies} of {n_frames} frames are copies of earlier ones")

    @property
    def _histogram(self) -> NDArray[np.int64]:
        return self._areas.histogram

    @property
    def whole(self) -> bool:
        """Whether all counts were whole numbers."""
        return self._areas.whole

    @property
    def no_contrast(self) -> str | None:
        """Reason why the contrast of the counts is not that of light: they are no photons; None if it is."""
        return no_photons(self._histogram)

    @property
    def no_relaxation(self) -> str | None:
        """Reason why not even the relaxation is that of light: an offset, a low end, or pixels that flicker."""
        return no_relaxation(self._histogram) or self._neighbours.flickering(self._pixels.good)

    @property
    def swapped(self) -> str | None:
        """Reason why neighbouring frames are not in their order; None if they can be, or if frames are missing."""
        return None if self._n_missing else self._neighbours.swapped()

    def _hold(self, begin: int, block: Array, keep: NDArray[np.bool_]) -> None:
        if len(block) == 0:
            return
        self._held.append((begin, block, keep))
        if self._begun:
            step = 1 if self._pixels.n_seen < ALL else 4
            counts, over, column = add_block(block, self.partition.static_edges, self._limit, step)
            if over.any():
                self._catch(block, keep, counts, over)
            counts = self._pixels.without_bad(counts, block)
            self._leave_out_copies(block, keep, counts, self._n_received)
            column = self._add(block, keep, column, step)
            self._areas.add(block, keep, self._pixels.good, self._n_received)
            self._neighbours.add(block, keep, self._pixels.good, self._n_received, column)
            self._frames.add(counts, keep)
            if self._pixels.n_seen >= self._next:
                self._look()
        self._n_received += len(block)

    def _begin(self) -> None:
        """Examine the first frames together."""
        block = np.concatenate([frames for _, frames, _ in self._held])
        keep = np.concatenate([each for *_, each in self._held])
        self._begun, self._n_received = True, 0  # frame numbers below count from the first
        self._top = np.iinfo(block.dtype).max if block.dtype.kind in "ui" else np.inf
        edges, n_sub = self.partition.static_edges, len(self._limit)
        self._limit = np.full(n_sub, np.nextafter(self._top, 0))
        counts, over, column = add_block(block, edges, self._limit, 1)
        self._catch(block, keep, counts, over)
        self._leave_out_copies(block, keep, self._pixels.without_bad(counts, block), 0)
        column = self._add(block, keep, column, 1)
        # counts that are too high raise their own limits, so repeat without them
        for _ in range(10):
            self._pixels.fit()
            self._limit = self._limits()
            if not self._catch(block, keep, counts, add_block(block, edges, self._limit)[1]):
                break
        self._look()
        self._areas.add(block, keep, self._pixels.good, 0)
        self._neighbours.add(block, keep, self._pixels.good, 0, column)
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

    def _leave_out_copies(self, block: Array, keep: NDArray[np.bool_], counts: Floats, first: int) -> None:
        """Leave out copies of frames; `counts`, (b, n_sub), are without bad pixels, which may always count the same."""
        copies = (self._copies.neighbours(block, self._pixels.good) | self._copies.repeated(counts)) & keep
        if copies.any():
            keep &= ~copies
            self._spoilt["copy"].append(first + np.flatnonzero(copies))

    def _add(self, block: Array, keep: NDArray[np.bool_], column: Array, step: int) -> Array:
        """Add sums over frames, without the frames that are left out, and return them."""
        which = is_summed(len(block), step)
        if not keep.all():
            column = column - block[which & ~keep].sum(0, dtype=float)
        self._pixels.total += column
        self._pixels.n_seen += int((which & keep).sum())
        return column

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
        for _ in range(5):  # hot pixels hide others
            self._pixels.fit()
            hot, dead = self._pixels.judge()
            self._drop("hot", hot)
            self._drop("dead", dead)
            if not hot.size:
                break
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
            if sum(n_bad.values()) > max(MOST * len(self.partition.pixels), FEW):
                raise SpoiltRunError(
                    f"{sum(n_bad.values())} of {len(self.partition.pixels)} pixels are bad "
                    f"({', '.join(f'{n} {r}' for r, n in n_bad.items())}), more than {MOST:.0%}: "
                    "are gaps and bad pixels of the detector masked?"
                )
        return len(pixels)

    def _ready(self, end: int) -> Iterator[Screened]:
        """Yield the blocks that lie entirely before `end`."""
        while self._held and self._n_returned + len(self._held[0][1]) <= end:
            begin, block, _ = self._held.pop(0)
            valid = self._frames.good(self._n_returned, self._n_returned + len(block))
            self._n_returned += len(block)
            yield Screened(block, valid, self._unreported(), begin)
        if self._new and not self._held:
            none = np.zeros((0, len(self.partition.pixels)))
            yield Screened(none, np.ones(0, bool), self._unreported(), self._next_index)

    def _unreported(self) -> NDArray[np.int64]:
        new, self._new = np.concatenate([_NO_PIXELS, *self._new]), []
        return np.sort(new)
