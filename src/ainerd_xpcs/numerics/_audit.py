"""Find the pixels and the frames whose removal changes g2 or C2 beyond its error.

Pixels. In a static sub-bin of n pixels with counts I_p(t) and their sum A(t), g2(l) is n Σ_p C_p / B with
C_p = Σ_t I_p(t) I_p(t + l) and B = Σ_t A(t) A(t + l), so the beam cancels. Without pixel p it is exactly

    (n - 1) (Σ C - C_p) / (B - Q_p),    Q_p = Σ_t [I_p(t) A(t + l) + A(t) I_p(t + l) - I_p(t) I_p(t + l)],

and C_p, Q_p and B are sums over frames: one pass gives the influence of every pixel. The diagonal of C2 in eighths of
the run, with C_p = N (N - 1) of the counts N of the eighth, has the same form. A bin has the mean over its pixels. Its
error is the jackknife's over groups of neighbouring pixels, which see the same speckles.

Chance. C_p of good pixels varies with speckle and photons. The upper tail of √C_p is at most that of an exponential
distribution, which static speckle of contrast 1 has, and the lower tail of C_p at most a power, as of a gamma
distribution. Both are extrapolated from the median and the 90 % quantile of the bin, widened by the deviation of
Poisson counts, to a chance of .05 in a file. A pixel beyond is odd. The odd pixels of a bin are named if removing them
together changes g2 or C2 by more than its error.

Frames. A frame is odd if it is brighter or darker than the frames around it, or if its C2 with both neighbours is lower
than that of the neighbours with each other. A sample that rearranges lowers the latter too.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ainerd_xpcs.numerics._partition import Array, Floats, Partition, Parts

CHANCE = 0.05  # of a false alarm in a file
KINDS = 6  # of tests that share it: two tails of pixels and of runs of pixels, brightness and likeness of frames
EIGHTHS = 8  # parts of the run in which C2 is tested
FEWEST = 64  # pixels of a bin, or runs of pixels in it, that are compared
RUN = 8  # pixels
AROUND = 31  # frames
LIT = 30  # counts of a frame below which its C2 tells nothing
NORMAL = 1.2816  # standard deviations from the median to the 90 % quantile


@dataclass(frozen=True, eq=False)
class Influence:
    """The changes of g2 and C2 without single pixels and frames of a run.

    Attributes
    ----------
    lag : ndarray, shape (n_lag,)
        In frames; 1, 2, 4, …. At lag l, the mean over l frames is correlated with that over the next l.
    value, error : ndarray, shape (n_roi, n_lag + EIGHTHS)
        g2 at these lags, then C2 on the diagonal in eighths of the run, without shot noise; standard errors.
    pixels : ndarray of int
        Positions in ``partition.pixels`` of the pixels that are named.
    n_slight : int
        Number of pixels that are odd, but change nothing beyond its error.
    sigma : ndarray, shape (n_pixels,)
        Largest change of g2 or C2 of its bin without the pixel, in standard errors.
    together : ndarray, shape (n_pixels,)
        The same without all pixels of the bin that are named; 0 for others.
    ratio : ndarray, shape (n_pixels,)
        The pixel's share in that number, over the median share in its bin.
    of_eighths : ndarray, shape (EIGHTHS, n_pixels)
        Counts of each pixel in eighths of the run, over the mean of its sub-bin.
    unlit, unlike : ndarray, shape (m, 3)
        Number of each frame found by its brightness, and by its C2 with its neighbours; by how many usual deviations
        they differ; the brightness over that of the frames around it, or the mean C2 with its neighbours.
    """

    lag: Floats
    value: Floats
    error: Floats
    pixels: NDArray[np.int64]
    n_slight: int
    sigma: Floats
    together: Floats
    ratio: Floats
    of_eighths: Floats
    unlit: Floats
    unlike: Floats


class Audit:
    """Sums over frames from which the influence of each pixel and frame follows.

    Parameters
    ----------
    partition : Partition
        Bins of fewer than 64 pixels are not examined.
    n_frames : int
        Number of frames of the run.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(2.0, (256, 400)).astype(np.uint16)
    >>> frames[::5, 7] += 12  # a pixel that counts too much in every fifth frame
    >>> audit = Audit(Partition.from_roi_map(np.ones((20, 20), int)), 256)
    >>> audit.push(frames, np.arange(256))
    >>> found = audit.result()
    >>> found.pixels, found.sigma[7] > 5
    (array([7]), np.True_)
    """

    def __init__(self, partition: Partition, n_frames: int) -> None:
        self.partition, self.n_frames = partition, n_frames
        self._size = np.diff(partition.static_edges).astype(float)
        self._sub = np.repeat(np.arange(len(self._size)), np.diff(partition.static_edges))
        self._lag: Floats = np.exp2(np.arange(max(int(np.log2(max(n_frames, 4) / 4)), 0) + 1, dtype=float))
        n_lag, n_pixels = len(self._lag), len(self._sub)
        self._products, self._cross = np.zeros((2, n_lag + EIGHTHS, n_pixels))
        self._pairs = np.zeros((n_lag + EIGHTHS, len(self._size)))
        self._eighths = np.zeros((EIGHTHS, n_pixels))
        self._last: list[tuple[Floats, Floats] | None] = [None] * n_lag  # counts and their sums, of each level
        self._seen = [0] * n_lag
        self._second: tuple[Floats, Floats] | None = None  # the frame before the last
        self._number, self._rows = list[int](), list[tuple[float, float, float]]()  # light, C2 with frames before

    def push(self, frames: Array, numbers: NDArray[np.int64], together: NDArray[np.int64] | int = 1) -> None:
        """Add the next frames, (b, n_pixels), and their numbers; each may be the sum of several frames, `together`."""
        for frame, number, n in zip(frames, numbers, np.broadcast_to(together, len(frames)), strict=True):
            counts = frame.astype(float)
            sums, before = np.add.reduceat(counts, self.partition.static_edges[:-1]), self._last[0]
            self._eighths[int(number) * EIGHTHS // self.n_frames] += counts
            near, over = (self._c2(each, counts, sums) for each in (before, self._second))
            self._rows.append((sums.sum() / n, near, over))
            self._number.append(int(number))
            self._second = before
            self._take(0, counts, sums)

    def _c2(self, before: tuple[Floats, Floats] | None, counts: Floats, sums: Floats) -> float:
        """Return C2 of two frames, the mean over all bins; NaN if they are too dark."""
        if before is None or min(before[1].sum(), sums.sum()) < LIT:
            return np.nan
        products = np.add.reduceat(before[0] * counts, self.partition.static_edges[:-1])
        return float(self._size @ products / (before[1] @ sums))

    def _take(self, level: int, counts: Floats, sums: Floats) -> None:
        """Correlate an entry of a level with the one before, and pass every second pair of them to the next level."""
        last, self._last[level] = self._last[level], (counts, sums)
        self._seen[level] += 1
        if last is None:
            return
        _add(*last, counts, sums, self._sub, self._products[level], self._cross[level])
        self._pairs[level] += last[1] * sums
        if self._seen[level] % 2 == 0 and level + 1 < len(self._lag):
            self._take(level + 1, last[0] + counts, last[1] + sums)

    def result(self) -> Influence:
        """Return the influence of all pixels and frames so far."""
        partition, edges, n_lag = self.partition, self.partition.static_edges, len(self._lag)
        sums = np.add.reduceat(self._eighths, edges[:-1], axis=1)
        self._products[n_lag:] = self._eighths * (self._eighths - 1)
        self._cross[n_lag:] = self._eighths * (2 * sums[:, self._sub] - self._eighths)
        self._pairs[n_lag:] = sums**2
        value, error = np.full((2, partition.n_roi, n_lag + EIGHTHS), np.nan)
        (sigma, together), ratio = np.zeros((2, len(self._sub))), np.ones(len(self._sub))
        odd = np.zeros(len(self._sub), bool)
        runs = self._runs()
        with np.errstate(divide="ignore", invalid="ignore"):
            for k in range(partition.n_roi):
                subs = np.flatnonzero(partition.static_roi == k)
                of = slice(edges[subs[0]], edges[subs[-1] + 1])
                value[k], change, share, one = self._influence(subs, of)
                one[:n_lag] /= 4  # a product holds more counts than one
                odd[of] = self._odd(np.arange(of.start, of.stop)[:, None], of, share, one)
                odd[of] |= self._odd(runs, of, share[n_lag:], one[n_lag:])
                error[k] = self._error(k, np.where(odd[of], np.nan, change), of.start)
                away = np.nan_to_num(np.abs(change) / error[k][:, None])
                of_odd = np.nan_to_num(np.abs(change[:, odd[of]].sum(1)) / error[k]).max()
                together[of] = odd[of] * of_odd * (of_odd > 1)
                worst = away.argmax(0), np.arange(of.stop - of.start)
                sigma[of], ratio[of] = away[worst], (share / np.median(share, axis=1)[:, None])[worst]
            of_eighths = self._eighths / (sums / self._size)[:, self._sub]
        light, near, over = np.array(self._rows).T
        frames = [
            np.column_stack([np.array(self._number)[x[:, 0].astype(int)], x[:, 1:]])
            for x in (unlit(light), unlike(near[1:], over[2:]))
        ]
        pixels = np.flatnonzero(together)
        n_slight = int(odd.sum()) - len(pixels)
        return Influence(self._lag, value, error, pixels, n_slight, sigma, together, ratio, of_eighths, *frames)

    def _influence(self, subs: NDArray[np.int64], of: slice) -> tuple[Floats, Floats, Floats, Floats]:
        """Return numbers of a bin, (n,); their changes without each pixel, its share, and one pair of photons, (n, p).

        `subs` are its sub-bins, `of` its pixels. A number is the mean of the shares, which in eighths of the run also
        have the pairs of a photon with itself.
        """
        products, size, n = self._products[:, of], self._size[subs], of.stop - of.start
        sub, pairs = self._sub[of] - subs[0], self._pairs[:, subs]
        total = np.add.reduceat(products, self.partition.static_edges[subs] - of.start, axis=1)
        scale = np.where(pairs > 0, size**2 / pairs, 0)
        of_sub, share = total * scale, products * scale[:, sub]  # of_sub is times the pixels of the sub-bin
        without = (total[:, sub] - products) / (pairs[:, sub] - self._cross[:, of]) * (size[sub] - 1) ** 2
        value = of_sub.sum(1) / n
        change = (np.where(size[sub] > 1, without, 0) - of_sub[:, sub] + value[:, None]) / (n - 1)
        share[-EIGHTHS:] += self._eighths[:, of] * scale[-EIGHTHS:, sub]  # with the photons themselves: a square
        return value, change, share, scale[:, sub]

    def _runs(self) -> NDArray[np.int64]:
        """Return the positions of all pixels that follow each other in a row or a column, (n, RUN)."""
        position = np.full(self.partition.roi_map.size, -1)
        position[self.partition.pixels] = np.arange(len(self._sub))
        image = position.reshape(self.partition.shape)
        runs = [sliding_window_view(x, RUN, 1).reshape(-1, RUN) for x in (image, image.T) if x.shape[1] >= RUN]
        return np.concatenate([x[x.min(1) >= 0] for x in runs] or [np.empty((0, RUN), np.int64)])

    def _odd(self, runs: NDArray[np.int64], of: slice, square: Floats, one: Floats) -> NDArray[np.bool_]:
        """Return which pixels of a bin have at least half of the deviation of a run, (n, r), that is odd."""
        odd = np.zeros(of.stop - of.start, bool)
        mine = runs[((runs >= of.start) & (runs < of.stop)).all(1)] - of.start
        if len(mine) < FEWEST:
            return odd
        counts, n_tests = np.sqrt(square), len(square) * len(self._sub) * min(mine.shape[1], 2)
        of_run, least = counts[:, mine].mean(2), np.sqrt(one)[:, mine].mean(2) / mine.shape[1]
        lowest = np.quantile(of_run, 0.1, axis=1, keepdims=True) + least / 2
        hits = beyond(of_run, n_tests, least) | beyond(-np.log(of_run + least / 2), n_tests, np.log1p(least / lowest))
        middle = np.median(counts, axis=1)[:, None]
        for number, run in zip(*np.nonzero(hits), strict=True):
            away = (counts[number, mine[run]] - middle[number]) / (of_run[number, run] - middle[number])
            odd[mine[run][away > 0.5]] = True
        return odd

    def _error(self, k: int, change: Floats, first: int) -> Floats:
        """Return the standard errors of the numbers of a bin from their changes, (n, p); NaN for pixels left out."""
        parts = Parts.of(self.partition)
        begins = parts.edges[:-1][parts.roi == k] - first
        n_known = np.maximum(np.isfinite(change).sum(1, keepdims=True), 1)  # none in an eighth without light
        away = np.nan_to_num(change - np.nansum(change, axis=1, keepdims=True) / n_known)
        n = len(begins)
        return np.asarray(np.sqrt(n / (n - 1) * (np.add.reduceat(away, begins, axis=1) ** 2).sum(1)))


def beyond(x: Floats, n_tests: float, least: Floats | float = 0.0) -> NDArray[np.bool_]:
    """Return which of x, (…, n), are larger than an exponential tail allows, with a chance of CHANCE in all tests.

    The tail begins at the median and has the 90 % quantile of x; `least` is added to their distance.
    """
    middle, most = np.quantile(x, [0.5, 0.9], axis=-1, keepdims=True)
    tail = np.log(n_tests * KINDS / (2 * CHANCE)) / np.log(5)
    return np.asarray(x > middle + tail * (most - middle + least))


def unlit(light: Floats) -> Floats:
    """Return index, deviation and relative brightness, (m, 3), of frames whose counts differ from those around them."""
    root = np.sqrt(light)
    usual = median_filter(root, AROUND, mode="nearest")
    away = root - usual
    differs = beyond(np.stack([away, -away]), len(light), 0.5 / max(np.median(root), 1)).any(0)
    spread = max(np.quantile(np.abs(away), 0.8) / NORMAL, 0.5)  # of Poisson counts: a half
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([np.arange(len(light)), away / spread, (root / usual) ** 2])[differs]


def unlike(near: Floats, over: Floats) -> Floats:
    """Return index, deviation and mean C2 with their neighbours, (m, 3), of frames unlike both, which are alike.

    `near`, (n - 1,), is C2 of frames with the next, `over`, (n - 2,), with the next but one; NaN where not known.
    """
    beside = (near[:-1] + near[1:]) / 2
    known = np.flatnonzero(np.isfinite(over - beside))
    if not known.size:
        return np.empty((0, 3))
    away = (over - beside)[known]
    middle, most = np.quantile(away, [0.5, 0.9])
    if most == middle:  # frames with so few photons that most have no pair: the tail is not known
        return np.empty((0, 3))
    deviation = (middle - away) * NORMAL / (most - middle)
    return np.column_stack([known + 1, deviation, beside[known]])[beyond(away, len(away))]


@nb.njit(nogil=True, cache=True)
def _add(
    first: Array, of_first: Floats, second: Array, of_second: Floats, sub: Array, products: Floats, cross: Floats
) -> None:
    """Add the products of two frames, (n_pixels,), and those with the sums over sub-bins, (n_sub,)."""
    for p in range(first.size):
        x, y, j = first[p], second[p], sub[p]
        products[p] += x * y
        cross[p] += x * of_second[j] + of_first[j] * y - x * y
