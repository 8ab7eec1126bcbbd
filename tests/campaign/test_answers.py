"""The campaign's answers to results that are in Tiled without a regime."""

import os
import signal

import pandas as pd
import pytest
from campaign_toys import campaign_on, outcome, usable, written

from ainerd.results import Away, ResultStore
from tests.killed import killed


@pytest.mark.fault(
    "The session is killed (-9) after a result is written and before it has its regime",
    "The next start gives it its regime, writes the status of its suggestion, and logs it once",
)
def test_a_result_without_a_regime_is_answered_by_the_next_start(client):
    (taken,) = campaign_on(client).register_suggestions([{"x": 1.0, "y": 2.0}])

    def work():
        campaign = campaign_on(client)
        ResultStore.label = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # in the child alone
        campaign.answer(written(client, "run", 3.0, suggestion=taken))

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


def test_a_growing_result_keeps_its_regime_until_the_next(client):
    campaign, store = campaign_on(client), ResultStore(client["ainerd"], agent="toy")
    first = written(client, "run", 3.0, status="growing")
    assert store.table(all=True).loc[first.key, "awaits_regime"]
    assert campaign.answer(first).regime == 0
    row = store.table(all=True).loc[first.key]  # the table that was read before
    assert row["regime_then"] == 0 and pd.isna(row.get("awaits_regime"))
    assert campaign.answer(written(client, "run", 3.0, status="growing")).regime == 0
    assert campaign.answer(written(client, "run", 3.0)).status == "complete"


@pytest.mark.fault("Tiled goes away between a result and its regime", "The campaign goes on, and writes it later")
def test_a_regime_that_tiled_does_not_take_is_written_later(make, store, caplog):
    campaign, label = make(), store.label

    def away(*_, **__):
        raise Away("not now", 503)

    store.label = away
    assert campaign.answer(outcome("a", z=3.0)).regime == 0
    assert "decisions of toy are not written yet" in caplog.text and campaign.peek().point and usable(campaign) == {"a"}
    campaign.journal.catch_up()
    store.label = label
    campaign.journal.catch_up()
    assert store.labels["a"]["regime"] == 0
    store.labels.clear()
    campaign.journal.catch_up()
    assert not store.labels  # once


def test_a_series_that_has_no_point_yet_has_no_regime(make, store):
    campaign = make()
    assert campaign.answer(outcome("a", z=None, status="growing", reason="too few frames")).regime == -1
    assert campaign.answer(outcome("b", z=3.0)).regime == 0 and not store.labels.keys() - {"b"}


def test_results_that_tiled_does_not_have_end_an_exploration(make, store):
    """The key may have lost its right to write: each exposure would be lost."""
    campaign = make()
    for i in range(5):
        assert "no result" not in campaign.should_stop()[1]
        campaign.answer(outcome(f"lost {i}", z=None, is_in_tiled=False))
    assert campaign.should_stop() == (True, "the last 5 exposures gave no result")
    assert not store.lines and not len(campaign.exposures)
