"""g2 of a ring's bins across azimuth: the formula, its derivatives, and least squares for many starts at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("log_tau", "exponent", "static", "u1", "u2", "w1", "w2", "a1", "a2")
N = len(NAMES)
MOST_FRINGES = 30  # radians of phase within the relaxation time
_LOW = np.array([-100.0, 0.1, 0.0, *6 * [-np.inf]])
_HIGH = np.array([100.0, 2.0, 1.0, *6 * [np.inf]])
LATE = 3.0  # of the field's e^-z no more is left to see
CONTRAST = (-0.5, 2.0)
ROUNDS = 60


@dataclass(frozen=True)
class Ring:
    """Lags and azimuths that a model is seen at, with data and what whitens their noise.

    Attributes
    ----------
    lag : ndarray, shape (n_lag,)
    angle : ndarray, shape (n_roi,)
        In radians.
    reach : ndarray, shape (2, n_roi, n_lag)
        q of the bin over the ring's mean, along the columns and the rows, times the lag.
    value : ndarray, shape (n_roi, n_lag)
    weight : ndarray, shape (n_roi, n_lag)
        Zero where there is no datum.
    mix : ndarray, shape (n_lag, n_lag), or None
        Applied to a bin's weighted residuals, where lags vary together.
    half : (float, float)
        Half the width of a bin in azimuth, in radians, and in q, over the mean q: fringes are a mean over the bin.
    """

    lag: NDArray[np.float64]
    angle: NDArray[np.float64]
    reach: NDArray[np.float64]
    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    mix: NDArray[np.float64] | None
    half: tuple[float, float] = (0.0, 0.0)

    def whiten(self, x: NDArray) -> NDArray:
        """Of arrays (..., n_roi, n_lag)."""
        x = x * self.weight.astype(x.dtype)
        return x if self.mix is None else x @ self.mix.T.astype(x.dtype)


def model(x: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, NDArray, NDArray]:
    """g2 (k, n_roi, n_lag) for parameters (k, 9 + n_roi), its derivatives by those `free` and by each bin's contrast.

    Parameters are those of `NAMES`, then the contrasts; derivatives are (k, len(free), n_roi, n_lag) and (k, n_roi,
    n_lag). Vectors are in radians per lag: u the phase of the fringes, w the spread; a is the second harmonic of log
    tau, and relaxation is quickest along it.
    """
    log_tau, exponent, static, u1, u2, w1, w2, a1, a2 = x[:, :N].T[..., None, None]
    contrast = x[:, N:, None]
    c2, s2 = np.cos(2 * ring.angle)[:, None], np.sin(2 * ring.angle)[:, None]
    r1, r2 = ring.reach
    ratio = np.log(ring.lag) - log_tau + a1 * c2 + a2 * s2
    z = np.exp(np.clip(exponent * ratio, -700, 6))
    k = w1 * r1 + w2 * r2
    g = np.exp(-z - k * k / 2)
    lower = np.minimum(z, LATE)  # what of z lowers the mean q of what is still correlated
    fringe, slopes, by_lower = _fringe(u1, u2, lower, ring)
    moving = 1 - static
    shape = moving**2 * g * g + static**2 + 2 * moving * static * g * fringe
    by_g = contrast * 2 * moving * (moving * g + static * fringe) * g  # times g: by its logarithm
    by_z = contrast * 2 * moving * static * g * by_lower * (z < LATE) - by_g
    out = np.empty((len(x), len(free), *shape.shape[1:]))
    for j, i in enumerate(free):
        if i == 0:
            out[:, j] = -by_z * exponent * z
        elif i == 1:
            out[:, j] = by_z * z * ratio
        elif i == 2:
            out[:, j] = contrast * 2 * (static - moving * g * g + (1 - 2 * static) * g * fringe)
        elif i < 5:
            out[:, j] = 2 * contrast * moving * static * g * slopes[i - 3]
        elif i < 7:
            out[:, j] = -by_g * k * (r1, r2)[i - 5]
        else:
            out[:, j] = by_z * exponent * z * (c2, s2)[i - 7]
    return 1 + contrast * shape, out, shape


def _fringe(u1: NDArray, u2: NDArray, z: NDArray, ring: Ring) -> tuple[NDArray, list[NDArray], NDArray]:
    """Mean of cos(u·reach) over a bin, and its derivatives by u1 and u2, and by the exponent z of what is moving.

    The phase changes by its own tangent along the azimuth, to second order, and in proportion to q. Relaxation is
    quicker at larger q, z as q² where scatterers diffuse: the mean q of what is still correlated falls by
    2 z half² / 3, to first order.
    """
    r1, r2 = ring.reach
    c, s = np.cos(ring.angle)[:, None], np.sin(ring.angle)[:, None]
    far = r1 * c + r2 * s
    wide, deep = ring.half
    fall = 2 * deep**2 / 3
    shorter = (1 - wide**2 / 6) * (1 - fall * z)
    whole = u1 * r1 + u2 * r2
    phase = whole * shorter
    across = (u2 * c - u1 * s) * far
    a, a_slope = _sinc(wide * across)
    b, b_slope = _sinc(deep * phase)
    cosine, sine = np.cos(phase), np.sin(phase)
    by_phase = a * (cosine * b_slope * deep - sine * b)
    by_across = cosine * b * a_slope * wide * far
    by_u = [by_phase * shorter * r1 - by_across * s, by_phase * shorter * r2 + by_across * c]
    return cosine * a * b, by_u, -by_phase * whole * (1 - wide**2 / 6) * fall


def _sinc(x: NDArray) -> tuple[NDArray, NDArray]:
    """sin(x) / x and its derivative."""
    small = np.abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    sinc = np.where(small, 1 - x * x / 6, np.sin(safe) / safe)
    return sinc, np.where(small, -x / 3, (np.cos(safe) - sinc) / safe)


def fit(start: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, float, NDArray]:
    """Levenberg and Marquardt's way from several starts (k, 9 + n_roi): the best, its chi square, its derivatives.

    The derivatives, by those free and by the contrasts, are whitened, (len(free) + n_roi, n_roi, n_lag).
    """
    n_roi, n_free = len(ring.angle), len(free)
    moved = [*free, *range(N, N + n_roi)]
    low = np.r_[_LOW[free], n_roi * [CONTRAST[0]]]
    high = np.r_[_HIGH[free], n_roi * [CONTRAST[1]]]
    x = start.copy()
    x[:, moved] = np.clip(x[:, moved], low, high)
    cost, normal, gradient = _normal(x, ring, free)
    damping = np.full(len(x), 1e-3)
    going = np.arange(len(x))
    for _ in range(ROUNDS):
        here, slope = x[going][:, moved], gradient[going]
        stuck = (here <= low) & (slope > 0) | (here >= high) & (slope < 0)
        left = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal[going])
        diagonal = np.einsum("kii->ki", left)  # a view
        # Where nothing depends on anything, as where all has decayed before the first lag, no step is made.
        diagonal += damping[going, None] * diagonal + 1e-9 * diagonal.max(1, keepdims=True) + 1e-30 + stuck
        step = np.linalg.solve(left, np.where(stuck, 0, -slope)[..., None])[..., 0]
        trial = x[going]
        trial[:, moved] = np.clip(here + step, low, high)
        new, normal_new, gradient_new = _normal(trial, ring, free)
        gain = cost[going] - new
        better = gain > 0
        who = going[better]
        x[who], cost[who], normal[who], gradient[who] = (
            some[better] for some in (trial, new, normal_new, gradient_new)
        )
        damping[going] *= np.where(better, 0.2, 5)
        going = going[~(better & (gain <= 1e-6 * new)) & (damping[going] < 1e7)]
        if going.size == 0:
            break
    best = int(cost.argmin())
    _, by_free, by_contrast = model(x[best][None], ring, free)
    jacobian = np.zeros((n_free + n_roi, *ring.value.shape))
    jacobian[:n_free] = ring.whiten(by_free[0])
    jacobian[n_free + np.arange(n_roi), np.arange(n_roi)] = ring.whiten(by_contrast[0])
    return x[best], float(cost[best]), jacobian


def _normal(x: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, NDArray, NDArray]:
    """Chi square (k,), JᵀJ and Jᵀr of the whitened residuals; a contrast matters to its own bin alone."""
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


def search(ring: Ring, plain: NDArray, n_best: int = 6) -> NDArray:
    """Where fits of fringes should begin: the best of trial velocities and relaxation times, amplitudes solved for."""
    lag = ring.lag
    radius = np.arange(-MOST_FRINGES, MOST_FRINGES + 0.1, 0.9)
    u1, u2 = (x.ravel() for x in np.meshgrid(radius, radius[radius >= 0]))
    inside = (np.hypot(u1, u2) <= MOST_FRINGES) & (np.hypot(u1, u2) > 0.5)
    u = np.stack([u1[inside], u2[inside]], axis=1)
    y = ring.whiten(ring.value - 1).ravel().astype(np.float32)
    found = []
    for tau in np.geomspace(lag.min(), lag.max(), 9)[1:]:
        trial = u / tau
        trial = trial[np.hypot(*trial.T) <= np.pi / lag.min()]  # no faster than the lags can tell
        if len(trial) == 0:
            continue
        g = np.exp(-lag / tau)
        fringe = np.cos(np.tensordot(trial, ring.reach, 1).astype(np.float32))  # of narrow bins: near enough
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
                found.append((explained[i], start))
    found.sort(key=lambda pair: -pair[0])
    return np.array([start for _, start in found[:n_best]])
