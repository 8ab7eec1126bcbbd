"""Policies, which choose the next position.

A policy is a function of a `Survey` that returns a position (d,), in lengths, and the reason in a sentence.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd.knobs import order_of_change
from ainerd.steering._survey import CONFIRM, LARGE, Survey
from ainerd.words import regime_name

Floats = NDArray[np.float64]
Policy = Callable[[Survey], tuple[Floats, str]]

HALF_WAY = 0.5  # of `Survey.boundary`, from which the reason names the regimes
LARGEST = 0.95  # of the distance from the farthest open node to its nearest exposure, for the largest gap
GUESS = "; probably "  # what follows in a reason changes with each result
AHEAD = 16  # exposures at a level over which the change to it is counted
NO_PLACE = "no position is left: all of it is excluded, at the dose limit, or behind a knob that only goes one way"


def new_regimes(survey: Survey) -> tuple[Floats, str]:
    """Return the position where most new regimes are expected per second of exposure and travel.

    Positions between two known regimes count more, and so do those that may confirm a novel spot. The first positions,
    while one regime is known, are even over the window. Raises ValueError if no position is left.
    """
    return _best(survey, survey.is_open)


def levels(survey: Survey) -> tuple[Floats, str]:
    """Return a position at the present level of the slowest knob, or at the next level if that is worth more.

    A level is worth its expected new regimes per second: at the present level those of the next exposure, at another
    those of its `AHEAD` best exposures, with the time of the change. ValueError if no knob has a cost.
    """
    slow = order_of_change(survey.window.knobs)
    if not slow:
        raise ValueError("the policy levels needs a knob with a cost, such as settle_s")
    k = survey.window.names.index(slow[0])
    at, best, chosen = survey.window.nodes[:, k], -1.0, survey.is_open
    present = at[survey.window.nearest_node(survey.visited[-1:])] if len(survey.visited) else at[:0]
    for level in np.unique(at[survey.is_open]) if present.size else ():
        here = survey.is_open & (at == level)
        few = np.sort(survey.worth[here])[-1 if level == present else -AHEAD :]
        rate = few.sum() / (survey.travel_s[here].min() + len(few) * survey.exposure_s)
        if rate > best:
            best, chosen = rate, here
    return _best(survey, chosen)


def sobol(survey: Survey) -> tuple[Floats, str]:
    """Return the next open point of a scrambled Sobol sequence."""
    from scipy.stats import qmc  # here, because it takes long to import

    engine = qmc.Sobol(len(survey.window.low), seed=survey.seed)
    return _first_open(survey, (engine.random(BLOCK) for _ in range(BLOCKS)), "the next point of a Sobol sequence")


def raster(survey: Survey) -> tuple[Floats, str]:
    """Return the next open point of a raster that misses no region of the smallest radius.

    Its rows run to and fro along the first knob; the slowest knobs change least.
    """
    window = survey.window
    slow = order_of_change(window.knobs)
    order = [*slow, *(name for name in reversed(window.names) if name not in slow)]  # the outermost first
    pitch = 2 * survey.hidden.smallest / np.sqrt(len(order))
    counts, one_way, down = {}, {}, {}
    for name, low, high, x in zip(window.names, window.low, window.high, window.axes, strict=True):
        knob = window.knobs.get(name)
        counts[name] = len(x) if knob and knob.values else int(np.ceil((high - low) / pitch))
        one_way[name], down[name] = bool(knob and knob.direction != "any"), bool(knob and knob.direction == "down")

    def points(number: NDArray[np.int64]) -> Floats:
        """Return these points of the raster, (n,) to (n, d): there may be millions of them."""
        along = {}
        for name in reversed(order):
            number, k = np.divmod(number, counts[name])  # the rest of the number is that of the row
            back = down[name] if one_way[name] else number % 2 == 1
            along[name] = (np.where(back, counts[name] - 1 - k, k) + 0.5) / counts[name]
        return np.stack([along[name] for name in window.names], axis=1)

    n = math.prod(counts.values())
    blocks = (points(np.arange(i, min(i + BLOCK, n))) for i in range(0, n, BLOCK))
    return _first_open(survey, blocks, "the next point of a raster")


POLICIES: dict[str, Policy] = {policy.__name__: policy for policy in (new_regimes, levels, sobol, raster)}
BLOCK, BLOCKS = 256, 64  # points of a sequence that are tried
IN_CELL = 64  # places in a wide cell that are compared


def _best(survey: Survey, open_: NDArray[np.bool_]) -> tuple[Floats, str]:
    """Return the best of these nodes, (m,), and why."""
    if not open_.any():
        raise ValueError(NO_PLACE)
    nodes, seconds, worth = survey.window.nodes, survey.exposure_s + survey.travel_s, survey.worth
    if survey.is_uniform:  # first positions are even; knobs with a cost still count their time
        worth = worth + LARGE * survey.hidden.large(survey.nearest)
        seconds = seconds if order_of_change(survey.window.knobs) else np.ones(len(nodes))
    ties = 1 + 1e-6 * np.random.default_rng(survey.seed).random(len(nodes))
    node = int(np.where(open_, worth * ties / seconds, -1.0).argmax())
    spot = int(np.linalg.norm(survey.spots - nodes[node], axis=1).argmin()) if survey.confirmation[node] else None
    if spot is None or CONFIRM * survey.confirmation[node] <= survey.gain[node]:
        return _in_cell(survey, node), _reason(survey, node) + _guess(survey, node)
    at = survey.window.text(survey.spots[spot])
    if not (agent := survey.agents[spot]):
        return nodes[node], f"beside the novel spot at {at}, to confirm it"
    return _at_or_beside(survey, survey.spots[spot], open_), f"{agent} found something novel at {at}"


def _in_cell(survey: Survey, node: int) -> Floats:
    """Return the node; if its cell is wider than the smallest region, the place in it farthest from visited ones.

    Knobs with a cost stay at the node.
    """
    window = survey.window
    at: Floats = window.nodes[node]
    slow = order_of_change(window.knobs)
    cell = np.where([name in slow for name in window.names], 0.0, window.cell)
    if (cell <= 2 * survey.hidden.smallest).all():
        return at
    from scipy.stats import qmc

    places = at + cell * (qmc.Sobol(len(at), seed=survey.seed).random(IN_CELL) - 0.5)
    places = places[survey.may_measure(places) & ~window.skips(places, survey.visited)]
    return np.asarray(places[survey.places.query(places)[0].argmax()]) if len(places) else at


def _at_or_beside(survey: Survey, spot: Floats, open_: NDArray[np.bool_]) -> Floats:
    """Return a spot (d,) if it may be measured, otherwise the nearest of the open nodes (m,).

    A spot at a level of a knob with a cost at which no node is open is not measured.
    """
    window = survey.window
    k = [window.names.index(name) for name in order_of_change(window.knobs)]
    level = window.nodes[window.nearest_node(spot[None])[0], k]
    is_open = survey.may_measure(spot[None])[0] and not window.skips(spot[None], survey.visited)[0]
    if is_open and window.objection(spot) is None and (window.nodes[open_][:, k] == level).all(1).any():
        return spot
    nodes = window.nodes[open_]
    return np.asarray(nodes[np.linalg.norm(nodes - spot, axis=1).argmin()])


def _reason(survey: Survey, node: int) -> str:
    """Return what makes a node the best, in a clause."""
    if not len(survey.covered):
        return "the first point: a region of unknown size is most likely hit here"
    nearest = float(survey.nearest[node])
    away = survey.window.length(nearest)
    if new := survey.window.on_new_sample(survey.window.nodes[node], nearest):
        return f"the first point at {new}"
    if survey.is_uniform:
        return f"an even start, {away} from the nearest exposure"
    if survey.layers[node] > survey.inclusions[node]:
        return "a band of a new regime may lie here"
    if nearest >= LARGEST * survey.nearest[survey.is_open].max():
        return f"the largest gap: {away} to the nearest exposure"
    if survey.boundary[node] > HALF_WAY:
        return "between two regimes"
    if survey.walls[node] > survey.inclusions[node] / 2:
        return "a layer may lie along the limit"
    return f"unexplored within {away}"


def _guess(survey: Survey, node: int) -> str:
    """Return the regimes that a node probably has."""
    if not survey.known.size:
        return ""
    likely = survey.known[survey.chances[:, node].argsort()[::-1]][: 1 + (survey.boundary[node] > HALF_WAY)]
    return GUESS + " or ".join(regime_name(regime, survey.names) for regime in likely.tolist())


def _first_open(survey: Survey, blocks: Iterator[Floats], reason: str) -> tuple[Floats, str]:
    """Return the first of the points (n, d) on the unit cube that is open and was not visited, and the reason.

    A readback closer than half the beam is of the same place.
    """
    for points in blocks:
        positions = survey.window.spread(points)
        is_new = survey.places.query(positions)[0] > survey.beam_size / 2
        open_ = np.flatnonzero(survey.may_measure(positions) & is_new)
        if open_.size:
            return positions[open_[0]], reason
    raise ValueError(NO_PLACE)
