"""Speckle movies with prescribed dynamics: partly coherent Gaussian fields with a given g1(t1, t2).

Frames are drawn in blocks, in bounded memory. A field is the sum of two. `far` is determined by knots, spread over time
and internal clock, as a product of two small matrices. `near` is the rest: it reaches little further than from one knot
to the next, so each block of it is drawn given the block before, both in full, and nothing older. For exponent 1, where
the process is Markov's, that is exact; for exponents from .5 to 2 and up to 5000 frames, g1 is off by .003 at most and
by .0003 rms. It is worse only for a clock that goes back (echo) at an exponent well below 2: the sharp tip of g1, where
the clock returns to an earlier reading, is as blunt as the knots are coarse.
"""

from collections.abc import Iterator

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.dynamics import Dynamics, clock, rate_factor


def mode_weights(contrast: float) -> NDArray[np.float64]:
    """Return the intensities of the ceil(1 / contrast) coherent modes: they sum to 1, their squares to the contrast.

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


SMALL = 0.01  # of the middle tap: smaller ones are left out


class Grain:
    """The field of each pixel as a combination of independent ones, so that speckles have a size.

    A speckle is Gaussian: the intensities of pixels a distance d apart correlate as exp(-4 ln 2 (d / size)²), with the
    size, the full width at half maximum, in rows and in columns. A beam of width w seen at a distance L has speckles of
    about wavelength × L / w: 0.8 pixels of 55 µm for 20 µm, 8 m and 11 keV.

    Parameters
    ----------
    pixels : ndarray of int, shape (P,)
        Flat indices, growing.
    frame_shape : (int, int)
    size_px : (float, float)
        In rows and in columns; 0: pixels are independent.

    Attributes
    ----------
    pixel : ndarray of int32, shape (P, n)
        Positions in `pixels` of each pixel's neighbours, itself first.
    weight : ndarray of float32, shape (P, n)
        Their squares sum to 1 in each row, so that intensity and contrast stay as they are; 0 where no neighbour is
        among the pixels.
    """

    def __init__(self, pixels: NDArray[np.int64], frame_shape: tuple[int, int], size_px: tuple[float, float]) -> None:
        of_rows, of_columns = (_taps(size) for size in size_px)
        taps = of_rows[:, None] * of_columns
        row, column = np.nonzero(taps >= SMALL)
        outwards = np.argsort(-taps[row, column], kind="stable")
        row, column = row[outwards], column[outwards]
        down, right = row - len(of_rows) // 2, column - len(of_columns) // 2

        y, x = np.unravel_index(pixels, frame_shape)
        y, x = y[:, None] + down, x[:, None] + right
        inside = (y >= 0) & (y < frame_shape[0]) & (x >= 0) & (x < frame_shape[1])
        flat = np.where(inside, y * frame_shape[1] + x, pixels[:, None])
        place = np.searchsorted(pixels, flat).clip(max=len(pixels) - 1)
        there = inside & (pixels[place] == flat)
        weight = np.where(there, taps[row, column], 0.0)
        self.pixel = np.where(there, place, np.arange(len(pixels))[:, None]).astype(np.int32)
        self.weight = (weight / np.linalg.norm(weight, axis=1, keepdims=True)).astype(np.float32)


def _taps(size: float) -> NDArray[np.float64]:
    """Return Gaussian taps, 1 in the middle, with the autocorrelation of the field."""
    wanted = np.exp(-2 * np.log(2) / size**2) if size > 0 else 0.0
    reach = np.arange(-int(2 * size + 1), int(2 * size + 1) + 1)

    def excess(log_fall: float) -> float:
        taps = np.exp(-np.exp(log_fall) * reach**2)
        return float(taps[1:] @ taps[:-1] / (taps @ taps) - wanted)

    if wanted < SMALL:
        return np.ones(1)
    low, high = -8.0, 3.0
    for _ in range(60):  # SciPy's solvers would take 20 MB
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    taps = np.exp(-np.exp(middle) * reach**2)
    return taps[taps >= SMALL]


BLOCK = 50  # frames
KNOTS = 32  # and more, the less the process is Markov's
CUT = 1e-5  # part of the knots' power that is left to `near`
NEGLIGIBLE = 3e-4  # variance of `near` below which it is left out
JITTER = 1e-6
COLUMNS = 2048  # of a field that are drawn at once, so that there is no second copy of it


class Process:
    """A real Gaussian process of unit variance and correlation g1.

    Parameters
    ----------
    part : Dynamics
        A moving part: its exponent and plateau.
    s : ndarray, shape (T,)
        Readings of its clock.

    Attributes
    ----------
    far : ndarray, shape (T, r)
    near : list of ndarray, shape (b, 2 BLOCK)
        For each block, its dependence on the one before and on fresh noise; empty if `far` is complete.
    """

    @one_thread
    def __init__(self, part: Dynamics, s: NDArray[np.float64]) -> None:
        knots = _knots(s, KNOTS + int(len(s) * abs(part.exponent - 1) / 12))
        power, modes = np.linalg.eigh(_relaxing(part, knots, knots))
        power, modes = power[::-1], modes[:, ::-1]
        rank = np.searchsorted(np.cumsum(power), (1 - CUT) * power.sum()) + 1
        far = _relaxing(part, s, knots) @ (modes[:, :rank] / np.sqrt(power[:rank]))
        left = 1 - np.einsum("tr,tr->t", far, far)
        self.near = []
        if left.max() > NEGLIGIBLE:
            self.near = [_follow(part, s, far, start) for start in range(0, len(s), BLOCK)]
        else:
            far /= np.sqrt(1 - left)[:, None]
        stays = np.full((len(s), 1), np.sqrt(part.plateau))
        self.far = np.hstack([stays, np.sqrt(1 - part.plateau) * far]).astype(np.float32)


class Draw:
    """Draws `n` independent realisations of a process.

    Parameters
    ----------
    process : Process
    n : int
    rng : numpy.random.Generator
    """

    def __init__(self, process: Process, n: int, rng: np.random.Generator) -> None:
        self._process, self._rng, self._number = process, rng, 0
        self._amplitudes = rng.standard_normal((process.far.shape[1], n), dtype=np.float32)
        self._before = np.zeros((BLOCK, n), np.float32) if process.near else None  # the block before, without `far`

    @one_thread
    def next(self, out: NDArray[np.float32]) -> None:
        """Write the next block into the first rows of `out`, (BLOCK, n); the other rows are scratch."""
        start = self._number * BLOCK
        far = self._process.far[start : start + BLOCK]
        if self._before is None:
            np.matmul(far, self._amplitudes, out=out[: len(far)])
        else:
            near = self._process.near[self._number]
            if out.flags.c_contiguous:
                self._rng.standard_normal(dtype=np.float32, out=out)
            else:
                out[:] = self._rng.standard_normal(out.shape, dtype=np.float32)
            for columns in _parts(out.shape[1]):
                now = near @ np.concatenate([self._before[:, columns], out[:, columns]])
                self._before[: len(now), columns] = now
                out[: len(now), columns] = now + far @ self._amplitudes[:, columns]
        self._number += 1


def _parts(n: int) -> list[slice]:
    """Return slices of `n` columns: few, from multiples of 64 on, so that products have the bits of a whole product."""
    edges = np.linspace(0, n, -(-n // COLUMNS) + 1).astype(int) // 64 * 64
    return list(map(slice, edges[:-1].tolist(), [*edges[1:-1].tolist(), n]))


def _relaxing(part: Dynamics, s1: NDArray[np.float64], s2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of the part that relaxes, (n1, n2)."""
    return np.exp(-(np.abs(s1[:, None] - s2) ** part.exponent))


