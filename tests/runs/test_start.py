"""Metadata of the start document in a result."""

import numpy as np

from ainerd.runs import RecordedKeys, start_metadata


def test_usual_and_configured_metadata_are_kept():
    keys = {"esaf": "proposal.esaf", "cell": "cell_id", "nothing": "nowhere.at.all"}
    wanted = RecordedKeys(positions=("sample_x",), readings={"user": "user_reading"}, start=keys)
    start = {"plan_name": "count", "sample_name": "PEG 3", "user": "left to the reading", "cell_id": ["A", 4]}
    start["proposal"] = {"esaf": 271, "name": "gels"}
    kept = start_metadata(start, wanted)
    assert kept == {"sample": "PEG 3", "proposal": "gels", "plan": "count", "esaf": 271, "cell": "A, 4"}
    assert start_metadata({"sample": "", "proposal": {}}, wanted) == {}


def test_the_proposal_of_nsls2_is_kept():
    """As ``sync-experiment`` of nslsii writes it into ``RE.md``."""
    proposal = {"proposal_id": "312345", "title": "Gels", "type": "GU", "pi_name": "Ada"}
    start = {"data_session": "pass-312345", "cycle": "2026-3", "username": "ada", "proposal": proposal}
    kept = {"user": "ada", "proposal": "312345", "data_session": "pass-312345", "cycle": "2026-3"}
    assert start_metadata(start, RecordedKeys(positions=())) == kept


def test_any_value_of_the_metadata_becomes_a_number_a_text_or_nothing():
    class Odd:
        pass

    given = {
        "zero": 0, "no": False, "text": "a", "empty": "", "none": None, "one": np.float64(2.5), "array": np.array([7]),
        "several": np.array([[1, 2]]), "tuple": (1, "b"), "list": [], "odd": Odd(), "named": {"name": "Ann"},
        "unnamed": {"x": 1}, "deep": {"er": {"name": "Bob"}},
    }  # fmt: skip
    wanted = RecordedKeys(positions=("text",), start={name: name for name in (*given, "missing")} | {"cell": "deep.er"})
    assert start_metadata(given, wanted) == {
        "zero": 0, "no": False, "one": 2.5, "array": 7, "several": "[1, 2]", "tuple": "1, b", "named": "Ann",
        "cell": "Bob",
    }  # fmt: skip
    both = {"sample": "one", "sample_name": "other"}
    assert start_metadata(both, RecordedKeys(positions=())) == {"sample": "one"}
    assert start_metadata(both, RecordedKeys(positions=(), start={"sample": "sample_name"})) == {"sample": "other"}
