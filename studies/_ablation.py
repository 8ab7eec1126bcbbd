"""The gain from each term of the choice of positions: policies with and without it, on the same hidden maps.

Written apart from `ainerd.steering`, compiled, and with the true regimes as labels, so that a choice takes a tenth of a
millisecond. "The whole" is the agent's policy: its explorer plays the first maps of each kind, too. A map has the luck
of p-values of `studies._hidden_maps`; on maps of `studies._foreign_maps` the bank does not hold any regime but the most
common on every second map.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from studies import _hidden_maps as square
from studies._foreign_maps import KINDS, foreign_map
from studies._hidden_maps import EXPOSURES, MISSED, RHO, SMALLEST
from studies._phase_maps import HELD_BACK, LOOKED_AT, phase_map
from studies._tools import Case, Row, ratio

Floats = NDArray[np.float64]

SIDE = 40  # nodes along each side
LOW, HIGH = 0.6 * SMALLEST, 0.35  # radii of inclusions
THIN, THICK = 0.125 * SMALLEST, 2 * SMALLEST  # layers along a limit
LARGE = 0.7  # radius of the largest large region
REACH = int(np.ceil(HIGH * SIDE))
BESIDE = 0.4 / SIDE  # nodes nearer to an exposure are taken


class Policy(NamedTuple):
    """Weights of the terms of a policy; a term with the weight 0 is left out."""

    small: float = 1.5  # expected inclusions
    limits: float = 0.2  # expected layers along a limit
    even: float = 4.0  # worth of a large region, while one regime is known and a wide gap is left
    layers: float = 1.0  # belief in layers, in units of the agent's
    boundary: float = 1.0  # added to the worth half way between two regimes
    confirm: float = 1.0  # price of a second exposure of a novel regime


WHOLE = Policy()
COVER = Policy(limits=0, even=0, layers=0, boundary=0, confirm=0)
POLICIES = {
    "coverage": COVER,
    "coverage + layers": COVER._replace(layers=1),
    "whole": WHOLE,
    "whole - along the limits": WHOLE._replace(limits=0),
    "whole - even positions first": WHOLE._replace(even=0),
    "whole - layers": WHOLE._replace(layers=0),
    "whole - boundary": WHOLE._replace(boundary=0),
    "whole - confirmation": WHOLE._replace(confirm=0),
}
PLAYED = 2  # maps of each kind that the agent's explorer plays, too


@njit(cache=True)
def _share(x, low, high):
    return 0.0 if x <= low else 1.0 if x >= high else np.log(x / low) / np.log(high / low)


@njit(cache=True)
def _node(m):
    return (m // SIDE + 0.5) / SIDE, (m % SIDE + 0.5) / SIDE


@njit(cache=True)
def _cover(hit, m, before, after, by_cell):
    """Subtract from `hit` the inclusions with the centre m that an exposure at the distance `after` hits first."""
    i, j = m // SIDE, m % SIDE
    a, b = _share(before, LOW, HIGH), _share(after, LOW, HIGH)
    for k in range(max(i - REACH, 0), min(i + REACH + 1, SIDE) if b < a else 0):
        for n in range(max(j - REACH, 0), min(j + REACH + 1, SIDE)):
            f = by_cell[abs(k - i), abs(n - j)]
            if f < a:
                hit[k * SIDE + n] -= (a - max(f, b)) / (SIDE * SIDE)


@njit(cache=True)
def _visit(x, y, apart, near, hit, walls, by_cell):
    """Subtract the inclusions that an exposure hits first; update the distances `near` to exposures of its regime."""
    for m in range(SIDE * SIDE):
        u, v = _node(m)
        d = np.hypot(u - x, v - y)
        near[m] = min(near[m], d)
        if d < apart[m]:
            _cover(hit, m, apart[m], d, by_cell)
            apart[m] = d
    for q, d in enumerate((x, y, 1 - x, 1 - y)):
        walls[q] = min(walls[q], d)


@njit(cache=True)
def _layered(way, regime, known):
    """Return the belief in layers, and the chance of a new layer at each node."""
    exceptions, chance, rate = np.zeros(24), np.zeros(SIDE * SIDE), known + 1.0
    for j in range(24):
        along = way[:, 0] * np.cos(np.pi * j / 24) + way[:, 1] * np.sin(np.pi * j / 24)
        order = np.argsort(along)
        exceptions[j] = np.count_nonzero(np.diff(regime[order])) - (known - 1)
    share = np.exp(-2 * (exceptions - exceptions.min()))
    share /= share.sum()
    nodes = (np.arange(SIDE) + 0.5) / SIDE
    for j in np.flatnonzero(share > 0.01):
        ux, uy = np.cos(np.pi * j / 24), np.sin(np.pi * j / 24)
        along = way[:, 0] * ux + way[:, 1] * uy
        order = np.argsort(along)
        x, label = along[order], regime[order]
        grown, along_x, along_y = np.exp(rate * x), np.exp(-rate * nodes * ux), np.exp(-rate * nodes * uy)
        k = 0
        for m in range(SIDE * SIDE):
            n = m % SIDE
            at, fall = nodes[m // SIDE] * ux + nodes[n] * uy, along_x[m // SIDE] * along_y[n]
            if n == 0:
                k = 0
            while k < len(x) and x[k] < at:  # along a column of nodes `at` increases
                k += 1
            left = 1.0 if k == 0 else 1 - grown[k - 1] * fall
            right = 1.0 if k == len(x) else 1 - 1 / (grown[k] * fall)
            new = left * right
            if 0 < k < len(x) and label[k - 1] != label[k]:
                new /= max(1 - grown[k - 1] / grown[k], 1e-6)
            chance[m] += share[j] * 0.5 * new
    return 0.65 * np.exp(-2 * exceptions.min()), chance


@njit(cache=True)
def _worth(policy, hit, walls, apart, nearest, way, regime, count, chance):
    """Return the worth of an exposure at each node."""
    known = np.count_nonzero(count)
    worth = policy.small * hit
    if policy.limits > 0:
        for m in range(SIDE * SIDE):
            x, y = _node(m)
            for q, d in enumerate((x, y, 1 - x, 1 - y)):
                worth[m] += policy.limits / 4 * max(_share(walls[q], THIN, THICK) - _share(d, THIN, THICK), 0.0)
    if policy.layers > 0 and known > 1:
        belief, new = _layered(way, regime, known)
        worth = (1 - belief) * worth + belief * new
    if policy.boundary > 0 and known > 1:
        for m in range(SIDE * SIDE):
            first = second = 9.0
            for d in nearest[:, m]:
                first, second = min(first, d), min(max(first, d), second)
            worth[m] *= 1 + policy.boundary * 2 * first / (first + second)
    worth += policy.confirm * chance
    return worth + policy.even * _first_in_large(apart) if _is_even(policy, known, apart) else worth


@njit(cache=True)
def _is_even(policy, known, apart):
    """Return whether positions are even: one regime is known, and the widest inclusion fits into a gap."""
    return policy.even > 0 and known < 2 and apart.max() > HIGH


@njit(cache=True)
def _first_in_large(apart):
    """Return the chance that an exposure at each node is the first in a region of a radius uniform up to `LARGE`."""
    first, beyond = np.zeros(SIDE * SIDE), np.minimum(apart / LARGE, 1)
    for m in range(SIDE * SIDE):
        x, y = _node(m)
        for k in range(SIDE * SIDE):
            u, v = _node(k)
            first[m] += max(beyond[k] - min(np.hypot(u - x, v - y) / LARGE, 1.0), 0.0) / (SIDE * SIDE)
    return first


@njit(cache=True)
def _alone(way, regime, count, p):
    """Return the chance that an exposure at each node confirms a novel one that stands alone."""
    chance = np.zeros(SIDE * SIDE)
    for i in range(len(way)):
        near = np.hypot(way[:, 0] - way[i, 0], way[:, 1] - way[i, 1]) <= SMALLEST
        if p[i] > 0.05 or count[regime[i]] > 1 or np.count_nonzero(near) > 1:
            continue
        odds = 0.05 * max(p[i], 1e-300) ** -0.8
        for m in range(SIDE * SIDE):
            x, y = _node(m)
            reaches = 1 - _share(np.hypot(x - way[i, 0], y - way[i, 1]), LOW, HIGH)
            chance[m] = max(chance[m], odds / (1 + odds) * reaches)
    return chance


@njit(cache=True)
def _explore(regions, large, start, p, policy, ties, unseen, by_cell):
    """Return exposures and beam time until all large regimes were seen, and exposures until each was seen twice."""
    n_nodes = SIDE * SIDE
    way, regime = np.zeros((EXPOSURES, 2)), np.zeros(EXPOSURES, np.int64)
    count, p_values = np.zeros(len(large), np.int64), np.ones(EXPOSURES)
    apart, hit, walls = np.full(n_nodes, 9.0), unseen.copy(), np.full(4, 9.0)
    nearest = np.full((len(large), n_nodes), 9.0)  # exposure of each regime
    seen, seen_s, spent, n = MISSED, -1.0, 0.0, 0
    x, y = start
    while True:
        if n:
            spent += RHO * np.hypot(x - way[n - 1, 0], y - way[n - 1, 1])
        way[n] = x, y
        k = regions[min(int(y * len(regions)), len(regions) - 1), min(int(x * len(regions)), len(regions) - 1)]
        regime[n], p_values[n] = k, p[k, n]
        count[k] += 1
        n, spent = n + 1, spent + 1
        if seen == MISSED and (count[large] > 0).all():
            seen, seen_s = n, spent
        if (count[large] > 1).all():
            return seen, seen_s, n
        if n == EXPOSURES:
            return seen, seen_s if seen < MISSED else spent * MISSED / n, MISSED
        _visit(x, y, apart, nearest[k], hit, walls, by_cell)
        chance = np.zeros(n_nodes)
        if policy.confirm > 0:
            chance = _alone(way[:n], regime[:n], count, p_values[:n])
        worth = _worth(policy, hit, walls, apart, nearest, way[:n], regime[:n], count, chance)
        best, rate = 0, -1.0
        rho = 0.0 if _is_even(policy, np.count_nonzero(count), apart) else RHO
        for m in range(n_nodes):
            u, v = _node(m)
            r = worth[m] * ties[m] / (1 + rho * np.hypot(u - x, v - y))
            if apart[m] > BESIDE and r > rate:
                best, rate = m, r
        x, y = _node(best)


def _start() -> tuple[Floats, Floats]:
    """Return chances to hit before the first exposure (m,), and twice F by distance in cells."""
    x = np.maximum(np.hypot(*np.meshgrid(*[np.arange(SIDE) / SIDE] * 2)), 1e-9)
    by_cell = np.clip(np.log(x / LOW) / np.log(HIGH / LOW), 0, 1)
    nodes = np.array([_node(m) for m in range(SIDE * SIDE)])
    cells = np.round(np.abs(nodes[:, None] - nodes) * SIDE).astype(int)
    near = (cells <= REACH).all(2)
    below = np.where(near, by_cell[tuple(np.minimum(cells, REACH).transpose(2, 0, 1))], 1.0)
    return np.maximum(1 - below, 0).mean(0), by_cell


GROUPS = {
    "map": len(square.GENERATORS),
    "other": len(square.OTHERS),
    "foreign": len(KINDS),
    "phases": len(LOOKED_AT),
    "held back": len(HELD_BACK),
}
DRAWN = {
    "foreign": foreign_map,
    "phases": partial(phase_map, kinds=LOOKED_AT),
    "held back": partial(phase_map, kinds=HELD_BACK),
}
REFERENCES = ("Sobol", "R2")


def cases(each: int) -> list[Case]:
    """Return the cases, `each` of every kind of map, the kinds in turns."""
    return [(group, turn * n + k) for turn in range(each) for group, n in GROUPS.items() for k in range(n)]


def on_map(seed: int, case: Case) -> Row:
    """Return the scores of Sobol's sequence and of all policies on one map, and perhaps of the agent's explorer."""
    group, i = case
    kind, regions, start, p, large = _drawn(seed, case)
    ways = {"Sobol": square.sequences(start), "R2": square.r2(start)}
    scores = {
        name: np.mean([_along(regions, large, way) for way in some], axis=0).tolist() for name, some in ways.items()
    }
    is_large, ties = np.isin(np.arange(len(p)), large), 1 + 1e-6 * np.random.default_rng(i).random(SIDE**2)
    for name, policy in POLICIES.items():  # of floats, so that it is compiled once
        of = Policy(*map(float, policy))
        scores[name] = [float(x) for x in _explore(regions, is_large, start, p, of, ties, *_START)]
    agent = _along(regions, large, _explored(i, regions, start, p)) if i < PLAYED * GROUPS[group] else None
    return {"group": group, "kind": kind, "scores": scores, "agent": agent}


def _drawn(seed: int, case: Case) -> tuple[str, NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Return kind, regions, start, p-values by regime and exposure, and the large regimes of one map."""
    group, i = case
    if group in ("foreign", "phases", "held back"):
        kind, regions = DRAWN[group](i, seed)
        rng = np.random.default_rng([seed, i, 31])
        start, luck, common = rng.uniform(0.02, 0.98, 2), rng.random(EXPOSURES), np.bincount(regions.ravel()).argmax()
        new = np.arange(regions.max() + 1) != common if i // GROUPS[group] % 2 else np.zeros(regions.max() + 1, bool)
    else:
        hidden = square.hidden_map(i, seed, others=group == "other")
        kind, regions, start, luck = hidden.kind, hidden.regions, hidden.start, hidden.luck
        new = np.arange(hidden.n_regimes) == (-1 if hidden.unknown is None else hidden.unknown)
    p = np.where(new[:, None], luck ** (1 / square.SHAPE), luck)
    return kind, regions, start, p, square.large(regions)


