"""Metadata of the start document in a result."""

from ainerd.runs import RecordedKeys, start_metadata


def test_usual_and_configured_metadata_are_kept():
    wanted = RecordedKeys(
        positions=("sample_x",),
        series={},
        readings={"user": "user_reading"},
        units={},
        start={"esaf": "proposal.esaf", "cell": "cell_id", "nothing": "nowhere.at.all"},
    )
    start = {
        "plan_name": "count",
        "sample_name": "PEG 3",
        "user": "left to the reading",
        "proposal": {"esaf": 271, "name": "gels"},
        "cell_id": ["A", 4],
    }
    kept = start_metadata(start, wanted)
    assert kept == {"sample": "PEG 3", "proposal": "gels", "plan": "count", "esaf": 271, "cell": "A, 4"}
    assert start_metadata({"sample": "", "proposal": {}}, wanted) == {}


def test_the_proposal_of_nsls2_is_kept():
    """As ``sync-experiment`` of nslsii writes it into ``RE.md``."""
    proposal = {"proposal_id": "312345", "title": "Gels", "type": "GU", "pi_name": "Ada"}
    start = {"data_session": "pass-312345", "cycle": "2026-3", "username": "ada", "proposal": proposal}
    kept = {"user": "ada", "proposal": "312345", "data_session": "pass-312345", "cycle": "2026-3"}
    assert start_metadata(start, RecordedKeys(positions=())) == kept
