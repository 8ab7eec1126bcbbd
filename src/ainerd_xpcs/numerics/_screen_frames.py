"""Find frames that are dark, or in which the scattering pattern is displaced.

The pattern of a frame is described by the shares of the static sub-bins in its counts, c_j / Σ c. They are projected on
functions that are smooth over the detector: x, y, x², y², xy of the sub-bins' centers, orthonormal under the run's own
shares. A ring of steep S(q) that moves shows in x and y, a beam that widens in the others. The projections of 1, 4 and
16 frames are compared with those of the 32 frames before the last 28. They may differ by as much as photons and speckle
(of the contrast seen in single frames) allow, or as much as they have differed so far if that is more.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array, Floats, Partition

# states of a frame; DISPLACED and the two numbers after it are results of the three windows
INVALID, GOOD, NO_LIGHT, DISPLACED, ACCEPTED = -1, 0, 1, 2, 10
WINDOWS = (1, 4, 16)  # frames
LAG = 28  # frames that can still be found displaced: the longest window, half of it, and a gap
GAP = 4  # frames
EVERY = 4  # frames between two checks of the longest window
BEFORE = 32  # frames of the reference
FOR_GOOD = 64  # displaced frames, with few others among them, after which the new pattern is accepted
DARK = 0.1  # share of the usual counts
LIT = 30  # counts of a frame or window below which nothing is concluded
SURE = 45.0  # chi-square of five numbers; probability 1e-8 if all are Gaussian
SPECKLE = 2.0  # pixels in a speckle, which reduce the number of independent pixels


class FrameScreen:
    """Classify frames by the counts of their sub-bins."""

    def __init__(self, partition: Partition) -> None:
        self._size = np.diff(partition.static_edges)
        sums = (
            np.add.reduceat(x, partition.static_edges[:-1]) for x in np.divmod(partition.pixels, partition.shape[1])
        )
        y, x = (s / self._size for s in sums)
        y, x = ((each - each.mean()) / (np.ptp(each) or 1.0) for each in (y, x))
        self._smooth = np.stack([x, y, x * x, y * y, x * y])
        self._moments = np.zeros((0, 6))  # of each frame: the projected counts, and their sum
        self._state = np.zeros(0, np.int8)
        self._usual = 0.0
        self._excess = np.ones((3, 5))
        self._speckle = np.zeros(5)
        self._since = 0  # first frame of the reference pattern
        self._at, self._latest = 0, -LAG  # next frame, and the last one found displaced

    def begin(self, counts: Floats, contrast: float) -> None:
        """Take the reference pattern from the first frames: sums over sub-bins, (b, n_sub)."""
        total = counts.sum(1)
        lit = total > DARK * np.quantile(total, 0.9) if len(total) else np.zeros(0, bool)
        self._usual = float(np.median(total[lit])) if lit.any() else 0.0
        # the median over frames ignores displaced ones
        share = counts[lit].mean(0) if lit.any() else np.zeros(len(self._size))
        self._basis = _orthonormal(self._smooth, share / (share.sum() or 1.0))
        moments = np.column_stack([counts @ self._basis.T, total])[lit]
        self._pattern = np.median(moments[:, :5] / moments[:, 5:], 0) if lit.any() else np.zeros(5)
        self._contrast = contrast
        self._speckle = SPECKLE * contrast * ((share / (share.sum() or 1.0)) ** 2 / self._size * self._basis**2).sum(1)
        big_enough = self._size.sum() >= 50 and len(self._size) >= 4
        self._sure = SURE * (1 + 15 / np.sqrt(self._size.sum())) ** 2 if big_enough else np.inf
        self._dark = DARK if self._size.sum() >= LAG else 0.0

    def add(self, counts: Floats, valid: NDArray[np.bool_]) -> None:
        """Classify the next frames by the sums over their sub-bins, (b, n_sub)."""
        total = counts.sum(1)[valid]
        dim = max(self._usual, LIT)
        if self._at and total.size and total.max() * self._dark > dim and np.quantile(total, 0.9) * self._dark > dim:
            # the frames before were nearly dark: the reference starts here
            self.begin(counts[valid], self._contrast)
            self._since = self._at
        n = self._at + len(counts)
        while n > len(self._state):
            more = max(1024, len(self._state))
            self._moments = np.concatenate([self._moments, np.zeros((more, 6))])
            self._state = np.concatenate([self._state, np.zeros(more, np.int8)])
        now = slice(self._at, n)
        self._state[now] = np.where(valid, GOOD, INVALID)
        numbers = np.array([self._usual, self._latest])
        self._moments[now] = np.column_stack([counts @ self._basis.T, counts.sum(1)])
        _judge(
            self._moments, self._state, self._since, self._at, n, self._pattern, self._speckle, self._excess,
            self._sure, self._dark, numbers,
        )  # fmt: skip
        self._usual, self._latest = numbers[0], int(numbers[1])
        self._at = n

    def forget(self, n_frames: int) -> None:
        """Forget the first frames, a multiple of `EVERY`; the others are numbered from 0 again."""
        self._moments, self._state = self._moments[n_frames:].copy(), self._state[n_frames:].copy()
        self._at, self._since, self._latest = (
            self._at - n_frames, max(self._since - n_frames, 0), self._latest - n_frames
        )  # fmt: skip

    def good(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return whether each of frames first to last - 1 can be used."""
        return np.asarray(self._state[first:last] == GOOD)

    @property
    def states(self) -> NDArray[np.int8]:
        """State of each frame so far."""
        return self._state[: self._at]

    def bad(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return frames that are dark, frames that are displaced, and those from which on a new pattern is accepted."""
        state = self._state[: self._at]
        return (
            np.flatnonzero(state == NO_LIGHT),
            np.flatnonzero(state >= DISPLACED),
            np.flatnonzero(state > ACCEPTED) + 1,
        )


def _orthonormal(functions: Floats, share: Floats) -> Floats:
    """Make the functions orthonormal to each other and to a constant under `share`; 0 where nothing is left."""
    out = [np.ones(len(share))]
    for f in functions:
        before = np.sqrt((f**2 * share).sum())
        for g in out:
            f = f - (f * g * share).sum() * g
        norm = np.sqrt((f**2 * share).sum())
        out.append(f / norm if norm > 1e-3 * before else np.zeros(len(share)))
    return np.array(out[1:])


@nb.njit(nogil=True, cache=True)
def _judge(
    moments: Floats, state: Array, origin: int, first: int, last: int, pattern: Floats, speckle: Floats,
    excess: Floats, sure: float, dark: float, numbers: Floats,
) -> None:  # fmt: skip
    """Write the states of frames first to last - 1; `numbers` are the usual counts and the latest displaced frame."""
    base, mean, away, counted = np.empty(5), np.empty(5), np.empty(5), 0.0
    for t in range(first, last):
        if state[t] == INVALID:
            continue
        total, usual = moments[t, 5], numbers[0]
        if total < dark * usual and usual >= LIT:
            state[t] = NO_LIGHT
            continue
        numbers[0] += (min(total, 2 * usual) - usual) / 64
        if total <= 0 or sure == np.inf:
            continue
        if t % EVERY == 0 or counted == 0:
            counted = _reference(moments, state, origin, t, base)
            if counted == 0:
                base[:], counted = pattern, BEFORE * usual
        for w in range(3):
            if w == 2 and t % EVERY:
                continue
            here, n = _in_window(moments, state, max(t - WINDOWS[w] + 1, origin), t, w, mean)
            if state[t] != GOOD or n < WINDOWS[w] // 2 or min(here, counted) < LIT:
                continue
            chance, chi = 1 / here + 1 / counted, 0.0
            for k in range(5):
                away[k] = (mean[k] / here - base[k]) ** 2
                chi += away[k] / max(chance * excess[w, k], chance + speckle[k])
            if chi > sure:
                _displace(state, origin, t, w)
                _accept(state, origin, t)
                numbers[1] = t
                break
            if t - numbers[1] > LAG:
                for k in range(5):
                    excess[w, k] += (min(away[k] / chance, 9 * excess[w, k]) - excess[w, k]) / 128


@nb.njit(nogil=True, cache=True)
def _reference(moments: Floats, state: Array, origin: int, t: int, base: Floats) -> float:
    """Write the pattern of the frames before the last `LAG` to `base`; return their counts, 0 if they are too few."""
    seen, counted, i = 0, 0.0, t - LAG
    base[:] = 0
    while i >= origin and seen < BEFORE:
        if state[i] == GOOD or state[i] >= ACCEPTED:
            for k in range(5):
                base[k] += moments[i, k]
            counted += moments[i, 5]
            seen += 1
        i -= 1
    if seen < BEFORE // 2 or counted == 0:
        return 0.0
    for k in range(5):
        base[k] /= counted
    return counted


@nb.njit(nogil=True, cache=True)
def _in_window(moments: Floats, state: Array, first: int, t: int, w: int, mean: Floats) -> tuple[float, int]:
    """Write the sums of frames first to t to `mean`; return their counts and their number."""
    here, n = 0.0, 0
    mean[:] = 0
    for i in range(first, t + 1):
        s = state[i]
        if s == GOOD or s >= DISPLACED + w:
            for k in range(5):
                mean[k] += moments[i, k]
            here += moments[i, 5]
            n += 1
    return here, n


@nb.njit(nogil=True, cache=True)
def _displace(state: Array, origin: int, t: int, w: int) -> None:
    """Mark the frames of a window as displaced, and those before it that may be, up to an earlier displaced one."""
    begin = max(t - WINDOWS[w] + 1 - WINDOWS[w] // 2, origin)
    for i in range(max(begin - GAP, origin), begin):
        if state[i] >= DISPLACED:
            begin = i
            break
    for i in range(begin, t + 1):
        if state[i] == GOOD:
            state[i] = DISPLACED + w


@nb.njit(nogil=True, cache=True)
def _accept(state: Array, origin: int, t: int) -> None:
    """If nearly all of the last frames are displaced, make them the reference for the next ones."""
    since, n = max(t - FOR_GOOD + 1, origin), 0
    for i in range(since, t + 1):
        n += DISPLACED <= state[i] < ACCEPTED
    if n >= 0.9 * FOR_GOOD:
        for i in range(since, t):
            if state[i] >= DISPLACED:
                state[i] = ACCEPTED
        state[t] = ACCEPTED + 1
