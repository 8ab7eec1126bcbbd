"""Train the run encoder from nothing but the simulator."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

import ainerd
from ainerd.latent._run import MapFeatures, RunEncoder
from ainerd.latent._weights import SHIPPED, digest, read_weights, write_weights
from ainerd.latent.training._loop import Watch, keep, resume
from ainerd.latent.training._run_network import RunNetwork, azimuths, contrasted
from ainerd.latent.training._run_views import N_BINS, N_VIEWS, Views, truth, views

_SHARD, _BATCH, _LEARNING_RATE = 250, 192, 3e-3
_CHECKPOINT_EVERY = 200
_PAIRS = 150  # of which the scatter of a regime is taken, three exposures each
LAST_BIAS = "point.3.bias"  # moving it moves all points alike: their mean is brought to zero
_FEW = 5e-4  # of the maps, whose features lie beyond what counts as seen
_JITTER = 0.05  # of the features, in units of their spread


def train_run(
    out: Path,
    *,
    seed: int = 1,
    truths: int = 12_000,
    steps: int = 3000,
    watch: Watch = lambda stage, done, total, watched: None,
) -> Path:
    """Write `out`/run.safetensors.

    What is interrupted goes on where it was: what was simulated is kept in `out`/views, the network every 200 steps in
    `out`/run.checkpoint.pt.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
        Of the corpus, the noise and the network.
    truths, steps : int
        Truths, each seen four times; steps of 192 of them.
    watch : callable
        Told the stage, how many of how many are done, and what is worth watching.

    Raises
    ------
    ModelError
        If a checkpoint there is of another seed or length.
    """
    if truths < 2 or steps < 1:
        raise ValueError(f"truths must be at least 2 and steps at least 1, got {truths} and {steps}")
    maps = [digest(SHIPPED / "pca.safetensors"), digest(SHIPPED / "ours.safetensors")]
    recipe: dict[str, Any] = {"seed": seed, "truths": truths, "steps": steps, "maps": maps}
    recipe["ainerd"] = ainerd.__version__
    features = _corpus(out / "views", recipe, watch)
    network = _trained(features, out / "run.checkpoint.pt", recipe, watch)
    tensors, file = network.exported() | seen_range(features), out / "run.safetensors"
    # Of what is written, so that its numbers are the file's.
    halved: dict[str, NDArray[Any]] = {
        name: array.astype(np.float16) if array.ndim == 2 else array for name, array in tensors.items()
    }
    encoder = RunEncoder(halved, scatter=1.0)
    middle, spread = scatter(encoder, seed)
    halved[LAST_BIAS] = halved[LAST_BIAS] - middle
    write_weights(file, halved, recipe | {"kind": "run", "scatter": spread})
    return file


def seen_range(features: NDArray[np.float16]) -> dict[str, NDArray[np.float32]]:
    """Lowest and highest of each feature, but for few."""
    some = features[:: max(1, len(features) // 2000)].reshape(-1, features.shape[-1]).astype(np.float32)
    low, high = np.quantile(some, [_FEW, 1 - _FEW], axis=0).astype(np.float32)
    return {"low": low, "high": high}


def _corpus(folder: Path, recipe: dict[str, Any], watch: Watch) -> NDArray[np.float16]:
    """Features (n, 4, 9, f) of all views; shards of `_SHARD` truths that the folder has are taken from there."""
    n, of, shards = -(-recipe["truths"] // _SHARD), MapFeatures(), []
    for shard in range(n):
        path = folder / f"{shard:03d}.safetensors"
        wanted = {"kind": "views", "seed": recipe["seed"], "maps": recipe["maps"], "ainerd": recipe["ainerd"]}
        wanted |= {"truths": min(_SHARD, recipe["truths"] - shard * _SHARD)}
        found: dict[str, Any] = {}
        if path.exists():
            tensors, found = read_weights(path, "views", {"features": 4})
        if found != wanted:
            drawn = Views.drawn(wanted["truths"], of, np.random.default_rng([recipe["seed"], 11, shard]))
            tensors = {"features": drawn.features}
            write_weights(path, tensors, wanted)
        shards.append(tensors["features"])
        watch("simulating", shard + 1, n, {})
    return np.concatenate(shards)


def _trained(features: NDArray[np.float16], checkpoint: Path, recipe: dict[str, Any], watch: Watch) -> RunNetwork:
    steps, n = recipe["steps"], len(features)
    some = features[:: max(1, n // 2000)].reshape(-1, features.shape[-1]).astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of small products: more wait for each other where the machine is shared
    torch.manual_seed(recipe["seed"])
    network = RunNetwork(some.mean(0), some.std(0) + 0.02)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, steps + 1)
    start = resume(checkpoint, recipe, network=network, optimizer=optimizer, schedule=schedule)
    mean: dict[str, float] = {}
    for step in range(start, steps):
        # Of its own seed, so that a run that was interrupted goes on the same.
        rng = np.random.default_rng([recipe["seed"], 1, step])
        loss, watched = contrasted(network, *_batch(features, network.spread, rng))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in watched.items()}
        watch("training", step + 1, steps, mean)
        if (step + 1) % _CHECKPOINT_EVERY == 0 or step + 1 == steps:
            keep(checkpoint, recipe, step + 1, network=network, optimizer=optimizer, schedule=schedule)
    torch.set_num_threads(threads)
    return network.eval()


def _batch(features: NDArray[np.float16], spread: torch.Tensor, rng: np.random.Generator) -> tuple[Any, ...]:
    """Two views of each of some truths, two maps of each that differ by noise, and what is seen of the azimuths."""
    which = rng.choice(len(features), min(_BATCH, len(features)), replace=False)
    first = rng.integers(N_VIEWS, size=len(which))
    other = (first + rng.integers(1, N_VIEWS, len(which))) % N_VIEWS
    bins = rng.integers(N_BINS, size=len(which))
    picked = [features[which, first], features[which, other], features[which, 0, bins], features[which, 1, bins]]
    tensors = [torch.from_numpy(each.astype(np.float32)) for each in picked]
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    one, two, a, b = (t + _JITTER * spread * torch.randn(t.shape, generator=generator) for t in tensors)
    return (one, two), (a, b), azimuths(len(which), rng)


def scatter(encoder: RunEncoder, seed: int) -> tuple[NDArray[np.float32], float]:
    """Of exposures with the noise of counting alone: mean point, and median distance of two of one regime."""
    rng, points = np.random.default_rng([seed, 9]), []
    for _ in range(_PAIRS):
        seen = views(truth(rng), rng, texture=False)[1:]
        points.append([encoder.point(encoder.encode(maps), phi=20.0 * np.arange(N_BINS)) for maps in seen])
    middle = np.array(points, dtype=np.float64).mean((0, 1))
    return middle.astype(np.float32), float(np.median([pdist(of_truth) for of_truth in points]))
