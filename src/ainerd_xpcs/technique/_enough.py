"""Whether the frames of an exposure in progress are enough, and the maps that an exposure cut short stands for.

A sample is never cut short unless its unsteadiness is excluded. An event that was not seen in n relaxation times is
rarer than 3 / n in each, with a probability of 95 % (the rule of three: Hanley, Lippman-Hand, JAMA 249, 1743, 1983).
A sample that relaxes completely loses no more in an event than in one relaxation time, so events change the rate by no
more than 3 / n. So a sample must have relaxed completely, and 3 / error times. One that relaxes
more slowly, or keeps a part, is exposed to the end: in it, one event more or less changes everything.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from ainerd.words import rounded
from ainerd_xpcs import numerics
from ainerd_xpcs.latent import SIZE, block_mean
from ainerd_xpcs.numerics import G2, G2ByAge, Partition
from ainerd_xpcs.technique._features import Ring, sectors_of
from ainerd_xpcs.technique._numbers import opposite
from ainerd_xpcs.technique._verdict import judge

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

SHORT = "the exposure was cut short"
LEAST_P = 0.1  # an exposure whose frames so far have a smaller p-value goes on
UNSEEN = 3.0  # the rule of three
GONE = 5.0  # relaxation times after which nothing may be left
EVEN_P = 0.01  # probability of so uneven a decay in a steady sample, below which it is not steady
SECTORS = 4  # fewest directions whose scatter shows how uneven the decay may be by chance
SEEN = 1 / 8  # error of the decay in each part of the time, above which an event could hide


class Seen(NamedTuple):
    """Largest relaxation time of the rings, in frames, and largest relative errors of it and of the contrast."""

    tau: float
    tau_err: float
    contrast_err: float

    def sentence(self, n: int, n_all: int, frame_time_s: float) -> str:
        """Return why `n` of `n_all` frames are enough."""
        return (
            f"{n} of {n_all} frames were enough: the relaxation time is known to {self.tau_err:.1%}, the contrast to "
            f"{self.contrast_err:.1%}, and the sample was steady for {n / self.tau:.0f} relaxation times of "
            f"{rounded(self.tau * frame_time_s)} s"
        )


def seen(
    g2: G2, by_age: G2ByAge, maps: Singles, partition: Partition, rings: Sequence[Ring], n_all: int, error: float
) -> Seen | None:
    """Return the relaxation time and its errors from the frames so far.

    Return None if the errors are too large, or if the sample may be unsteady.

    Parameters
    ----------
    g2, by_age : G2 and G2ByAge
        Of the frames so far.
    maps : ndarray, shape (n_roi, n, n)
        Of the same frames.
    partition : Partition
    rings : sequence of Ring
    n_all : int
        Frames of the whole exposure.
    error : float
        Wanted relative error of relaxation time and contrast.
    """
    estimates = []
    for ring in rings:
        with np.errstate(all="ignore"):  # NaN if nothing is known
            of_ring = _seen(g2, by_age, maps, ring, opposite(partition, ring), n_all, error)
        if of_ring is None:
            return None
        estimates.append(of_ring)
    return Seen(*np.max(estimates, axis=0).tolist())


def _seen(
    g2: G2, by_age: G2ByAge, maps: Singles, ring: Ring, across: NDArray[np.int64], n_all: int, error: float
) -> Seen | None:
    fit = numerics.fit_relaxation(g2, bins=ring.bins, together=True, opposite=across)
    tau, height = float(fit.tau[0]), float(fit.contrast[0])
    others = (float(np.nan_to_num(x[0], nan=tau)) for x in (fit.tau2, fit.tau_either))  # more frames keep both
    estimate = Seen(max(tau, *others), float(fit.tau_err[0] / tau), float(fit.contrast_err[0] / height))
    is_known = max(estimate.tau_err, estimate.contrast_err) <= error and np.isnan(fit.tau2_above[0])
    is_steady = (
        is_known
        and estimate.tau <= g2.n_frames * error / UNSEEN
        and _left(g2, ring, GONE * estimate.tau) <= error * height
        and _drift(g2, by_age, ring, estimate.tau, n_all) <= error
        and _is_even(maps, g2.n_frames, ring, estimate.tau)
    )
    return estimate if is_steady else None


def _left(g2: G2, ring: Ring, first: float) -> float:
    """Return the upper limit, of 97.5 %, of g2 - 1 at lags from `first` frames to a half of all."""
    some = (g2.lag >= first) & (g2.lag <= g2.n_frames / 2)
    value = ring.weights @ (g2.value - g2.bias - 1)[ring.bins][:, some]
    error = np.sqrt(ring.weights**2 @ np.square(g2.error[ring.bins][:, some]))
    return float(value.mean() + 2 * error.mean()) if some.any() else np.inf  # the lags share their speckles


def _drift(g2: G2, by_age: G2ByAge, ring: Ring, last: float, n_all: int) -> float:
    """Return the limit, of 97.5 %, of the relative change of the mean relaxation time if all frames were taken.

    The area under g2 - 1 up to lag `last` changes steadily with age, until the end. Its error is from the scatter of
    the parts of the bins.
    """
    lag, ages = by_age.lag, np.diff(by_age.edges) >= 2 * last
    some, of_ring = lag <= max(last, lag[0]), np.isin(g2.part_roi, ring.bins)
    length, middle = np.diff(by_age.edges)[ages], (by_age.edges[1:] + by_age.edges[:-1])[ages] / 2
    if ages.sum() < 2:
        return np.inf
    decay = by_age.parts[of_ring][:, ages][:, :, some] - 1
    area = decay @ np.diff(lag[some], prepend=0)
    size = g2.part_weight[of_ring] * g2.n_pixels[g2.part_roi[of_ring]]
    good = np.isfinite(area).all(1) & (size > 0)
    area, size = area[good], size[good] / size[good].sum()
    centre = float(middle @ length / length.sum())
    slopes = area @ (length * (middle - centre)) / (length @ np.square(middle - centre))
    slope, n = float(size @ slopes), 1 / np.square(size).sum()
    error = np.sqrt(size @ np.square(slopes - slope) / max(n - 1, 1))
    mean, end = float(size @ area @ length / length.sum()), float(size @ decay[good, :, -1] @ length / length.sum())
    of_tau = mean - lag[some][-1] * end  # change of the area with the logarithm of the relaxation time
    return float((abs(slope) + 2 * error) * (n_all / 2 - centre) / of_tau) if of_tau > 0 else np.inf


def _is_even(maps: Singles, n_frames: int, ring: Ring, tau: float) -> bool:
    """Return whether the decay is the same throughout, as far as the directions agree; False if events could hide.

    A decay within a row of the map, of which there are at least 256 then, leaves no trace of events.
    """
    sectors = sectors_of(ring.pixels, ring.phi_deg, ring.phi_deg is not None)
    each = sectors.average(maps[ring.bins]) - 1
    n, tau = each.shape[1], tau * maps.shape[1] / n_frames
    if tau < 1:
        return True
    lags = int(np.ceil(tau))
    if len(each) < SECTORS or n < 8 * lags:
        return False
    strip = np.mean([np.diagonal(each, k, 1, 2)[:, : n - lags] for k in range(1, lags + 1)], axis=0)
    length = max(2 * lags, 4)
    parts = strip[:, : strip.shape[1] // length * length].reshape(len(each), -1, length).mean(2)
    mean, away = parts.mean(), parts - parts.mean(1, keepdims=True)
    common = sectors.share @ away
    variance = np.square(away - common).sum(0).mean() / (len(each) - 1) / len(each)
    if not np.sqrt(variance) <= SEEN * mean:
        return False
    n_parts = parts.shape[1]
    return bool(chi2.sf(np.square(common).sum() / variance, n_parts - 1) > EVEN_P / 2)


def lengthened(maps: Singles, share: float) -> Singles:
    """Return the maps of a whole exposure, (n_roi, n, n), from those of its first `share`, of a sample that is steady.

    Rows are as long as those of the whole exposure. Pairs beyond the frames so far are copies of pairs at the same lag;
    where these are few, of such at shorter lags, at which nothing is left of the decay either.
    """
    n = maps.shape[1]
    m = max(int(n * share), 2)
    area = numerics.reduction_operator("area", n, m).toarray().astype(np.float32)
    small = area @ maps @ area.T
    row = np.arange(n)
    first, lag = np.minimum(row[:, None], row), np.abs(row[:, None] - row)
    half = m // 2
    lag = np.where(lag <= half, lag, half - (lag - half) % max(half // 2, 1))
    at = first % (m - lag)
    return np.asarray(small[:, at, at + lag])


def is_settled(technique: "RheoXPCS", maps: Singles, share: float) -> bool:
    """Return whether the points of both halves of the frames so far are as near as those of one regime are."""
    n = maps.shape[1] // 2
    halves = (maps[:, some, some] for some in (slice(0, n), slice(n, None)))
    wholes = (block_mean(lengthened(half, share / 2), SIZE) for half in halves)
    nothing = np.zeros(len(maps)), [None] * len(technique.rings)
    a, b = (judge(technique, whole, *nothing).embedding for whole in wholes)
    return bool(np.linalg.norm(a - b) <= technique.encoder.scatter)
