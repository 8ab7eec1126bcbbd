"""What moves across a ring: a velocity, a spread of velocities, an anisotropic relaxation, or nothing of the kind."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution

from ainerd.xpcs._anisotropy import differ
from ainerd.xpcs._fit import NOTHING, fit_kww
from ainerd.xpcs._fringes import N, Ring, fit, search
from ainerd.xpcs._scatter import Scatter, scatter

FORMULA = (
    "g2(tau) = 1 + contrast(phi) * (x**2 * g**2 + static**2 + 2 * x * static * g * <cos(q * velocity * tau * cos(phi - "
    "direction))>), x = 1 - static, <> over the width of a bin, g = exp(-(tau / tau0(phi))**exponent - (q * "
    "velocity_spread * tau * cos(phi - direction))**2 / 2), tau0(phi) = tau0 * exp(-anisotropy * cos(2 * (phi - "
    "direction)))"
)
SURE_P = 0.01
SURE_BIC = 10.0  # "very strong", Kass and Raftery 1995
ALIKE = 2.0  # two kinds of flow that differ by less are not told apart
KNOWN = 1 / 12  # a velocity that is known no better is found where noise happens to enlarge it
SHAPE = [0, 1, 2]  # log tau, exponent, static
Kind = Literal["none", "velocity", "spread", "anisotropy"]


@dataclass(frozen=True, kw_only=True)
class FlowFit:
    """What g2 of the bins of one ring says of motion across azimuth; with ``_err``, one standard deviation.

    Attributes
    ----------
    kind : {"none", "velocity", "spread", "anisotropy"}
        The model that the data choose: all bins alike (but for their contrast), a uniform flow that interferes with
        what stands still, a spread of velocities without fringes, or a relaxation time with a second harmonic.
    velocity, velocity_err : float
        Of the uniform flow, in nm per unit of tau; NaN unless `kind` is "velocity".
    velocity_spread, velocity_spread_err : float
        Standard deviation of the velocities, in nm per unit of tau; NaN unless `kind` is "spread". A linear profile
        between walls of speeds 0 and V has V / sqrt(12).
    flow_direction, flow_direction_err : float
        Of either, in degrees from 0 to 180: speckle does not tell forth from back.
    flow_p : float
        Chance that bins which are alike differ so much across azimuth: of `differ` with parts, else of the drop of chi
        square, independent lags taken for granted.
    flow_bic : float
        Bayesian information criterion without flow (all bins alike, or anisotropic, whichever is better) less that of
        the better flow. A flow is claimed above 10, with `flow_p` below .01, where the other kind of flow is worse and
        its velocity is known to a twelfth. NaN where none was tried, as the bins do not differ.
    anisotropy, anisotropy_err : float
        Amplitude of the second harmonic of log tau; NaN unless claimed, and where there are fringes.
    anisotropy_direction, anisotropy_direction_err : float
        Where relaxation is quickest, in degrees from 0 to 180.
    anisotropy_p : float
        Of an amplitude of zero; claimed below .01.
    static, static_err : float
        Part of the scattered intensity that stands still.
    tau, tau_err : float
        Relaxation time of the moving part's g1, in all directions alike unless `kind` is "anisotropy".
    exponent, contrast : float
        `contrast` is the mean over bins.
    chi2 : float
        Reduced chi square of the chosen model (sum of squares per degree of freedom without parts or errors).
    """

    kind: Kind
    velocity: float
    velocity_err: float
    velocity_spread: float
    velocity_spread_err: float
    flow_direction: float
    flow_direction_err: float
    flow_p: float
    flow_bic: float
    anisotropy: float
    anisotropy_err: float
    anisotropy_direction: float
    anisotropy_direction_err: float
    anisotropy_p: float
    static: float
    static_err: float
    tau: float
    tau_err: float
    exponent: float
    contrast: float
    chi2: float
    formula: str = FORMULA


def fit_flow(
    tau: ArrayLike,
    g2: ArrayLike,
    phi: ArrayLike,
    q: ArrayLike,
    error: ArrayLike | None = None,
    *,
    parts: ArrayLike | None = None,
    part_roi: ArrayLike | None = None,
    part_weight: ArrayLike | None = None,
    phi_width: float = 0.0,
    q_width: float = 0.0,
) -> FlowFit:
    """Find what depends on azimuth in the bins of a ring, and say nothing where a test does not.

    Moving and static scatterers together give |g1|² = x² g² + (1 - x)² + 2 x (1 - x) g cos(q·v tau) (Livet et al., J.
    Synchrotron Rad. 13, 453, 2006). Velocities that are spread about their mean, as in shear, let speckle decay without
    fringes, by exp(-(q·s tau)²) for a normal spread (Fuller et al., J. Fluid Mech. 100, 555, 1980; Burghardt et al.,
    Phys. Rev. E 85, 021402, 2012). Angle-resolved velocities are what Horwath et al. (Nat. Commun. 15, 5945, 2024)
    conclude from. Each bin has a contrast of its own.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n)
        NaN is left out. Relaxation time and static part are taken to be the same in all bins: take one ring at a time,
        and `fit_power` for what depends on q.
    phi : array_like, shape (n_roi,)
        Azimuth of the bins, in degrees; part of a circle will do.
    q : float or array_like, shape (n_roi,)
        In 1/nm.
    error : array_like, like g2, optional
        Standard errors, for want of parts; zero and NaN errors are not used.
    parts : array_like, shape (n_part, n), optional
        g2 of groups of pixels of the bins, three or more a bin. Lags of g2 vary together, as the same speckles are in
        all of them; the scatter of parts tells how, and sets errors and `flow_p`. Without parts lags are taken to be
        independent, and errors and p values of real frames are too small.
    part_roi : array_like of int, shape (n_part,)
        Bin of each part, from 0.
    part_weight : array_like, shape (n_part,), optional
        Pixels of each part, for bins of unequal size; the shares that `G2` has are as good where bins are equal.
    phi_width : float
        Of a bin, in degrees: 20 where there are 18. Fringes that differ within a bin are less deep.
    q_width : float
        Of a bin, in 1/nm. At larger q relaxation is quicker, here as q², and late fringes are those of smaller q: in a
        ring of q ± 10 % velocities would else come out 1 % too low.

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
    noise, p = None, np.nan
    if parts is not None:
        order = np.argsort(lags)
        order = order[lags[order] > 0]
        noise, bins, data = scatter(values[:, order], np.asarray(parts)[..., order], part_roi, part_weight)
        order = order[data]
        lags, values, errors = lags[order], values[np.ix_(bins, order)], errors[np.ix_(bins, order)]
        azimuth, momentum = azimuth[bins], momentum[bins]
        if lags.size < 4 or bins.size < 3:
            return _nothing()
        p = differ(values, azimuth, noise)
        if not p < SURE_P:  # nothing to explain: nearly all runs end here
            return _nothing(flow_p=p, anisotropy_p=p)
    ring, known = _ring(lags, values, azimuth, momentum, errors, noise)
    if (ring.weight > 0).sum() < 20 or len(azimuth) < 3:
        return _nothing()
    ring = replace(ring, half=(np.deg2rad(phi_width) / 2, q_width / momentum.mean() / 2))
    return _Choice(ring, momentum.mean(), noise, known, p).report()


