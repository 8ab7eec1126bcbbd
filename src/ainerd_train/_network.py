"""The learned encoder's network in torch, its loss, and the training loop."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ainerd_train._simulated import Truths, Watch, examples
from ainerd_xpcs.latent import DEPTH, N_SHAPE, SIZE, features_of, scaled, unit_of, weighted

# The exponent and the relaxation time are the hardest to predict, so they count more.
_PARAMETER_WEIGHT = torch.tensor([2.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
_MAP, _FAMILY, _PARAMETER, _PAIR, _CONTRAST = 250.0, 1.0, 1.0, 0.3, 3.0
_LATENT_NOISE = 0.05
# Noise below which the squared error of a map counts fully.
_NOISE_FLOOR = 0.02
_PAIR_TEMPERATURE = 4.0
_WARM_UP, _COOL_DOWN = 200, 0.3
Singles = NDArray[np.float32]
Loss = tuple[Tensor, dict[str, float]]  # and numbers to watch


class Residual(nn.Module):
    """x + two layers of normalized x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        more: Tensor = self.down(nn.functional.silu(self.up(self.norm(x))))
        return x + more


def tower(n_in: int, width: int, depth: int, n_out: int) -> nn.Sequential:
    """Build a linear layer, residual blocks and a normalized linear layer."""
    blocks = [Residual(width) for _ in range(depth)]
    return nn.Sequential(nn.Linear(n_in, width), *blocks, nn.LayerNorm(width), nn.Linear(width, n_out))


