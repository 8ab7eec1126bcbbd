"""The profiles of the sectors over the lag: how much of them no ordinary azimuthal dynamics explain.

y(phi, l) is the mean over ages of C2 - 1 of a sector at a lag l. Three models are fitted to it, with the noise of the
sectors:

- flow past a part at rest, s² + (1 - s)² g² + 2 s (1 - s) g K with g = exp(-(l / tau)^gamma), and K the mean of
  cos(2 pi v l cos(phi - along)) over the sector;
- a sheared fluid that may come to rest, D(l) S, with a smooth D, and S the mean of sinc² of half the phase between
  plates;
- relaxation faster along one direction, c0(l) + c1(l) rho + c2(l) rho² with rho = cos 2 (phi - along), and smooth c1
  and c2.

The statistic is the log of the least chi squared over its degrees of freedom. The contrast of each sector is free.
Errors of single moments are common to all sectors, so they have noise of their own.
"""

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE
from ainerd_xpcs.technique._noise_by_lag import whitening
from ainerd_xpcs.technique._sectors import Sectors

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FEWEST = 3  # sectors that can differ from these models
_GOOD = 1.1  # chi squared over its degrees of freedom below which no other model is tried
_LAG = np.arange(SIZE) / SIZE
_W = (1 - _LAG) * (_LAG > 0)  # weight of a lag in the search for a start
_ACROSS, _SHARES = np.polynomial.legendre.leggauss(12)
_SHARES = _SHARES / 2
# Grids of the velocity in turns and of the phase between the plates in radians, over the exposure; of directions.
_TURNS = np.exp(np.linspace(np.log(0.6), np.log(18), 56))
_PHASES = np.exp(np.linspace(np.log(2.5), np.log(110), 64))
_ALONG = np.deg2rad(np.arange(0.0, 180.0, 10.0))
_RATES = np.r_[0.0, np.exp(np.linspace(np.log(0.3), np.log(7), 15))]  # at which a sheared fluid comes to rest
_SOME = np.array([1, 2, 3, 4, 6, 8, 11, 14, 18, 22, 27, 32, 38, 45, 53])  # lags of the grid of sheared fluids
_PER_RADIAN, _MOST_RADIANS = 8, 120
_AT_REST, _TAUS, _GAMMAS = np.linspace(0.1, 0.9, 10), np.exp(np.linspace(np.log(0.3), np.log(20), 10)), (0.8, 1.0, 1.3)
_RIDGE = 1e-3
# Part at rest, log tau and log gamma of a flow.
_LEAST, _LARGEST = np.array([0.1, np.log(0.3), np.log(0.75)]), np.array([0.9, np.log(20), np.log(1.35)])
_MOST = 20  # iterations of a fit
_MOST_STEP = np.array([0.03, 0.07, 0.2, 0.6, 0.3])  # log turns, direction, part at rest, log tau, log gamma
_OFFSET = 0.05  # standard deviation of an offset of all sectors, more than any instrument has
_MOST_MOVE = np.array([0.05, 0.05, 0.7])  # log phase, direction, place among the rates
_ENDS = (np.tri(SIZE)[::-1] + np.tri(SIZE).T) / (SIZE - np.arange(SIZE))[:, None]  # profile of an error of a moment
_ENDS[0] = 0
_VALUES, _VECTORS = np.linalg.eigh(_ENDS @ _ENDS.T)
_WANDER = (_VECTORS * np.sqrt(np.maximum(_VALUES, 0)))[:, -10:][:, ::-1]


