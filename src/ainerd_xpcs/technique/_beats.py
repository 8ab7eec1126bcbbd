"""The profiles of the sectors over the lag: how much of them no ordinary azimuthal dynamics explain.

y(phi, l) is the mean over ages of C2 - 1 of a sector at a lag l. Three models are fitted to it by least squares:

- flow past a part at rest, A (s² + (1 - s)² g² + 2 s (1 - s) g K) with g = exp(-(l / tau)^gamma), and K the mean of
  cos(2 pi v l cos(phi - along)) over the sector;
- a sheared fluid that may come to rest, D(l) S, with a D that does not rise, and S the mean of sinc² of half the phase
  between plates;
- relaxation faster along one direction, c0(l) + c1(l) rho + c2(l) rho² with rho = cos 2 (phi - along).

The statistic is the log of the least squared residual over that of the noise of Wishart maps. Errors of the contrast of
each sector and an offset of all sectors are left out of the residual.
"""

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE
from ainerd_xpcs.technique._noise_by_lag import OF_LAG
from ainerd_xpcs.technique._sectors import Sectors

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FEWEST = 3  # sectors that can differ from these models
_LAG, _W = np.arange(SIZE) / SIZE, OF_LAG
_ACROSS, _SHARES = np.polynomial.legendre.leggauss(12)
_SHARES = _SHARES / 2
# Grids of the velocity in turns and of the phase between the plates in radians, over the exposure; of directions.
_TURNS = np.exp(np.linspace(np.log(0.6), np.log(18), 56))
_PHASES = np.exp(np.linspace(np.log(2.5), np.log(110), 64))
_ALONG = np.deg2rad(np.arange(0.0, 180.0, 10.0))
_REST = (np.inf, 1.6, 0.9, 0.55, 0.33, 0.2)  # time in which a sheared fluid comes to rest
_SOME = np.array([1, 2, 3, 4, 6, 8, 11, 14, 18, 22, 27, 32, 38, 45, 53])  # lags of the grid of sheared fluids
_PER_RADIAN, _MOST_RADIANS = 8, 120
_AT_REST, _TAUS, _GAMMAS = (
    np.linspace(0.1, 0.9, 10),
    np.exp(np.linspace(np.log(0.3), np.log(20), 10)),
    (0.8, 1.0, 1.3),
)
_RIDGE = 1e-3
# Part at rest, log tau and log gamma of a flow.
_LEAST, _LARGEST = np.array([0.1, np.log(0.3), np.log(0.75)]), np.array([0.9, np.log(20), np.log(1.35)])
_MOST = 20  # iterations of the fit of a flow
_MOST_STEP = np.array([0.03, 0.07, 0.2, 0.6, 0.3])  # log turns, direction, part at rest, log tau, log gamma


