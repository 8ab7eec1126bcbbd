"""The progress and the end of a run: late frames, spoilt runs, and faults that the detector reports."""

import threading
import time

import pytest
from run_parts import Sink, Toy, fed, flown, movie, scan

from ainerd.config import Detector
from ainerd.runs import RunInProgress


@pytest.mark.parametrize(("unit", "events"), [("run", [None] * 6), ("event", [1, 1, 2, 3, 4, 4])])
def test_the_progress_is_that_of_the_run(unit, events):
    run, progress = RunInProgress(Sink(Toy(unit=unit))), []
    for name, doc in scan(movie(1, 2, 3), num_points=3):
        run(name, doc)
        progress.append((run.progress, run.event))
    assert [frames for frames, _ in progress[:-1]] == [None, (0, 3), (1, 3), (2, 3), (3, 3)]
    assert [event for _, event in progress] == events


@pytest.mark.parametrize(("ended_s", "n_read"), [(0, 3), (60, 0)])
def test_late_frames_are_waited_for_so_long_after_the_end_of_the_run(tmp_path, ended_s, n_read):
    documents = list(flown(tmp_path, [1, 2, 3], exposures=1))
    documents[-1][1]["time"] = time.time() - ended_s
    path = (tmp_path / "frames.h5").rename(tmp_path / "later.h5")
    late = threading.Timer(0.5, path.rename, [tmp_path / "frames.h5"])
    late.start()
    _, sink = fed(Toy(), documents, roots=[tmp_path], late_s=30.0)
    late.join()
    assert [unit.n_read for unit, _, _ in sink.ended] == [n_read]


@pytest.mark.parametrize(
    ("status", "reason", "problem"),
    [("fail", "spoilt: no beam", "spoilt: no beam"), ("fail", "a crash", None), ("success", "spoilt", None)],
)
def test_a_run_that_its_plan_calls_spoilt_has_no_analysis(status, reason, problem):
    documents = [
        (name, {**doc, "reason": reason} if name == "stop" else doc)
        for name, doc in scan(movie(1, 2), status=status, num_points=2)
    ]
    _, sink = fed(Toy(), documents)
    ((unit, analysis, _),) = sink.ended
    assert unit.problem == problem and (analysis is None) == (problem is not None)


@pytest.mark.parametrize(("value", "claims"), [(0.0, True), (2.0, True), (3.0, False)])
def test_a_fault_that_the_detector_reports_leaves_no_claim(value, claims):
    keys = Detector(image="det", flags={"temperature": 2.0})
    _, sink = fed(Toy(p=0.01), scan(movie(1), temperatures=[value], num_points=1), keys=keys)
    ((_, analysis, _),) = sink.ended
    fault = "the detector reports a fault: temperature is 3, above 2"
    assert (analysis.novelty_p, analysis.summary.get("no_claim")) == ((0.01, None) if claims else (None, fault))
    _, sink = fed(Toy(), scan(movie(666), temperatures=[value]), keys=keys)
    assert sink.ended[0][0].problem == ("" if claims else f"{fault}; ") + "the number of the beast"
