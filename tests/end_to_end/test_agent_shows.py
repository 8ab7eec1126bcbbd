"""Lines, log and figure of a campaign agree with Tiled, and only the main thread draws."""

import inspect
import threading

import numpy as np
import pytest
from bluesky import RunEngine
from IPython.lib.pretty import pretty
from matplotlib import pyplot

from ainerd.agent import WhileRunning
from ainerd.views import LiveFigure, refresh_all

live_module = inspect.getmodule(LiveFigure)


@pytest.fixture
def drawn(monkeypatch):
    """Thread and number of results of each drawing."""
    draw, found = live_module.draw_campaign, []

    def spy(figure, scene):
        found.append((threading.current_thread().name, len(scene.table)))
        draw(figure, scene)

    monkeypatch.setattr(live_module, "draw_campaign", spy)
    return found


def test_the_figure_follows_the_runs_in_the_main_thread_until_its_window_is_closed(session, drawn, capsys, monkeypatch):
    monkeypatch.setattr(live_module, "has_windows", lambda: True)  # pyplot manages it, as it does a window
    agent, RE = session.agent, RunEngine({}, during_task=WhileRunning())
    agent.detach()
    agent.attach(RE)
    live = agent.plot()
    assert drawn == [("MainThread", 0)]
    RE(agent.explore(1))
    RE(agent.explore(1))
    assert agent.drain()
    refresh_all()
    assert {thread for thread, _ in drawn} == {"MainThread"} and drawn[-1][1] == 2
    assert agent.plot() is live

    table, following = agent.results.table(), agent.suggest()
    assert not [text for axes in live.figure.axes for text in axes.texts if "cannot be drawn" in text.get_text()]
    assert len([axes for axes in live.figure.axes if axes.get_xlabel() == "$t_1$ (s)"]) == 3  # newest, clean, nearest
    (sample,) = [axes for axes in live.figure.axes if axes.get_ylabel() == "sample_y (mm)"]
    np.testing.assert_allclose(sample.lines[0].get_xydata(), table[["sample_x", "sample_y"]])
    star = sample.collections[-1].get_offsets()[0]
    np.testing.assert_allclose(star, [following["sample_x"], following["sample_y"]])
    said = capsys.readouterr().out
    assert said.count(" → next ") == 2 and "regime" in said
    assert all(text in repr(agent.log()) for text in agent.results.logbook()["text"])
    assert "results" in pretty(agent) and "queue" in pretty(agent)

    n = len(drawn)
    pyplot.close(live.figure)
    RE(agent.explore(1))
    assert agent.drain() and len(agent.results) == 3 and len(drawn) == n
    again = agent.plot()
    assert again is not live and again.is_open and drawn[-1] == ("MainThread", 3)
    pyplot.close("all")


def test_completion_offers_public_names_only(session):
    names = dir(session.agent)
    assert {"explore", "suggest", "log", "plot", "results"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
