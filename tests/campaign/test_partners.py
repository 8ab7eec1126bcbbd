"""Two techniques on one sample, whose agents know of each other only by Tiled."""

import uuid
from functools import partial

import numpy as np
import pandas as pd
import pytest
from campaign_toys import BOUNDS, Toy, campaign_on, written

from ainerd.results import Away
from ainerd.results.commands import Exclude


class Slow(Toy):
    """A technique for relaxation: something is novel near (7.3, 2.1)."""

    name, parameters = "slow", {"slow": 1}
    place = np.array([7.3, 2.1])


class Structure(Toy):
    """Another embedding of another length: something is novel near (1.2, 8.8)."""

    name, parameters, embedding_size = "structure", {"structure": 1}, 3
    place = np.array([1.2, 8.8])


def measure(client, campaign, technique, position=None):
    """Measure a position, or the next suggestion; return it, and its reason."""
    campaign.look_elsewhere()
    (suggestion,) = [{**position, "_id": uuid.uuid4().hex}] if position else campaign.suggest(1)
    where = {name: float(suggestion[name]) for name in BOUNDS}
    is_new = bool(np.linalg.norm(np.array([*where.values()]) - technique.place) < 1.0)
    about = {"suggestion": suggestion, "technique": technique, "p": 0.002 if is_new else 0.5}
    campaign.answer(written(client, uuid.uuid4().hex, 5.0 * is_new, position=where, **about))
    return where, suggestion.get("reason", "")


def test_a_position_that_is_novel_to_one_technique_is_measured_with_the_other(client):
    of_slow = {"partners": ["structure"], "smallest_feature": 1.0}
    of_structure = {"partners": ["slow"], "smallest_feature": 1.0}
    slow = partial(measure, client, campaign_on(client, Slow(), **of_slow), Slow())
    structure = partial(measure, client, campaign_on(client, Structure(), **of_structure), Structure())
    for _ in range(3):
        slow()
        structure()
    spot = {"x": 7.25, "y": 2.0}
    slow(spot)
    where, reason = structure()
    assert where == spot and reason == "slow found something novel at (7.25, 2.00)"  # the very spot, next
    assert "found something" not in structure()[1]  # once
    structure({"x": 1.2, "y": 8.8})
    two = [slow() for _ in range(2)]  # first it confirms its own
    assert ({"x": 1.2, "y": 8.8}, "structure found something novel at (1.20, 8.80)") in two

    again = partial(measure, client, campaign_on(client, Slow(), **of_slow), Slow())  # after a restart
    assert "found something" not in again()[1]
    structure({"x": 0.6, "y": 9.4})
    assert {"x": 0.6, "y": 9.4} in [again()[0] for _ in range(2)]


@pytest.fixture
def of_everybody(make, store):
    """Makes a campaign with the partner slow, whose store has these results of all agents."""

    def of_everybody(*rows, **options):
        names = ["agent", "x", "y", "novel", "novelty_p", "supersedes", "status"]
        table = pd.DataFrame.from_dict({f"{i}": row for i, row in enumerate(rows)}, orient="index", columns=names)
        store.of_everybody = lambda: table
        return make(partners=["slow"], **options or {"smallest_feature": 1.0})

    return of_everybody


@pytest.mark.fault(
    "Tiled does not answer when the findings of another technique are read",
    "The earlier positions stay, and nothing stops",
)
def test_without_an_answer_of_tiled_the_candidates_stay(of_everybody, store):
    campaign = of_everybody(("slow", 1.2, 8.8, True, 0.002, None, "complete"))
    campaign.look_elsewhere()
    before = campaign.peek().point
    assert (before["x"], before["y"]) == (1.2, 8.8)

    def away():
        raise Away("Tiled is away")

    store.of_everybody = away
    campaign.look_elsewhere()
    assert campaign.peek().point == before


def test_the_newest_of_several_analyses_counts_and_only_positions_that_are_novel_to_the_partners(of_everybody):
    campaign = of_everybody(
        ("slow", 1.0, 2.0, True, 0.01, None, "complete"),
        ("slow", 3.0, 2.0, True, 0.02, None, "complete"),
        ("slow", 3.1, 2.0, False, 0.3, "1", "partial"),  # the one before was analysed again
        ("slow", 1.1, 2.0, False, 0.4, "0", "computing"),  # and the first one is being analysed
        ("slow", 5.0, 2.0, False, 0.5, None, "complete"),
        ("other", 6.0, 2.0, True, 0.01, None, "complete"),
        ("slow", 7.0, None, True, 0.01, None, "complete"),
        ("slow", 9.0, 9.0, True, 0.01, None, "complete"),
    )
    campaign.apply(Exclude(region={"x": (8.0, 10.0)}))
    campaign.look_elsewhere()
    points = [(each["x"], each["y"]) for each in campaign.suggest(6) if "slow found something" in each["reason"]]
    assert points == [(1.0, 2.0)]


def test_a_readback_beside_a_value_of_a_knob_is_that_value(of_everybody):
    knobs = {"x": {"range": (0, 10), "length": 1}, "y": {"range": (0, 10), "length": 1, "values": (2, 8)}}
    campaign = of_everybody(("slow", 1.0, 2.02, True, 0.01, None, "complete"), knobs=knobs)
    campaign.look_elsewhere()
    assert {"x": 1.0, "y": 2.0}.items() <= campaign.peek().point.items()
