"""Speckle movies with prescribed dynamics: partly coherent fields that forget as g1(t1, t2) says."""

from collections.abc import Iterator

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import Dynamics, clock, rate_factor
from sim_devices._coherence import mode_weights
from sim_devices._gaussian import BLOCK, Draw, Process
from sim_devices._grain import Grain

SECTOR_DEG = 5.0  # of azimuth, within which anisotropic dynamics are taken to be the same


@nb.njit(nogil=True, cache=True, fastmath=True)
def _intensity(moving, share, rate, still, static, t_s, modes, pixel, weight, out):  # pragma: no cover - compiled
    """Intensities of one block, from fields of unit variance per component.

    moving (K, b, P, M, 2) of the parts, with their shares (K,), phase velocities (K, P) and neighbours (K, P, n);
    still (P, M, 2).
    """
    stay = np.float32(np.sqrt(static / 2))
    c, s = np.empty(share.size, np.float32), np.empty(share.size, np.float32)
    for t in range(out.shape[0]):
        for p in range(out.shape[1]):
            for k in range(share.size):
                go = np.sqrt(share[k] * (1 - static) / 2)
                c[k], s[k] = go, 0
                if rate[k, p] != 0:
                    c[k], s[k] = go * np.cos(rate[k, p] * t_s[t]), go * np.sin(rate[k, p] * t_s[t])
            total = np.float32(0)
            for m in range(modes.size):
                re, im = stay * still[p, m, 0], stay * still[p, m, 1]
                for k in range(share.size):
                    a, b = np.float32(0), np.float32(0)
                    for n in range(pixel.shape[2]):
                        a += weight[p, n] * moving[k, t, pixel[k, p, n], m, 0]
                        b += weight[p, n] * moving[k, t, pixel[k, p, n], m, 1]
                    re += c[k] * a - s[k] * b
                    im += c[k] * b + s[k] * a
                total += modes[m] * (re * re + im * im)
            out[t, p] = total


class SpeckleMovie:
    """The intensity of one exposure in the pixels that show speckle, 1 in the mean.

    Its two-time correlation is 1 + contrast |g1|², with |g1|² of `ainerd.dynamics.g1_squared` at each pixel's own
    azimuth; see `sim_devices._gaussian` for how exactly. Friedel pairs are alike in their statistics, not in their
    speckles.

    Parameters
    ----------
    dynamics : Dynamics
    t_s : ndarray, shape (T,)
        Times of the frames in the exposure, in seconds.
    phi_deg : ndarray, shape (P,)
        Azimuths of the pixels.
    contrast : float
        beta, in (0, 1].
    rng : numpy.random.Generator
        The same state gives the same movie.
    grain : Grain, optional
        Of the speckles; without it pixels are independent.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        t_s: NDArray[np.float64],
        phi_deg: NDArray[np.float64],
        *,
        contrast: float,
        rng: np.random.Generator,
        grain: Grain | None = None,
    ) -> None:
        self.dynamics, self.t_s = dynamics, t_s
        self._phi, self._rng = phi_deg, rng
        self._modes = mode_weights(contrast).astype(np.float32)
        alone = np.arange(phi_deg.size, dtype=np.int32)[:, None]
        self._pixel, self._weight = (
            (alone, np.ones(alone.shape, np.float32)) if grain is None else (grain.pixel, grain.weight)
        )

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Frames one after the other, (b, P), in blocks of `BLOCK` frames but for the last."""
        parts = [part for _, part in self.dynamics.parts]
        share = np.array([share for share, _ in self.dynamics.parts])
        rate = np.array([part.flow_rad_s * np.cos(np.deg2rad(self._phi - part.flow_deg)) for part in parts])
        of_pixel = (self._phi.size, self._modes.size, 2)
        still = self._rng.standard_normal(of_pixel, dtype=np.float32)
        still = np.einsum("pn,pnmc->pmc", self._weight, still[self._pixel])
        fields = [_PartField(part, self.t_s, self._phi, of_pixel, self._rng) for part in parts]
        pixel = np.stack([field.place[self._pixel] for field in fields])
        moving = np.empty((len(parts), BLOCK, *of_pixel), np.float32)
        for start in range(0, len(self.t_s), BLOCK):
            t_s = self.t_s[start : start + BLOCK]
            for field, out in zip(fields, moving, strict=True):
                field.next(out[: len(t_s)])
            intensity = np.empty((len(t_s), self._phi.size), np.float32)
            _intensity(
                moving, share, rate, still, self.dynamics.static, t_s, self._modes, pixel, self._weight, intensity
            )
            yield intensity


class _PartField:
    """The field of a moving part in all pixels, sorted by sectors of equal dynamics.

    Attributes
    ----------
    place : ndarray of int32, shape (P,)
        Where the field of each pixel is.
    """

    def __init__(
        self,
        part: Dynamics,
        t_s: NDArray[np.float64],
        phi_deg: NDArray[np.float64],
        of_pixel: tuple[int, int, int],
        rng: np.random.Generator,
    ) -> None:
        sector = np.zeros(phi_deg.size)
        if part.anisotropy:
            sector = np.abs((phi_deg - part.anisotropy_deg + 90) % 180 - 90) // SECTOR_DEG
        order = np.argsort(sector, kind="stable")
        self.place = np.empty(order.size, np.int32)
        self.place[order] = np.arange(order.size)
        s, start = clock(part, t_s), 0
        self._draws = []
        for members in np.split(order, np.flatnonzero(np.diff(sector[order])) + 1):
            process = Process(part, rate_factor(part, phi_deg[members]).mean() * s)
            stop = start + members.size * of_pixel[1] * of_pixel[2]
            self._draws.append((slice(start, stop), Draw(process, stop - start, rng)))
            start = stop

    def next(self, out: NDArray[np.float32]) -> None:
        """Put the next block into `out`, (b, P, M, 2)."""
        flat = out.reshape(len(out), -1)
        for columns, draw in self._draws:
            draw.next(flat[:, columns])
