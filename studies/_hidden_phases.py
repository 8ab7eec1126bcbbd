"""Hidden samples that change with temperature, a slow knob, and the beam time until every regime was seen.

A sample is a hidden map of `studies._hidden_maps`. One to three of its regions are another regime in an interval of
temperature, and the map is shifted a little from one end of the range to the other. Regimes with less volume than an
ellipsoid of the stated lengths do not count. A position costs an exposure and the travel of the stage; a change of
temperature costs its seconds and the time to settle. A grid measures the same number of Sobol points at each of its
temperatures, goes to and fro over them, and takes the next points of the sequence when it comes back.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from ainerd.knobs import Knob
from ainerd.novelty import find_regimes
from ainerd.steering import POLICIES, Explorer
from studies import _hidden_maps as square
from studies._hidden_maps import EXPOSURE_S, WIDTH_MM, Positions
from studies._tools import Case, Row, ratio

LONGEST = 240  # exposures of a sample
LENGTH_K = 15.0
OVEN = Knob(range=(300.0, 400.0), unit="K", length=LENGTH_K, speed=0.25, settle_s=300.0)
STAGE = Knob(range=(0.0, WIDTH_MM), unit="mm", length=square.SMALLEST * WIDTH_MM)
KNOBS = {"sample_x": STAGE, "sample_y": STAGE, "oven": OVEN}
GRIDS = [(n, m) for n in (3, 4, 5, 6, 8) for m in (4, 6, 8, 12, 16, 24)]  # temperatures, and points at each
OURS = ("levels", "new_regimes")
NEVER_S = 2.0  # of the longest way, the beam time of a way that does not see all


class HiddenPhases:
    """A sample, with positions on the unit cube."""

    def __init__(self, i: int, seed: int) -> None:
        rng = np.random.default_rng([seed, i, 3])
        self.map = square.hidden_map(i, seed)
        self.shift = rng.uniform(-0.15, 0.15, 2)
        changed = rng.choice(self.map.n_regimes, min(self.map.n_regimes, int(rng.integers(1, 4))), replace=False)
        begins, widths = rng.uniform(0, 0.8, len(changed)), rng.uniform(0.15, 0.5, len(changed))
        self.intervals = [*zip(changed.tolist(), begins, begins + widths, strict=True)]
        self.n_regimes = self.map.n_regimes + len(self.intervals)
        self.mean = rng.normal(0, 1.3, (self.n_regimes, square.DIMENSIONS))
        self.scatter = rng.normal(0, square.NOISE[self.map.noise], (LONGEST, square.DIMENSIONS))
        fine = (np.arange(30) + 0.5) / 30
        everywhere = np.stack(np.meshgrid(fine, fine, fine), axis=-1).reshape(-1, 3)
        volume = np.bincount(self.regime(everywhere), minlength=self.n_regimes) / len(everywhere)
        self.large = np.flatnonzero(volume >= 4 / 3 * np.pi * square.SMALLEST**2 * LENGTH_K / 100.0)

    def regime(self, position: Positions) -> NDArray[np.int64]:
        """Return the regime at each position, (n, 3) to (n,)."""
        at, t = position[:, :2], position[:, 2]
        of_map = self.map.regime(np.clip(at + self.shift * t[:, None], 0, 1))
        regime = of_map.copy()
        for number, (kind, begin, end) in enumerate(self.intervals):
            regime[(of_map == kind) & (t >= begin) & (t <= end)] = self.map.n_regimes + number
        return regime

    def exposures_to_all(self, way: Positions) -> int | None:
        """Return the exposures along `way` (n, 3) until every large regime was seen; None if one was not."""
        seen = self.regime(way)
        first = [np.flatnonzero(seen == k)[:1] for k in self.large]
        return max(int(one[0]) + 1 for one in first) if all(one.size for one in first) else None


def travel_time(a: Positions, b: Positions) -> NDArray[np.float64]:
    """Return the seconds of the stage."""
    return np.asarray(np.linalg.norm((b - a)[:, :2], axis=1) / WIDTH_MM * square.RHO * EXPOSURE_S)


def beam_time(way: Positions, n: int) -> float:
    """Return the seconds of the first n exposures of a way, (m, 3) on the unit cube."""
    mm_k = way[:n] * [WIDTH_MM, WIDTH_MM, 100.0] + [0, 0, 300.0]
    moves = sum(
        float(travel_time(a, b[None])[0] + OVEN.seconds(a[2], b[None, 2])[0])
        for a, b in zip(mm_k, mm_k[1:], strict=False)
    )
    return n * EXPOSURE_S + moves


def grid(n_levels: int, at_each: int) -> Positions:
    """Return the way of a grid, (n, 3)."""
    levels, points = (np.arange(n_levels) + 0.5) / n_levels, qmc.Sobol(2, seed=0).random(512)
    way: list[NDArray[np.float64]] = []
    turn = 0
    while len(way) < LONGEST:
        block = points[turn * at_each : (turn + 1) * at_each]
        for level in levels[:: 1 if turn % 2 == 0 else -1]:
            way += [np.append(point, level) for point in block]
        turn += 1
    return np.array(way[:LONGEST])


def explored(hidden: HiddenPhases, policy: str) -> Positions:
    """Return the way of our explorer until it has seen all, or is at its end."""
    width = float(2 * np.sqrt(square.DIMENSIONS) * square.NOISE[hidden.map.noise])
    known = Explorer(
        {name: knob.range for name, knob in KNOBS.items()},
        knobs=KNOBS,
        policy=POLICIES[policy],
        labeler=lambda z: find_regimes(z, width=width).labels,
        travel_time=travel_time,
        exposure_s=EXPOSURE_S,
    )
    way, unseen = list[NDArray[np.float64]](), {*hidden.large.tolist()}
    while unseen and len(way) < LONGEST:
        (suggestion,) = known.suggest()
        at = np.array([suggestion[name] for name in KNOBS])
        way.append((at - [0, 0, 300.0]) / [WIDTH_MM, WIDTH_MM, 100.0])
        regime = int(hidden.regime(way[-1][None])[0])
        unseen -= {regime}
        z = hidden.mean[regime] + hidden.scatter[len(way) - 1]
        known.ingest([{"_id": suggestion["_id"], "embedding": z.astype(np.float32)}])
    return np.array(way)


def on_sample(seed: int, case: Case) -> Row:
    """Return the beam time of every way on one sample."""
    hidden = HiddenPhases(case[1], seed)
    ways = {f"grid of {n} x {m}": grid(n, m) for n, m in GRIDS} | {name: explored(hidden, name) for name in OURS}
    times = {}
    for name, way in ways.items():
        n = hidden.exposures_to_all(way)
        times[name] = beam_time(way, n) if n is not None else NEVER_S * beam_time(way, len(way))
    return {"kind": hidden.map.kind, "hours": {name: seconds / 3600 for name, seconds in times.items()}}


def by_way(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the mean beam time of ours and of the best grids, and ours over the best, chosen afterwards."""
    hours = {name: np.array([row["hours"][name] for row in rows]) for name in rows[0]["hours"]}
    grids = sorted((name for name in hours if name not in OURS), key=lambda name: hours[name].mean())
    for name in (*OURS, *grids[:3], grids[-1]):
        yield {"way": name, "hours": hours[name].mean(), "over the best grid": ratio(hours[name], hours[grids[0]])}
