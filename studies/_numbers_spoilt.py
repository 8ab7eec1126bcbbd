"""Spoilt runs beside the same runs without faults: how much g2 and C2 differ, in standard errors.

Frames of Gaussian speckle that forgets as AR(1), two modes, under a ring whose S(q) falls as q⁻⁴, on a detector of
130 × 130 pixels; photons by Poisson. A displaced beam moves speckle and ring together over the detector.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd_xpcs import LeftOut, MultiTau, Partition, Screen, TwoTimeReducer
from studies._tools import Row

SIDE, MARGIN, FRAMES, SIZE, BLOCK, TAU, MODES = 130, 4, 500, 50, 50, 30.0, 2
INNER, OUTER, SECTORS, RINGS, MOVED = 30.0, 60.0, 12, 4, 3


def partition() -> Partition:
    """Return twelve sectors of a ring from 30 to 60 pixels, in four static rings."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x) % (2 * np.pi)
    ring = np.floor((radius - INNER) / (OUTER - INNER) * RINGS).astype(int)
    used = (ring >= 0) & (ring < RINGS)
    sector = np.minimum((angle / (2 * np.pi) * SECTORS).astype(int), SECTORS - 1)
    return Partition.from_roi_map(np.where(used, sector + 1, 0), static_map=np.where(used, ring + 1, 1))


class Movie:
    """One realisation of a run: intensities on a canvas larger than the detector, and its photons."""

    def __init__(self, photons: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        side = SIDE + 2 * MARGIN
        y, x = np.mgrid[:side, :side] + 0.5 - side / 2
        profile = (np.clip(np.hypot(x, y), 12, None) / 45) ** -4
        keep = np.exp(-1 / TAU)
        field = self._rng.standard_normal((2 * MODES, side, side), np.float32)
        self._canvas = np.empty((FRAMES, side, side), np.float32)
        for frame in self._canvas:
            field *= keep
            field += np.sqrt(1 - keep**2) * self._rng.standard_normal(field.shape, np.float32)
            frame[:] = (field**2).mean(0) * profile * photons
        self._clean = self._counts(slice(None), 0)

    def _counts(self, frames: slice, moved: int) -> NDArray[np.uint16]:
        seen = self._canvas[frames, MARGIN : MARGIN + SIDE, MARGIN - moved : MARGIN - moved + SIDE]
        return self._rng.poisson(seen).astype(np.uint16)

    def spoilt(self, *faults: str) -> NDArray[np.uint16]:
        """Return the run with some faults; photons that they do not touch stay the same."""
        out = self._clean.copy()
        if "beam moved" in faults:
            out[300:320] = self._counts(slice(300, 320), MOVED)
        if "1 % I0 noise" in faults:
            # photons added to some frames and taken from the others, so that all else stays as it was
            beam = 1 + 0.01 * self._rng.standard_normal(FRAMES)
            more = np.clip(beam - 1, 0, None)[:, None, None] * out
            out = self._rng.binomial(out, np.minimum(beam, 1)[:, None, None]).astype(np.uint16)
            out += self._rng.poisson(more).astype(np.uint16)
        if "ten dark frames" in faults:
            out[100:110] = 0
        if "one pixel at 65535" in faults:
            out[200:230, SIDE // 2 + 45, SIDE // 2] = 65535
        return out


FAULTS = ("one pixel at 65535", "ten dark frames", "1 % I0 noise", "beam moved")
CASES: dict[str, tuple[str, ...]] = {"nothing": (), **{fault: (fault,) for fault in FAULTS}, "all four": FAULTS}
NEIGHBOURS = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE))) == 1


def analysed(frames: NDArray, partition: Partition) -> tuple[NDArray, NDArray, LeftOut]:
    """Screen and correlate a run as the agent does; return g2, C2, and the frames and pixels that were left out."""
    n = len(frames)
    screen, reducer, correlator = Screen(partition, n), TwoTimeReducer(partition, n, size=SIZE), MultiTau(partition)
    parts = [part for start in range(0, n, BLOCK) for part in screen.push(frames[start : start + BLOCK])]
    for part in (*parts, *screen.flush()):
        part.to(reducer, correlator)
    return correlator.result().value, reducer.maps(), screen.left_out


def rows(n: int) -> Iterator[Row]:
    """Yield a row for each fault and number of photons a pixel and frame, from `n` realisations.

    "g2" and "C2" are the root mean square, over bins and lags or cells, of spoilt - clean over the scatter between
    clean realisations; "bias" is the mean of that difference, over realisations, bins and short lags, where faults add
    up, over its own scatter. NaN rows of a map, all of whose frames are left out, do not count.
    """
    where = partition()
    for photons in (0.05, 0.5, 5.0):
        found: dict[str, list[tuple[NDArray, NDArray, LeftOut]]] = {case: [] for case in CASES}
        for seed in track(range(n), f"spoilt runs at {photons:g} photons", transient=True):
            movie = Movie(photons, seed)
            for case, faults in CASES.items():
                found[case].append(analysed(movie.spoilt(*faults), where))
        for case, runs in found.items():
            row: Row = {"what": case, "photons": photons}
            for i, name in enumerate(("g2", "C2")):
                clean, spoilt = (np.array([each[i] for each in of]) for of in (found["nothing"], runs))
                apart = (spoilt - clean) / clean.std(0, ddof=1).mean(0)
                clean, spoilt = (x[..., :10] if name == "g2" else x[..., NEIGHBOURS] for x in (clean, spoilt))
                clean, spoilt = (np.nanmean(x, (1, 2)) for x in (clean, spoilt))
                row[f"{name}, sigma"] = float(np.sqrt(np.nanmean(apart**2)))
                row[f"{name} bias, sigma"] = float(abs((spoilt - clean).mean()) / clean.std(ddof=1))
            left = [each[2] for each in runs]
            row["pixels out"] = float(np.mean([x.n_pixels for x in left]))
            row["frames out"] = float(np.mean([x.n_frames for x in left]))
            yield row
