"""Find paths: exposures whose embeddings change steadily with a covariate, such as age, temperature or position.

A slow change is cut into regimes, although nothing happens between them. Exposures are a path in a covariate if
neighbours in it are closer than other exposures, and if the place along the path follows the covariate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from scipy.spatial.distance import cdist

from ainerd.novelty._gaps import Components, components

FEWEST = 8  # exposures of a path: fewer are too often in order by chance
LEVEL, STEADY = 0.05, 0.8  # of the test; least |Spearman| of a covariate and the place along the path
ALIKE = 0.95  # |Spearman| of two covariates from which they vary together
DRAWS = 300  # permutations, at least: so many that a p-value can pass the level divided by the number of covariates
HOLE = 4.0  # times the usual step of a covariate, from which nothing was measured between
STEP = 3.5  # times the usual step on either side, up to which a gap is a step of a path and no break
_NEAR, _MOST = 3, 200  # neighbours; exposures compared
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Path:
    """A component whose exposures are in order with covariates.

    Attributes
    ----------
    regimes : tuple of int
        Of the component.
    n : int
        Exposures.
    covariates : mapping of str to (float, float)
        Least and largest value of each covariate that orders them, in the order in which covariates were given.

    Examples
    --------
    >>> age = np.arange(24.0)
    >>> z = np.random.default_rng(0).normal(np.stack([age / 4, 0 * age], axis=1), 0.1).astype(np.float32)
    >>> (path,) = structure(z, (age // 8).astype(int), 1.5, {"age": age}).paths  # three regimes, one after the other
    >>> path.regimes, path.n, [*path.covariates]
    ((0, 1, 2), 24, ['age'])
    """

    regimes: tuple[int, ...]
    n: int
    covariates: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Break:
    """The values of its covariate between a path and the next component.

    Attributes
    ----------
    regimes : pair of tuple of int
        Of the component with the lower values, and of the other.
    covariate : str
    between : (float, float)
        Last value of the one and first of the other.
    distance : float
        Of the narrowest border of the two, in own spreads.
    is_hole : bool
        Whether so little was measured between that they may be one path.

    Examples
    --------
    >>> age = np.arange(24.0)
    >>> place = np.stack([age / 4 + 9 * (age > 11), 0 * age], axis=1)  # it jumps once
    >>> z = np.random.default_rng(0).normal(place, 0.1).astype(np.float32)
    >>> (jump,) = structure(z, (age > 11).astype(int), 1.5, {"age": age}).breaks
    >>> jump.regimes, jump.covariate, jump.between
    (((0,), (1,)), 'age', (11.0, 12.0))
    """

    regimes: tuple[tuple[int, ...], tuple[int, ...]]
    covariate: str
    between: tuple[float, float]
    distance: float
    is_hole: bool


@dataclass(frozen=True)
class Structure:
    """Regimes connected by borders that are no gap, those of them that are paths, and breaks and holes beside paths.

    Examples
    --------
    >>> age = np.arange(24.0)
    >>> z = np.random.default_rng(0).normal(np.stack([age / 4, 0 * age], axis=1), 0.1).astype(np.float32)
    >>> found = structure(z, (age // 8).astype(int), 1.5, {"age": age})
    >>> found.components.groups, len(found.paths), found.breaks
    (((0, 1, 2),), 1, [])
    """

    components: Components = field(default_factory=Components)
    paths: Sequence[Path] = ()
    breaks: Sequence[Break] = ()


def structure(z: NDArray[np.float32], labels: Ints, width: float | None, covariates: Mapping[str, Floats]) -> Structure:
    """Return the structure of regimes.

    A path whose steps differ may have a gap at a wide one. Two components are one path if their exposures together
    follow a covariate, those of the larger one by themselves too, and if the step between them is not much wider than
    the usual one of either.

    Parameters
    ----------
    z : ndarray, shape (n, d)
        Embeddings.
    labels : ndarray of int, shape (n,)
        Regimes; -1 for none.
    width : float, optional
        Distance that two exposures of one regime rarely exceed; without it each regime is a component.
    covariates : mapping of str to ndarray, shape (n,)
        NaN where unknown.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 5 + [[9, 9]] * 5, 0.1).astype(np.float32)
    >>> structure(z, np.repeat([0, 1], 5), 1.0, {"age": np.arange(10.0)}).components.groups
    ((0,), (1,))
    """
    groups, paths = components(z, labels, width), []
    if width is not None:
        groups = _joined(np.asarray(z, float), labels, groups, covariates)
    for group in groups.groups:
        mine = np.isin(labels, group)
        if by := _ordering(np.asarray(z[mine], float), {name: x[mine] for name, x in covariates.items()}):
            ends = {name: (float(covariates[name][mine].min()), float(covariates[name][mine].max())) for name in by}
            paths.append(Path(group, int(mine.sum()), ends))
    return Structure(groups, paths, _breaks(labels, groups, covariates, paths))


def _joined(z: Floats, labels: Ints, groups: Components, covariates: Mapping[str, Floats]) -> Components:
    """Return the components with those joined that are parts of one path."""
    members = [np.flatnonzero(np.isin(labels, group)) for group in groups.groups]
    for name, x in covariates.items():
        # others have no place in it, or no usual step
        known = [mine for mine in members if len(mine) > 2 and np.isfinite(x[mine]).all()]
        in_order = [mine[np.argsort(x[mine], kind="stable")] for mine in known]
        for one, other in pairwise(sorted(in_order, key=lambda mine: float(x[mine[0]]))):
            both, larger = np.concatenate([one, other]), _some(max(one, other, key=len))
            here = {key: values[both] for key, values in covariates.items()}
            is_step = _is_step(z[both], x[both], len(one)) and _steadiness(coordinate(z[larger]), x[larger]) >= STEADY
            if is_step and name in _ordering(z[both], here):
                return _joined(z, labels, groups.joined({int(k) for k in labels[both]}), covariates)
    return groups


def _is_step(z: Floats, x: Floats, n: int) -> bool:
    """Return whether the step to exposure n, of exposures in the order of x, is one of a path and crosses no hole."""
    between, steps = np.diff(x), np.linalg.norm(np.diff(z, axis=0), axis=1)
    before, after = steps[: n - 1], steps[n:]
    if min(len(before), len(after)) < 2 or not 0 < between[n - 1] <= HOLE * np.median(between):
        return False
    return bool(steps[n - 1] <= STEP * min(np.median(before), np.median(after)))


def _breaks(labels: Ints, groups: Components, covariates: Mapping[str, Floats], known: Sequence[Path]) -> list[Break]:
    """Return the breaks and the holes between each path and the next component in its first covariate."""
    breaks: dict[tuple[tuple[int, ...], tuple[int, ...]], Break] = {}
    for path in known:
        name = next(iter(path.covariates))
        x = covariates[name]
        ends = {group: np.sort(x[np.isin(labels, group) & np.isfinite(x)]) for group in groups.groups}
        order = sorted((group for group in ends if len(ends[group]) > 1), key=lambda group: float(ends[group][0]))
        usual = float(np.median(np.diff(ends[path.regimes])))
        for one, other in zip(order, order[1:], strict=False):
            last, first = float(ends[one][-1]), float(ends[other][0])
            if path.regimes in (one, other) and first > last:
                distance = groups.between(one, other)[1]
                is_hole = usual > 0 and first - last > HOLE * usual
                breaks.setdefault((one, other), Break((one, other), name, (last, first), distance, is_hole))
    return [*breaks.values()]


def coordinate(z: Floats) -> Floats:
    """Return the arc length (n,) of points (n, d) along their curve, from one of its ends.

    Distances are those of shortest paths over the nearest neighbours and the minimum spanning tree [1]_.

    References
    ----------
    .. [1] J. B. Tenenbaum, V. de Silva, J. C. Langford, Science 290, 2319 (2000).
    """
    apart = cdist(z, z)
    size = float(apart.max())
    if size == 0:
        return np.zeros(len(z))
    apart = np.maximum(apart / size, 1e-6)  # 0 is no edge
    near = np.argsort(apart, axis=1)[:, 1 : _NEAR + 1]
    graph = np.zeros_like(apart)
    np.put_along_axis(graph, near, np.take_along_axis(apart, near, axis=1), axis=1)
    graph = np.maximum(graph, minimum_spanning_tree(apart).toarray())
    along = shortest_path(np.maximum(graph, graph.T), directed=False)
    one, other = np.unravel_index(along.argmax(), along.shape)
    return np.asarray(size / 2 * (along[one] - along[other] + along[one, other]))


def _ordering(z: Floats, covariates: Mapping[str, Floats]) -> list[str]:
    """Return the covariates (n,) that order the points (n, d): the clearest, and those that vary with it, as given."""
    known = {name: x for name, x in covariates.items() if np.isfinite(x).all() and len(np.unique(x)) >= FEWEST}
    if not known:
        return []
    z, known = _some(z), {name: _some(x) for name, x in known.items()}
    squares, rng = cdist(z, z, "sqeuclidean"), np.random.default_rng(0)
    steps = np.array([_step(squares, np.argsort(x, kind="stable")) for x in known.values()])
    smaller, least = np.zeros(len(known)), LEVEL / len(known)
    draws = max(DRAWS, round(len(known) / LEVEL))
    for _ in range(draws):
        smaller += _step(squares, rng.permutation(len(z))) <= steps
        if ((1 + smaller) / (1 + draws) > least).all():  # p, which further draws do not make smaller
            return []
    along, is_order = coordinate(z), (1 + smaller) / (1 + draws) <= least
    steady = {name: _steadiness(along, known[name]) for name in compress(known, is_order)}
    clearest = max(steady, key=lambda name: steady[name], default=None)
    if clearest is None or steady[clearest] < STEADY:
        return []
    alike = {x for x in steady if _steadiness(known[x], known[clearest]) > ALIKE}
    return [name for name in known if name == clearest or (name in alike and steady[name] >= STEADY)]


def _some(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most `_MOST` of the values (n, ...), evenly spaced."""
    return values[:: -(-len(values) // _MOST)]


def _steadiness(along: Floats, x: Floats) -> float:
    """Return |Spearman| of places along a path, or of a covariate, and a covariate, (n,) each; 0 if one is constant."""
    from scipy.stats import spearmanr  # here, because it takes a second to import

    return abs(float(spearmanr(along, x).statistic)) if np.ptp(along) and np.ptp(x) else 0.0


def _step(squares: Floats, order: Ints) -> float:
    """Return the mean squared step of points in this order."""
    return float(squares[order[1:], order[:-1]].mean())
