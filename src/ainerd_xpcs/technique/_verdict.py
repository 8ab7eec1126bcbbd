"""Place in the latent space and p-value of a run: the noise of each ring, its verdict, and that of all rings."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ainerd.novelty import Verdict
from ainerd.threads import one_thread
from ainerd_xpcs.latent import SIZE, block_mean
from ainerd_xpcs.technique._bank import BASELINE
from ainerd_xpcs.technique._bins import bins_text
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._features import Ring, features, sectors_of
from ainerd_xpcs.technique._noise_by_lag import excess_of, noise_by_lag
from ainerd_xpcs.technique._opposite import differences
from ainerd_xpcs.technique._sectors import opposite_pairs

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

Singles = NDArray[np.float32]

# Maps of a run are scaled to this contrast before they are compared with the bank, so that only the ratio of shot noise
# to contrast matters.
CONTRAST = 0.2
# Lower limit of the relative noise of a cell of the mean map, (1 + shot / beta) / sqrt(pixels). A run of less noise is
# more precise than the bank, so noise is added to it.
LEAST_NOISE = 0.004
# Steps, in natural logarithm, of shot noise and of pixels. Noise is added to each run up to the next step, so that
# similar runs share a calibration.
STEP = 0.25
# Step of the range of q, half of it over q.
Q_STEP = 0.05
# Errors of the contrast that have calibrations of their own.
CONTRAST_ERRS = (0.1, 0.25, 0.6)
# Relative error of a contrast in the settings.
GIVEN_ERR = 0.25
# Steps, as factors, of the flicker and the baseline of a run beyond those of every calibration: a few pairs of bins
# determine the latter to no better than a factor.
_FLICKER_STEP, _BASELINE_STEP = 2.0, 2.0
_FAR = 5  # cells from the diagonal beyond which rows are compared
_FOURTH = np.sqrt(70.0)  # standard deviation of the fourth difference of white noise of 1
# Weights of the profile over the lag in the level at long lags.
_LONG = np.where(np.arange(SIZE) >= SIZE // 2, SIZE - np.arange(SIZE), 0) / sum(range(SIZE // 2 + 1))


class Noise(NamedTuple):
    """Noise of the maps of a ring, scaled to `CONTRAST`.

    Attributes
    ----------
    shot : float
        Shot noise of a cell, in units of C2.
    n_pixels : ndarray, shape (n,)
        Independent pixels of each bin.
    """

    shot: float
    n_pixels: NDArray[np.float64]

    @classmethod
    def of(cls, photons: float, beta: float, n_pixels: NDArray[np.float64], speckle_px: float = 1.0) -> Self:
        """Return the noise of a run.

        Parameters
        ----------
        photons : float
            Photons per pixel in the whole exposure.
        beta : float
            Contrast.
        n_pixels : ndarray, shape (n,)
            Pixels of each bin.
        speckle_px : float
            Number of pixels that see the same speckle and count as one; the shot noise is that of all.
        """
        area, shot = max(speckle_px, 1.0), SIZE / photons * CONTRAST / beta
        shot = float(np.sqrt(CONTRAST**2 + (2 * CONTRAST * shot + shot**2) / area) - CONTRAST)
        return cls(shot, n_pixels / area)

    @property
    def of_mean(self) -> float:
        """Standard deviation of a cell of the mean map."""
        return float((CONTRAST + self.shot) / np.sqrt(self.n_pixels.sum()))


def bank_options(
    noise: Noise,
    contrast_err: float,
    phi_deg: NDArray[np.float64] | None,
    *,
    flicker: float = 0.0,
    baseline: float = 0.0,
    cells: Cells | None = None,
    q_spread: float = 0.0,
) -> dict[str, Any]:
    """Return the options of `Bank.features` for a ring, the same for similar runs.

    Parameters
    ----------
    noise : Noise
        Noise of the run. That of the options is as large, or larger by less than a step.
    contrast_err : float
        Relative standard deviation of the contrast.
    phi_deg : ndarray or None
        Centres of the bins; None if unknown.
    flicker, baseline : float
        As in `Bank.features`, of maps that are scaled to `CONTRAST`.
    cells : Cells or None
        Cells of the run; None for those of many frames.
    q_spread : float
        As in `Ring`.
    """
    shot = float(np.exp(STEP * np.ceil(np.log(noise.shot) / STEP - 1e-6)))
    total = noise.n_pixels.sum()
    most = min(total, ((1 + shot / CONTRAST) / LEAST_NOISE) ** 2)
    share = float(np.exp(STEP * np.floor(np.log(most) / STEP + 1e-6)) / total)
    rounded = Noise(shot, noise.n_pixels * share)
    wander = _level(flicker / rounded.of_mean, _FLICKER_STEP)
    offset = max(_level(baseline / (BASELINE * CONTRAST), _BASELINE_STEP), 1.0)
    return {
        "photons": SIZE / shot,
        "n_pixels": [round(float(n), 2) for n in rounded.n_pixels],
        "contrast": CONTRAST,
        "contrast_err": next((e for e in CONTRAST_ERRS if e >= contrast_err), CONTRAST_ERRS[-1]),
        "phi_deg": None if phi_deg is None else [round(float(phi), 2) for phi in phi_deg],
        "by_azimuth": phi_deg is not None,
        "flicker": float(wander * rounded.of_mean),
        "baseline": offset * BASELINE * CONTRAST,
        "cells": cells,
        "q_spread": round(round(min(q_spread, 1.0) / Q_STEP) * Q_STEP, 2),
    }


def options_of_a_session(noise: Noise, contrast_err: float, ring: Ring) -> list[dict[str, Any]]:
    """Return the options of `Bank.features` for all runs of a session of one instrument, the commonest first.

    In some runs the beam flickers more, or the levels of opposite bins differ more, than in others.
    """
    flickers, differ = {"flicker": 0.75 * noise.of_mean}, {"baseline": 1.5 * BASELINE * CONTRAST}
    kinds: list[dict[str, Any]] = [{}, flickers] if ring.phi_deg is None else [{}, flickers, differ, flickers | differ]
    return [bank_options(noise, contrast_err, ring.phi_deg, q_spread=ring.q_spread, **each) for each in kinds]


def pooled_contrast(measured: tuple[float, float] | None, given: float | None) -> tuple[float, float] | None:
    """Pool the measured contrast, with its error, and the given one.

    Return contrast and relative error, or None if both are unknown.
    """
    values = [(given, GIVEN_ERR)] if given else []
    if measured and measured[0] > 0:
        value, error = measured
        values.append((value, max(error / value, 0.02) if np.isfinite(error) else GIVEN_ERR))
    if not values:
        return None
    weights = np.array([1 / e**2 for _, e in values])
    mean = np.exp(weights @ np.log([value for value, _ in values]) / weights.sum())
    return float(mean), float(1 / np.sqrt(weights.sum()))


def add_noise(maps: Singles, own: Noise, given: Mapping[str, Any]) -> Singles:
    """Add noise to maps (k, 64, 64), scaled to `CONTRAST`, up to that of the calibration with options `given`.

    `own` is their noise. A map of n pixels whose reduced intensities have covariance Σ has errors of covariance
    Σ ⊗ Σ / n, see `noisy`. The difference between this and that of fewer pixels and more shot noise is added.
    """
    pixels = own.n_pixels * (np.sum(given["n_pixels"]) / own.n_pixels.sum())
    fewer = np.maximum(1 / pixels - 1 / own.n_pixels, 0)[:, None, None]
    more = max(SIZE / given["photons"] - own.shot, 0.0)
    shared = np.eye(SIZE) if given["cells"] is None else given["cells"].shot
    rng = np.random.default_rng(0)  # the same each time
    of_all, of_shot = _root(maps - 1 + own.shot * shared), _root(shared)
    parts = [
        np.sqrt(fewer) * of_all @ _symmetric(maps.shape, rng) @ of_all.swapaxes(1, 2),
        more / np.sqrt(pixels)[:, None, None] * of_shot @ _symmetric(maps.shape, rng) @ of_shot.T,
    ]
    mixed = np.sqrt(more / pixels)[:, None, None] * of_all @ rng.standard_normal(maps.shape) @ of_shot.T
    return np.asarray(maps + sum(parts) + mixed + mixed.swapaxes(1, 2), dtype=np.float32)


def _root(matrices: NDArray[Any]) -> NDArray[np.float64]:
    """Return r with r rᵀ the nearest covariances to symmetric matrices (…, 64, 64)."""
    values, vectors = np.linalg.eigh(matrices.astype(float))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[..., None, :])


def _symmetric(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw symmetric matrices of variance 1, and 2 on the diagonal."""
    drawn = rng.standard_normal(shape)
    return np.asarray((drawn + drawn.swapaxes(-1, -2)) / np.sqrt(2))


