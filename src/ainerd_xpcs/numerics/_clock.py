"""Fit the clock of a sample to the two-time map of a ring: how far the sample relaxes in each step of the exposure."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._clock_events import AT_REST, find_events, least_size, residual_p, stationary_p, time_of_event
from ainerd_xpcs.numerics._clock_fit import ClockFit, RingMaps
from ainerd_xpcs.numerics._clock_rate import COARSE, GRID, STILL, Evidence, RateData

Floats = NDArray[np.float64]
WORDS = ("steady", "slows", "speeds up", "jumps", "in bursts", "oscillates", "varies", "not described")
_DESCRIBED_P = 2e-3
_SURE = 2.8  # errors by which a trend of the rate is from zero
_RESOLVED = 0.7  # least advance between events of a tau
_KNOWN = 0.5  # largest relative error of a tau
_GAIN = 5.0  # log evidence for a rate that scatters
_SWING = 2.0  # log evidence for a period, beyond the number of periods tried
_PERIODS = np.geomspace(0.06, 0.55, 45)  # of the exposure
_SPREAD = 0.5  # of the variance between models of the share that counts: the choice is right more often than not
_SPECKLE = 5.0  # errors by which the map at short lags is above zero
_MOST_OFFSET = 0.15  # of the exposure
_FEWEST = 16  # cells


@dataclass(frozen=True)
class ClockEvent:
    """A step of the clock far above the others.

    Attributes
    ----------
    time, time_err : float
        From the first frame, in the unit of the duration.
    size : float
        Advance of the clock, in relaxation times.
    complete : bool
        Whether nothing of the pattern is left, so that `size` is a lower bound.

    Examples
    --------
    >>> s = np.where(np.arange(32) < 20, 0.0, 1.0) + np.arange(32) / 32
    >>> noise = np.random.default_rng(0).normal(0, 0.001, (6, 32, 32))
    >>> maps = 0.25 * np.exp(-2 * np.abs(s[:, None] - s)) + noise + noise.transpose(0, 2, 1)
    >>> (jump,) = fit_clock(maps, [200] * 6, 0.01, duration=32).events
    >>> round(jump.time), round(jump.size), jump.complete
    (20, 1, False)
    """

    time: float
    time_err: float
    size: float
    complete: bool


@dataclass(frozen=True)
class ClockData:
    """What `rate_offset` needs of a fit; times as shares of the exposure."""

    data: RateData
    times: Floats
    duration: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The clock s(t) of a sample, g1 = exp(-|s(t1) - s(t2)|^exponent); with ``_err``, one standard deviation.

    NaN where the map does not determine a number, or where the word carries none. Times are in the unit of `duration`.

    Attributes
    ----------
    word : str
        One of `WORDS`. "jumps" has events, "in bursts" a rate that scatters from step to step, "varies" one that varies
        slowly, and "not described" is a map of no such clock. A steady sample may relax in another shape (`p`): it has
        no tau.
    p : float
        Probability that the clock describes the map.
    tau, tau_err : float
        Relaxation time of the field at the mean rate between events.
    advance, advance_err : float
        Advance of the clock over the exposure, in relaxation times, with events.
    slows_by, slows_by_err : float
        Rate at the start over that at the end, by the trend: above 1 it slows. Only of "slows" and "speeds up".
    ageing_exponent, ageing_exponent_err : float
        mu of rate ~ age^-mu; NaN unless the rate follows this law within its scatter.
    rate_period, rate_period_err : float
        Period of the rate, if it oscillates.
    exponent, exponent_err, contrast, static : float
        Exponent, C2 - 1 at lag 0, and static share of the field.
    age, rate, rate_low, rate_high : ndarray, shape (m,)
        Middle of each step, from the first frame, its rate, and the band of 68 %.
    events : tuple of ClockEvent
        Only of "jumps".
    fitted : ClockData or None
        What `rate_offset` needs.

    Examples
    --------
    >>> s = 4 * np.log1p(8 * (np.arange(32) + 0.5) / 32)  # the rate falls by a factor of nine
    >>> noise = np.random.default_rng(0).normal(0, 0.001, (6, 32, 32))
    >>> maps = 0.25 * np.exp(-2 * np.abs(s[:, None] - s)) + noise + noise.transpose(0, 2, 1)
    >>> clock = fit_clock(maps, [200] * 6, 0.01, duration=60)
    >>> clock.word, 6 < clock.slows_by < 12, clock.rate.shape
    ('slows', True, (31,))
    """

    word: str = "not described"
    p: float = np.nan
    tau: float = np.nan
    tau_err: float = np.nan
    advance: float = np.nan
    advance_err: float = np.nan
    slows_by: float = np.nan
    slows_by_err: float = np.nan
    ageing_exponent: float = np.nan
    ageing_exponent_err: float = np.nan
    rate_period: float = np.nan
    rate_period_err: float = np.nan
    exponent: float = np.nan
    exponent_err: float = np.nan
    contrast: float = np.nan
    static: float = np.nan
    age: Floats
    rate: Floats
    rate_low: Floats
    rate_high: Floats
    events: tuple[ClockEvent, ...] = ()
    fitted: ClockData | None = field(default=None, repr=False, compare=False)


