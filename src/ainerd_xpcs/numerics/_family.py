"""The models of a g2 curve, and their least-squares fits to many curves at once.

All models are one function of the field correlation (Siegert): a static share and up to two stretched exponentials,

    g2 = 1 + baseline + contrast (static + (1 - static) (share g + (1 - share) g_slow))²,

with g = exp(-(t / tau)^exponent) and g_slow = exp(-(t / (tau ratio))^exponent2). A static share interferes with the
moving one (heterodyne), an additive baseline does not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._least_squares import NOTHING, Normal, levenberg_marquardt

Floats = NDArray[np.float64]
FORMULA = (
    "g2(t) = 1 + baseline + contrast * (static + (1 - static) * (share * exp(-(t / tau)**exponent) + (1 - share) * "
    "exp(-(t / tau2)**exponent2)))**2"
)
NAMES = ("contrast", "tau", "exponent", "static", "baseline", "share", "ratio", "exponent2")
NEUTRAL = dict(zip(NAMES, (0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.5, 1.0), strict=True))
BOUNDS = {
    "contrast": (0.0, 1.0),
    "tau": (-100.0, 100.0),
    "exponent": (0.2, 2.5),
    "static": (0.0, 0.98),
    "baseline": (-0.5, 0.5),
    "share": (0.0, 1.0),
    "ratio": (float(np.log(3)), 20.0),
    "exponent2": (0.2, 2.5),
}
_SHAPES = {
    "stretched": ("contrast", "tau", "exponent"),
    "two modes": ("contrast", "tau", "share", "ratio"),
    "two stretched": ("contrast", "tau", "exponent", "share", "ratio", "exponent2"),
}
# Free parameters by model; the others have their neutral values.
MODELS: dict[str, tuple[str, ...]] = {"none": (), "flat": ("baseline",), **_SHAPES}
MODELS |= {f"{shape} + {rest}": (*free, rest) for shape, free in _SHAPES.items() for rest in ("static", "baseline")}
Bounds = Mapping[str, tuple[float, float]]
FREE: Bounds = {}
WIDTHS = dict(zip(NAMES, (1.0, 10.0, 2.3, 1.0, 1.0, 1.0, 6.0, 2.3), strict=True))
# Of a baseline beside speckle, which normalisation leaves: .02 is much. A part that does not decay may be any share.
BASELINE = 0.05
_WIDTH = 10.0  # a range is taken to be at most so wide where a value counts as one at its end
_AT_END = 1e-3
_LEAST = 0.004  # eigenvalue of a correlation between lags, which is computed to some per cent


@dataclass(frozen=True)
class Curves:
    """Curves of g2 with their noise.

    Attributes
    ----------
    lag : ndarray, shape (n,)
    value : ndarray, shape (k, n)
        Any number where there is no value.
    whitening : ndarray, shape (k, n, n)
        W with W C Wᵀ = 1 for the covariance C of a curve; its rows are zero at lags without a value.
    n : ndarray of int, shape (k,)
        Number of lags with a value.
    """

    lag: Floats
    value: Floats
    whitening: Floats
    n: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[np.int64]) -> "Curves":
        return Curves(self.lag, self.value[rows], self.whitening[rows], self.n[rows])

    @classmethod
    def of(cls, lag: Floats, value: Floats, covariance: Floats) -> "Curves":
        """Whiten curves (k, n) with covariances (k, n, n), in which unused lags are NaN on the diagonal."""
        whitening = np.zeros_like(covariance)
        use = np.isfinite(value) & np.isfinite(np.einsum("kii->ki", covariance))
        for w, c, some in zip(whitening, covariance, use, strict=True):
            at = np.ix_(some, some)
            sd = np.sqrt(np.diag(c[at]))
            value_of, vector = np.linalg.eigh(c[at] / sd[:, None] / sd)
            w[at] = (vector / np.sqrt(np.maximum(value_of, _LEAST))).T / sd
        return cls(lag, np.where(use, value, 1.0), whitening, use.sum(1))


@dataclass(frozen=True)
class Fitted:
    """Fits of one model: parameters `x` (k, 8), chi square (k,), covariance (k, 8, 8), and whether it is usable (k,).

    A fit is not usable (`edge`) if it did not converge, or if a free parameter is at the end of its range. `evidence`
    (k,) is the logarithm of the probability of the curve, in Laplace's approximation, with parameters that are equally
    likely in ranges of `WIDTHS`; a baseline beside speckle is Gaussian about zero, as dense there as in `BASELINE`.
    """

    model: str
    free: tuple[str, ...]
    x: Floats
    chi2: Floats
    covariance: Floats
    edge: NDArray[np.bool_]
    evidence: Floats

    def error(self, name: str) -> Floats:
        """Return the standard error of a parameter, (k,); of `tau` and `ratio` that of the logarithm."""
        j = NAMES.index(name)
        return np.asarray(np.sqrt(np.maximum(self.covariance[:, j, j], 0)))

    def __getitem__(self, name: str) -> Floats:
        return self.x[:, NAMES.index(name)]


def curve(lag: Floats, x: Floats) -> Floats:
    """Return g2 for parameters (k, 8), (k, n)."""
    return np.asarray(_parts(lag, x)[0])


def field(lag: Floats, x: Floats) -> Floats:
    """Return the field correlation for parameters (8,), of the shape of `lag`."""
    alone = x.copy()
    alone[[NAMES.index("contrast"), NAMES.index("baseline")]] = 1.0, 0.0
    return np.asarray(np.sqrt(np.maximum(curve(np.abs(lag).ravel(), alone[None])[0] - 1, 0)).reshape(lag.shape))


def _parts(lag: Floats, x: Floats) -> tuple[Floats, ...]:
    b, log_tau, p, s, c, f, d, p2 = (x[:, i : i + 1] for i in range(8))
    ratio = np.log(np.maximum(lag, 1e-300)) - log_tau
    z = np.exp(np.clip(p * ratio, -700, 6))
    fast = np.exp(-z)
    if (f < 1).any():
        z2 = np.exp(np.clip(p2 * (ratio - d), -700, 6))
        slow = np.exp(-z2)
    else:
        z2 = slow = np.zeros_like(fast)
    mixed = f * fast + (1 - f) * slow
    whole = s + (1 - s) * mixed
    return 1 + c + b * whole**2, ratio, z, fast, z2, slow, mixed, whole


def slopes(lag: Floats, x: Floats, free: Collection[str]) -> tuple[Floats, Floats]:
    """Return g2, (k, n), and its derivatives by the free parameters, (k, m, n)."""
    b, _, p, s, _, f, d, p2 = (x[:, i : i + 1] for i in range(8))
    value, ratio, z, fast, z2, slow, mixed, whole = _parts(lag, x)
    outer = 2 * b * whole
    inner = outer * (1 - s)
    slowed = inner * (1 - f) * z2 * slow
    by = {
        "contrast": lambda: whole**2,
        "tau": lambda: inner * f * p * z * fast + slowed * p2,
        "exponent": lambda: -inner * f * z * ratio * fast,
        "static": lambda: outer * (1 - mixed),
        "baseline": lambda: np.ones_like(whole),
        "share": lambda: inner * (fast - slow),
        "ratio": lambda: slowed * p2,
        "exponent2": lambda: -slowed * (ratio - d),
    }
    return value, np.stack([by[name]() for name in free], axis=1)


def fit(
    curves: Curves, model: str, starts: Sequence[Floats], bounds: Bounds = FREE, log_tau: Floats | None = None
) -> Fitted:
    """Fit one model to each curve from several starts (k, 8), and keep the best.

    `bounds` are ranges of parameters, by name, that are narrower than usual. A parameter whose range has no width is
    fixed in models that decay. With `log_tau`, (k,), tau is fixed.
    """
    decays = "contrast" in MODELS[model]
    fixed: dict[str, float | Floats] = {name: low for name, (low, high) in bounds.items() if low == high and decays}
    fixed |= {} if log_tau is None else {"tau": log_tau}
    free = tuple(name for name in MODELS[model] if name not in fixed)
    k, n_start = len(curves.value), len(starts)
    base = np.concatenate([_prepared(start, model, fixed) for start in starts])
    if not free:
        residual = np.einsum("kij,kj->ki", curves.whitening, curve(curves.lag, base[:k]) - curves.value)
        chi2 = (residual**2).sum(1)
        return Fitted(model, free, base[:k], chi2, np.zeros((k, 8, 8)), np.zeros(k, bool), -chi2 / 2)
    columns = [NAMES.index(name) for name in free]
    low, high = np.array([bounds.get(name, BOUNDS[name]) for name in free], dtype=float).T
    source = np.tile(np.arange(k), n_start)

    def normal(x: Floats, which: NDArray[np.int64]) -> Normal:
        rows = base[which]
        rows[:, columns] = x
        value, slope = slopes(curves.lag, rows, free)
        w = curves.whitening[source[which]]
        residual = w @ (value - curves.value[source[which]])[..., None]
        jacobian = slope @ w.transpose(0, 2, 1)
        matrix = jacobian @ jacobian.transpose(0, 2, 1)
        return (residual[..., 0] ** 2).sum(1), matrix, (jacobian @ residual)[..., 0]

    x, cost, finished = levenberg_marquardt(np.clip(base[:, columns], low, high), low, high, normal)
    best = cost.reshape(n_start, k).argmin(0) * k + np.arange(k)
    _, matrix, _ = normal(x[best], best)
    full = base[best]
    full[:, columns] = x[best]
    covariance = np.zeros((k, 8, 8))
    covariance[np.ix_(range(k), columns, columns)] = inverse(matrix)
    edge = ~finished[best] | _at_ends(x[best], low, high).any(1)
    widths = WIDTHS | ({"baseline": BASELINE} if "contrast" in free else {})
    width = np.array([widths[name] for name in free])
    narrower = np.eye(len(free)) + matrix * np.outer(width, width) / (2 * np.pi)
    beyond = 2 * np.pi * (full[:, NAMES.index("baseline")] / BASELINE) ** 2 if "contrast" in free else 0.0
    evidence = -(cost[best] + beyond + np.linalg.slogdet(narrower)[1]) / 2
    return Fitted(model, free, full, cost[best], covariance, edge, evidence)


def start_of(curves: Curves) -> tuple[Floats, Floats]:
    """Return starts (k, 8) at the lag at which a curve has decayed to e⁻² of its height, and in the middle."""
    x = np.tile(np.array(list(NEUTRAL.values())), (len(curves.value), 1))
    for row, y, w in zip(x, curves.value, curves.whitening, strict=True):
        some = np.flatnonzero(w.any(0))
        if some.size:
            height = max(float(np.median(y[some[:3]])) - 1, 1e-3)
            below = some[y[some] - 1 < height * np.exp(-2)]
            row[:2] = height, np.log(max(curves.lag[below[0] if below.size else some[-1]], 1e-300))
    middle = x.copy()
    positive = curves.lag[curves.lag > 0]
    middle[:, 1] = np.log(positive[[0, -1]]).mean()
    return x, middle


def changed(x: Floats, **values: float | Floats) -> Floats:
    """Return a copy of parameters (k, 8) with other values of some."""
    out = x.copy()
    for name, value in values.items():
        out[:, NAMES.index(name)] = value
    return out


def inverse(matrix: Floats) -> Floats:
    """Invert normal equations (k, m, m) by their pseudo-inverse, scaled so that units do not matter."""
    scale = np.sqrt(np.maximum(np.einsum("kii->ki", matrix), NOTHING))
    scaled = matrix / scale[:, :, None] / scale[:, None]
    with np.errstate(over="ignore"):  # of parameters without influence on g2
        out = np.linalg.pinv(scaled, rcond=1e-12, hermitian=True) / scale[:, :, None] / scale[:, None]
    dead = scale <= np.sqrt(NOTHING)
    np.einsum("kii->ki", out)[dead] = np.inf
    return np.asarray(out)


def _prepared(start: Floats, model: str, fixed: Mapping[str, float | Floats]) -> Floats:
    """Return a start with the fixed parameters. Those that the model does not have get neutral values."""
    neutral = {name: value for name, value in NEUTRAL.items() if name not in MODELS[model]}
    return changed(start, **{**fixed, **neutral})


def _at_ends(x: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    near = _AT_END * np.minimum(high - low, _WIDTH)
    return np.asarray((x < low + near) | (x > high - near))
