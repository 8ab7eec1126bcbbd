"""The campaign's answers to results that are in Tiled without a regime."""

import os
import signal
import uuid
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from campaign_toys import BOUNDS, Jobs, Toy, outcome, usable

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.results import Away, Refused, ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.words import utc_now
from tests.killed import killed


def campaign_on(client, submit=lambda job, **_: job()):
    store = ResultStore(client["ainerd"], agent="toy")
    campaign = Campaign(Toy(), store, Steering(bounds=BOUNDS), Jobs(), Jobs(submit))
    campaign.take_over()
    return campaign


def written(client, raw_uid, z, suggestion=None, status="complete"):
    """Write a result as the analysis does, and return its outcome."""
    store, position = ResultStore(client["ainerd"], agent="toy"), {"x": 1.0, "y": 2.0}
    id = None if suggestion is None else suggestion["_id"]
    of_run = {"parameters": Toy.parameters, "suggestion_id": id, "technique": "toy", "agent": "toy"}
    record = ResultRecord(raw_uid=raw_uid, **of_run)
    store.begin(record)
    analysis = Analysis(embedding=np.array([z, 0], np.float32), novelty_p=None, arrays={"a": np.ones(3)})
    about = {"positions": position, "status": status, "awaits_regime": utc_now()}
    store.complete(record.key, analysis, **about)
    return outcome(record.key, z=z, raw_uid=raw_uid, trial_id=id or record.key, **about)


@pytest.fixture
def client(server):
    client = server.client().create_container(f"answers-{uuid.uuid4().hex}")
    open_catalog(client)
    return client


@pytest.mark.fault(
    "The session is killed (-9) after a result is written and before it has its regime",
    "The next start gives it its regime, writes the status of its suggestion, and logs it once",
)
@pytest.mark.parametrize("step", ["label", "log"])
def test_a_result_without_a_regime_is_answered_by_the_next_start(client, monkeypatch, step):
    (taken,) = campaign_on(client).register_suggestions([{"x": 1.0, "y": 2.0}])

    def work():
        campaign = campaign_on(client)
        monkeypatch.setattr(ResultStore, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        campaign.answer(written(client, "run", 3.0, taken))

    killed(work)
    store = ResultStore(client["ainerd"], agent="toy")
    (key,) = store.table().index
    assert store.record(key).awaits_regime is not None
    again = campaign_on(client)
    record = store.record(key)
    assert (record.regime, record.awaits_regime, record.status) == (0, None, "complete")
    assert usable(again) == {key} and store.suggestion(taken["_id"]).status == "measured"
    campaign_on(client)  # a further start changes nothing
    assert sum(line.startswith("at (1.00, 2.00)") for line in store.logbook()["text"]) == 1
    assert store.table()["regime"].tolist() == [0] and store.array(key, "a").tolist() == [1, 1, 1]


def test_a_table_that_was_read_before_the_regime_shows_it_afterwards(client):
    store = ResultStore(client["ainerd"], agent="toy")
    campaign = campaign_on(client)
    first, _ = (written(client, raw_uid, 3.0) for raw_uid in ("first", "later"))
    assert store.table(all=True)["awaits_regime"].notna().all()
    campaign.answer(first)
    row = store.table(all=True).loc[first.key]
    assert row["regime_then"] == 0 and pd.isna(row["awaits_regime"])


def test_a_growing_result_keeps_its_regime_until_the_next(client):
    campaign, store = campaign_on(client), ResultStore(client["ainerd"], agent="toy")
    regimes = [campaign.answer(written(client, "run", z, status="growing")).regime for z in (3.0, 3.0)]
    assert regimes == [0, 0] and store.record(store.table().index[0]).awaits_regime is None
    assert campaign.answer(written(client, "run", 3.0)).status == "complete"


@pytest.mark.fault("Tiled goes away between a result and its regime", "The campaign goes on, and writes it later")
@pytest.mark.parametrize("status", [None, 401, 404, 503])
def test_a_regime_that_tiled_does_not_take_is_written_later(make, store, monkeypatch, caplog, status):
    campaign, label, away = make(), store.label, Away("not now", status)
    store.answers = lambda: True
    monkeypatch.setattr(store, "label", lambda *_, **__: (_ for _ in ()).throw(away))
    assert campaign.answer(outcome("a", z=3.0)).regime == 0
    assert "decisions of toy are not written yet" in caplog.text and campaign.peek().point and usable(campaign) == {"a"}
    campaign.journal.catch_up()
    monkeypatch.setattr(store, "label", label)
    campaign.journal.catch_up()
    assert store.labels["a"]["regime"] == 0
    store.labels.clear()
    campaign.journal.catch_up()
    assert not store.labels  # once


@pytest.mark.parametrize("refused", [Refused("no", 422), TypeError("a fault of this program")])
def test_a_regime_that_can_never_be_written_holds_up_no_other(make, store, monkeypatch, caplog, refused):
    label = store.label

    def refuse(key, **what):
        if key == "a":
            raise refused
        label(key, **what)

    campaign = make()
    monkeypatch.setattr(store, "label", refuse)
    for key in ("a", "b"):
        campaign.answer(outcome(key, z=3.0))
    assert [*store.labels] == ["b"]
    assert [line for line in caplog.messages if "left out" in line][0].startswith(f"an effect is left out, {refused}")
    assert not campaign.journal.is_behind


def test_a_series_that_has_no_point_yet_has_no_regime(make, store):
    campaign = make()
    assert campaign.answer(outcome("a", z=None, status="growing", reason="too few frames")).regime == -1
    assert campaign.answer(outcome("b", z=3.0)).regime == 0 and not store.labels.keys() - {"b"}


def test_a_run_that_comes_again_is_answered_once(make, store):
    campaign, given = make(), outcome("a", is_recalled=True, awaits_regime=utc_now())
    assert [campaign.answer(given).regime for _ in range(2)] == [0, -1] and len(store.lines) == 1
    assert campaign.answer(replace(given, awaits_regime="")) == replace(given, awaits_regime="")
