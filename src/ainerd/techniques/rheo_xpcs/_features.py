"""One run in the numbers that novelty is told from.

======= ====================================================================================================
columns
======= ====================================================================================================
0–14    what the encoder holds of the mean map over azimuth: columns 0–14 of `run_embedding`
15      log residual ratio: mean square of what the encoder does not hold, over what noise alone would leave
16–45   structure of the maps themselves, see `ainerd.latent._structure`
======= ====================================================================================================
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent._embedding import decay_and_unsteadiness
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import SIZE, block_mean, to_triangle
from ainerd.techniques.rheo_xpcs._structure import structure

# Columns of the two densities of `NoveltyScorer`.
TERMS = {"embedding": slice(0, 16), "structure": slice(16, 46)}


def run_features(
    encoder: Encoder,
    maps: ArrayLike,
    weights: NDArray[np.float64] | None = None,
    *,
    n_frames: float,
    counts: float,
    n_pixels: float,
    by_azimuth: bool = True,
) -> NDArray[np.float32]:
    """Describe one run for the novelty claim, (46,); columns as above, errors as of `Encoder.encode`.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1 of the bins of a ring.
    weights : ndarray, shape (n_roi,), optional
        Of the bins in their mean, such as their pixels; equal without it.
    n_frames, counts, n_pixels : float
        Frames; photons per pixel and frame; mean pixels per bin.
    by_azimuth : bool
        Whether the bins are equal and in order around the full circle. Others are averaged.
    """
    maps = np.asarray(maps, dtype=np.float32)
    n_roi = len(maps)
    mean = np.average(maps, axis=0, weights=weights)[None].astype(np.float32)
    held = encoder.decode(encoder.encode(mean), size=SIZE)
    return features(
        held,
        block_mean(mean),
        block_mean(maps if by_azimuth else mean)[None],
        phi=2 * np.pi * (np.arange(n_roi) + 0.5) / n_roi if by_azimuth else np.zeros(1),
        n_directions=directions(n_roi) if by_azimuth else 1,
        photons=n_frames * counts,
        n_pixels=n_pixels * n_roi,
    )[0]


def directions(n_roi: int) -> int:
    """How many different directions equal bins around the full circle look along, by Friedel's symmetry."""
    return n_roi // 2 if n_roi % 2 == 0 else n_roi


def features(
    held: NDArray[np.float32],
    mean: NDArray[np.float32],
    maps: NDArray[np.float32],
    *,
    phi: NDArray[np.float64],
    n_directions: int,
    photons: float,
    n_pixels: float,
) -> NDArray[np.float32]:
    """Features (n, 46) of n runs, of their mean maps and what the encoder holds of them, (n, 64, 64), and their maps.

    The maps, (n, k, 64, 64), are those of k azimuths `phi`, equally spaced, in radians; the run has `n_directions`, of
    which they may be fewer. Photons are per pixel of the exposure, pixels those of all bins.
    """
    steady, _ = decay_and_unsteadiness(to_triangle(held) - 1)
    residual = np.square(mean - held).sum((1, 2))
    # Noise of a Wishart map: variance (d_i d_j + S_ij²) / N with S = C - 1 and d = diag(S) + shot noise of a
    # reduced frame.
    signal = held - 1
    total = np.maximum(np.trace(signal, axis1=1, axis2=2), 0) + SIZE * (SIZE / photons)
    expected = (total**2 + np.square(signal).sum((1, 2))) / n_pixels
    return np.column_stack([steady, np.log(residual / expected), structure(mean, maps, phi, n_directions)])