def _explored(seed: int, regions: NDArray[np.int64], start: Floats, p: Floats) -> Floats:
    """Return the positions (n, 2) at which the agent's explorer measures. It knows the true regimes."""
    numbers = count()

    def measured(here: Floats) -> Row:
        column, row = np.clip((here * len(regions)).astype(int), 0, len(regions) - 1)
        k = regions[row, column]
        return square.place(here) | {"embedding": np.array([k, 0.0]), "novelty_p": p[k, next(numbers)]}

    known = square.explorer(lambda z: z[:, 0].astype(int), seed=seed)
    return np.array(list(square.suggested(known, start, measured)))


def _along(regions: NDArray[np.int64], large: NDArray[np.int64], way: Floats) -> tuple[float, float, float]:
    """Return the results of `_explore` along a way (n, 2)."""
    column, row = np.clip((way * len(regions)).astype(int), 0, len(regions) - 1).T
    places = [np.flatnonzero(regions[row, column] == k) for k in large]
    once, twice = (max(int(x[t]) + 1 if len(x) > t else MISSED for x in places) for t in (0, 1))
    steps = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1)))
    travel = steps[once - 1] if once < MISSED else steps[-1] * MISSED / len(way)
    return once, once + RHO * travel, twice


def table(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the scores of each policy over Sobol's, and over those of the whole, with intervals."""
    score = {name: np.array([row["scores"][name] for row in rows]) for name in (*REFERENCES, *POLICIES)}
    for name in (*REFERENCES[1:], *POLICIES):
        row: Row = {"policy": name, "n": len(rows)}
        for k, what in enumerate(("exposures", "beam time", "twice")):
            row[what] = ratio(score[name][:, k], score["Sobol"][:, k])
        row["exposures / whole"] = ratio(score[name][:, 0], score["whole"][:, 0])
        row["beam time / whole"] = ratio(score[name][:, 1], score["whole"][:, 1])
        yield row


def by_kind(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the scores of the whole over Sobol's on each kind of map."""
    for (group, kind), score in _of_kinds(rows):
        row: Row = {"group": group, "kind": kind, "n": len(score["whole"]), "mean": score["whole"][:, 0].mean()}
        for k, what in enumerate(("exposures", "beam time", "twice")):
            row[what] = ratio(score["whole"][:, k], score["Sobol"][:, k])
        for k, what in enumerate(("exposures / R2", "beam time / R2")):
            row[what] = ratio(score["whole"][:, k], score["R2"][:, k])
        yield row


def _of_kinds(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str], dict[str, Floats]]]:
    for of_kind in dict.fromkeys((row["group"], row["kind"]) for row in rows):
        some = [row["scores"] for row in rows if (row["group"], row["kind"]) == of_kind]
        yield of_kind, {name: np.array([each[name] for each in some]) for name in (*REFERENCES, *POLICIES)}


def as_agent(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield how the agent's explorer and the whole, which is its compiled copy, compare."""
    agent, whole = (
        np.array([get(row) for row in rows if row["agent"] is not None])
        for get in (lambda row: row["agent"], lambda row: row["scores"]["whole"])
    )
    yield {
        "n": len(agent),
        "same": float(np.isclose(agent, whole).all(1).mean()),
        "exposures, agent / whole": agent[:, 0].mean() / whole[:, 0].mean(),
        "beam time, agent / whole": agent[:, 1].mean() / whole[:, 1].mean(),
    }


_START = _start()
