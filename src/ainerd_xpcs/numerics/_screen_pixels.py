"""Find pixels whose mean counts do not fit those of the pixels around them.

The counts N of a pixel over a run are Poisson with a mean that varies with static speckle. For partly static speckle of
any number of modes, no tail is longer than that of one mode,

    I = mu (1 - x) + mu x E,    E exponential, x**2 = v the relative variance of the means,

and no lower end is more likely than that of the gamma distribution of shape 1/v. v is estimated from the means
themselves, without the hot pixels, and is 1 if there are too few. mu is a smooth profile, exp of a quadratic in the
detector's coordinates, of each static sub-bin, so S(q) may be steep. The error of the profile is allowed for.
"""

from weakref import WeakKeyDictionary

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from ainerd_xpcs.numerics._partition import Array, Floats, Partition

CHANCE = 1e-6  # of calling one good pixel of a run bad because of a single count
CHANCE_OF_MEANS = 1e-4  # of calling one good pixel bad because of its mean, in one look; an upper bound
ENOUGH = 64  # pixels of a sub-bin for a profile of six parameters; smaller ones only have a mean
LEAST = 20.0  # counts for each parameter of the profile
EXPONENTIAL = 1.0986  # standard deviations between the quartiles of exponential speckle; other speckle has more
LEAST_SPREAD = 0.25  # with which the search for hot pixels starts
SPREAD = 0.02  # relative variance of pixels allowed on any detector
NEAR = 25  # neighbouring pixels, whose median tells which pixels the profile is not fitted to
FAR = 12.0  # times this median


_BASES: WeakKeyDictionary[Partition, Floats] = WeakKeyDictionary()  # a partition serves many runs


