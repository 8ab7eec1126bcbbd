"""The features of a run from which its novelty is computed.

======= ====================================================================================================
columns
======= ====================================================================================================
0–14    columns 0–14 of `run_embedding`, of the decoded mean map over azimuth
15      log residual ratio: mean square of the residual of the decoded map, over that of noise alone
16–45   structure of the maps themselves, without an encoder, in columns of its own:
0–7     decay: mean over ages, bins 1–8
8–14    unsteadiness: twice the standard deviation over ages, bins 1–7
15–21   trend: three times the mean over ages of the deviation times the age, from -1 to 1, bins 1–7
22–27   skewness: cube root of the third moment over ages, bins 1–6
28, 29  anisotropy: logs of the size of the second and of the fourth harmonic
======= ====================================================================================================

For the structure, maps are averaged over azimuth, which leaves the least noise, and their second and fourth harmonics
over azimuth are rotated to the direction in which the second is largest. All columns are divided by the plateau. Bins
of lag are those of the embedding: cells 0, 1, 2, 3–4, 5–7, 8–12, 13–20, 21–33 and 34–63 of 64.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent import COLS, LAG_BIN, LAG_MEAN, ROWS, SIZE, Encoder, block_mean, decay_and_unsteadiness, to_triangle
from ainerd.techniques.rheo_xpcs._rings import Sectors

_AGE = ((2 * ROWS + 1) / (SIZE - (COLS - ROWS)) - 1).astype(np.float32)  # of each cell among those of its lag, -1 to 1
_FLOOR = 0.03
# Sectors of the half circle that are needed to determine a harmonic.
_NEEDED = {2: 3, 4: 5}


def structure(
    average: NDArray[np.float32], maps: NDArray[np.float32], phi: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Compute the structure (n, 30) of runs from C2 maps (n, k, 64, 64) of sectors at azimuths `phi` (k,), in radians.

    `average`, (n, 64, 64), are their means, in which each sector has its `share`, (k,).
    """
    triangles, mean = to_triangle(maps) - 1, to_triangle(average) - 1
    steady, plateau = decay_and_unsteadiness(mean)
    deviation = mean - (mean @ LAG_MEAN.T)[:, LAG_BIN]
    trend = 3 * (deviation * _AGE) @ LAG_MEAN[1:-1].T
    skewness = np.cbrt(deviation**3 @ LAG_MEAN[1:-2].T)
    sizes = [np.log(_FLOOR + size / plateau[:, 0]) for size in _harmonics(triangles, mean, phi, share)]
    return np.column_stack([steady, trend / plateau, skewness / plateau, *sizes]).astype(np.float32)


def _harmonics(
    triangles: NDArray[np.float32], mean: NDArray[np.float32], phi: NDArray[np.float64], share: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """Return the rms over lags of the second and fourth harmonic, (n,) each; zero if they cannot be determined."""
    n, k, _ = triangles.shape
    rotated = np.zeros((2, n, LAG_MEAN.shape[0]), dtype=np.float32)
    if k < min(_NEEDED.values()):
        return list(rotated[:, :, 0])
    by_lag = (triangles @ LAG_MEAN.T - (mean @ LAG_MEAN.T)[:, None]).astype(np.complex64)
    direction = np.ones(n)
    for i, (order, needed) in enumerate(_NEEDED.items()):
        if k < needed:
            continue
        wave = np.tensordot((2 * share * np.exp(1j * order * phi)).astype(np.complex64), by_lag, (0, 1))
        if order == 2:
            direction = np.exp(-0.5j * np.angle(np.square(wave).sum(1)))
        rotated[i] = (wave * (direction ** (order // 2))[:, None]).real
    return list(np.sqrt(np.square(rotated).mean(2)))


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
    """Compute the features (46,) of one run; columns as above, errors as for `Encoder.encode`.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1 of the bins of a ring.
    n_frames, counts : float
        Number of frames; photons per pixel and frame.
    n_pixels : float or array_like, shape (n_roi,)
        Pixels per bin.
    phi_deg : array_like, shape (n_roi,), optional
        Centres of the bins; by default equal and in order around the full circle.
    by_azimuth : bool
        Whether bins are distinguished; otherwise only their mean is used.
    """
    maps = np.asarray(maps, dtype=np.float32)
    pixels = np.broadcast_to(np.asarray(n_pixels, dtype=float), len(maps))
    sectors = sectors_of(pixels, phi_deg, by_azimuth)
    whole = np.average(maps, axis=0, weights=pixels)[None].astype(np.float32)
    decoded = encoder.linear.decode(encoder.linear.encode(whole), size=SIZE)
    of_sectors = block_mean(sectors.average(maps))
    return features(decoded, block_mean(whole), of_sectors[None], sectors, photons=n_frames * counts)[0]


def sectors_of(n_pixels: ArrayLike, phi_deg: ArrayLike | None, by_azimuth: bool) -> Sectors:
    """Return the sectors of bins; by default the bins are equal and in order around the full circle."""
    n = np.size(n_pixels)
    if phi_deg is None:
        phi_deg = 360 / n * (np.arange(n) + 0.5)
    return Sectors.of(n_pixels, phi_deg if by_azimuth else None)


def features(
    decoded: NDArray[np.float32],
    mean: NDArray[np.float32],
    maps: NDArray[np.float32],
    sectors: Sectors,
    *,
    photons: float,
) -> NDArray[np.float32]:
    """Compute the features (n, 46) of n runs from their mean maps, as decoded and as measured, and their maps.

    Mean maps are (n, 64, 64), maps (n, k, 64, 64), of the k `sectors`. Photons are per pixel in the whole exposure.
    """
    steady, _ = decay_and_unsteadiness(to_triangle(decoded) - 1)
    residual = np.square(mean - decoded).sum((1, 2))
    # Noise of a Wishart map: variance (d_i d_j + S_ij²) / N with S = C - 1 and d = diag(S) + shot noise of a
    # reduced frame.
    signal = decoded - 1
    total = np.maximum(np.trace(signal, axis1=1, axis2=2), 0) + SIZE * (SIZE / photons)
    expected = (total**2 + np.square(signal).sum((1, 2))) / sectors.n_pixels.sum()
    shape = structure(mean, maps, np.deg2rad(sectors.phi_deg), sectors.share)
    return np.column_stack([steady, np.log(residual / expected), shape])
