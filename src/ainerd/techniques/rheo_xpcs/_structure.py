"""What tells kinds of dynamics apart in the maps themselves, with no encoder between.

A run's maps are averaged over azimuth, which leaves the least noise, and their second and fourth harmonics over azimuth
are turned to the direction in which the second is largest. All is divided by the plateau. The bins of lag are those of
the embedding: cells 0, 1, 2, 3–4, 5–7, 8–12, 13–20, 21–33 and 34–63 of 64.

======= ===================================================================================================
columns
======= ===================================================================================================
0–7     decay: mean over ages, bins 1–8
8–14    unsteadiness: twice the standard deviation over ages, bins 1–7
15–21   trend: three times the mean over ages of the deviation times the age, from -1 to 1, bins 1–7
22–27   skewness: cube root of the third moment over ages, bins 1–6
28, 29  anisotropy: logs of the size of the second and of the fourth harmonic
======= ===================================================================================================
"""

import numpy as np
from numpy.typing import NDArray

from ainerd.latent import COLS, LAG_BIN, LAG_MEAN, ROWS, SIZE, decay_and_unsteadiness, to_triangle

_AGE = ((2 * ROWS + 1) / (SIZE - (COLS - ROWS)) - 1).astype(np.float32)  # of a cell among those of its lag, -1 to 1
_FLOOR = 0.03
# Sectors of the half circle that a harmonic needs to be told from the others.
_NEEDED = {2: 3, 4: 5}


def structure(
    average: NDArray[np.float32], maps: NDArray[np.float32], phi: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Structure (n, 30) of runs, of C2 maps (n, k, 64, 64) of baseline 1 of sectors at azimuths `phi`, in radians.

    `average`, (n, 64, 64), are their means, in which each sector has its `share`; (k,) as `phi`.
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
    """Rms over the bins of lag of the second and the fourth harmonic, (n,) each; zero where they cannot be told."""
    n, k, _ = triangles.shape
    turned = np.zeros((2, n, LAG_MEAN.shape[0]), dtype=np.float32)
    if k < min(_NEEDED.values()):
        return list(turned[:, :, 0])
    by_lag = (triangles @ LAG_MEAN.T - (mean @ LAG_MEAN.T)[:, None]).astype(np.complex64)
    direction = np.ones(n)
    for i, (order, needed) in enumerate(_NEEDED.items()):
        if k < needed:
            continue
        wave = np.tensordot((2 * share * np.exp(1j * order * phi)).astype(np.complex64), by_lag, (0, 1))
        if order == 2:
            direction = np.exp(-0.5j * np.angle(np.square(wave).sum(1)))
        turned[i] = (wave * (direction ** (order // 2))[:, None]).real
    return list(np.sqrt(np.square(turned).mean(2)))