class Beats:
    """The fits for k sectors; `beats_of` keeps the newest.

    Attributes
    ----------
    share : ndarray, shape (k,)
        Weight of each sector.
    """

    def __init__(self, sectors: Sectors) -> None:
        self.share, self._per_pixel = sectors.share, float((sectors.share / sectors.n_pixels).sum())
        self._at = np.deg2rad(sectors.phi_deg[:, None] + sectors.width_deg[:, None] / 2 * _ACROSS)
        h = self.share[:, None]
        self._grid = np.stack([x.ravel() for x in np.meshgrid(_TURNS, _ALONG, indexing="ij")], axis=1)
        k = np.stack([fringes(turns, along, self._at, _SHARES) for turns, along in self._grid])
        self._basis = _smooth((0.06, 0.35, 1.5))
        weighted = (_W[:, None] * self._basis).T[:, None] * h  # (3, k, 64)
        both = np.concatenate([np.broadcast_to(weighted, (len(k), *weighted.shape)), weighted * k[:, None]], axis=1)
        c, d = (np.einsum("gl,lb,lc->gbc", (h * power).sum(1) * _W, self._basis, self._basis) for power in (k, k * k))
        n = self._basis.shape[1]
        gram = np.tile((1 + _RIDGE) * np.eye(2 * n), (len(k), 1, 1))
        gram[:, :n, n:], gram[:, n:, :n], gram[:, n:, n:] = c, c, d + _RIDGE * np.eye(n)
        root = np.linalg.cholesky(np.linalg.inv(gram))
        self._flows = np.einsum("gab,gakl->gbkl", root, both).reshape(len(k) * 2 * n, -1).astype(np.float32)
        shapes = np.meshgrid(_AT_REST, np.log(_TAUS), np.log(_GAMMAS), indexing="ij")
        self._shapes = np.stack([x.ravel() for x in shapes], axis=1)
        _, taus, gammas = np.exp(self._shapes[:, :, None].swapaxes(0, 1))
        self._relaxed = np.exp(-((_LAG / taus) ** gammas))
        self._tables = np.stack([_table(rest) for rest in _REST])
        self._plates = np.stack([x.ravel() for x in np.meshgrid(_PHASES, _ALONG, indexing="ij")], axis=1)
        every = [(x, along, table) for table in self._tables for x, along in self._plates]
        sheared = [plates(x, along, self._at, _SHARES, table)[:, _SOME] for x, along, table in every]
        unit = np.stack(sheared, axis=2) * np.sqrt(h)[..., None]  # (k, lags, models)
        unit /= np.sqrt(np.square(unit).sum(0))
        self._sheared = np.ascontiguousarray(unit.swapaxes(0, 1), dtype=np.float32)
        spacing = np.gradient(_SOME.astype(float))
        self._of_lags = np.sqrt(h * _W[_SOME] * spacing).astype(np.float32)
        rho = np.cos(2 * (np.deg2rad(sectors.phi_deg) - np.deg2rad(np.arange(0.0, 180.0, 5.0))[:, None]))
        powers = np.stack([rho**0, rho, rho * rho], axis=2) * np.sqrt(h)
        self._turned = np.linalg.qr(powers)[0]

    def __call__(self, profiles: Floats, expected: Floats) -> Floats:
        """Return the statistic (n,) of profiles (n, k, 64) of C2 - 1; `expected`, (n,), is as of `expected_left`."""
        n, flat = len(profiles), np.ascontiguousarray(profiles, dtype=np.float32)
        energy = np.square(flat.reshape(n, -1) @ self._flows.T).reshape(n, len(self._grid), -1).sum(2)
        turns, along = self._grid[energy.argmax(1)].T
        scaled, explained = flat[:, :, _SOME] * self._of_lags, np.zeros((n, self._sheared.shape[2]), dtype=np.float32)
        for i in range(len(_SOME)):
            product = np.maximum(scaled[:, :, i] @ self._sheared[i], 0)
            explained += product * product
        best = explained.argmax(1)
        phase, across = self._plates[best % len(self._plates)].T
        tables = best // len(self._plates)
        left = np.array(
            [
                min(
                    of_flow(
                        y, turns[i], along[i], self.share, self._at, _SHARES, self._basis, self._shapes, self._relaxed
                    ),
                    of_plates(y, phase[i], across[i], self.share, self._at, _SHARES, self._tables[tables[i]]),
                    of_turned(y, self.share, self._turned),
                )
                for i, y in enumerate(profiles)
            ]
        )
        return np.asarray(np.log(left / (expected * self._per_pixel) + 1e-9))


@lru_cache(maxsize=8)
def _beats(phi: bytes, width: bytes, pixels: bytes) -> Beats:
    columns = [np.frombuffer(each) for each in (phi, width, pixels)]
    return Beats(Sectors(columns[0], columns[1], columns[2], np.empty((0, 0)), np.empty((0, 2), dtype=np.int64)))


def beats_of(sectors: Sectors) -> Beats:
    """Return the fits for sectors, which take half a second to prepare."""
    return _beats(
        *(np.asarray(x, dtype=float).tobytes() for x in (sectors.phi_deg, sectors.width_deg, sectors.n_pixels))
    )


def _smooth(taus: tuple[float, ...]) -> Floats:
    """Return smooth functions of the lag, orthonormal in `_W`, (64, n + 1)."""
    functions = np.column_stack([np.ones(SIZE), *(np.exp(-2 * _LAG / tau) for tau in taus)])
    rows = np.linalg.qr(np.sqrt(_W)[:, None] * functions)[0] / np.sqrt(np.maximum(_W, 1e-9))[:, None]
    rows[0] = 0
    return rows


