"""Make the table of thresholds by which two regimes have a gap between them, and count wrong borders.

table   Cut single Gaussians, and lines of up to 40 widths, as the agent cuts exposures into regimes, and write the 95th
        percentile of the distance from each group to its nearest, by the size of the smaller group and of both.
borders Count, for other draws, the borders within one Gaussian or line that are called gaps.
"""

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from ainerd.novelty import gap, threshold
from ainerd.novelty._gaps import FEW, MANY, SPREAD, TABLE
from studies._tools import Study, interval, report

DIMENSIONS, WIDTH, LEVEL, LEAST = 16, 1.0, 0.95, 40
study = Study(__doc__)


@study.part
def table(draws: int = 6000, seed: int = 0) -> None:
    """Write the table."""
    pairs: dict[int, list[tuple[int, float]]] = {m: [] for m in range(1, FEW + 1)}
    for a, b, distance in distances(draws, seed):
        pairs[min(a, b, FEW)].append((min(a + b, MANY), distance))
    thresholds = [[_quantile(np.array(pairs[m]), n) for n in range(2, MANY + 1)] for m in pairs]
    rows = [{"smaller": m, **{str(n): thresholds[m - 1][n - 2] for n in (3, 10, 20, 40, 60)}} for m in pairs]
    report("gaps_table", rows, draws=draws)
    recipe = {"command": "python -m studies.gaps table", "draws": draws, "seed": seed, "dimensions": DIMENSIONS}
    rounded = [[round(x, 3) for x in row] for row in thresholds]
    TABLE.write_text(json.dumps({"recipe": recipe, "level": LEVEL, "thresholds": rounded}) + "\n")


@study.part
def borders(draws: int = 3000, seed: int = 1) -> None:
    """Count borders that are called gaps although there is no gap."""
    wrong = [d > threshold(a, b) for a, b, d in distances(draws, seed)]
    row = {"borders": len(wrong), "called gaps": float(np.mean(wrong)), "95 %": interval(sum(wrong), len(wrong))}
    report("gaps_borders", [row], most={"95 %": 1 - LEVEL}, draws=draws)  # the lower end counts


def distances(draws: int, seed: int) -> Iterator[tuple[int, int, float]]:
    """Yield the sizes of each group and of its nearest, and their distance, in Gaussians and lines that are cut."""
    rng = np.random.default_rng(seed)
    for _ in track(range(draws), "cut into regimes"):
        z = _exposures(rng)
        tree = linkage(pdist(z), "average")
        labels = fcluster(tree, WIDTH, "distance")
        if labels.max() == 1:
            labels = fcluster(tree, 2, "maxclust")
        groups = [z[labels == k] for k in np.unique(labels)]
        for i, one in enumerate(groups):
            near = [(gap(one, other, SPREAD * WIDTH), len(other)) for j, other in enumerate(groups) if j != i]
            if near:
                distance, size = min(near)
                yield len(one), size, distance


def _exposures(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return 3 to 60 points of one regime, or along one curve, with a spread that varies between regimes."""
    n, spread = int(rng.integers(3, MANY + 1)), SPREAD * WIDTH * np.exp(rng.normal(0, 0.5))
    axes = np.sqrt(DIMENSIONS * rng.dirichlet(np.full(DIMENSIONS, 0.3)))
    length = SPREAD * WIDTH * np.exp(rng.uniform(np.log(2), np.log(40))) if rng.random() < 2 / 3 else 0.0
    along = np.sort(rng.random(n)) if rng.random() < 0.5 else (np.arange(n) + 0.5) / n
    ways = rng.normal(size=(2, DIMENSIONS))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    curve = along[:, None] * ways[0] + 0.3 * np.sin(np.pi * along)[:, None] * ways[1]
    return np.asarray(0.8 * spread * axes * rng.standard_normal((n, DIMENSIONS)) + length * curve)


def _quantile(pairs: NDArray[np.float64], n: int) -> float:
    """Return the quantile of distances at about this size of both groups."""
    wider = 1.25
    while True:
        near = pairs[(pairs[:, 0] <= max(n * wider, n + 1)) & (pairs[:, 0] >= min(n / wider, n - 1)), 1]
        if len(near) >= LEAST or wider > MANY:
            return float(np.quantile(near, LEVEL))
        wider *= 1.1


if __name__ == "__main__":
    study()
