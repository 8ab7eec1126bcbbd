import logging

import httpx
import numpy as np
import pytest
from campaign_toys import outcome

from ainerd.campaign import Ledger, limits_text, terms_of

SUGGESTION = {"_id": "s", "x": 1.0, "y": 2.5, "reason": "nobody was there", "unexplored": 0.5}


@pytest.fixture
def ledger(store):
    return Ledger(store, ("x", "y"))


def test_a_suggestion_is_kept_with_its_terms_and_who_made_it(ledger, store):
    ledger.suggested(SUGGESTION)
    record = store.saved["s"]
    assert record.positions == {"x": 1.0, "y": 2.5} and record.terms == {"unexplored": 0.5}
    assert (record.agent, record.status, record.status_by) == ("toy", "proposed", "toy")
    assert record.status_time == record.created
    ledger.suggested(SUGGESTION, "accepted", "person")
    assert store.status("s") == ("accepted", "person")


@pytest.mark.parametrize(
    ("before", "then", "after"),
    [
        ("proposed", "superseded", "superseded"),
        ("accepted", "superseded", "accepted"),  # somebody is about to measure it
        ("accepted", "withdrawn", "accepted"),
        ("accepted", "failed", "failed"),
        ("measured", "failed", "measured"),
        ("failed", "measured", "measured"),  # analysed again
        ("superseded", "measured", "measured"),
        ("proposed", "rejected", "rejected"),
    ],
)
def test_accepted_and_measured_suggestions_keep_their_status(ledger, store, before, then, after):
    ledger.suggested(SUGGESTION)
    store.set_status("s", before)
    ledger.status("s", then, "why")
    assert store.saved["s"].status == after


def test_a_suggestion_that_is_not_in_tiled_is_left_alone(ledger):
    ledger.status("nothing", "measured")


def test_a_line_that_tiled_refuses_is_logged(ledger, store, monkeypatch, caplog):
    def away(*args, **kwargs):
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(store, "log", away)
    with caplog.at_level(logging.ERROR):
        ledger.note("a line")
    assert "Tiled did not accept: note" in caplog.text


def test_a_finding_says_the_verdict_that_was_given(ledger):
    found = outcome("a", x=1.0, y=2.0, regime=3, novelty_p=0.04)
    assert ledger.finding(found) == "at (1.00, 2.00): regime 3, p = 0.04"
    assert ledger.finding(outcome("a", novelty_p=0.2, novel=True)).endswith("p = 0.2 (novel)")
    assert ledger.finding(outcome("a")).endswith("no claim of novelty")
    assert ledger.finding(outcome("a", z=None, positions={})) == "at an unknown position: no result, too dark"
    assert ledger.finding(outcome("a", scan_id=7, event=2)).startswith("scan 7.2 at (")


def test_terms_are_the_numbers_beside_the_position():
    about = {"_id": "s", "x": 1.0, "n": 2, "gain": np.float32(0.5), "ok": True, "reason": "why", "at": [1]}
    assert terms_of(about, ("x",)) == {"n": 2.0, "gain": 0.5}
    assert limits_text({"x": (0, 2.5), "y": (1, 2)}) == "x 0 to 2.5, y 1 to 2"