def _knots(s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return at most `n` readings of the clock, spread evenly over time and over the clock's path."""
    if n >= len(s):
        return np.unique(s)
    path = np.r_[0.0, np.cumsum(np.abs(np.diff(s)))]
    spread = path / (path[-1] or 1.0) + np.linspace(0, 1, len(s))
    return np.unique(s[np.searchsorted(spread, np.linspace(0, spread[-1], n)).clip(max=len(s) - 1)])


def _follow(part: Dynamics, s: NDArray[np.float64], far: NDArray[np.float64], start: int) -> NDArray[np.float32]:
    """Return the dependence of a block, without `far`, on the one before and on noise: (b, 2 BLOCK)."""
    rows = slice(max(start - BLOCK, 0), start + BLOCK)
    left = _relaxing(part, s[rows], s[rows]) - far[rows] @ far[rows].T
    left[np.diag_indices(len(left))] += JITTER
    n = start - rows.start
    recall = np.linalg.solve(left[:n, :n], left[:n, n:]).T
    fresh = np.linalg.cholesky(left[n:, n:] - recall @ left[:n, n:])
    follow = np.zeros((len(fresh), 2 * BLOCK), np.float32)
    follow[:, :n], follow[:, BLOCK : BLOCK + len(fresh)] = recall, np.sqrt(1 - part.plateau) * fresh
    return follow


SECTOR_DEG = 5.0  # of azimuth, within which anisotropic dynamics are taken to be the same


@nb.njit(nogil=True, cache=True, fastmath=True)
def _intensity(moving, share, rate, still, static, t_s, modes, pixel, weight, out):  # pragma: no cover - compiled
    """Return the intensities of one block, from fields of unit variance per component.

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

    Its two-time correlation is 1 + contrast |g1|², with |g1|² of `ainerd_xpcs.dynamics.g1_squared` at each pixel's own
    azimuth and q; see `sim_devices._speckle` for how exactly. Friedel pairs have the same statistics, but not the
    same speckles.

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
    q_ratio : ndarray, shape (P,), or float
        q of the pixels over the q for which `flow_rad_s` = q·v holds: fringes of a flow differ across a ring.
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
        q_ratio: NDArray[np.float64] | float = 1.0,
    ) -> None:
        self.dynamics, self.t_s = dynamics, t_s
        self._phi, self._rng, self._q_ratio = phi_deg, rng, q_ratio
        self._modes = mode_weights(contrast).astype(np.float32)
        alone = np.arange(phi_deg.size, dtype=np.int32)[:, None]
        self._pixel, self._weight = (
            (alone, np.ones(alone.shape, np.float32)) if grain is None else (grain.pixel, grain.weight)
        )

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the frames in blocks, (b, P), of `BLOCK` frames except the last."""
        parts = [part for _, part in self.dynamics.parts]
        share = np.array([share for share, _ in self.dynamics.parts])
        rate = np.array([part.flow_rad_s * np.cos(np.deg2rad(self._phi - part.flow_deg)) for part in parts])
        rate *= self._q_ratio
        of_pixel = (self._phi.size, self._modes.size, 2)
        still = self._rng.standard_normal(of_pixel, dtype=np.float32)
        still = np.einsum("pn,pnmc->pmc", self._weight, still[self._pixel])
        fields = [_PartField(part, self.t_s, self._phi, of_pixel, self._rng) for part in parts]
        pixel = np.stack([field.place[self._pixel] for field in fields])
        moving = np.empty((len(parts), BLOCK, *of_pixel), np.float32)
        for start in range(0, len(self.t_s), BLOCK):
            t_s = self.t_s[start : start + BLOCK]
            for field, out in zip(fields, moving, strict=True):
                field.next(out)
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
        """Write the next block into the first frames of `out`, (BLOCK, P, M, 2)."""
        flat = out.reshape(BLOCK, -1)
        for columns, draw in self._draws:
            draw.next(flat[:, columns])
