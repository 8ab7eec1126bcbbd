"""The run encoder: C2 maps to latent vectors, and the latent vectors of an exposure to one point.

======= ============================================================================================================
columns of a latent vector
======= ============================================================================================================
0–15    principal components of the encoder "pca", from which maps are decoded
16–63   learned: similar for maps of the same dynamics, whatever their noise
======= ============================================================================================================

The point is computed from the learned columns. One network sees each bin. The mean of its output over azimuth, and the
amplitudes of the second and fourth harmonics, which do not depend on the direction of azimuth zero, go through another
network. Both were trained to separate exposures of one regime (parameters within a quarter, events at any time, other
statistics, other noise) from those of others. The encoder runs on numpy alone; torch is needed to train it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.latent._encoder import Encoder, PcaEncoder
from ainerd_xpcs.latent._grid import MAP_SIZE, SIZE, block_mean, harmonics
from ainerd_xpcs.latent._learned import GROUPS, LearnedEncoder, scaled, threads_for
from ainerd_xpcs.latent._weights import SHIPPED, ModelError, Tensors, digest, read_weights, run_tower, tower_ranks

N_COARSE = 64  # principal components, of those that "ours" sees
N_LINEAR, N_LEARNED, N_POINT = 16, 48, 16
# Scale of the learned columns of a latent vector; the principal components are in units of the map.
LEARNED_SCALE = 0.08


class MapFeatures:
    """The input of the run encoder: the latent vector of "ours", and numbers that are linear in the map."""

    def __init__(self) -> None:
        self.ours = LearnedEncoder.shipped()
        every = np.r_[0:N_COARSE, GROUPS[-1] : len(self.ours.features)]
        self._operator, self._mean = self.ours.features[every], self.ours.feature_mean[every]

    def __call__(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features (n, f) of maps (n, 64, 64)."""
        with threads_for(len(maps)):
            x, level, gauges = scaled(maps)
            return np.hstack([self.ours.encode(maps), x @ self._operator.T - self._mean, gauges])


RANKS = tower_ranks("map", 1) | tower_ranks("bin", 1) | tower_ranks("point", 1) | {"low": 1, "high": 1}


class RunEncoder(Encoder):
    """Latent vectors of principal components and learned numbers, and a learned point of an exposure.

    `ainerd rheo-xpcs train run` writes the `tensors`.
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
        """Read the file; raise `ModelError`."""
        tensors, recipe = read_weights(path, "run", RANKS)
        encoder = cls(tensors, scatter=float(recipe.get("scatter", np.nan)), sha256=digest(path))
        if recipe.get("maps") != encoder.input_digests or not encoder.scatter > 0:
            raise ModelError(f"{path}: made for other weights of 'pca' and 'ours' than are installed")
        return encoder

    @property
    def linear(self) -> Encoder:
        """The encoder of the first columns, principal components."""
        return self._linear

    @property
    def input_digests(self) -> list[str]:
        """Digests of the weights that compute its input."""
        return [self._linear.sha256, self._features.ours.sha256]

    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        coarse = block_mean(maps)
        with threads_for(len(maps)):
            # Features beyond the range of the training, as of maps without speckle, are clipped to it.
            features = np.clip(self._features(coarse), self._t["low"], self._t["high"])
            learned = run_tower(self._t, "map", features)
        return np.hstack([self._linear.encode(coarse), LEARNED_SCALE * learned])

    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        return self._linear.decode(z[:, :N_LINEAR], size=size)

    @one_thread
    def _point(
        self, z: NDArray[np.float32], phi: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        of_bins = run_tower(self._t, "bin", z[:, N_LINEAR:] / LEARNED_SCALE)
        return np.asarray(run_tower(self._t, "point", pooled(harmonics(phi, weights) @ of_bins)[None])[0])


def pooled(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean and amplitudes of the harmonics of k numbers, (3 k,), from their coefficients (5, k)."""
    power = np.square(coefficients[1:]).reshape(-1, 2, coefficients.shape[1]).sum(1)
    return np.concatenate([coefficients[0], *np.sqrt(power + np.float32(1e-6))])
