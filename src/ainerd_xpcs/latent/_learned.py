"""The learned encoder: a network trained on noise-free maps describes a noisy map; a linear branch adds detail.

======= ==============================================================================================
columns of a latent vector
======= ==============================================================================================
0       contrast, times 20
1       offset of the baseline, times 20
2–31    shape: the output of the network, each number of unit spread over the known families
32–63   detail: principal components of the residual of the shape, shrunken by the noise in it. Near zero
        if the network knows the dynamics, large if it does not
======= ==============================================================================================

A map is first divided by its short-lag level, so that contrast is a number beside the shape and not part of it. The
network sees numbers that are linear in the map, and gauges of its noise. The linear numbers are principal components of
noise-free maps, which keep detail, and means over cells of age × logarithm of the lag, which separate dynamics.

The encoder runs on numpy alone; torch is needed to train it.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.latent._encoder import Encoder
from ainerd_xpcs.latent._grid import (
    COLS,
    MAP_SIZE,
    ROWS,
    SIZE,
    WEIGHT,
    block_mean,
    from_triangle,
    interpolate,
    weighted,
)
from ainerd_xpcs.latent._weights import SHIPPED, Tensors, digest, read_weights, run_tower, tower_ranks

Singles = NDArray[np.float32]

# First component of each group of the linear basis; a group shares one weight when a residual is shrunken. Everything
# outside the basis is one more group.
GROUPS = np.array([0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 200, 250, 300, 400])
GROUP_SIZES = np.append(np.diff(GROUPS), ROWS.size - GROUPS[-1])
N_SHAPE, N_DETAIL = 30, 32
# Residual power over noise power at which a map begins to count as unlike the training maps, and at which it is left
# unchanged. The first components stop being shrunken earlier: shrinking fewer than three gains nothing (Stein's rule).
_UNKNOWN, _FEW_UNKNOWN, _N_FEW = (2.0, 8.0), (1.5, 2.5), 3
_DETAIL_GROUP = 4
SCALE = 20.0  # of contrast and offset in a latent vector
_DETAIL_SCALE = 0.25
_LEAST_CONTRAST = 0.002
_FEW = 100  # maps
_FITTED = 0.75  # weight of the contrast that fits the map best, against the network's
DEPTH = 3
_LAGS = np.array([0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48])
_AGES = 12
_BANDS = ((2, 8), (8, 24), (24, 63))  # lags over which noise is gauged
N_GAUGES = 2 + 3 * len(_BANDS)
N_NOISE_GAUGES = N_GAUGES + 3 * len(_BANDS) + 2
_LEAST_LEVEL = 0.02
RANKS = tower_ranks("encoder", DEPTH) | tower_ranks("decoder", DEPTH) | tower_ranks("noise", 1)
RANKS |= {"linear.weight": 2, "linear.bias": 1, "basis": 2, "mean": 1, "spread": 1, "detail": 2}


class _Parts(NamedTuple):
    """Parts of maps: latent vector, weighted |g1|² of its shape, residual, noise power in each group of components."""

    z: Singles
    model: Singles
    residual: Singles
    noise: Singles


def threads_for(n_maps: int) -> AbstractContextManager[None]:
    """Use one thread for the maps of a run: more threads would only wait for each other."""
    return one_thread if n_maps < _FEW else nullcontext()


class LearnedEncoder(Encoder):
    """A network for the shape and principal components for the rest; `ainerd train ours` writes the `tensors`."""

    name = "ours"
    n_latent = 2 + N_SHAPE + N_DETAIL
    sizes = (MAP_SIZE, SIZE)

    @one_thread  # with more threads the last bits of these products would differ
    def __init__(self, tensors: Tensors, *, sha256: str = "") -> None:
        self.sha256 = sha256
        self._t = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
        self._basis, self._mean, self._detail = (self._t[name] for name in ("basis", "mean", "detail"))
        self.features, self.feature_mean = features_of(self._basis, self._mean, self._t["spread"])
        self._unit = unit_of(self._t["spread"])
        # Noise of a detail component, from the noise of the groups that its direction lies in.
        inside = np.square(self._detail @ self._basis.T)
        share = np.add.reduceat(inside, GROUPS[:-1], axis=1) / GROUP_SIZES[:-1]
        outside = (1 - inside.sum(1)).clip(0) / GROUP_SIZES[-1]
        self._detail_noise = np.column_stack([share, outside]).astype(np.float32)

    @classmethod
    def read(cls, path: Path) -> "LearnedEncoder":
        """Read the file; raise `ModelError`."""
        return cls(read_weights(path, "learned", RANKS)[0], sha256=digest(path))

    @staticmethod
    @cache
    def shipped() -> "LearnedEncoder":
        """Return the shipped encoder, read once: it has 35 MB and is part of others."""
        return LearnedEncoder.read(SHIPPED / "ours.safetensors")

    def _encode(self, maps: Singles) -> Singles:
        with threads_for(len(maps)):
            return self._split(block_mean(maps)).z

    def _decode(self, z: Singles, size: int) -> Singles:
        contrast, offset = z[:, :1] / SCALE, z[:, 1:2] / SCALE
        x = self._shape(z[:, 2 : 2 + N_SHAPE]) + z[:, 2 + N_SHAPE :] @ self._detail / _DETAIL_SCALE
        return self._maps(x, contrast, offset, size)

    def _denoise(self, maps: Singles, size: int) -> Singles:
        with threads_for(len(maps)):
            clean = self._shrunken(block_mean(maps))
        return clean if size == SIZE else interpolate(clean)

    def _shrunken(self, maps: Singles) -> Singles:
        parts = self._split(maps)
        inside = parts.residual @ self._basis.T
        outside = parts.residual - inside @ self._basis
        power = group_power(inside, np.square(outside).sum(1))
        # The gauges take unknown dynamics for noise.
        excess = power.sum(1) / parts.noise.sum(1)
        limits = _UNKNOWN, _FEW_UNKNOWN
        unknown, little = (np.clip((excess - low) / (high - low), 0, 1)[:, None] for low, high in limits)
        keep = shrinkage(power, parts.noise * (1 - unknown))
        keep[:, :_N_FEW] += (1 - keep[:, :_N_FEW]) * little
        rest = (inside * np.repeat(keep[:, :-1], GROUP_SIZES[:-1], axis=1)) @ self._basis + keep[:, -1:] * outside
        clean = self._maps(parts.model + rest.astype(np.float32), parts.z[:, :1] / SCALE, parts.z[:, 1:2] / SCALE, SIZE)
        return np.where(unknown[:, :, None] < 1, clean, maps)

    def shape_of(self, maps: Singles) -> Singles:
        """Return the weighted |g1|² (n, 2080) that the shape alone describes, of maps (n, 64, 64)."""
        return self._split(maps).model

    def _split(self, maps: Singles) -> _Parts:
        x, level, gauges = scaled(maps)
        h = run_tower(self._t, "encoder", np.hstack([x @ self.features.T - self.feature_mean, gauges]))
        shape = h[:, :N_SHAPE]
        contrast = np.maximum(level * np.exp(np.clip(h[:, N_SHAPE], -6, 2)), _LEAST_CONTRAST)[:, None]
        offset = level[:, None] * h[:, N_SHAPE + 1 :]
        model = self._shape(shape)
        above = weighted(maps - 1 - offset[:, :, None])
        # The map itself determines its amplitude a little better than the network.
        fitted = (above * model).sum(1, keepdims=True) / np.maximum(np.square(model).sum(1, keepdims=True), 1e-6)
        contrast *= 1 + _FITTED * (np.clip(fitted / contrast, 0.8, 1.25) - 1)
        residual = (above / contrast - model).astype(np.float32)
        unit = np.square(level[:, None] / contrast)
        noise = np.exp(run_tower(self._t, "noise", noise_gauges(maps, level, gauges))) * unit
        detail = residual @ self._detail.T
        per_group = (-1, N_DETAIL // _DETAIL_GROUP, _DETAIL_GROUP)
        power = np.square(detail).reshape(per_group).sum(2)
        expected = (noise @ self._detail_noise.T).reshape(per_group).sum(2)
        detail = detail * np.repeat(shrinkage(power, expected), _DETAIL_GROUP, axis=1)
        z = np.hstack([contrast * SCALE, offset * SCALE, shape, detail * _DETAIL_SCALE])
        return _Parts(z.astype(np.float32), model, residual, noise)

    def _shape(self, z: Singles) -> Singles:
        c = run_tower(self._t, "decoder", z) + z @ self._t["linear.weight"].T + self._t["linear.bias"]
        return ((c * self._unit) @ self._basis + self._mean).astype(np.float32, copy=False)

    @staticmethod
    def _maps(x: Singles, contrast: Singles, offset: Singles, size: int) -> Singles:
        maps = from_triangle((1 + offset + contrast * (x / WEIGHT)).astype(np.float32))
        return maps if size == SIZE else interpolate(maps)


def group_power(inside: Singles, outside: Singles) -> Singles:
    """Return the power (n, 18) of coefficients (n, 400) in each group, and of the part outside the basis (n,)."""
    return np.column_stack([np.add.reduceat(inside**2, GROUPS[:-1], axis=1), outside])


def shrinkage(power: Singles, noise: Singles) -> Singles:
    """Return the weight of each group by the positive part of James and Stein's rule; 0 below the noise."""
    return np.maximum(0, 1 - noise / np.maximum(power, 1e-12))


