"""Find motion across the azimuth of a ring: a velocity, a spread, an anisotropy, none, or one that no model has."""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtrc

from ainerd_xpcs.numerics._family import Curves, start_of
from ainerd_xpcs.numerics._family import fit as fit_family
from ainerd_xpcs.numerics._flow_misfit import misfit
from ainerd_xpcs.numerics._flow_model import Ring, fit, model, search
from ainerd_xpcs.numerics._least_squares import NOTHING
from ainerd_xpcs.numerics._scatter import Scatter, differ, sandwich, scatter

FORMULA = (
    "g2(tau) = 1 + contrast(phi) * (x**2 * g**2 + static**2 + 2 * x * static * g * <cos(q * velocity * tau * cos(phi - "
    "direction))>), x = 1 - static, <> over the width of a bin, g = exp(-(tau / tau0(phi))**exponent) * sin(k) / k, "
    "k = sqrt(3) * q * velocity_spread * tau * cos(phi - direction), tau0(phi) = tau0 * exp(-anisotropy * cos(2 * (phi "
    "- direction)))"
)
Floats = NDArray[np.float64]
SURE_P = 0.01
SURE_BIC = 10.0  # "very strong", Kass and Raftery 1995
ALIKE = 2.0  # smaller differences in BIC do not distinguish two kinds of flow
DIRECTED = 20.0  # largest error of a direction that is reported, in degrees
KNOWN = 1 / 12  # largest relative error of a velocity that is reported: noise can raise it above a threshold
SHAPE = [0, 1, 2]  # log tau, exponent, static
FREE = {"none": SHAPE, "velocity": [*SHAPE, 3, 4], "spread": [*SHAPE, 5, 6], "anisotropy": [*SHAPE, 7, 8]}
Kind = Literal["none", "velocity", "spread", "anisotropy", "unknown"]


@dataclass(frozen=True, kw_only=True)
class FlowFit:
    """Motion found in the bins of one ring; with ``_err``, one standard deviation; NaN where unknown.

    Attributes
    ----------
    kind : {"none", "velocity", "spread", "anisotropy", "unknown"}
        The model selected by the data: all bins alike (apart from their contrast), a uniform flow that interferes with
        a static part, a linear profile of velocities without fringes, or a relaxation time with a second harmonic;
        "unknown" if bins differ surely with azimuth, but not as any of these: a curved profile, or bands, where the
        part that seems at rest relaxes as the other one does.
    velocity, velocity_err : float
        Velocity of the uniform flow relative to the static part, in nm per unit of tau; NaN unless `kind` is
        "velocity". Two parts that both flow, and that relax slowly, look the same: it is the difference of theirs.
    velocity_spread, velocity_spread_err : float
        Standard deviation of the velocities, in nm per unit of tau; NaN unless `kind` is "spread". The linear profile
        between walls of speeds 0 and V has V / sqrt(12).
    flow_direction, flow_direction_err : float
        Direction of a flow, also of an unknown one, in degrees from 0 to 180; speckle does not show the sign.
    flow_p : float
        Probability that equal bins differ so much with azimuth, by a test of the scatter of their parts.
    flow_bic : float
        Bayesian information criterion without flow (all bins alike, or anisotropic, whichever is better) minus that of
        the better flow. A flow is reported if this is above 10, `flow_p` is below .01, the other kind of flow is worse,
        and the velocity is known to a twelfth. NaN if no flow was fitted, because the bins do not differ.
    flow_misfit_p : float
        Probability of such residuals if the best model of a flow or anisotropy is right to .5 %; NaN if none was
        fitted. Below .01 no number of a model is given, nor if bands fit surely better (chi square less by 10).
    anisotropy, anisotropy_err : float
        Amplitude of the second harmonic of log tau; NaN unless `kind` is "anisotropy".
    anisotropy_direction, anisotropy_direction_err : float
        Direction of the fastest relaxation, in degrees from 0 to 180.
    anisotropy_p : float
        p-value of an amplitude of zero; significant below .01.

    Examples
    --------
    >>> tau, phi, part_roi = np.geomspace(0.01, 1, 30), np.arange(0.0, 360, 30), np.repeat(np.arange(12), 16)
    >>> along = 0.05 * np.cos(np.radians(phi))[:, None]  # q along the flow
    >>> g2 = 1 + 0.2 * np.abs(0.6 * np.exp((1j * along * 400 - 2) * tau) + 0.4) ** 2
    >>> parts = g2[part_roi] + np.random.default_rng(0).normal(0, 0.004, (192, 30))  # of 16 parts of each bin
    >>> g2 = parts.reshape(12, 16, 30).mean(axis=1)
    >>> flow = fit_flow(tau, g2, phi, np.full(12, 0.05), parts=parts, part_roi=part_roi)
    >>> flow.kind, round(flow.velocity, -1)
    ('velocity', 400.0)
    """

    kind: Kind = "none"
    velocity: float = np.nan
    velocity_err: float = np.nan
    velocity_spread: float = np.nan
    velocity_spread_err: float = np.nan
    flow_direction: float = np.nan
    flow_direction_err: float = np.nan
    flow_p: float = np.nan
    flow_bic: float = np.nan
    flow_misfit_p: float = np.nan
    anisotropy: float = np.nan
    anisotropy_err: float = np.nan
    anisotropy_direction: float = np.nan
    anisotropy_direction_err: float = np.nan
    anisotropy_p: float = np.nan
    formula: str = FORMULA


