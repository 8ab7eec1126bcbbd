"""The speckle of scatterers that move: the sum over all of them, at the q of each pixel.

No correlation function goes in; C2 follows from the paths of the scatterers.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from sim_devices._geometry import HC_KEV_NM, Geometry
from sim_devices._speckle import mode_weights

BLOCK = 25  # frames
# Of a Hann window's power spectrum at half maximum, in 2 pi over the window's width (Harris, Proc. IEEE 66, 51, 1978).
HALF_WIDTH = 1.44
FINEST_PX = 0.7  # smaller speckles would need a beam of more scatterers, and the pixels are independent already


class Motion(Protocol):
    """Scatterers that move.

    Attributes
    ----------
    family : str
        Name of the regime.
    """

    @property
    def family(self) -> str: ...

    def positions(
        self, t_s: NDArray[np.float64], box_nm: float, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the positions of the scatterers at each of the times `t_s`, (N, 2) in nm along columns and rows.

        They fill a square of the side `box_nm` around 0 evenly; a scatterer that leaves it enters on the other side.
        """
        ...


class ScatteredMovie:
    """The intensity of one exposure in the pixels that show speckle, 1 in the mean.

    The beam falls off as cos² from the middle of the square to its edges, where scatterers leave and enter; its width
    makes speckles of the wanted size. Scatterers lie in layers that do not interfere with each other, as many as make
    the wanted contrast; a little is missing, 1 over the number of scatterers of a layer in the beam. Within a layer
    each has a phase of its own: across a thick sample q² d / 2 k is more than a turn. So there is no structure factor,
    which the profile of the `Geometry` has, and Friedel pairs of pixels are not alike. The frames show the
    motion of each scatterer (the self part of the intermediate scattering function).

    Parameters
    ----------
    motion : Motion
    t_s : ndarray, shape (T,)
        Times of the frames in the exposure, in seconds.
    geometry : Geometry
    contrast : float
        beta, in (0, 1].
    rng : numpy.random.Generator
        The same state gives the same movie.
    speckle_px : float
        Full width at half maximum of a speckle, in pixels; 0.7 at least.

    Attributes
    ----------
    box_nm : float
        Side of the square.
    """

    def __init__(
        self,
        motion: Motion,
        t_s: NDArray[np.float64],
        geometry: Geometry,
        *,
        contrast: float,
        rng: np.random.Generator,
        speckle_px: float = 0.8,
    ) -> None:
        self.motion, self.t_s, self._rng = motion, t_s, rng
        self._weights = mode_weights(contrast)
        rows, columns = np.unravel_index(geometry.ring, geometry.frame_shape)
        self._rows, self._columns = rows - rows.min(), columns - columns.min()
        self._qy, self._qx, step = _axes(geometry, rows, columns)
        self.box_nm = HALF_WIDTH * 2 * np.pi / (step * max(speckle_px, FINEST_PX))

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the frames in blocks, (b, P). Meanwhile the scatterers move on in another thread."""
        motion = self.motion.positions(self.t_s, self.box_nm, self._rng)
        block = list(islice(motion, BLOCK))
        layers = np.array_split(self._rng.permutation(len(block[0])), len(self._weights))
        phase = self._rng.uniform(0, 2 * np.pi, len(block[0]))
        lit = [_lit(block[0][layer], self.box_nm) for layer in layers]
        with ThreadPoolExecutor(1, "motion") as pool:
            while block:
                following = pool.submit(lambda: list(islice(motion, BLOCK)))
                yield self._intensity(block, layers, phase, lit)
                block = following.result()

    @one_thread
    def _intensity(
        self,
        positions: list[NDArray[np.float64]],
        layers: list[NDArray[np.int64]],
        phase: NDArray[np.float64],
        lit: list[float],
    ) -> NDArray[np.float32]:
        out = np.zeros((len(positions), self._rows.size), np.float32)
        for layer, weight, light in zip(layers, self._weights, lit, strict=True):
            down = np.empty((self._qy.size, layer.size), np.complex64)
            across = np.empty((layer.size, self._qx.size), np.complex64)
            for t, now in enumerate(positions):
                _waves(now[layer], phase[layer], self._qy, self._qx, self.box_nm, down, across)
                field = (down @ across)[self._rows, self._columns]
                out[t] += weight / light * (field.real**2 + field.imag**2)
        return out


def _axes(
    geometry: Geometry, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return q in 1/nm of the rows and columns of the pixels, and its even step from column to column."""
    k = 2 * np.pi * geometry.energy_keV / HC_KEV_NM / geometry.distance_m
    high, wide = geometry.pixel_m
    row, column = np.arange(rows.min(), rows.max() + 1), np.arange(columns.min(), columns.max() + 1)
    centre_row, centre_column = geometry.beam_center_px
    return k * high * (row + 0.5 - centre_row), k * wide * (column + 0.5 - centre_column), k * wide


def _lit(positions: NDArray[np.float64], box_nm: float) -> float:
    """Return the intensity of the beam at each scatterer."""
    return float(np.prod(np.cos(np.pi * positions / box_nm) ** 2, axis=1).sum())


@nb.njit(nogil=True, cache=True)
def _waves(positions, phase, qy, qx, box_nm, down, across):  # pragma: no cover - compiled
    """Return the amplitude of each scatterer at each row (ny, N), and column (N, nx): their product is its wave."""
    for j in range(phase.size):
        x, y = positions[j, 0], positions[j, 1]
        x, y = x - box_nm * np.round(x / box_nm), y - box_nm * np.round(y / box_nm)
        light = np.cos(np.pi * x / box_nm) * np.cos(np.pi * y / box_nm)
        wave, turn = light * np.exp(1j * (qy[0] * y + phase[j])), np.exp(1j * (qy[1] - qy[0]) * y)
        for r in range(qy.size):
            down[r, j] = wave
            wave *= turn
        wave, turn = np.exp(1j * qx[0] * x), np.exp(1j * (qx[1] - qx[0]) * x)
        for c in range(qx.size):
            across[j, c] = wave
            wave *= turn
