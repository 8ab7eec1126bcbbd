"""The choice between models of g2 by evidence, and the numbers that each curve determines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ainerd_xpcs.numerics._family import FREE, MODELS, NAMES, Bounds, Curves, Fitted, changed, curve, fit, start_of

Floats = NDArray[np.float64]
GAIN = 2.3  # in the logarithm of the evidence, of a richer model: odds of ten ("strong", Jeffreys 1961)
GAIN_TWO = 3.0  # of a second mode: odds of twenty, with which fewer than one curve of one mode in a hundred has two
SHARE_KNOWN = 3.0  # errors by which a share differs from nothing in a model that is chosen
SHARE_POSSIBLE = 1.5  # the same in a model that widens the errors of another
RIVAL = 5.0  # largest difference in the logarithm between models of which a curve does not tell the better
LEFT_OVER = 0.003  # largest baseline that our normalisation leaves: if the intensity in a static ring varies by 5 %
ONE_ERROR = 0.6827  # of a normal distribution within one error
STEPS = 24  # relaxation times that are tried for limits
EXPONENTS = (0.3, 2.0)  # of the curves that are tried for limits
ALL_MODELS = (
    "none", "flat", "stretched", "stretched + static", "stretched + baseline", "two modes", "two modes + static",
    "two modes + baseline", "two stretched",
)  # fmt: skip
ONE_MODE = tuple(model for model in ALL_MODELS if "share" not in MODELS[model])
LATEST = 10.0  # slowest mode, in the longest lag, that is called a mode
RATIO_KNOWN = 1.0  # error of the logarithm of tau2 / tau above which the slow mode is a part that does not decay
_BANDS = 8
_SIMPLE = ("none", "flat", "stretched")


@dataclass(frozen=True)
class Chosen:
    """The model of one curve: parameters (8,), their covariance (8, 8), and how well they describe the curve.

    Attributes
    ----------
    model : str
    either : Other, optional
        A model that describes the curve as well, with as many parameters.
    others : tuple of Other
        Further models that the evidence allows.
    evidence : float
        Its logarithm.
    shared : tuple of str
        Parameters that have one value for several curves; empty if the curve is fitted alone.
    fits : tuple of (Candidate, Chosen)
        All models that were fitted, each as if it were the only one.
    """

    model: str
    x: Floats
    covariance: Floats
    chi2: float
    dof: int
    either: "Other | None" = None
    others: tuple["Other", ...] = ()
    evidence: float = -np.inf
    shared: tuple[str, ...] = ()
    fits: tuple[tuple["Candidate", "Chosen"], ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Parameters that are not fixed."""
        return tuple(name for name, sd in zip(NAMES, np.diag(self.covariance), strict=True) if sd > 0)

    def value(self, name: str) -> float:
        """Return a parameter; of `tau` and `ratio` the logarithm."""
        return float(self.x[NAMES.index(name)])

    def error(self, name: str) -> float:
        """Return its standard error; larger if the curve scatters by more than its errors, or other models differ."""
        j = NAMES.index(name)
        own = max(self.covariance[j, j], 0) * max(self.chi2 / max(self.dof, 1), 1.0)
        return self.among_models(name, float(np.sqrt(own)))

    def among_models(self, name: str, own: float) -> float:
        """Return the error of a parameter whose error in this model is `own`, with the further models.

        Each model gives a normal distribution, weighted with its evidence. The interval about the value that holds .68
        of all is twice the error: a few per cent of another value hardly widen it, while their variance would. The
        model `either`, if it has as many parameters, does not count, because its own value is reported.
        """
        j = NAMES.index(name)
        some = [each for each in self.others if name in each.known]
        if not some or not 0 < own < np.inf:
            return own
        ratio = own / np.sqrt(self.covariance[j, j])
        weight = np.array([1.0, *(each.weight for each in some)])
        shift = np.array([0.0, *(each.x[j] - self.x[j] for each in some)])
        sd = ratio * np.array([np.sqrt(self.covariance[j, j]), *(each.sd[j] for each in some)])
        low, high = 0.0, float(np.abs(shift).max() + 2 * sd.max())
        for _ in range(30):
            middle = (low + high) / 2
            held = weight @ (ndtr((middle - shift) / sd) - ndtr((-middle - shift) / sd)) / weight.sum()
            low, high = (middle, high) if held < ONE_ERROR else (low, middle)
        return high


