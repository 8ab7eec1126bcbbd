"""The beam is never quite steady: it drifts, the mains hum in it, and it may stay away."""

import numpy as np
from numpy.typing import NDArray

DRIFTS_S = (180.0, 47.0, 12.0)  # periods
HUM_HZ = (60.0, 120.0, 360.0)
HUM = 0.2  # part of the variance
AWAY = 5.0  # frames, in the mean, that the beam stays away for


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


def unlit(n_frames: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Frames that no beam came in, (T,): this share of them over a long time, some frames at a stretch.

    Raises
    ------
    ValueError
        If the share is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"unlit_share must lie in [0, 1), got {share}")
    leaves = share / (1 - share) / AWAY
    away, draws = np.zeros(n_frames, bool), rng.random(n_frames)
    gone = bool(rng.random() < share)
    for t, drawn in enumerate(draws):
        away[t] = gone
        gone = drawn >= 1 / AWAY if gone else drawn < leaves
    return away
