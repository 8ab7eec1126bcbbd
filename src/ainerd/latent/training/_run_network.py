"""The run encoder's networks as they are trained, and what they are trained to."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ainerd.latent._azimuth import harmonics
from ainerd.latent._run import N_LEARNED, N_POINT
from ainerd.latent.training._network import tower
from ainerd.latent.training._run_views import N_BINS

_TEMPERATURE = 0.35
_MAP_WEIGHT = 0.5
_FEWER = 0.5  # of the views, in which not all bins are seen
_UNKNOWN = 0.1  # of those, in which azimuths are not known
_SAME_BINS = 0.7  # of the pairs, which see the same ones


class RunNetwork(nn.Module):
    """Features of maps, of this mean and spread, to learned columns, and those of all bins to a point."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: NDArray[np.float32], spread: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("spread", torch.from_numpy(spread))
        self.map = tower(len(mean), 256, 1, N_LEARNED)
        self.bin = tower(N_LEARNED, 128, 1, 96)
        self.point = tower(3 * 96, 224, 1, N_POINT)

    def encode(self, features: Tensor) -> Tensor:
        """Learned columns (…, 48) of features (…, f)."""
        return self.map((features - self.mean) / self.spread)

    def points(self, z: Tensor, told: Tensor) -> Tensor:
        """Points (n, 16) of learned columns (n, k, 48), by operators of azimuth (n, 5, k)."""
        of_ring = told @ self.bin(z)
        power = of_ring[:, 1:].square().unflatten(1, (-1, 2)).sum(2)
        return self.point(torch.cat([of_ring[:, 0], (power + 1e-6).sqrt().flatten(1)], 1))

    def exported(self) -> dict[str, NDArray[np.float32]]:
        """Tensors for `RunEncoder`: units of the features are folded into the first layer."""
        state = {name: tensor.detach().double().numpy() for name, tensor in self.state_dict().items()}
        mean, spread = state.pop("mean"), state.pop("spread")
        state["map.0.weight"] /= spread
        state["map.0.bias"] -= state["map.0.weight"] @ mean
        return {name: array.astype(np.float32) for name, array in state.items()}


def azimuths(n: int, rng: np.random.Generator) -> Tensor:
    """Operators (2 n, 5, 9) for n pairs of views: all bins, a sector, some bins, or one."""
    first = [_seen(rng) for _ in range(n)]
    other = [one if rng.random() < _SAME_BINS else _seen(rng) for one in first]
    return torch.from_numpy(np.stack(first + other))


def _seen(rng: np.random.Generator) -> NDArray[np.float32]:
    told, phi = np.zeros((5, N_BINS), np.float32), 20.0 * np.arange(N_BINS)
    if rng.random() > _FEWER:
        bins = np.arange(N_BINS)
    elif rng.random() < 0.5:
        bins = (rng.integers(N_BINS) + np.arange(rng.integers(1, N_BINS))) % N_BINS
    else:
        bins = np.flatnonzero(rng.random(N_BINS) < rng.uniform(0.2, 1))
        bins = bins if len(bins) else np.arange(N_BINS)
    known = len(bins) == N_BINS or rng.random() > _UNKNOWN
    told[:, bins] = harmonics(phi[bins] if known else np.full(len(bins), np.nan), rng.uniform(0.5, 1, len(bins)))
    return told


def contrasted(
    network: RunNetwork, seen: tuple[Tensor, Tensor], same: tuple[Tensor, Tensor], told: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """How badly exposures are told from others by their nearness to that of the same truth, and maps likewise.

    `seen` are features (n, 9, f) of two views of each of n truths, `same` (n, f) of two maps that differ by noise.
    """
    z = network.encode(torch.cat(seen))
    run, run_right = _nearness(network.points(z, told))
    maps, map_right = _nearness(network.encode(torch.cat(same)))
    watched = {"run": float(run.detach()), "found": run_right, "map": float(maps.detach()), "map found": map_right}
    return run + _MAP_WEIGHT * maps, watched


def _nearness(points: Tensor) -> tuple[Tensor, float]:
    """Cross entropy of a heavy-tailed nearness of the first and second halves."""
    n = len(points) // 2
    logits = -torch.log1p(torch.cdist(points, points).square()) / _TEMPERATURE
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=points.device), -1e9)
    own = (torch.arange(2 * n, device=points.device) + n) % (2 * n)
    right = (logits.argmax(1) == own).float().mean()
    return functional.cross_entropy(logits, own), float(right)