def fit_clock(
    maps: ArrayLike,
    n_pixels: ArrayLike,
    shot: ArrayLike,
    *,
    duration: float = 1.0,
    age0: float | None = None,
    shared: ArrayLike | None = None,
) -> Clock:
    """Fit a clock to the maps of the bins of a ring.

    The noise is that of Gaussian speckle (Wishart maps) and photons, scaled by the scatter of the bins. The logarithm
    of the rate is a constant, a trend with log age, and a random part whose size follows from the evidence: errors
    contain the scatter of the rate itself. Material time: Tool, J. Am. Ceram. Soc. 29, 240 (1946).

    Parameters
    ----------
    maps : array_like, shape (n_bins, n, n)
        C2 - 1; each of the n cells is a mean over its width. The diagonal is not used.
    n_pixels : array_like, shape (n_bins,)
        Independent pixels of each.
    shot : array_like, scalar or shape (n,)
        Shot noise of the cells on the diagonal, in units of C2: 1 / (photons per pixel in a cell).
    duration : float
        Of the exposure, in any unit.
    age0 : float, optional
        Age at the first frame, for the law of ageing; a tenth of `duration` by default.
    shared : array_like, shape (n, n), optional
        Covariance of the shot noise of cells, in units of a cell's own: cells of few frames share frames.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `duration` or `age0` is not positive.

    Examples
    --------
    >>> t = (np.arange(32) + 0.5) / 32
    >>> noise = np.random.default_rng(0).normal(0, 0.001, (6, 32, 32))
    >>> maps = 0.25 * np.exp(-2 * np.abs(t[:, None] - t) / 0.3) + noise + noise.transpose(0, 2, 1)
    >>> clock = fit_clock(maps, [200] * 6, 0.01, duration=60)
    >>> clock.word, round(clock.tau)
    ('steady', 18)
    """
    values, pixels = np.asarray(maps, dtype=float), np.atleast_1d(np.asarray(n_pixels, dtype=float))
    if values.ndim != 3 or values.shape[1] != values.shape[2] or len(pixels) != len(values):
        raise ValueError(f"maps of shape {values.shape} do not fit the pixels of {len(pixels)} bins: (n_bins, n, n)")
    n = values.shape[1]
    first = duration / 10 if age0 is None else age0
    if not (duration > 0 and first >= 0):
        raise ValueError(f"duration must be positive and age0 not negative, got {duration} and {first}")
    own = np.broadcast_to(np.asarray(shot, dtype=float), n)
    noise = np.sqrt(own[:, None] * own) * (np.eye(n) if shared is None else np.asarray(shared, dtype=float))
    middles = np.arange(1, n) * duration / n
    unknown = np.full(n - 1, np.nan)
    nothing = Clock(age=middles, rate=unknown, rate_low=unknown, rate_high=unknown)
    seen = pixels > 0
    if n < _FEWEST or not seen.any() or not all(np.isfinite(x).all() for x in (values[seen], pixels, noise)):
        return nothing
    n_total = float(pixels[seen].sum())
    ring = RingMaps(values[seen], pixels[seen] / n_total, noise, n_total, first / duration)
    if not _has_speckle(ring):
        return nothing
    try:
        with np.errstate(all="ignore"):
            clock = _read(*_fitted(ring), duration)
    except np.linalg.LinAlgError:
        return nothing
    return clock


def _has_speckle(ring: RingMaps) -> bool:
    """Return whether the map at lags of one to three cells is above zero, by the noise of photons."""
    mean = np.tensordot(ring.weights, ring.bins, 1)
    short = np.concatenate([np.diagonal(mean, k) for k in (1, 2, 3)])
    error = np.diag(ring.noise).mean() / np.sqrt(ring.n_pixels * short.size)
    return bool(short.mean() > _SPECKLE * error and short.mean() > 0)


