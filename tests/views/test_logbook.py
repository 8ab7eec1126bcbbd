import inspect
import io
import threading
from datetime import datetime
from weakref import WeakSet

import pandas as pd
import rich
from IPython.lib.pretty import pretty

from ainerd.agent import WhileRunning
from ainerd.jobs import doing, waiting
from ainerd.views import Logbook
from tests.waiting import until

during = inspect.getmodule(WhileRunning)


def lines(texts, start="2026-11-20 22:58:00"):
    times = pd.date_range(start, periods=len(texts), freq="90s", tz="UTC")
    return Logbook(pd.DataFrame({"created": times, "text": texts, "raw_uid": "uid"}))


def test_the_log_shows_times_and_texts():
    log = lines(["at (1.00, 2.00): regime 0, p = 0.4", "at (3.00, 4.00): regime 1, p = 0.01 (novel)"])
    assert isinstance(log, pd.DataFrame) and log["text"].str.contains("novel").tolist() == [False, True]
    (_, last) = repr(log.tail(1)).splitlines()
    assert last.strip().endswith("(novel)") and repr(log[["raw_uid"]]) == repr(pd.DataFrame(log)[["raw_uid"]])
    assert "<td>uid</td>" in log[["raw_uid"]]._repr_html_() and log._repr_html_() is None
    for shown in (repr(log), pretty(log)):
        (day, first, second) = shown.splitlines()
        local = datetime(2026, 11, 20, 22, 58).astimezone().tzinfo
        at = log["created"].dt.tz_convert(local)
        assert day.strip() == f"{at[0]:%a %d %b}"
        assert first.split(maxsplit=1) == [f"{at[0]:%H:%M:%S}", "at (1.00, 2.00): regime 0, p = 0.4"]
        assert second.strip().endswith("(novel)")


def test_each_day_has_a_heading_and_old_lines_are_counted():
    log = lines([f"line {i} [red]" for i in range(2000)])
    head, *shown = repr(log).splitlines()
    assert head.strip() == "… 1940 lines before" and shown[-1].endswith("line 1999 [red]")
    zone = datetime(2026, 11, 22).astimezone().tzinfo
    days = log["created"].iloc[-60:].dt.tz_convert(zone).dt.strftime("%a %d %b").unique()
    assert [line.strip() for line in shown if "line" not in line] == list(days)
    assert repr(lines([])) == "nothing yet"


class Counting:
    quiet, progress = False, (50, 200)


def test_the_progress_line_counts_frames_names_a_long_step_and_disappears(monkeypatch):
    screen, agent, over = io.StringIO(), Counting(), threading.Event()
    monkeypatch.setattr(during, "_counting", WeakSet([agent]))
    over.set()
    rich.reconfigure(file=screen, force_terminal=True, width=80)
    try:
        WhileRunning().block(over)
        assert "50 of 200 frames" in screen.getvalue()
        assert screen.getvalue().endswith("\x1b[1A\x1b[2K")  # the line is gone
        with doing("calibrating"), doing("compiling"):
            WhileRunning().block(over)
        assert "50 of 200 frames; calibrating" in (shown := screen.getvalue())  # it began first
        agent.quiet = True
        WhileRunning().block(over)
        assert screen.getvalue() == shown
    finally:
        rich.reconfigure()


def test_a_step_that_takes_long_is_printed_once_wherever_the_code_runs(monkeypatch, capsys):
    for name, value in {"PATIENCE_S": 0.05, "GAP_S": 0.0, "_announced": set()}.items():
        monkeypatch.setattr(f"ainerd.jobs.{name}", value)
    printed = []
    for what in ("calibrating", "compiling", "compiling"):
        with doing(what):
            until(lambda it=what: printed.append(capsys.readouterr().err) or it in "".join(printed), "it is printed")
    with doing("something short"), waiting("reading the catalog"):
        pass
    with waiting("analysing the runs"), doing("fitting"):
        until(lambda: printed.append(capsys.readouterr().err) or "the runs" in "".join(printed), "the wait is printed")
    each = [line for line in "".join(printed).splitlines() if line != "ainerd: fitting …"]
    assert each == ["ainerd: calibrating …", "ainerd: compiling …", "ainerd: analysing the runs: fitting …"]
