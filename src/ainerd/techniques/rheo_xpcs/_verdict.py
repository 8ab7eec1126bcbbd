"""Place in the latent space and p-value of a run: the noise of each ring, its verdict, and that of all rings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import nearest_covariances
from ainerd.latent import SIZE, block_mean
from ainerd.techniques.rheo_xpcs._bank import BASELINE, noised
from ainerd.techniques.rheo_xpcs._features import features, sectors_of
from ainerd.techniques.rheo_xpcs._rings import Ring, Sectors
from ainerd.threads import one_thread

if TYPE_CHECKING:
    from ainerd.novelty import Verdict
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

# Lower limit of the relative noise of a cell of the mean map, (1 + shot / beta) / sqrt(pixels). A run of less noise is
# more precise than the bank, so noise is added to it.
LEAST_NOISE = 0.004
# Runs whose numbers differ by less, in natural logarithm, share a calibration.
STEP, CONTRAST_STEP = 0.15, 0.15
# Errors of the contrast that have calibrations of their own; the first includes the rounding by the steps above.
CONTRAST_ERRS = (0.1, 0.15, 0.25, 0.4, 0.6)
# Relative error of a contrast in the settings.
GIVEN_ERR = 0.25
# Steps, as factors, of the flicker and the baseline of a run beyond those of every calibration: a few pairs of bins
# determine the latter to no better than a factor.
_FLICKER_STEP, _BASELINE_STEP = 1.4, 2.0
_FAR = 5  # cells from the diagonal beyond which rows are compared
_FOURTH = np.sqrt(70.0)  # standard deviation of the fourth difference of white noise of 1
_PIXELS, _ROWS, _REACH = 12_000, 24, 3


@dataclass(frozen=True, kw_only=True)
class RingStatistics:
    """Statistics of a ring, from which its calibration follows.

    Attributes
    ----------
    photons : float
        Photons per pixel in the whole exposure.
    contrast, contrast_err : float
        Beta, and its relative standard deviation.
    n_pixels : ndarray, shape (n,)
        Pixels of each bin.
    phi_deg : ndarray or None
        Centres of the bins; None if unknown.
    speckle_px : float
        Number of pixels that see the same speckle and count as one.
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
        """Return the options of `Bank.features`, rounded so that similar runs share a calibration."""
        contrast, area = _rounded(self.contrast, CONTRAST_STEP), _rounded(max(self.speckle_px, 1.0), STEP)
        shot = SIZE / _rounded(self.photons, STEP)
        # If speckles cover several pixels, fewer pixels are independent, but the shot noise is that of all.
        shot = float(np.sqrt(contrast**2 + (2 * contrast * shot + shot**2) / area) - contrast)
        pixels = self.n_pixels / area
        least = ((1 + shot / contrast) / LEAST_NOISE) ** 2
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


def pooled_contrast(measured: float | None, error: float | None, given: float | None) -> tuple[float, float] | None:
    """Pool the measured and the given contrast; return contrast and relative error, or None if both are unknown."""
    values = [(given, GIVEN_ERR)] if given else []
    if measured and measured > 0:
        relative = error / measured if error is not None and np.isfinite(error) else GIVEN_ERR
        values.append((measured, max(relative, 0.02)))
    if not values:
        return None
    weights = np.array([1 / e**2 for _, e in values])
    mean = np.exp(weights @ np.log([value for value, _ in values]) / weights.sum())
    return float(mean), float(1 / np.sqrt(weights.sum()))


def measure(
    ring: Ring, maps: NDArray[np.float32], photons: float, contrast: tuple[float, float], speckle_px: float
) -> RingStatistics:
    """Measure the statistics of a ring from the maps (n, 64, 64) of its bins, given its photons and contrast."""
    mean = np.tensordot(ring.weights, maps, 1).astype(np.float32)
    beta, error = contrast
    known = {"photons": photons, "contrast": beta, "n_pixels": ring.n_pixels / speckle_px}
    return RingStatistics(
        photons=photons,
        contrast=beta,
        contrast_err=error,
        n_pixels=ring.pixels,
        phi_deg=ring.phi_deg,
        speckle_px=speckle_px,
        flicker=flicker(mean, **known),
        baseline=0.0 if ring.phi_deg is None else baseline(maps, ring.pixels / speckle_px, ring.phi_deg, photons),
    )


