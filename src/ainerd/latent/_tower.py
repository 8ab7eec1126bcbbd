"""The networks of the weight files, run by numpy: linear, residual blocks, normalised linear.

They are trained as `ainerd.latent.training._network.tower`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]


def tower_ranks(name: str, depth: int) -> dict[str, int]:
    """Names of the tensors of a tower, and their numbers of axes."""
    layers = [f"{name}.{b}.{part}" for b in range(1, depth + 1) for part in ("norm", "up", "down")]
    layers += [f"{name}.{b}" for b in (0, depth + 1, depth + 2)]
    norms = {f"{name}.{depth + 1}"}
    return {f"{layer}.bias": 1 for layer in layers} | {
        f"{layer}.weight": 1 if layer.endswith("norm") or layer in norms else 2 for layer in layers
    }


def through(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the tower makes of rows (n, k)."""
    x = _linear(tensors, f"{name}.0", x)
    block = 1
    while f"{name}.{block}.norm.weight" in tensors:
        h = _linear(tensors, f"{name}.{block}.up", _normalised(tensors, f"{name}.{block}.norm", x))
        x = x + _linear(tensors, f"{name}.{block}.down", h / (1 + np.exp(-h)))
        block += 1
    return _linear(tensors, f"{name}.{block + 1}", _normalised(tensors, f"{name}.{block}", x))


def _linear(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _normalised(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    x = x - x.mean(1, keepdims=True)
    x /= np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-5)
    return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
