"""The autoencoder published with AI-NERD (Horwath et al., Nat. Commun. 15, 5945, 2024).

torch is imported only when such a file is loaded.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ainerd_xpcs.latent._encoder import Encoder
from ainerd_xpcs.latent._grid import MAP_SIZE, block_mean, from_unit, to_unit
from ainerd_xpcs.latent._weights import ModelError, digest

_BATCH = 32


class Autoencoder(nn.Module):
    """The network, with layers named and ordered as in the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *[layer for a, b in ((1, 16), (16, 32), (32, 64)) for layer in (*_convs(a, b), nn.MaxPool2d(4))]
        )
        self.bottleneck = nn.Sequential(
            nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4))
        )
        self.decoder1 = nn.Sequential(
            *[
                layer
                for a, b in ((64, 64), (64, 64), (64, 32))
                for layer in (*_convs(a, b), nn.Upsample(scale_factor=4, mode="bilinear"))
            ],
            nn.Conv2d(32, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.bottleneck[:3](self.encoder(x))
        return z

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.decoder1(self.bottleneck[3:](z))
        return x


def _convs(n_in: int, n_out: int) -> list[nn.Module]:
    return [layer for n in (n_in, n_out) for layer in (nn.Conv2d(n, n_out, 3, padding=1), nn.Dropout(0.05), nn.ReLU())]


class PublishedEncoder(Encoder):
    """The published network in evaluation mode.

    It was trained on maps that were scaled to [0, 1] over a whole data set, so maps of baseline 1 go through `to_unit`.
    """

    name = "published"
    n_latent = 64

    def __init__(self, network: Autoencoder, *, sha256: str) -> None:
        self._network, self.sha256 = network.eval(), sha256

    @classmethod
    def read(cls, path: Path) -> "PublishedEncoder":
        """Read the state dict; raise `ModelError`."""
        sha256 = digest(path)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds, and all mean that the file is no state dict
            raise ModelError(f"{path}: damaged, or not a plain torch state dict") from None
        network = Autoencoder()
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        entries = state.items() if isinstance(state, dict) else ()
        shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in entries}
        if shapes != wanted:
            wrong = sorted(str(name) for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name))
            raise ModelError(f"{path}: not the published network; {len(wrong)} of its tensors differ, {wrong[0]} first")
        network.load_state_dict(state)
        return cls(network, sha256=sha256)

    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._batched(self._network.encode, to_unit(maps)[:, None], (self.n_latent,))

    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        return block_mean(from_unit(self._batched(self._network.decode, z, (1, MAP_SIZE, MAP_SIZE))[:, 0]), size)

    @staticmethod
    @torch.inference_mode()
    def _batched(
        function: Callable[[torch.Tensor], torch.Tensor], x: NDArray[np.float32], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        out = np.empty((len(x), *shape), dtype=np.float32)
        for i in range(0, len(x), _BATCH):
            out[i : i + _BATCH] = function(torch.from_numpy(np.ascontiguousarray(x[i : i + _BATCH]))).numpy()
        return out
