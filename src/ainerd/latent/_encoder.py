"""What every encoder of C2 maps offers, and the one way to load one."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent._grid import MAP_SIZE, SIZE, block_mean, interpolate
from ainerd.latent._weights import SHIPPED, ModelError, kind_of


class Encoder(ABC):
    """C2 maps to latent vectors and back; made by `Encoder.load`.

    Attributes
    ----------
    name, sha256 : str
        Which encoder this is, and the digest of its weight file.
    n_latent : int
        d, the length of a latent vector.
    sizes : tuple of int
        Map sizes it takes; 256 is always among them.
    """

    name: str
    sha256: str
    n_latent: int
    sizes: tuple[int, ...] = (MAP_SIZE,)

    @staticmethod
    def load(model: str | Path = "pca") -> "Encoder":
        """Load an encoder.

        Parameters
        ----------
        model : str or Path
            "pca" (the default) or "ours", both shipped, or a file: ``.safetensors`` written by ``ainerd train``,
            or ``.pth`` with the state dict of the network published with AI-NERD (Horwath et al., Nat. Commun.
            15, 5945, 2024), or one of ``ainerd train paper``.

        Raises
        ------
        ModelError
            If the file is missing, damaged or not such a model.
        """
        path = SHIPPED / f"{model}.safetensors" if model in ("pca", "ours") else Path(model)
        if path.suffix == ".safetensors":
            from ainerd.latent._learned import LearnedEncoder
            from ainerd.latent._pca import PcaEncoder

            return LearnedEncoder.read(path) if kind_of(path) == "learned" else PcaEncoder.read(path)
        if path.suffix == ".pth":
            from ainerd.latent._published import PublishedEncoder

            return PublishedEncoder.read(path)
        raise ModelError(f"{model}: no such model; give 'pca', 'ours', a .safetensors of ainerd or the published .pth")

    def encode(self, maps: ArrayLike) -> NDArray[np.float32]:
        """Latent vectors (n, n_latent), float32, of C2 maps (n, 256, 256) of baseline 1.

        Raises
        ------
        ValueError
            If the shape is another or a value is not finite.
        """
        return self._encode(self._checked(maps))

    def decode(self, z: ArrayLike, *, size: int = MAP_SIZE) -> NDArray[np.float32]:
        """C2 maps (n, size, size) of baseline 1 that latent vectors (n, n_latent) hold.

        `size` is 256, or 64 for the means over 4 × 4 cells.
        """
        z = np.asarray(z, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.n_latent:
            raise ValueError(f"latent vectors must be (n, {self.n_latent}) for {self.name}, got {z.shape}")
        return self._decode(z, _checked_size(size))

    def denoise(self, maps: ArrayLike, *, size: int = MAP_SIZE) -> NDArray[np.float32]:
        """C2 maps (n, 256, 256) without their noise, (n, size, size); sizes as for `decode`, errors as of `encode`.

        What the latent vector holds, plus of the rest what exceeds the noise: a map the encoder does not know comes
        out nearly as it came in, and none is made worse (James and Stein's estimator).
        """
        return self._denoise(self._checked(maps), _checked_size(size))

    def residual(self, maps: ArrayLike) -> NDArray[np.float32]:
        """Squared distance (n,) of each map from what its latent vector holds, summed over cells at 64 px."""
        checked = self._checked(maps)
        return np.square(block_mean(checked) - self._decode(self._encode(checked), SIZE)).sum((1, 2))

    def _checked(self, maps: ArrayLike) -> NDArray[np.float32]:
        maps = np.asarray(maps, dtype=np.float32)
        if maps.ndim != 3 or maps.shape[1] != maps.shape[2] or maps.shape[1] not in self.sizes:
            wanted = " or ".join(f"(n, {s}, {s})" for s in self.sizes)
            raise ValueError(f"maps must be {wanted} for {self.name}, got {maps.shape}")
        bad = np.flatnonzero(~np.isfinite(maps).all((1, 2)))
        if bad.size:
            raise ValueError(f"map {bad[0]} of {len(maps)} holds values that are not finite; leave empty bins out")
        return maps

    def _denoise(self, maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        coarse = block_mean(maps)
        held = self._decode(self._encode(maps), SIZE)
        # The second difference of a map is nearly all noise, of four cells.
        second = np.diff(np.diff(coarse, axis=1), axis=2).reshape(-1, (SIZE - 1) ** 2)
        noise = np.square(np.median(np.abs(second), axis=1) / 0.6745 / 2) * SIZE**2
        rest = coarse - held
        keep = np.maximum(0, 1 - noise / np.maximum(np.square(rest).sum((1, 2)), 1e-12))
        out = held + keep[:, None, None] * rest
        return out if size == SIZE else interpolate(out)

    @abstractmethod
    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]: ...

    @abstractmethod
    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]: ...


def _checked_size(size: int) -> int:
    if size not in (MAP_SIZE, SIZE):
        raise ValueError(f"size must be {MAP_SIZE} or {SIZE}, got {size}")
    return size
