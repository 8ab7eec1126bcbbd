"""Simulated exposures at 64 px, to which the encoder is fitted and from which the bank is made.

Only families in `ainerd_xpcs.dynamics.KNOWN` are drawn, so that the others remain novel.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.dynamics._families import KNOWN, draw
from ainerd_xpcs.dynamics._kernels import Dynamics, reduced_g1_squared

SIZE = 64  # cells of a map along each time
# centers of nine azimuthal bins of 20 degrees; by Friedel's symmetry the other nine show the same
DIRECTIONS = np.arange(10.0, 180.0, 20.0)


def known_maps(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw |g1|², (n, 64, 64), of n exposures of known families, each at a random azimuth.

    Examples
    --------
    >>> maps = known_maps(3, np.random.default_rng(0))
    >>> np.array_equal(maps, maps.swapaxes(1, 2)), maps.max() <= 1
    (True, np.True_)
    """
    exposures = [draw(str(family), rng) for family in rng.choice(KNOWN, n)]
    return np.concatenate([clean_exposure(known, [rng.uniform(0, 180)]) for known in exposures])


def clean_exposure(dynamics: Dynamics, phi_deg: ArrayLike = DIRECTIONS) -> NDArray[np.float32]:
    """Return |g1|² of an exposure of 1 s, averaged over bins of 20 degrees around azimuths: (n_phi, 64, 64), float32.

    The fringes of a flow vary across a bin, so this differs from |g1|² at its center. The shape is (1, 64, 64) for
    isotropic dynamics.

    Examples
    --------
    >>> c2 = clean_exposure(Dynamics(family="stationary", tau_s=0.1))[0]
    >>> [f"{np.diagonal(c2, lag).mean():.2f}" for lag in (0, 3, 32)]  # exp(-2 lag / 6.4) of maps of 64 rows
    ['0.91', '0.39', '0.00']
    """
    if dynamics.is_isotropic:
        return reduced_g1_squared(dynamics, 1.0, SIZE).astype(np.float32)
    at, weights = np.polynomial.legendre.leggauss(8 if dynamics.is_heterodyne else 1)
    maps = (reduced_g1_squared(dynamics, 1.0, SIZE, phi + 10 * at) for phi in np.asarray(phi_deg))
    return np.stack([np.tensordot(weights / 2, in_bin, 1) for in_bin in maps]).astype(np.float32)


def noisy(
    clean: NDArray[np.float32],
    *,
    n_pixels: ArrayLike,
    n_frames: ArrayLike,
    counts: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1,
    shared: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Draw C2 maps of an area-reduced run with finite statistics, without the Poisson term of the diagonal.

    With Gaussian pixels, the reduced intensities of N pixels have covariance Sigma = beta |g1|² + diag(v)
    with the shot noise of a reduced frame, v = (s / n_frames) / counts. So C = 1 + W / N - diag(v), where W
    is drawn from Wishart(Sigma, N) by Bartlett's decomposition. Speckle of few modes is not Gaussian: its
    noise is about a tenth larger within a few cells of the diagonal, and the same beyond.

    Parameters
    ----------
    clean : ndarray, shape (n, s, s)
        beta |g1|².
    n_pixels, n_frames, counts : array_like, scalar or shape (n,)
        N, more than s; frames in the exposure; photons per pixel and frame.
    rng : numpy.random.Generator
    draws : int
        Number of independent draws of each map.
    shared : ndarray, shape (s, s), optional
        Covariance of the shot noise of the reduced frames, in units of v; the unit matrix by default. Reduced frames
        that share a frame share its shot noise.

    Returns
    -------
    ndarray, shape (n, draws, s, s), float32

    Examples
    --------
    >>> clean = 0.2 * clean_exposure(Dynamics(family="stationary", tau_s=0.1))
    >>> few, many = (
    ...     noisy(clean, n_pixels=n, n_frames=1000, counts=0.5, rng=np.random.default_rng(0))[0] for n in (1000, 100000)
    ... )
    >>> round(np.std(few - clean) / np.std(many - clean))  # a hundred times the pixels
    10
    """
    n, size = clean.shape[:2]
    cells = np.arange(size)
    pixels = np.broadcast_to(np.asarray(n_pixels, dtype=np.float64), n)
    if not (pixels > size).all():
        raise ValueError(
            f"n_pixels must exceed {size}, got {pixels.min():g}: a smaller bin has no full-rank statistics"
        )
    photons = np.broadcast_to(np.asarray(n_frames, dtype=np.float64) * np.asarray(counts), n)
    if not (photons > 0).all():
        raise ValueError(f"n_frames and counts must be positive, got {n_frames!r} and {counts!r}")
    one = np.eye(size, dtype=np.float32)
    of_one = one if shared is None else shared.astype(np.float32)
    # float16 values in the bank may not be positive definite
    shot = (size / photons).astype(np.float32)[:, None, None] * of_one + np.float32(1e-4) * one
    below = np.tril(np.ones((size, size), dtype=bool), -1)
    normal = rng.standard_normal((n, draws, size * (size - 1) // 2), dtype=np.float32)
    root_chi = np.sqrt(rng.chisquare(pixels[:, None, None] - cells, (n, draws, size)))
    bartlett = np.zeros((draws, size, size), dtype=np.float32)
    maps = np.empty((n, draws, size, size), dtype=np.float32)
    # one exposure at a time: its matrices stay in the processor's cache
    for i, lower in enumerate(np.linalg.cholesky(clean.astype(np.float32) + shot)):
        bartlett[:, below] = normal[i]
        bartlett[:, cells, cells] = root_chi[i]
        factor = lower @ bartlett
        np.matmul(factor, factor.swapaxes(-1, -2), out=maps[i])
        maps[i] /= pixels[i]
        maps[i] += 1 - shot[i]
    return maps


def nearest_covariances(shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the positive matrices nearest to symmetric ones (n, 64, 64).

    Examples
    --------
    >>> shape = np.eye(64, dtype=np.float32)[None]
    >>> np.allclose(nearest_covariances(shape), shape, atol=1e-5)
    True
    """
    values, vectors = np.linalg.eigh(shape)
    return np.asarray((vectors * np.maximum(values, 0)[:, None]) @ vectors.swapaxes(1, 2))
