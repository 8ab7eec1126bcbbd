"""One run in the numbers that novelty is told from.

======= ====================================================================================================
columns
======= ====================================================================================================
0–14    what the encoder holds of the mean map over azimuth: columns 0–14 of `run_embedding`
15      log residual ratio: mean square of what the encoder does not hold, over what noise alone would leave
16–45   structure of the maps themselves, see `ainerd.techniques.rheo_xpcs._structure`
======= ====================================================================================================
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent import SIZE, Encoder, block_mean, decay_and_unsteadiness, to_triangle
from ainerd.techniques.rheo_xpcs._sectors import Sectors
from ainerd.techniques.rheo_xpcs._structure import structure

# Columns of the two densities of `NoveltyScorer`.
TERMS = {"embedding": slice(0, 16), "structure": slice(16, 46)}


def run_features(
    encoder: Encoder,
    maps: ArrayLike,
    *,
    n_frames: float,
    counts: float,
    n_pixels: ArrayLike,
    phi_deg: ArrayLike | None = None,
    by_azimuth: bool = True,
) -> NDArray[np.float32]:
    """Describe one run for the novelty claim, (46,); columns as above, errors as of `Encoder.encode`.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1 of the bins of a ring.
    n_frames, counts : float
        Frames; photons per pixel and frame.
    n_pixels : float or array_like, shape (n_roi,)
        Pixels per bin.
    phi_deg : array_like, shape (n_roi,), optional
        Centres of the bins; equal and in order around the full circle without them.
    by_azimuth : bool
        Whether the bins are told apart. Without it a run is their mean alone.
    """
    maps = np.asarray(maps, dtype=np.float32)
    pixels = np.broadcast_to(np.asarray(n_pixels, dtype=float), len(maps))
    sectors = sectors_of(pixels, phi_deg, by_azimuth)
    whole = np.average(maps, axis=0, weights=pixels)[None].astype(np.float32)
    held = encoder.linear.decode(encoder.linear.encode(whole), size=SIZE)
    of_sectors = block_mean(sectors.average(maps))
    return features(held, block_mean(whole), of_sectors[None], sectors, photons=n_frames * counts)[0]


def sectors_of(n_pixels: ArrayLike, phi_deg: ArrayLike | None, by_azimuth: bool) -> Sectors:
    """The sectors of bins; of those around the full circle if it is not said where they are."""
    n = np.size(n_pixels)
    if phi_deg is None:
        phi_deg = 360 / n * (np.arange(n) + 0.5)
    return Sectors.of(n_pixels, phi_deg if by_azimuth else None)


def features(
    held: NDArray[np.float32],
    mean: NDArray[np.float32],
    maps: NDArray[np.float32],
    sectors: Sectors,
    *,
    photons: float,
) -> NDArray[np.float32]:
    """Features (n, 46) of n runs, of their mean maps and what the encoder holds of them, (n, 64, 64), and their maps.

    The maps, (n, k, 64, 64), are those of the k `sectors`. Photons are per pixel of the exposure.
    """
    steady, _ = decay_and_unsteadiness(to_triangle(held) - 1)
    residual = np.square(mean - held).sum((1, 2))
    # Noise of a Wishart map: variance (d_i d_j + S_ij²) / N with S = C - 1 and d = diag(S) + shot noise of a
    # reduced frame.
    signal = held - 1
    total = np.maximum(np.trace(signal, axis1=1, axis2=2), 0) + SIZE * (SIZE / photons)
    expected = (total**2 + np.square(signal).sum((1, 2))) / sectors.n_pixels.sum()
    told = structure(mean, maps, np.deg2rad(sectors.phi_deg), sectors.share)
    return np.column_stack([steady, np.log(residual / expected), told])
