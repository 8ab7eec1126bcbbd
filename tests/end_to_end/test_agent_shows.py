"""What the agent shows of a campaign: lines, log and figure agree with Tiled, and only the main thread draws."""

import threading
from functools import partial

import numpy as np
import pytest
from bluesky import RunEngine
from IPython.lib.pretty import pretty
from matplotlib import pyplot

import ainerd.views._live as live_module
from ainerd.agent import WhileRunning
from ainerd.techniques.rheo_xpcs.figures import cluster_figure, read_azimuths, similarity_figure


@pytest.fixture
def drawn(monkeypatch):
    """(thread, number of results) of each drawing."""
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
    live_module.refresh_all()
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


def test_the_paper_s_figures_need_nothing_but_tiled(session):
    store = session.agent.results
    azimuths = read_azimuths(store, k=2)
    table = store.table("complete")
    assert azimuths.runs.index.equals(table.index) and azimuths.labels.shape == (3, 18)
    np.testing.assert_allclose(azimuths.runs["start_s"], table["time_since_shear"])
    np.testing.assert_allclose(azimuths.runs["stop_s"] - azimuths.runs["start_s"], 50)
    start, stop = (azimuths.runs[name].to_numpy()[azimuths.stress["exposure"]] for name in ("start_s", "stop_s"))
    assert azimuths.stress["age"].between(start, stop).all()
    np.testing.assert_array_equal(azimuths.latents[2], store.array(table.index[2], "latent"))
    for draw in (cluster_figure, similarity_figure):
        assert draw(azimuths, partial(store.array, name="c2")).axes


def test_completion_offers_what_is_for_a_person(session):
    names = dir(session.agent)
    assert {"explore", "suggest", "log", "plot", "results"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
