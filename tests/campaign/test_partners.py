"""Two techniques on one sample, whose agents know of each other only by Tiled."""

import uuid
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from campaign_toys import BOUNDS, Jobs, Toy, outcome

from ainerd.campaign import Campaign
from ainerd.campaign._proposals import Partners
from ainerd.config import Steering
from ainerd.results import Away, ResultRecord, ResultStore
from ainerd.results.commands import Exclude
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.words import utc_now


class Slow(Toy):
    """A technique for relaxation: something is novel near (7.3, 2.1)."""

    name, parameters = "slow", {"slow": 1}
    place = np.array([7.3, 2.1])


class Structure(Toy):
    """Another embedding of another length: something is novel near (1.2, 8.8)."""

    name, parameters, embedding_size = "structure", {"structure": 1}, 3
    place = np.array([1.2, 8.8])


class Session:
    """A campaign of a technique in a catalogue, without threads."""

    def __init__(self, technique, client, partner):
        self.technique, self.store = technique, ResultStore(client["ainerd"], agent=technique.name)
        steering = Steering(bounds=BOUNDS, beam_size=0.1, smallest_feature=1.0, partners=[partner])
        self.campaign = Campaign(technique, self.store, steering, Jobs(), Jobs())
        self.campaign.take_over()

    def measure(self, position=None):
        """Measure a position, or the next suggestion; return it."""
        self.campaign.look_elsewhere()
        (suggestion,) = [{**position, "_id": uuid.uuid4().hex}] if position else self.campaign.suggest(1)
        where = {name: float(suggestion[name]) for name in BOUNDS}
        is_new = np.linalg.norm(np.array([*where.values()]) - self.technique.place) < 1.0
        about = {"parameters": self.technique.parameters, "suggestion_id": suggestion["_id"], "positions": where}
        record = ResultRecord(
            raw_uid=uuid.uuid4().hex, technique=self.technique.name, agent=self.technique.name, **about
        )
        self.store.begin(record)
        z = np.zeros(self.technique.embedding_size, np.float32)
        z[0] = 5.0 * is_new
        p = 0.002 if is_new else 0.5
        done = replace(
            outcome(record.key), raw_uid=record.raw_uid, trial_id=suggestion["_id"], positions=where, embedding=z
        )
        done = replace(done, novelty_p=p, novel=is_new)
        analysis = Analysis(embedding=z, novelty_p=p, arrays={}, calibration={"id": "bank", "n": 500, "alpha": 0.05})
        self.store.complete(record.key, analysis, positions=where, awaits_regime=utc_now())
        self.campaign.answer(done)
        return where, suggestion.get("reason", "")


@pytest.fixture
def client(server):
    client = server.client().create_container(f"partners-{uuid.uuid4().hex}")
    open_catalog(client)
    return client


def test_a_position_that_is_novel_to_one_technique_is_measured_with_the_other(client):
    slow, structure = Session(Slow(), client, "structure"), Session(Structure(), client, "slow")
    for _ in range(3):
        slow.measure()
        structure.measure()
    spot = {"x": 7.25, "y": 2.0}
    slow.measure(spot)
    where, reason = structure.measure()
    assert where == spot and reason == "slow found something novel at (7.25, 2.00)"  # the very spot, next
    assert "found something" not in structure.measure()[1]  # once
    structure.measure({"x": 1.2, "y": 8.8})
    two = [slow.measure() for _ in range(2)]  # first it confirms its own
    assert ({"x": 1.2, "y": 8.8}, "structure found something novel at (1.20, 8.80)") in two

    again = Session(Slow(), client, "structure")  # after a restart
    assert "found something" not in again.measure()[1]
    structure.measure({"x": 0.6, "y": 9.4})
    assert {"x": 0.6, "y": 9.4} in [again.measure()[0] for _ in range(2)]