def fit_flow(
    tau: ArrayLike,
    g2: ArrayLike,
    phi: ArrayLike,
    q: ArrayLike,
    *,
    parts: ArrayLike,
    part_roi: ArrayLike,
    part_weight: ArrayLike | None = None,
    phi_width: float = 0.0,
    q_spread: float = 0.0,
    tau_width: ArrayLike = 0.0,
) -> FlowFit:
    """Find motion in the azimuthal dependence of g2 in a ring; report only motion that passes a significance test.

    Moving and static scatterers together give |g1|² = x² g² + (1 - x)² + 2 x (1 - x) g cos(q·v tau) (Livet et al., J.
    Synchrotron Rad. 13, 453, 2006). A linear profile of velocities, as in shear between walls that differ by V, lets
    speckle decay by sinc²(q·V tau / 2) (Burghardt et al., Phys. Rev. E 85, 021402, 2012; He et al., PNAS 121,
    e2401162121, 2024). Horwath et al. (Nat. Commun. 15, 5945, 2024) use angle-resolved velocities. Each bin has its own
    contrast.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n)
        NaN is ignored. Relaxation time and static part are taken to be the same in all bins: fit one ring at a time,
        and use `fit_power` for the dependence on q.
    phi : array_like, shape (n_roi,)
        Azimuth of the bins, in degrees; part of a circle is enough.
    q : float or array_like, shape (n_roi,)
        In 1/nm.
    parts : array_like, shape (n_part, n)
        g2 of groups of pixels of the bins, three or more in each bin. Lags of g2 are correlated, because they share
        speckles; the scatter of parts gives their covariance, the errors and `flow_p`.
    part_roi : array_like of int, shape (n_part,)
        Bin of each part, from 0.
    part_weight : array_like, shape (n_part,), optional
        Pixels of each part; for bins of equal size, the shares of `G2` do as well.
    phi_width : float
        Width of a bin in degrees: 20 for 18 bins. Fringes that vary within a bin are less deep.
    q_spread : float
        q within a bin is even from 1 - `q_spread` to 1 + `q_spread` of its mean.
    tau_width : array_like, shape (n,)
        Time over which the intensities of a lag are averaged: long lags of `MultiTau` are of means of frames.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a q is not positive.

    Examples
    --------
    >>> tau, phi, part_roi = np.geomspace(0.01, 1, 30), np.arange(0.0, 360, 30), np.repeat(np.arange(12), 16)
    >>> parts = 1 + 0.2 * np.exp(-2 * tau / 0.1) + np.random.default_rng(0).normal(0, 0.004, (192, 30))
    >>> g2 = parts.reshape(12, 16, 30).mean(axis=1)
    >>> fit_flow(tau, g2, phi, np.full(12, 0.05), parts=parts, part_roi=part_roi).kind
    'none'
    """
    lags, values, azimuth = (np.asarray(x, dtype=float) for x in (tau, g2, phi))
    if lags.ndim != 1 or azimuth.ndim != 1 or values.shape != (azimuth.size, lags.size):
        raise ValueError(f"g2 of shape {values.shape} does not fit {azimuth.shape} azimuths and {lags.shape} lags")
    momentum = np.broadcast_to(np.asarray(q, dtype=float), azimuth.shape)
    if not (momentum > 0).all():
        raise ValueError("q must be positive, in 1/nm")
    order = np.argsort(lags)
    order = order[lags[order] > 0]
    noise, bins, data = scatter(values[:, order], np.asarray(parts)[..., order], part_roi, part_weight)
    order = order[data]
    width = np.broadcast_to(np.asarray(tau_width, dtype=float), lags.shape)[order] / lags[order]
    lags, values, azimuth, momentum = lags[order], values[np.ix_(bins, order)], azimuth[bins], momentum[bins]
    if lags.size < 4 or bins.size < 3:
        return FlowFit()
    p = differ(values, azimuth, noise)
    if not p < SURE_P:  # nearly all runs end here
        return FlowFit(flow_p=p, anisotropy_p=p)
    if values.size < 20:
        return FlowFit()
    weight = np.broadcast_to(np.sqrt(noise.size)[:, None], values.shape)
    angle = np.deg2rad(azimuth)
    along = momentum / momentum.mean() * np.stack([np.cos(angle), np.sin(angle)])
    reach = along[..., None] * lags
    blur = np.hypot(q_spread, width / np.sqrt(2))  # the time between two averages has twice their variance
    ring = Ring(lags, angle, reach, values, weight, noise.whitening(), np.deg2rad(phi_width) / 2, blur)
    return _Choice(ring, momentum.mean(), noise, p).report()