@one_thread
def flicker(mean: Singles, noise: Noise) -> float:
    """Return the standard deviation of errors of single moments against all others, in a mean map (64, 64) of a ring.

    It is the median fourth difference of the rows far from the diagonal, where dynamics are smooth, less that of noise
    alone. A few sudden events do not change the median.
    """
    i = np.arange(SIZE)
    far = np.abs(i[:, None] - i) >= _FAR
    rows = (np.where(far, mean - 1, 0)).sum(1) / far.sum(1)
    size = np.median(np.abs(np.diff(rows, 4))) / 0.6745 / _FOURTH
    total = CONTRAST + noise.shot
    expected = total * (max(rows.mean(), 0) + total / far.sum(1).mean()) / noise.n_pixels.sum()
    return float(np.sqrt(max(size**2 - expected, 0)))


@one_thread
def baseline(maps: Singles, noise: Noise, phi_deg: NDArray[np.float64], excess: float = 1.0) -> float:
    """Return the standard deviation of an offset between maps of opposite bins, beyond their noise.

    Opposite bins see the same dynamics, so their levels at the longest lags differ by noise, which is known, or by the
    instrument. `maps` are (n, 64, 64), of bins at `phi_deg` (n,), and `excess` is the variance of the noise of their
    levels over that of Wishart maps. Return zero with fewer than three pairs.
    """
    pairs = opposite_pairs(phi_deg)
    if len(pairs) < 3:
        return 0.0
    i = np.arange(SIZE)
    weight = (np.abs(i[:, None] - i) >= SIZE // 2).astype(float)
    weight /= weight.sum()
    level = (maps * weight).sum((1, 2))
    covariance = maps.mean(0).astype(float) - 1 + np.diag(np.full(SIZE, noise.shot))
    product = weight @ covariance
    of_pixel = excess * 2 * np.trace(product @ product)  # variance of the level of one pixel
    differences = np.array([(level[a] - level[b]) ** 2 for a, b in pairs])
    expected = np.array([of_pixel * (1 / noise.n_pixels[a] + 1 / noise.n_pixels[b]) for a, b in pairs])
    excess = differences.mean() - 2 * expected.mean()  # twice, because a variance of a few pairs is uncertain
    return float(np.sqrt(max(excess, 0) / 2))


def _level(over: float, step: float) -> float:
    """Return zero below a half, otherwise the next higher power of `step`."""
    return 0.0 if over < 0.5 else float(step ** np.ceil(np.log(over) / np.log(step)))


MOST_MISSING = 0.1  # share of the rows of a map that may be filled for a p-value
MOST_IN_A_ROW = 1 / SIZE  # and of those in a row: the bank has no such hole, and filled rows are copies of others


class Judgement(NamedTuple):
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
    summary : dict
        For the summary of a result: the reason without a p-value, or the numbers of the ring with the smallest one.
    """

    latent: Singles
    embedding: Singles
    p: float | None
    p_of_ring: NDArray[np.float64]
    summary: dict[str, Any]


def judge(
    technique: "RheoXPCS",
    maps: Singles,
    photons: NDArray[np.float64],
    contrasts: Sequence[tuple[float, float] | None],
    speckle_px: float = 1.0,
    pixel_noise: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
    doubt: str | None = None,
    cells: Cells | None = None,
) -> Judgement:
    """Compute latent vectors, embedding and p-value from the maps (n_roi, 256, 256) of a run.

    `photons` (n_roi,) are per pixel of each bin; `contrasts` are beta of each ring and its relative error, None without
    speckle; `speckle_px` is the number of pixels that see the same speckle, and `pixel_noise` as in `Correlated`, None
    without pixels. If `doubt` names a fault of the detector,
    there is no p-value. `cells` are those of the run, None for those of many frames.
    """
    latent = technique.encoder.encode(maps)
    embeddings, verdicts, reasons = [], [], []
    p_of_ring = np.full(len(technique.rings), np.nan)
    for number, (ring, contrast) in enumerate(zip(technique.rings, contrasts, strict=True)):
        phi = np.full(len(ring.bins), np.nan) if ring.phi_deg is None else ring.phi_deg
        embeddings.append(technique.encoder.point(latent[ring.bins], phi=phi, weights=ring.weights))
        if doubt or contrast is None:
            reasons.append(doubt or "no speckle was found in the run")
            continue
        of_photons = float(ring.weights @ photons[ring.bins])
        noise = Noise.of(of_photons, contrast[0], ring.pixels, speckle_px)
        excess = _Excess(*[1 + 3 * contrast[0]] * 2)  # of static speckle of equal modes
        if pixel_noise is not None:
            excess = _excess(ring, maps[ring.bins], SIZE / of_photons, cells, pixel_noise(ring.bins))
        verdicts.append(_of_ring(technique, ring, maps[ring.bins], noise, contrast, cells, excess))
        p_of_ring[number] = verdicts[-1].p
    summary: dict[str, Any] = {"no_claim": reasons[0] if reasons else None, "strangest_in": None}
    p = None
    if verdicts:
        least, p = min(verdicts, key=lambda verdict: verdict.p), min(1.0, float(np.nanmin(p_of_ring)) * len(verdicts))
        summary = {"no_claim": None, "strangest_in": least.strangest_term}
        summary |= {f"strangeness_{term}": x for term, x in least.excess.items()}
    return Judgement(latent, np.mean(embeddings, axis=0, dtype=np.float32), p, p_of_ring, summary)


class _Excess(NamedTuple):
    """Variance of the noise of maps over that of Wishart maps: of the profile over the lag, and of the level."""

    profile: float
    level: float


def _of_ring(
    technique: "RheoXPCS",
    ring: Ring,
    maps: Singles,
    noise: Noise,
    contrast: tuple[float, float],
    cells: Cells | None,
    excess: _Excess,
) -> Verdict:
    """Return the verdict of the scorer on the maps (n, 256, 256) of a ring, of contrast beta and its relative error."""
    scaled = 1 + (block_mean(maps) - 1) * np.float32(CONTRAST / contrast[0])
    instrument = {"flicker": flicker(np.tensordot(ring.weights, scaled, 1).astype(np.float32), noise)}
    if ring.phi_deg is not None:
        instrument["baseline"] = baseline(scaled, noise, ring.phi_deg, excess.level)
    given = bank_options(noise, contrast[1], ring.phi_deg, **instrument, cells=cells, q_spread=ring.q_spread)
    return technique.scorer(given).explain(_features_of(technique, scaled, noise, ring, given, excess.profile)[None])[0]


def _excess(ring: Ring, maps: Singles, shot: float, cells: Cells | None, pixel_noise: NDArray[np.float64]) -> _Excess:
    """Return the excess of the noise of maps (n, 256, 256), from `pixel_noise`."""
    sectors = sectors_of(ring.pixels, ring.phi_deg, ring.phi_deg is not None)
    of_shot = shot * (np.eye(SIZE) if cells is None else cells.shot)
    wishart = noise_by_lag(sectors.average(block_mean(maps)) - 1 + of_shot.astype(np.float32))
    measured = sectors.average(pixel_noise.astype(np.float32))
    of_level = _LONG @ measured.mean(0) @ _LONG / (_LONG @ wishart.mean(0) @ _LONG)
    return _Excess(excess_of(wishart, measured), max(float(of_level), 1.0))


def prepare(
    technique: "RheoXPCS",
    photons: NDArray[np.float64],
    contrasts: Sequence[tuple[float, float] | None],
    cells: Cells | None,
    speckle_px: float,
) -> None:
    """Calibrate for a run with these arguments of `judge`, if it has no systematic errors; this takes seconds."""
    for ring, contrast in zip(technique.rings, contrasts, strict=True):
        of_photons = float(ring.weights @ photons[ring.bins])
        if of_photons > 0 and contrast is not None:
            noise = Noise.of(of_photons, contrast[0], ring.pixels, speckle_px)
            technique.scorer(bank_options(noise, contrast[1], ring.phi_deg, cells=cells, q_spread=ring.q_spread))


def _features_of(
    technique: "RheoXPCS",
    maps: Singles,
    noise: Noise,
    ring: Ring,
    given: Mapping[str, Any],
    excess: float,
) -> Singles:
    """Compute the features of the maps (n, 64, 64) of a ring, with the noise of the calibration of `given`.

    `excess` is as in `_of_ring`.
    """
    of_bins = add_noise(maps, noise, given)
    sectors = sectors_of(given["n_pixels"], given["phi_deg"], given["by_azimuth"])
    of_sectors = sectors.average(of_bins)
    mean = np.tensordot(sectors.share, of_sectors, 1)[None].astype(np.float32)
    differing = differences(of_bins, sectors.pairs, np.asarray(given["n_pixels"]))[None]
    shared = None if given["cells"] is None else given["cells"].shot
    share = (noise.of_mean / Noise(SIZE / given["photons"], np.asarray(given["n_pixels"])).of_mean) ** 2
    options = {
        "photons": given["photons"],
        "differing": differing,
        "shared": shared,
        "excess": 1 + share * (excess - 1),
    }
    options["q_spread"] = given["q_spread"]
    return np.asarray(features(technique.encoder, mean, of_sectors[None], sectors, **options)[0])


def filled(maps: Singles) -> Singles:
    """Fill rows of maps (n_roi, n, n) without a valid frame from the nearest rows, at the same lags.

    A map without any row is the mean of the others.
    """
    missing: NDArray[np.bool_] = np.asarray(np.isnan(maps).all(2))
    if not missing.any():
        return maps
    out, n, empty = maps.copy(), maps.shape[1], missing.all(axis=1)
    for k in np.flatnonzero(missing.any(axis=1) & ~empty):
        present = np.flatnonzero(~missing[k])
        nearest = present[np.abs(present[:, None] - np.arange(n)).argmin(0)]
        for i in np.flatnonzero(missing[k]):
            row = nearest[i]
            partner = np.clip(np.arange(n) + row - i, 0, n - 1)  # the same lag
            out[k, i] = out[k, :, i] = maps[k, row, nearest[partner]]
    out[empty] = out[~empty].mean(0)
    return out


def holes(maps: Singles, numbers: NDArray[np.int64]) -> str | None:
    """Return why maps (n_roi, n, n) of bins with these numbers have no p-value; None if few rows are missing."""
    missing = np.asarray(np.isnan(maps).all(2))
    if (dark := numbers[missing.all(1)]).size:
        return f"no photon in {bins_text(dark)}: take bins that are always dark out of the partition"
    length = longest = np.zeros(len(maps), int)
    for row in missing.T:
        length = (length + 1) * row
        longest = np.maximum(longest, length)
    if missing.mean(1).max() <= MOST_MISSING and longest.max() / maps.shape[1] <= MOST_IN_A_ROW:
        return None
    return f"{missing.any(0).sum()} of {maps.shape[1]} rows of the map hold no valid frame with a photon"