def test_places_that_may_not_be_measured_and_results_without_an_actuator_are_no_candidates(client):
    slow, structure = Session(Slow(), client, "structure"), Session(Structure(), client, "slow")
    slow.campaign.apply(Exclude(region={"x": (0.0, 2.0)}))
    structure.measure({"x": 1.2, "y": 8.8})
    assert "found something" not in slow.measure()[1]
    about = {"parameters": {"slow": 1}, "raw_uid": uuid.uuid4().hex, "technique": "structure", "agent": "structure"}
    record = ResultRecord(positions={"z": 1.0}, **about)
    structure.store.begin(record)
    analysis = Analysis(embedding=np.zeros(3, np.float32), novelty_p=0.001, arrays={}, calibration={"alpha": 0.05})
    structure.store.complete(record.key, analysis)
    assert "found something" not in slow.measure()[1]


def test_a_look_is_one_request_for_changes(client, monkeypatch):
    slow, structure = Session(Slow(), client, "structure"), Session(Structure(), client, "slow")
    structure.measure({"x": 1.2, "y": 8.8})
    partners = Partners(slow.store, [*BOUNDS], ["structure", "a third", "a fourth"])
    assert partners.look() and len(partners.candidates) == 1
    http, asked = client.context.http_client, []
    send = http.send
    monkeypatch.setattr(http, "send", lambda *a, **more: (asked.append(send(*a, **more)), asked[-1])[1])
    assert not partners.look()
    (answer,) = asked
    assert len(answer.content) < 1300
    structure.measure({"x": 0.6, "y": 9.4})
    asked.clear()
    assert partners.look() and len(partners.candidates) == 2 and len(asked) == 1


@pytest.mark.fault(
    "Tiled does not answer when the findings of another technique are read",
    "The earlier positions stay, and nothing stops",
)
def test_without_an_answer_of_tiled_the_candidates_stay(client, monkeypatch):
    slow, structure = Session(Slow(), client, "structure"), Session(Structure(), client, "slow")
    structure.measure({"x": 1.2, "y": 8.8})
    slow.campaign.look_elsewhere()
    before = slow.campaign.peek().point
    assert (before["x"], before["y"]) == (1.2, 8.8)

    def away(*_, **__):
        raise Away("Tiled is away")

    monkeypatch.setattr(ResultStore, "of_everybody", away)
    slow.campaign.look_elsewhere()
    assert slow.campaign.peek().point == before


def test_the_newest_of_several_analyses_counts_and_only_positions_that_are_novel_to_the_partners():
    def table(**changes):
        rows = {
            "a": ("slow", 1.0, 2.0, True, 0.01, None, "complete"),
            "b": ("slow", 3.0, 2.0, True, 0.02, None, "complete"),
            "c": ("slow", 3.1, 2.0, True, 0.03, "b", "partial"),  # b was analysed again
            "d": ("slow", 1.1, 2.0, True, 0.04, "a", "computing"),  # and a is being analysed
            "e": ("slow", 5.0, 2.0, False, 0.5, None, "complete"),
            "f": ("other", 6.0, 2.0, True, 0.01, None, "complete"),
            "g": ("slow", 7.0, None, True, 0.01, None, "complete"),
        } | changes
        names = ["agent", "x", "y", "novel", "novelty_p", "supersedes", "status"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=names)

    answer = SimpleNamespace(results=table())
    partners = Partners(SimpleNamespace(of_everybody=lambda: answer.results), ("x", "y"), ["slow"])
    assert partners.look() and not partners.look()
    assert [(each.position, each.p, each.agent) for each in partners.candidates] == [
        ({"x": x, "y": 2.0}, p, "slow") for x, p in ((1.0, 0.01), (3.1, 0.03), (1.1, 0.04))
    ]  # fmt: skip
    answer.results = table(e=("slow", 5.0, 2.0, False, 0.6, None, "complete"))
    assert not partners.look()  # another result, and the same candidates
    answer.results = table(e=("slow", 5.0, 2.0, True, 0.6, None, "complete"))
    assert partners.look() and len(partners.candidates) == 4
    answer.results = table().drop(columns="novel")
    assert not partners.look() and len(partners.candidates) == 4