class Beats:
    """The fits for k sectors, of pixels whose q differ by `q_spread`; `beats_of` keeps the newest."""

    def __init__(self, sectors: Sectors, q_spread: float = 0.0) -> None:
        self._share, self._n_pixels, self._q_spread = sectors.share, sectors.n_pixels, q_spread
        self._at = np.deg2rad(sectors.phi_deg[:, None] + sectors.width_deg[:, None] / 2 * _ACROSS)
        h = self._share[:, None]
        self._grid = np.stack([x.ravel() for x in np.meshgrid(_TURNS, _ALONG, indexing="ij")], axis=1)
        k = np.stack([_fringes(turns, along, self._at, q_spread) for turns, along in self._grid])
        basis = _smooth((0.06, 0.35, 1.5))
        weighted = (_W[:, None] * basis).T[:, None] * h  # (4, k, 64)
        both = np.concatenate([np.broadcast_to(weighted, (len(k), *weighted.shape)), weighted * k[:, None]], axis=1)
        c, d = (np.einsum("gl,lb,lc->gbc", (h * power).sum(1) * _W, basis, basis) for power in (k, k * k))
        n = basis.shape[1]
        gram = np.tile((1 + _RIDGE) * np.eye(2 * n), (len(k), 1, 1))
        gram[:, :n, n:], gram[:, n:, :n], gram[:, n:, n:] = c, c, d + _RIDGE * np.eye(n)
        root = np.linalg.cholesky(np.linalg.inv(gram))
        self._flows = np.einsum("gab,gakl->gbkl", root, both).reshape(len(k) * 2 * n, -1).astype(np.float32)
        shapes = np.meshgrid(_AT_REST, np.log(_TAUS), np.log(_GAMMAS), indexing="ij")
        self._shapes = np.stack([x.ravel() for x in shapes], axis=1)
        _, taus, gammas = np.exp(self._shapes[:, :, None].swapaxes(0, 1))
        self._relaxed = np.exp(-((_LAG / taus) ** gammas))
        self._tables = np.stack([_table(rate) for rate in _RATES])
        self._plates = np.stack([x.ravel() for x in np.meshgrid(_PHASES, _ALONG, indexing="ij")], axis=1)
        every = [(x, along, table) for table in self._tables for x, along in self._plates]
        sheared = [_between(x, along, 0, self._at, table[None])[:, _SOME] for x, along, table in every]
        unit = np.stack(sheared, axis=2) * np.sqrt(h)[..., None]  # (k, lags, models)
        unit /= np.sqrt(np.square(unit).sum(0))
        self._sheared = np.ascontiguousarray(unit.swapaxes(0, 1), dtype=np.float32)
        self._of_lags = np.sqrt(h * _W[_SOME] * np.gradient(_SOME.astype(float))).astype(np.float32)
        rho = np.cos(2 * (np.deg2rad(sectors.phi_deg) - np.deg2rad(np.arange(0.0, 180.0, 5.0))[:, None]))
        self._turned = np.linalg.qr(np.stack([rho**0, rho, rho * rho], axis=2) * np.sqrt(h))[0]
        self._basis = np.ascontiguousarray(_smooth((0.02, 0.06, 0.2, 0.6, 2.0)))

    def __call__(self, profiles: Floats, noise: Floats, wander: Floats) -> tuple[Floats, Floats]:
        """Return the statistic (n,) of profiles (n, k, 64) of C2 - 1 with `noise` of one pixel, (n, k, 64, 64).

        The second array (n,) is the log of chi squared, over its degrees of freedom, of sectors that are all alike.
        `wander` (n,) is the standard deviation of an error of a moment that all sectors share.
        """
        n, k, _ = profiles.shape
        common, root = whitening(noise.mean(1)), np.sqrt(self._n_pixels)[:, None]
        rows = (profiles * root) @ common.swapaxes(1, 2)
        left = np.array([_of_turned(row, w @ self._basis, self._turned) for row, w in zip(rows, common, strict=True)])
        mean = np.sqrt(self._share) @ rows.swapaxes(0, 1).reshape(k, -1)
        alike = (np.square(rows).sum((1, 2)) - np.square(mean.reshape(n, -1)).sum(1)) / ((k - 1) * (SIZE - 1))
        if (more := np.flatnonzero(left > _GOOD)).size:
            left[more] = np.minimum(left[more], self._of_flows(profiles[more], noise[more], wander[more]))
        return np.log(left), np.log(np.maximum(alike, 1e-9))

    def _of_flows(self, profiles: Floats, noise: Floats, wander: Floats) -> Floats:
        """Return the chi squared (n,), over the degrees of freedom, of the best flow or sheared fluid."""
        n, flat = len(profiles), np.ascontiguousarray(profiles, dtype=np.float32)
        energy = np.square(flat.reshape(n, -1) @ self._flows.T).reshape(n, len(self._grid), -1).sum(2)
        starts = self._grid[energy.argmax(1)]
        scaled, explained = flat[:, :, _SOME] * self._of_lags, np.zeros((n, self._sheared.shape[2]), dtype=np.float32)
        for i in range(len(_SOME)):
            product = np.maximum(scaled[:, :, i] @ self._sheared[i], 0)
            explained += product * product
        best = explained.argmax(1)
        between, rates = self._plates[best % len(self._plates)], best // len(self._plates)
        white = whitening(noise) * np.sqrt(self._n_pixels)[:, None, None]
        common, left, seen = _common(white, wander), np.empty(n), (self._share, self._at)
        for i, (turns, along) in enumerate(starts):
            of_run, (phase, across) = (profiles[i], white[i], common[i]), between[i]
            of_flow = _of_flow(*of_run, turns, along, *seen, self._q_spread, self._shapes, self._relaxed)
            left[i] = min(of_flow, _of_plates(*of_run, phase, across, rates[i], *seen, self._tables, self._basis))
        return left


