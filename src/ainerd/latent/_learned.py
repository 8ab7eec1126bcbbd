"""The learned encoder: what a network trained to noise-free maps tells of a noisy one, and a linear branch beside it.

======= ==============================================================================================
columns of a latent vector
======= ==============================================================================================
0       contrast, times 20
1       offset of the baseline, times 20
2–31    shape: what the network tells, each of unit spread over the known families
32–63   detail: principal components of what the shape leaves over, shrunken by what of it is noise. Near
        zero where the network knows the dynamics, large where it does not
======= ==============================================================================================

It runs on numpy alone; torch is needed to train it.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._encoder import Encoder
from ainerd.latent._features import age_lag, noise_gauges, scaled, weighted
from ainerd.latent._grid import MAP_SIZE, ROWS, SIZE, WEIGHT, block_mean, from_triangle, interpolate
from ainerd.latent._tower import Tensors, through, tower_ranks
from ainerd.latent._weights import SHIPPED, ModelError, digest, read_weights
from ainerd.threads import one_thread

# Components of the linear basis that share one weight when a residual is shrunken; what lies outside the basis is
# the last group.
GROUPS = np.array([0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 200, 250, 300, 400])
GROUP_SIZES = np.append(np.diff(GROUPS), ROWS.size - GROUPS[-1])
N_SHAPE, N_DETAIL = 30, 32
# Residual power over that of the noise, from where on a map is off the manifold: up to where it is left as it is. The
# first components are no more shrunken by then: alone or in twos there is nothing to gain (Stein's rule needs three).
_OFF, _FEW_OFF, _N_FEW = (2.0, 8.0), (1.5, 2.5), 3
_DETAIL_GROUP = 4
SCALE = 20.0  # of contrast and offset in a latent vector
_DETAIL_SCALE = 0.25
_LEAST_CONTRAST = 0.002
_FEW = 100  # maps
_FITTED = 0.75  # weight of the contrast that fits the map best, beside the network's
DEPTH = 3


RANKS = {
    **tower_ranks("encoder", DEPTH),
    **tower_ranks("decoder", DEPTH),
    **tower_ranks("noise", 1),
    **{"linear.weight": 2, "linear.bias": 1, "basis": 2, "mean": 1, "spread": 1, "detail": 2},
}


class _Parts(NamedTuple):
    """What is known of maps.

    The latent vector; weighted |g1|² that its shape holds; what that leaves over; the noise power in each group of
    components.
    """

    z: NDArray[np.float32]
    held: NDArray[np.float32]
    residual: NDArray[np.float32]
    noise: NDArray[np.float32]


def threads_for(n_maps: int) -> AbstractContextManager[None]:
    """One thread for the maps of a run: more would only wait for each other."""
    return one_thread if n_maps < _FEW else nullcontext()


class LearnedEncoder(Encoder):
    """A network of the shape, principal components of the rest; `tensors` as `ainerd train ours` writes them."""

    name = "ours"
    n_latent = 2 + N_SHAPE + N_DETAIL
    sizes = (MAP_SIZE, SIZE)

    @one_thread  # its products are of the weights: with more threads their last bits are others
    def __init__(self, tensors: Tensors, *, sha256: str = "") -> None:
        self.sha256 = sha256
        self._t = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
        self._basis, self._mean, self._detail = (self._t[name] for name in ("basis", "mean", "detail"))
        self.features, self.feature_mean = features_of(self._basis, self._mean, self._t["spread"])
        self._unit = unit_of(self._t["spread"])
        # Noise of a detail component, from that of the groups its direction lies in.
        inside = np.square(self._detail @ self._basis.T)
        share = np.add.reduceat(inside, GROUPS[:-1], axis=1) / GROUP_SIZES[:-1]
        outside = (1 - inside.sum(1)).clip(0) / GROUP_SIZES[-1]
        self._detail_noise = np.column_stack([share, outside]).astype(np.float32)

    @classmethod
    def read(cls, path: Path) -> "LearnedEncoder":
        """Read the file; raises `ModelError`."""
        tensors, _ = read_weights(path, "learned", RANKS)
        if tensors["mean"].shape != ROWS.shape or tensors["detail"].shape != (N_DETAIL, ROWS.size):
            raise ModelError(f"{path}: made for another map size or another number of components")
        return cls(tensors, sha256=digest(path))

    @staticmethod
    @cache
    def shipped() -> "LearnedEncoder":
        """The one that is shipped, which has 35 MB and is part of others: read once."""
        return LearnedEncoder.read(SHIPPED / "ours.safetensors")

    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        with threads_for(len(maps)):
            return self._split(block_mean(maps)).z

    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        contrast, offset = z[:, :1] / SCALE, z[:, 1:2] / SCALE
        x = self._shape(z[:, 2 : 2 + N_SHAPE]) + z[:, 2 + N_SHAPE :] @ self._detail / _DETAIL_SCALE
        return self._maps(x, contrast, offset, size)

    def _denoise(self, maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        maps = block_mean(maps)
        with threads_for(len(maps)):
            clean = self._shrunken(maps, self._split(maps))
        return clean if size == SIZE else interpolate(clean)

    def _shrunken(self, maps: NDArray[np.float32], parts: _Parts) -> NDArray[np.float32]:
        inside = parts.residual @ self._basis.T
        outside = parts.residual - inside @ self._basis
        power = group_power(inside, np.square(outside).sum(1))
        # Off the manifold the gauges take dynamics that they do not know for noise.
        off = power.sum(1) / parts.noise.sum(1)
        unknown, little = (np.clip((off - low) / (high - low), 0, 1)[:, None] for low, high in (_OFF, _FEW_OFF))
        keep = kept(power, parts.noise * (1 - unknown))
        keep[:, :_N_FEW] += (1 - keep[:, :_N_FEW]) * little
        rest = (inside * np.repeat(keep[:, :-1], GROUP_SIZES[:-1], axis=1)) @ self._basis + keep[:, -1:] * outside
        clean = self._maps(parts.held + rest.astype(np.float32), parts.z[:, :1] / SCALE, parts.z[:, 1:2] / SCALE, SIZE)
        return np.where(unknown[:, :, None] < 1, clean, maps)

    def held(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weighted |g1|² (n, 2080) that the shape alone holds of maps (n, 64, 64)."""
        return self._split(maps).held

    def _split(self, maps: NDArray[np.float32]) -> _Parts:
        x, level, gauges = scaled(maps)
        h = through(self._t, "encoder", np.hstack([x @ self.features.T - self.feature_mean, gauges]))
        shape = h[:, :N_SHAPE]
        contrast = np.maximum(level * np.exp(np.clip(h[:, N_SHAPE], -6, 2)), _LEAST_CONTRAST)[:, None]
        offset = level[:, None] * h[:, N_SHAPE + 1 :]
        held = self._shape(shape)
        above = weighted(maps - 1 - offset[:, :, None])
        # The map itself knows its amplitude a little better than the network.
        fitted = (above * held).sum(1, keepdims=True) / np.maximum(np.square(held).sum(1, keepdims=True), 1e-6)
        contrast *= 1 + _FITTED * (np.clip(fitted / contrast, 0.8, 1.25) - 1)
        residual = (above / contrast - held).astype(np.float32)
        unit = np.square(level[:, None] / contrast)
        noise = np.exp(through(self._t, "noise", noise_gauges(maps, level, gauges))) * unit
        detail = residual @ self._detail.T
        per_group = (-1, N_DETAIL // _DETAIL_GROUP, _DETAIL_GROUP)
        power = np.square(detail).reshape(per_group).sum(2)
        expected = (noise @ self._detail_noise.T).reshape(per_group).sum(2)
        detail = detail * np.repeat(kept(power, expected), _DETAIL_GROUP, axis=1)
        z = np.hstack([contrast * SCALE, offset * SCALE, shape, detail * _DETAIL_SCALE])
        return _Parts(z.astype(np.float32), held, residual, noise)

    def _shape(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        c = through(self._t, "decoder", z) + z @ self._t["linear.weight"].T + self._t["linear.bias"]
        return ((c * self._unit) @ self._basis + self._mean).astype(np.float32, copy=False)

    @staticmethod
    def _maps(
        x: NDArray[np.float32], contrast: NDArray[np.float32], offset: NDArray[np.float32], size: int
    ) -> NDArray[np.float32]:
        maps = from_triangle((1 + offset + contrast * (x / WEIGHT)).astype(np.float32))
        return maps if size == SIZE else interpolate(maps)


def group_power(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power (n, 18) of coefficients (n, 400) in each group, and of what lies outside the basis (n,)."""
    return np.column_stack([np.add.reduceat(inside**2, GROUPS[:-1], axis=1), outside])


def kept(power: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight of each group by the positive part of James and Stein's rule: none of what is as small as the noise."""
    return np.maximum(0, 1 - noise / np.maximum(power, 1e-12))


def unit_of(spread: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a decoder's output of one is worth in each component."""
    return np.maximum(spread, 0.05 * spread[0])


def features_of(
    basis: NDArray[np.float32], mean: NDArray[np.float32], spread: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Operator (f, 2080) and offset (f,) of the linear features."""
    components = basis / (spread + 0.02 * spread[0])[:, None]
    cells = 2 * age_lag()
    return np.concatenate([components, cells]), np.concatenate([components @ mean, np.zeros(len(cells), np.float32)])
