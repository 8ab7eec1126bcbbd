"""The mean map of a ring as relaxation on one clock of the sample: what remains of it beside any such clock.

Dynamics that are isotropic obey one material time s: C2 - 1 = c + A exp(-exp L(log |s(t1) - s(t2)|)), with any rising
s and L. The 63 steps of s and nine knots of L are fitted by least squares. A cage on the clock of the laboratory
beside motion on that of the sample leaves residuals at short lags.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import SIZE

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

BANDS = ((1, 1), (2, 2), (3, 4), (5, 8))  # lags, in cells, of which a column has the mean residual
_STEPS, _KNOTS = SIZE - 1, 9
_SHAPE = _KNOTS + 2  # parameters beside the clock: L at the knots, A and c
_FIRST, _LAST = np.log(3e-3), np.log(8.0)  # knots, in the logarithm of the material time
_APART = (_LAST - _FIRST) / (_KNOTS - 1)
_BEND = np.diff(np.eye(_KNOTS), 2, axis=0)
_BENT = _BEND.T @ _BEND
_SLOWEST, _FASTEST = np.log(5e-4), np.log(4.0)  # step of the clock in a cell
_MOST = 12  # iterations
_BENDING, _EVEN = 0.128, 0.05  # penalties of a bent L and of steps of the clock, in units of the noise of a cell


def time_columns(maps: Singles, shot: float, n_pixels: float) -> Floats:
    """Return four columns (n, 4) of mean maps (n, 64, 64) of C2 - 1: mean residuals in `BANDS` over a fit of the noise.

    Each is in units of four standard errors as of independent cells, as arsinh. `shot` is the shot noise of a cell.
    """
    return np.asarray(of_maps(np.ascontiguousarray(maps, dtype=np.float64), shot, n_pixels))


@nb.njit(nogil=True, cache=True)
def of_maps(maps, shot, n_pixels):  # type: ignore[no-untyped-def]
    """Return the columns as above."""
    out = np.zeros((maps.shape[0], 4))
    for m in range(maps.shape[0]):
        y = maps[m]
        variance = (max(np.trace(y) / SIZE, 0.0) + shot) ** 2 / n_pixels  # of a cell
        left = fitted(y, _BENDING * variance, _EVEN * variance)
        for band in range(4):
            total, n = 0.0, 0
            for lag in range(BANDS[band][0], BANDS[band][1] + 1):
                for i in range(SIZE - lag):
                    j = i + lag
                    d = (max(y[i, i], 0.0) + shot) * (max(y[j, j], 0.0) + shot)
                    total += left[i, j] / np.sqrt((d + y[i, j] ** 2) / n_pixels)
                    n += 1
            out[m, band] = np.arcsinh(total / np.sqrt(n) / 4)
    return out


@nb.njit(nogil=True, cache=True)
def fitted(y, bending, even):  # type: ignore[no-untyped-def]
    """Return the residuals (64, 64), above the diagonal, of the fit of Levenberg and Marquardt."""
    n, clock, shape = _STEPS + _SHAPE, _start(y), np.empty(_SHAPE)
    shape[:_KNOTS] = np.log(2.0) + np.linspace(_FIRST, _LAST, _KNOTS)
    shape[_KNOTS], shape[_KNOTS + 1] = max(np.trace(y) / SIZE, 0.02), 0.0
    left, damping = np.zeros((SIZE, SIZE)), 1e-2
    old = _residuals(y, clock, shape, left) + bending * (shape[:_KNOTS] @ _BENT @ shape[:_KNOTS])
    for _ in range(_MOST):
        normal, right = _normal(clock, shape, left)
        normal[_STEPS : _STEPS + _KNOTS, _STEPS : _STEPS + _KNOTS] += bending * _BENT
        right[_STEPS : _STEPS + _KNOTS] -= bending * (_BENT @ shape[:_KNOTS])
        most = 0.0
        for a in range(n):
            most = max(most, normal[a, a])
        for a in range(n):
            normal[a, a] += damping * normal[a, a] + 1e-7 * most + even
        step = np.linalg.solve(normal, right)
        moved, formed = clock.copy(), shape.copy()
        for k in range(_STEPS):
            moved[k] = min(max(clock[k] + min(max(step[k], -1.0), 1.0), _SLOWEST), _FASTEST)
        for k in range(_SHAPE):
            change = step[_STEPS + k]
            formed[k] += min(max(change, -1.5), 1.5) if k < _KNOTS else change
        formed[_KNOTS] = max(formed[_KNOTS], 1e-3)
        for k in range(1, _KNOTS):
            formed[k] = max(formed[k], formed[k - 1])
        other = np.zeros((SIZE, SIZE))
        new = _residuals(y, moved, formed, other) + bending * (formed[:_KNOTS] @ _BENT @ formed[:_KNOTS])
        if new < old:
            done = old - new < 0.02 * even
            clock, shape, left, old, damping = moved, formed, other, new, damping * 0.3
            if done:
                break
        else:
            damping *= 6
            if damping > 1e5:
                break
    return left


@nb.njit(nogil=True, cache=True)
def _start(y):  # type: ignore[no-untyped-def]
    """Return log steps of the clock from the correlation of neighbouring cells, as of a simple exponential."""
    out, size = np.empty(_STEPS), max(np.trace(y) / SIZE, 0.02)
    for k in range(_STEPS):
        before, after = max(k - 1, 0), min(k + 1, _STEPS - 1)
        near = (y[before, before + 1] + 2 * y[k, k + 1] + y[after, after + 1]) / 4 / size
        out[k] = np.log(min(max(-0.5 * np.log(min(max(near, 0.03), 0.995)), 2e-3), 2.0))
    return out


@nb.njit(nogil=True, cache=True)
def _value(x, shape):  # type: ignore[no-untyped-def]
    """Return the knot below log x, the weight of the next one, exp L and exp(-exp L)."""
    z = (np.log(x) - _FIRST) / _APART
    a = min(max(int(np.floor(z)), 0), _KNOTS - 2)
    w = z - a
    h = np.exp(min(max(shape[a] + (shape[a + 1] - shape[a]) * w, -12.0), 5.0))
    return a, w, h, np.exp(-h)


@nb.njit(nogil=True, cache=True)
def _residuals(y, clock, shape, out):  # type: ignore[no-untyped-def]
    """Write the residuals above the diagonal to `out`, and return the sum of their squares."""
    s, total = np.zeros(SIZE), 0.0
    for k in range(_STEPS):
        s[k + 1] = s[k] + np.exp(clock[k])
    for i in range(SIZE):
        for j in range(i + 1, SIZE):
            out[i, j] = y[i, j] - shape[_KNOTS + 1] - shape[_KNOTS] * _value(s[j] - s[i], shape)[3]
            total += out[i, j] ** 2
    return total


@nb.njit(nogil=True, cache=True)
def _normal(clock, shape, left):  # type: ignore[no-untyped-def]
    """Return the normal matrix and the right side; those of the clock are sums over boxes of the map.

    A step k of the clock changes all cells (i, j) with i <= k < j alike, for each of its units.
    """
    n, d = _STEPS + _SHAPE, np.exp(clock)
    squares, normal, right = np.zeros((SIZE, SIZE)), np.zeros((n, n)), np.zeros(n)
    mixed, slopes = np.zeros((SIZE, _SHAPE)), np.zeros(SIZE)
    q, at = np.zeros(4), np.zeros(4, np.int64)
    for i in range(SIZE):
        x = 0.0
        for j in range(i + 1, SIZE):
            x += d[j - 1]
            a, w, h, e = _value(x, shape)
            slope = -shape[_KNOTS] * h * e
            b = slope * (shape[a + 1] - shape[a]) / _APART / x
            squares[i, j] = b * b
            slopes[i] += b * left[i, j]
            slopes[j] -= b * left[i, j]
            at[0], at[1], at[2], at[3] = a, a + 1, _KNOTS, _KNOTS + 1
            q[0], q[1], q[2], q[3] = slope * (1 - w), slope * w, e, 1.0
            for m in range(4):
                mixed[i, at[m]] += b * q[m]
                mixed[j, at[m]] -= b * q[m]
                right[_STEPS + at[m]] += q[m] * left[i, j]
                for o in range(4):
                    normal[_STEPS + at[m], _STEPS + at[o]] += q[m] * q[o]
    for i in range(1, SIZE):
        squares[i] += squares[i - 1]
    for j in range(SIZE - 2, -1, -1):
        squares[:, j] += squares[:, j + 1]
    slope, sums = 0.0, np.zeros(_SHAPE)
    for k in range(_STEPS):
        slope += slopes[k]
        right[k] = slope * d[k]
        for m in range(_SHAPE):
            sums[m] += mixed[k, m]
            normal[k, _STEPS + m] = normal[_STEPS + m, k] = sums[m] * d[k]
        for o in range(k, _STEPS):
            normal[k, o] = normal[o, k] = squares[k, o + 1] * d[k] * d[o]
    return normal, right