@lru_cache(maxsize=8)
def _beats(phi: bytes, width: bytes, pixels: bytes, q_spread: float) -> Beats:
    columns = [np.frombuffer(each) for each in (phi, width, pixels)]
    none = np.empty((0, 0)), np.empty((0, 2), dtype=np.int64)
    return Beats(Sectors(columns[0], columns[1], columns[2], *none), q_spread)


def beats_of(sectors: Sectors, q_spread: float = 0.0) -> Beats:
    """Return the fits for sectors and a range of q, which take half a second to prepare."""
    each = (sectors.phi_deg, sectors.width_deg, sectors.n_pixels)
    return _beats(*(np.asarray(x, dtype=float).tobytes() for x in each), q_spread)


def _common(white: Floats, wander: Floats) -> Floats:
    """Return columns f (n, 10, k, 64): 1 - f fᵀ whitens what all sectors share, after `white` of each."""
    columns = _WANDER * wander[:, None, None]
    columns[..., -1] = _OFFSET
    f = (white @ columns[:, None]).transpose(0, 3, 1, 2)  # (n, c, k, 64)
    flat = f.reshape(*f.shape[:2], -1)
    sizes, axes = np.linalg.eigh(flat @ flat.swapaxes(1, 2))
    sizes = np.maximum(sizes, 1e-9)
    scale = np.sqrt((1 - 1 / np.sqrt(1 + sizes)) / sizes)
    return np.ascontiguousarray(((axes * scale[:, None]).swapaxes(1, 2) @ flat).reshape(f.shape))


def _smooth(taus: tuple[float, ...]) -> Floats:
    """Return smooth functions of the lag, orthonormal in `_W`, (64, n + 1)."""
    functions = np.column_stack([np.ones(SIZE), *(np.exp(-2 * _LAG / tau) for tau in taus)])
    rows = np.linalg.qr(np.sqrt(_W)[:, None] * functions)[0] / np.sqrt(np.maximum(_W, 1e-9))[:, None]
    rows[0] = 0
    return rows


