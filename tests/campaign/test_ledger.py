import logging

import numpy as np
import pytest
from campaign_toys import outcome

from ainerd.campaign._ledger import Ledger
from ainerd.decisions import terms_of
from ainerd.decisions._state import limits_text
from ainerd.results import Away

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
        raise Away("no route")

    monkeypatch.setattr(store, "log", away)
    with caplog.at_level(logging.ERROR):
        ledger.note("a line")
    assert "Tiled did not accept: note" in caplog.text


def test_a_finding_says_the_verdict_that_was_given(ledger):
    result = outcome("a", x=1.0, y=2.0, regime=3, novelty_p=0.04)
    assert ledger.finding(result) == "at (1.00, 2.00): regime 3, p = 0.04"
    assert ledger.finding(outcome("a", novelty_p=0.2, novel=True)).endswith("p = 0.2 (novel)")
    assert ledger.finding(outcome("a")).endswith("no p-value")
    unknown = "at an unknown position (x and y not recorded: add them to the detectors of the plan)"
    assert ledger.finding(outcome("a", z=None, positions={})) == f"{unknown}: no result, too dark"
    half = "at x 2.00 (y not recorded: add it to the detectors of the plan)"
    assert ledger.finding(outcome("a", z=None, positions={"x": 2.0})) == f"{half}: no result, too dark"
    assert ledger.finding(outcome("a", scan_id=7, event=2)).startswith("scan 7.2 at (")
    of_file = "run_12.h5 at x 2.00 (y not recorded: name it in [acquisition.readings])"
    assert ledger.finding(outcome("a", z=None, positions={"x": 2.0}, file="run_12.h5")).startswith(of_file)


def test_terms_are_the_numbers_beside_the_position():
    about = {"_id": "s", "x": 1.0, "n": 2, "gain": np.float32(0.5), "ok": True, "reason": "why", "at": [1]}
    assert terms_of(about, ("x",)) == {"n": 2.0, "gain": 0.5}
    assert limits_text({"x": (0, 2.5), "y": (1, 2)}) == "x 0 to 2.5, y 1 to 2"


def test_the_last_result_of_a_dead_session_is_logged_once(ledger, store):
    known = [outcome("a", regime=1, novelty_p=0.5), outcome("b", x=1.0, y=2.0, regime=3, novelty_p=0.04)]
    for key in "ab":
        store.add_result(key, [0.0, 0.0])
    for _ in range(2):
        ledger.log_last({each.key: each for each in known})
    ((line, ids),) = store.lines
    assert line == "at (1.00, 2.00): regime 3, p = 0.04 (written at the next start, because the session had ended)"
    assert ids == {"raw_uid": "run of b", "result": "b"}


def test_nothing_is_tried_while_tiled_is_known_to_be_away(ledger, store, caplog):
    store.seems_away, store.answers = True, lambda: False
    ledger.note("a line")
    assert not store.lines and "Tiled does not answer: note ('a line',) is not written" in caplog.text
    store.answers = lambda: True
    ledger.note("a line", once="k", by="Ann", result="r")
    ledger.note("again", once="k")
    assert store.lines == [("a line", {"result": "r"})] and store.by == ["Ann"]