def _table(rest: float) -> Singles:
    """Return the mean of sinc² over ages, (phases, 64), of plates that come to rest in a time `rest`."""
    t = (np.arange(256) + 0.5) / 256
    way = t if rest == np.inf else (1 - np.exp(-t / rest)) / (1 - np.exp(-1 / rest))
    phase = np.arange(_MOST_RADIANS * _PER_RADIAN + 1)[:, None] / _PER_RADIAN
    out = np.ones((len(phase), SIZE), dtype=np.float32)
    for lag in range(1, SIZE):
        out[:, lag] = np.mean(np.sinc(phase * (way[4 * lag :] - way[: 256 - 4 * lag])[::4] / 2 / np.pi) ** 2, axis=1)
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def fringes(turns, along, at, shares):  # type: ignore[no-untyped-def]
    """Return the mean of cos(2 pi turns l cos(at - along)) over each sector, (k, 64)."""
    out = np.zeros((at.shape[0], SIZE))
    for k in range(at.shape[0]):
        for a in range(at.shape[1]):
            turn = 2 * np.pi * turns * np.cos(at[k, a] - along) / SIZE
            half = turn / 2
            size = shares[a] * ((np.sin(half) / half) ** 2 if abs(half) > 1e-6 else 1.0)
            twice, before, now = 2 * np.cos(turn), np.cos(turn), 1.0
            for lag in range(SIZE):
                out[k, lag] += size * now
                before, now = now, twice * now - before
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def plates(phase, along, at, shares, table):  # type: ignore[no-untyped-def]
    """Return the mean of the rows of a table of `_table` over each sector, (k, 64)."""
    out = np.zeros((at.shape[0], SIZE))
    for k in range(at.shape[0]):
        for a in range(at.shape[1]):
            place = min(abs(phase * np.cos(at[k, a] - along)) * _PER_RADIAN, table.shape[0] - 1.001)
            row = int(place)
            more = place - row
            low, high = shares[a] * (1 - more), shares[a] * more
            for lag in range(SIZE):
                out[k, lag] += low * table[row, lag] + high * table[row + 1, lag]
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _left(y, model, share):  # type: ignore[no-untyped-def]
    """Return the squared residual without errors of the amplitude of each sector and of the offset of all."""
    n_sectors = y.shape[0]
    r, total = y - model, _W.sum()
    for _ in range(4):
        offset = 0.0
        for k in range(n_sectors):
            for lag in range(1, SIZE):
                offset += share[k] * _W[lag] * r[k, lag]
        offset /= total
        for k in range(n_sectors):
            along, size = 0.0, 1e-9
            for lag in range(1, SIZE):
                r[k, lag] -= offset
                along += _W[lag] * r[k, lag] * model[k, lag]
                size += _W[lag] * model[k, lag] ** 2
            for lag in range(1, SIZE):
                r[k, lag] -= along / size * model[k, lag]
    out = 0.0
    for k in range(n_sectors):
        for lag in range(1, SIZE):
            out += share[k] * _W[lag] * r[k, lag] ** 2
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _explained(y, k, share, basis):  # type: ignore[no-untyped-def]
    """Return how much of profiles any smooth functions of the lag with 1 and with fringes explain."""
    n = basis.shape[1]
    gram, right = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
    for lag in range(1, SIZE):
        k1, k2, y0, y1 = 0.0, 0.0, 0.0, 0.0
        for j in range(y.shape[0]):
            k1 += share[j] * k[j, lag]
            k2 += share[j] * k[j, lag] ** 2
            y0 += share[j] * y[j, lag]
            y1 += share[j] * y[j, lag] * k[j, lag]
        for a in range(n):
            wa = _W[lag] * basis[lag, a]
            right[a] += wa * y0
            right[n + a] += wa * y1
            for b in range(n):
                gram[a, n + b] += wa * basis[lag, b] * k1
                gram[n + a, n + b] += wa * basis[lag, b] * k2
    for a in range(n):
        gram[a, a] += 1
        for b in range(n):
            gram[n + b, a] = gram[a, n + b]
    for a in range(2 * n):
        gram[a, a] += _RIDGE
    return right @ np.linalg.solve(gram, right)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _shaped(y, k, share, rest, tau, gamma):  # type: ignore[no-untyped-def]
    """Return the flow past a part at rest of these parameters, with its best amplitude, and its misfit."""
    out, top, bottom = np.empty(y.shape), 0.0, 1e-12
    for lag in range(SIZE):
        g = np.exp(-((lag / SIZE / tau) ** gamma))
        still, moving = rest**2 + (1 - rest) ** 2 * g * g, 2 * rest * (1 - rest) * g
        for j in range(y.shape[0]):
            out[j, lag] = still + moving * k[j, lag]
            top += share[j] * _W[lag] * out[j, lag] * y[j, lag]
            bottom += share[j] * _W[lag] * out[j, lag] ** 2
    size, misfit = max(top, 0.0) / bottom, 0.0
    for lag in range(SIZE):
        for j in range(y.shape[0]):
            out[j, lag] *= size
            misfit += share[j] * _W[lag] * (y[j, lag] - out[j, lag]) ** 2
    return out, misfit


