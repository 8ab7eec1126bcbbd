"""The model of motion in a ring of bins, its fit by least squares, and the search for fringes.

The parameters of a fit are log tau, exponent, static part, two components each of u, the phase of the fringes, and of
w, the spread, both in radians per lag, and of a, the second harmonic of log tau; then the contrast of each bin.

A spread is that of a linear profile between walls: x² g² <sinc²(√3 w·reach)>, where √12 w is the difference of the
walls' velocities (He et al., PNAS 121, e2401162121, 2024, with a constant shear rate).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import sici

from ainerd_xpcs.numerics._least_squares import levenberg_marquardt

Floats = NDArray[np.float64]
N = 9  # parameters before the contrasts
MOST_FRINGES = 30  # radians of phase within the relaxation time
WALLS = np.sqrt(3)  # half the difference of the walls' velocities, in standard deviations of a linear profile
_NODES = np.polynomial.legendre.leggauss(8)  # azimuths within a bin, and their weights
NARROW = 0.01  # radians over which a profile is averaged at least
_LOW = np.array([-100.0, 0.1, 0.0, *6 * [-np.inf]])
_HIGH = np.array([100.0, 2.0, 1.0, *6 * [np.inf]])
_CONTRAST = (-0.5, 2.0)


@dataclass(frozen=True)
class Ring:
    """The data of a ring: lags, azimuths, g2, and the operators that whiten its noise.

    Attributes
    ----------
    lag : ndarray, shape (n_lag,)
    angle : ndarray, shape (n_roi,)
        Azimuth of each bin in radians.
    reach : ndarray, shape (2, n_roi, n_lag)
        q of the bin over the mean q of the ring, along the columns and the rows, times the lag.
    value : ndarray, shape (n_roi, n_lag)
    weight : ndarray, shape (n_roi, n_lag)
    mix : ndarray, shape (n_lag, n_lag)
        Applied to the weighted residuals of a bin, because lags are correlated.
    half : float
        Half the width of a bin in azimuth, in radians, over which fringes are averaged.
    blur : ndarray, shape (n_lag,)
        The phase of a lag is even from 1 - `blur` to 1 + `blur` of its mean, as q of the bin and the lag are wide.
    relaxes : bool
        Whether the part at rest decays as the moving one does.
    """

    lag: Floats
    angle: Floats
    reach: Floats
    value: Floats
    weight: Floats
    mix: Floats
    half: float
    blur: Floats
    relaxes: bool = False

    def whiten(self, x: Floats) -> Floats:
        """Whiten residuals (..., n_roi, n_lag)."""
        return np.asarray((x * self.weight.astype(x.dtype)) @ self.mix.T.astype(x.dtype))


def model(x: Floats, ring: Ring, free: list[int]) -> tuple[Floats, Floats, Floats]:
    """Return g2 (k, n_roi, n_lag), its derivatives by the `free` parameters, and by the contrast of each bin.

    The parameters `x` are (k, 9 + n_roi), the derivatives (k, len(free), n_roi, n_lag) and (k, n_roi, n_lag).
    """
    log_tau, exponent, static, u1, u2, w1, w2, a1, a2 = x[:, :N].T[..., None, None]
    contrast = x[:, N:, None]
    c2, s2 = np.cos(2 * ring.angle)[:, None], np.sin(2 * ring.angle)[:, None]
    ratio, z = decay(x, ring)
    g = np.exp(-z)
    fringe, slopes = _fringe(u1, u2, ring)
    (one, one_slopes), (two, two_slopes) = _profile(w1, w2, ring) if 5 in free or w1.any() else (_STILL, _STILL)
    moving = 1 - static
    rest = g if ring.relaxes else np.ones_like(g)
    squared, crossed = moving**2 * g * g, 2 * moving * static * g * rest
    shape = squared * two + (static * rest) ** 2 + crossed * one * fringe
    by_g = contrast * (2 * shape if ring.relaxes else 2 * squared * two + crossed * one * fringe)  # by log g
    out = np.empty((len(x), len(free), *shape.shape[1:]))
    for j, i in enumerate(free):
        if i == 0:
            out[:, j] = by_g * exponent * z
        elif i == 1:
            out[:, j] = -by_g * z * ratio
        elif i == 2:
            out[:, j] = (
                contrast * 2 * (static * rest**2 - moving * g * g * two + (1 - 2 * static) * g * rest * one * fringe)
            )
        elif i < 5:
            out[:, j] = contrast * crossed * one * slopes[i - 3]
        elif i < 7:
            out[:, j] = contrast * (squared * two_slopes[i - 5] + crossed * fringe * one_slopes[i - 5])
        else:
            out[:, j] = -by_g * exponent * z * (c2, s2)[i - 7]
    return 1 + contrast * shape, out, shape


def decay(x: Floats, ring: Ring) -> tuple[Floats, Floats]:
    """Return log(lag / tau) and that ratio to the power of the exponent, (k, n_roi, n_lag)."""
    log_tau, exponent, a1, a2 = x[:, [0, 1, 7, 8]].T[..., None, None]
    turn = 2 * ring.angle[:, None]
    ratio = np.log(ring.lag) - log_tau + a1 * np.cos(turn) + a2 * np.sin(turn)
    return ratio, np.exp(np.clip(exponent * ratio, -700, 6))


_STILL = np.float64(1), [np.float64(0)] * 2  # the mean and its derivatives without a spread


def _fringe(u1: Floats, u2: Floats, ring: Ring) -> tuple[Floats, list[Floats]]:
    """Return the mean of cos(u·reach) over a bin, and its derivatives by u1 and u2."""
    r1, r2 = ring.reach
    mean: Floats = np.zeros(np.broadcast_shapes(u1.shape, r1.shape))
    slopes = [mean, mean]
    for node, weight in zip(*_NODES, strict=True):
        c, s = np.cos(ring.half * node), np.sin(ring.half * node)
        along = r1 * c - r2 * s, r1 * s + r2 * c
        phase = u1 * along[0] + u2 * along[1]
        a, a_slope = _sinc(ring.blur * phase)
        mean = mean + weight / 2 * np.cos(phase) * a
        slope = weight / 2 * (np.cos(phase) * a_slope * ring.blur - np.sin(phase) * a)
        slopes = [x + slope * r for x, r in zip(slopes, along, strict=True)]
    return mean, slopes


def _profile(w1: Floats, w2: Floats, ring: Ring) -> list[tuple[Floats, list[Floats]]]:
    """Return the means over a bin of sinc and sinc² of half the phase between the walls, and their derivatives by w.

    The phase varies along the azimuth, with q and with the lag; all widths are taken as one.
    """
    r1, r2 = ring.reach
    c, s = np.cos(ring.angle)[:, None], np.sin(ring.angle)[:, None]
    turn, far = WALLS * ring.half, r1 * c + r2 * s
    phase, across = WALLS * (w1 * r1 + w2 * r2) * (1 - ring.half**2 / 6), turn * (w2 * c - w1 * s) * far
    wide = np.sqrt(across**2 + (ring.blur * phase) ** 2 + NARROW**2)
    ends = phase + wide, phase - wide
    sinc = [_sinc(end)[0] for end in ends]
    whole = [sici(end)[0] for end in ends], [sici(2 * x)[0] - x * y**2 for x, y in zip(ends, sinc, strict=True)]
    out = []
    for (above, below), power in zip(whole, (1, 2), strict=True):
        high, low = (each**power for each in sinc)
        mean = (above - below) / (2 * wide)
        by_wide = ((high + low) / 2 - mean) / wide**2
        by_phase = ((high - low) / (2 * wide) + by_wide * ring.blur**2 * phase) * WALLS * (1 - ring.half**2 / 6)
        by_across = by_wide * across * turn * far
        out.append((mean, [by_phase * r1 - by_across * s, by_phase * r2 + by_across * c]))
    return out


def _sinc(x: Floats) -> tuple[Floats, Floats]:
    """Return sin(x) / x and its derivative."""
    small = np.abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    sinc = np.where(small, 1 - x * x / 6, np.sin(safe) / safe)
    return sinc, np.where(small, -x / 3, (np.cos(safe) - sinc) / safe)


def fit(start: Floats, ring: Ring, free: list[int]) -> tuple[Floats, float, Floats]:
    """Fit from several starts (k, 9 + n_roi); return the best parameters, their chi square, and its derivatives.

    The derivatives by the free parameters and the contrasts are whitened, (len(free) + n_roi, n_roi, n_lag).
    """
    n_roi, n_free = len(ring.angle), len(free)
    moved = [*free, *range(N, N + n_roi)]
    low, high = (np.r_[limits[free], n_roi * [end]] for limits, end in zip((_LOW, _HIGH), _CONTRAST, strict=True))

    def normal_equations(x: Floats, which: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        whole = start[which]
        whole[:, moved] = x
        return _normal(whole, ring, free)

    x, cost, _ = levenberg_marquardt(np.clip(start[:, moved], low, high), low, high, normal_equations)
    best = int(cost.argmin())
    parameters = start[best].copy()
    parameters[moved] = x[best]
    _, by_free, by_contrast = model(parameters[None], ring, free)
    jacobian = np.zeros((n_free + n_roi, *ring.value.shape))
    jacobian[:n_free] = ring.whiten(by_free[0])
    jacobian[n_free + np.arange(n_roi), np.arange(n_roi)] = ring.whiten(by_contrast[0])
    return parameters, float(cost[best]), jacobian


def _normal(x: Floats, ring: Ring, free: list[int]) -> tuple[Floats, Floats, Floats]:
    """Return chi square (k,), JᵀJ and Jᵀr of the whitened residuals; a contrast only affects its own bin."""
    y, by_free, by_contrast = model(x, ring, free)
    n, n_free = len(x), len(free)
    residual, by_free, by_contrast = (ring.whiten(some) for some in (y - ring.value, by_free, by_contrast))
    normal = np.zeros((n, n_free + y.shape[1], n_free + y.shape[1]))
    flat = by_free.reshape(n, n_free, -1)
    normal[:, :n_free, :n_free] = flat @ flat.transpose(0, 2, 1)
    normal[:, :n_free, n_free:] = np.einsum("knbl,kbl->knb", by_free, by_contrast)
    normal[:, n_free:, :n_free] = normal[:, :n_free, n_free:].transpose(0, 2, 1)
    np.einsum("kii->ki", normal)[:, n_free:] = np.einsum("kbl,kbl->kb", by_contrast, by_contrast)
    by_bin = np.einsum("kbl,kbl->kb", by_contrast, residual)
    gradient = np.concatenate([(flat @ residual.reshape(n, -1, 1))[..., 0], by_bin], axis=1)
    return np.einsum("kbl,kbl->k", residual, residual), normal, gradient


def search(ring: Ring, plain: Floats, n_best: int = 6) -> Floats:
    """Return starts for fits of fringes: the best trial velocities and relaxation times, with linear amplitudes."""
    lag = ring.lag
    radius = np.arange(-MOST_FRINGES, MOST_FRINGES + 0.1, 0.9)
    u1, u2 = (x.ravel() for x in np.meshgrid(radius, radius[radius >= 0]))
    inside = (np.hypot(u1, u2) <= MOST_FRINGES) & (np.hypot(u1, u2) > 0.5)
    u = np.stack([u1[inside], u2[inside]], axis=1)
    y = ring.whiten(ring.value - 1).ravel().astype(np.float32)
    starts = []
    for tau in np.geomspace(lag.min(), lag.max(), 9)[1:]:
        trial = u / tau
        trial = trial[np.hypot(*trial.T) <= np.pi / lag.min()]  # faster fringes are not resolved by the lags
        if len(trial) == 0:
            continue
        g = np.exp(-lag / tau)
        fringe = np.cos(
            np.tensordot(trial, ring.reach, 1).astype(np.float32)
        )  # the approximation for narrow bins is sufficient
        fringe *= g.astype(np.float32)
        fringe = ring.whiten(fringe).reshape(len(trial), -1)
        ones = np.ones_like(ring.value)
        fixed = np.stack([ring.whiten(ones).ravel(), ring.whiten(ones * g * g).ravel()]).astype(np.float32)
        normal = np.empty((len(trial), 3, 3))
        normal[:, :2, :2] = fixed @ fixed.T
        normal[:, 2, :2] = normal[:, :2, 2] = fringe @ fixed.T
        normal[:, 2, 2] = np.einsum("kn,kn->k", fringe, fringe)
        right = np.column_stack([np.tile(fixed @ y, (len(trial), 1)), fringe @ y]).astype(float)
        normal += 1e-6 * np.einsum("kii->ki", normal)[:, :, None] * np.eye(3)
        level, decay, beat = np.linalg.solve(normal, right[..., None])[..., 0].T
        explained = level * right[:, 0] + decay * right[:, 1] + beat * right[:, 2]
        explained[(decay <= 0) | (beat <= 0)] = -np.inf
        for i in np.argsort(-explained)[:n_best]:
            if np.isfinite(explained[i]):
                static = beat[i] / (2 * decay[i] + beat[i])
                contrast = decay[i] / (1 - static) ** 2
                start = plain.copy()
                start[:5] = np.log(tau), 1.0, static, *trial[i]
                start[N:] = contrast
                starts.append((explained[i], start))
    starts.sort(key=lambda pair: -pair[0])
    return np.array([start for _, start in starts[:n_best]])