class PixelScreen:
    """Find hot and dead pixels by their summed counts; `n_frames` are to come, None if unknown."""

    def __init__(self, partition: Partition, n_frames: int | None) -> None:
        self._edges, self._n_frames = partition.static_edges, n_frames
        self.size = np.diff(self._edges)
        self._roi = np.repeat(partition.static_roi, self.size)
        self.sub = np.repeat(np.arange(len(self.size)), self.size)
        self.good = np.ones(len(partition.pixels), bool)
        self.total, self.n_seen = np.zeros(len(partition.pixels)), 0  # counts of each pixel, and frames
        if partition not in _BASES:
            rows, columns = np.divmod(partition.pixels, partition.shape[1])
            _BASES[partition] = _quadratics(self._edges, rows.astype(float), columns.astype(float))
        self._basis = _BASES[partition]
        self._coefficient = np.zeros((len(self.size), 6))
        self._mean = np.zeros(len(self.size))
        self._n_fit = np.ones(len(self.size), np.int64)

    def without_bad(self, counts: Floats, block: Array) -> Floats:
        """Return sums over sub-bins, (b, n_sub), without the counts of the bad pixels of the block."""
        bad = np.flatnonzero(~self.good)
        if bad.size:
            counts = counts.copy()
            np.subtract.at(counts.T, self.sub[bad], block[:, bad].T)
        return counts

    def brightness(self, counts: Floats) -> Floats:
        """Return the brightness of frames relative to the mean frame, (b,): the median over sub-bins, or 1."""
        seen = self._mean > 0
        return np.median(counts[:, seen] / self._mean[seen], 1) if seen.any() else np.ones(len(counts))

    def contrast(self, block: Array, counts: Floats) -> float:
        """Return an upper limit of the speckle contrast in single frames, (b, n_pixels)."""
        block, counts = block[::4], counts[::4]
        x = block[:, self.good].astype(np.float32)
        return most_contrast(float(np.einsum("tp,tp->", x, x)) - float(x.sum(dtype=np.float64)), counts, self.size)

    def limits(self) -> Floats:
        """Return the counts above which a pixel of each sub-bin is impossible, (n_sub,)."""
        mu, n_fit = self._mu, self._n_fit
        n_good = np.bincount(self.sub, self.good, len(self.size))
        seen = np.add.reduceat(mu * self.good, self._edges[:-1]) + 1  # counts
        mean = np.maximum(np.maximum.reduceat(mu, self._edges[:-1]), seen / np.maximum(n_good, 1)) / max(self.n_seen, 1)
        # upper limit of the mean, given few counts and few speckles, which may be slow
        equal = 1 / (1 / np.maximum(n_good, 1) + 1 / seen) / n_fit
        mean = np.minimum(mean * equal / gammaincinv(equal, CHANCE), 1e12)
        frames = max(self._n_frames or 100_000, 2 * self.n_seen)
        return np.asarray(np.log(len(self.good) * frames / CHANCE) / np.log1p(1 / mean))

    def judge(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of good pixels that turn out hot, and of those that turn out dead."""
        mu, n_fit = self._mu, self._n_fit
        level = np.log(max(self.good.sum(), 1) / CHANCE_OF_MEANS)
        hot, use = np.zeros(len(mu), bool), self.good & (mu > 0)
        if not use.any():
            return np.flatnonzero(hot), np.flatnonzero(hot)
        counts, mu = self.total, np.where(use, mu, 1)
        fitted = (n_fit / np.maximum(np.bincount(self.sub, self.good, len(self.size)), 1))[self.sub]
        of_most = self._spread_of_most(use, mu)
        spread = max(of_most, LEAST_SPREAD)
        for _ in range(10):
            error = np.exp(np.minimum(2 * np.sqrt((spread + 1 / mu) * fitted), 50))  # beyond this nothing is known
            high = mu * error
            maybe = np.flatnonzero(use & (counts > high + 4 * np.sqrt(high + spread * high**2)) & (counts > 1))
            bright = maybe[counts[maybe] > _highest(high[maybe], spread, level)]
            hot[bright] = True
            use &= ~hot
            now = min(self._spread(use, mu, fitted), spread)
            if not bright.size and now >= 0.9 * spread:
                break
            spread = now
        low, spread = mu / error, min(spread, of_most)
        zero = np.flatnonzero(use & (counts == 0))
        chance = np.log1p(spread * low[zero]) / spread  # minus the logarithm
        # the more zeros, the less proof each needs (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289, 1995)
        proved = np.flatnonzero(np.sort(chance)[::-1] > level - np.log(1 + np.arange(zero.size)))
        dead = zero[np.argsort(-chance)[: proved[-1] + 1]] if proved.size else zero[:0]
        return np.flatnonzero(hot), np.sort(dead)

    def _spread_of_most(self, use: NDArray[np.bool_], mu: Floats) -> float:
        """Return an upper limit of the relative variance of pixel means from their quartiles; 1 with few counts.

        Pixels outside the quartiles do not matter, so a tenth of them may be hot or dead.
        """
        out = SPREAD
        of_bin = np.split(np.flatnonzero(use), np.searchsorted(self._roi[use], np.arange(1, self._roi[-1] + 1)))
        for some in of_bin:
            if some.size == 0:
                continue
            mean = mu[some]
            noise = float((1 / mean).mean())
            if some.size < ENOUGH or noise > 0.1:
                return 1.0
            low, high = np.quantile(self.total[some] / mean, [0.25, 0.75])
            variance = ((high - low) / EXPONENTIAL) ** 2
            out = max(out, 1.2 * (variance - noise) + 4 * variance * np.sqrt(3 / some.size))
        return float(min(out, 1.0))

    def _spread(self, use: NDArray[np.bool_], mu: Floats, fitted: Floats) -> float:
        """Return an upper limit of the relative variance of pixel means, in the bin where it is largest; at most 1."""
        away, noise, roi = self.total[use] / mu[use] - 1, 1 / mu[use], self._roi[use]
        v = max((away**2).mean() - noise.mean(), 0) / max(1 - fitted[use].mean(), 0.1)
        of_all = noise.mean()
        error = (of_all + v) * np.sqrt((2 + 6 * max(of_all, v)) / len(away))
        n = np.bincount(roi)
        cut = np.minimum(away, 6 * np.sqrt(v + noise))  # so that no single pixel sets the spread of a bin
        of_bin = (np.bincount(roi, cut**2 - noise) / np.maximum(n, 1))[n >= ENOUGH]
        return float(np.clip(1.2 * max(v, *of_bin, 0) + 4 * error, SPREAD, 1))

    def fit(self) -> None:
        """Fit the profile to the counts so far of the pixels that are still good."""
        counts = np.where(self.good, self.total, 0.0)
        of_sub = np.add.reduceat(counts, self._edges[:-1])
        self._mean = of_sub / max(self.n_seen, 1)
        fitted = (self.size >= ENOUGH) & (of_sub >= 6 * LEAST)
        self._n_fit = np.where(fitted, 6, 1)
        self._mu = _fit(self._edges, self._basis, counts, self.good, self._n_fit, self._coefficient)


def most_contrast(pairs: float, counts: Array, size: NDArray[np.int64]) -> float:
    """Return an upper limit of the contrast from pairs of photons in pixels, and counts (b, n_sub) in sub-bins."""
    alone = float(((counts**2 - counts) / size).sum())
    if size.mean() < 16 or alone <= 0:
        return 1.0
    return float(np.clip((pairs + 3 * np.sqrt(2 * max(pairs, 0) + 4)) / alone - 1, 0, 1))


def _highest(mu: Floats, spread: float, level: float) -> Floats:
    """Return the counts that a pixel of mean `mu` exceeds with probability below exp(-level): Chernoff's bound."""
    x = np.sqrt(spread)
    # u from 0 to the pole of the generating function of Poisson((1 - x) mu) + geometric(x mu)
    u = (1 - np.geomspace(1e-4, 0.999, 48)) / (x * mu[:, None])
    z = (1 - x) * mu[:, None] * u - np.log1p(-x * mu[:, None] * u)
    return np.asarray(((level + z) / np.log1p(u)).min(1))


def _quadratics(edges: Array, rows: Floats, columns: Floats) -> Floats:
    """Return 1, x, y, x², y², xy of each sub-bin's pixels, made orthonormal over them, (6, n_pixels)."""
    size = np.diff(edges)

    def mean(f: Floats) -> Floats:
        return np.repeat(np.add.reduceat(f, edges[:-1]) / size, size)

    def scaled(f: Floats) -> Floats:
        f = f - mean(f)
        return np.asarray(f / (np.repeat(np.maximum.reduceat(np.abs(f), edges[:-1]), size) + 1e-9))

    y, x = scaled(rows), scaled(columns)
    out = np.zeros((6, rows.size))
    for i, f in enumerate((np.ones(rows.size), x, y, x * x, y * y, x * y)):
        before = np.sqrt(mean(f * f))
        for earlier in out[:i]:
            f = f - mean(f * earlier) * earlier
        norm = np.sqrt(mean(f * f))
        np.divide(f, norm, out=out[i], where=norm > 1e-3 * before)
    return out


@nb.njit(nogil=True, cache=True)
def _fit(edges: Array, basis: Floats, counts: Floats, good: Array, n_fit: Array, coefficient: Floats) -> Floats:
    """Fit mean counts by Fisher scoring of a gamma model with a logarithmic link, outliers cut at four times the mean.

    Pixels far above the median of their neighbours are not used, because many of them could bend the profile to
    themselves. `coefficient`, (n_sub, 6), are the start values, overwritten by the result; the first is relative to the
    mean.
    """
    mu, use = np.zeros(counts.size), np.zeros(counts.size, np.bool_)
    step = np.zeros(6)
    for j in range(edges.size - 1):
        a, b, m = edges[j], edges[j + 1], n_fit[j]
        n, s = 0, 0.0
        parts = max((b - a) // NEAR, 1)
        for i in range(parts):
            first, last = a + (b - a) * i // parts, a + (b - a) * (i + 1) // parts
            near = counts[first:last][good[first:last]]
            most = FAR * ((np.median(near) if near.size else 0.0) + 1)
            for p in range(first, last):
                use[p] = good[p] and counts[p] <= most
                if use[p]:
                    n += 1
                    s += counts[p]
        if s == 0:
            n = 0
            for p in range(a, b):
                use[p] = good[p]
                if use[p]:
                    n += 1
                    s += counts[p]
        if s == 0:
            continue
        for _ in range(30):
            step[:] = 0
            for p in range(a, b):
                eta = 0.0
                for i in range(m):
                    eta += basis[i, p] * coefficient[j, i]
                mu[p] = s / n * np.exp(max(eta, -20.0))
                if use[p]:
                    r = min(counts[p] / mu[p], 4 * (1 + 1 / mu[p])) - 1
                    for i in range(m):
                        step[i] += basis[i, p] * r
            most = 0.0
            for i in range(m):
                step[i] /= n
                most = max(most, abs(step[i]))
            if most < 0.01:
                break
            for i in range(m):
                coefficient[j, i] += min(max(step[i], -0.5), 0.5)
    return mu