class Network(nn.Module):
    """Features to a latent shape, and back to coefficients of the linear basis.

    In training, linear heads predict family and parameters from the latent shape, so that like dynamics lie together.
    """

    def __init__(
        self, n_features: int, n_basis: int, n_families: int, n_parameters: int, *, width: int = 448, depth: int = DEPTH
    ) -> None:
        super().__init__()
        self.encoder = tower(n_features, width, depth, N_SHAPE + 2)
        self.whiten = nn.BatchNorm1d(N_SHAPE, affine=False, momentum=0.02)
        self.decoder = tower(N_SHAPE, width, depth, n_basis)
        self.linear = nn.Linear(N_SHAPE, n_basis)
        self.families, self.parameters_ = nn.Linear(N_SHAPE, n_families), nn.Linear(N_SHAPE, n_parameters)

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return latent shapes (n, N_SHAPE), and log of contrast over level and offset over level, (n, 2)."""
        h = self.encoder(features).float()
        return self.whiten(h[:, :N_SHAPE]), h[:, N_SHAPE:]

    def decode(self, z: Tensor) -> Tensor:
        """Return coefficients of the basis, in units of their spread."""
        coefficients: Tensor = self.decoder(z).float() + self.linear(z).float()
        return coefficients

    def exported(self) -> dict[str, Singles]:
        """Return tensors for `LearnedEncoder`, the whitening folded into the layer before it."""
        state = {name: tensor.detach().double().numpy() for name, tensor in self.state_dict().items() if tensor.ndim}
        mean, spread = state.pop("whiten.running_mean"), np.sqrt(state.pop("whiten.running_var") + self.whiten.eps)
        last = f"encoder.{len(self.encoder) - 1}"
        state[f"{last}.weight"][:N_SHAPE] /= spread[:, None]
        state[f"{last}.bias"][:N_SHAPE] = (state[f"{last}.bias"][:N_SHAPE] - mean) / spread
        heads = ("families", "parameters_")
        return {name: array.astype(np.float32) for name, array in state.items() if not name.startswith(heads)}


class Batch(NamedTuple):
    """Input of one step: 2 n examples, the second n of the same truths as the first."""

    features: Tensor
    coefficients: Tensor
    contrast: Tensor  # log of contrast over level
    family: Tensor
    parameters: Tensor
    noise: Tensor
    empty: Tensor


class Objective:
    """Draws batches of `n` truths and computes the loss.

    The loss is mainly the squared error of the map. The latent shape must be nearest to that of another noisy map of
    the same truth, and linear heads must predict family and parameters from it. `basis`, `mean` and `spread` are those
    of the principal components (k, 2080) of weighted noise-free maps.
    """

    def __init__(self, truths: Truths, basis: Singles, mean: Singles, spread: Singles, *, n: int, seed: int) -> None:
        self.truths, self.basis, self.mean, self.n, self.seed = truths, basis, mean, n, seed
        self.unit = unit_of(spread)
        self.operator, self.operator_mean = features_of(basis, mean, spread)
        known = truths.parameters
        self.parameters = (known - np.nanmean(known, 0)) / np.maximum(np.nanstd(known, 0), 1e-3)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which depends on seed and step alone."""
        e = examples(self.truths, self.n, np.random.default_rng([self.seed, 1, step]))
        x, level, gauges = scaled(e.maps)
        shape = weighted(e.shape)
        known = e.truth >= 0
        arrays = (
            np.hstack([x @ self.operator.T - self.operator_mean, gauges]),
            (shape - self.mean) @ self.basis.T / self.unit,
            np.log(e.contrast / level),
            np.where(known, self.truths.family[e.truth], -1),
            np.where(known[:, None], self.parameters[e.truth], np.nan).astype(np.float32),
            e.noise,
            e.shape[:, 0, 0] == 0,
        )
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def loss(self, network: Network, batch: Batch, generator: torch.Generator) -> Loss:
        """Return the loss; maps are decoded from slightly noisy shapes."""
        with torch.autocast(batch.features.device.type, torch.bfloat16):
            z, level = network.encode(batch.features)
            jitter = _LATENT_NOISE * torch.randn(z.shape, generator=generator).to(z.device)
            coefficients = network.decode(z + jitter)
        unit = torch.from_numpy(self.unit).to(z.device)
        error = ((coefficients - batch.coefficients) * unit).square().sum(1) / SIZE**2
        pair = self._pair_error(z, batch)
        weighted_error = (error * 1.5 * _NOISE_FLOOR / (_NOISE_FLOOR + batch.noise.clamp(max=1))).mean()
        contrast = (level[:, 0] - batch.contrast).square().clamp(max=1).mean() + level[:, 1].square().mean()
        known = ~batch.parameters.isnan()
        named = batch.family >= 0
        guess = network.families(z)[named]
        family = functional.cross_entropy(guess, batch.family[named])
        off = (network.parameters_(z) - batch.parameters.nan_to_num()).square() * known
        parameter = (off * _PARAMETER_WEIGHT.to(z.device)).sum() / known.sum()
        total = _MAP * weighted_error + _FAMILY * family + _PARAMETER * parameter
        total = total + _PAIR * pair + _CONTRAST * contrast
        right = (guess.argmax(1) == batch.family[named]).float().mean()
        watched = {"map": error.mean(), "family": right, "parameters": parameter, "pair": pair}
        return total, {name: float(value.detach()) for name, value in watched.items()}

    def _pair_error(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the cross entropy of recognizing the other map of the same truth by its distance."""
        there = ~batch.empty[: self.n]
        one, other = z[: self.n][there], z[self.n :][there]
        nearness = -torch.cdist(one, other).square() / _PAIR_TEMPERATURE
        own = torch.arange(len(one), device=z.device)
        return (functional.cross_entropy(nearness, own) + functional.cross_entropy(nearness.T, own)) / 2


class Parts(NamedTuple):
    """A network in training, with its optimizer and its learning rates."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler


def train(parts: Parts, losses: Iterator[Loss], watch: Watch, *, steps: int) -> None:
    """Train network, optimizer and schedule with the losses of so many steps."""
    before, mean = torch.get_num_threads(), dict[str, float]()
    torch.set_num_threads(1)
    try:
        for step, (loss, watched) in enumerate(losses, 1):
            parts.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parts.network.parameters(), 1.0)
            parts.optimizer.step()
            parts.schedule.step()
            mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in watched.items()}
            watch("training", step, steps, mean)
    finally:
        torch.set_num_threads(before)


def halved(tensors: dict[str, Singles]) -> dict[str, NDArray[Any]]:
    """Round matrices to float16, which is finer than the scatter of training."""
    return {name: array.astype(np.float16) if array.ndim == 2 else array for name, array in tensors.items()}


def train_network(
    network: Network, objective: Objective, *, seed: int, steps: int, learning_rate: float, watch: Watch
) -> Network:
    """Train a network, in training mode, for this number of steps."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=1e-3, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, steps))

    def losses() -> Iterator[Loss]:
        with ThreadPoolExecutor(2) as pool:  # one thread trains, two draw noise
            ahead = [pool.submit(objective.batch, step) for step in range(min(3, steps))]
            for step in range(steps):
                batch = ahead.pop(0).result()
                if step + 3 < steps:
                    ahead.append(pool.submit(objective.batch, step + 3))
                generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
                yield objective.loss(network, Batch(*(tensor.to(device) for tensor in batch)), generator)

    train(Parts(network, optimizer, schedule), losses(), watch, steps=steps)
    return network.cpu().eval()


def _pace(step: int, steps: int) -> float:
    """Return the learning rate over its maximum: warm-up, plateau, and linear descent to a hundredth."""
    left = (steps - step) / (_COOL_DOWN * steps)
    return min(1.0, (step + 1) / _WARM_UP, 0.01 + 0.99 * left)
