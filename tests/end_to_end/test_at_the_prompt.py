"""The terminal shows counts, scans and late results as they are in Tiled."""

import gc
import re
import warnings

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky.utils import Plan
from IPython.core.oinspect import Inspector
from rich import get_console

FEW = 64


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal wide enough for every line."""
    monkeypatch.setattr(get_console(), "_width", 250)


def printed(text):
    """Parse lines of results: scan to regime, p and novel."""
    rows = {}
    for scan, regime, p, novel in re.findall(
        r"^scan (\S+): (?:regime (\d+)|no regime), (?:p = ([^\s,]+)|no p-value)( \(novel)?", text, re.MULTILINE
    ):
        assert scan not in rows  # one line each
        rows[scan] = regime and int(regime), p and float(p), bool(novel)
    return rows


def stored(table):
    """Return the same values of the table of results."""
    rows = {}
    for row in table.to_dict("records"):
        event = f".{row['event']}" if (row["n_events"] or 1) > 1 else ""
        p = row["novelty_p"]
        regime = "" if row["regime_then"] < 0 else row["regime_then"]
        rows[f"{row['scan_id']}{event}"] = regime, "" if p != p else float(f"{p:.2g}"), bool(row["novel"] == True)  # noqa: E712
    return rows


def test_the_line_of_each_result_agrees_with_tiled(session, capsys):
    agent, RE = session.agent, session.RE
    RE(agent.explore(1))
    RE(bps.mv(session.shutter, "open"))
    session.expect(FEW)
    RE.md |= {"sample": "PEG 3", "user": "ada"}
    (count,) = RE(bp.count([session.detector, session.stage], num=3))
    assert agent.drain()  # the last results come after RE returned
    output, table = capsys.readouterr().out, agent.results.table(all=True)
    assert printed(output) == stored(table) and len(table) == 4
    number = table["scan_id"].iloc[-1]
    assert list(printed(output))[1:] == [f"{number}.1", f"{number}.2", f"{number}.3"]
    assert table["sample"].tolist()[1:] == ["PEG 3"] * 3 and table["plan"].tolist()[0] == "expose"
    assert set(agent.results.search(user="ada", plan="count").index) == set(table.index[1:])
    assert set(table["raw_uid"].iloc[1:]) == {count}
    following = [line for line in output.splitlines() if " → next " in line]
    assert following and all(") mm" in line for line in following)
    assert agent.log()["text"].str.contains(f"scan {number}.3 at (", regex=False).any()


def test_a_note_names_a_result_by_its_scan_number(session):
    agent = session.agent
    scans = agent.results.table(all=True)["scan_id"]
    agent.note("a bubble", scan=int(scans.iloc[-1]))
    agent.note("and a scratch", scan=f"{scans.iloc[-1]}.2")
    assert agent.results.table(all=True)["note"].tolist()[1:] == ["a bubble", "a bubble; and a scratch", "a bubble"]
    session.RE(bp.scan([session.rheometer], session.stage.x, 0, 1, 3))
    agent.note("a run without a result", scan=int(scans.iloc[-1]) + 1)
    assert "a run without a result" in repr(agent.log()) and "a bubble" in repr(agent.results)
    agent.note("of the whole scan", scan=int(scans.iloc[-1]))
    assert agent.results.table(all=True)["note"].iloc[1:].str.endswith("of the whole scan").all()
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
