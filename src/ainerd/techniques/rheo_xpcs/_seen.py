"""What a run shows of its own noise: what its bank is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import nearest_covariances
from ainerd.latent import SIZE
from ainerd.techniques.rheo_xpcs._bank import BASELINE, noised
from ainerd.techniques.rheo_xpcs._rings import Ring
from ainerd.techniques.rheo_xpcs._sectors import Sectors
from ainerd.threads import one_thread

# Relative noise of a cell of the mean map, (1 + shot / beta) / sqrt(pixels), below which a run tells more than its
# bank: noise is added to it.
EDGE = 0.004
# Runs whose numbers differ by less, in natural logarithm, share a calibration.
STEP, CONTRAST_STEP = 0.15, 0.15
# Errors of the contrast that are told apart; the first holds what the steps above round.
CONTRAST_ERRS = (0.1, 0.15, 0.25, 0.4, 0.6)
# Of a contrast that a person told.
TOLD_ERR = 0.25
# Steps of what a run shows of flicker and of baseline beyond what every bank is given: a few pairs of bins tell the
# latter to no better than a factor.
_FLICKER_STEP, _BASELINE_STEP = 1.4, 2.0
_FAR = 5  # cells from the diagonal where a row is looked at
_FOURTH = np.sqrt(70.0)  # standard deviation of the fourth difference of white noise of 1
_PIXELS, _ROWS, _REACH = 12_000, 24, 3


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Statistics of a ring.

    Attributes
    ----------
    photons : float
        Per pixel of the exposure.
    contrast, contrast_err : float
        Beta, and its relative standard deviation.
    n_pixels : ndarray, shape (n,)
        Of each bin.
    phi_deg : ndarray or None
        Their centres; None where not known.
    speckle_px : float
        Pixels that count as one, since they see the same speckle.
    flicker, baseline : float
        As in `Bank.features`.
    """

    photons: float
    contrast: float
    contrast_err: float
    n_pixels: NDArray[np.float64] = field(repr=False)
    phi_deg: NDArray[np.float64] | None = field(default=None, repr=False)
    speckle_px: float = 1.0
    flicker: float = 0.0
    baseline: float = 0.0

    def bank(self) -> dict[str, Any]:
        """What `Bank.features` takes, rounded so that runs which are alike share it."""
        contrast, area = _rounded(self.contrast, CONTRAST_STEP), _rounded(max(self.speckle_px, 1.0), STEP)
        shot = SIZE / _rounded(self.photons, STEP)
        # Speckle over several pixels leaves fewer that are independent, and the shot noise of all.
        shot = float(np.sqrt(contrast**2 + (2 * contrast * shot + shot**2) / area) - contrast)
        pixels = self.n_pixels / area
        least = ((1 + shot / contrast) / EDGE) ** 2
        pixels = pixels * min(1.0, least / pixels.sum())
        noise = (contrast + shot) / np.sqrt(pixels.sum())
        wander = _level(self.flicker / noise, _FLICKER_STEP)
        offset = max(_level(self.baseline / (BASELINE * contrast), _BASELINE_STEP), 1.0)
        return {
            "photons": SIZE / shot,
            "n_pixels": [round(float(n), 2) for n in pixels],
            "contrast": contrast,
            "contrast_err": next((e for e in CONTRAST_ERRS if e >= self.contrast_err), CONTRAST_ERRS[-1]),
            "phi_deg": None if self.phi_deg is None else [round(float(phi), 2) for phi in self.phi_deg],
            "by_azimuth": self.phi_deg is not None,
            "flicker": float(wander * noise),
            "baseline": offset * BASELINE * contrast,
        }


def pooled_contrast(found: float | None, error: float | None, told: float | None) -> tuple[float, float] | None:
    """Contrast and its relative error, from what was found in the run and what a person told; None if neither."""
    said = [(told, TOLD_ERR)] if told else []
    if found and found > 0:
        relative = error / found if error is not None and np.isfinite(error) else TOLD_ERR
        said.append((found, max(relative, 0.02)))
    if not said:
        return None
    weights = np.array([1 / e**2 for _, e in said])
    mean = np.exp(weights @ np.log([value for value, _ in said]) / weights.sum())
    return float(mean), float(1 / np.sqrt(weights.sum()))


def of_bins(
    ring: Ring, maps: NDArray[np.float32], photons: float, contrast: tuple[float, float], speckle_px: float
) -> Seen:
    """What the maps (n, 64, 64) of the bins of a ring show, with its photons, and its contrast with error."""
    mean = np.tensordot(ring.weights, maps, 1).astype(np.float32)
    beta, error = contrast
    about = {"photons": photons, "contrast": beta, "n_pixels": ring.n_pixels / speckle_px}
    return Seen(
        photons=photons,
        contrast=beta,
        contrast_err=error,
        n_pixels=ring.pixels,
        phi_deg=ring.phi_deg,
        speckle_px=speckle_px,
        flicker=flicker(mean, **about),
        baseline=0.0 if ring.phi_deg is None else baseline(maps, ring.pixels / speckle_px, ring.phi_deg, photons),
    )


