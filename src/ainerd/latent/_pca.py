"""The linear encoder: principal components of maps at 64 px."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._encoder import Encoder
from ainerd.latent._features import weighted
from ainerd.latent._grid import MAP_SIZE, ROWS, SIZE, WEIGHT, block_mean, from_triangle, interpolate
from ainerd.latent._weights import ModelError, digest, read_weights

N_COMPONENTS = 16
_RANKS = {"components": 2, "mean": 1}


class PcaEncoder(Encoder):
    """Centred PCA of C - 1 at 64 px: distances in latent space are distances between maps.

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
        """Read the file; raises `ModelError`."""
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


class PcaFit:
    """Principal components of vectors that come in blocks: only the covariance is kept."""

    def __init__(self) -> None:
        self.n = 0
        self._sum = np.zeros(ROWS.size)
        self._square = np.zeros((ROWS.size, ROWS.size))

    def push(self, maps: NDArray[np.float32]) -> None:
        """Take the next maps (n, 64, 64)."""
        x = weighted(maps - 1).astype(np.float64)
        self.n += len(x)
        self._sum += x.sum(0)
        self._square += x.T @ x

    def finish(self, n_components: int = N_COMPONENTS) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean (2080,) and components (n_components, 2080), the largest entry of each positive."""
        from scipy.linalg import eigh

        mean = self._sum / self.n
        top = [ROWS.size - n_components, ROWS.size - 1]
        _, vectors = eigh(self._square / self.n - np.outer(mean, mean), subset_by_index=top)
        components = vectors.T[::-1]
        largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], axis=1)
        return mean.astype(np.float32), np.ascontiguousarray(components * np.sign(largest), dtype=np.float32)
