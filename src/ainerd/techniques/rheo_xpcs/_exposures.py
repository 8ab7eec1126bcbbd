"""What a bank is made of: simulated exposures, and measured ones with their noise taken off."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from ainerd.dynamics import DIRECTIONS, nearest_covariances, ordinary
from ainerd.latent import SIZE, Encoder
from ainerd.techniques.rheo_xpcs._clean import Clean

# Runs of one kind below which it cannot be calibrated: what `NoveltyScorer` asks for.
FEWEST_OF_A_KIND = 24
# Measured runs that a kind is made of at least: of fewer nothing is known of how they scatter.
FEWEST_MEASURED = 4
_STRETCH = 0.2  # in natural logarithm, to either side
# Exposures of each kind in a bank of 6100: more of those that fill more of the space of what can be seen.
SHARES = {
    "stationary": 1400,
    "arrested": 400,
    "ageing": 650,
    "rejuvenating": 500,
    "intermittent": 650,
    "flow": 900,
    "sheared": 600,
    "populations": 600,
    "beam": 400,
}
FEWEST_SIMULATED = -(-FEWEST_OF_A_KIND * sum(SHARES.values()) // min(SHARES.values()))  # with enough of each kind


def simulated_exposures(
    n: int = 6100, *, seed: int = 0, advance: Callable[[int], None] = lambda n: None
) -> tuple[list[Clean], list[str]]:
    """Draw ordinary exposures for `write_bank`, of the kinds in `SHARES` in these proportions.

    ValueError if n is not positive. `advance` is told that it was one more.
    """
    if n < 1:
        raise ValueError(f"a bank needs at least one exposure, got {n}")
    rng = np.random.default_rng([seed, 1])
    kinds, clean = _spread(n), []
    for kind in kinds:
        clean.append(Clean.of(ordinary(kind, rng)))
        advance(1)
    return clean, kinds


def _spread(n: int) -> list[str]:
    """Kinds in turn, so that the first ones of a bank are of all: where each has its next place by its share."""
    places = np.concatenate([(np.arange(share) + 0.5) / share for share in SHARES.values()])
    kinds = np.repeat(list(SHARES), list(SHARES.values()))[places.argsort(kind="stable")]
    return [str(kind) for kind in np.resize(kinds, n)]


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


def stretched(exposure: NDArray[np.float32], times: int) -> list[NDArray[np.float32]]:
    """An exposure (d, 64, 64) several times, as if its dynamics were up to a fifth faster or slower.

    Lags are stretched at each age; the maps are brought to the nearest ones that are covariances.
    """
    out, cells = [], np.arange(SIZE)
    lag, middle = cells[:, None] - cells, (cells[:, None] + cells) / 2
    for factor in np.exp(np.linspace(-_STRETCH, _STRETCH, times)) if times > 1 else [1.0]:
        at = (np.clip(middle + lag * factor / 2, 0, SIZE - 1), np.clip(middle - lag * factor / 2, 0, SIZE - 1))
        maps = np.stack([map_coordinates(each, at, order=1) for each in exposure])
        out.append(nearest_covariances(maps.astype(np.float32)))
    return out
