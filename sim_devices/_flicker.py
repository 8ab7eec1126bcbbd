"""The beam is never quite steady: it drifts, and the mains hum in it."""

import numpy as np
from numpy.typing import NDArray

DRIFTS_S = (180.0, 47.0, 12.0)  # periods
HUM_HZ = (60.0, 120.0, 360.0)
HUM = 0.2  # part of the variance


def flicker(
    start_s: NDArray[np.float64], exposure_s: float, rms: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Intensity of the beam in each frame, 1 in the mean.

    Parameters
    ----------
    start_s : ndarray, shape (T,)
        When the exposures of the frames begin.
    exposure_s : float
        How long they last: what is faster is averaged.
    rms : float
        Of the intensity over a long time, before it is averaged.
    rng : numpy.random.Generator
        Draws the phases.

    Returns
    -------
    ndarray, shape (T,)
    """
    frequency = np.r_[1 / np.array(DRIFTS_S), HUM_HZ]
    variance = np.r_[np.full(len(DRIFTS_S), (1 - HUM) / len(DRIFTS_S)), np.full(len(HUM_HZ), HUM / len(HUM_HZ))]
    amplitude = rms * np.sqrt(2 * variance) * np.sinc(frequency * exposure_s)
    middle = start_s + exposure_s / 2
    phase = rng.uniform(0, 2 * np.pi, frequency.size)
    return 1 + np.sin(2 * np.pi * np.multiply.outer(middle, frequency) + phase) @ amplitude
