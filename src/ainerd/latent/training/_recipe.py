"""Train the learned encoder from nothing but the simulator."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import distributed

import ainerd
from ainerd.dynamics import KNOWN
from ainerd.latent._features import N_GAUGES, weighted
from ainerd.latent._grid import ROWS, from_triangle
from ainerd.latent._learned import DEPTH, GROUPS, N_DETAIL, N_SHAPE, LearnedEncoder
from ainerd.latent._weights import read_weights, write_weights
from ainerd.latent.training._examples import examples, speckled
from ainerd.latent.training._loop import Watch, processes, trained
from ainerd.latent.training._network import Network
from ainerd.latent.training._noise import fit_noise
from ainerd.latent.training._objective import Objective
from ainerd.latent.training._truths import PARAMETERS, Truths

BATCH, _LEARNING_RATE = 160, 2e-3
_ROUNDING = -0.375  # power of the families' covariance: -1/2 would make them round
_AT_ONCE = 250


def train_ours(
    out: Path,
    *,
    seed: int = 1,
    truths: int = 45_000,
    steps: int = 4600,
    watch: Watch = lambda stage, done, total, watched: None,
) -> Path:
    """Write `out`/ours.safetensors.

    What is interrupted goes on where it was: the noise-free maps are kept in `out`/truths.safetensors, the network
    every 200 steps in `out`/ours.checkpoint.pt. Under ``torchrun`` all processes work at it, and share `out`.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
        Of the corpus, the noise and the network.
    truths, steps : int
        Noise-free maps; steps of 160 of them for each process, each seen twice.
    watch : callable
        Told the stage, how many of how many are done, and what is worth watching.

    Raises
    ------
    ModelError
        If a checkpoint there is of another seed or length.
    """
    if truths < 100 or steps < 1:
        raise ValueError(f"truths must be at least 100 and steps at least 1, got {truths} and {steps}")
    recipe = {"seed": seed, "truths": truths, "steps": steps, "families": list(KNOWN), "ainerd": ainerd.__version__}
    file = out / "ours.safetensors"
    with processes() as (rank, n):
        if n > 1:
            recipe["processes"] = n
        if rank > 0:
            distributed.barrier()  # until the first has drawn the maps
        drawn = corpus(out / "truths.safetensors", recipe, watch)
        if n > 1 and rank == 0:
            distributed.barrier()
        basis, mean, spread = linear = _basis(drawn, seed)
        if n > 1:
            for array in linear:  # signs of components may differ from machine to machine
                distributed.broadcast(torch.from_numpy(array), 0)
        objective = Objective(drawn, basis, mean, spread, n=BATCH, seed=seed)
        torch.manual_seed(seed)
        network = Network(len(objective.operator) + N_GAUGES, len(basis), len(KNOWN), len(PARAMETERS)).train()
        checkpoint = out / "ours.checkpoint.pt"
        trained(network, objective, checkpoint, recipe, learning_rate=_LEARNING_RATE, process=(rank, n), watch=watch)
    if rank > 0:
        return file
    tensors = network.exported() | {"basis": basis, "mean": mean, "spread": spread}
    tensors |= fit_noise(drawn, basis, blocks=_blocks(drawn, 40), seed=seed)
    tensors["detail"] = np.eye(N_DETAIL, ROWS.size, dtype=np.float32)
    _round(tensors, drawn, seed)
    tensors["detail"] = detail(LearnedEncoder(tensors), drawn, seed)
    write_learned(file, tensors, recipe)
    return file


def write_learned(file: Path, tensors: dict[str, NDArray[np.float32]], recipe: dict[str, Any]) -> None:
    """Write the tensors of a `LearnedEncoder`, matrices as float16: finer than what training leaves undecided."""
    halved = {name: array.astype(np.float16) if array.ndim == 2 else array for name, array in tensors.items()}
    write_weights(file, halved, recipe | {"kind": "learned"})


def corpus(path: Path, recipe: dict[str, Any], watch: Watch) -> Truths:
    """The noise-free maps: those of the file if it is of this seed and size, else drawn."""
    ranks = {"triangles": 2, "family": 1, "parameters": 2}
    wanted = {"kind": "truths", "seed": recipe["seed"], "truths": recipe["truths"]}
    if path.exists():
        tensors, found = read_weights(path, "truths", ranks, finite=False)
        if found == wanted:
            return Truths(**tensors)

    def told(done: int) -> None:
        if done % 100 == 0:
            watch("simulating", done, recipe["truths"], {})

    truths = Truths.drawn(recipe["truths"], np.random.default_rng([recipe["seed"], 77]), told)
    write_weights(path, {name: getattr(truths, name) for name in ranks}, wanted)
    return truths


def _basis(truths: Truths, seed: int) -> tuple[NDArray[np.float32], ...]:
    """Principal components of noise-free maps, a third of them speckled; their mean and spread."""
    rng = np.random.default_rng([seed, 2])
    square, total, n = np.zeros((ROWS.size, ROWS.size)), np.zeros(ROWS.size), min(len(truths.family), 12_000)
    for block, first in enumerate(range(0, n, _AT_ONCE)):
        maps = from_triangle(truths.triangles[first : min(first + _AT_ONCE, n)].astype(np.float32))
        x = weighted(speckled(maps, rng) if block % 3 == 0 else maps).astype(np.float64)
        square += x.T @ x
        total += x.sum(0)
    mean, k = total / n, int(GROUPS[-1])
    values, vectors = eigh(square / n - np.outer(mean, mean), subset_by_index=[ROWS.size - k, ROWS.size - 1])
    components, spread = vectors.T[::-1], np.sqrt(np.maximum(values[::-1], 0))
    return np.ascontiguousarray(components, np.float32), mean.astype(np.float32), spread.astype(np.float32)


def _round(tensors: dict[str, NDArray[np.float32]], truths: Truths, seed: int) -> None:
    """Make families rounder in the latent shape, in place: whiten it in part by their mean covariance.

    Distances then say more of what differs between families than of what differs within them.
    """
    encoder = LearnedEncoder(tensors)
    z, family = [], []
    for block in range(_blocks(truths, 12)):
        e = examples(truths, _AT_ONCE, np.random.default_rng([seed, 3, block]))
        of = np.where((e.truth >= 0) & (e.noise < 0.05), truths.family[e.truth], -1)
        z.append(encoder.encode(e.maps)[of >= 0, 2 : 2 + N_SHAPE])
        family.append(of[of >= 0])
    shape, of = np.concatenate(z), np.concatenate(family)
    within = np.mean([np.cov(shape[of == k].T) for k in np.unique(of) if (of == k).sum() > 1], axis=0)
    values, vectors = np.linalg.eigh(within)
    turn = (vectors * np.maximum(values, 1e-3) ** _ROUNDING) @ vectors.T
    turn /= np.sqrt(np.trace(turn.T @ np.cov(shape.T) @ turn) / N_SHAPE)
    back = np.linalg.inv(turn)
    last = f"encoder.{DEPTH + 2}"
    for part in ("weight", "bias"):
        tensors[f"{last}.{part}"][:N_SHAPE] = turn @ tensors[f"{last}.{part}"][:N_SHAPE]
    for name in ("decoder.0.weight", "linear.weight"):
        tensors[name][:, :N_SHAPE] = tensors[name][:, :N_SHAPE] @ back


def detail(encoder: LearnedEncoder, truths: Truths, seed: int) -> NDArray[np.float32]:
    """Principal components of what the shape leaves over of noise-free maps, those seen with little noise first."""
    square = np.zeros((ROWS.size, ROWS.size))
    for block in range(_blocks(truths, 24)):
        e = examples(truths, _AT_ONCE, np.random.default_rng([seed, 4, block]))
        shape = encoder.held(e.maps)
        weight = np.sqrt(0.02 / (0.01 + e.noise)) * (e.noise < 0.05)
        left = (weighted(e.shape) - shape) * weight[:, None].astype(np.float32)
        square += left.T.astype(np.float64) @ left
    _, vectors = eigh(square, subset_by_index=[ROWS.size - N_DETAIL, ROWS.size - 1])
    return np.ascontiguousarray(vectors.T[::-1], dtype=np.float32)


def _blocks(truths: Truths, most: int) -> int:
    """Blocks of examples to look at: few where there are few truths."""
    return max(1, min(most, len(truths.family) // _AT_ONCE))
