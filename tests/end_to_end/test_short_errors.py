"""Errors of usage take one line at the prompt; others keep their frames."""

import inspect
import logging

import httpx
import pytest
from bluesky import RunEngine
from IPython.core.interactiveshell import InteractiveShell

from ainerd.agent import short_errors
from ainerd.results import ResultStore

errors = inspect.getmodule(short_errors)


@pytest.fixture
def shell(monkeypatch):
    """An IPython with an agent, whose errors are shortened."""
    shell = InteractiveShell(colors="nocolor")
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    shell.user_ns["RE"] = RE = RunEngine({})
    short_errors(RE)
    yield shell
    log = logging.getLogger("ainerd")
    log.handlers, log.propagate, log.level = [h for h in log.handlers if "ainerd" not in type(h).__module__], True, 0


def shown(shell, capsys, line):
    """Type a line and return what it printed; `shell` returns the error too."""
    result = shell.run_cell(line)
    assert result.error_in_exec is not None
    return capsys.readouterr().out


def test_an_error_of_usage_takes_one_line(session, shell, capsys):
    session.agent.attach(session.RE)
    shell.user_ns |= {"agent": session.agent, "RE": session.RE}
    for line, said in {
        "agent.add(33, 2)": "ainerd: sample_x = 33 lies outside its bounds (0, 10)",
        "agent.exclude(sample_z=(1, 2))": "ainerd: an excluded region takes limits of sample_x, sample_y",
        "RE(agent.sample((20, 3)))": "ainerd: sample_x = 20 lies outside its bounds (0, 10)",
        "agent.exclude(sample_x=3)": "ainerd: region.sample_x: ",
        "agent.results[999]": "ainerd: no result '999': scan 999 has none",
        "agent.results.export('x.xyz')": "ainerd: x.xyz: give a name that ends in .csv, .parquet or .h5",
        "agent.results.export('/nowhere/x.csv')": "ainerd: Cannot save file into a non-existent directory: '/nowhere'",
    }.items():
        (only,) = shown(shell, capsys, line).strip().splitlines()
        assert only.startswith(said), only
    shell.run_cell("%tb")
    assert "write_table" in capsys.readouterr().out  # the frames of the last one, for a developer


def test_a_line_of_the_log_is_a_sentence(shell, capsys, caplog):
    logging.getLogger("ainerd.runs._worker").warning("the analysis is %.0f s behind", 3)
    assert capsys.readouterr() == ("ainerd: the analysis is 3 s behind\n", "")
    assert set(caplog.messages) == {"the analysis is 3 s behind"}  # other handlers of the root logger get it


def test_other_errors_keep_their_frames(session, shell, capsys):
    shell.user_ns |= {"agent": session.agent, "store": session.agent.results}
    for line, frame in {
        "1 / 0": "1 / 0",
        "def mine():\n    agent.add(33, 2)\nmine()": "in mine()",  # a person wants to know where in it
        "agent.name_regime('a', 'gel')": "int(regime)",  # nothing of ours raised it on purpose
        "agent.reject()": "agent.reject()",
    }.items():
        assert frame in shown(shell, capsys, line)


def test_tiled_that_is_away_takes_one_line(session, shell, capsys, monkeypatch):
    def away(*args, **kwargs):
        raise httpx.ConnectError("Connection refused")

    monkeypatch.setattr(httpx.Client, "send", away)
    shell.user_ns["store"] = ResultStore.__new__(ResultStore)
    shell.user_ns["store"].__dict__ |= session.agent.results.__dict__
    assert "ainerd: Tiled does not answer" in shown(shell, capsys, "store.suggestions()")
