"""Whether there is a gap between two regimes, or whether one broad kind, or a line, was cut into regimes.

One cut for all divides exposures into regimes, although regimes differ in spread. So a broad regime, and a slow change,
are cut into several. The distance of the means of two regimes, in units of their own spread along the line between
them, tells whether the border is a gap. Groups that the same cut makes of single Gaussians and of lines give the
thresholds, which ``python -m studies.gaps`` simulates.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

TABLE = Path(__file__).with_name("gaps.json")
FREEDOM, SPREAD = 3.0, 0.1314  # prior of the spread of a regime along one axis: degrees of freedom, and share of width
FEW, MANY = 5, 60  # a smaller group and a sum of both larger than these have the thresholds of these
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Border:
    """The border of two regimes: the distance of their means in own spreads, and the threshold from which it is a gap.

    `sizes` are the numbers of exposures of the two regimes.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 5 + [[9, 9]] * 8, 0.1).astype(np.float32)
    >>> border = components(z, np.repeat([0, 1], [5, 8]), 1.0).borders[0, 1]
    >>> border.sizes, border.distance > border.threshold
    ((5, 8), True)
    """

    distance: float
    threshold: float
    sizes: tuple[int, int]

    @property
    def is_gap(self) -> bool:
        """Whether the two are apart."""
        return self.distance > self.threshold


@dataclass(frozen=True)
class Components:
    """Regimes connected by borders that are no gap.

    Attributes
    ----------
    groups : tuple of tuple of int
        Regimes of each component, both by number.
    borders : mapping of (int, int) to Border
        Of each pair of regimes, the lower number first.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 10 + [[9, 9]] * 5, 0.5).astype(np.float32)
    >>> found = components(z, np.repeat([0, 1, 2], 5), 1.0)  # two regimes of one cloud, and one far away
    >>> found.groups
    ((0, 1), (2,))
    """

    groups: tuple[tuple[int, ...], ...] = ()
    borders: Mapping[tuple[int, int], Border] = field(default_factory=dict)

    def of(self, regime: int) -> tuple[int, ...]:
        """Return the regimes in the component of a regime: that regime alone if it is unknown."""
        return next((group for group in self.groups if regime in group), (regime,))

    def largest(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which exposures (n,), with regimes `labels`, are of the component with the most; the first of many."""
        masks = [np.isin(labels, group) for group in self.groups]
        return max(masks, key=lambda mask: int(mask.sum()), default=np.zeros(len(labels), bool))

    def between(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[float, float]:
        """Return the narrowest border of two components: its distance over its threshold, and its distance."""
        across = [b for (i, j), b in self.borders.items() if (i in one and j in other) or (i in other and j in one)]
        return min(((b.distance / b.threshold, b.distance) for b in across), default=(0.0, 0.0))


def components(z: NDArray[np.float32], labels: NDArray[np.int64], width: float) -> Components:
    """Return the components of exposures (n, d) with regimes (n,), -1 for none.

    `width` is the distance that two exposures of one regime rarely exceed.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 5 + [[9, 9]] * 5, 0.1).astype(np.float32)
    >>> components(z, np.repeat([0, 1], 5), 1.0).groups
    ((0,), (1,))
    """
    points = {int(k): np.asarray(z[labels == k], float) for k in np.unique(labels[labels >= 0])}
    joined: DisjointSet[int] = DisjointSet(points)
    borders = {}
    for a, b in combinations(points, 2):
        borders[a, b] = border(points[a], points[b], width)
        if not borders[a, b].is_gap:
            joined.merge(a, b)
    return Components(tuple(sorted(tuple(sorted(group)) for group in joined.subsets())), borders)


def border(a: Floats, b: Floats, width: float) -> Border:
    """Return the border of two groups of points (n, d) and (m, d); `width` as for `components`."""
    return Border(gap(a, b, SPREAD * width), threshold(len(a), len(b)), (len(a), len(b)))


def gap(a: Floats, b: Floats, spread: float) -> float:
    """Return the distance of the means of two groups (n, d) and (m, d) in units of their spread along that line.

    `spread` is the expected standard deviation along one axis, to which that of small groups is shrunk.

    Examples
    --------
    >>> a, b = np.random.default_rng(0).normal([[[0.0]], [[5.0]]], 1.0, (2, 50, 1))
    >>> round(gap(a, b, 1.0), 1)
    5.0
    """
    line = b.mean(0) - a.mean(0)
    distance = float(np.linalg.norm(line))
    if distance == 0:
        return 0.0
    squares = sum(float(np.square((x - x.mean(0)) @ line).sum()) for x in (a, b)) / distance**2
    freedom = FREEDOM + len(a) + len(b) - 2
    return distance / float(np.sqrt((FREEDOM * spread**2 + squares) / freedom))


def threshold(a: int, b: int) -> float:
    """Return the distance that 95 % of the borders that are no gap do not exceed, for groups of `a` and `b` points.

    Examples
    --------
    >>> threshold(5, 5) < threshold(2, 5)  # smaller groups must be further apart
    True
    """
    return _table()[min(a, b, FEW) - 1][min(a + b, MANY) - 2]


@cache
def _table() -> list[list[float]]:
    return [list(row) for row in json.loads(TABLE.read_text())["thresholds"]]
