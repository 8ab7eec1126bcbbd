"""The run encoder: maps to latent vectors, and the latent vectors of all bins of an exposure to one point.

======= ============================================================================================================
columns of a latent vector
======= ============================================================================================================
0–15    principal components, those of the encoder "pca": what decodes
16–63   learned: near each other for maps of the same dynamics, whatever noise lies on them
======= ============================================================================================================

The point is made of the learned columns: a network sees each bin; its mean over azimuth, and the amplitudes of its
second and fourth harmonics, which do not know where zero is, go through another. Both were trained to tell exposures of
one regime (parameters within a quarter, events at any time, other statistics, other noise) from those of others.
Numpy alone runs it; torch is needed to train it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._azimuth import harmonics
from ainerd.latent._encoder import Encoder
from ainerd.latent._features import scaled
from ainerd.latent._grid import MAP_SIZE, SIZE, block_mean
from ainerd.latent._learned import GROUPS, LearnedEncoder, threads_for
from ainerd.latent._pca import PcaEncoder
from ainerd.latent._tower import Tensors, through, tower_ranks
from ainerd.latent._weights import SHIPPED, ModelError, digest, read_weights
from ainerd.threads import one_thread

N_COARSE = 64  # of the principal components that "ours" sees
N_LINEAR, N_LEARNED, N_POINT = 16, 48, 16
# Of the learned columns of a latent vector, beside the principal components, which are in units of the map.
LEARNED_SCALE = 0.08


class MapFeatures:
    """What the run encoder sees of a map: the latent vector of "ours", and numbers that are linear in the map."""

    def __init__(self) -> None:
        self.ours = LearnedEncoder.shipped()
        every = np.r_[0:N_COARSE, GROUPS[-1] : len(self.ours.features)]
        self._operator, self._mean = self.ours.features[every], self.ours.feature_mean[every]

    def __call__(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, f) of maps (n, 64, 64)."""
        with threads_for(len(maps)):
            x, level, gauges = scaled(maps)
            return np.hstack([self.ours.encode(maps), x @ self._operator.T - self._mean, gauges])


RANKS = tower_ranks("map", 1) | tower_ranks("bin", 1) | tower_ranks("point", 1) | {"low": 1, "high": 1}


class RunEncoder(Encoder):
    """Latent vectors of principal components and of learned numbers; a learned point of an exposure.

    `tensors` are as `ainerd rheo-xpcs train run` writes them.
    """

    name = "run"
    n_latent = N_LINEAR + N_LEARNED
    n_point = N_POINT
    sizes = (MAP_SIZE, SIZE)

    def __init__(self, tensors: Tensors, *, scatter: float, sha256: str = "") -> None:
        self.sha256, self.scatter = sha256, scatter
        self._t = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
        self._linear, self._features = PcaEncoder.read(SHIPPED / "pca.safetensors"), MapFeatures()

    @classmethod
    def read(cls, path: Path) -> "RunEncoder":
        """Read the file; raises `ModelError`."""
        tensors, recipe = read_weights(path, "run", RANKS)
        encoder = cls(tensors, scatter=float(recipe.get("scatter", np.nan)), sha256=digest(path))
        if recipe.get("maps") != encoder.of_maps or not encoder.scatter > 0:
            raise ModelError(f"{path}: made for other weights of 'pca' and 'ours' than are installed")
        return encoder

    @property
    def linear(self) -> Encoder:
        """The principal components of the first columns."""
        return self._linear

    @property
    def of_maps(self) -> list[str]:
        """Digests of the weights that it sees maps through."""
        return [self._linear.sha256, self._features.ours.sha256]

    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        coarse = block_mean(maps)
        with threads_for(len(maps)):
            # What lies beyond all that training saw is taken for the edge of that: maps without speckle, say.
            seen = np.clip(self._features(coarse), self._t["low"], self._t["high"])
            learned = through(self._t, "map", seen)
        return np.hstack([self._linear.encode(coarse), LEARNED_SCALE * learned])

    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        return self._linear.decode(z[:, :N_LINEAR], size=size)

    @one_thread
    def _point(
        self, z: NDArray[np.float32], phi: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        seen = through(self._t, "bin", z[:, N_LINEAR:] / LEARNED_SCALE)
        return through(self._t, "point", pooled(harmonics(phi, weights) @ seen)[None])[0]


def pooled(told: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and amplitudes of the harmonics, (3 k,), of what `harmonics` tells of k numbers, (5, k)."""
    power = np.square(told[1:]).reshape(-1, 2, told.shape[1]).sum(1)
    return np.concatenate([told[0], *np.sqrt(power + np.float32(1e-6))])
