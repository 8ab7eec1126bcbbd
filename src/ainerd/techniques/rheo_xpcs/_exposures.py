"""What a bank is made of: simulated exposures, and measured ones with their noise taken off."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import DIRECTIONS, KNOWN, clean_exposure, draw, nearest_covariances
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import SIZE

# Runs of one kind below which it cannot be calibrated: what `NoveltyScorer` asks for.
FEWEST_OF_A_KIND = 24
Clean = list[NDArray[np.float32]]


def simulated_exposures(
    n: int = 5400, *, seed: int = 0, advance: Callable[[int], None] = lambda n: None
) -> tuple[Clean, list[str]]:
    """Draw exposures for `write_bank`, as many of each family in `ainerd.dynamics.KNOWN`.

    Maps (d, 64, 64) and family of each; ValueError if n is not positive. `advance` is told that it was one more.
    """
    if n < 1:
        raise ValueError(f"a bank needs at least one exposure, got {n}")
    rng = np.random.default_rng([seed, 1])
    families, clean = [KNOWN[i % len(KNOWN)] for i in range(n)], []
    for family in families:
        clean.append(clean_exposure(draw(family, rng, 1.0)))
        advance(1)
    return clean, families


def measured_exposure(encoder: Encoder, maps: ArrayLike, *, contrast: float) -> NDArray[np.float32]:
    """What is taken for |g1|² of a measured run, for `write_bank`: (9, 64, 64), float32.

    The maps of each direction are averaged and denoised, and brought to the nearest ones that are covariances. What
    the encoder leaves of the noise stays in the bank, which makes it a little too tolerant.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1, bins equal and in order around the full circle.
    contrast : float
        Beta.

    Raises
    ------
    ValueError
        If the contrast is not positive, or as `Encoder.encode`.
    """
    if not contrast > 0:
        raise ValueError(f"contrast must be positive, got {contrast}")
    maps = np.asarray(maps, dtype=np.float32)
    turn = (np.arange(len(maps)) + 0.5) * 360 / len(maps)
    away = np.abs((turn - DIRECTIONS[:, None] + 90) % 180 - 90)
    nearest = np.isclose(away, away.min(1, keepdims=True))
    averaged = np.tensordot(nearest / nearest.sum(1, keepdims=True), maps, 1).astype(np.float32)
    return nearest_covariances((encoder.denoise(averaged, size=SIZE) - 1) / contrast)
