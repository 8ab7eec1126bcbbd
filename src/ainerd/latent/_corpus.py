"""Simulated exposures at 64 px: what the encoder is fitted to and the bank is made of.

Only families in `ainerd.dynamics.KNOWN` are drawn, so that what is called novel really is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import KNOWN, Dynamics, draw, reduced_g1_squared
from ainerd.latent._grid import SIZE

# Every family is drawn relative to the exposure, so its length does not matter.
_DURATION_S = 1.0


def clean_exposure(dynamics: Dynamics, n_roi: int = 18) -> NDArray[np.float32]:
    """|g1|² of an exposure of 1 s, at the centres of equal azimuthal bins.

    Shape (1, 64, 64) if it is the same at all of them, else (n_roi, 64, 64).
    """
    phi_deg = (np.arange(n_roi) + 0.5) * 360 / n_roi if dynamics.is_heterodyne else (0.0,)
    return reduced_g1_squared(dynamics, _DURATION_S, SIZE, phi_deg).astype(np.float32)


def known_exposures(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], list[str]]:
    """Draw exposures of known, isotropic families: |g1|² (n, 64, 64), and the families."""
    families = [str(family) for family in rng.choice(KNOWN, n)]
    return np.concatenate([clean_exposure(draw(family, rng, _DURATION_S), 1) for family in families]), families


@dataclass(frozen=True)
class Statistics:
    """Counting statistics of n exposures, arrays of shape (n,).

    Frames, photons per pixel and frame, pixels per bin, contrast beta.
    """

    n_frames: NDArray[np.float64]
    counts: NDArray[np.float64]
    n_pixels: NDArray[np.int64]
    contrast: NDArray[np.float64]

    RANGES = {
        "n_frames": (500, 5000),
        "photons_per_pixel": (50, 2500),
        "n_pixels": (150, 5000),
        "contrast": (0.05, 0.35),
    }

    @classmethod
    def drawn(cls, n: int, rng: np.random.Generator) -> "Statistics":
        """Draw from `RANGES`: contrast uniform, the rest log-uniform.

        Photons per pixel are those of the whole exposure.
        """

        def log_uniform(low: float, high: float) -> NDArray[np.float64]:
            return np.exp(rng.uniform(np.log(low), np.log(high), n))

        frames = log_uniform(*cls.RANGES["n_frames"])
        counts = log_uniform(*cls.RANGES["photons_per_pixel"]) / frames
        pixels = log_uniform(*cls.RANGES["n_pixels"]).astype(np.int64)
        return cls(frames, counts, pixels, rng.uniform(*cls.RANGES["contrast"], n))


def noisy(
    clean: NDArray[np.float32],
    *,
    n_pixels: ArrayLike,
    n_frames: ArrayLike,
    counts: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1,
) -> NDArray[np.float32]:
    """C2 maps as an area-reduced run of finite statistics would give them, Poisson diagonal taken off.

    With Gaussian pixels, the reduced intensities of N pixels have covariance Sigma = beta |g1|² + diag(v)
    with the shot noise of a reduced frame, v = (64 / n_frames) / counts. So C = 1 + W / N - diag(v), where W
    is drawn from Wishart(Sigma, N) by Bartlett's decomposition. Speckle of few modes is not Gaussian: its
    noise is about a tenth larger than this within a few cells of the diagonal, and the same beyond.

    Parameters
    ----------
    clean : ndarray, shape (n, 64, 64)
        beta |g1|².
    n_pixels, n_frames, counts : array_like, scalar or shape (n,)
        N, more than 64; frames in the exposure; photons per pixel and frame.
    rng : numpy.random.Generator
    draws : int
        Independent draws of each map.

    Returns
    -------
    ndarray, shape (n, draws, 64, 64), float32
    """
    n, cells = len(clean), np.arange(SIZE)
    pixels = np.broadcast_to(np.asarray(n_pixels, dtype=np.float64), n)
    if not (pixels > SIZE).all():
        raise ValueError(
            f"n_pixels must exceed {SIZE}, got {pixels.min():g}: a smaller bin has no full-rank statistics"
        )
    photons = np.broadcast_to(np.asarray(n_frames, dtype=np.float64) * np.asarray(counts), n)
    shot = (SIZE / photons).astype(np.float32)[:, None]
    sigma = clean.astype(np.float32)
    sigma[:, cells, cells] += shot + 1e-4  # what float16 in the bank can lack of being positive definite
    bartlett = np.zeros((n, draws, SIZE, SIZE), dtype=np.float32)
    rows, cols = np.tril_indices(SIZE, -1)
    bartlett[..., rows, cols] = rng.standard_normal((n, draws, rows.size), dtype=np.float32)
    bartlett[..., cells, cells] = np.sqrt(rng.chisquare(pixels[:, None, None] - cells, (n, draws, SIZE)))
    factor = np.linalg.cholesky(sigma)[:, None] @ bartlett
    maps = np.matmul(factor, factor.swapaxes(-1, -2))
    maps /= pixels[:, None, None, None]
    maps += 1
    maps[..., cells, cells] -= shot[:, None] + 1e-4
    return maps