@nb.njit(nogil=True, cache=True, fastmath=True)
def of_flow(y, turns, along, share, at, shares, basis, shapes, relaxed):  # type: ignore[no-untyped-def]
    """Return the residual of the best flow past a part at rest, from a velocity and a direction near the best."""
    step, turn = 0.06, np.deg2rad(5.0)
    for _ in range(2):
        best, of_v, of_a = -1.0, turns, along
        for i in range(-1, 2):
            for j in range(-1, 2):
                v, a = turns * np.exp(i * step / 2), along + j * turn / 2
                explained = _explained(y, fringes(v, a, at, shares), share, basis)
                if explained > best:
                    best, of_v, of_a = explained, v, a
        turns, along, step, turn = of_v, of_a, step / 2, turn / 2
    k = fringes(turns, along, at, shares)
    sums = np.zeros((4, SIZE))
    for lag in range(1, SIZE):
        for j in range(y.shape[0]):
            w = share[j] * _W[lag]
            sums[0, lag] += w * y[j, lag]
            sums[1, lag] += w * y[j, lag] * k[j, lag]
            sums[2, lag] += w * k[j, lag]
            sums[3, lag] += w * k[j, lag] ** 2
    starts, most = np.empty((2, 5)), np.full(2, -1.0)  # a part at rest of s fits about as well as one of 1 - s
    for i in range(len(shapes)):
        rest, half = shapes[i, 0], int(shapes[i, 0] > 0.5)
        top, bottom = 0.0, 1e-12
        for lag in range(1, SIZE):
            g = relaxed[i, lag]
            still, moving = rest**2 + (1 - rest) ** 2 * g * g, 2 * rest * (1 - rest) * g
            top += still * sums[0, lag] + moving * sums[1, lag]
            bottom += still**2 * _W[lag] + 2 * still * moving * sums[2, lag] + moving**2 * sums[3, lag]
        explained = max(top, 0.0) ** 2 / bottom
        if explained > most[half]:
            most[half] = explained
            starts[half] = np.log(turns), along, rest, shapes[i, 1], shapes[i, 2]
    return min(_polished(y, starts[0], share, at, shares), _polished(y, starts[1], share, at, shares))


