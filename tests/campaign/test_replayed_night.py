"""A recorded night gives the same suggestions again, bit for bit: the events and the results hold all that decides."""

from dataclasses import replace

import numpy as np
import pytest
from campaign_toys import BOUNDS, Jobs, Store, outcome

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.decisions.changes import parse_change
from ainerd.results import commands

STEERING = Steering(bounds=BOUNDS, beam_size=0.1, smallest_feature=1.5)


@pytest.fixture
def night(make, technique, store):
    """A night of results, verdicts, boxes and points of people; returns its outcomes by key."""
    campaign, rng, outcomes = make(smallest_feature=1.5), np.random.default_rng(5), {}
    for i in range(14):
        does = rng.integers(6) if i > 2 else 5
        if does == 0:
            campaign.apply(commands.Add(position=dict(zip("xy", rng.uniform(0, 10, 2).tolist(), strict=True))))
        elif does == 1:
            ready = campaign.peek().point
            position = {name: ready[name] for name in "xy"}
            campaign.apply(commands.Reject(suggestion=ready["_id"], position=position, reason=ready["reason"]))
        elif does == 2:
            low = float(rng.uniform(0, 9))
            campaign.apply(commands.Exclude(region={"x": (low, low + 0.7)}))
        elif does == 3:
            campaign.apply(rng.choice([commands.Hold, commands.Release])())
        (taken,) = campaign.suggest()
        if does == 4:
            campaign.register_failures([taken])
            continue
        x, y = taken["x"], taken["y"]
        about = {"novelty_p": float(rng.uniform()), "trial_id": taken["_id"]}
        outcomes[f"r{i}"] = outcome(f"r{i}", x, y, z=float(3 * (x > 5) + 6 * (y > 6)), **about)
        campaign.answer(outcomes[f"r{i}"])
    campaign.end()
    return outcomes


def numbers(suggestion):
    """Position, terms and reason of a suggestion: all but its id."""
    return {name: x for name, x in suggestion.items() if name not in ("_id", "id")}


def proposals(records):
    return [numbers(record["suggestion"]) for record in records if record["kind"] == "proposed"]


def test_a_recorded_night_gives_the_same_suggestions(night, technique, store):
    recorded, again = store.changes, Store()
    campaign, ids = Campaign(technique, again, STEERING, Jobs(), Jobs()), {}
    campaign.take_over()

    def now(values):
        """Return values with the ids of the suggestions of this night."""
        return {name: ids.get(x, x) if isinstance(x, str) else x for name, x in values.items()}

    for record in recorded:
        event = parse_change(record)
        for result in event.learned:
            campaign.answer(replace(night[result.key], trial_id=now({"id": result.suggestion})["id"]))
        match record["kind"]:
            case "asked":
                values = now(event.command.model_dump())
                campaign.apply(commands.parse_command({**values, "id": values["id"]}))
            case "handed out":
                (taken,) = campaign.suggest()
                assert numbers(taken) == numbers(event.suggestion.point)
                ids[event.suggestion.id] = taken["_id"]
            case "unfinished":
                campaign.register_failures([{"_id": now({"id": id})["id"], **x} for id, x in event.positions.items()])
            case "proposed":
                ids[event.suggestion.id] = campaign.peek().id
    assert proposals(again.changes) == proposals(recorded) and len(proposals(recorded)) > 10
