"""Noise of g2: the covariance between lags of Gaussian speckle, and the errors that photons alone cause."""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._family import field

Floats = NDArray[np.float64]
_EVERY, _SPREAD = 48, 90  # lags that are integrated one by one, and those beyond them, equally spaced in the logarithm
_STEP, _POINTS = 0.02, 1400  # of the table of the field correlation, in the logarithm of the lag
_MOST_STEPS = 20_000  # between lags, of which tables are made: 40 MB
_ROOT3 = float(np.sqrt(3))
COUNTS = np.geomspace(1e-6, 1e3, 55)  # photons per pixel and frame that are tried
FOLLOWS = 0.3  # scatter of the logarithms of variances over the theory below which they follow it
ALONE = 1.3  # scatter of neighbouring lags over that of the covariance up to which lags have nothing alone
SHARES = np.r_[0, np.geomspace(1e-3, 1, 30)]
_OWN = 0.01  # least share of a lag's variance that is its own


def speckle_covariance(lag: Floats, x: Floats, contrast: float, n_frames: int, *, normalised: bool = False) -> Floats:
    """Return the covariance of g2 of one pixel between lags, (n, n), without photon noise.

    The field is Gaussian and stationary. With G = |g1|², A(u) = contrast G(u), and w(u) the share of pairs of a pair of
    lag a and a pair of lag b of which the second begins u frames after the first, the covariance of lags a and b is the
    sum over u of w(u) times A(u) A(u + b - a) + A(u + b) A(u - a) +
    2 contrast³ (g(a) g(u - a) g(b) g(u + b) + g(a) g(u + b - a) g(b) g(u) + g(u) g(u - a) g(u + b - a) g(u + b)),
    from the moments of a Gaussian field (Isserlis, Biometrika 12, 134, 1918).

    If g2 is normalised, its pairs lose contrast G(a) times the deviations of the means by which they are divided. The
    third moment of the intensity, 2 contrast² g g g of its three times, joins these to the pairs. This takes from the
    sum 2 contrast³ [G(a) g(b) (g(u) g(u + b) + g(u - a) g(u + b - a)) + G(b) g(a) (g(u) g(u - a) + g(u + b)
    g(u + b - a))], and adds contrast³ G(a) G(b) [G(u) + G(u - a) + G(u + b) + G(u + b - a)].

    Parameters
    ----------
    lag : ndarray, shape (n,)
        In frames.
    x : ndarray, shape (8,)
        Parameters of the model of g1, with tau in frames.
    contrast : float
    n_frames : int
    normalised : bool
        Whether the speckle in the means by which g2 is divided counts.
    """
    last = max(n_frames - 1, 2)
    spread = np.geomspace(_EVERY, last, _SPREAD)
    u = np.unique(np.rint(np.concatenate([np.arange(min(_EVERY, last)), spread])))
    u = u[u < n_frames]
    edges = np.concatenate([[-0.5], (u[1:] + u[:-1]) / 2, [u[-1] + 0.5]])
    width = np.diff(edges)
    u, width = np.concatenate([-u[:0:-1], u]), np.concatenate([width[:0:-1], width])
    table = field(np.exp(_STEP * np.arange(_POINTS) - 8), x)
    at_zero = float(field(np.zeros(1), x)[0])
    lag = np.asarray(lag, dtype=float)
    a, b = np.triu_indices(lag.size)
    steps, step_of = np.unique(lag[b] - lag[a], return_inverse=True)  # most of them are those of several pairs
    if steps.size > _MOST_STEPS:
        steps = steps[:0]
    out = _sum_pairs(lag, steps, step_of, u, width, table, at_zero, contrast, n_frames, normalised)
    return np.asarray((out + out.T) / 2)


@nb.njit(nogil=True, cache=True)
def _look_up(z: float, table: Floats, at_zero: float) -> float:
    z = abs(z)
    if z < 3.4e-4:
        return at_zero
    at = (np.log(z) + 8) / 0.02
    i = int(at)
    if i >= len(table) - 1:
        return float(table[-1])
    return float(table[i] + (at - i) * (table[i + 1] - table[i]))


