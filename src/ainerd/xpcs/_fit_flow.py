"""Velocity from heterodyne fringes: a flow that interferes with what stands still."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from ainerd.xpcs._fit import fit_kww

FORMULA = (
    "g2(tau) = baseline + contrast * (x**2 * g**2 + static**2 + 2 * x * static * g * cos(q * v * tau * "
    "cos(phi - direction))), g = exp(-(tau / tau0)**exponent), x = 1 - static"
)
# contrast, static, log tau0, exponent, qv (2), baseline
_LOW = np.array([0.0, 0.0, -100.0, 0.1, -np.inf, -np.inf, 0.5])
_HIGH = np.array([2.0, 1.0, 100.0, 2.0, np.inf, np.inf, 1.5])
MOST_FRINGES = 30  # radians of phase within the relaxation time
SURE = 40.0  # drop of chi square that thousands of trial velocities do not reach by chance


@dataclass(frozen=True, kw_only=True)
class FlowFit:
    """A flow seen in the bins of one ring; with ``_err``, one standard deviation.

    Attributes
    ----------
    velocity : float
        In nm per unit of tau.
    direction : float
        In degrees from 0 to 180: fringes do not tell forth from back.
    static : float
        Part of the scattered intensity that stands still.
    tau : float
        Relaxation time of the moving part's g1.
    chi2 : float
        Reduced chi square (sum of squares per degree of freedom without errors).
    ok : bool
        Whether fringes were found: the fit describes the data far better than one without flow, and velocity and
        direction are known to within a third of the velocity and 20 degrees. All is NaN where nothing could be fitted.
    """

    velocity: float
    velocity_err: float
    direction: float
    direction_err: float
    static: float
    static_err: float
    tau: float
    tau_err: float
    exponent: float
    contrast: float
    baseline: float
    chi2: float
    ok: bool
    formula: str = FORMULA


def fit_flow(tau: ArrayLike, g2: ArrayLike, phi: ArrayLike, q: ArrayLike, error: ArrayLike | None = None) -> FlowFit:
    """Fit the fringes that a uniform flow makes in the bins of a ring.

    Moving and static scatterers together give |g1|² = x² g² + (1 - x)² + 2 x (1 - x) g cos(q·v tau) (Livet et al., J.
    Synchrotron Rad. 13, 453, 2006). A search over velocities and relaxation times finds where the fit begins: up to 30
    radians of phase within the relaxation time.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n)
        NaN is left out. Contrast, relaxation time and static part are taken to be the same in all bins: take one ring
        at a time, and `fit_power` for what depends on q.
    phi : array_like, shape (n_roi,)
        Azimuth of the bins, in degrees.
    q : float or array_like, shape (n_roi,)
        In 1/nm.
    error : array_like, like g2, optional
        Standard errors; zero and NaN errors are not used.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a q is not positive.
    """
    lags, values, azimuth = (np.asarray(x, dtype=float) for x in (tau, g2, phi))
    if lags.ndim != 1 or azimuth.ndim != 1 or values.shape != (azimuth.size, lags.size):
        raise ValueError(f"g2 of shape {values.shape} does not fit {azimuth.shape} azimuths and {lags.shape} lags")
    momentum = np.broadcast_to(np.asarray(q, dtype=float), azimuth.shape)
    if not (momentum > 0).all():
        raise ValueError("q must be positive, in 1/nm")
    errors = np.full_like(values, np.nan) if error is None else np.asarray(error, dtype=float)
    if errors.shape != values.shape:
        raise ValueError(f"errors of shape {errors.shape} do not fit g2 of shape {values.shape}")
    use = np.isfinite(values) & (lags > 0)
    weighted = bool(np.all(np.isfinite(errors[use]) & (errors[use] > 0)))
    if use.sum() < 20:
        return _nothing()
    t, y = np.broadcast_to(lags, values.shape)[use], values[use]
    weight = 1 / errors[use] if weighted else np.ones_like(y)
    # q·v tau = (u1, u2)·reach, with u the mean q times the velocity
    angle = np.deg2rad(azimuth)
    along = momentum / momentum.mean() * np.stack([np.cos(angle), np.sin(angle)])
    reach = t * np.repeat(along, use.sum(1), axis=1)
    fits = [_refine(start, t, reach, y, weight) for start in _search(t, reach, y, weight)]
    if not fits:
        return _nothing()
    best = min(fits, key=lambda fit: fit.cost)
    order = np.argsort(t)
    plain = fit_kww(t[order], y[order], 1 / weight[order])
    return _report(best, plain.chi2[0] * max(y.size - 4, 1), y.size, momentum.mean(), weighted)


def _model(x: NDArray, t: NDArray, reach: NDArray) -> NDArray:
    contrast, static, log_tau, exponent, u1, u2, baseline = x
    g = np.exp(-np.exp(np.clip(exponent * (np.log(t) - log_tau), -700, 6)))
    fringe = np.cos(u1 * reach[0] + u2 * reach[1])
    moving = 1 - static
    return baseline + contrast * (moving**2 * g * g + static**2 + 2 * moving * static * g * fringe)


def _search(t: NDArray, reach: NDArray, y: NDArray, weight: NDArray, n_best: int = 4) -> list[NDArray]:
    """Where fits should begin: the best of trial velocities and relaxation times, amplitudes solved for."""
    w2 = weight**2
    radius = np.arange(-MOST_FRINGES, MOST_FRINGES + 0.1, 0.9)
    u1, u2 = (x.ravel() for x in np.meshgrid(radius, radius[radius >= 0]))
    inside = (np.hypot(u1, u2) <= MOST_FRINGES) & (np.hypot(u1, u2) > 0.5)
    u = np.stack([u1[inside], u2[inside]], axis=1)
    found = []
    for tau in np.geomspace(t.min(), t.max(), 9)[1:]:
        trial = u / tau
        trial = trial[np.hypot(*trial.T) <= np.pi / t.min()]  # no faster than the lags can tell
        if len(trial) == 0:
            continue
        g = np.exp(-t / tau)
        fringe = np.cos(trial @ reach)
        normal = np.empty((len(trial), 3, 3))
        normal[:, 0, 0], normal[:, 0, 1], normal[:, 1, 1] = w2.sum(), (w2 * g * g).sum(), (w2 * g**4).sum()
        normal[:, 0, 2], normal[:, 1, 2] = fringe @ (w2 * g), fringe @ (w2 * g**3)
        normal[:, 2, 2] = (fringe * fringe) @ (w2 * g * g)
        normal[:, 1, 0], normal[:, 2, 0], normal[:, 2, 1] = normal[:, 0, 1], normal[:, 0, 2], normal[:, 1, 2]
        right = np.stack([np.full(len(trial), (w2 * y).sum()), np.full(len(trial), (w2 * g * g * y).sum())], axis=1)
        right = np.column_stack([right, fringe @ (w2 * g * y)])
        normal += 1e-9 * np.einsum("kii->ki", normal)[:, :, None] * np.eye(3)
        level, decay, beat = np.linalg.solve(normal, right[..., None])[..., 0].T
        explained = level * right[:, 0] + decay * right[:, 1] + beat * right[:, 2]
        explained[(decay <= 0) | (beat <= 0)] = -np.inf
        for i in np.argsort(-explained)[:n_best]:
            if np.isfinite(explained[i]):
                static = beat[i] / (2 * decay[i] + beat[i])
                contrast = decay[i] / (1 - static) ** 2
                start = [contrast, static, np.log(tau), 1.0, *trial[i], level[i] - contrast * static**2]
                found.append((explained[i], np.clip(start, _LOW + 1e-6, _HIGH - 1e-6)))
    found.sort(key=lambda pair: -pair[0])
    return [start for _, start in found[:n_best]]


def _refine(start: NDArray, t: NDArray, reach: NDArray, y: NDArray, weight: NDArray):
    scale = np.array([0.1, 0.1, 1.0, 1.0, 1 / t.max(), 1 / t.max(), 0.1])
    return least_squares(
        lambda x: weight * (_model(x, t, reach) - y), start, bounds=(_LOW, _HIGH), x_scale=scale, max_nfev=100
    )


def _report(best, plain: float, n: int, q: float, weighted: bool) -> FlowFit:
    contrast, static, log_tau, exponent, u1, u2, baseline = best.x
    chi2 = 2 * best.cost / max(n - len(best.x), 1)
    covariance = np.linalg.pinv(best.jac.T @ best.jac, hermitian=True) * (1 if weighted else chi2)
    speed = np.hypot(u1, u2)
    to_speed, to_angle = np.array([u1, u2]) / speed, np.array([-u2, u1]) / speed**2
    flow = covariance[4:6, 4:6]
    velocity_err, direction_err = np.sqrt(to_speed @ flow @ to_speed), np.rad2deg(np.sqrt(to_angle @ flow @ to_angle))
    static_err, log_tau_err = np.sqrt(covariance[1, 1]), np.sqrt(covariance[2, 2])
    sure = plain - 2 * best.cost > SURE * (1 if weighted else chi2)
    return FlowFit(
        velocity=float(speed / q),
        velocity_err=float(velocity_err / q),
        direction=float(np.rad2deg(np.arctan2(u2, u1)) % 180),
        direction_err=float(direction_err),
        static=float(static),
        static_err=float(static_err),
        tau=float(np.exp(log_tau)),
        tau_err=float(np.exp(log_tau) * log_tau_err),
        exponent=float(exponent),
        contrast=float(contrast),
        baseline=float(baseline),
        chi2=float(chi2),
        ok=bool(best.success and sure and velocity_err < speed / 3 and direction_err < 20),
    )


def _nothing() -> FlowFit:
    names = (field.name for field in fields(FlowFit) if field.type is float)
    return FlowFit(**dict.fromkeys(names, np.nan), ok=False)  # type: ignore[arg-type]