class Other(NamedTuple):
    """A model beside the chosen one: its weight over that of the chosen one, parameters and errors (8,)."""

    model: str
    weight: float
    x: Floats
    sd: Floats
    known: tuple[str, ...]  # the parameters that mean the same in both


class Candidate(NamedTuple):
    """A model beside others, of one curve or of several together.

    Attributes
    ----------
    model : str
    evidence, likelihood : float
        Their logarithms; the likelihood is that of a scatter as large as that about the best model.
    sigmas : float
        Errors by which its shares differ from nothing: infinite without any, 0 if it may not be chosen.
    n_free : int
        Free parameters.
    baseline : float
        That of g2, or of several curves the largest.
    """

    model: str
    evidence: float
    likelihood: float
    sigmas: float
    n_free: int
    baseline: float

    @property
    def rank(self) -> tuple[bool, int]:
        """Whether it has two modes, and its number of parameters."""
        return "share" in MODELS[self.model], self.n_free


def together(of_each: Iterable[Sequence[Candidate]]) -> list[Candidate]:
    """Return the models that all curves have, with the evidence of all curves for them.

    The ranges of parameters weigh equally in models with as many of them: a guess of a range that is somewhat wrong
    would count once for each curve, and outweigh the curves.
    """
    rows = [{each.model: each for each in candidates} for candidates in of_each]
    out = []
    for model in rows[0] if rows else ():
        if all(model in row for row in rows):
            _, evidence, likelihood, sigmas, n_free, baseline = zip(*(row[model] for row in rows), strict=True)
            sums = float(np.sum(evidence)), float(np.sum(likelihood)), float(np.hypot.reduce(sigmas))
            out.append(Candidate(model, *sums, n_free[0], max(baseline)))
    ranges = {n: [x.evidence - x.likelihood for x in out if x.rank[1] == n] for n in {x.rank[1] for x in out}}
    return [x._replace(evidence=x.likelihood + min(ranges[x.rank[1]])) for x in out]


def decide(candidates: Sequence[Candidate], left_over: float) -> tuple[Candidate, Candidate | None] | None:
    """Return the model that the evidence prefers by the rules of `choose`, and another one that it does not exclude."""
    usable = sorted(
        (each for each in candidates if each.sigmas > SHARE_KNOWN), key=lambda each: (each.rank, -each.evidence)
    )
    if not usable:
        return None
    best = usable[0]
    for each in usable[1:]:
        of_two = RIVAL if "+" in best.model else GAIN_TWO
        gain = of_two if each.rank[0] > best.rank[0] else GAIN if each.rank > best.rank else 0
        if each.evidence > best.evidence + gain:
            best = each
    best, rival = _of_rest(best, candidates, left_over)
    if rival is None:
        rival = next((x for x in usable if x.rank > best.rank and x.evidence > best.evidence), None)
    return best, rival


