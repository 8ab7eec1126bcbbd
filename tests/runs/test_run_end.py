"""The progress and the end of a run: late frames, spoilt runs, and faults that the detector reports."""

import pytest
from run_sinks import Sink, fed

from ainerd.config import Detector
from ainerd.runs import RunInProgress


@pytest.mark.parametrize(("unit", "seen"), [
    ("run", [(0, 3), (1, 3), (2, 3), (3, 3), None]), ("event", [(0, 3), (1, 3), (2, 3), (3, 3), None]),
])  # fmt: skip
def test_the_progress_is_that_of_the_run(toy, scanned, movies, unit, seen):
    technique = toy(unit=unit)
    sink, progress, events = Sink(technique), [], []
    run = RunInProgress(sink)
    for name, doc in scanned(movies(1, 2, 3), num_points=3):
        before = run.progress
        run(name, doc)
        if name == "start":
            assert before is None and run.progress is None
        else:
            progress.append(run.progress)
            events.append(run.event)
    assert progress[:-1] == seen[:-1] and events == ([None] * 5 if unit == "run" else [1, 2, 3, 4, 4])


@pytest.mark.parametrize(("late_s", "ended_s", "expected"), [(20, 5, 15), (20, 25, 0), (20, -30, 20), (0, 0, 0)])
def test_at_the_end_of_a_run_late_frames_are_waited_for(toy, scanned, movies, monkeypatch, late_s, ended_s, expected):
    technique, waits = toy(), []
    sink = Sink(technique)
    run = RunInProgress(sink, late_s=late_s)
    monkeypatch.setattr("ainerd.runs._run.time.time", lambda: 5000.0)
    advance = run._advance
    monkeypatch.setattr(run, "_advance", lambda wait_s=None: waits.append(wait_s) or advance(0.0))
    for name, doc in scanned(movies(1)):
        run(name, {**doc, "time": 5000.0 - ended_s} if name == "stop" else doc)
    assert waits == [None, None, expected] and len(sink.ended) == 1


@pytest.mark.parametrize(
    ("status", "reason", "problem"),
    [("fail", "spoilt: no beam", "spoilt: no beam"), ("fail", "a crash", None), ("success", "spoilt", None)],
)
def test_a_run_that_its_plan_calls_spoilt_has_no_analysis(toy, scanned, movies, status, reason, problem):
    documents = [
        (name, {**doc, "reason": reason} if name == "stop" else doc)
        for name, doc in scanned(movies(1, 2), status=status, num_points=2)
    ]
    _, sink = fed(toy(), documents)
    ((unit, analysis, _),) = sink.ended
    assert unit.problem == problem and (analysis is None) == (problem is not None)


@pytest.mark.parametrize(("value", "claims"), [(0.0, True), (2.0, True), (3.0, False)])
def test_a_fault_that_the_detector_reports_leaves_no_claim(toy, scanned, movies, value, claims):
    documents = list(scanned(movies(1), temperatures=[value], num_points=1))
    _, sink = fed(toy(p=0.01), documents, keys=Detector(image="det", flags={"temperature": 2.0}))
    ((_, analysis, _),) = sink.ended
    fault = "the detector reports a fault: temperature is 3, above 2"
    assert (analysis.novelty_p, analysis.summary.get("no_claim")) == ((0.01, None) if claims else (None, fault))
    _, sink = fed(
        toy(), list(scanned(movies(666), temperatures=[value])), keys=Detector(image="det", flags={"temperature": 2.0})
    )
    assert sink.ended[0][0].problem == ("" if claims else f"{fault}; ") + "the number of the beast"
