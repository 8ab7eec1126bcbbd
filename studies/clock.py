"""Whether the clock of a sample is right: its word, tau, trend, events, and their errors.

Frames are Poisson counts of Gaussian speckle, made by code that shares nothing with `ainerd_xpcs.dynamics`.

scenes   words, pulls and events of samples whose clock is known, and the time of a fit
offset   the time between a record of stress and the clock

``--quick`` takes 5 runs of each kind.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs import Partition, TwoTimeReducer
from ainerd_xpcs.numerics import Clock, fit_clock, rate_offset
from studies._tools import Row, Study, report

N_FRAMES, CELLS, BINS = 256, 64, 18
TIME = (np.arange(N_FRAMES) + 0.5) / N_FRAMES
AGE0 = 0.1
FIRST_SEED = 9_000
study = Study(__doc__)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A clock (n_frames,) in relaxation times, what else the frames are of, and what is true."""

    clock: Floats
    words: tuple[str, ...] = ("steady",)
    mu: float = 0.0
    events: tuple[float, ...] = ()
    exponent: float = 1.0
    share: float | Floats = 0.0  # that does not move
    strain: Floats | None = None  # in units that halve the field
    turns: float = 0.0  # phase that a part at rest gains on the rest
    pixels: int = 1000
    photons: float = 0.5
    reduced: bool = False  # maps from the reducer, not from sums of frames
    rates: bool = True  # the truth has a rate between all cells

    def counts(self, rng: np.random.Generator, modes: int = 4) -> NDArray[np.int64]:
        """Return counts (n_frames, pixels); the contrast is 1 / modes."""
        g1 = np.exp(-(np.abs(self.clock[:, None] - self.clock) ** self.exponent))
        if self.strain is not None:
            g1 *= np.exp(-((self.strain[:, None] - self.strain) ** 2))
        root = np.linalg.cholesky(g1 + 1e-6 * np.eye(N_FRAMES)).astype("f4")
        n = self.pixels * modes
        moving = root @ rng.standard_normal((N_FRAMES, 2 * n), "f4").view("c8")
        azimuth = np.repeat(np.linspace(0, 2 * np.pi, self.pixels, endpoint=False), modes)
        moving *= np.exp(1j * self.turns * TIME[:, None] * np.cos(azimuth)).astype("c8") if self.turns else 1
        x = np.broadcast_to(self.share, N_FRAMES).astype("f4")[:, None]
        field = np.sqrt(1 - x) * moving + np.sqrt(x) * rng.standard_normal((1, 2 * n), "f4").view("c8")
        return rng.poisson(self.photons / 2 * (np.abs(field) ** 2).reshape(N_FRAMES, self.pixels, modes).mean(2))

    def fitted(self, seed: list[int]) -> tuple[Clock, float]:
        """Return the fit of a run, and its time in ms."""
        maps = (reduced if self.reduced else summed)(self.counts(np.random.default_rng(seed)))
        began = time.process_time()
        clock = fit_clock(*maps, age0=AGE0)
        return clock, 1000 * (time.process_time() - began)


