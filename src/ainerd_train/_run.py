"""Train the run encoder on simulated exposures alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from torch import Tensor, nn
from torch.nn import functional

import ainerd
from ainerd_train._network import Loss, Parts, halved, tower, train
from ainerd_train._simulated import N_BINS, N_VIEWS, Watch, draw_views, silent, truth, views
from ainerd_xpcs.latent import N_LEARNED, N_POINT, SHIPPED, MapFeatures, RunEncoder, digest, harmonics, write_weights

_SHARD, _BATCH, _LEARNING_RATE = 250, 192, 3e-3
_PAIRS = 150  # of truths for the scatter of a regime, three exposures each
_LAST_BIAS = "point.3.bias"  # shifting it shifts all points: their mean is brought to zero
_FEW = 5e-4  # share of maps whose features lie outside the range of the training
_JITTER = 0.05  # noise of the features, in units of their spread
_TEMPERATURE = 0.35
_MAP_WEIGHT = 0.5
_FEWER = 0.5  # share of views in which not all bins are seen
_UNKNOWN = 0.1  # share of those in which azimuths are unknown
_SAME_BINS = 0.7  # share of pairs that see the same bins


def train_run(out: Path, *, seed: int = 1, truths: int = 12_000, steps: int = 3000, watch: Watch = silent) -> Path:
    """Train the run encoder on simulated exposures alone and write `out`/run.safetensors.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
        Seed of the corpus, the noise and the network.
    truths, steps : int
        Number of truths, with four views each; number of steps, each of 192 truths.
    watch : callable
        Called with the stage, the number done, the total, and numbers to watch.
    """
    maps = [digest(SHIPPED / "pca.safetensors"), digest(SHIPPED / "ours.safetensors")]
    recipe: dict[str, Any] = {"seed": seed, "truths": truths, "steps": steps, "maps": maps}
    recipe["ainerd"] = ainerd.__version__
    features = _corpus(seed, truths, watch)
    network = _trained(features, seed, steps, watch)
    # Round first, so that scatter and mean are those of the written weights.
    tensors = halved(network.exported() | _feature_range(features))
    middle, spread = _scatter(RunEncoder(tensors, scatter=1.0), seed)
    tensors[_LAST_BIAS] = tensors[_LAST_BIAS] - middle
    write_weights(out / "run.safetensors", tensors, recipe | {"kind": "run", "scatter": spread})
    return out / "run.safetensors"


def _feature_range(features: NDArray[np.float16]) -> dict[str, NDArray[np.float32]]:
    """Return the lowest and highest value of each feature, without a few outliers."""
    some = features[:: max(1, len(features) // 2000)].reshape(-1, features.shape[-1]).astype(np.float32)
    low, high = np.quantile(some, [_FEW, 1 - _FEW], axis=0).astype(np.float32)
    return {"low": low, "high": high}


def _corpus(seed: int, truths: int, watch: Watch) -> NDArray[np.float16]:
    """Return the features (n, 4, 9, f) of all views; each `_SHARD` truths have random numbers of their own."""
    n, features, shards = -(-truths // _SHARD), MapFeatures(), []
    for shard in range(n):
        rng = np.random.default_rng([seed, 11, shard])
        shards.append(draw_views(min(_SHARD, truths - shard * _SHARD), features, rng))
        watch("simulating", shard + 1, n, {})
    return np.concatenate(shards)


def _trained(features: NDArray[np.float16], seed: int, steps: int, watch: Watch) -> "RunNetwork":
    n = len(features)
    some = features[:: max(1, n // 2000)].reshape(-1, features.shape[-1]).astype(np.float32)
    torch.manual_seed(seed)
    network = RunNetwork(some.mean(0), some.std(0) + 0.02)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, steps + 1)

    def losses() -> Iterator[Loss]:
        for step in range(steps):
            rng = np.random.default_rng([seed, 1, step])
            yield contrasted(network, *_batch(features, network.spread, rng))

    train(Parts(network, optimizer, schedule), losses(), watch, steps=steps)
    return network.eval()


def _batch(features: NDArray[np.float16], spread: torch.Tensor, rng: np.random.Generator) -> tuple[Any, ...]:
    """Draw two views of each of some truths, two maps of each that differ by noise, and operators of azimuth."""
    which = rng.choice(len(features), min(_BATCH, len(features)), replace=False)
    first = rng.integers(N_VIEWS, size=len(which))
    other = (first + rng.integers(1, N_VIEWS, len(which))) % N_VIEWS
    bins = rng.integers(N_BINS, size=len(which))
    picked = [features[which, first], features[which, other], features[which, 0, bins], features[which, 1, bins]]
    tensors = [torch.from_numpy(each.astype(np.float32)) for each in picked]
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    one, two, a, b = (t + _JITTER * spread * torch.randn(t.shape, generator=generator) for t in tensors)
    return (one, two), (a, b), azimuths(len(which), rng)


def _scatter(encoder: RunEncoder, seed: int) -> tuple[NDArray[np.float32], float]:
    """Return mean point and median distance of two exposures of one regime, with counting noise alone."""
    rng, points = np.random.default_rng([seed, 9]), []
    for _ in range(_PAIRS):
        maps_of_views = views(truth(rng), rng, texture=False)[1:]
        points.append([encoder.point(encoder.encode(maps), phi=20.0 * np.arange(N_BINS)) for maps in maps_of_views])
    middle = np.array(points, dtype=np.float64).mean((0, 1))
    return middle.astype(np.float32), float(np.median([pdist(of_truth) for of_truth in points]))


class RunNetwork(nn.Module):
    """Features of maps, with this mean and spread, to learned columns, and the columns of all bins to a point."""

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
        """Return learned columns (…, 48) of features (…, f)."""
        columns: Tensor = self.map((features - self.mean) / self.spread)
        return columns

    def points(self, z: Tensor, operators: Tensor) -> Tensor:
        """Return points (n, 16) of learned columns (n, k, 48), with operators of azimuth (n, 5, k)."""
        of_ring = operators @ self.bin(z)
        power = of_ring[:, 1:].square().unflatten(1, (-1, 2)).sum(2)
        points: Tensor = self.point(torch.cat([of_ring[:, 0], (power + 1e-6).sqrt().flatten(1)], 1))
        return points

    def exported(self) -> dict[str, NDArray[np.float32]]:
        """Return tensors for `RunEncoder`, the units of the features folded into the first layer."""
        state = {name: tensor.detach().double().numpy() for name, tensor in self.state_dict().items()}
        mean, spread = state.pop("mean"), state.pop("spread")
        state["map.0.weight"] /= spread
        state["map.0.bias"] -= state["map.0.weight"] @ mean
        return {name: array.astype(np.float32) for name, array in state.items()}


def azimuths(n: int, rng: np.random.Generator) -> Tensor:
    """Draw operators (2 n, 5, 9) for n pairs of views: of all bins, a sector, some bins, or one."""
    first = [_operator(rng) for _ in range(n)]
    other = [one if rng.random() < _SAME_BINS else _operator(rng) for one in first]
    return torch.from_numpy(np.stack(first + other))


def _operator(rng: np.random.Generator) -> NDArray[np.float32]:
    operator, phi = np.zeros((5, N_BINS), np.float32), 20.0 * np.arange(N_BINS)
    if rng.random() > _FEWER:
        bins = np.arange(N_BINS)
    elif rng.random() < 0.5:
        bins = (rng.integers(N_BINS) + np.arange(rng.integers(1, N_BINS))) % N_BINS
    else:
        bins = np.flatnonzero(rng.random(N_BINS) < rng.uniform(0.2, 1))
        bins = bins if len(bins) else np.arange(N_BINS)
    known = len(bins) == N_BINS or rng.random() > _UNKNOWN
    operator[:, bins] = harmonics(phi[bins] if known else np.full(len(bins), np.nan), rng.uniform(0.5, 1, len(bins)))
    return operator


def contrasted(
    network: RunNetwork, views: tuple[Tensor, Tensor], same: tuple[Tensor, Tensor], operators: Tensor
) -> Loss:
    """Return the loss of recognizing exposures of the same truth, and maps of the same dynamics, by their distance.

    `views` are features (n, 9, f) of two views of each of n truths, `same` (n, f) of two maps that differ by noise.
    """
    z = network.encode(torch.cat(views))
    run, run_right = _nearness(network.points(z, operators))
    maps, map_right = _nearness(network.encode(torch.cat(same)))
    watched = {"run": float(run.detach()), "found": run_right, "map": float(maps.detach()), "map found": map_right}
    return run + _MAP_WEIGHT * maps, watched


def _nearness(points: Tensor) -> tuple[Tensor, float]:
    """Return the cross entropy of a heavy-tailed similarity of both halves, and the share recognized."""
    n = len(points) // 2
    logits = -torch.log1p(torch.cdist(points, points).square()) / _TEMPERATURE
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=points.device), -1e9)
    own = (torch.arange(2 * n, device=points.device) + n) % (2 * n)
    right = (logits.argmax(1) == own).float().mean()
    return functional.cross_entropy(logits, own), float(right)
