"""Sessions of one agent on one sample, which know of each other only by Tiled."""

import itertools
import re
import threading
import uuid
from dataclasses import replace

import httpx
import numpy as np
import pytest
from campaign_toys import BOUNDS, Toy, outcome
from scipy.spatial.distance import pdist

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.jobs import Jobs
from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.words import utc_now

SHARED = {"shared_s": 60.0, "beam_size": 0.5}


def place(suggestion):
    return np.array([suggestion[name] for name in BOUNDS])


def test_a_place_that_another_session_accepted_or_proposed_before_is_left_to_it(make, store):
    first, second = make(**SHARED), make(**SHARED)
    theirs = first.peek()
    ours = second.peek()
    assert np.linalg.norm(place(theirs) - place(ours)) >= 0.5
    (accepted,) = first.suggest(1)
    assert accepted["_id"] == theirs["_id"]
    third = make(**SHARED)
    places = [place(x) for x in (accepted, *second.suggest(2), *third.suggest(2), first.peek())]
    assert pdist(places).min() >= 0.5


def test_results_of_other_sessions_are_learned_before_a_position_is_proposed(make, store):
    first, second = make(**SHARED), make(**SHARED)
    (theirs,) = first.suggest(1)
    x, y = place(theirs)
    store.add_result("k", [3.0, 0.0], suggestion_id=theirs["_id"], x=x, y=y, novelty_p=0.5, novel=False)
    store.set_status(theirs["_id"], "measured")
    (handed,) = second.suggest(1)
    assert np.linalg.norm(place(handed) - [x, y]) >= 0.5 and second.results == {"k"}
    assert first.results == set()  # it has proposed nothing since
    assert second.atlas.regime_of("k") == second.answer(outcome("own", z=3.0)).regime


def test_no_reason_says_that_nothing_was_measured_beside_a_point_of_another_session(make, store):
    one, other = make(), make()  # without `shared_s`
    one.peek()
    (theirs,) = other.suggest(1)
    x, y = place(theirs)
    store.add_result("k", [3.0, 0.0], suggestion_id=theirs["_id"], x=x, y=y, novelty_p=0.5, novel=False)
    store.set_status(theirs["_id"], "measured")
    assert one.settle()  # as a plan does before each point
    (mine,) = one.suggest(1)
    if radius := re.search(r"nothing was measured within ([\d.]+)", mine["reason"]):
        assert float(radius[1]) <= np.linalg.norm(place(mine) - [x, y]) + 0.05
    assert one.results == {"k"} and "another session has measured" in {x.status_reason for x in store.saved.values()}


def test_each_result_is_learned_once(make, store, monkeypatch):
    campaign, other, learned = make(**SHARED), make(**SHARED), []
    ingest = campaign.explorer.ingest
    monkeypatch.setattr(campaign.explorer, "ingest", lambda points: ingest(learned.extend(points) or points))
    for key in "abc":
        (theirs,) = other.suggest(1)
        x, y = place(theirs)
        store.add_result(key, [3.0, 0.0], suggestion_id=theirs["_id"], x=x, y=y, novelty_p=0.5, novel=False)
        store.set_status(theirs["_id"], "measured")
        (mine,) = campaign.suggest(1)
        own = outcome(f"own {key}", *place(mine), trial_id=mine["_id"])
        campaign.answer(own)
        store.add_result(own.key, own.embedding, suggestion_id=mine["_id"], **own.positions)
    campaign.suggest(1)
    assert len(learned) == 6 and campaign.results == {*"abc", "own a", "own b", "own c"}


def test_without_tiled_no_position_is_handed_out(make, store):
    campaign = make(**SHARED)
    asked = []
    store.seems_away, store.answers = True, lambda: asked.append(1)
    with pytest.raises(ValueError, match="Tiled does not answer"):
        campaign.suggest(1)
    assert len(asked) == 3  # for its event, for the suggestion, and when it was asked for: not again and again
    store.seems_away, store.answers = False, lambda: True
    assert len(campaign.suggest(1)) == 1


def test_accepted_points_of_a_dead_session_keep_their_place_and_proposed_ones_do_not(make, store):
    dead = make(**SHARED)
    (accepted,), proposed = dead.suggest(1), dead.peek()
    for id, record in store.saved.items():  # an hour ago
        store.saved[id] = record.changed(created="2020-01-01T00:00:00+00:00")
    again = make(**SHARED)
    again.close_open()
    assert store.saved[accepted["_id"]].status == "accepted" and store.saved[proposed["_id"]].status == "withdrawn"
    places = [place(each) for each in again.suggest(6)]
    assert np.linalg.norm(places - place(accepted), axis=1).min() >= 0.5


def test_a_suggestion_that_waited_for_long_is_replaced(make, store, monkeypatch):
    campaign = make(**SHARED)
    old, now = campaign.peek(), 0.0
    monkeypatch.setattr("ainerd.campaign._campaign.time.time", lambda: 4e9 + now)
    (new,) = campaign.suggest(1)
    assert new["_id"] != old["_id"] and store.saved[old["_id"]].status == "superseded"


def until_it_answers(write, *args, **kwargs):
    """Write again while Tiled is slow to answer, as an agent does with the runs that wait on its disk."""
    for attempt in itertools.count(1):
        try:
            return write(*args, **kwargs)
        except httpx.TimeoutException:
            if attempt == 5:
                raise


def explore(client, n, failed, barrier):
    """Explore as a session of its own."""
    store, own, tiled = ResultStore(client["ainerd"], agent="toy"), Jobs("own"), Jobs("tiled")
    campaign = Campaign(Toy(), store, Steering(bounds=BOUNDS, **SHARED), own, tiled)
    own.start(), tiled.start()
    try:
        barrier.wait(60)
        for _ in range(n):
            (suggestion,) = campaign.suggest(1)
            positions = {name: suggestion[name] for name in BOUNDS}
            id = suggestion["_id"]
            about = {"parameters": Toy.parameters, "suggestion_id": id, "positions": positions}
            record = ResultRecord(raw_uid=id, technique="toy", agent="toy", **about)
            until_it_answers(store.begin, record)
            z = np.array([positions["x"] > 5, 0.0], np.float32)
            analysis = Analysis(embedding=z, novelty_p=None, arrays={})
            done = replace(outcome(record.key, z=0.0), raw_uid=id, trial_id=id, positions=positions, embedding=z)
            about = {"positions": positions, "awaits_regime": utc_now()}
            until_it_answers(store.complete, record.key, analysis, **about)
            campaign.answer(done)
    except BaseException as error:
        failed.append(error)
    finally:
        own.close(), tiled.close()


@pytest.mark.fault("Sessions of one agent choose at the same moment", "No position is taken twice")
def test_sessions_that_race_take_no_position_twice(server):
    client = server.client().create_container(f"race-{uuid.uuid4().hex}")
    open_catalog(client)
    failed, barrier, n = [], threading.Barrier(3), 2
    threads = [threading.Thread(target=explore, args=(client, n, failed, barrier)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not failed, failed
    table = ResultStore(client["ainerd"], agent="toy").table(status="complete")
    assert len(table) == 6 and pdist(table[["x", "y"]].to_numpy(float)).min() >= 0.5 * (1 - 1e-6)
    last = ResultStore(client["ainerd"], agent="toy").current_labels()
    assert set(last) == set(table.index)
