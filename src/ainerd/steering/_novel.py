"""A novel verdict is confirmed once, and a confirmed one is bracketed, where that is worth more than to go on.

Worth is counted as the policy counts it, in expected new regimes per beam time. A second exposure is worth the chance
that what it confirms is new, by its p-value; how far a confirmed regime reaches is worth what the position is worth
anyway, as one between two regimes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ainerd.steering._policies import BOUNDARY, COVERED
from ainerd.steering._survey import Survey

AROUND = 1.5  # what lies within so many beams, or smallest radii, lies beside
NEIGHBOURS = 2  # that bracket a spot
# What is believed of a flagged exposure before its p-value is seen: odds that it is new, and the p-values of new ones
# fall off as p to this power less one.
_ODDS, _SHAPE = 0.25, 0.2
_TURN = 2 * np.pi * np.arange(16) / 16


@dataclass(frozen=True)
class Novel:
    """An exposure with a novel verdict, at (d,); the label is its regime, -1 if none is known."""

    position: NDArray[np.float64]
    p: float
    label: int  # its regime, -1 if none is known


@dataclass(frozen=True)
class FollowUp:
    """Where to look again, (d,), because of which spot; one that is confirmed is bracketed."""

    position: NDArray[np.float64]
    spot: Novel
    confirmed: bool

    def rate(self, survey: Survey) -> float:
        """Expected new regimes per second of beam time."""
        worth = chance_new(self.spot.p)
        if self.confirmed:
            node = survey.window.nearest_node(self.position[None])[0]
            worth = max(float(survey.gain[node]), COVERED) * (1 + BOUNDARY)
        return worth / (survey.exposure_s + float(survey.travel_to(self.position[None])[0]))


def chance_new(p: float) -> float:
    """Chance that an exposure with this p-value is of something new."""
    odds = _ODDS * _SHAPE * p ** (_SHAPE - 1)
    return odds / (1 + odds)


def follow_up(survey: Survey, novel: Sequence[Novel]) -> FollowUp | None:
    """Where to look again; None if nothing is to be followed up.

    One exposure beside a novel spot, by one beam size, confirms it; so does a novel neighbour, or a novel exposure
    of the same regime elsewhere. A confirmed spot is bracketed by `NEIGHBOURS` exposures at the smallest radius of
    interest, unless one that it is confirmed by has been.
    """
    beam, smallest = AROUND * survey.beam_size, AROUND * survey.hidden.smallest
    if not novel:
        return None
    places, labels = np.stack([x.position for x in novel]), np.array([x.label for x in novel])
    n_beside, n_around = (survey.places.query_ball_point(places, at, return_length=True) for at in (beam, smallest))
    is_bracketed = n_around - n_beside >= NEIGHBOURS
    _, of, count = np.unique(labels, return_inverse=True, return_counts=True)
    others, _ = cKDTree(places).query(places, [2])  # the nearest of all is the spot itself
    is_confirmed = (others[:, 0] <= smallest) | ((labels >= 0) & (count[of] > 1))
    bracketed, _ = cKDTree(places[is_bracketed]).query(places)
    of_bracketed = np.isin(labels, labels[is_bracketed & (labels >= 0)])
    is_done = np.where(is_confirmed, (bracketed <= smallest) | of_bracketed, n_beside > 1)  # itself among them
    for i in sorted(map(int, np.flatnonzero(~is_done)), key=lambda i: novel[i].p):
        spot = novel[i]
        distance = survey.hidden.smallest if is_confirmed[i] else survey.beam_size
        ring = spot.position + distance * _directions(len(spot.position))
        ring = ring[survey.may_measure(ring)]
        if len(ring):
            return FollowUp(ring[survey.places.query(ring)[0].argmax()], spot, bool(is_confirmed[i]))
    return None


def _directions(dimensions: int) -> NDArray[np.float64]:
    """Unit vectors all round (k, d); along the axes unless there are two dimensions."""
    if dimensions == 2:
        return np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
    return np.vstack([np.eye(dimensions), -np.eye(dimensions)])
