"""The interface of every encoder of C2 maps, the function that loads one, and the linear encoder.

Two exposures that yield at different moments belong to one regime, so the point of a run must not depend on when in
the exposure something happens. Encoders without learned points compute it from the decoded maps, which removes noise,
and divide it by their plateau, the mean at lag zero, which removes the contrast of the beam:

====== ====================================================================================================
column meaning
====== ====================================================================================================
0–7    decay: mean of C - 1 over ages, in eight bins of log lag
8–14   unsteadiness: twice the standard deviation over ages, in the first seven of these bins
15     anisotropy: log(1 + a / 0.03), a the rms amplitude of the second harmonic over azimuth. By Friedel's
       symmetry the first harmonic is noise, so its power is subtracted: isotropic runs are near zero
====== ====================================================================================================
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.latent._grid import (
    MAP_SIZE,
    SIZE,
    WEIGHT,
    block_mean,
    decay_and_unsteadiness,
    from_triangle,
    interpolate,
    to_triangle,
    weighted,
)
from ainerd_xpcs.latent._weights import SHIPPED, ModelError, digest, kind_of, read_weights

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

MODELS = ("run", "pca", "ours")  # shipped with the package
_ANISOTROPY = 0.03


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
        Median distance between the points of two exposures of one regime, whose parameters differ by up to 25 % and
        whose events come at any time.

    Examples
    --------
    >>> encoder, age = Encoder.load("pca"), np.arange(256) / 64
    >>> slow, fast = (1 + 0.2 * np.exp(-rate * np.abs(np.subtract.outer(age, age))) for rate in (0.5, 5))
    >>> z = encoder.encode(np.stack([slow, 1.001 * slow, fast]).astype(np.float32))
    >>> np.linalg.norm(z[1] - z[0]) < 0.1 * np.linalg.norm(z[2] - z[0])  # similar maps are close
    np.True_
    """

    name: str
    sha256: str
    n_latent: int
    sizes: tuple[int, ...] = (MAP_SIZE,)
    n_point: int = 16
    scatter: float = 0.25

    @staticmethod
    def load(model: str | Path = "run") -> "Encoder":
        """Load an encoder.

        Parameters
        ----------
        model : str or Path
            "run" (the default), "pca" or "ours", all shipped, or a file: ``.safetensors`` written by ``ainerd train``,
            or ``.pth`` with the state dict of the network published with AI-NERD (Horwath et al., Nat. Commun.
            15, 5945, 2024).

        Raises
        ------
        ModelError
            If the file is missing, damaged or not a model, or if its tensors do not fit this version of ainerd.
        """
        path = SHIPPED / f"{model}.safetensors" if model in MODELS else Path(model)
        if path.suffix == ".safetensors":
            from ainerd_xpcs.latent._learned import LearnedEncoder
            from ainerd_xpcs.latent._run import RunEncoder

            if model == "ours":
                return LearnedEncoder.shipped()
            readers = {"pca": PcaEncoder.read, "learned": LearnedEncoder.read, "run": RunEncoder.read}
            if (kind := kind_of(path)) not in readers:
                raise ModelError(f"{path}: of kind {kind!r}, which is no encoder; give a file of 'ainerd train'")
            try:
                with np.errstate(all="ignore"):
                    encoder = readers[kind](path)
                    encoder.encode_run(np.ones((1, SIZE, SIZE)))
            except ModelError:
                raise
            except (ValueError, TypeError, IndexError):
                raise ModelError(f"{path}: its tensors do not fit each other, or this version of ainerd") from None
            return encoder
        if path.suffix == ".pth":
            try:
                from ainerd_xpcs.latent._published import PublishedEncoder
            except ModuleNotFoundError as error:
                raise ModelError(f"{model}: needs torch: pip install 'ainerd[train]' ({error})") from None
            return PublishedEncoder.read(path)
        raise ModelError(
            f"{model}: no such model; give 'run', 'pca', 'ours', a .safetensors of ainerd or the published .pth"
        )

    @property
    def linear(self) -> "Encoder":
        """The encoder that decodes: itself, or its principal components."""
        return self

    def encode(self, maps: ArrayLike) -> Singles:
        """Encode C2 maps (n, 256, 256) of baseline 1 to latent vectors (n, n_latent), float32.

        Raises
        ------
        ValueError
            If the shape is wrong or a value is not finite.
        """
        return self._encode(self._checked(maps))

    def encode_run(self, maps: ArrayLike, phi: ArrayLike | None = None, *, weights: ArrayLike | None = None) -> Singles:
        """Compute the point (n_point,) of an exposure from its C2 maps (n, 256, 256); options as for `point`."""
        return self.point(self.encode(maps), phi, weights=weights)

    def point(self, z: ArrayLike, phi: ArrayLike | None = None, *, weights: ArrayLike | None = None) -> Singles:
        """Compute the point (n_point,) of an exposure from the latent vectors (n, n_latent) of the bins of a ring.

        The point does not depend on the contrast of the beam, the direction of azimuth zero, or when in the exposure
        something happens.

        Parameters
        ----------
        z : array_like, shape (n, n_latent)
            Latent vectors from `encode`; any number of them.
        phi : array_like, shape (n,), optional
            Centers of the bins, in degrees; NaN if unknown. By default the bins are equal and in order around the full
            circle.
        weights : array_like, shape (n,), optional
            Weights of the bins in their mean, such as their pixels; equal by default.

        Raises
        ------
        ValueError
            If there are no bins, the shapes do not fit, a latent vector is not finite, or weights are negative, not
            finite or all 0.
        """
        z = self._checked_latent(z)
        if not len(z):
            raise ValueError("a point needs the latent vector of at least one bin")
        for name, values in {"phi": phi, "weights": weights}.items():
            if values is not None and np.shape(values) != (len(z),):
                raise ValueError(f"{name} must have a number for each of {len(z)} bins, got {np.shape(values)}")
        even = 360 / len(z) * (np.arange(len(z)) + 0.5)
        azimuths = np.asarray(even if phi is None else phi, dtype=np.float64)
        if weights is None:
            return self._point(z, azimuths, None)
        weights = np.asarray(weights, dtype=float)
        if not (weights.min() >= 0 and 0 < weights.sum() < np.inf):
            raise ValueError(f"weights must be finite, not negative, and not all 0, got {weights}")
        return self._point(z, azimuths, weights)

    def decode(self, z: ArrayLike, *, size: int = MAP_SIZE) -> Singles:
        """Decode latent vectors (n, n_latent) to C2 maps (n, size, size) of baseline 1; `size` is 256 or 64."""
        return self._decode(self._checked_latent(z), _checked_size(size))

    def denoise(self, maps: ArrayLike, *, size: int = MAP_SIZE) -> Singles:
        """Remove the noise of C2 maps (n, 256, 256); returns (n, size, size). Errors as for `encode`.

        The result is the decoded map plus the part of the residual that exceeds the noise (James and Stein's
        estimator). A map of unknown dynamics is returned nearly unchanged, and no map is made worse.
        """
        return self._denoise(self._checked(maps), _checked_size(size))

    def _checked_latent(self, z: ArrayLike) -> Singles:
        z = np.asarray(z, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.n_latent:
            raise ValueError(f"latent vectors must be (n, {self.n_latent}) for {self.name}, got {z.shape}")
        if not np.isfinite(z).all():
            raise ValueError("latent vectors hold values that are not finite; leave empty bins out")
        return z

    def _checked(self, maps: ArrayLike) -> Singles:
        maps = np.asarray(maps, dtype=np.float32)
        if maps.ndim != 3 or maps.shape[1] != maps.shape[2] or maps.shape[1] not in self.sizes:
            wanted = " or ".join(f"(n, {s}, {s})" for s in self.sizes)
            raise ValueError(f"maps must be {wanted} for {self.name}, got {maps.shape}")
        bad = np.flatnonzero(~np.isfinite(maps).all((1, 2)))
        if bad.size:
            raise ValueError(f"map {bad[0]} of {len(maps)} holds values that are not finite; leave empty bins out")
        return maps

    def _denoise(self, maps: Singles, size: int) -> Singles:
        coarse = block_mean(maps)
        decoded = self._decode(self._encode(maps), SIZE)
        # The second difference of a map is nearly all noise, of four cells.
        second = np.diff(np.diff(coarse, axis=1), axis=2).reshape(-1, (SIZE - 1) ** 2)
        noise = np.square(np.median(np.abs(second), axis=1) / 0.6745 / 2) * SIZE**2
        rest = coarse - decoded
        keep = np.maximum(0, 1 - noise / np.maximum(np.square(rest).sum((1, 2)), 1e-12))
        out = decoded + keep[:, None, None] * rest
        return out if size == SIZE else interpolate(out)

    def _point(self, z: Singles, phi: Floats, weights: Floats | None) -> Singles:
        around = np.diff(np.append(phi, phi[0] + 360))
        return run_embedding(self, z, weights, by_azimuth=bool(np.allclose(around, 360 / len(phi), atol=0.5)))

    @abstractmethod
    def _encode(self, maps: Singles) -> Singles: ...

    @abstractmethod
    def _decode(self, z: Singles, size: int) -> Singles: ...


def _checked_size(size: int) -> int:
    if size not in (MAP_SIZE, SIZE):
        raise ValueError(f"size must be {MAP_SIZE} or {SIZE}, got {size}")
    return size


def run_embedding(encoder: Encoder, z: ArrayLike, weights: Floats | None = None, *, by_azimuth: bool = True) -> Singles:
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

    Examples
    --------
    >>> encoder, age = Encoder.load("pca"), np.arange(256) / 64
    >>> c2 = 1 + 0.2 * np.exp(-2 * np.abs(np.subtract.outer(age, age))).astype(np.float32)
    >>> z = encoder.encode(np.repeat(c2[None], 18, axis=0))  # 18 azimuths
    >>> run_embedding(encoder, z).shape
    (16,)
    """
    maps = encoder.decode(z, size=SIZE)
    columns, plateau = decay_and_unsteadiness(to_triangle(np.average(maps, axis=0, weights=weights)[None]) - 1)
    harmonic = _second_harmonic(maps) if by_azimuth else np.float32(0)
    return np.asarray(np.hstack([columns, np.log1p(harmonic / plateau / _ANISOTROPY)])[0], dtype=np.float32)


def _second_harmonic(maps: Singles) -> np.float32:
    """Return the rms over cells of the second harmonic over azimuth of maps (n_roi, 64, 64), less that of the first."""
    if len(maps) < 3:
        return np.float32(0)
    turn = 2 * np.pi * np.arange(len(maps)) / len(maps)
    waves = np.stack([f(h * turn) for h in (1, 2) for f in (np.cos, np.sin)]).astype(np.float32) / len(maps)
    power = np.square(waves @ maps.reshape(len(maps), -1)).mean(1)
    return np.float32(np.sqrt(np.maximum(power[2:].sum() - power[:2].sum(), 0)))


class PcaEncoder(Encoder):
    """Centered PCA of C - 1 at 64 px: distances in latent space are distances between maps.

    `mean` is the mean weighted triangle (2080,), `components` are orthonormal rows (d, 2080).

    Examples
    --------
    >>> encoder = Encoder.load("pca")
    >>> age = np.arange(256) / 64
    >>> c2 = 1 + 0.2 * np.exp(-2 * np.abs(np.subtract.outer(age, age))).astype(np.float32)
    >>> z = encoder.encode(c2[None])
    >>> z.shape, np.abs(encoder.decode(z, size=256) - c2).max() < 0.05
    ((1, 16), np.True_)
    """

    name = "pca"
    sizes = (MAP_SIZE, SIZE)

    def __init__(self, mean: Singles, components: Singles, *, sha256: str = "") -> None:
        self.mean, self.components, self.sha256 = mean, components, sha256
        self.n_latent = len(components)

    @classmethod
    def read(cls, path: Path) -> "PcaEncoder":
        """Read the file; raise `ModelError`."""
        tensors, _ = read_weights(path, "pca", {"components": 2, "mean": 1})
        return cls(tensors["mean"], tensors["components"], sha256=digest(path))

    def _encode(self, maps: Singles) -> Singles:
        return np.asarray(np.matmul(weighted(block_mean(maps) - 1) - self.mean, self.components.T))

    def _decode(self, z: Singles, size: int) -> Singles:
        maps = 1 + from_triangle((z @ self.components + self.mean) / WEIGHT)
        return maps if size == SIZE else interpolate(maps)
