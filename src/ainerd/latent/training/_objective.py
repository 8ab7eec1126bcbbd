"""What the learned encoder is trained to, one step at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ainerd.latent._features import scaled, weighted
from ainerd.latent._grid import SIZE
from ainerd.latent._learned import features_of, unit_of
from ainerd.latent.training._examples import examples
from ainerd.latent.training._network import Network
from ainerd.latent.training._truths import Truths

# The exponent and the relaxation time are the hardest to tell: they count more.
_PARAMETER_WEIGHT = torch.tensor([2.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
_MAP, _FAMILY, _PARAMETER, _PAIR, _CONTRAST = 250.0, 1.0, 1.0, 0.3, 3.0
_ANCHOR = 10.0
_LATENT_NOISE = 0.05
# Of a map's squared error: one whose noise is below this counts fully.
_NOISE_FLOOR = 0.02
_PAIR_TEMPERATURE = 4.0


@dataclass(frozen=True)
class Batch:
    """What goes into one step; arrays of 2 n examples, the second n of the same truths as the first."""

    features: Tensor
    coefficients: Tensor
    contrast: Tensor  # log of contrast over level
    family: Tensor
    parameters: Tensor
    noise: Tensor
    empty: Tensor


class Objective:
    """Draws batches of `n` truths and weighs errors.

    The map's squared error is what counts. Beside it the latent shape must tell the family and the parameters by
    linear heads, and lie nearer to that of another noisy map of the same truth than to any other's. Of the principal
    components (k, 2080) of weighted noise-free maps it takes `basis`, `mean` and `spread`.
    """

    def __init__(
        self,
        truths: Truths,
        basis: NDArray[np.float32],
        mean: NDArray[np.float32],
        spread: NDArray[np.float32],
        *,
        n: int,
        seed: int,
    ) -> None:
        self.truths, self.basis, self.mean, self.n, self.seed = truths, basis, mean, n, seed
        self.unit = unit_of(spread)
        self.operator, self.operator_mean = features_of(basis, mean, spread)
        known = truths.parameters
        self.parameters = (known - np.nanmean(known, 0)) / np.maximum(np.nanstd(known, 0), 1e-3)

    def batch(self, step: int) -> Batch:
        """The batch of a step: the same whenever it is asked for."""
        e = examples(self.truths, self.n, np.random.default_rng([self.seed, 1, step]))
        x, level, gauges = scaled(e.maps)
        shape = weighted(e.shape)
        told = e.truth >= 0
        arrays = (
            np.hstack([x @ self.operator.T - self.operator_mean, gauges]),
            (shape - self.mean) @ self.basis.T / self.unit,
            np.log(e.contrast / level),
            np.where(told, self.truths.family[e.truth], -1),
            np.where(told[:, None], self.parameters[e.truth], np.nan).astype(np.float32),
            e.noise,
            e.shape[:, 0, 0] == 0,
        )
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def loss(self, network: Network, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum, and what is worth watching."""
        z, level, coefficients = self.seen(network, batch, generator)
        error, pair = self.map_error(coefficients, batch), self.pair_error(z, batch)

        named = batch.family >= 0
        guess = network.families(z)[named]
        family = functional.cross_entropy(guess, batch.family[named])
        told = ~batch.parameters.isnan()
        off = (network.parameters_(z) - batch.parameters.nan_to_num()).square() * told
        parameter = (off * _PARAMETER_WEIGHT.to(z.device)).sum() / told.sum()

        total = _MAP * _heeded(error, batch) + _FAMILY * family + _PARAMETER * parameter
        total = total + _PAIR * pair + _CONTRAST * _contrast_error(level, batch)
        right = (guess.argmax(1) == batch.family[named]).float().mean()
        watched = {"map": error.mean(), "family": right, "parameters": parameter, "pair": pair}
        return total, {name: float(value.detach()) for name, value in watched.items()}

    def seen(self, network: Network, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latent shapes, contrasts and offsets, and the coefficients that are decoded from shapes a little off."""
        with torch.autocast(batch.features.device.type, torch.bfloat16):
            z, level = network.encode(batch.features)
            jitter = _LATENT_NOISE * torch.randn(z.shape, generator=generator).to(z.device)
            return z, level, network.decode(z + jitter)

    def map_error(self, coefficients: Tensor, batch: Batch) -> Tensor:
        """Mean squared error of each map."""
        unit = torch.from_numpy(self.unit).to(coefficients.device)
        return ((coefficients - batch.coefficients) * unit).square().sum(1) / SIZE**2

    def pair_error(self, z: Tensor, batch: Batch) -> Tensor:
        """How badly a map is told from others by its nearness to that of the same truth."""
        there = ~batch.empty[: self.n]
        one, other = z[: self.n][there], z[self.n :][there]
        nearness = -torch.cdist(one, other).square() / _PAIR_TEMPERATURE
        own = torch.arange(len(one), device=z.device)
        return (functional.cross_entropy(nearness, own) + functional.cross_entropy(nearness.T, own)) / 2


class Anchored(Objective):
    """What a network is tuned to: maps that were measured, while what it knows of simulated ones stays where it is.

    Latent shapes of simulated maps must stay near those that the network gave `before`, in evaluation mode; parameters
    of truths that were measured are NaN.
    """

    def __init__(self, before: Network, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = before

    def loss(self, network: Network, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum, and what is worth watching."""
        z, level, coefficients = self.seen(network, batch, generator)
        error, pair = self.map_error(coefficients, batch), self.pair_error(z, batch)
        with torch.no_grad():
            old, _ = self.before.to(z.device).encode(batch.features)
        simulated = ~batch.parameters.isnan().all(1)
        moved = (z - old)[simulated].square().mean()
        total = _MAP * _heeded(error, batch) + _PAIR * pair + _CONTRAST * _contrast_error(level, batch)
        watched = {"map": error[simulated].mean(), "measured": error[~simulated].mean(), "moved": moved}
        return total + _ANCHOR * moved, {name: float(value.detach()) for name, value in watched.items()}


def _heeded(error: Tensor, batch: Batch) -> Tensor:
    return (error * 1.5 * _NOISE_FLOOR / (_NOISE_FLOOR + batch.noise.clamp(max=1))).mean()


def _contrast_error(level: Tensor, batch: Batch) -> Tensor:
    return (level[:, 0] - batch.contrast).square().clamp(max=1).mean() + level[:, 1].square().mean()