def _fitted(ring: RingMaps) -> tuple[ClockFit, tuple[float, float]]:
    """Return the fit, and probability and clock of the other choice of a static share; first on coarse cells."""
    coarse = ClockFit(ring.halved() if ring.n % 2 == 0 and ring.n >= 48 else ring)
    coarse.start()
    other = coarse.choose_static()
    fit = coarse
    if coarse.ring.n < ring.n:
        fit = ClockFit(ring)
        u = np.interp(fit.middles, coarse.middles, coarse.theta[: coarse.m])
        fit.theta, fit.static, fit.prior = np.r_[u, coarse.theta[coarse.m :]], coarse.static, coarse.prior
        fit.newton(3)
        fit.measure_scatter()
    find_events(fit)
    if fit.events:
        other = fit.choose_static()
    return fit, other


def _read(fit: ClockFit, other: tuple[float, float], duration: float) -> Clock:
    """Return what people want to know."""
    fit.evaluate()
    m, n, events = fit.m, fit.ring.n, sorted(fit.events)
    data = fit.data()
    evidence = data.evidence(fit.events)
    cov = np.linalg.inv(fit.fisher + fit.penalty())
    share = evidence.share
    mean = share @ evidence.beta[:, 1]
    mu, mu_err = -float(mean), np.sqrt(share @ (evidence.cov[:, 1, 1] + (evidence.beta[:, 1] - mean) ** 2))
    u, advance = fit.theta[:m], fit.advance
    quiet = np.setdiff1d(np.arange(m), events)
    between, whole = fit.advance_between(), fit.steps.sum()
    of_model = _SPREAD * other[0] * (1 - other[0]) * other[1] ** 2
    errors = []
    for use in (quiet, np.arange(m)):
        slope = np.zeros(len(fit.theta))
        slope[use] = advance[use] / advance[use].sum()
        errors.append(np.sqrt(slope @ cov @ slope + of_model))
    tau, tau_err, p = whole / between, float(errors[0]) * whole / between, residual_p(fit)
    at_rest = bool(events) and np.median(np.exp(u[quiet])) < AT_REST
    period = _period(data, fit.events, evidence) if between > _RESOLVED else None
    still = np.array([g[0] == STILL for g in GRID])
    flat = still & np.array([g[1] == 0 for g in GRID])
    white = evidence.log.max() - evidence.log[still].max()
    varies = evidence.log.max() - evidence.log[flat].max()
    sudden = varies > _GAIN and GRID[int(evidence.log.argmax())][2] < 0.1
    sure = abs(mu) > _SURE * mu_err and between > _RESOLVED
    if not p > _DESCRIBED_P:
        is_steady = varies < _GAIN - np.log(max(p, 1e-300)) and not events and stationary_p(fit) > _DESCRIBED_P
        word = "steady" if is_steady else "not described"  # a steady sample of another shape
        word = "in bursts" if white > max(2 * _GAIN, -np.log(max(p, 1e-300))) else word  # events within cells
    elif events:
        word = "jumps"
    elif period is not None:
        word = "oscillates"
    elif white > _GAIN or sudden:
        word = "in bursts"
    elif sure:
        word = "slows" if mu > 0 else "speeds up"
    else:
        word = "varies" if varies > _GAIN else "steady"
    has_tau = word not in ("not described", "in bursts", "varies") and not at_rest
    has_tau &= p > _DESCRIBED_P and between > _RESOLVED and tau_err < _KNOWN * tau
    numbers: dict[str, float] = {}
    if has_tau:
        numbers |= {"tau": tau * duration, "tau_err": float(tau_err) * duration}
    if word in ("slows", "speeds up"):
        reach = np.log((1 + fit.ring.age0) / max(fit.ring.age0, 0.5 / n))
        numbers |= {"slows_by": float(np.exp(mu * reach)), "slows_by_err": float(np.exp(mu * reach) * reach * mu_err)}
        if varies < _GAIN:
            numbers |= {"ageing_exponent": mu, "ageing_exponent_err": float(mu_err)}
    if word == "oscillates" and period is not None:
        numbers |= {"rate_period": period[0] * duration, "rate_period_err": period[1] * duration}
    exponent = np.exp(fit.theta[m + 1])
    band = np.sqrt(np.diag(cov)[:m])
    total = between / whole + sum(advance[k] - between / whole * fit.steps[k] for k in events)
    return Clock(
        word=word,
        p=p,
        advance=total,
        advance_err=total * errors[1],
        exponent=exponent,
        exponent_err=exponent * np.sqrt(cov[m + 1, m + 1]),
        contrast=np.exp(fit.theta[m]),
        static=1 / (1 + np.exp(-fit.theta[m + 2])) if fit.static else 0.0,
        age=fit.middles * duration,
        rate=np.exp(u) / duration,
        rate_low=np.exp(u - band) / duration,
        rate_high=np.exp(u + band) / duration,
        events=tuple(_event(fit, k, duration) for k in events) if word == "jumps" else (),
        fitted=ClockData(data, fit.times, duration, n),
        **numbers,
    )