def summed(counts: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return C2 - 1 of sums of frames in bins, pixels of the bins, and shot noise of the cells."""
    cells = counts.reshape(CELLS, -1, counts.shape[1]).sum(1).astype(float)
    mean = cells.mean(1)
    groups = np.array_split(cells / mean[:, None] - 1, BINS, axis=1)
    return np.array([g @ g.T / g.shape[1] for g in groups]), np.array([float(g.shape[1]) for g in groups]), 1 / mean


def reduced(counts: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return the same from `TwoTimeReducer`."""
    labels = np.repeat(np.arange(1, BINS + 1), counts.shape[1] // BINS)[None]
    reducer = TwoTimeReducer(Partition.from_roi_map(labels), len(counts), size=CELLS)
    reducer.push(counts[:, None, : labels.size].astype(np.uint16))
    mean = counts.reshape(CELLS, -1, counts.shape[1]).sum(1).mean(1)
    return np.asarray(reducer.maps(), float) - 1, np.full(BINS, labels.size / BINS), 1 / mean


def _aged(rng: np.random.Generator, factor: float) -> Sample:
    """Slow down by a factor over the exposure, as a power law."""
    mu = np.log(factor) / np.log((1 + AGE0) / AGE0)
    rate = (TIME + AGE0) ** -mu
    word = "slows" if factor > 1 else "speeds up"
    return Sample(np.cumsum(rate) / rate.sum() / rng.uniform(0.05, 0.15), (word,), mu)


def _jumping(rng: np.random.Generator, rest: float, times: int, sizes: tuple[float, float]) -> Sample:
    at = np.sort(rng.permutation(9)[:times] + 1) / 10 + rng.uniform(-0.03, 0.03, times)
    steps = (rng.uniform(*sizes, times) * (TIME[:, None] > at)).sum(1)
    return Sample(rest * TIME + steps, ("jumps",), events=tuple(at), rates=False)


def _avalanches(rng: np.random.Generator) -> Sample:
    steps = np.zeros(N_FRAMES)
    n = rng.poisson(25)
    np.add.at(steps, rng.integers(1, N_FRAMES, n), 0.05 + 0.1 * rng.pareto(1.5, n))
    return Sample(np.cumsum(steps), ("in bursts", "varies"), rates=False)


def _stop_and_go(rng: np.random.Generator) -> Sample:
    changes = np.cumsum(rng.exponential(0.07, 60))
    rate = np.where(np.searchsorted(changes, TIME) % 2, 0.5, 16.0)
    return Sample(np.cumsum(rate) / N_FRAMES, ("in bursts", "varies"), rates=False)


def _oscillating(rng: np.random.Generator) -> Sample:
    period = rng.uniform(0.12, 0.3)
    return Sample(10 * (TIME + 0.8 * period / 2 / np.pi * np.sin(2 * np.pi * TIME / period)), ("oscillates",))


def _plain(rng: np.random.Generator, low: float = 0.05, high: float = 0.2, **options: Any) -> Sample:
    return Sample(TIME / rng.uniform(low, high), **options)


def _echoes(rng: np.random.Generator) -> Sample:
    return _no_clock(rng, strain=1.2 * np.sin(2 * np.pi * TIME / rng.uniform(0.12, 0.3)))


def _no_clock(
    rng: np.random.Generator, advance: float = 2.0, words: tuple[str, ...] = ("not described",), **options: Any
) -> Sample:
    return Sample(advance * TIME, words, rates=False, **options)


SCENES: dict[str, Callable[[np.random.Generator], Sample]] = {
    "exponential": _plain,
    "stretched .5": partial(_plain, exponent=0.5),
    "compressed 1.6": partial(_plain, exponent=1.6),
    "static share .3": partial(_plain, share=0.3),
    "slows x 3": partial(_aged, factor=3.0),
    "slows x 10": partial(_aged, factor=10.0),
    "speeds up x 4": partial(_aged, factor=0.25),
    "one jump, at rest": partial(_jumping, rest=0.0, times=1, sizes=(1.0, 5.0)),
    "one jump, tau .3": partial(_jumping, rest=1 / 0.3, times=1, sizes=(0.7, 2.0)),
    "three jumps, tau .5": partial(_jumping, rest=2.0, times=3, sizes=(0.7, 2.0)),
    "oscillates": _oscillating,
    "avalanches": _avalanches,
    "stop and go": _stop_and_go,
    "echoes": _echoes,
    "gelation to .85": partial(_no_clock, advance=10, share=0.85 * np.clip((TIME - 0.2) / 0.6, 0, 1)),
    "beats of a flow": partial(_no_clock, share=0.4, turns=25.0, words=("not described", "steady")),
    "tau 2 to 6 exposures": partial(_plain, low=2.0, high=6.0),
    "few photons, .05": partial(_plain, photons=0.05),
    "18 x 300 px, reducer": partial(_plain, pixels=5400, photons=0.2, reduced=True),
    "18 x 570 px, reducer": partial(_plain, pixels=10260, photons=0.1, reduced=True),
}  # fmt: skip
STATISTICS = (("mean", np.mean), ("sd", np.std))
NO_TAU = ("one jump, at rest", "stop and go", "echoes", "gelation to .85", "beats of a flow", "tau 2 to 6 exposures")
LEAST = {"avalanches": 0.7, "stop and go": 0.8, "gelation to .85": 0.8}


@study.part
def scenes(quick: bool = False, n: int = 40) -> None:
    """Measure words, pulls and events; ``--n`` is the number of runs of each scene."""
    runs = 5 if quick else n
    rows = [of_scene(name, runs) for name in SCENES]
    report(
        "clock_scenes", rows, least={"right": "least", "in 2 cells": 0.95}, most={"tau": "most", "false": 0.02}, n=runs
    )


def of_scene(name: str, n: int) -> Row:
    """Return the row of a scene."""
    pulls: dict[str, list[float]] = {"tau": [], "mu": [], "rate": []}
    hits, true, false, errors, ms, words = 0, 0, 0, [], [], []
    for i in range(n):
        seed = [FIRST_SEED + i, *name.encode()]
        sample = SCENES[name](np.random.default_rng(seed))
        clock, took = sample.fitted([*seed, 1])
        ms.append(took)
        words.append((clock.word in sample.words, clock.word in ("slows", "speeds up")))
        rate = np.diff(np.interp(np.arange(CELLS) + 0.5, TIME * CELLS, sample.clock)) * CELLS
        between = np.median(rate) if sample.events else rate.mean()
        if np.isfinite(clock.tau):
            errors.append(clock.tau_err / clock.tau)
        if np.isfinite(clock.tau) and between > 0:
            pulls["tau"].append((clock.tau - 1 / between) / clock.tau_err)
        if np.isfinite(clock.ageing_exponent):
            pulls["mu"].append((clock.ageing_exponent - sample.mu) / clock.ageing_exponent_err)
        if sample.rates and len(clock.age) == CELLS - 1:
            pulls["rate"].append(np.mean(np.log(clock.rate / rate) / np.log(clock.rate_high / clock.rate)))
        found = np.array([event.time for event in clock.events])
        near = np.abs(found[:, None] - np.array(sample.events)) < 2 / CELLS
        hits, true, false = hits + near.any(0).sum(), true + len(sample.events), false + (~near.any(1)).sum()
    right, trend = np.mean(words, axis=0)
    row = {"scene": name, "right": right, "least": LEAST.get(name, 0.95), "tau": len(errors) / n}
    row |= {"most": float(name not in NO_TAU), "trend": trend, "err %": 100 * np.median(errors) if errors else np.nan}
    row |= {f"{key} {what}": of(x) if x else np.nan for key, x in pulls.items() for what, of in STATISTICS}
    return row | {"in 2 cells": hits / true if true else np.nan, "false": false / n, "ms": np.median(ms)}


@study.part
def offset(quick: bool = False, n: int = 20) -> None:
    """Measure the time by which the clock follows a record of stress."""
    rows = []
    for width, factor in ((0.02, 8), (0.05, 4)):
        runs = []
        for i in range(5 if quick else n):
            rng = np.random.default_rng([FIRST_SEED + i, factor])
            at, late = rng.uniform(0.25, 0.7), rng.uniform(-0.06, 0.06)
            rise = np.exp(-0.5 * ((TIME - at) / width) ** 2) + 0.02 * rng.standard_normal(N_FRAMES)
            between = TIME - 0.5 / N_FRAMES  # of this frame and the one before
            rate = 4 * (1 + factor * np.exp(-0.5 * ((between - at - late) / width) ** 2))
            clock, _ = Sample(np.cumsum(rate) / N_FRAMES).fitted([FIRST_SEED + i, factor, 1])
            value, error, gain = rate_offset(clock, TIME, rise)
            runs.append((value - late, abs(value - late) < error, abs(value - late) < 2 * error, gain > 8))
        mean = dict(zip(("off", "in 1", "in 2", "seen"), np.mean(runs, axis=0), strict=True))
        rows.append({"pulse": f"{width} T, rate x {factor + 1}", **mean, "sd": np.std(runs, axis=0)[0]})
    report("rate_offset", rows, least={"in 1": 0.6, "in 2": 0.85}, n=5 if quick else n)


if __name__ == "__main__":
    study()
