"""Train the learned encoder on simulated maps alone."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

import ainerd
from ainerd_train._network import Network, Objective, halved, tower, train_network
from ainerd_train._pca import PcaFit
from ainerd_train._simulated import PARAMETERS, Truths, Watch, examples, silent, speckled
from ainerd_xpcs.dynamics import KNOWN
from ainerd_xpcs.latent import (
    DEPTH,
    GROUPS,
    N_DETAIL,
    N_GAUGES,
    N_NOISE_GAUGES,
    N_SHAPE,
    ROWS,
    LearnedEncoder,
    from_triangle,
    group_power,
    noise_gauges,
    scaled,
    weighted,
    write_weights,
)

BATCH, _LEARNING_RATE = 160, 2e-3
_ROUNDING = -0.375  # power of the covariance of the families; -1/2 would make them round
_AT_ONCE = 250
_NOISE_STEPS, _NOISE_BATCH, _NOISE_RATE = 2000, 512, 3e-3
# Fit the median of the power: an estimate too low leaves noise in, one too high removes dynamics.
_QUANTILE = 0.5


def train_ours(out: Path, *, seed: int = 1, truths: int = 45_000, steps: int = 4600, watch: Watch = silent) -> Path:
    """Train the learned encoder and write `out`/ours.safetensors.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
        Seed of the corpus, the noise and the network.
    truths, steps : int
        Number of noise-free maps; number of steps, each of 160 maps, seen twice.
    watch : callable
        Called with the stage, the number done, the total, and numbers to watch.
    """
    recipe = {"seed": seed, "truths": truths, "steps": steps, "families": list(KNOWN), "ainerd": ainerd.__version__}
    file = out / "ours.safetensors"
    drawn = Truths.draw(truths, np.random.default_rng([seed, 77]), watch)
    basis, mean, spread = _basis(drawn, seed)
    objective = Objective(drawn, basis, mean, spread, n=BATCH, seed=seed)
    torch.manual_seed(seed)
    network = Network(len(objective.operator) + N_GAUGES, len(basis), len(KNOWN), len(PARAMETERS)).train()
    train_network(network, objective, seed=seed, steps=steps, learning_rate=_LEARNING_RATE, watch=watch)
    tensors = network.exported() | {"basis": basis, "mean": mean, "spread": spread}
    tensors |= fit_noise(drawn, basis, blocks=_blocks(drawn, 40), seed=seed)
    tensors["detail"] = np.eye(N_DETAIL, ROWS.size, dtype=np.float32)
    _round(tensors, drawn, seed)
    tensors["detail"] = detail(LearnedEncoder(tensors), drawn, seed)
    write_weights(file, halved(tensors), recipe | {"kind": "learned"})
    return file


def _basis(truths: Truths, seed: int) -> tuple[NDArray[np.float32], ...]:
    """Compute principal components of noise-free maps, a third of them speckled, their mean and spread."""
    rng = np.random.default_rng([seed, 2])
    fit, n = PcaFit(), min(len(truths.family), 12_000)
    for block, first in enumerate(range(0, n, _AT_ONCE)):
        maps = from_triangle(truths.triangles[first : min(first + _AT_ONCE, n)].astype(np.float32))
        fit.add(weighted(speckled(maps, rng) if block % 3 == 0 else maps).astype(np.float64))
    return tuple(np.ascontiguousarray(array, np.float32) for array in fit.top(int(GROUPS[-1])))


def _round(tensors: dict[str, NDArray[np.float32]], truths: Truths, seed: int) -> None:
    """Make families rounder in the latent shape, in place, by partly whitening it with their mean covariance.

    Distances then depend more on differences between families than on differences within them.
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
    """Compute principal components of the residual of noise-free maps, weighted towards maps of little noise."""
    square = np.zeros((ROWS.size, ROWS.size))
    for block in range(_blocks(truths, 24)):
        e = examples(truths, _AT_ONCE, np.random.default_rng([seed, 4, block]))
        shape = encoder.shape_of(e.maps)
        weight = np.sqrt(0.02 / (0.01 + e.noise)) * (e.noise < 0.05)
        left = (weighted(e.shape) - shape) * weight[:, None].astype(np.float32)
        square += left.T.astype(np.float64) @ left
    _, vectors = eigh(square, subset_by_index=[ROWS.size - N_DETAIL, ROWS.size - 1])
    return np.ascontiguousarray(vectors.T[::-1], dtype=np.float32)


def _blocks(truths: Truths, most: int) -> int:
    """Return the number of blocks of examples: few if there are few truths."""
    return max(1, min(most, len(truths.family) // _AT_ONCE))


def fit_noise(truths: Truths, basis: NDArray[np.float32], *, blocks: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Train the tower "noise" from gauges to the log power of the noise of (C - 1) / level in each group of the basis.

    It is trained on `blocks` of 500 examples each.
    """
    inputs, targets = [], []
    for block in range(blocks):
        e = examples(truths, _AT_ONCE, np.random.default_rng([seed, 5, block]))
        x, level, gauges = scaled(e.maps)
        noise = x - weighted(e.shape) * (e.contrast / level)[:, None]
        inside = noise @ basis.T
        power = group_power(inside, np.square(noise).sum(1) - np.square(inside).sum(1))
        noisy = e.noise > 0
        inputs.append(noise_gauges(e.maps, level, gauges)[noisy])
        targets.append(np.log(np.maximum(power, 1e-6))[noisy])
    gauges, powers = np.concatenate(inputs), np.concatenate(targets).astype(np.float32)
    mean, spread = gauges.mean(0), gauges.std(0) + 1e-3
    given, wanted = torch.from_numpy((gauges - mean) / spread), torch.from_numpy(powers)

    torch.manual_seed(seed)
    network = tower(N_NOISE_GAUGES, 64, 1, len(GROUPS))
    network[-1].bias.data[:] = wanted.median(0).values  # type: ignore[operator]
    optimizer = torch.optim.Adam(network.parameters(), _NOISE_RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in range(_NOISE_STEPS):
        optimizer.param_groups[0]["lr"] = _NOISE_RATE * (1.01 - step / _NOISE_STEPS)
        which = torch.randint(len(given), (_NOISE_BATCH,), generator=generator)
        short = wanted[which] - network(given[which])
        loss = torch.maximum(_QUANTILE * short, (_QUANTILE - 1) * short).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tensors = {f"noise.{name}": tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    tensors["noise.0.bias"] = tensors["noise.0.bias"] - tensors["noise.0.weight"] @ (mean / spread)
    tensors["noise.0.weight"] = tensors["noise.0.weight"] / spread
    return tensors