@nb.njit(nogil=True, cache=True, fastmath=True)
def _table(rate):  # type: ignore[no-untyped-def]
    """Return the mean of sinc² over the ages and cells of a lag, (phases, 64), of plates that slow at a rate."""
    t = (np.arange(4 * SIZE) + 0.5) / (4 * SIZE)
    way = t if rate == 0 else (1 - np.exp(-t * rate)) / (1 - np.exp(-rate))
    out = np.ones((_MOST_RADIANS * _PER_RADIAN + 1, SIZE), dtype=np.float32)
    for lag in range(1, SIZE):
        for row in range(1, out.shape[0]):
            total, weights = 0.0, 0.0
            for more in range(-3, 4):
                for i in range(0, 4 * (SIZE - lag) - max(more, 0), 8):
                    half = row / _PER_RADIAN * (way[i + 4 * lag + more] - way[i]) / 2
                    total += (4 - abs(more)) * (np.sin(half) / half) ** 2
                    weights += 4 - abs(more)
            out[row, lag] = total / weights
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _fringes(turns, along, at, q_spread):  # type: ignore[no-untyped-def]
    """Return the mean of cos(2 pi turns l cos(at - along)) over each sector and the q of its pixels, (k, 64).

    q is even from 1 - `q_spread` to 1 + `q_spread` of its mean.
    """
    out = np.zeros((at.shape[0], SIZE))
    for k in range(at.shape[0]):
        for a in range(at.shape[1]):
            turn = 2 * np.pi * turns * np.cos(at[k, a] - along) / SIZE
            half = turn / 2
            size = _SHARES[a] * ((np.sin(half) / half) ** 2 if abs(half) > 1e-6 else 1.0)
            twice, before, now = 2 * np.cos(turn), np.cos(turn), 1.0
            for lag in range(SIZE):
                out[k, lag] += size * now
                before, now = now, twice * now - before
        phase = 2 * np.pi * turns * q_spread / SIZE * np.sqrt(np.square(np.cos(at[k] - along)).mean())
        if phase > 1e-9:
            for lag in range(1, SIZE):
                out[k, lag] *= np.sin(phase * lag) / (phase * lag)
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _between(phase, along, place, at, tables):  # type: ignore[no-untyped-def]
    """Return the mean of the rows of tables (t, …) of `_table`, at a place among them, over each sector, (k, 64)."""
    out = np.zeros((at.shape[0], SIZE))
    below = min(int(place), tables.shape[0] - 1)
    first, second = tables[below], tables[min(below + 1, tables.shape[0] - 1)]
    part = place - below
    for k in range(at.shape[0]):
        for a in range(at.shape[1]):
            at_row = min(abs(phase * np.cos(at[k, a] - along)) * _PER_RADIAN, first.shape[0] - 1.001)
            row = int(at_row)
            more = at_row - row
            low, high = _SHARES[a] * (1 - more), _SHARES[a] * more
            for lag in range(SIZE):
                one = low * first[row, lag] + high * first[row + 1, lag]
                other = low * second[row, lag] + high * second[row + 1, lag]
                out[k, lag] += one + part * (other - one)
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _whitened(w, f, x):  # type: ignore[no-untyped-def]
    """Return x (k, 64) in units of noise; w (k, 64, 64) is lower triangular, f as of `_common`."""
    out = np.zeros(x.shape)
    for k in range(x.shape[0]):
        for lag in range(1, SIZE):
            total = 0.0
            for other in range(1, lag + 1):
                total += w[k, lag, other] * x[k, other]
            out[k, lag] = total
    shares = np.array([(each * out).sum() for each in f])
    for i in range(f.shape[0]):
        out -= shares[i] * f[i]
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _without(x, model):  # type: ignore[no-untyped-def]
    """Remove from x (k, 64) the model of each sector; return the square of the rest."""
    total = 0.0
    for k in range(x.shape[0]):
        x[k] -= (model[k] * x[k]).sum() / ((model[k] * model[k]).sum() + 1e-12) * model[k]
        total += (x[k] * x[k]).sum()
    return total


@nb.njit(nogil=True, cache=True)
def _freedom(n_sectors, n_parameters):  # type: ignore[no-untyped-def]
    """Return the degrees of freedom of profiles without the contrast of each and an offset."""
    return n_sectors * (SIZE - 2) - 1 - n_parameters