@nb.njit(nogil=True, cache=True)
def _sum_pairs(
    lag: Floats,
    steps: Floats,
    step_of: NDArray[np.intp],
    u: Floats,
    width: Floats,
    table: Floats,
    at_zero: float,
    contrast: float,
    n_frames: int,
    normalised: bool,
) -> Floats:
    """Sum over u for each pair of lags; `step_of` numbers their differences in `steps`, if any, row by row."""
    n, m = len(lag), len(u)
    before, after, here = np.empty((n, m)), np.empty((n, m)), np.empty(m)
    tabled = len(steps) > 0
    apart = np.empty((max(len(steps), 1), m))
    for i in range(len(steps)):
        for j in range(m):
            apart[i, j] = _look_up(u[j] + steps[i], table, at_zero)
    at_lag = np.empty(n)
    for j in range(m):
        here[j] = _look_up(u[j], table, at_zero)
        for i in range(n):
            before[i, j] = _look_up(u[j] - lag[i], table, at_zero)
            after[i, j] = _look_up(u[j] + lag[i], table, at_zero)
    for i in range(n):
        at_lag[i] = _look_up(lag[i], table, at_zero)
    out = np.zeros((n, n))
    square, cube = contrast**2, 2 * contrast**3
    row = 0
    for a in range(n):
        for b in range(a, n):
            total, pair, of_step = 0.0, at_lag[a] * at_lag[b], apart[step_of[row] if tabled else 0]
            row += 1
            of_a, of_b = max(n_frames - lag[a], 1.0), max(n_frames - lag[b], 1.0)
            for j in range(m):
                both = min(of_a, of_b - u[j]) - max(-u[j], 0.0)
                if both <= 0:
                    continue
                g, ga, gb = here[j], before[a, j], after[b, j]
                gd = of_step[j] if tabled else _look_up(u[j] + lag[b] - lag[a], table, at_zero)
                two = (g * gd) ** 2 + (gb * ga) ** 2
                four = square * two + cube * (pair * (ga * gb + gd * g) + g * ga * gd * gb)
                if normalised:
                    joined = at_lag[a] * (g * gb + ga * gd) + at_lag[b] * (g * ga + gb * gd)
                    four += cube * pair * (pair * (g**2 + ga**2 + gb**2 + gd**2) / 2 - joined)
                total += width[j] * both * four
            out[a, b] = out[b, a] = total / of_a / of_b
    return out


