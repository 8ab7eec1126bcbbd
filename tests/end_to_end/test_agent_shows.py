"""Lines, log and figure of a campaign agree with Tiled."""

import numpy as np
from IPython.core.formatters import DisplayFormatter
from IPython.lib.pretty import pretty


def test_figure_lines_and_log_agree_with_tiled(session, capsys):
    agent = session.agent
    session.RE(agent.explore(2))
    assert agent.drain()
    figure, table, following = agent.plot(), agent.results.table(), agent.suggest()
    assert not [text for axes in figure.axes for text in axes.texts if "cannot be drawn" in text.get_text()]
    assert len([axes for axes in figure.axes if axes.get_xlabel() == "$t_1$ (s)"]) == 3  # newest, clean, nearest
    (sample,) = [axes for axes in figure.axes if axes.get_ylabel() == "sample_y (mm)"]
    np.testing.assert_allclose(sample.lines[0].get_xydata(), table[["sample_x", "sample_y"]])
    star = sample.collections[-1].get_offsets()[0]
    np.testing.assert_allclose(star, [following["sample_x"], following["sample_y"]])
    shown, _ = DisplayFormatter().format(figure)  # as a notebook does
    assert shown["image/png"].startswith(b"\x89PNG")
    lines = capsys.readouterr().out
    assert lines.count(" → next ") == 2 and "regime" in lines
    assert all(text in repr(agent.log()) for text in agent.results.logbook()["text"])
    assert "results" in pretty(agent) and "queue" in pretty(agent)


def test_completion_offers_public_names_only(session):
    names = dir(session.agent)
    assert {"explore", "suggest", "log", "plot", "results"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