@nb.njit(nogil=True, cache=True, fastmath=True)
def _flow(p, k):  # type: ignore[no-untyped-def]
    """Return a flow past a part at rest with fringes k (k, 64)."""
    out, rest, tau, gamma = np.empty(k.shape), p[2], np.exp(p[3]), np.exp(p[4])
    for lag in range(SIZE):
        g = np.exp(-((lag / SIZE / tau) ** gamma))
        still, moving = rest**2 + (1 - rest) ** 2 * g * g, 2 * rest * (1 - rest) * g
        for j in range(k.shape[0]):
            out[j, lag] = still + moving * k[j, lag]
    return out


@nb.njit(nogil=True, cache=True, fastmath=True)
def _of_flow(y, w, f, turns, along, share, at, q_spread, shapes, relaxed):  # type: ignore[no-untyped-def]
    """Return the chi squared, over the degrees of freedom, of the best flow past a part at rest near a start."""
    k = _fringes(turns, along, at, q_spread)
    sums = np.zeros((4, SIZE))
    for lag in range(1, SIZE):
        for j in range(y.shape[0]):
            weight = share[j] * _W[lag]
            sums[0, lag] += weight * y[j, lag]
            sums[1, lag] += weight * y[j, lag] * k[j, lag]
            sums[2, lag] += weight * k[j, lag]
            sums[3, lag] += weight * k[j, lag] ** 2
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
    white = _whitened(w, f, y)
    left = min(_polished(white, w, f, starts[0], at, q_spread), _polished(white, w, f, starts[1], at, q_spread))
    return left / _freedom(y.shape[0], 5)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _polished(white, w, f, p, at, q_spread):  # type: ignore[no-untyped-def]
    """Return the chi squared of a flow after the fit of Levenberg and Marquardt from p to white profiles.

    p are log turns, direction, part at rest, log tau and log gamma.
    """
    k = _fringes(np.exp(p[0]), p[1], at, q_spread)
    model = _flow(p, k)
    size, known, left = _fitted(white, w, f, model)
    misfit, damping, jacobian = (left * left).sum(), 1e-2, np.empty((5, *white.shape))
    for _ in range(_MOST):
        normal, right = np.zeros((5, 5)), np.zeros(5)
        for i in range(5):
            q = p.copy()
            q[i] += 1e-4
            change = _flow(q, _fringes(np.exp(q[0]), q[1], at, q_spread) if i < 2 else k) - model
            jacobian[i] = _whitened(w, f, change * (size / 1e-4))
            _without(jacobian[i], known)
        for i in range(5):
            right[i] = (jacobian[i] * left).sum()
            for m in range(i + 1):
                normal[i, m] = normal[m, i] = (jacobian[i] * jacobian[m]).sum()
        for i in range(5):
            normal[i, i] += damping * normal[i, i] + 1e-12
        q = p + np.minimum(np.maximum(np.linalg.solve(normal, right), -_MOST_STEP), _MOST_STEP)
        for i in range(3):
            q[2 + i] = min(max(q[2 + i], _LEAST[i]), _LARGEST[i])
        of_q = _fringes(np.exp(q[0]), q[1], at, q_spread)
        other = _flow(q, of_q)
        new_size, of_other, rest = _fitted(white, w, f, other)
        new = (rest * rest).sum()
        if new < misfit:
            small = misfit - new < 1e-3 * misfit
            p, k, model, size, known, left, misfit = q, of_q, other, new_size, of_other, rest, new
            damping *= 0.2
            if small:
                break
        else:
            damping *= 8
            if damping > 1e4:
                break
    return misfit


@nb.njit(nogil=True, cache=True, fastmath=True)
def _fitted(white, w, f, model):  # type: ignore[no-untyped-def]
    """Return the best size of a model (k, 64), the model in units of noise, and what it leaves of white profiles."""
    seen, left = _whitened(w, f, model), white.copy()
    _without(left, seen)
    return (seen * white).sum() / ((seen * seen).sum() + 1e-12), seen, left