def choose(
    curves: Curves,
    models: Sequence[str] = ALL_MODELS,
    bounds: Bounds = FREE,
    *,
    left_over: float = LEFT_OVER,
    every_model: bool = False,
    one_model: bool = False,
) -> list[Chosen]:
    """Choose for each curve the model that the evidence prefers, from `models`.

    The logarithm of its evidence must exceed by `GAIN` that of a model with fewer parameters, and by `GAIN_TWO` that of
    a model with one mode if it has two, or by `RIVAL` if that has a rest that does not decay; all its shares must
    differ from zero by `SHARE_KNOWN` errors, and none of its parameters may be at the end of its range. Richer models
    are fitted only to curves from which a stretched exponential, or a richer model, leaves a smooth residual.

    A static share and a baseline mostly describe a rest equally well. So that noise does not choose between them, a
    rest of at most `left_over` is called a baseline, and a larger one a static share, unless the likelihood of that is
    smaller by more than `RIVAL` in the logarithm.

    With `every_model` all models are fitted to all curves. With `one_model` the evidence of all curves together then
    chooses one for all.
    """
    every = np.arange(len(curves.value))
    fits: dict[str, tuple[NDArray[np.int64], Fitted]] = {}
    first, middle = start_of(curves)
    last: dict[str, Floats] = {}  # the parameters of each model for all curves, from which others start
    for model in models:
        fewer = [fitted for name, fitted in fits.items() if len(MODELS[name]) < len(MODELS[model])]
        rows = every if one_model or every_model or model in _SIMPLE else _with_room(curves, fewer)
        rows = rows[curves.n[rows] >= len(MODELS[model]) + 2]
        if not rows.size:
            continue
        starts = [start[rows] for start in _starts(model, first, middle, last)]
        fits[model] = rows, fit(curves[rows], model, starts, bounds)
        last[model] = last.get("stretched", first).copy()
        last[model][rows] = fits[model][1].x
    of_curves = [_fits_of(curves, int(k), fits) for k in every]
    if one_model:
        decided = decide(together([each.candidate for each in of_curve] for of_curve in of_curves), left_over)
        return [_chosen(of_curve, decided, int(n)) for of_curve, n in zip(of_curves, curves.n, strict=True)]
    return [
        _chosen(of_curve, decide([each.candidate for each in of_curve], left_over), int(n), alone=True)
        for of_curve, n in zip(of_curves, curves.n, strict=True)
    ]


def _starts(model: str, first: Floats, middle: Floats, last: dict[str, Floats]) -> list[Floats]:
    """Return the starts of a model, from those that were fitted before it."""
    if model in ("none", "flat"):
        return [changed(first, contrast=0.0)]
    single, double = last.get("stretched", first), last.get("two modes", first)
    match model.split(" + "):
        case ["stretched"]:
            return [changed(first, exponent=1.0), changed(first, exponent=0.6), changed(middle, exponent=0.5)]
        case ["stretched", "static"]:
            return [changed(single, static=s, exponent=p) for s, p in ((0.1, single[:, 2]), (0.3, 1.0), (0.6, 1.0))]
        case ["stretched", "baseline"]:
            static = last.get("stretched + static", single)
            rest = static[:, 0] * static[:, 3] ** 2
            tail = [changed(single, baseline=share * single[:, 0], exponent=1.0) for share in (0.02, 0.2)]
            return [*tail, changed(static, baseline=rest, contrast=static[:, 0] - rest, static=0.0)]
        case ["two modes"]:
            apart = ((0.5, 1.2, 3.0), (0.3, 2.5, 4.0), (0.7, 0.0, 3.0))
            return [changed(single, share=f, tau=single[:, 1] - back, ratio=d) for f, back, d in apart]
        case ["two stretched"]:
            broad = changed(single, exponent=0.5, exponent2=0.5, share=0.4, tau=single[:, 1] - 2, ratio=5.0)
            return [changed(double, exponent=0.8, exponent2=0.8), broad]
        case [shape, rest]:
            start = last.get(shape, double)
            return [changed(start, **{rest: 0.1 if rest == "static" else 0.003})]
    raise ValueError(f"no model {model!r}: there are {', '.join(MODELS)}")