def _ring(lags, values, azimuth, momentum, errors, noise: Scatter | None) -> tuple[Ring, bool]:
    """What is fitted, and whether its noise is known."""
    use = np.isfinite(values) & (lags > 0)
    known = noise is not None or bool(np.all(np.isfinite(errors[use]) & (errors[use] > 0)))
    if noise is not None:
        weight = np.broadcast_to(np.sqrt(noise.size)[:, None], values.shape)
    else:
        weight = np.where(use, 1 / np.where(use & known, errors, 1.0), 0.0)
    angle = np.deg2rad(azimuth)
    along = momentum / momentum.mean() * np.stack([np.cos(angle), np.sin(angle)])
    lags = np.where(lags > 0, lags, 1.0)
    mix = None if noise is None else noise.whitening()
    return Ring(lags, angle, along[..., None] * lags, np.where(use, values, 1.0), weight, mix), known


class _Choice:
    """Fits of every model to one ring, and what they say."""

    def __init__(self, ring: Ring, q: float, noise: Scatter | None, known: bool, p: float) -> None:
        self.ring, self.q, self.noise, self.known, self.p = ring, q, noise, known, p
        self.n = int((ring.weight > 0).sum())
        self.free = {
            "none": SHAPE,
            "velocity": [*SHAPE, 3, 4],
            "spread": [*SHAPE, 5, 6],
            "anisotropy": [*SHAPE, 7, 8],
        }
        begin = self._begin()
        self.fits = {"none": fit(begin, ring, self.free["none"])}
        plain = self.fits["none"][0]
        rate = np.exp(-plain[0])
        starts = {
            "anisotropy": np.stack([_at(plain, 7, a) for a in ((0.1, 0.0), (0.0, 0.1), (-0.1, 0.0), (0.0, -0.1))]),
            "spread": np.stack(
                [_at(plain, 5, rate * np.array(w)) for w in ((0.7, 0.0), (0.5, 0.5), (0.0, 0.7), (-0.5, 0.5))]
            ),
            "velocity": search(ring, plain),
        }
        for kind, start in starts.items():
            if len(start):
                self.fits[kind] = fit(start, ring, self.free[kind])
        cost = {kind: found[1] for kind, found in self.fits.items()}
        chi2 = cost if known else {kind: self.n * np.log(max(c, 1e-300)) for kind, c in cost.items()}
        self.bic = {kind: c + self._size(kind) * np.log(self.n) for kind, c in chi2.items()}

    def _size(self, kind: str) -> int:
        """Parameters of a model, a contrast for each bin among them."""
        return len(self.free[kind]) + len(self.ring.angle)

    def _begin(self) -> NDArray:
        """Starts of the fit in which all bins are alike: with a static part, and without."""
        ring = self.ring
        weight = (ring.weight**2).sum(0)
        seen = weight > 0
        lag = ring.lag[seen]
        mean = (ring.weight**2 * ring.value).sum(0)[seen] / weight[seen]
        order = np.argsort(lag)
        first = fit_kww(lag[order], mean[order])
        height = max(mean[order[0]] - 1, 1e-3)
        middle = np.sqrt(lag.min() * lag.max())
        log_tau, exponent = (np.log(first.tau[0]), first.exponent[0]) if first.ok[0] else (np.log(middle), 1.0)
        n_roi = len(ring.angle)
        log_tau = np.clip(log_tau, np.log(lag.min() / 4), np.log(lag.max() * 4))
        rows = [
            [log_tau, min(exponent, 2.0), 0.05, *6 * [0.0], *n_roi * [height]],
            [log_tau, 1.0, 0.4, *6 * [0.0], *n_roi * [height]],
        ]
        return np.array(rows)

    def report(self) -> FlowFit:
        """The chosen model's numbers."""
        flow = min((kind for kind in ("velocity", "spread") if kind in self.bic), key=self.bic.__getitem__)
        gain = min(self.bic["none"], self.bic["anisotropy"]) - self.bic[flow]
        p = self.p
        if self.noise is None:  # thousands of trial velocities: the p of one, times their number
            drop = (self.fits["none"][1] - self.fits[flow][1]) / 2
            freedom = max(self.n - self._size(flow), 1)
            left = 1.0 if self.known else max(self.fits[flow][1] / freedom, 1e-300)
            p = min(1.0, 1000 * float(f_distribution.sf(drop / left, 2, freedom)))
        out = {"flow_p": p, "flow_bic": gain}
        kind: Kind = "none"
        length, length_err, direction, direction_err, _ = self._vector(flow)
        other = min((bic for kind, bic in self.bic.items() if kind not in ("none", "anisotropy", flow)), default=np.inf)
        surely = gain > SURE_BIC and other - self.bic[flow] > ALIKE and p < SURE_P
        surely = surely and length_err < KNOWN * length and direction_err < 20
        if surely:
            kind = flow
            name = "velocity" if flow == "velocity" else "velocity_spread"
            out |= {name: length / self.q, f"{name}_err": length_err / self.q}
            out |= {"flow_direction": direction, "flow_direction_err": direction_err}
        size, size_err, twice, twice_err, out["anisotropy_p"] = self._vector("anisotropy")
        if kind != "velocity" and out["anisotropy_p"] < SURE_P and self.bic["anisotropy"] < self.bic["none"]:
            kind = "anisotropy" if kind == "none" else kind
            out |= {"anisotropy": size, "anisotropy_err": size_err}
            out |= {"anisotropy_direction": twice / 2 % 180, "anisotropy_direction_err": twice_err / 2}
        x, cost, _ = self.fits[kind]
        sd = np.sqrt(np.diag(self._covariance(kind))[:3])
        shape = {"static": x[2], "static_err": sd[2], "tau": np.exp(x[0]), "tau_err": np.exp(x[0]) * sd[0]}
        shape |= {"exponent": x[1], "contrast": x[N:].mean()}
        shape["chi2"] = cost / max(self.n - self._size(kind), 1)
        return _nothing(kind=kind, **out, **shape)

    def _covariance(self, kind: str) -> NDArray:
        """Of the free parameters: the sandwich of the scatter of parts, or what independent lags have."""
        _, cost, jacobian = self.fits[kind]
        flat = jacobian.reshape(len(jacobian), -1)
        scale = np.maximum(np.linalg.norm(flat, axis=1), NOTHING)
        if not (scale > NOTHING).any():
            return np.eye(len(flat)) / NOTHING
        bread = np.linalg.pinv((flat / scale[:, None]) @ (flat / scale[:, None]).T, rcond=1e-10, hermitian=True)
        bread /= scale * scale[:, None]
        noise = self.noise
        if noise is None:
            return bread * (1.0 if self.known else cost / max(self.n - len(flat), 1))
        weighted = np.sqrt(noise.size)[noise.roi, None] * noise.deviation @ self.ring.mix.T  # type: ignore[union-attr]
        score = np.einsum("nrl,rl->rn", jacobian[:, noise.roi], weighted) * np.sqrt(noise.factor)[:, None]
        return bread @ (score.T @ score) @ bread * (noise.freedom / max(noise.freedom - 2, 1))

    def _vector(self, kind: str) -> tuple[float, float, float, float, float]:
        """Length, error, direction in degrees modulo 180 (360 for anisotropy), error, and p of a length of zero."""
        x, _, _ = self.fits[kind]
        first = {"velocity": 3, "spread": 5, "anisotropy": 7}[kind]
        v, covariance = x[first : first + 2], self._covariance(kind)[3:5, 3:5]
        length = float(np.hypot(*v))
        if not length > NOTHING:
            return 0.0, np.inf, np.nan, np.inf, 1.0
        along, across = v / length, np.array([-v[1], v[0]]) / length
        direction = np.rad2deg(np.arctan2(v[1], v[0])) % (360 if kind == "anisotropy" else 180)
        freedom = self.n - self._size(kind) if self.noise is None else self.noise.freedom - 1
        p = f_distribution.sf(v @ np.linalg.pinv(covariance, hermitian=True) @ v / 2, 2, max(freedom, 1))
        # a covariance that is singular to rounding may have less than nothing in a direction
        length_err, across_err = (float(np.sqrt(max(x @ covariance @ x, 0.0))) for x in (along, across))
        return length, length_err, float(direction), float(np.rad2deg(across_err / length)), float(p)


def _at(x: NDArray, first: int, vector: ArrayLike) -> NDArray:
    out = x.copy()
    out[first : first + 2] = vector
    return out


def _nothing(kind: Kind = "none", **known: float) -> FlowFit:
    names = (field.name for field in fields(FlowFit) if field.type is float)
    return FlowFit(kind=kind, **(dict.fromkeys(names, np.nan) | {name: float(x) for name, x in known.items()}))  # type: ignore[arg-type]