def unit_of(spread: Singles) -> Singles:
    """Return the value of each component for a decoder output of one."""
    return np.asarray(np.maximum(spread, 0.05 * spread[0]))


def features_of(basis: Singles, mean: Singles, spread: Singles) -> tuple[Singles, Singles]:
    """Return the operator (f, 2080) and the offset (f,) of the linear features."""
    components = basis / (spread + 0.02 * spread[0])[:, None]
    cells = 2 * age_lag()
    return np.concatenate([components, cells]), np.concatenate([components @ mean, np.zeros(len(cells), np.float32)])


@cache
def age_lag() -> Singles:
    """Return the operator (cells, 2080) that averages a weighted vector over age × log-lag cells that hold pixels."""
    lag = COLS - ROWS
    cell = (np.searchsorted(_LAGS, lag, "right") - 1) * _AGES
    cell += np.minimum(_AGES * ROWS // (SIZE - lag), _AGES - 1)
    operator = (cell == np.unique(cell)[:, None]) / WEIGHT
    return np.asarray(operator / (operator * WEIGHT).sum(1, keepdims=True), dtype=np.float32)


def scaled(maps: Singles) -> tuple[Singles, Singles, Singles]:
    """Divide maps (n, 64, 64) by their short-lag level.

    Returns
    -------
    x : ndarray, shape (n, 2080)
        Weighted (C - 1) / level.
    level : ndarray, shape (n,)
    gauges : ndarray, shape (n, 11)
        Logs of the level, of the diagonal over the level, and of the noise in three bands of lag: rms and median size
        of the difference ΔtΔt' of x, in which noise is large and dynamics are small, and median size of the difference
        Δt²Δt'², in which dynamics are smaller still.
    """
    above = maps - 1
    diagonal, first = above.diagonal(0, 1, 2).mean(1), above.diagonal(1, 1, 2).mean(1)
    level = np.maximum(first, np.minimum(diagonal, 2.5 * np.maximum(first, 0) + 0.05)).clip(_LEAST_LEVEL)
    x = np.clip(above / level[:, None, None], -8, 9)
    once, twice = (_differences(x, order) for order in (1, 2))
    gauges = [np.log(level), np.log(np.clip(diagonal / level, 0.1, 10))]
    for low, high in _BANDS:
        first_order, second_order = once[:, _band(1, low, high)], twice[:, _band(2, low, high)]
        sizes = np.sqrt(np.square(first_order).mean(1)), _median(first_order), _median(second_order)
        gauges += [np.log(size + 1e-3) for size in sizes]
    return weighted(x), level, np.stack(gauges, axis=1).astype(np.float32)


def noise_gauges(maps: Singles, level: Singles, gauges: Singles) -> Singles:
    """Gauge the noise of maps (n, 64, 64), independently of their dynamics: (n, 22).

    The gauges are those of `scaled`; in each band, logs of the quartile and median size of the third difference along
    both axes, in which hardly any dynamics are left, and the mean; mean and log spread of the diagonal.
    """
    x = np.clip((maps - 1) / level[:, None, None], -8, 9)
    diagonal = x.diagonal(0, 1, 2)
    thrice, columns = _differences(x, 3), [diagonal.mean(1), np.log(diagonal.std(1) + 1e-3)]
    for low, high in _BANDS:
        size = np.abs(thrice[:, _band(3, low, high)])
        quarter, half = size.shape[1] // 4, size.shape[1] // 2
        size.partition((quarter, half), axis=1)
        mean = x.reshape(len(x), SIZE**2)[:, _band(0, low, high)].mean(1)
        columns += [np.log(size[:, quarter] / 0.3186 + 1e-3), np.log(size[:, half] / 0.6745 + 1e-3), mean]
    return np.column_stack([gauges, *columns]).astype(np.float32)


def _differences(x: Singles, order: int) -> Singles:
    """Return differences of this order along both axes, flattened and scaled so that white noise keeps its size."""
    along = np.diff(np.diff(x, order, axis=1), order, axis=2)
    return along.reshape(-1, along.shape[1] ** 2) / np.float32((2, 6, 20)[order - 1])


def _median(x: Singles) -> Singles:
    """Return the standard deviation (n,) of normal numbers of the same median size."""
    return (np.median(np.abs(x), axis=1) / 0.6745).astype(np.float32)


@cache
def _band(order: int, low: int, high: int) -> NDArray[np.intp]:
    """Return the indices of the differences of an order at these lags."""
    i, j = np.indices((SIZE - order, SIZE - order))
    return np.flatnonzero(((j - i >= low) & (j - i < high)).ravel())
