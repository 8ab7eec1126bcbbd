"""Runs that a killed session left, of which its events and its state in Tiled say nothing."""

import json

import bluesky.plans as bp
import pytest

from ainerd.results import AgentNode
from ainerd.results.commands import Add
from ainerd.runs import start_documents
from ainerd.server import open_catalog
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("installed_toy")


@pytest.mark.fault(
    "A session is killed (-9) after an exposure that a person asked for, before its decision reached Tiled",
    "The next session does not expose the position again, and scans go on after the highest number",
)
def test_a_position_that_a_run_names_is_not_exposed_again(beamline):
    b = beamline(starts=False)
    point = Add(position={"sample_x": 3.5}, why="a scratch")
    node = AgentNode(open_catalog(b.client)[1], "toy beamline")
    node.open()
    assert node.send(point)
    b.RE(bp.count([b.camera, b.x]), suggestion_id=point.id, scan_id=12)
    unwritten = b.settings.storage.unwritten
    unwritten.mkdir(parents=True, exist_ok=True)
    left = {"name": "start", "doc": {"uid": "left", "time": 1.0, "scan_id": 40}}
    (unwritten / "left.jsonl").write_text(json.dumps(left) + "\n")
    (unwritten / "half.jsonl").write_text('{"name": "st')
    assert sorted(start["scan_id"] for start in start_documents(b.client["raw"], unwritten)) == [12, 40]
    b.start_agent(acquire=bp.count)
    b.agent.quiet = True
    until(lambda: not node.commands())
    asked = b.client["ainerd", "agents"].values().first()["commands", point.id].metadata
    assert (asked["status"], asked["answer"]) == ("refused", "it was measured already")
    assert point.id not in [each.id for each in b.agent.optimizer.state.waiting]
    (uid, *_) = b.RE(bp.count([b.camera, b.x]))
    assert b.client["raw"][uid].metadata["start"]["scan_id"] == 41
