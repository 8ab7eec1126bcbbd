"""The campaign as it was when a position was chosen, at the prompt and by the command."""

import bluesky.plans as bp
import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd.processes import whereabouts

pytestmark = pytest.mark.usefixtures("installed_toy")


def lines(text):
    """The text of each label."""
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in str(text).splitlines() if line[:1] != " "}


def test_the_state_at_the_moment_of_a_choice(beamline):
    b = beamline(agent={"acquire": bp.count})
    agent, b.agent.quiet = b.agent, True
    b.RE(agent.explore(1))
    agent.exclude("a crack", sample_x=(0.0, 1.5))
    agent.add(3.5, reason="a scratch")
    agent.hold("tea"), agent.release()
    b.RE(agent.explore(1))
    agent.excluded = []
    b.RE(agent.explore(1))
    b.RE(bp.count([b.camera, b.x]))
    table = b.table().set_index("scan_id")
    explored = [scan for scan in table.index if isinstance(table.loc[scan, "suggestion_id"], str)]
    first, second, third = (lines(agent.why(scan)) for scan in explored)
    assert first["excluded"] == "no regions" and "after 0 results" in first["chosen"]
    assert first["chosen"].startswith("by the agent, ") and first["reason"].startswith("the first point")
    assert second["excluded"] == "sample_x 0 to 1.5" and second["chosen"].startswith(f"by {whereabouts()['user']}, ")
    assert second["reason"] == "a scratch" and "after 1 result" in second["chosen"] and second["held"] == "no"
    assert third["excluded"] == "no regions" and "after 2 results" in third["chosen"]
    by_hand = next(scan for scan in table.index if scan not in explored)
    with pytest.raises(ValueError, match=f"scan {by_hand} has no suggestion: it was taken by hand"):
        agent.why(by_hand)
    other = agent.results.container["results"][agent.results.key(explored[2])]
    other.update_metadata({"suggestion_id": "of-another-catalog"})
    with pytest.raises(ValueError, match=f"the suggestion of scan {explored[2]} is not in this catalog"):
        agent.why(explored[2])
    agent.drain()

    done, none = (CliRunner().invoke(app, ["log", str(scan), "--config", str(b.toml)]) for scan in (explored[1], 99))
    assert done.exit_code == 0 and lines(done.stdout)["reason"] == "a scratch"
    assert none.exit_code != 0 and "scan 99 has none" in str(none.exception)