def add_noise(maps: NDArray[np.float32], sectors: Sectors, given: Mapping[str, Any]) -> NDArray[np.float32]:
    """Add noise to maps (k, 64, 64) of sectors up to that of the calibration with options `given`."""
    wanted, own = np.sum(given["n_pixels"]), sectors.n_pixels.sum()
    if wanted >= 0.999 * own:
        return maps
    pixels = 1 / (1 / (sectors.n_pixels * wanted / own) - 1 / sectors.n_pixels)
    rng = np.random.default_rng(0)  # the same each time
    shot = np.eye(SIZE, dtype=np.float32) * np.float32(SIZE / given["photons"])
    clean = nearest_covariances(maps - 1 + shot) - shot
    return noised(clean[None], pixels, given["photons"], rng)[0]


@one_thread
def flicker(mean: NDArray[np.float32], *, photons: float, contrast: float, n_pixels: float) -> float:
    """Return the standard deviation of errors of single moments against all others, in a mean map (64, 64) of C2.

    It is the median fourth difference of the rows far from the diagonal, where dynamics are smooth, less that of noise
    alone. A few sudden events do not change the median.
    """
    i = np.arange(SIZE)
    far = np.abs(i[:, None] - i) >= _FAR
    rows = (np.where(far, mean - 1, 0)).sum(1) / far.sum(1)
    size = np.median(np.abs(np.diff(rows, 4))) / 0.6745 / _FOURTH
    total = contrast + SIZE / photons
    noise = total * (max(rows.mean(), 0) + total / far.sum(1).mean()) / n_pixels
    return float(np.sqrt(max(size**2 - noise, 0)))


@one_thread
def baseline(
    maps: NDArray[np.float32], n_pixels: NDArray[np.float64], phi_deg: NDArray[np.float64], photons: float
) -> float:
    """Return the standard deviation of an offset between maps of opposite bins, beyond their noise.

    Opposite bins see the same dynamics, so their levels at the longest lags differ by noise, which is known, or by the
    instrument. `maps` are (n, 64, 64), of bins at `phi_deg`; zero with fewer than three pairs.
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
    excess = differences.mean() - 2 * expected.mean()  # twice, because a variance of a few pairs is uncertain
    return float(np.sqrt(max(excess, 0) / 2))


def speckle_px(
    rows: NDArray[np.float32], shape: tuple[int, int], pixels: NDArray[np.int64], roi: NDArray[np.int64]
) -> float:
    """Return the number of pixels that see the same speckle: 1 + Σ m², m the correlation with other pixels.

    Parameters
    ----------
    rows : ndarray, shape (n, n_pixels)
        Counts of each pixel, summed over some time.
    shape : tuple of int
        Shape of the detector.
    pixels, roi : ndarray, shape (n_pixels,)
        Flat index and bin of each pixel.
    """
    some = slice(0, _PIXELS)
    pixels, roi = pixels[some], roi[some]
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(int))][:, some].astype(np.float32)
    member = np.unique(roi, return_inverse=True)[1]
    size = np.bincount(member)
    mean = np.stack([np.bincount(member, row) for row in chosen]) / size
    lit = (mean > 0).all(1)
    if not lit.any():
        return 1.0
    chosen, mean = chosen[lit], mean[lit]
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
            same_bin = member[here] == member[other]
            here, other = here[same_bin], other[same_bin]
            if len(here) < SIZE:
                continue
            m = float((deviation[:, here] * deviation[:, other]).mean()) / signal
            error = total / signal / np.sqrt(len(chosen) * len(here) / 2)
            if m > max(4 * error, 0.05):
                area += 2 * min(m, 1.0) ** 2
    return area


def _rounded(value: float, step: float) -> float:
    """Round a value to a grid of this step in natural logarithm."""
    return float(np.exp(np.round(np.log(value) / step) * step))


def _level(over: float, step: float) -> float:
    """Return zero below a half, otherwise the next higher power of `step`."""
    return 0.0 if over < 0.5 else float(step ** np.ceil(np.log(over) / np.log(step)))


MOST_MISSING = 0.1  # share of the rows of a map that may be filled


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Place and verdict of the maps of a run.

    Attributes
    ----------
    latent : ndarray, shape (n_roi, d)
        Latent vector of each bin.
    embedding : ndarray, shape (n_point,)
        Mean over the rings.
    p : float or None
        p-value of the run: the smallest of the rings, times their number (Bonferroni).
    p_of_ring : ndarray, shape (n_ring,)
        NaN if it is unknown.
    no_claim : str or None
        Why there is no p-value.
    verdict : Verdict or None
        Verdict on the ring with the smallest p-value.
    """

    latent: NDArray[np.float32]
    embedding: NDArray[np.float32]
    p: float | None
    p_of_ring: NDArray[np.float64]
    no_claim: str | None
    verdict: "Verdict | None"

    @property
    def summary(self) -> dict[str, Any]:
        """Numbers and names for the summary of a result."""
        excess = self.verdict.excess if self.verdict else {}
        return {
            "no_claim": self.no_claim,
            "nearest_known": self.verdict.nearest if self.verdict else None,
            "strangest_in": self.verdict.strangest_term if self.verdict else None,
            **{f"strangeness_{term}": x for term, x in excess.items()},
        }


