"""Whether the numbers of g2 are right, and their errors.

Speckle movies have a known g1, contrast and counts, and use nothing of `ainerd`. The field of a pixel is a complex
Gaussian process, by the Cholesky factor of its covariance; intensities are those of some modes added up, which sets the
contrast (Goodman, Speckle Phenomena in Optics, 2007, ch. 3); counts are Poisson.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs import G2, MultiTau, Partition, Relaxation, fit_relaxation

N_FRAMES = 512
SHAPES = ((0.7, 0.2), (1.0, 0.5), (1.4, 0.1), (1.8, 1 / 3))  # exponent, contrast
TAUS = (0.01, 0.03, 0.1, 0.3)  # of the run


def rows(quick: bool) -> list[dict[str, Any]]:
    """Return a row for each kind of run and cell of photons and pixels; `quick` makes a tenth of the fits."""
    return [*_static(quick), _flat(quick), _fast(quick), *_coverage(quick), *_together(quick)]


def measured(seed: int, g1: NDArray, contrast: float, photons: float, n_bins: int, n_pixels: int, n_sub: int = 1) -> G2:
    """Return g2 of frames with a known truth, in bins of `n_sub` static sub-bins."""
    rng = np.random.default_rng(seed)
    roi = np.repeat(np.arange(1, n_bins + 1), n_pixels).reshape(n_bins, n_pixels)
    static = np.tile(np.arange(n_pixels) * n_sub // n_pixels + 1, (n_bins, 1))
    partition = Partition.from_roi_map(roi, static_map=static)
    correlator = MultiTau(partition, len(g1))
    correlator.push(counts(rng, intensity(rng, g1, roi.size, contrast), photons))
    return correlator.result()


def _row(what: str, photons: float, pixels: float, fits: int, numbers: int, **found: float) -> dict[str, Any]:
    names = [f"{name}_{k}s" for name in ("tau", "exponent", "contrast") for k in (1, 2)]
    blank = dict.fromkeys([*names, "right", "contrast_found"], np.nan)
    described = {"what": what, "photons": photons, "pixels": pixels, "fits": fits, "numbers": numbers}
    return described | blank | found


def _static(quick: bool) -> list[dict[str, Any]]:
    """Fit runs of a static sample, 18 bins of 570 pixels in 4 static sub-bins: a limit of tau, the contrast."""
    out = []
    for photons in (0.05, 0.5):
        found, errors, right, numbers = [], [], [], 0
        n = 4 if quick else 20
        for seed in range(n):
            fit = fit_relaxation(measured(seed, np.ones(300), 0.2, photons, 18, 570, 4), together=True)
            found.append(fit.contrast[0] / 0.2)
            errors.append(fit.contrast_err[0] / 0.2)
            numbers += int(np.isfinite(fit.tau[0]))
            right.append(np.isnan(fit.tau[0]) and np.isfinite(fit.tau_above[0]) and np.isnan(fit.tau_below[0]))
        z = np.abs(np.array(found) - 1) / errors
        covered = {"contrast_1s": np.mean(z < 1), "contrast_2s": np.mean(z < 2)}
        out.append(
            _row("static", photons, 570, n, numbers, right=np.mean(right), contrast_found=np.mean(found), **covered)
        )
    return out


def _flat(quick: bool) -> dict[str, Any]:
    """Fit runs without speckle: right if the fit reports none."""
    n = 6 if quick else 40
    fits = [
        fit_relaxation(measured(seed, np.ones(300), 0.0, (0.05, 0.5)[seed % 2], 18, 570, 4), together=True)
        for seed in range(n)
    ]
    return _row("flat field", np.nan, 570, n, 0, right=np.mean([fit.speckle[0] == "no" for fit in fits]))


def _fast(quick: bool) -> dict[str, Any]:
    """Fit runs that decorrelate from frame to frame: right if the upper limit of tau holds."""
    n, tau = 4 if quick else 20, 0.3
    fits = [
        fit_relaxation(measured(seed, stretched(300, tau, 1.0), 0.2, 0.5, 18, 570, 4), together=True)
        for seed in range(n)
    ]
    right = np.mean([fit.tau_below[0] > tau and not fit.tau_above[0] > tau for fit in fits])
    numbers = sum(int(np.isfinite(fit.tau[0])) for fit in fits)
    found = np.mean([fit.contrast[0] for fit in fits]) / 0.2
    return _row("within a frame", 0.5, 570, n, numbers, right=right, contrast_found=found)


def pulls(fit: Relaxation, tau: float, exponent: float, contrast: float) -> NDArray[np.float64]:
    """Return (fit - truth) / error of tau, exponent and contrast, (n, 3), of fits that give a number."""
    known = np.isfinite(fit.tau)
    pairs = ((fit.tau, fit.tau_err, tau), (fit.exponent, fit.exponent_err, exponent))
    z = [(found - true) / error for found, error, true in (*pairs, (fit.contrast, fit.contrast_err, contrast))]
    return np.stack(z, 1)[known]


def _covered(what: str, photons: float, pixels: float, fits: int, z: NDArray, limits: list[bool]) -> dict[str, Any]:
    held = {
        f"{name}_{k}s": float(np.mean(np.abs(z[:, i]) < k)) if len(z) else np.nan
        for i, name in enumerate(("tau", "exponent", "contrast"))
        for k in (1, 2)
    }
    return _row(what, photons, pixels, fits, len(z), right=float(np.mean(limits)) if limits else np.nan, **held)


def _limits(fit: Relaxation, tau: float) -> list[bool]:
    """Return for each limit whether it holds."""
    above, below = (x[np.isfinite(x)] for x in (fit.tau_above, fit.tau_below))
    return [*(above <= tau).tolist(), *(below >= tau).tolist()]


def _coverage(quick: bool) -> list[dict[str, Any]]:
    """Fit single bins over relaxation times, exponents and contrasts; return the cells, and all of them pooled."""
    out, every, limits = [], [], []
    for photons in (0.05, 0.5, 5.0):
        for n_pixels, n_bins in ((50, 48), (500, 12), (5000, 6)):
            row, z, right = cell(photons, n_pixels, n_bins, quick)
            out.append(row)
            every.append(z)
            limits += right
    fits = sum(row["fits"] for row in out)
    return [*out, _covered("bins, pooled", np.nan, np.nan, fits, np.concatenate(every), limits)]


def cell(photons: float, n_pixels: int, n_bins: int, quick: bool) -> tuple[dict[str, Any], NDArray, list[bool]]:
    """Return a row, the pulls of fits that give a number, and whether the limits of the others hold."""
    z, right, fits = [], [], 0
    some = n_bins // 3 if quick else n_bins
    for i, of_run in enumerate(TAUS):
        for j, (exponent, contrast) in enumerate(SHAPES):
            if quick and (i + j) % 4:
                continue
            tau, seed = of_run * N_FRAMES, 10 * j + 100 * i + n_pixels * 1000
            g1 = stretched(N_FRAMES, tau, exponent)
            fit = fit_relaxation(measured(seed, g1, contrast, photons, some, n_pixels))
            z.append(pulls(fit, tau, exponent, contrast))
            right += _limits(fit, tau)
            fits += some
    found = np.concatenate(z)
    return _covered("bins", photons, n_pixels, fits, found, right), found, right


def _together(quick: bool) -> list[dict[str, Any]]:
    """Fit eighteen bins of 100 pixels together."""
    z, right, n = [], [], 1 if quick else 8
    for i, of_run in enumerate(TAUS[1:]):
        for j, (exponent, contrast) in enumerate(SHAPES):
            for run in range(n):
                tau = of_run * N_FRAMES
                g2 = measured(run + 10 * j + 100 * i, stretched(N_FRAMES, tau, exponent), contrast, 0.5, 18, 100)
                fit = fit_relaxation(g2, together=True)
                z.append(pulls(fit, tau, exponent, contrast))
                right += _limits(fit, tau)
    fits = len(z)
    return [_covered("runs", 0.5, 100, fits, np.concatenate(z), right)]


# movies


def stretched(n_frames: int, tau: float, exponent: float) -> NDArray[np.float64]:
    """Return g1 at lags 0 … n_frames - 1 of a stretched exponential, so that g2 - 1 = β exp(-2 (t / tau)^γ)."""
    with np.errstate(divide="ignore"):
        return np.exp(-((np.arange(n_frames) / tau) ** exponent))


def modes(contrast: float) -> NDArray[np.float64]:
    """Return weights of independent modes, of sum 1 and sum of squares `contrast`; all but the first are equal."""
    n = int(np.ceil(1 / contrast - 1e-9))
    if n == 1:
        return np.ones(1)
    # a + (n - 1) b = 1, a² + (n - 1) b² = contrast
    first = (1 + np.sqrt((n - 1) * (n * contrast - 1))) / n
    return np.append(first, np.full(n - 1, (1 - first) / (n - 1)))


def intensity(rng: np.random.Generator, g1: NDArray, n_pixels: int, contrast: float) -> NDArray[np.float32]:
    """Draw intensities of mean 1, (T, n_pixels); `contrast` 0 is a flat field, g1 = 1 static speckle."""
    n = len(g1)
    if contrast == 0:
        return np.ones((n, n_pixels), np.float32)
    factor = _factor(g1)
    total = np.zeros((n, n_pixels), np.float32)
    for weight in modes(contrast):
        for _ in range(2):  # real and imaginary part
            noise = rng.standard_normal((factor.shape[1], n_pixels), np.float32)
            total += np.float32(weight / 2) * (factor @ noise) ** 2
    return total


def counts(rng: np.random.Generator, bright: NDArray, photons: float) -> NDArray[np.uint16]:
    """Draw Poisson counts with `photons` a pixel and frame on average."""
    return rng.poisson(photons * bright.astype(float)).astype(np.uint16)


def _factor(g1: NDArray) -> NDArray[np.float32]:
    """Return the factor that correlates independent noise, (T, T), or (T, 1) if nothing moves."""
    if (g1 == 1).all():
        return np.ones((len(g1), 1), np.float32)
    where = np.arange(len(g1))
    covariance = g1[np.abs(where[:, None] - where)]
    return np.linalg.cholesky(covariance + 1e-6 * np.eye(len(g1))).astype(np.float32) / np.float32(np.sqrt(1 + 1e-6))