def _with_room(curves: Curves, fits: Sequence[tuple[NDArray[np.int64], Fitted]]) -> NDArray[np.int64]:
    """Return the curves whose best fit leaves a smooth residual, which a richer model may remove.

    The whitened residual is projected on smooth functions of the logarithm of the lag: no richer model of the family
    can lower chi square by much more than that.
    """
    least, best = np.full(len(curves.n), np.inf), np.zeros((len(curves.n), len(NAMES)))
    for rows, fitted in fits:
        better = fitted.chi2 < least[rows]
        least[rows[better]], best[rows[better]] = fitted.chi2[better], fitted.x[better]
    residual = (curves.whitening @ (curves.value - curve(curves.lag, best))[..., None])[..., 0]
    x = np.log(np.maximum(curves.lag, 1e-300))
    knots = np.linspace(x[0], x[-1], _BANDS)
    hats = np.maximum(1 - np.abs(x - knots[:, None]) / (knots[1] - knots[0]), 0).T
    basis, _ = np.linalg.qr(curves.whitening @ hats)
    room = ((basis.transpose(0, 2, 1) @ residual[..., None])[..., 0] ** 2).sum(1)
    return np.flatnonzero(room > 2 * GAIN)


class _Fit(NamedTuple):
    candidate: Candidate
    fitted: Fitted
    row: int

    def only(self, n: int) -> Chosen:
        """Return the model as if it were the only one, of a curve with n lags."""
        numbers = self.fitted.x[self.row], self.fitted.covariance[self.row], float(self.fitted.chi2[self.row])
        return Chosen(self.candidate.model, *numbers, n - len(self.fitted.free))


def _fits_of(curves: Curves, k: int, fits: dict[str, tuple[NDArray[np.int64], Fitted]]) -> list[_Fit]:
    """Return the models that were fitted to a curve."""
    latest = float(np.log(LATEST * curves.lag[-1]))
    at = {model: int(np.searchsorted(rows, k)) for model, (rows, _) in fits.items()}
    at = {model: row for model, row in at.items() if row < len(fits[model][0]) and fits[model][0][row] == k}
    n = int(curves.n[k])
    scatter = [fits[model][1].chi2[row] / max(n - len(fits[model][1].free), 1) for model, row in at.items()]
    scale, out = max(1.0, min(scatter, default=1.0)), []
    for model, row in at.items():
        fitted = fits[model][1]
        likelihood, baseline = -float(fitted.chi2[row]) / 2 / scale, float(fitted["baseline"][row])
        known = float(fitted.evidence[row]), likelihood, _share_known(fitted, row, latest), len(fitted.free), baseline
        out.append(_Fit(Candidate(model, *known), fitted, row))
    return out


def _chosen(
    fits: Sequence[_Fit], decided: tuple[Candidate, Candidate | None] | None, n: int, *, alone: bool = False
) -> Chosen:
    """Return the decided model of a curve; `alone`, with the others that its own evidence allows."""
    if decided is None:
        unknown = np.full((8, 8), np.nan)
        return Chosen("", unknown[0], unknown, np.nan, n)
    best, rival = decided
    own = next(each for each in fits if each.candidate.model == best.model)
    fitted, others = own.fitted, dict[str, Other]()
    for each in fits:
        if each is own:
            continue
        both = tuple(x for x in ("tau", "exponent") if x in fitted.free and x in each.fitted.free)
        rank = each.candidate.rank
        odds = GAIN * ((best.rank > rank) - (rank > best.rank))  # against the richer of both
        weight = float(np.exp(np.clip(each.candidate.evidence - own.candidate.evidence + odds, -100, 0)))
        sd = np.sqrt(np.maximum(np.diag(each.fitted.covariance[each.row]), 0))
        others[each.candidate.model] = Other(each.candidate.model, weight, each.fitted.x[each.row], sd, both)
    either = None if rival is None else others.pop(rival.model)
    further = tuple(
        others[x.model]
        for x in (each.candidate for each in fits)
        if alone and x.model in others and x.sigmas > SHARE_POSSIBLE and x.rank[0] == best.rank[0]
    )
    evidence = best.evidence if alone else own.candidate.evidence
    every = tuple((each.candidate, each.only(n)) for each in fits)
    return replace(own.only(n), either=either, others=further, evidence=evidence, fits=every)


