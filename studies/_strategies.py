"""Strategies: positions on the unit square, the start first, for a hidden map.

Most use only what they measured, or nothing. The two in `LIMITS` know more: `covering` knows how many points are best,
`oracle` knows the map.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.stats import chi2, qmc

from ainerd.steering import Explorer
from studies._hidden_maps import DIMENSIONS, EXPOSURES, NOISE, RESOLUTION, HiddenMap, age_s
from studies._tools import Row, bootstrap

WIDTH_MM = 10.0
SMALLEST = 0.08  # stated radius of the smallest region of interest, of the width
RHO = 2.0  # travel time across the square, in exposures
EXPOSURE_S = 60.0
LOOKS = (20, 40, 60, 80)  # exposures at which the map is looked at
NUMBERS = (4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 79)  # of points of a covering design
OURS = "ours"
Positions = NDArray[np.float64]
_NODES = np.stack(np.meshgrid(*2 * [(np.arange(40) + 0.5) / 40]), axis=-1).reshape(-1, 2)


def explorer(noise: float, **options: Any) -> Explorer:
    """Return an explorer of the square that knows the noise, the speed of the stage and the length of an exposure."""
    return Explorer(
        {"sample_x": (0.0, WIDTH_MM), "sample_y": (0.0, WIDTH_MM)},
        noise=noise,
        travel_time=lambda a, b: np.linalg.norm(b - a, axis=1) / WIDTH_MM * RHO * EXPOSURE_S,
        exposure_s=EXPOSURE_S,
        smallest_feature=SMALLEST * WIDTH_MM,
        **options,
    )


def explorer_of(hidden: HiddenMap) -> Explorer:
    """Return an explorer of a hidden map, without exposures."""
    return deepcopy(_explorer(hidden.noise))


@cache
def _explorer(noise: str) -> Explorer:
    known = explorer(float(np.sqrt(2 * chi2.ppf(0.99, DIMENSIONS)) * NOISE[noise]))
    known.map()  # computes the grid, once for all copies
    return known


def feed(known: Explorer, hidden: HiddenMap, positions: Positions, first: int = 0) -> None:
    """Add the exposures at `positions` to an explorer; the first is number `first`."""
    embeddings, ages = hidden.expose(positions, first), age_s(first + np.arange(len(positions)))
    known.ingest(
        [
            {"_id": str(first + i), "sample_x": WIDTH_MM * x, "sample_y": WIDTH_MM * y, "embedding": z, "age_s": age}
            for i, ((x, y), z, age) in enumerate(zip(positions, embeddings, ages, strict=True))
        ]
    )


def new_regimes(hidden: HiddenMap) -> tuple[Positions, int | None]:
    """Return the positions that our explorer suggests, and the exposure after which it proposes to stop."""
    known, here, way, stop = explorer_of(hidden), hidden.start, [], None
    for number in range(EXPOSURES):
        way.append(here)
        feed(known, hidden, here[None], number)
        if stop is None and known.should_stop()[0]:
            stop = number + 1
        (suggestion,) = known.suggest()
        known.withdraw(suggestion["_id"])
        here = np.array([suggestion["sample_x"], suggestion["sample_y"]]) / WIDTH_MM
    return np.array(way), stop


def after_start(sequence: Callable[[HiddenMap], Positions]) -> Callable[[HiddenMap], Positions]:
    """Return a strategy that begins at the start and continues with a sequence."""
    return lambda hidden: np.vstack([hidden.start, sequence(hidden)])[:EXPOSURES]


def sobol(seed: int) -> Callable[[HiddenMap], Positions]:
    """Return a scramble of the Sobol sequence."""
    points = qmc.Sobol(2, seed=seed).random_base2(7)
    return after_start(lambda hidden: points)


def r_sequence(n: int) -> Positions:
    """Return the first `n` points of R2, the additive recurrence on the plastic number (M. Roberts, 2018)."""
    plastic = 1.324717957244746
    return (0.5 + plastic ** -np.arange(1.0, 3.0) * np.arange(n)[:, None]) % 1


def r2_in_tens(hidden: HiddenMap) -> Positions:
    """Return R2, every ten points in the order of the shortest steps."""
    points, way = r_sequence(EXPOSURES), hidden.start[None]
    for block in np.split(points, range(10, EXPOSURES, 10)):
        way = np.vstack([way, shortest_steps(way[-1], block)])
    return way[:EXPOSURES]


def at_random(hidden: HiddenMap) -> Positions:
    """Return uniform positions."""
    return np.random.default_rng(int(1e9 * hidden.start[0])).random((EXPOSURES, 2))


def maximin(hidden: HiddenMap) -> Positions:
    """Return always the node that is farthest from all measured positions."""
    way = [hidden.start]
    nearest = np.full(len(_NODES), np.inf)
    while len(way) < EXPOSURES:
        nearest = np.minimum(nearest, np.linalg.norm(_NODES - way[-1], axis=1))
        way.append(_NODES[nearest.argmax()])
    return np.array(way)


def gp_variance(hidden: HiddenMap) -> Positions:
    """Return always the node where a Gaussian process on three components is least certain.

    A squared exponential kernel; length and noise by maximum likelihood after every fifth exposure.
    """
    way, length, noise = hidden.start[None], 0.2, 0.1
    while len(way) < EXPOSURES:
        n = len(way)
        apart = cdist(way, way)
        if n >= 5 and n % 5 == 0:
            z = hidden.expose(way).astype(float)
            z = (z - z.mean(0)) @ np.linalg.svd(z - z.mean(0), full_matrices=False)[2][:3].T
            z /= z.std(0)
            length, noise = max(
                ((a, b) for a in (0.05, 0.1, 0.2, 0.4, 0.8) for b in (0.01, 0.1, 0.3)),
                key=lambda x: _likelihood(apart, z, *x),
            )
        half = np.linalg.cholesky(_kernel(apart, length, noise) + noise * np.eye(n))
        certain = np.square(np.linalg.solve(half, _kernel(cdist(way, _NODES), length, noise))).sum(0)
        way = np.vstack([way, _NODES[certain.argmin()]])
    return way


def _kernel(apart: NDArray, length: float, noise: float) -> NDArray:
    return (1 - noise) * np.exp(-0.5 * (apart / length) ** 2)


def _likelihood(apart: NDArray, z: NDArray, length: float, noise: float) -> float:
    half = np.linalg.cholesky(_kernel(apart, length, noise) + noise * np.eye(len(apart)))
    return float(-0.5 * np.square(np.linalg.solve(half, z)).sum() - z.shape[1] * np.log(np.diag(half)).sum())


@cache
def design(n: int) -> Positions:
    """Return `n` points that cover the square evenly: centres of a centroidal Voronoi tessellation."""
    grid = np.stack(np.meshgrid(*2 * [(np.arange(60) + 0.5) / 60]), axis=-1).reshape(-1, 2)
    points = np.random.default_rng(n).random((n, 2))
    for _ in range(40):
        cell = cKDTree(points).query(grid)[1]
        count = np.maximum(np.bincount(cell, minlength=n), 1)
        points = np.stack([np.bincount(cell, grid[:, k], n) / count for k in (0, 1)], axis=1)
    return points


def covering(hidden: HiddenMap) -> list[Positions]:
    """Return even coverings of the best number of points for this sample: the limit for a strategy without feedback.

    There are eight, the turned and mirrored images of one design, so that no lucky position counts.
    """
    ways = [
        [np.vstack([hidden.start, shortest_steps(hidden.start, image)]) for image in images(design(n))] for n in NUMBERS
    ]
    return min(ways, key=lambda of_n: np.mean([hidden.exposures_to_all(way) for way in of_n]))


def images(points: Positions) -> list[Positions]:
    """Return the eight images of points on the unit square under its symmetries."""
    mirrored = [np.abs(flip - points) for flip in ((0, 0), (0, 1), (1, 0), (1, 1))]
    return [*mirrored, *(image[:, ::-1] for image in mirrored)]


def oracle(hidden: HiddenMap) -> list[Positions]:
    """Return always the nearest pixel of a regime not yet seen: the limit for a strategy that knows the map."""
    rows, columns = np.indices(hidden.regions.shape)
    pixels = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) / RESOLUTION
    regime, way = hidden.regions.ravel(), [hidden.start]
    unseen = set(range(hidden.n_regimes)) - set(hidden.regime(hidden.start[None]).tolist())
    while unseen:
        there = pixels[np.isin(regime, list(unseen))]
        way.append(there[np.linalg.norm(there - way[-1], axis=1).argmin()])
        unseen -= set(hidden.regime(way[-1][None]).tolist())
    return [np.array(way)]


def shortest_steps(start: NDArray[np.float64], points: Positions) -> Positions:
    """Return `points` in the order that always goes to the nearest remaining one."""
    left, way, here = points.copy(), [], start
    while len(left):
        i = np.linalg.norm(left - here, axis=1).argmin()
        here = left[i]
        way.append(here)
        left = np.delete(left, i, axis=0)
    return np.array(way).reshape(-1, 2)


def raster(rows: int) -> Positions:
    """Centres of a grid of `rows` cells a side in the unit square, row after row, there and back."""
    x, y = np.meshgrid(*2 * [(np.arange(rows) + 0.5) / rows])
    x[1::2] = x[1::2, ::-1]
    return np.stack([x.ravel(), y.ravel()], axis=1)


BASELINES: dict[str, Callable[[HiddenMap], Positions]] = {
    "raster": after_start(lambda hidden: raster(9)),
    **{f"Sobol {seed}": sobol(seed) for seed in range(4)},
    "R2": after_start(lambda hidden: r_sequence(EXPOSURES)),
    "R2, in tens by the shortest steps": r2_in_tens,
    "random": after_start(at_random),
    "maximin": maximin,
    "GP max-variance": gp_variance,
}
LIMITS: dict[str, Callable[[HiddenMap], list[Positions]]] = {"covering design, n known": covering, "oracle": oracle}
SOBOL = [name for name in BASELINES if name.startswith("Sobol")]


def values(rows: Sequence[Row], strategy: str, what: str) -> NDArray[np.float64]:
    """Return one score for each sample; for Sobol the mean over its scrambles."""
    runs = SOBOL if strategy == "Sobol" else [strategy]
    return np.mean([[row["scores"][run][what] for row in rows] for run in runs], axis=0)


def ratio(ours: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Return the ratio of two means, with its interval."""
    low, high = bootstrap(np.divide, ours, other)
    return f"{ours.mean() / other.mean():.3f} [{low:.3f}, {high:.3f}]"
