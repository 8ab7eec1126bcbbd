"""Frames of one spot with a known relaxation time, and what their g2 tells."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

from ainerd.exposures import Exposure
from ainerd.technique import Pace
from ainerd.xpcs import MultiTau, Partition, fit_relaxation

PIXELS, SPECKLES = 2000, 1000
BLOCK = 100  # speckles that are made together
FINE = 16  # parts of a frame, at most, over which a fast speckle is averaged
WHERE = Partition.from_roi_map(np.ones((PIXELS // 100, 100), dtype=int), np.array([0.024]))


def counts_of(
    tau_s: float, exponent: float, contrast: float, counts_per_s: float, exposure: Exposure, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return counts (T, pixels): a static part and complex Gaussian fields of g1 = exp(-(t/tau)^p), two pixels each.

    The intensity of a speckle that changes within a frame is averaged over up to `FINE` parts of the frame.
    """
    n = exposure.n_frames
    parts = int(np.clip(np.ceil(4 * exposure.frame_time_s / tau_s), 1, FINE))
    step_s, size = exposure.frame_time_s / parts, 2 * n * parts
    lag = np.minimum(np.arange(size), size - np.arange(size)) * step_s
    root = np.sqrt(np.maximum(fft(np.exp(-((lag / tau_s) ** exponent))).real, 0) / size).astype(np.float32)
    moving = np.sqrt(contrast)
    light = counts_per_s * exposure.frame_time_s * exposure.transmission
    out = np.empty((n, PIXELS), dtype=np.float32)
    each = PIXELS // SPECKLES
    at_once = max(BLOCK // parts, 1)
    for first in range(0, SPECKLES, at_once):
        some = min(at_once, SPECKLES - first)
        white = rng.standard_normal((some, size, 2), dtype=np.float32).view(np.complex64)[..., 0]
        field = fft(white * root, axis=-1)[:, : size // 2]
        intensity = (np.abs(field) ** 2 / 2).reshape(some, n, parts).mean(2)
        mean = light * (1 - moving + moving * intensity)
        for k in range(each):
            out[:, each * first + k : each * (first + some) : each] = rng.poisson(mean).T
    return out


def seen(counts: NDArray[np.float32], exposure: Exposure) -> Pace:
    """Return what the agent's g2 and fit tell of frames."""
    g2 = MultiTau(WHERE)
    for first in range(0, len(counts), 64):
        g2.push(counts[first : first + 64])
    fit: Any = fit_relaxation(g2.result(), exposure.frame_time_s, two_modes=False)
    known = {
        name: None if not np.isfinite(x := float(getattr(fit, field)[0])) else x
        for name, field in (
            ("tau_s", "tau"),
            ("error_s", "tau_err"),
            ("above_s", "tau_above"),
            ("below_s", "tau_below"),
            ("contrast", "contrast"),
        )
    }
    return Pace(**known, counts=float(counts.mean()))
