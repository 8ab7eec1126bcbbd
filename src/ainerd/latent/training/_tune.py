"""Tune the learned encoder to maps that were measured."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

import ainerd
from ainerd.dynamics import KNOWN, nearest_covariances
from ainerd.latent._grid import SIZE, to_triangle
from ainerd.latent._learned import RANKS, SCALE, LearnedEncoder
from ainerd.latent._weights import SHIPPED, read_weights
from ainerd.latent.training._loop import Watch, trained
from ainerd.latent.training._network import Network
from ainerd.latent.training._objective import Anchored
from ainerd.latent.training._recipe import BATCH, corpus, detail, write_learned
from ainerd.latent.training._truths import PARAMETERS, Truths

_LEARNING_RATE = 4e-4
_LEAST_CONTRAST = 0.01  # a map of less tells nothing of its dynamics


def tune_ours(
    out: Path,
    runs: Iterable[ArrayLike],
    *,
    start: Path = SHIPPED / "ours.safetensors",
    seed: int = 1,
    truths: int = 10_000,
    steps: int = 1000,
    watch: Watch = lambda stage, done, total, watched: None,
) -> Path:
    """Write `out`/tuned.safetensors: the encoder of `start`, tuned to measured maps.

    Half of what it sees are measured maps, with noise added, and it is to give them back as `Encoder.denoise` of
    `start` gives them. The other half are simulated, and their latent shapes are to stay where they were.

    Parameters
    ----------
    out : Path
        Folder. What is interrupted goes on where it was.
    runs : iterable of array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1 of each run.
    start : Path
        Weights of a learned encoder.
    seed : int
        Of the simulated maps and of the noise.
    truths, steps : int
        Simulated noise-free maps; steps of 160 maps, each seen twice.
    watch : callable
        Told the stage, how many of how many are done, and what is worth watching.

    Raises
    ------
    ValueError
        If there are no maps with contrast, or as `Encoder.encode`.
    ModelError
        If `start` is not such weights, or a checkpoint there is of other maps, another seed or length.
    """
    if truths < 100 or steps < 1:
        raise ValueError(f"truths must be at least 100 and steps at least 1, got {truths} and {steps}")
    tensors, origin = read_weights(start, "learned", RANKS)
    encoder = LearnedEncoder.read(start)
    measured = np.concatenate([np.empty((0, 2080), np.float16), *(_shapes(encoder, maps) for maps in runs)])
    if not len(measured):
        raise ValueError("no measured map has any contrast: there is nothing to tune to")
    recipe: dict[str, Any] = {"seed": seed, "truths": truths, "steps": steps, "measured": len(measured)}
    recipe |= {"start": encoder.sha256, "ainerd": ainerd.__version__}
    simulated = corpus(out / "truths.safetensors", recipe, watch)
    both = _half_and_half(simulated, measured)

    basis, mean, spread = (np.asarray(tensors[name], np.float32) for name in ("basis", "mean", "spread"))
    before = _network(tensors)
    objective = Anchored(before, both, basis, mean, spread, n=BATCH, seed=seed)
    network = copy.deepcopy(before).train()
    network.whiten.eval()  # its scale is that of the embeddings there are
    for head in (network.families, network.parameters_):
        head.requires_grad_(False)
    checkpoint = out / "tuned.checkpoint.pt"
    trained(network, objective, checkpoint, recipe, learning_rate=_LEARNING_RATE, process=(0, 1), watch=watch)
    tuned = {name: np.asarray(array, np.float32) for name, array in tensors.items()} | network.exported()
    tuned["detail"] = detail(LearnedEncoder(tuned), both, seed)
    write_learned(out / "tuned.safetensors", tuned, {**origin, "tuned": recipe})
    return out / "tuned.safetensors"


def _shapes(encoder: LearnedEncoder, maps: ArrayLike) -> NDArray[np.float16]:
    """What is taken for |g1|² of measured maps (n, 256, 256): triangles of those that have contrast."""
    z = encoder.encode(maps)
    contrast, offset = (z[:, i, None, None] / SCALE for i in (0, 1))
    there = contrast[:, 0, 0] > _LEAST_CONTRAST
    shape = (encoder.denoise(np.asarray(maps)[there], size=SIZE) - 1 - offset[there]) / contrast[there]
    return to_triangle(nearest_covariances(shape)).astype(np.float16)


def _half_and_half(simulated: Truths, measured: NDArray[np.float16]) -> Truths:
    """As many of each, measured ones repeated or left out at random."""
    n = len(simulated.family)
    which = np.random.default_rng(len(measured)).permutation(n) % len(measured)
    return Truths(
        triangles=np.concatenate([simulated.triangles, measured[which]]),
        family=np.concatenate([simulated.family, np.full(n, -1)]),
        parameters=np.concatenate([simulated.parameters, np.full((n, len(PARAMETERS)), np.nan, np.float32)]),
    )


def _network(tensors: dict[str, NDArray[Any]]) -> Network:
    """The network that was exported, in evaluation mode; its heads are not kept, and stay as they come."""
    n_basis, n_features = len(tensors["basis"]), tensors["encoder.0.weight"].shape[1]
    network = Network(n_features, n_basis, len(KNOWN), len(PARAMETERS))
    kept = {name: torch.from_numpy(np.asarray(tensors[name], np.float32)) for name in tensors}
    state = network.state_dict()
    state |= {name: tensor for name, tensor in kept.items() if name in state}
    network.load_state_dict(state)
    return network.eval()