def at_edge(maps: NDArray[np.float32], sectors: Sectors, given: Mapping[str, Any]) -> NDArray[np.float32]:
    """Maps (k, 64, 64) of sectors with as much noise as the bank that is `given`; as they are if they have it."""
    wanted, own = np.sum(given["n_pixels"]), sectors.n_pixels.sum()
    if wanted >= 0.999 * own:
        return maps
    pixels = 1 / (1 / (sectors.n_pixels * wanted / own) - 1 / sectors.n_pixels)
    rng = np.random.default_rng(0)  # the same each time a run is looked at
    shot = np.eye(SIZE, dtype=np.float32) * np.float32(SIZE / given["photons"])
    clean = nearest_covariances(maps - 1 + shot) - shot
    return noised(clean[None], pixels, given["photons"], rng)[0]


@one_thread
def flicker(mean: NDArray[np.float32], *, photons: float, contrast: float, n_pixels: float) -> float:
    """Standard deviation of what single moments are off by against all others, in a mean map (64, 64) of C2.

    From the fourth difference of its rows far from the diagonal, in which dynamics are smooth; few sudden events do not
    move its median. What noise alone leaves is taken off.
    """
    i = np.arange(SIZE)
    far = np.abs(i[:, None] - i) >= _FAR
    rows = (np.where(far, mean - 1, 0)).sum(1) / far.sum(1)
    found = np.median(np.abs(np.diff(rows, 4))) / 0.6745 / _FOURTH
    total = contrast + SIZE / photons
    noise = total * (max(rows.mean(), 0) + total / far.sum(1).mean()) / n_pixels
    return float(np.sqrt(max(found**2 - noise, 0)))


@one_thread
def baseline(
    maps: NDArray[np.float32], n_pixels: NDArray[np.float64], phi_deg: NDArray[np.float64], photons: float
) -> float:
    """Standard deviation of an offset between the maps of bins across the beam from each other, beyond their noise.

    Both see the same dynamics, so that what their levels at the longest lags differ by is noise, which is known, or
    what the instrument does. `maps` are (n, 64, 64), of bins at `phi_deg`; zero with fewer than three pairs.
    """
    away = np.abs((phi_deg[:, None] - phi_deg + 360) % 360 - 180)
    pairs = [(i, j) for i, j in zip(*np.nonzero(away < 1), strict=True) if i < j]
    if len(pairs) < 3:
        return 0.0
    i = np.arange(SIZE)
    weight = (np.abs(i[:, None] - i) >= SIZE // 2).astype(float)
    weight /= weight.sum()
    level = (maps * weight).sum((1, 2))
    covariance = maps.mean(0).astype(float) - 1 + np.diag(np.full(SIZE, SIZE / photons))
    product = weight @ covariance
    noise = 2 * np.trace(product @ product)  # variance of the level of one pixel
    differences = np.array([(level[a] - level[b]) ** 2 for a, b in pairs])
    expected = np.array([noise * (1 / n_pixels[a] + 1 / n_pixels[b]) for a, b in pairs])
    excess = differences.mean() - 2 * expected.mean()  # twice: a variance of a few pairs is uncertain
    return float(np.sqrt(max(excess, 0) / 2))


def speckle_px(
    rows: NDArray[np.float32], shape: tuple[int, int], pixels: NDArray[np.int64], roi: NDArray[np.int64]
) -> float:
    """How many pixels count as one since they see the same speckle: 1 + Σ m², m the correlation with other pixels.

    Parameters
    ----------
    rows : ndarray, shape (n, n_pixels)
        Counts of each pixel, added up over some time.
    shape : tuple of int
        Of the detector.
    pixels, roi : ndarray, shape (n_pixels,)
        Flat index and bin of each pixel.
    """
    some = slice(0, _PIXELS)
    pixels, roi = pixels[some], roi[some]
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(int))][:, some].astype(np.float32)
    member = np.unique(roi, return_inverse=True)[1]
    size = np.bincount(member)
    mean = np.stack([np.bincount(member, row) for row in chosen]) / size
    there = (mean > 0).all(1)
    if not there.any():
        return 1.0
    chosen, mean = chosen[there], mean[there]
    deviation = chosen / mean[:, member] - 1
    signal = float((np.square(deviation) - 1 / mean[:, member]).mean())
    if signal <= 0:
        return 1.0
    place = np.full(shape[0] * shape[1], -1)
    place[pixels] = np.arange(len(pixels))
    row, column = np.divmod(pixels, shape[1])
    area, total = 1.0, float(np.square(deviation).mean())
    for down in range(_REACH + 1):
        for right in range(-_REACH if down else 1, _REACH + 1):
            inside = (row + down < shape[0]) & (0 <= column + right) & (column + right < shape[1])
            here = np.flatnonzero(inside)
            other = place[(row[here] + down) * shape[1] + column[here] + right]
            here, other = here[other >= 0], other[other >= 0]
            alike = member[here] == member[other]
            here, other = here[alike], other[alike]
            if len(here) < SIZE:
                continue
            m = float((deviation[:, here] * deviation[:, other]).mean()) / signal
            error = total / signal / np.sqrt(len(chosen) * len(here) / 2)
            if m > max(4 * error, 0.05):
                area += 2 * min(m, 1.0) ** 2
    return area


def _rounded(value: float, step: float) -> float:
    """The nearest of values that lie a step apart in natural logarithm."""
    return float(np.exp(np.round(np.log(value) / step) * step))


def _level(over: float, step: float) -> float:
    """Zero up to a half; above that the next of levels that lie a step apart."""
    return 0.0 if over < 0.5 else float(step ** np.ceil(np.log(over) / np.log(step)))
