"""Fit the linear encoder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

import ainerd
from ainerd_train._simulated import Watch, silent
from ainerd_xpcs.dynamics import KNOWN, known_maps, noisy
from ainerd_xpcs.latent import ROWS, weighted, write_weights

N_COMPONENTS = 16
_AT_ONCE = 50
# Of an exposure: contrast uniform, the others log-uniform; photons per pixel are of the whole exposure.
STATISTICS = {
    "n_frames": (500, 5000),
    "photons_per_pixel": (50, 2500),
    "n_pixels": (150, 5000),
    "contrast": (0.05, 0.35),
}


def train_pca(out: Path, *, seed: int = 0, truths: int = 3000, watch: Watch = silent) -> Path:
    """Write `out`/pca.safetensors, and return its path.

    The components are fitted to simulated exposures, each taken twice: without noise, and with noise of random
    statistics. The file depends on the seed alone. `watch` is called as by `train_ours`.
    """
    fit, rng = PcaFit(), np.random.default_rng([seed, 0])
    for first in range(0, truths, _AT_ONCE):
        n = min(_AT_ONCE, truths - first)
        n_frames, photons, n_pixels, contrast = drawn_statistics(n, rng)
        clean = contrast.astype(np.float32)[:, None, None] * known_maps(n, rng)
        fit.push(1 + clean)
        fit.push(noisy(clean, n_pixels=n_pixels, n_frames=n_frames, counts=photons / n_frames, rng=rng)[:, 0])
        watch("simulating", first + n, truths, {})
    mean, components = fit.finish(N_COMPONENTS)
    ranges = {name: list(pair) for name, pair in STATISTICS.items()}
    recipe = {"kind": "pca", "seed": seed, "exposures": truths, "statistics": ranges}
    recipe |= {"families": list(KNOWN), "ainerd": ainerd.__version__}
    write_weights(out / "pca.safetensors", {"mean": mean, "components": components}, recipe)
    return out / "pca.safetensors"


def drawn_statistics(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Draw the `STATISTICS` of n exposures, (n,) each, in their order; pixels are whole numbers."""
    *logarithmic, contrast = STATISTICS.values()
    frames, photons, pixels = (np.exp(rng.uniform(np.log(low), np.log(high), n)) for low, high in logarithmic)
    return frames, photons, np.floor(pixels), rng.uniform(*contrast, n)


class PcaFit:
    """Principal components of maps that come in blocks: only the covariance is kept."""

    def __init__(self) -> None:
        self.n = 0
        self._sum = np.zeros(ROWS.size)
        self._square = np.zeros((ROWS.size, ROWS.size))

    def push(self, maps: NDArray[np.float32]) -> None:
        """Add maps (n, 64, 64)."""
        self.add(weighted(maps - 1).astype(np.float64))

    def add(self, x: NDArray[np.float64]) -> None:
        """Add weighted triangles (n, 2080)."""
        self.n += len(x)
        self._sum += x.sum(0)
        self._square += x.T @ x

    def top(self, n: int) -> tuple[NDArray[np.float64], ...]:
        """Return the first n components (n, 2080), the mean, and the standard deviations (n,)."""
        mean = self._sum / self.n
        covariance = self._square / self.n - np.outer(mean, mean)
        values, vectors = eigh(covariance, subset_by_index=[ROWS.size - n, ROWS.size - 1])
        return vectors.T[::-1], mean, np.sqrt(np.maximum(values[::-1], 0))

    def finish(self, n_components: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the mean (2080,) and components (n_components, 2080); the largest entry of each is positive."""
        components, mean, _ = self.top(n_components)
        largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], axis=1)
        return mean.astype(np.float32), np.ascontiguousarray(components * np.sign(largest), dtype=np.float32)
