"""Curves of g2 of known models, whose noise is that of simulated fields: pulls, choices, numbers without a model."""

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import norm

from ainerd_xpcs import LEFT_OVER, Relaxation, fit_curves
from ainerd_xpcs.numerics._fit_curves import LEFT_OVER_OF_FILES
from studies._tools import Row

N_FRAMES = 3000
LAG = np.unique(np.r_[np.arange(1, 17), (np.arange(9, 17)[:, None] * 2.0 ** np.arange(1, 7)).ravel()])
MODELS = {
    "exponential": {"tau": 40.0},
    "stretched, .6": {"tau": 40.0, "p": 0.6},
    "compressed, 1.7": {"tau": 40.0, "p": 1.7},
    "two modes, ×10": {"tau": 12.0, "share": 0.5, "ratio": 10.0},
    "two modes, ×30": {"tau": 8.0, "share": 0.5, "ratio": 30.0},
    "half static": {"tau": 40.0, "static": 0.5},
}
PIXELS = (3000, 300, 100, 12)
EXPOSURES = 20
# One material each: its g1, the share of g2 - 1 that a baseline has, and the largest that its normalisation leaves.
MATERIALS: dict[str, tuple[dict[str, float], float, float]] = {
    "exponential": ({"tau": 40.0}, 0.0, LEFT_OVER),
    "stretched, .6": ({"tau": 40.0, "p": 0.6}, 0.0, LEFT_OVER),
    "compressed, 1.7": ({"tau": 40.0, "p": 1.7}, 0.0, LEFT_OVER),
    "τ a fifth of the movie": ({"tau": 600.0}, 0.0, LEFT_OVER),
    "static .2": ({"tau": 40.0, "static": 0.2}, 0.0, LEFT_OVER),
    "static .35": ({"tau": 40.0, "static": 0.35}, 0.0, LEFT_OVER),
    "static .7": ({"tau": 40.0, "static": 0.7}, 0.0, LEFT_OVER),
    "static .5, stretched, .7": ({"tau": 40.0, "static": 0.5, "p": 0.7}, 0.0, LEFT_OVER),
    "baseline .001": ({"tau": 40.0}, 0.005, LEFT_OVER),
    "two modes, ×10": ({"tau": 12.0, "share": 0.5, "ratio": 10.0}, 0.0, LEFT_OVER),
    "file, baseline .004": ({"tau": 40.0}, 0.02, LEFT_OVER_OF_FILES),
    "file, baseline .02": ({"tau": 40.0}, 0.1, LEFT_OVER_OF_FILES),
    "file, baseline .1": ({"tau": 40.0}, 0.5, LEFT_OVER_OF_FILES),
    "unexpected baseline .004": ({"tau": 40.0}, 0.02, LEFT_OVER),
    "unexpected baseline .02": ({"tau": 40.0}, 0.1, LEFT_OVER),
}
FALSE_ALARMS = 0.01  # of one called two, for the best possible choice
CONTRAST, COUNTS = 0.2, 0.5
# Curves that no model describes, that decay over all lags, or whose relaxation is slower than the lags.
WITHOUT_MODEL = {**MODELS, "stretched, .3": {"tau": 40.0, "p": 0.3}, "slower than the lags": {"tau": 3000.0}}
WITHOUT_MODEL |= {"swinging": {"tau": 150.0, "swing": 0.05}}


def g1(
    t: NDArray, *, tau: float, p: float = 1.0, static: float = 0.0, share: float = 1.0, ratio: float = 1.0,
    swing: float = 0.0,
) -> NDArray:  # fmt: skip
    """Return the field correlation."""
    moving = share * np.exp(-((t / tau) ** p)) + (1 - share) * np.exp(-t / tau / ratio)
    moving = moving * (0.6 + 0.4 * np.cos(swing * t))
    return np.asarray(static + (1 - static) * moving)


