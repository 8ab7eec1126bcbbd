"""Speckle movies with prescribed dynamics: partly coherent fields that forget as g1(t1, t2) says, in photons."""

from collections.abc import Iterator

import numba as nb
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ainerd.dynamics import Dynamics, clock, g1_moving

KNOTS = 512
LOST = 2e-3  # share of the moving field's power that may be cut off and is made up for by scaling
_pools = ThreadpoolController()


def _one_blas_thread():
    """More than one would only fight over the cores with the analysis."""
    return _pools.limit(limits=1, user_api="blas")


def mode_weights(contrast: float) -> NDArray[np.float64]:
    """Intensities of the ceil(1 / contrast) coherent modes: they sum to 1, their squares to the contrast.

    One mode differs from the others, which are equal, so that any contrast in (0, 1] is met exactly.

    Raises
    ------
    ValueError
        If the contrast is not in (0, 1].
    """
    if not 0 < contrast <= 1:
        raise ValueError(f"contrast must lie in (0, 1], got {contrast}")
    modes = int(np.ceil(1 / contrast - 1e-9))
    if modes == 1:
        return np.ones(1)
    first = (1 + np.sqrt(max(modes - 1, 0) * max(contrast * modes - 1, 0))) / modes
    return np.r_[first, np.full(modes - 1, (1 - first) / (modes - 1))]


def low_rank(dynamics: Dynamics, t_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """Factor L (T, r) with L Lᵀ ≈ g1 of the moving field and rows of unit length.

    Exact to `LOST` for T up to `KNOTS`; beyond, Nyström's extension from knots spread over time and internal clock.
    """
    s = clock(dynamics, t_s)
    if len(t_s) <= KNOTS:
        s_knots = s
    else:
        path = np.r_[0.0, np.cumsum(np.abs(np.diff(s)))]
        spread = path / path[-1] + np.linspace(0, 1, len(t_s))
        s_knots = clock(dynamics, np.interp(np.linspace(0, spread[-1], KNOTS), spread, t_s))
    power, modes = np.linalg.eigh(g1_moving(dynamics, s_knots[:, None], s_knots))
    power, modes = power[::-1], modes[:, ::-1]
    rank = np.searchsorted(np.cumsum(power), (1 - LOST) * len(s_knots)) + 1
    factor = g1_moving(dynamics, s[:, None], s_knots) @ (modes[:, :rank] / np.sqrt(power[:rank]))
    return (factor / np.linalg.norm(factor, axis=1, keepdims=True)).astype(np.float32)


@nb.njit(nogil=True, cache=True)
def poisson(mean, rng):  # pragma: no cover - compiled
    """One Poisson number: by inversion where the mean is small, as it nearly always is."""
    if mean > 20:
        return rng.poisson(mean)
    chance = np.exp(-mean)
    left, count = rng.random() - chance, 0
    while left > 0 and count < 200:
        count += 1
        chance *= mean / count
        left -= chance
    return count


@nb.njit(nogil=True, cache=True, fastmath=True)
def _count(moving, still, weights, static, rate, t_s, mean, rng, out):  # pragma: no cover - compiled
    """Photons of one block, from `moving` (b, P, M, 2) and `still` (P, M, 2) fields of unit variance per component."""
    go, stay = np.float32(np.sqrt((1 - static) / 2)), np.float32(np.sqrt(static / 2))
    for t in range(moving.shape[0]):
        for p in range(moving.shape[1]):
            c, s = np.float32(0), np.float32(0)
            if static > 0:
                # The static field turned back by the phase of the moving one: the same intensity for less work.
                c, s = stay * np.float32(np.cos(rate[p] * t_s[t])), stay * np.float32(np.sin(rate[p] * t_s[t]))
            intensity = np.float32(0)
            for m in range(weights.size):
                re = go * moving[t, p, m, 0] + c * still[p, m, 0] + s * still[p, m, 1]
                im = go * moving[t, p, m, 1] + c * still[p, m, 1] - s * still[p, m, 0]
                intensity += weights[m] * (re * re + im * im)
            out[t, p] = poisson(mean[p] * intensity, rng)


class SpeckleMovie:
    """The counts of one exposure in the pixels that show speckle.

    C2 = 1 + contrast |g1|², with |g1|² of `ainerd.dynamics.g1_squared` at each pixel's own azimuth. Pixels are
    independent; Friedel pairs are alike in their statistics, not in their counts.

    Parameters
    ----------
    dynamics : Dynamics
    t_s : ndarray, shape (T,)
        Times of the frames in the exposure, in seconds.
    phi_deg : ndarray, shape (P,)
        Azimuths of the pixels.
    mean : ndarray, shape (P,)
        Photons per frame expected in each pixel.
    contrast : float
        beta, in (0, 1].
    rng : numpy.random.Generator
        The same state gives the same counts.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        t_s: NDArray[np.float64],
        phi_deg: NDArray[np.float64],
        mean: NDArray[np.float64],
        *,
        contrast: float,
        rng: np.random.Generator,
    ) -> None:
        self.dynamics, self.t_s, self.contrast = dynamics, t_s, contrast
        self._mean = mean.astype(np.float32)
        self._rate = dynamics.flow_rad_s * np.cos(np.deg2rad(phi_deg - dynamics.flow_deg))
        self._rng = rng

    def blocks(self, size: int) -> Iterator[NDArray[np.uint16]]:
        """Frames one after the other, (at most `size`, P) counts at a time."""
        weights = mode_weights(self.contrast).astype(np.float32)
        with _one_blas_thread():
            factor = low_rank(self.dynamics, self.t_s)
        pixels, modes = self._mean.size, weights.size
        amplitudes = self._rng.standard_normal((factor.shape[1], pixels * modes * 2), dtype=np.float32)
        still = self._rng.standard_normal((pixels, modes, 2), dtype=np.float32)
        for start in range(0, len(self.t_s), size):
            rows = slice(start, start + size)
            with _one_blas_thread():
                moving = (factor[rows] @ amplitudes).reshape(-1, pixels, modes, 2)
            counts = np.empty(moving.shape[:2], np.uint16)
            _count(
                moving, still, weights, self.dynamics.static, self._rate, self.t_s[rows], self._mean, self._rng, counts
            )
            yield counts
