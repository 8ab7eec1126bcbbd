"""A novel verdict is confirmed once, and a confirmed one is bracketed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ainerd.steering._survey import Survey

AROUND = 1.5  # what lies within so many beams, or smallest radii, lies beside
NEIGHBOURS = 2  # that bracket a spot
_TURN = 2 * np.pi * np.arange(16) / 16


@dataclass(frozen=True)
class Novel:
    """An exposure with a novel verdict, at (d,); the label is its regime, -1 if none is known."""

    position: NDArray[np.float64]
    p: float
    label: int  # its regime, -1 if none is known


def follow_up(survey: Survey, novel: Sequence[Novel]) -> tuple[NDArray[np.float64], Novel, bool] | None:
    """Where to look again before anything else; None if nothing is to be followed up.

    One exposure beside a novel spot, by one beam size, confirms it; so does a novel neighbour, or a novel exposure
    of the same regime elsewhere. A confirmed spot is bracketed by `NEIGHBOURS` exposures at the smallest radius of
    interest, unless one that it is confirmed by has been.

    Returns the position (d,), the spot, and whether it is confirmed: the position brackets it then.
    """
    beam, smallest = AROUND * survey.beam_size, AROUND * survey.hidden.smallest
    for spot in sorted(novel, key=lambda spot: spot.p):
        alike = [x for x in novel if x is not spot and _alike(x, spot, smallest)]
        if alike:
            is_done = any(_n_visited(survey, x, beam, smallest) >= NEIGHBOURS for x in (spot, *alike))
        else:
            is_done = _n_visited(survey, spot, -1.0, beam) > 1  # itself among them
        if is_done:
            continue
        distance = survey.hidden.smallest if alike else survey.beam_size
        ring = spot.position + distance * _directions(len(spot.position))
        ring = ring[survey.may_measure(ring)]
        if len(ring):
            return ring[cdist(ring, survey.visited).min(1).argmax()], spot, bool(alike)
    return None


def _alike(a: Novel, b: Novel, near: float) -> bool:
    return a.label == b.label >= 0 or bool(np.linalg.norm(a.position - b.position) <= near)


def _n_visited(survey: Survey, spot: Novel, beyond: float, within: float) -> int:
    distance = np.linalg.norm(survey.visited - spot.position, axis=1)
    return int(((distance > beyond) & (distance <= within)).sum())


def _directions(dimensions: int) -> NDArray[np.float64]:
    """Unit vectors all round (k, d); along the axes unless there are two dimensions."""
    if dimensions == 2:
        return np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
    return np.vstack([np.eye(dimensions), -np.eye(dimensions)])