class Noise:
    """Deviations of g2 of one pixel from its mean: drawn from Gaussian fields of a known g1, by their spectrum."""

    def __init__(self, shape: dict[str, float] | None, seed: int, n_pixels: int = 4000) -> None:
        rng, size = np.random.default_rng(seed), 2 * N_FRAMES
        if shape is None:  # a field without speckle
            flat = rng.poisson(COUNTS, (n_pixels, N_FRAMES)) / COUNTS - 1
            pixels = _g2_of_pixels(flat)
            self._off, self._rng = pixels - pixels.mean(0), rng
            return
        row = g1(np.minimum(np.arange(size), size - np.arange(size)), **shape)
        root = np.sqrt(np.maximum(np.fft.fft(row).real, 0) / size)
        modes = round(1 / CONTRAST)
        rows = []
        for _ in range(n_pixels // 100):
            white = rng.normal(size=(100, modes, size)) + 1j * rng.normal(size=(100, modes, size))
            field = np.fft.fft(white * root, axis=-1)[..., :N_FRAMES]
            counts = rng.poisson(COUNTS * (np.abs(field) ** 2).mean(1) / 2) / COUNTS - 1
            rows.append(_g2_of_pixels(counts))
        pixels = np.concatenate(rows)
        self._off = pixels - pixels.mean(0)
        self._rng = rng

    def draw(self, n: int, n_pixels: int) -> NDArray:
        """Return the noise of `n` curves, each the mean of `n_pixels` pixels, drawn one by one."""
        times = self._rng.multinomial(n_pixels, np.full(len(self._off), 1 / len(self._off)), size=n)
        return np.asarray(times @ self._off / n_pixels)

    def power(self, shape: dict[str, float], n_pixels: int) -> float:
        """Return how often the best of all tests tells this curve from the nearest stretched exponential.

        It is the test of Neyman and Pearson between two curves that are known, with the covariance that the noise has,
        and with `FALSE_ALARMS`. No choice between models is better, because it has to find the curves as well.
        """
        values, vectors = np.linalg.eigh(np.cov(self._off.T))
        whitening = (vectors / np.sqrt(values)).T

        def off(x: NDArray) -> NDArray:
            one = x[0] * np.exp(-2 * (LAG / np.exp(x[1])) ** x[2])
            return np.asarray(whitening @ (one - CONTRAST * g1(LAG, **shape) ** 2))

        starts = [(CONTRAST, np.log(shape["tau"]) + later, p) for later in (0.5, 1.5) for p in (0.4, 0.7)]
        distance = np.sqrt(n_pixels * 2 * min(least_squares(off, start).cost for start in starts))
        return float(norm.cdf(distance - norm.isf(FALSE_ALARMS)))

    def error(self, n_pixels: int) -> NDArray:
        """Return the standard error of each lag."""
        return np.asarray(self._off.std(0) / np.sqrt(n_pixels))


def _g2_of_pixels(counts: NDArray) -> NDArray:
    """Return the mean of I(t) I(t + lag) of each pixel, frames averaged as in multi-tau of 16 channels."""
    out = np.empty((len(counts), LAG.size))
    for j, lag in enumerate(LAG.astype(int)):
        m = 2 ** max(int(np.ceil(np.log2(lag / 16))), 0)
        means = counts[:, : N_FRAMES // m * m].reshape(len(counts), -1, m).mean(2)
        out[:, j] = (means[:, : -(lag // m)] * means[:, lag // m :]).mean(1)
    return out


def pulls(quick: bool) -> Iterator[Row]:
    """Yield a row for each model and noise: pulls, coverage, and how often one is called two, or two one.

    With 600 curves the standard error of a coverage of .68 is .019, that of a pull .03.
    """
    n = 100 if quick else 600
    for seed, (name, shape) in enumerate(MODELS.items()):
        noise = Noise(shape, seed, 1000 if quick else 4000)
        for n_pixels in PIXELS:
            y = 1 + CONTRAST * g1(LAG, **shape) ** 2 + noise.draw(n, n_pixels)
            began = time.perf_counter()
            fit = fit_curves(LAG, y, np.tile(noise.error(n_pixels), (n, 1)), n_frames=N_FRAMES)
            took = {"ms a curve": 1e3 * (time.perf_counter() - began) / n}
            best = {"best possible": noise.power(shape, n_pixels) if "share" in shape else np.nan}
            yield row(name, n_pixels, shape, fit) | best | took
            if "static" in shape:  # without the model that no curve tells from it
                error = np.tile(noise.error(n_pixels), (n, 1))
                fit = fit_curves(LAG, y, error, n_frames=N_FRAMES, models=["stretched + static"])
                yield row(f"{name}, model known", n_pixels, shape, fit) | dict.fromkeys((*best, *took), np.nan)


def row(name: str, n_pixels: int, shape: dict[str, float], fit: Relaxation) -> Row:
    """Return how a cell of curves did; pulls are of those with as many modes as the truth, and its static share.

    `shape` is the exponent, or the share of the faster of two modes.
    """
    two, or_two, static = (
        np.char.find(x, y) >= 0 for x, y in ((fit.model, "two"), (fit.either, "two"), (fit.model, "static"))
    )
    is_two = "share" in shape
    model = (two == is_two) & (static if "static" in shape else True)
    right = np.isfinite(fit.tau) & model
    truth = {"tau": shape["tau"], "contrast": CONTRAST}
    truth |= {"share": 0.5} if is_two else {"exponent": shape.get("p", 1.0)}
    z = {x: (getattr(fit, x) - value) / getattr(fit, f"{x}_err") for x, value in truth.items()}
    z["shape"] = z.pop("share" if is_two else "exponent")
    z["tau"] = np.log(fit.tau / shape["tau"]) / (fit.tau_err / fit.tau)
    of_right = {x: values[right & np.isfinite(values)] for x, values in z.items()}
    out: Row = {"model": name, "pixels": n_pixels, "curves": len(two), "with tau": int(np.isfinite(fit.tau).sum())}
    out |= {"called two": float(two.mean()), "or two": float((~two & or_two).mean())}
    out |= {"either": float((fit.either != "").mean()), "right model": float(model.mean())}
    for x, values in of_right.items():
        some = len(values) > 5
        out |= {f"{x} sd": float(values.std()) if some else np.nan}
        out |= {f"{x} in 1": float((np.abs(values) < 1).mean()) if some else np.nan}
    return out


def materials(quick: bool) -> Iterator[Row]:
    """Yield a row for each material and number of pixels: the models of its exposures, and how often tau is right."""
    for seed, (name, (shape, baseline, left_over)) in enumerate(MATERIALS.items()):
        noise = Noise(shape, seed, 500 if quick else 2000)
        for n_pixels in (300, 1000, 3000, 10000):
            g2 = 1 + CONTRAST * (baseline + (1 - baseline) * g1(LAG, **shape) ** 2)
            y, error = g2 + noise.draw(EXPOSURES, n_pixels), np.tile(noise.error(n_pixels), (EXPOSURES, 1))
            fit = fit_curves(LAG, y, error, n_frames=N_FRAMES, left_over=left_over)
            models, counts = np.unique(fit.model, return_counts=True)
            off = np.abs(fit.tau - shape["tau"]) / fit.tau_err
            nearest = np.fmin(off, np.abs(fit.tau_either - shape["tau"]) / fit.tau_either_err)
            order = np.argsort(-counts)
            yield {
                "material": name, "pixels": n_pixels,
                "models": ", ".join(f"{counts[i]} {models[i].removeprefix('stretched + ')}" for i in order),
                "with other": int((fit.either != "").sum()),
                "τ in 1": float((off < 1).mean()), "τ in 2": float((off < 2).mean()),
                "either in 2": float((nearest < 2).mean()), "either in 3": float((nearest < 3).mean()),
            }  # fmt: skip


def without_model(quick: bool) -> Iterator[Row]:
    """Yield a row for each curve and noise: pulls of the numbers that need no model, and wrong limits of 95 %.

    Models that decay are not allowed, so that no curve has a tau. The truth is that of the curve without noise.
    """
    n, log = 60 if quick else 400, np.linspace(np.log(LAG[0]), np.log(LAG[-1]), 100_000)
    for seed, (name, shape) in enumerate(WITHOUT_MODEL.items()):
        noise, fine = Noise(shape, seed, 1000 if quick else 4000), g1(np.exp(log), **shape) ** 2
        first = (g1(LAG[:3], **shape) ** 2).mean()
        fallen = fine < first / 2
        half = float(np.exp(log[fallen.argmax()])) if fallen.any() else np.inf
        left = (g1(LAG[-3:], **shape) ** 2).mean() / first
        for n_pixels in PIXELS:
            y = 1 + CONTRAST * g1(LAG, **shape) ** 2 + noise.draw(n, n_pixels)
            error = np.tile(noise.error(n_pixels), (n, 1))
            fit = fit_curves(LAG, y, error, n_frames=N_FRAMES, models=["none", "flat"])
            out: Row = {"curve": name, "pixels": n_pixels, "curves": n}
            seen = np.isfinite([fit.tau_half, fit.tau_half_above, fit.tau_half_below]).any(0)
            out |= {"number or limit": float(seen.mean())}
            known = np.isfinite(fit.tau_half) & np.isfinite(half)
            z = (np.log(fit.tau_half / half) * fit.tau_half / fit.tau_half_err)[known]
            wrong = (fit.tau_half_above > min(half, LAG[-1]) * (1 + 1e-9)) | (fit.tau_half_below < half)
            out |= {"half given": float(np.isfinite(fit.tau_half).mean()), **_pulls("half", z)}
            z = (fit.left - left) / fit.left_err
            yield out | {"half limit wrong": float(wrong.mean()), **_pulls("left", z[np.isfinite(z)])}


def _pulls(name: str, z: NDArray) -> Row:
    """Return the root mean square of deviations in errors, and the share within one; NaN for few."""
    some = len(z) > 30
    rms, inside = (float(np.sqrt(np.mean(z**2))), float((np.abs(z) < 1).mean())) if some else (np.nan, np.nan)
    return {f"{name} rms": rms, f"{name} in 1": inside}


def with_tau(quick: bool) -> Iterator[Row]:
    """Yield how many curves get their tau whose tau the Fisher information determines to .2, in the window."""
    rng, n = np.random.default_rng(5), 40 if quick else 200
    rows = []
    for _ in range(n):
        tau, p, noise = (
            np.exp(rng.uniform(np.log(3), np.log(600))),
            rng.uniform(0.6, 1.6),
            np.exp(rng.uniform(-6.5, -3.5)),
        )

        def curve(x: NDArray) -> NDArray:
            return np.asarray(1 + x[0] * np.exp(-2 * (LAG / np.exp(x[1])) ** x[2]))

        x = np.array([CONTRAST, np.log(tau), p])
        slope = np.stack([(curve(x + h) - curve(x - h)) / 2e-5 for h in 1e-5 * np.eye(3)])
        known = np.sqrt(np.linalg.inv(slope @ slope.T)[1, 1]) * noise < 0.2
        fit = fit_curves(LAG, rng.normal(curve(x), noise), np.full(LAG.size, noise), n_frames=N_FRAMES)
        rows.append((known, np.isfinite(fit.tau[0]), (fit.tau[0] - tau) / fit.tau_err[0]))
    table = pd.DataFrame(rows, columns=["known", "found", "z"])
    known = table[table["known"]]
    yield {
        "curves": n, "identifiable": len(known), "of these with tau": known["found"].mean(),
        "within 3": (table["z"].dropna().abs() < 3).mean(),
    }  # fmt: skip
