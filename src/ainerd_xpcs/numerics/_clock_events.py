"""Find the events of a sample's clock, which are steps far above the others, and test the fit of the clock."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, j0

from ainerd_xpcs.numerics._clock_fit import ClockFit
from ainerd_xpcs.numerics._clock_noise import free_diagonal, information
from ainerd_xpcs.numerics._clock_rate import GENTLE, SLOW, STILL

Floats = NDArray[np.float64]
MOST_EVENTS = 6  # above it, the rate scatters
AT_REST = 0.5  # advance between events below which the sample does not relax between them
_ERRORS = 5.0  # by which an event is above the other steps
_BESIDE = 3.0  # and a step next to one
_WITHIN = 12  # cells on both sides of an event that say when in its cell it was
_NEXT, _LEFT = 4, 3.0  # cells on both sides that say whether something is left, and errors by which it is
_EDGE = 0.1  # error of that time from the form of the cell, in cells
_LEAST_LEFT = 0.01  # share of the information of a mean below which the clock takes all of it
_LEAST_BESIDE_EVENTS = 0.05
_TURNS = np.geomspace(8, 80, 12)  # phases of a flow over the exposure
_SHORT = 4  # lag in cells below which the mean over a cell is approximate
_AGE_BANDS = ((1, 2), (3, 5), (6, 11), (12, 23), (24, 10**6))  # bands of lag in cells that are split by age


def find_events(fit: ClockFit) -> None:
    """Find events, and choose how the rate varies: the evidence decides between events and a rate that scatters."""
    fit.prior = SLOW
    fit.newton(4)
    first, whole = fit.theta, fit.middles
    _add_events(fit)
    if fit.events:
        _leave_mixed(fit)
        fit.choose_prior(GENTLE)
        evidence = fit.data().evidence(fit.events, GENTLE).log
        calm = [g[0] == STILL and g[1] < (0.4 if g[2] > 0.1 else 0.3) for g in GENTLE]
        quiet = np.setdiff1d(np.arange(fit.m), fit.events)
        at_rest = (np.exp(fit.theta[quiet]) * fit.steps[quiet]).sum() < AT_REST
        if len(fit.events) < MOST_EVENTS and (at_rest or evidence.max() < evidence[calm].max() + 3):
            return
        model = fit.state()
        fit.theta = np.r_[np.interp(fit.middles, whole, first[: len(whole)]), first[len(whole) :]]
        fit.prior, fit.events = SLOW, []
        fit.newton(4)
        fit.choose_prior()
        if fit.gain(model, fit.state()) > 0 and len(model.events) < MOST_EVENTS:
            fit.restore(model)
            fit.newton(2)
            return
        fit.keep_cells(np.arange(fit.ring.n))
        fit.theta, fit.prior, fit.events = first, SLOW, []
        fit.newton(2)
    fit.choose_prior()


def _add_events(fit: ClockFit) -> None:
    """Make the step that is farthest above the slowly varying rate of the others an event, again and again."""
    while len(fit.events) < MOST_EVENTS:
        z = fit.data().left_out(SLOW, fit.events)
        sides = {k for event in fit.events for k in (event - 1, event + 1)} - set(fit.events)
        beside = [k for k in sides if 0 <= k < len(z) and z[k] > _BESIDE]
        z[fit.events] = 0
        k = int(z.argmax())
        if z[k] < _ERRORS:
            if not beside:
                return
            k = max(beside, key=lambda k: z[k])
        fit.events.append(k)
        fit.newton(6)


def _leave_mixed(fit: ClockFit) -> None:
    """Leave out cells with an event inside: both steps beside them are events."""
    gone, events = [], sorted(fit.events)
    while len(events) > 1:
        double = events[1] == events[0] + 1
        gone += [events[1]] * double
        events = events[1 + double :]
    if not gone:
        return
    clock = np.r_[0, np.cumsum(np.exp(fit.theta[: fit.m]) * fit.steps)]
    shape, times = fit.theta[fit.m :], fit.middles[fit.events]
    fit.keep_cells(np.setdiff1d(np.arange(fit.ring.n), gone))
    fit.theta = np.r_[np.log(np.maximum(np.diff(clock[fit.keep]), 1e-6) / fit.steps), shape]
    fit.events = sorted({int(k) for k in np.clip(np.searchsorted(fit.times, times) - 1, 0, fit.m - 1)})
    fit.newton(5)


def time_of_event(fit: ClockFit, k: int) -> tuple[float, float]:
    """Return the time of the event of a step, as a share of the exposure, and its error.

    A cell with the event inside shares the patterns of before and after, by which it is placed.
    """
    n, t = fit.ring.n, fit.times
    inside = np.setdiff1d(np.arange(fit.keep[k], fit.keep[k + 1]), fit.keep)
    if not inside.size:
        return float(t[k] + t[k + 1]) / 2, float(t[k + 1] - t[k]) * 0.15
    cell = int(inside[0])
    rows = fit.ring.bins[:, cell, fit.keep]
    weights = fit.ring.weights
    i = np.arange(len(t))
    before, after = (i <= k) & (i > k - _WITHIN), (i > k) & (i <= k + _WITHIN)

    def share(row: Floats) -> Floats:
        a, b = (np.maximum(row[..., side].mean(-1), 0) for side in (before, after))
        return np.asarray(a / np.maximum(a + b, 1e-9))

    whole = weights @ rows
    without = (whole - weights[:, None] * rows) / (1 - weights[:, None]) if len(weights) > 1 else whole[None]
    each = share(without)
    error = np.sqrt((len(each) - 1) * each.var() + _EDGE**2)
    return float((cell + share(whole)) / n), float(error / n)


def least_size(fit: ClockFit, k: int) -> float | None:
    """Return the least size of an event that leaves nothing of the pattern; None if something is left.

    It follows from the limit of 95 % of the correlation of the cells on both sides.
    """
    before, after = slice(max(k - _NEXT, 0), k + 1), slice(k + 1, k + 1 + _NEXT)
    each = fit.bins[:, before, after].mean((1, 2))
    left = fit.ring.weights @ each
    contrast, exponent, logit = fit.theta[fit.m :]
    alone = (np.exp(contrast) + np.diag(fit.ring.noise).mean() / _NEXT) / np.sqrt(fit.ring.n_pixels)
    error = max(np.sqrt((fit.ring.weights**2) @ (each - left) ** 2), alone)
    share = 1 / (1 + np.exp(-logit)) if fit.static else 0.0
    if left > np.exp(contrast) * share**2 + _LEFT * error:
        return None
    field = (np.sqrt(max(left + 1.645 * error, 1e-9) / np.exp(contrast)) - share) / (1 - share)
    return float((-np.log(np.clip(field, 1e-6, 0.99))) ** np.exp(-exponent))


def residual_p(fit: ClockFit) -> float:
    """Return the probability that the clock describes the map: tests of what it leaves over.

    Score tests are of the means over bands of lag and age, of a static share that changes with age, as in a gel, and of
    beats, as of a flow; and the bins must not differ more in their beats than elsewhere. The least p is multiplied by
    the number of tests.
    """
    fit.evaluate()
    m, k = len(fit.theta), fit.ring.n_pixels
    lag = np.abs(fit.keep[:, None] - fit.keep)
    phase = _TURNS[:, None, None] * lag / fit.ring.n
    beats = j0(phase) * np.exp(-lag / fit.ring.n) * (lag >= _SHORT)
    patches = _patches(fit, lag)
    slopes = np.concatenate([patches, _drift(fit), beats])
    products = np.concatenate([fit.products, fit.weight @ slopes])
    whole, _ = information(products, fit.weight, fit.squared, k)
    of_bins, own = free_diagonal(fit.weight, fit.squared, fit.bins - fit.map)[0], whole[m:, m:]
    flat = slopes.reshape(len(slopes), -1)
    score, scores = flat @ fit.z.ravel() * k / 2, of_bins.reshape(len(of_bins), -1) @ flat.T
    across = np.linalg.solve(whole[:m, :m] + fit.penalty() * fit.scatter, whole[:m, m:])
    left = own - whole[m:, :m] @ across
    n_patch, p, ratios = len(patches), [], []
    for use in (range(n_patch), range(n_patch, n_patch + 2), *([i] for i in range(n_patch + 2, len(slopes)))):
        i = np.ix_(use, use)
        scatter = fit.scatter_of(scores[:, use], own[i])
        safe = max(scatter, fit.scatter if len(use) == 1 else 0.5)  # that of one column is not well known
        unit = np.sqrt(safe * np.diag(own[i]))
        values, vectors = np.linalg.eigh(safe * left[i] / unit / unit[:, None])
        known = values > (_LEAST_BESIDE_EVENTS if fit.events else _LEAST_LEFT)
        chi = ((score[list(use)] / unit @ vectors[:, known]) ** 2 / values[known]).sum()
        p.append(float(chdtrc(known.sum(), chi)) if known.any() else 1.0)
        ratios.append(scatter / fit.scatter)
    n_bins = len(fit.bins)
    differ = fdtrc(n_bins - 1, 2 * (n_bins - 1), max(ratios[2:])) if n_bins > 2 else 1.0
    return min(1.0, 4 * min(p[0], p[1], len(_TURNS) * min(*p[2:], float(differ))))


def stationary_p(fit: ClockFit) -> float:
    """Return the probability that pairs of one lag correlate alike at all ages, whatever the shape of the relaxation.

    The test is of the means over sixteenths of the ages, at short lags and at all lags, against that of all ages.
    """
    n, k, y = len(fit.keep), fit.ring.n_pixels, fit.map
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    by_lag = np.bincount(lag.ravel(), y.ravel()) / np.bincount(lag.ravel())
    part = (np.add.outer(np.arange(n), np.arange(n)) * 8 / n).astype(int)
    slopes = []
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, n)):
        band = (lag >= low) & (lag <= high)
        for each in range(16):
            here = band & (part == each)
            if here.sum() > 2:
                slopes.append(here / here.sum())
    weights, mean = np.array(slopes), by_lag[lag]
    through = weights @ (mean + fit.ring.noise[np.ix_(fit.keep, fit.keep)])
    covariance = 2 / k * np.einsum("aij,bji->ab", through, through, optimize=True) * max(fit.scatter, 0.5)
    difference = (weights * (y - mean)).sum((1, 2))
    values, vectors = np.linalg.eigh(covariance)
    known = values > 1e-3 * values.max()
    chi = ((difference @ vectors[:, known]) ** 2 / values[known]).sum()
    return float(chdtrc(known.sum(), chi))


def _patches(fit: ClockFit, lag: NDArray[np.int64]) -> Floats:
    """Return slopes that are 1 in a band of lag and a third of the ages there."""
    age, out = (fit.times[:, None] + fit.times) / 2, []
    for low, high in _AGE_BANDS:
        band = (lag >= low) & (lag <= high)
        if band.any():
            third = np.quantile(age[band], [0, 1 / 3, 2 / 3, 1])
            out += [band & (age >= a) & (age < b + 1e-9) for a, b in zip(third[:-1], third[1:], strict=True)]
    return np.array(out, dtype=float)


def _drift(fit: ClockFit) -> Floats:
    """Return slopes of the map by a static share that grows linearly or quadratically with age."""
    contrast, exponent, logit = fit.theta[fit.m :]
    share = 1 / (1 + np.exp(-logit))
    moving = np.clip(np.sqrt(np.maximum(fit.model / np.exp(contrast), 0)) - share, 0, 1) / (1 - share)
    slope = 2 * np.exp(contrast) * ((1 - share) * moving + share) * (1 - moving)
    t = fit.times
    return np.array([slope * a for a in ((t[:, None] + t) / 2 - 0.5, (t[:, None] - 0.5) * (t - 0.5))])