def judge(
    technique: "RheoXPCS",
    maps: NDArray[np.float32],
    photons: NDArray[np.float64],
    contrasts: Sequence[tuple[float, float] | None],
    speckle_px: float = 1.0,
) -> Judgement:
    """Compute latent vectors, embedding and p-value from the maps (n_roi, 256, 256) of a run.

    `photons` (n_roi,) are per pixel of each bin; `contrasts` are beta of each ring and its relative error, None without
    speckle; `speckle_px` is the number of pixels that see the same speckle.
    """
    latent = technique.encoder.encode(maps)
    embeddings, verdicts, reasons = [], [], []
    p_of_ring = np.full(len(technique.rings), np.nan)
    for number, (ring, contrast) in enumerate(zip(technique.rings, contrasts, strict=True)):
        phi = np.full(len(ring.bins), np.nan) if ring.phi_deg is None else ring.phi_deg
        embeddings.append(technique.encoder.point(latent[ring.bins], phi=phi, weights=ring.weights))
        reason = technique.no_claim_reason(contrast)
        if reason is not None:
            reasons.append(reason)
            continue
        assert contrast is not None
        of_ring = block_mean(maps[ring.bins])
        statistics = measure(ring, of_ring, float(ring.weights @ photons[ring.bins]), contrast, speckle_px)
        given = statistics.bank()
        verdicts.append(technique.scorer(given).explain(_features_of(technique, of_ring, ring, given)[None])[0])
        p_of_ring[number] = verdicts[-1].p
    return Judgement(
        latent=latent,
        embedding=np.mean(embeddings, axis=0, dtype=np.float32),
        p=min(1.0, float(np.nanmin(p_of_ring)) * len(verdicts)) if verdicts else None,
        p_of_ring=p_of_ring,
        no_claim=None if verdicts else reasons[0],
        verdict=min(verdicts, key=lambda verdict: verdict.p) if verdicts else None,
    )


def _features_of(
    technique: "RheoXPCS", maps: NDArray[np.float32], ring: Ring, given: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Compute the features of the maps (n, 64, 64) of a ring, with the noise of the calibration of `given`."""
    own, calibrated = (sectors_of(n, given["phi_deg"], given["by_azimuth"]) for n in (ring.pixels, given["n_pixels"]))
    of_sectors = add_noise(own.average(maps), own, given)
    mean = np.tensordot(calibrated.share, of_sectors, 1)[None].astype(np.float32)
    linear = technique.encoder.linear
    decoded = linear.decode(linear.encode(mean), size=SIZE)
    return features(decoded, mean, of_sectors[None], calibrated, photons=given["photons"])[0]


def filled(maps: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Fill rows of maps (n_roi, n, n) without a valid frame from the nearest rows, at the same lags.

    Returns None if more than a tenth of the rows of a map are missing.
    """
    missing: NDArray[np.bool_] = np.asarray(np.isnan(maps).all(2))
    if missing.mean(1).max() > MOST_MISSING:
        return None
    if not missing.any():
        return maps
    out, n = maps.copy(), maps.shape[1]
    for k in np.flatnonzero(missing.any(axis=1)):
        present = np.flatnonzero(~missing[k])
        nearest = present[np.abs(present[:, None] - np.arange(n)).argmin(0)]
        for i in np.flatnonzero(missing[k]):
            row = nearest[i]
            partner = np.clip(np.arange(n) + row - i, 0, n - 1)  # the same lag
            out[k, i] = out[k, :, i] = maps[k, row, nearest[partner]]
    return out
