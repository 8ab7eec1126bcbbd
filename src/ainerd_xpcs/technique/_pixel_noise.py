"""The noise of profiles over the lag, measured by the scatter of the pixels.

A map of Gaussian intensities has Wishart noise. That of speckle is larger: intensities of few modes are not Gaussian,
and dim pixels of a bin have more shot noise than the mean one. How much larger depends on the dynamics, the modes of
the beam and the brightness, so it is measured.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from ainerd_xpcs.latent import SIZE

Floats = NDArray[np.float64]

MOST = 600  # pixels of a bin
_PAIRS = (SIZE - np.arange(SIZE, dtype=np.float32))[:, None]  # of cells at each lag


def pixel_noise(counts: NDArray[np.floating], sub: NDArray[np.int64]) -> Floats:
    """Return the covariance (64, 64) of the shares of single pixels in the profile of a bin.

    With d the counts (64, p) of pixels over the mean of their static sub-bin, `sub` (p,), and of their cell, less one,
    e the mean of d over the cells, m the brightness of the sub-bin over that of the bin, and c the mean of C2 at the
    lag, the share of a pixel in C2 of two cells i and j is d_i d_j + (1 - m c) (d_i + d_j) - 2 c (1 - m) e: a map is
    divided by the means of sub-bins, and by the photons of its frames, in which bright pixels count for more
    (linearized variance of a ratio).
    """
    index = np.unique(sub, return_inverse=True)[1]
    of_sub = (np.bincount(index, counts.mean(0)) / np.bincount(index))[index].astype(counts.dtype)
    lit = of_sub > 0
    if lit.sum() < 2:
        return np.zeros((SIZE, SIZE))
    relative = counts[:, lit] / of_sub[lit]
    mean = relative.mean(1, keepdims=True)
    away = np.divide(relative, mean, out=np.ones_like(relative), where=mean > 0) - 1
    bright = of_sub[lit] / of_sub[lit].mean()
    spectrum = rfft(away.T, 2 * SIZE)
    pairs = irfft(spectrum.real**2 + spectrum.imag**2)[:, :SIZE].T / _PAIRS
    up_to = np.cumsum(away, axis=0)
    both = (up_to[-1] - up_to + away + up_to[::-1]) / _PAIRS  # mean of d_i + d_j over the pairs of a lag
    c = 1 + pairs.mean(1, keepdims=True)
    shares = pairs + (1 - bright * c) * both - 2 * c * (1 - bright) * away.mean(0)
    return np.asarray(np.cov(shares), dtype=np.float64)
