"""The learned encoder's network as it is trained; `LearnedEncoder` runs what `exported` writes, without torch."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ainerd.latent._learned import DEPTH, N_SHAPE


class Residual(nn.Module):
    """x + two layers of x, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(nn.functional.silu(self.up(self.norm(x))))


def tower(n_in: int, width: int, depth: int, n_out: int) -> nn.Sequential:
    """Linear, residual blocks, normalised linear."""
    blocks = [Residual(width) for _ in range(depth)]
    return nn.Sequential(nn.Linear(n_in, width), *blocks, nn.LayerNorm(width), nn.Linear(width, n_out))


class Network(nn.Module):
    """Features to a latent shape, and back to coefficients of the linear basis.

    Linear heads tell family and parameters of a latent shape in training: they draw alike dynamics together.
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
        """Latent shapes (n, N_SHAPE), and (n, 2): log of contrast over level, offset over level."""
        h = self.encoder(features).float()
        return self.whiten(h[:, :N_SHAPE]), h[:, N_SHAPE:]

    def decode(self, z: Tensor) -> Tensor:
        """Coefficients of the basis, in units of their spread."""
        return self.decoder(z).float() + self.linear(z).float()

    def exported(self) -> dict[str, NDArray[np.float32]]:
        """Tensors for `LearnedEncoder`: the whitening is folded into the layer before it."""
        state = {name: tensor.detach().double().numpy() for name, tensor in self.state_dict().items() if tensor.ndim}
        mean, spread = state.pop("whiten.running_mean"), np.sqrt(state.pop("whiten.running_var") + self.whiten.eps)
        last = f"encoder.{len(self.encoder) - 1}"
        state[f"{last}.weight"][:N_SHAPE] /= spread[:, None]
        state[f"{last}.bias"][:N_SHAPE] = (state[f"{last}.bias"][:N_SHAPE] - mean) / spread
        heads = ("families", "parameters_")
        return {name: array.astype(np.float32) for name, array in state.items() if not name.startswith(heads)}