def _of_rest(best: Candidate, every: Sequence[Candidate], left_over: float) -> tuple[Candidate, Candidate | None]:
    """Return the model with a static share or with a baseline, and the other of both unless the curve excludes it."""
    shape = best.model.partition(" + ")[0]
    pair = [x for x in every if x.model in (f"{shape} + static", f"{shape} + baseline")]
    pair = [x for x in pair if x is best or x.sigmas > SHARE_POSSIBLE]
    if not any(x is best for x in pair) or len(pair) < 2:
        return best, None
    is_small = next(x for x in pair if x.model.endswith("baseline")).baseline <= left_over
    first, second = sorted(pair, key=lambda x: x.model.endswith("baseline") != is_small)
    better = first.likelihood - second.likelihood
    if better < -RIVAL:
        first, second = second, first
    evidence = max(first.evidence, second.evidence)
    return first._replace(evidence=evidence), second if abs(better) <= RIVAL else None


def _share_known(fitted: Fitted, row: int, latest: float) -> float:
    """Return by how many errors the shares of a fit differ from nothing; zero if it may not be chosen at all.

    It may not if its slow mode hardly decays within the lags: the logarithm of its time is above `latest`.
    """
    if fitted.model in _SIMPLE:
        return np.inf if np.isfinite(fitted.chi2[row]) else 0.0
    if fitted.edge[row] or not np.isfinite(fitted.covariance[row]).all():
        return 0.0
    sizes: dict[str, float] = {
        name: abs(fitted[name][row]) for name in ("contrast", "static", "baseline") if name in fitted.free
    }
    if "share" in fitted.free:
        if fitted.error("ratio")[row] > RATIO_KNOWN or fitted["tau"][row] + fitted["ratio"][row] > latest:
            return 0.0
        sizes["share"] = min(fitted["share"][row], 1 - fitted["share"][row])
    return float(min(size / max(fitted.error(name)[row], 1e-300) for name, size in sizes.items()))


def limits_of_tau(
    curves: Curves, threshold: float, bounds: Bounds = FREE, model: str = "stretched"
) -> tuple[Floats, Floats]:
    """Return the one-sided limits of tau, above and below, (k,) each; NaN without a limit.

    Chi square of `model` with any contrast and exponent is compared at trial relaxation times, first at
    all and then between those that it excludes; `threshold` is by how much it may exceed its minimum.
    """
    k = len(curves.value)
    positive = curves.lag[curves.lag > 0]
    low, high = np.full(k, np.log(positive[0] / 20)), np.full(k, np.log(100 * positive[-1]))
    rows = np.repeat(np.arange(k), STEPS)
    start, _ = start_of(curves)
    bounds = {"exponent": EXPONENTS, **bounds}
    starts = [changed(start[rows], exponent=exponent) for exponent in (0.5, 1.0)]
    for _ in range(2):
        trial = np.linspace(low, high, STEPS, axis=1)
        chi2 = fit(curves[rows], model, starts, bounds, trial.ravel()).chi2.reshape(k, STEPS)
        above, below = np.full((2, k), np.nan)
        for i, of_curve in enumerate(chi2 - chi2.min(1, keepdims=True) - threshold):
            kept = np.flatnonzero(of_curve < 0)
            if kept[0] > 0:
                low[i], above[i] = trial[i, kept[0] - 1], _crossing(trial[i], of_curve, kept[0] - 1)
            if kept[-1] < STEPS - 1:
                high[i], below[i] = trial[i, kept[-1] + 1], _crossing(trial[i], of_curve, kept[-1])
    return above, below


def _crossing(x: Floats, y: Floats, i: int) -> float:
    return float(np.exp(x[i] + (x[i + 1] - x[i]) * y[i] / (y[i] - y[i + 1])))
