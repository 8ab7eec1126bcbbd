"""The interface of every encoder of C2 maps, and the function that loads one."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent._embedding import embedding_of, equal_azimuths, rings_of
from ainerd.latent._grid import MAP_SIZE, SIZE, block_mean, interpolate
from ainerd.latent._weights import SHIPPED, ModelError, kind_of

MODELS = ("run", "pca", "ours")  # shipped with the package
DEFAULT = "run"


class Encoder(ABC):
    """C2 maps to latent vectors and back; made by `Encoder.load`.

    Attributes
    ----------
    name, sha256 : str
        Name of the encoder, and digest of its weight file.
    n_latent : int
        d, the length of a latent vector.
    sizes : tuple of int
        Map sizes that it accepts; 256 is always among them.
    n_point : int
        Length of the point of an exposure.
    scatter : float
        Median distance between the points of two exposures of one regime.
    """

    name: str
    sha256: str
    n_latent: int
    sizes: tuple[int, ...] = (MAP_SIZE,)
    n_point: int = 16
    scatter: float = 0.25

    @staticmethod
    def load(model: str | Path = DEFAULT) -> "Encoder":
        """Load an encoder.

        Parameters
        ----------
        model : str or Path
            "run" (the default), "pca" or "ours", all shipped, or a file: ``.safetensors`` written by ``ainerd train``,
            or ``.pth`` with the state dict of the network published with AI-NERD (Horwath et al., Nat. Commun.
            15, 5945, 2024), or one of ``ainerd train paper``.

        Raises
        ------
        ModelError
            If the file is missing, damaged or not a model.
        """
        path = SHIPPED / f"{model}.safetensors" if model in MODELS else Path(model)
        if path.suffix == ".safetensors":
            from ainerd.latent._learned import LearnedEncoder
            from ainerd.latent._pca import PcaEncoder
            from ainerd.latent._run import RunEncoder

            if model == "ours":
                return LearnedEncoder.shipped()
            readers = {"learned": LearnedEncoder.read, "run": RunEncoder.read}
            return readers.get(kind_of(path), PcaEncoder.read)(path)
        if path.suffix == ".pth":
            from ainerd.latent._published import PublishedEncoder

            return PublishedEncoder.read(path)
        raise ModelError(
            f"{model}: no such model; give 'run', 'pca', 'ours', a .safetensors of ainerd or the published .pth"
        )

    @property
    def linear(self) -> "Encoder":
        """The encoder that decodes: itself, or its principal components."""
        return self

    def encode(self, maps: ArrayLike) -> NDArray[np.float32]:
        """Encode C2 maps (n, 256, 256) of baseline 1 to latent vectors (n, n_latent), float32.

        Raises
        ------
        ValueError
            If the shape is wrong or a value is not finite.
        """
        return self._encode(self._checked(maps))

    def encode_run(
        self,
        maps: ArrayLike,
        q: ArrayLike | None = None,
        phi: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Compute the point (n_point,) of an exposure from its C2 maps (n, 256, 256); options as for `point`."""
        return self.point(self.encode(maps), q, phi, weights=weights)

    def point(
        self,
        z: ArrayLike,
        q: ArrayLike | None = None,
        phi: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Compute the point (n_point,) of an exposure from the latent vectors (n, n_latent) of its bins.

        The point does not depend on the contrast of the beam, the direction of azimuth zero, or when in the exposure
        something happens. With several q it is the mean over the rings.

        Parameters
        ----------
        z : array_like, shape (n, n_latent)
            Latent vectors from `encode`; any number of them.
        q : array_like, shape (n,), optional
            q of each bin, in any unit; by default the bins are one ring.
        phi : array_like, shape (n,), optional
            Centers of the bins, in degrees; NaN if unknown. By default the bins of a ring are equal and in order around
            the full circle.
        weights : array_like, shape (n,), optional
            Weights of the bins in the mean of a ring, such as their pixels; equal by default.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        z = np.asarray(z, dtype=np.float32)
        if z.ndim != 2 or not len(z) or z.shape[1] != self.n_latent:
            raise ValueError(f"latent vectors must be (n, {self.n_latent}) for {self.name}, got {z.shape}")
        for name, values in {"q": q, "phi": phi, "weights": weights}.items():
            if values is not None and np.shape(values) != (len(z),):
                raise ValueError(f"{name} must have a number for each of {len(z)} bins, got {np.shape(values)}")
        points = []
        for ring in rings_of(len(z), q):
            azimuths = equal_azimuths(len(ring)) if phi is None else np.asarray(phi, dtype=float)[ring]
            share = None if weights is None else np.asarray(weights, dtype=float)[ring]
            points.append(self._point(z[ring], azimuths, share))
        return np.mean(points, axis=0, dtype=np.float32)

    def decode(self, z: ArrayLike, *, size: int = MAP_SIZE) -> NDArray[np.float32]:
        """Decode latent vectors (n, n_latent) to C2 maps (n, size, size) of baseline 1; `size` is 256 or 64."""
        z = np.asarray(z, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.n_latent:
            raise ValueError(f"latent vectors must be (n, {self.n_latent}) for {self.name}, got {z.shape}")
        return self._decode(z, _checked_size(size))

    def denoise(self, maps: ArrayLike, *, size: int = MAP_SIZE) -> NDArray[np.float32]:
        """Remove the noise of C2 maps (n, 256, 256); returns (n, size, size). Errors as for `encode`.

        The result is the decoded map plus the part of the residual that exceeds the noise (James and Stein's
        estimator). A map of unknown dynamics is returned nearly unchanged, and no map is made worse.
        """
        return self._denoise(self._checked(maps), _checked_size(size))

    def residual(self, maps: ArrayLike) -> NDArray[np.float32]:
        """Return the squared distance (n,) of each map from its decoded map, summed over cells at 64 px."""
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
        decoded = self._decode(self._encode(maps), SIZE)
        # The second difference of a map is nearly all noise, of four cells.
        second = np.diff(np.diff(coarse, axis=1), axis=2).reshape(-1, (SIZE - 1) ** 2)
        noise = np.square(np.median(np.abs(second), axis=1) / 0.6745 / 2) * SIZE**2
        rest = coarse - decoded
        keep = np.maximum(0, 1 - noise / np.maximum(np.square(rest).sum((1, 2)), 1e-12))
        out = decoded + keep[:, None, None] * rest
        return out if size == SIZE else interpolate(out)

    def _point(
        self, z: NDArray[np.float32], phi: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        around = np.diff(np.append(phi, phi[0] + 360))
        return run_embedding(self, z, weights, by_azimuth=bool(np.allclose(around, 360 / len(phi), atol=0.5)))

    @abstractmethod
    def _encode(self, maps: NDArray[np.float32]) -> NDArray[np.float32]: ...

    @abstractmethod
    def _decode(self, z: NDArray[np.float32], size: int) -> NDArray[np.float32]: ...


def _checked_size(size: int) -> int:
    if size not in (MAP_SIZE, SIZE):
        raise ValueError(f"size must be {MAP_SIZE} or {SIZE}, got {size}")
    return size


def run_embedding(
    encoder: Encoder, z: ArrayLike, weights: NDArray[np.float64] | None = None, *, by_azimuth: bool = True
) -> NDArray[np.float32]:
    """Compute the point (16,) of one run from its decoded maps: decay, unsteadiness and anisotropy.

    The point does not depend on contrast, direction of flow or time of events.

    Parameters
    ----------
    encoder : Encoder
        The encoder that made `z`.
    z : array_like, shape (n_roi, d)
        Latent vectors of the azimuthal bins of a ring.
    weights : ndarray, shape (n_roi,), optional
        Weights of the bins in their mean, such as their pixels; equal by default.
    by_azimuth : bool
        Whether the bins are equal and in order around the full circle; otherwise the anisotropy is zero.
    """
    return embedding_of(encoder.decode(z, size=SIZE), weights, by_azimuth=by_azimuth)