@nb.njit(nogil=True, cache=True, fastmath=True)
def _of_plates(y, w, f, phase, along, place, share, at, tables, basis):  # type: ignore[no-untyped-def]
    """Return the chi squared, over the degrees of freedom, of the best sheared fluid near a start."""
    step, turn = 0.04, np.deg2rad(5.0)
    for _ in range(3):
        best, of_p, of_a = -1.0, phase, along
        for more in range(9):
            p, q = phase * np.exp((more % 3 - 1) * step), along + (more // 3 - 1) * turn
            seen, explained = _between(p, q, place, at, tables), 0.0
            for lag in range(1, SIZE):
                top, bottom = 0.0, 1e-12
                for m in range(y.shape[0]):
                    top += share[m] * y[m, lag] * seen[m, lag]
                    bottom += share[m] * seen[m, lag] ** 2
                explained += _W[lag] * max(top, 0.0) ** 2 / bottom
            if explained > best:
                best, of_p, of_a = explained, p, q
        phase, along, step, turn = of_p, of_a, step * 0.6, turn * 0.6
    white, n, least = _whitened(w, f, y), basis.shape[1], np.inf
    columns, p = np.empty((n + 3, *y.shape)), np.array([np.log(phase), along, float(place)])
    for _ in range(8):
        seen = _between(np.exp(p[0]), p[1], p[2], at, tables)
        for i in range(n):
            columns[i] = _whitened(w, f, seen * basis[:, i])
        model = seen * (basis @ _solved(columns[:n], white))
        left = white - _whitened(w, f, model)
        misfit = _without(left, _whitened(w, f, model))
        if misfit > least * (1 - 1e-3):
            least = min(misfit, least)
            break
        least = misfit
        for i in range(3):
            q, by = p.copy(), 1e-3 if i < 2 or p[2] < tables.shape[0] - 1.5 else -1e-3
            q[i] += by
            change = _between(np.exp(q[0]), q[1], q[2], at, tables) - seen
            columns[n + i] = _whitened(w, f, change / by * (basis @ _solved(columns[:n], white)))
        p += np.minimum(np.maximum(_solved(columns, white)[n:], -_MOST_MOVE), _MOST_MOVE)
        p[2] = min(max(p[2], 0.0), tables.shape[0] - 1.0)
    return least / _freedom(y.shape[0], n + 3)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _solved(columns, white):  # type: ignore[no-untyped-def]
    """Return the least-squares weights (c,) of columns (c, k, 64)."""
    n = columns.shape[0]
    normal, right = np.empty((n, n)), np.empty(n)
    for i in range(n):
        right[i] = (columns[i] * white).sum()
        for m in range(i + 1):
            normal[i, m] = normal[m, i] = (columns[i] * columns[m]).sum()
    for i in range(n):
        normal[i, i] *= 1 + 1e-9
        normal[i, i] += 1e-9
    return np.linalg.solve(normal, right)


def _of_turned(white: Floats, basis: Floats, directions: Floats) -> float:
    """Return the chi squared, over the degrees of freedom, of the best relaxation that is faster along one direction.

    `white` (k, 64) are profiles in units of their noise, `basis` (64, b) the smooth functions, and `directions`
    (d, k, 3) orthonormal.
    """
    smooth = np.linalg.qr(basis[1:])[0]
    seen = directions.swapaxes(1, 2) @ white[:, 1:]  # (d, 3, 63)
    of_turned = seen[:, 1:] @ smooth
    best = int(np.square(of_turned).sum((1, 2)).argmax())
    model = directions[best] @ np.concatenate([seen[best, :1], of_turned[best] @ smooth.T])
    left: float = _without(white[:, 1:] - model, model) / _freedom(len(white), SIZE - 2 + 2 * smooth.shape[1])
    return left
