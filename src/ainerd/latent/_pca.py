"""The linear encoder: principal components of maps at 64 px."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import MAP_SIZE, ROWS, SIZE, WEIGHT, block_mean, from_triangle, interpolate, weighted
from ainerd.latent._weights import ModelError, digest, read_weights

_RANKS = {"components": 2, "mean": 1}


class PcaEncoder(Encoder):
    """Centered PCA of C - 1 at 64 px: distances in latent space are distances between maps.

    `mean` is the mean weighted triangle (2080,), `components` are orthonormal rows (d, 2080).
    """

    sizes = (MAP_SIZE, SIZE)

    def __init__(
        self, mean: NDArray[np.float32], components: NDArray[np.float32], *, name: str = "pca", sha256: str = ""
    ) -> None:
        self.mean, self.components, self.name, self.sha256 = mean, components, name, sha256
        self.n_latent = len(components)

    @classmethod
    def read(cls, path: Path) -> "PcaEncoder":
        """Read the file; raise `ModelError`."""
        tensors, _ = read_weights(path, "pca", _RANKS)
        mean, components = tensors["mean"], tensors["components"]
        if mean.shape != ROWS.shape or components.shape[1:] != ROWS.shape:
            raise ModelError(f"{path}: made for another map size (mean {mean.shape}, components {components.shape})")
        return cls(mean, components, sha256=digest(path))

    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.matmul(weighted(block_mean(maps) - 1) - self.mean, self.components.T)

    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        maps = 1 + from_triangle((z @ self.components + self.mean) / WEIGHT)
        return maps if size == SIZE else interpolate(maps)