def noise_terms(
    lag: Floats, x: Floats, contrast: float, n_frames: int, mean_of: Floats, *, normalised: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Return the covariance of g2 of one pixel between lags as three terms, (n, n) each.

    The first is `speckle_covariance`, for the frames that have a pair. The second counts over the photons per pixel
    and frame: a photon is in two pairs, which joins lags, by G(b - a) + G(a + b) and by third moments of the
    intensity. The third counts over their square, and is diagonal. In means over m frames, `mean_of` (n,), g2 is
    smoothed over m lags.
    """
    g = field(lag, x)
    width = np.sqrt((mean_of[:, None] ** 2 + mean_of**2 - 2) / 6)
    mixed = np.zeros((len(lag), len(lag)))
    for node, weight in ((-_ROOT3, 1 / 6), (0.0, 2 / 3), (_ROOT3, 1 / 6)):
        for sign in (-1, 1):
            other = field(lag[:, None] + sign * lag + node * width, x)
            mixed += weight * other * (other + 2 * contrast * g[:, None] * g)
    photons = (1 + contrast * g**2) / mean_of / np.maximum(n_frames - lag, 1)
    pairs = np.maximum(n_frames - np.minimum(lag[:, None], lag), 1)
    of_speckle = speckle_covariance(lag, x, contrast, n_frames, normalised=normalised)
    return of_speckle, 2 * contrast * mixed / pairs, np.diag(photons)


def at_counts(terms: tuple[Floats, Floats, Floats], counts: float) -> Floats:
    """Return the covariance of `noise_terms` for `counts` photons per pixel and frame, (n, n)."""
    return np.asarray(terms[0] + terms[1] / counts + terms[2] / counts**2)


def counts_of(error: Floats, terms: tuple[Floats, Floats, Floats]) -> float:
    """Return the photons per pixel and frame with which `noise_terms` depend on the lag as the errors (n,) do.

    It is infinite if the errors do not follow the theory. The error is NaN at lags that are not used. The longest lags,
    whose means over many frames may average over the decay, are outvoted: the scatter is a median.
    """
    use = np.isfinite(error)
    of_speckle, mixed, of_photons = (np.diag(term)[use] for term in terms)
    variances = of_speckle + mixed / COUNTS[:, None] + of_photons / COUNTS[:, None] ** 2
    ratio = np.log(error[use] ** 2 / variances)
    off = np.median(np.abs(ratio - np.median(ratio, axis=1, keepdims=True)), axis=1) / 0.6745
    return float(COUNTS[off.argmin()]) if off.min() < FOLLOWS else np.inf


def own_share(lag: Floats, residual: Floats, covariance: Floats) -> float:
    """Return the share of its variance that each lag has alone beyond a covariance (n, n), from a residual (n,).

    Each lag is compared with the line between its neighbours; correlated lags scatter little about it. The covariance
    is NaN at lags that are not used.
    """
    use = np.isfinite(np.diag(covariance))
    if use.sum() < 8:
        return 0.0
    off, among = _second_differences(lag[use]), covariance[np.ix_(use, use)]
    joint = np.maximum(np.einsum("ij,jk,ik->i", off, among, off, optimize=True), 1e-300)
    alone = off**2 @ np.diag(among)
    variances = joint + SHARES[:, None] * (alone - joint)
    ratio = np.median(np.abs(off @ residual[use]) / np.sqrt(np.maximum(variances, 1e-300)), axis=1) / 0.6745
    if ratio[0] < ALONE:
        return 0.0
    return float(SHARES[(ratio < 1).argmax()]) if (ratio < 1).any() else 1.0


def _second_differences(lag: Floats) -> Floats:
    """Return the matrix (n - 2, n) from values to their distances from the line between their neighbours."""
    x, n = np.log(lag), len(lag)
    left = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    out, row = np.zeros((n - 2, n)), np.arange(n - 2)
    out[row, row], out[row, row + 1], out[row, row + 2] = -left, 1.0, left - 1
    return out


def averaged(lag: Floats) -> Floats:
    """Return the number of frames over which each lag of a multi-tau correlator is averaged, from their spacing."""
    if len(lag) < 2:
        return np.ones(len(lag))
    step = np.diff(lag)
    step = np.minimum(np.append(step, step[-1]), np.append(step[0], step))
    return np.asarray(2.0 ** np.floor(np.log2(np.maximum(step, 1))))


def poisson_error(g2: Floats, counts: float, pairs: Floats) -> Floats:
    """Return the error of g2 from the counting of photons alone, (n,): the least that a measurement can have.

    Parameters
    ----------
    g2 : ndarray, shape (n,)
    counts : float
        Photons per pixel and frame.
    pairs : ndarray, shape (n,)
        Pairs of frames of all pixels; pairs of means over m frames count m times.
    """
    return np.asarray(np.sqrt(np.maximum(np.nan_to_num(g2, nan=1.0), 1.0) / pairs) / counts)


def scaled(covariance: Floats, error: Floats, own: float = 0.0) -> Floats:
    """Scale a covariance (n, n) to errors (n,); a share `own` of each variance belongs to that lag alone."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / sd[:, None] / sd
    own = min(max(own, _OWN), 1.0)
    correlation = (1 - own) * correlation + own * np.eye(len(sd))
    return np.asarray(correlation * error[:, None] * error)


def scatter_of_neighbours(lag: Floats, value: Floats, error: Floats) -> float:
    """Return the scatter of neighbouring lags over that expected from their errors; 1 with fewer than eight lags.

    Each lag is compared with the line between its neighbours, in the logarithm of the lag. Errors that lags share do
    not contribute, so the number is below one if lags are correlated. Above one, the errors are too small.
    """
    if len(lag) < 8:
        return 1.0
    off = _second_differences(lag)
    return float(np.median(np.abs(off @ value) / np.sqrt(off**2 @ error**2)) / 0.6745)
