"""Spoilt runs beside the same runs without faults: how much g2 and C2 differ, in standard errors.

Frames of Gaussian speckle that forgets as AR(1), two modes, under a ring whose S(q) falls as q⁻⁴, on a detector of
130 × 130 pixels; photons by Poisson. A displaced beam moves speckle and ring together over the detector.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from ainerd.xpcs import MultiTau, Partition, Screen, TwoTimeReducer

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
        self._clean = self._counts(np.zeros(FRAMES, int), np.ones(FRAMES))

    def _counts(self, moved: NDArray[np.int64], beam: NDArray[np.float64]) -> NDArray[np.uint16]:
        seen = [
            f[MARGIN : MARGIN + SIDE, MARGIN - m : MARGIN - m + SIDE] for f, m in zip(self._canvas, moved, strict=True)
        ]
        return self._rng.poisson(np.array(seen) * beam[:, None, None]).astype(np.uint16)

    def spoilt(self, *faults: str) -> NDArray[np.uint16]:
        """Return the run with some faults; photons that they do not touch stay the same."""
        out = self._clean.copy()
        if "beam moved" in faults:
            moved = np.zeros(FRAMES, int)
            moved[300:320] = MOVED
            out[300:320] = self._counts(moved, np.ones(FRAMES))[300:320]
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


def analysed(frames: NDArray, partition: Partition, size: int = 256) -> tuple[MultiTau, TwoTimeReducer, Screen]:
    """Screen and correlate a run as the agent does."""
    n = len(frames)
    screen, reducer = Screen(partition, n), TwoTimeReducer(partition, n, size=size)
    correlator = MultiTau(partition, n)
    for start in range(0, n, BLOCK):
        for part in screen.push(frames[start : start + BLOCK]):
            part.to(reducer, correlator)
    for part in screen.flush():
        part.to(reducer, correlator)
    return correlator, reducer, screen


def rows(quick: bool) -> list[dict[str, Any]]:
    """Return a row for each fault and number of photons a pixel and frame.

    "g2" and "C2" are the root mean square, over bins and lags or cells, of spoilt - clean over the scatter between
    clean realisations; "bias" is the mean of that difference over realisations and bins over its own scatter. NaN rows
    of a map, all of whose frames are left out, do not count.
    """
    where, n = partition(), 4 if quick else 12
    out = []
    cases: dict[str, tuple[str, ...]] = {"nothing": (), **{f: (f,) for f in FAULTS}, "all four": FAULTS}
    with Progress(transient=True) as bar:
        task = bar.add_task("spoilt runs", total=3 * n)
        for photons in (0.05, 0.5, 5.0):
            found: dict[str, list[tuple[NDArray, NDArray, Screen]]] = {case: [] for case in cases}
            for seed in range(n):
                movie = Movie(photons, seed)
                for case, faults in cases.items():
                    correlator, reducer, screen = analysed(movie.spoilt(*faults), where, SIZE)
                    found[case].append((correlator.result().value, reducer.maps(), screen))
                bar.advance(task)
            for case in cases:
                left = [each[2].left_out for each in found[case]]
                row: dict[str, Any] = {"what": case, "photons": photons}
                row |= {f"{name}, sigma": _apart(found, case, i) for i, name in enumerate(("g2", "C2"))}
                row |= {f"{name} bias, sigma": _bias(found, case, i) for i, name in enumerate(("g2", "C2"))}
                row["pixels out"] = float(np.mean([x.n_pixels for x in left]))
                row["frames out"] = float(np.mean([x.n_frames for x in left]))
                out.append(row)
    return out


Found = dict[str, list[tuple[NDArray, NDArray, Screen]]]


def _apart(found: Found, case: str, which: int) -> float:
    clean, spoilt = (np.array([each[which] for each in found[c]]) for c in ("nothing", case))
    return float(np.sqrt(np.nanmean(((spoilt - clean) / clean.std(0, ddof=1).mean(0)) ** 2)))


def _bias(found: Found, case: str, which: int) -> float:
    """Return the bias of the mean over bins and short lags, where faults add up."""
    near: Callable[[NDArray], NDArray] = (
        (lambda x: x[..., :10].mean((-1, -2)))
        if which == 0
        else (lambda x: np.nanmean(x[..., np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE))) == 1], (-1, -2)))
    )
    clean, spoilt = (np.array([near(each[which]) for each in found[c]]) for c in ("nothing", case))
    return float(abs((spoilt - clean).mean()) / clean.std(ddof=1))
