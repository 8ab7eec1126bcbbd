"""What a result keeps of the start document."""

from ainerd.runs import Wanted
from ainerd.runs._start import said_at_start


def test_the_usual_and_what_is_asked_for():
    wanted = Wanted(
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
    kept = said_at_start(start, wanted)
    assert kept == {"sample": "PEG 3", "proposal": "gels", "plan": "count", "esaf": 271, "cell": "A, 4"}
    assert said_at_start({"sample": "", "proposal": {}}, wanted) == {}
