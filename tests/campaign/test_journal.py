"""What is written to Tiled after an event, and sentences about a result."""

import numpy as np
import pytest
from campaign_toys import BOUNDS, Jobs, Toy, outcome

from ainerd.campaign._comparison import Comparison
from ainerd.campaign._journal import Journal
from ainerd.campaign._sentences import finding
from ainerd.decisions import Rules, changes
from ainerd.results import Away
from ainerd.steering import Suggestion, Window

SUGGESTION = Suggestion(id="s", position={"x": 1.0, "y": 2.5}, reason="nobody was there", terms={"unexplored": 0.5})
RULES = Rules(session="me", window=Window(BOUNDS))


@pytest.fixture
def journal(store):
    journal = Journal(store, RULES, Jobs(), Jobs(), Comparison(store, Toy()))
    journal.steers = True
    return journal


def test_a_suggestion_is_kept_with_its_terms_and_who_made_it(journal, store):
    journal.write(changes.Suggest(SUGGESTION))
    record = store.saved["s"]
    assert record.positions == {"x": 1.0, "y": 2.5} and record.terms == {"unexplored": 0.5}
    assert (record.agent, record.status, record.status_by) == ("toy", "proposed", "toy")
    assert record.status_time == record.created
    journal.write(changes.Suggest(SUGGESTION, "accepted", "person"), changes.SetStatus("nothing", "measured"))
    assert store.status("s") == ("accepted", "person") and not journal.is_behind


@pytest.mark.parametrize(
    ("before", "then", "after"),
    [
        ("proposed", "superseded", "superseded"),
        ("accepted", "superseded", "accepted"),  # somebody is about to measure it
        ("accepted", "failed", "failed"),
        ("measured", "failed", "measured"),
        ("failed", "measured", "measured"),  # analysed again
        ("superseded", "measured", "measured"),
        ("proposed", "rejected", "rejected"),
    ],
)
def test_accepted_and_measured_suggestions_keep_their_status(journal, store, before, then, after):
    journal.write(changes.Suggest(SUGGESTION))
    store.set_status("s", before)
    journal.write(changes.SetStatus("s", then, "why"))
    assert store.saved["s"].status == after


def test_a_line_waits_while_tiled_is_away_and_is_written_once(journal, store, monkeypatch):
    line = changes.Line("a line", "k", "Ann", {"result": "r"})
    store.seems_away, store.answers = True, lambda: False
    journal.write(line)
    assert not store.lines and journal.is_behind
    store.answers = lambda: True
    with monkeypatch.context() as patch:
        patch.setattr(store, "log", lambda *_, **__: (_ for _ in ()).throw(Away("no route")))
        journal.catch_up()
        assert journal.is_behind
    journal.catch_up()
    journal.write(line)
    assert store.lines == [("a line", {"result": "r"})] and store.by == ["Ann"]


def test_a_finding_says_the_verdict_that_was_given():
    result = outcome("a", x=1.0, y=2.0, regime=3, novelty_p=0.04)
    assert finding(result, RULES, {}) == "at (1.00, 2.00): regime 3, p = 0.04"
    assert finding(result, RULES, {3: "gel"}) == "at (1.00, 2.00): regime 3 (gel), p = 0.04"
    assert finding(outcome("a", novelty_p=0.2, novel=True), RULES, {}).endswith("p = 0.2 (novel)")
    assert finding(outcome("a"), RULES, {}).endswith("no p-value")
    unknown = "at an unknown position (x and y not recorded: add them to the detectors of the plan)"
    assert finding(outcome("a", z=None, positions={}), RULES, {}) == f"{unknown}: no result, too dark"
    half = "at x 2.00 (y not recorded: add it to the detectors of the plan)"
    assert finding(outcome("a", z=None, positions={"x": 2.0}), RULES, {}) == f"{half}: no result, too dark"
    assert finding(outcome("a", scan_id=7, event=2), RULES, {}).startswith("scan 7.2 at (")
    of_file = "run_12.h5 at x 2.00 (y not recorded: name it in [acquisition.readings])"
    assert finding(outcome("a", z=None, positions={"x": 2.0}, file="run_12.h5"), RULES, {}).startswith(of_file)


def test_terms_are_the_numbers_beside_the_position():
    about = {"_id": "s", "x": 1.0, "n": 2, "gain": np.float32(0.5), "ok": True, "reason": "why", "at": [1]}
    assert Suggestion.of({**about, "x": 1.0}, ("x",)).terms == {"n": 2.0, "gain": 0.5}
