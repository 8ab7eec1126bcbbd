"""Statuses of suggestions in Tiled, and lines of the log about a result."""

import numpy as np
import pytest
from campaign_toys import outcome

from ainerd.decisions import changes
from ainerd.results.commands import Name
from ainerd.steering import Suggestion


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
def test_accepted_and_measured_suggestions_keep_their_status(make, store, before, then, after):
    journal = make().journal
    journal.write(changes.Suggest(Suggestion(id="s", position={"x": 1.0, "y": 2.5}, reason="nobody was there")))
    store.set_status("s", before)
    journal.write(changes.SetStatus("s", then, "why"))
    assert store.saved["s"].status == after


def test_a_line_of_the_log_has_the_place_the_regime_and_the_verdict(make, store):
    campaign = make()
    campaign.answer(outcome("first"))
    campaign.apply(Name(regime=0, name="gel"))
    not_recorded = "(y not recorded: add it to the detectors of the plan): no result, too dark"
    lines = {
        "at (1.00, 2.00): regime 0 (gel), p = 0.04": {"x": 1.0, "y": 2.0, "novelty_p": 0.04},
        "at (5.00, 5.00): regime 0 (gel), no p-value": {},
        "scan 7.2 at (5.00, 5.00): regime 1, p = 0.2 (novel)": {
            "z": 3.0, "scan_id": 7, "event": 2, "novelty_p": 0.2, "novel": True,
        },
        f"at x 2.00 {not_recorded}": {"z": None, "positions": {"x": 2.0}},
        "run_12.h5 at x 2.00 (y not recorded: name it in [acquisition.readings]): no result, too dark": {
            "z": None, "positions": {"x": 2.0}, "file": "run_12.h5",
        },
    }  # fmt: skip
    for i, (text, about) in enumerate(lines.items()):
        campaign.answer(outcome(f"{i}", **about))
        assert text in [line for line, _ in store.lines]


def test_terms_are_the_numbers_beside_the_position():
    about = {"_id": "s", "x": 1.0, "n": 2, "gain": np.float32(0.5), "ok": True, "reason": "why", "at": [1]}
    assert Suggestion.of({**about, "x": 1.0}, ("x",)).terms == {"n": 2.0, "gain": 0.5}