def _event(fit: ClockFit, k: int, duration: float) -> ClockEvent:
    time, error = time_of_event(fit, k)
    least = least_size(fit, k)
    size = fit.advance[k] if least is None else least
    return ClockEvent(time * duration, error * duration, float(size), least is not None)


def _period(data: RateData, events: list[int], evidence: Evidence) -> tuple[float, float] | None:
    """Return period and error of an oscillation of the rate, as shares of the exposure, if the evidence is for one."""
    best, error = np.nan, np.nan
    periods = _PERIODS
    for _ in range(2):
        w = 2 * np.pi * data.t / periods[:, None]
        log = data.evidence(events, COARSE, np.stack([np.cos(w), np.sin(w)], -1)).log.max(1)
        gain = log - evidence.log.max()
        if np.isnan(best) and gain.max() - np.log(len(_PERIODS)) < _SWING:
            return None
        weight = np.exp(log - log.max())
        best = float(weight @ periods / weight.sum())
        error = float(np.sqrt(weight @ (periods - best) ** 2 / weight.sum()))
        at = periods[int(log.argmax())]
        periods = np.geomspace(at * 0.9, at * 1.1, 45)
    return best, error


def rate_offset(clock: Clock, time: ArrayLike, stress_rate: ArrayLike) -> tuple[float, float, float]:
    """Return the time by which the rate of the clock follows a record, its error, and the log likelihood gained.

    The rate is the trend times 1 + k max(stress_rate, 0), with k and the offset free, and the trend as it may scatter.

    Parameters
    ----------
    clock : Clock
    time, stress_rate : array_like, shape (k,)
        Times from the first frame, in the unit of the clock, and how fast the stress changes, in any unit: it is
        positive where the sample is expected to move.

    Returns
    -------
    offset, err, gain : float
        NaN if the map has no clock, or the record never rises. A gain below 8 is no finding.

    Examples
    --------
    >>> t = (np.arange(32) + 0.5) / 32
    >>> pulse = np.exp(-(((t - 0.5) / 0.06) ** 2))  # of the rate, .1 later than that of the stress
    >>> s = np.cumsum(2 + 20 * pulse) / 32
    >>> noise = np.random.default_rng(0).normal(0, 0.001, (6, 32, 32))
    >>> maps = 0.25 * np.exp(-2 * np.abs(s[:, None] - s)) + noise + noise.transpose(0, 2, 1)
    >>> offset, err, gain = rate_offset(fit_clock(maps, [200] * 6, 0.01), t, np.roll(pulse, -3))
    >>> round(offset, 1), gain > 8
    (0.1, True)
    """
    known, at, rise = clock.fitted, np.asarray(time, dtype=float), np.maximum(np.asarray(stress_rate, dtype=float), 0)
    if known is None or not rise.size or not np.isfinite(rise).all() or not rise.max() > 0:
        return np.nan, np.nan, np.nan
    step = 0.25 / known.n
    offsets = np.arange(-_MOST_OFFSET, _MOST_OFFSET + step, step)
    t = known.times
    fine = t[:-1, None] + np.diff(t)[:, None] * (np.arange(8) + 0.5) / 8
    expected = np.interp(fine - offsets[:, None, None], at / known.duration, rise / rise.max())
    strengths = 2.0 ** np.arange(-1, 8)[:, None, None, None]
    gains = np.log((1 + strengths * expected).mean(3))
    own = known.data.evidence([], COARSE).log
    likelihood = []
    for prior, log in zip(COARSE, own, strict=True):
        inner, score = known.data.projected(prior, [])
        likelihood.append(log + gains @ score - 0.5 * ((gains @ inner) * gains).sum(-1))
    best = np.max(likelihood)
    weight = np.exp(likelihood - best).sum((0, 1))
    weight /= weight.sum()
    mean = weight @ offsets
    error = np.sqrt(weight @ (offsets - mean) ** 2 + step**2 / 12)
    return float(mean * known.duration), float(error * known.duration), float(best - own.max())
