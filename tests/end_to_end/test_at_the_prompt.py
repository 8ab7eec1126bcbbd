"""Notes, mistakes and help of a person at the prompt."""

import gc
import re
import warnings

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky.utils import Plan
from IPython.core.oinspect import Inspector


def test_a_note_names_a_result_by_its_scan_number(session, capsys):
    agent, RE = session.agent, session.RE
    RE(bps.mv(session.shutter, "open"))
    RE.md |= {"sample": "PEG 3", "user": "ada"}
    RE(bp.count([session.detector, session.stage], num=2))
    assert agent.drain()  # the last results come after RE returned
    (scan,) = agent.results.table(all=True)["scan_id"].unique()
    printed = capsys.readouterr().out
    assert re.findall(r"^scan (\S+): ", printed, re.MULTILINE) == [f"{scan}.1", f"{scan}.2"]
    assert agent.log()["text"].str.contains(f"scan {scan}.2 at (", regex=False).any()
    table = agent.results.search(user="ada", plan="count")
    assert table["sample"].tolist() == ["PEG 3"] * 2
    agent.note("a bubble", scan=int(scan))
    agent.note("and a scratch", scan=f"{scan}.2")
    assert agent.results.table(all=True)["note"].tolist() == ["a bubble", "a bubble; and a scratch"]
    RE(bp.scan([session.rheometer], session.stage.x, 0, 1, 3))
    agent.note("a run without a result", scan=int(scan) + 1)
    assert "a run without a result" in repr(agent.log()) and "a bubble" in repr(agent.results)
    with pytest.raises(ValueError, match="a note is a text"):
        agent.note(" ")
    with pytest.raises(KeyError, match="there is no scan 999"):
        agent.note("nothing", scan=999)


def test_add_by_name_and_a_call_that_does_not_exist(session):
    agent = session.agent
    added = agent.add(sample_x=3, sample_y=4, reason="a scratch")
    assert (added["sample_x"], added["sample_y"]) == (3.0, 4.0)
    with pytest.raises(ValueError, match="a position has sample_x, sample_y, got"):
        agent.add(sample_x=3, sample_z=4)
    with pytest.raises(AttributeError, match="no attribute 'explroe', did you mean 'explore'"):
        agent.explroe(3)


def test_a_plan_that_is_not_run_warns(session):
    plan = session.agent.explore(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del plan
        gc.collect()
        (warning,) = [str(warning.message).strip() for warning in caught if "was not run" in str(warning.message)]
        assert warning.endswith("nothing is measured: RE(agent.explore(3)) runs it") and "\n" not in warning
        caught.clear()
        plan = session.agent.explore(3)
        assert isinstance(plan, Plan) and repr(plan) == "<a plan, nothing is measured yet: RE(agent.explore(3))>"
        del plan  # it said so already
        gc.collect()
    assert not any("was not run" in str(warning.message) for warning in caught)


def test_the_guide_has_each_name_that_tab_completes(session):
    agent = session.agent
    shown = Inspector(theme_name="nocolor").info(agent)["docstring"]
    assert len(dir(agent)) <= 30
    for name in dir(agent):
        assert f"agent.{name}" in shown and hasattr(agent, name)
