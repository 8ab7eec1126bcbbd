"""How much noise a map has in each group of components, told from the map alone."""

import numpy as np
import torch
from numpy.typing import NDArray

from ainerd.latent._features import N_NOISE_GAUGES, noise_gauges, scaled, weighted
from ainerd.latent._learned import GROUPS, group_power
from ainerd.latent.training._examples import examples
from ainerd.latent.training._network import tower
from ainerd.latent.training._truths import Truths

_STEPS, _BATCH, _LEARNING_RATE = 2000, 512, 3e-3
# The power's median: too little noise told leaves some in, too much takes dynamics out.
_QUANTILE = 0.5


def fit_noise(truths: Truths, basis: NDArray[np.float32], *, blocks: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Train the tower "noise": gauges to the log power of the noise of (C - 1) / level in each group of the basis.

    It sees `blocks` of 500 examples each.
    """
    seen, told = [], []
    for block in range(blocks):
        e = examples(truths, 250, np.random.default_rng([seed, 5, block]))
        x, level, gauges = scaled(e.maps)
        noise = x - weighted(e.shape) * (e.contrast / level)[:, None]
        inside = noise @ basis.T
        power = group_power(inside, np.square(noise).sum(1) - np.square(inside).sum(1))
        noisy = e.noise > 0
        seen.append(noise_gauges(e.maps, level, gauges)[noisy])
        told.append(np.log(np.maximum(power, 1e-6))[noisy])
    gauges, powers = np.concatenate(seen), np.concatenate(told).astype(np.float32)
    mean, spread = gauges.mean(0), gauges.std(0) + 1e-3
    given, wanted = torch.from_numpy((gauges - mean) / spread), torch.from_numpy(powers)

    torch.manual_seed(seed)
    network = tower(N_NOISE_GAUGES, 64, 1, len(GROUPS))
    network[-1].bias.data[:] = wanted.median(0).values  # type: ignore[operator]
    optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in range(_STEPS):
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * (1.01 - step / _STEPS)
        which = torch.randint(len(given), (_BATCH,), generator=generator)
        short = wanted[which] - network(given[which])
        loss = torch.maximum(_QUANTILE * short, (_QUANTILE - 1) * short).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tensors = {f"noise.{name}": tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    tensors["noise.0.bias"] = tensors["noise.0.bias"] - tensors["noise.0.weight"] @ (mean / spread)
    tensors["noise.0.weight"] = tensors["noise.0.weight"] / spread
    return tensors