class _Choice:
    """Fits of every model to one ring, and the choice between them."""

    def __init__(self, ring: Ring, q: float, noise: Scatter, p: float) -> None:
        self.ring, self.q, self.noise, self.p = ring, q, noise, p
        self.fits = {"none": fit(self._starts(), ring, FREE["none"])}
        plain = self.fits["none"][0]
        turned = np.array([(0.7, 0.0), (0.5, 0.5), (0.0, 0.7), (-0.5, 0.5)])
        starts = {
            "anisotropy": _at(plain, 7, [(0.1, 0.0), (0.0, 0.1), (-0.1, 0.0), (0.0, -0.1)]),
            "spread": _at(plain, 5, np.exp(-plain[0]) * np.concatenate([turned, 3 * turned])),
            "velocity": search(ring, plain),
        }
        for kind, start in starts.items():
            if len(start):
                self.fits[kind] = fit(start, ring, FREE[kind])
        if "velocity" in self.fits:  # fringes are the same if the shares change places, and only their decay is not
            x = self.fits["velocity"][0]
            other = np.where(np.arange(x.size) == FREE["velocity"][2], 1 - x, x)
            self.fits["velocity"] = fit(np.array([x, other]), ring, FREE["velocity"])
        of_each = np.log(ring.value.size)
        self.bic = {kind: chi2 + self._size(kind) * of_each for kind, (_, chi2, _) in self.fits.items()}

    def _size(self, kind: str) -> int:
        """Return the number of parameters of a model, including the contrast of each bin."""
        return len(FREE[kind]) + len(self.ring.angle)

    def _starts(self) -> Floats:
        """Return starts for the fit with equal bins: without a static part, and with one."""
        ring, lag = self.ring, self.ring.lag
        mean = (ring.weight**2 * ring.value).sum(0) / (ring.weight**2).sum(0)
        curves = Curves.of(lag, mean[None], np.eye(lag.size)[None])
        first = fit_family(curves, "stretched + baseline", start_of(curves))
        height = max(mean[0] - 1, 1e-3)
        middle = np.sqrt(lag.min() * lag.max())
        log_tau, exponent = (np.log(middle), 1.0) if first.edge[0] else first.x[0, 1:3]
        n_roi = len(ring.angle)
        log_tau = np.clip(log_tau, np.log(lag.min() / 4), np.log(lag.max() * 4))
        rest = [*6 * [0.0], *n_roi * [height]]
        return np.array([[log_tau, min(exponent, 2.0), 0.05, *rest], [log_tau, 1.0, 0.4, *rest]])

    def report(self) -> FlowFit:
        """Return the numbers of the selected model."""
        flow = min((kind for kind in ("velocity", "spread") if kind in self.bic), key=self.bic.__getitem__)
        gain = min(self.bic["none"], self.bic["anisotropy"]) - self.bic[flow]
        best = min((kind for kind in self.bic if kind != "none"), key=self.bic.__getitem__)
        vectors = {kind: self._vector(kind) for kind in {flow, best, "anisotropy"}}
        bands, chi2_of_bands = self._bands(best)
        p = misfit(*self.fits[best][::2], np.deg2rad(vectors[best].direction), self.ring, self.noise, bands)
        found = FlowFit(flow_p=self.p, flow_bic=float(gain), flow_misfit_p=p, anisotropy_p=vectors["anisotropy"].p)
        if p < SURE_P or chi2_of_bands < self.fits[best][1] - SURE_BIC:
            if self.bic["none"] - self.bic[best] > SURE_BIC:
                return replace(found, kind="unknown", **vectors[best].directions("flow"))
            return found
        out: dict[str, Any] = {}
        kind: Kind = "none"
        other = min((bic for kind, bic in self.bic.items() if kind not in ("none", "anisotropy", flow)), default=np.inf)
        length, error = vectors[flow].length / self.q, vectors[flow].length_err / self.q
        if gain > SURE_BIC and other - self.bic[flow] > ALIKE and error < KNOWN * length and vectors[flow].is_directed:
            kind = "velocity" if flow == "velocity" else "spread"
            name = "velocity" if flow == "velocity" else "velocity_spread"
            out |= {name: float(length), f"{name}_err": float(error), **vectors[flow].directions("flow")}
        second = vectors["anisotropy"]
        if kind == "none" and second.p < SURE_P and self.bic["anisotropy"] < self.bic["none"]:
            kind = "anisotropy"
            out |= {"anisotropy": second.length, "anisotropy_err": second.length_err, **second.directions("anisotropy")}
        return replace(found, kind=kind, **out)

    def _bands(self, kind: str) -> tuple[Floats | None, float]:
        """Return g2 and chi square of a flow in which the part at rest relaxes as the moving one does."""
        if kind == "anisotropy":
            return None, np.inf
        ring = replace(self.ring, relaxes=True)
        x, chi2, _ = fit(self.fits[kind][0][None], ring, FREE[kind])
        return model(x[None], ring, [])[0][0], chi2

    def _covariance(self, kind: str) -> Floats:
        """Return the covariance of the free parameters: a sandwich of the scatter of parts."""
        _, _, jacobian = self.fits[kind]
        if not np.abs(jacobian).max() > NOTHING:
            return np.eye(len(jacobian)) / NOTHING
        return sandwich(jacobian, self.noise, self.ring.mix)

    def _vector(self, kind: str) -> "_Vector":
        x, _, _ = self.fits[kind]
        v, covariance = x[FREE[kind][3:]], self._covariance(kind)[3:5, 3:5]
        length, turn = float(np.hypot(*v)), 2 if kind == "anisotropy" else 1
        if not length > NOTHING:
            return _Vector()
        along, across = v / length, np.array([-v[1], v[0]]) / length
        direction = np.rad2deg(np.arctan2(v[1], v[0])) / turn % 180
        square = float(v @ np.linalg.pinv(covariance, hermitian=True) @ v)
        p = fdtrc(2, max(self.noise.freedom - 1, 1), max(square, 0.0) / 2)
        # the variance may be slightly negative if the covariance is singular
        length_err, across_err = (float(np.sqrt(np.maximum(x @ covariance @ x, 0))) for x in (along, across))
        return _Vector(length, length_err, float(direction), float(np.rad2deg(across_err / length / turn)), float(p))


class _Vector(NamedTuple):
    """Length of a vector, direction in degrees modulo 180, their errors, and p of a length of zero."""

    length: float = 0.0
    length_err: float = np.inf
    direction: float = np.nan
    direction_err: float = np.inf
    p: float = 1.0

    @property
    def is_directed(self) -> bool:
        return self.direction_err < DIRECTED

    def directions(self, name: str) -> dict[str, Any]:
        """Return the direction and its error by the names of fields, if it is known."""
        known = {f"{name}_direction": self.direction, f"{name}_direction_err": self.direction_err}
        return known if self.is_directed else {}


def _at(x: Floats, first: int, vectors: ArrayLike) -> Floats:
    """Return parameters with each of `vectors` in place of two of them, one row each."""
    out = np.tile(x, (len(np.asarray(vectors)), 1))
    out[:, first : first + 2] = vectors
    return out
