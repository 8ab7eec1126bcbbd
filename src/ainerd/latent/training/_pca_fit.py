"""Fit the linear encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ainerd
from ainerd.dynamics import KNOWN, Statistics, known_maps, noisy
from ainerd.latent._pca import PcaFit
from ainerd.latent._weights import write_weights

_AT_ONCE = 50


def train_pca(
    out: Path, *, seed: int = 0, exposures: int = 3000, advance: Callable[[int], None] = lambda n: None
) -> Path:
    """Write `out`/pca.safetensors, and return its path.

    The components are those of so many simulated exposures, each taken twice: clean, and noisy at drawn statistics. One
    seed gives one file. `advance` is told how many exposures more were simulated.
    """
    if exposures < 1:
        raise ValueError(f"exposures must be at least 1, got {exposures}")
    for_fit = np.random.default_rng([seed, 0])
    recipe: dict[str, Any] = {"seed": seed, "families": list(KNOWN), "ainerd": ainerd.__version__}

    fit = PcaFit()
    for first in range(0, exposures, _AT_ONCE):
        n = min(_AT_ONCE, exposures - first)
        statistics = Statistics.drawn(n, for_fit)
        clean = statistics.contrast.astype(np.float32)[:, None, None] * known_maps(n, for_fit)
        fit.push(1 + clean)
        fit.push(
            noisy(
                clean, n_pixels=statistics.n_pixels, n_frames=statistics.n_frames, counts=statistics.counts, rng=for_fit
            )[:, 0]
        )
        advance(n)
    mean, components = fit.finish()
    ranges = {name: list(pair) for name, pair in Statistics.RANGES.items()}
    recipe |= {"kind": "pca", "exposures": exposures, "statistics": ranges}
    write_weights(out / "pca.safetensors", {"mean": mean, "components": components}, recipe)
    return out / "pca.safetensors"