@nb.njit(nogil=True, cache=True, fastmath=True)
def _polished(y, p, share, at, shares):  # type: ignore[no-untyped-def]
    """Return the residual of a flow after the fit of Levenberg and Marquardt from p.

    p are log turns, direction, part at rest, log tau and log gamma.
    """
    k = fringes(np.exp(p[0]), p[1], at, shares)
    model, misfit = _shaped(y, k, share, p[2], np.exp(p[3]), np.exp(p[4]))
    damping, jacobian = 1e-2, np.empty((5, *y.shape))
    for _ in range(_MOST):
        normal, right = np.zeros((5, 5)), np.zeros(5)
        for i in range(5):
            q = p.copy()
            q[i] += 1e-4
            of_q = fringes(np.exp(q[0]), q[1], at, shares) if i < 2 else k
            jacobian[i] = (_shaped(y, of_q, share, q[2], np.exp(q[3]), np.exp(q[4]))[0] - model) / 1e-4
        for i in range(5):
            for j in range(y.shape[0]):
                for lag in range(1, SIZE):
                    w = share[j] * _W[lag] * jacobian[i, j, lag]
                    right[i] += w * (y[j, lag] - model[j, lag])
                    for m in range(i + 1):
                        normal[i, m] += w * jacobian[m, j, lag]
        for i in range(5):
            for m in range(i):
                normal[m, i] = normal[i, m]
            normal[i, i] += damping * normal[i, i] + 1e-12
        q = p + np.minimum(np.maximum(np.linalg.solve(normal, right), -_MOST_STEP), _MOST_STEP)
        for i in range(3):
            q[2 + i] = min(max(q[2 + i], _LEAST[i]), _LARGEST[i])
        of_q = fringes(np.exp(q[0]), q[1], at, shares)
        other, new = _shaped(y, of_q, share, q[2], np.exp(q[3]), np.exp(q[4]))
        if new < misfit:
            small = misfit - new < 1e-3 * misfit
            p, k, model, misfit, damping = q, of_q, other, new, damping * 0.2
            if small:
                break
        else:
            damping *= 8
            if damping > 1e4:
                break
    return _left(y, model, share)


@nb.njit(nogil=True, cache=True, fastmath=True)
def of_plates(y, phase, along, share, at, shares, table):  # type: ignore[no-untyped-def]
    """Return the residual of the best sheared fluid, from a phase and a direction near the best."""
    step, turn = 0.04, np.deg2rad(5.0)
    for _ in range(6):
        best, of_p, of_a = -1.0, phase, along
        for more in range(9):
            p, a = phase * np.exp((more % 3 - 1) * step), along + (more // 3 - 1) * turn
            seen, explained = plates(p, a, at, shares, table), 0.0
            for lag in range(1, SIZE):
                top, bottom = 0.0, 1e-12
                for m in range(y.shape[0]):
                    top += share[m] * y[m, lag] * seen[m, lag]
                    bottom += share[m] * seen[m, lag] ** 2
                explained += _W[lag] * max(top, 0.0) ** 2 / bottom
            if explained > best:
                best, of_p, of_a = explained, p, a
        phase, along, step, turn = of_p, of_a, step * 0.6, turn * 0.6
    return _left(y, _falling(y, plates(phase, along, at, shares, table), share), share)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _falling(y, seen, share):  # type: ignore[no-untyped-def]
    """Return D(l) times `seen`, with the best D that does not rise with the lag (pooled adjacent violators)."""
    level, weight, size, n = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE, np.int64), 0
    for lag in range(1, SIZE):
        top, bottom = 0.0, 1e-12
        for m in range(y.shape[0]):
            top += share[m] * _W[lag] * y[m, lag] * seen[m, lag]
            bottom += share[m] * _W[lag] * seen[m, lag] ** 2
        level[n], weight[n], size[n] = top / bottom, bottom, 1
        n += 1
        while n > 1 and level[n - 2] < level[n - 1]:
            both = weight[n - 2] + weight[n - 1]
            level[n - 2] = (level[n - 2] * weight[n - 2] + level[n - 1] * weight[n - 1]) / both
            weight[n - 2], size[n - 2] = both, size[n - 2] + size[n - 1]
            n -= 1
    out, lag = np.zeros(y.shape), 1
    for block in range(n):
        for _ in range(size[block]):
            for m in range(y.shape[0]):
                out[m, lag] = max(level[block], 0.0) * seen[m, lag]
            lag += 1
    return out


@nb.njit(nogil=True, cache=True)
def of_turned(y, share, bases):  # type: ignore[no-untyped-def]
    """Return the residual of the best relaxation that is faster along one direction."""
    root = np.sqrt(share)
    scaled, best, most = y.copy(), 0, -1.0
    for k in range(y.shape[0]):
        scaled[k] *= root[k]
    for i in range(bases.shape[0]):
        explained = (_W * np.square(bases[i].T @ scaled)).sum()
        if explained > most:
            most, best = explained, i
    model = bases[best] @ (bases[best].T @ scaled)
    for k in range(y.shape[0]):
        model[k] /= root[k]
    return _left(y, model, share)
