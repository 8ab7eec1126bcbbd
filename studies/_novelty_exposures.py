"""Exposures of the benchmark's own, as maps and as frames: noise from no code of `ainerd`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studies._novelty_physics import Squared

SIZE = 64


@dataclass(frozen=True)
class Instrument:
    """What a run is measured with.

    Attributes
    ----------
    contrast, photons : float
        Beta; photons per pixel of the exposure.
    n_pixels : tuple of int
        Of each bin.
    phi_deg : tuple of float
        Centres of the bins.
    width_deg : float
        Of a bin.
    speckle_px : float
        Pixels that see the same speckle.
    flicker : float
        Error of each of 64 moments.
    """

    contrast: float = 0.2
    photons: float = 500.0
    n_pixels: tuple[int, ...] = (570,) * 18
    phi_deg: tuple[float, ...] = tuple(np.arange(10.0, 360.0, 20.0))
    width_deg: float = 20.0
    speckle_px: float = 1.0
    flicker: float = 0.0


def cells(squared: Squared, phi: float, fine: int = 15) -> NDArray[np.float64]:
    """|g1|² averaged over the cells of a map of 64 × 64, (64, 64)."""
    n = SIZE * fine
    return squared((np.arange(n) + 0.5) / n, phi).reshape(SIZE, fine, SIZE, fine).mean((1, 3))


def binned(squared: Squared, phi: float, width_deg: float, *, isotropic: bool) -> NDArray[np.float64]:
    """|g1|² of a bin of this width around an azimuth, (64, 64)."""
    across = [0.0] if isotropic else phi + width_deg * (np.arange(6) - 2.5) / 6
    return np.mean([cells(squared, at, 15 if isotropic else 4) for at in across], axis=0)


def maps(squared: Squared, seen: Instrument, rng: np.random.Generator, *, isotropic: bool) -> NDArray[np.float32]:
    """C2 of each bin, (n_roi, 64, 64): covariances of Gaussian pixels with the shot noise of a reduced frame.

    Speckle of several pixels has as many independent values fewer; shot noise has not.
    """
    shot = SIZE / seen.photons
    out, clean = np.empty((len(seen.n_pixels), SIZE, SIZE)), None
    for k, (n, phi) in enumerate(zip(seen.n_pixels, seen.phi_deg, strict=True)):
        if clean is None or not isotropic:
            clean = seen.contrast * binned(squared, phi, seen.width_deg, isotropic=isotropic)
            values, vectors = np.linalg.eigh(clean)
            root = vectors * np.sqrt(np.maximum(values, 0))
        n_speckles = max(round(n / seen.speckle_px), 2)
        speckle = np.repeat(root @ rng.standard_normal((SIZE, n_speckles)), -(-n // n_speckles), axis=1)[:, :n]
        pixels = speckle + np.sqrt(shot) * rng.standard_normal((SIZE, n))
        out[k] = 1 + pixels @ pixels.T / n - shot * np.eye(SIZE)
    wander = seen.flicker * rng.standard_normal(SIZE)
    return (out + wander[:, None] + wander).astype(np.float32)
