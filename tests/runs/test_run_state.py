"""A run's frames reach its technique, unit by unit: without RunEngine and Tiled."""

import weakref

import h5py
import httpx
import numpy as np
import pytest
from run_parts import Growing, Sink, Sums, Toy, fed, flown, movie, scan, written

from ainerd.config import Detector
from ainerd.documents import Run
from ainerd.results import Result
from ainerd.runs import RunInProgress
from ainerd.technique import Series
from tests.documents.flights import NUMBER, Flight, image


def test_a_run_is_one_analysis_of_all_its_frames():
    technique = Toy()
    run, sink = fed(technique, scan(movie(1, 2, 3), num_points=3))
    ((unit, analysis, closes),) = sink.ended
    assert analysis.arrays["sums"].tolist() == [1, 2, 3] and analysis.status == "complete" and closes
    assert analysis.arrays["temperature"].tolist() == [300, 301, 302]
    assert unit.event is None and [x.status for x in run.results] == ["complete"] and run.progress is None
    (made,) = technique.made
    assert made.info.n_frames == 3 and made.info.start["scan_id"] == 1 and made.info.frame_time_s is None
    assert made.seen == [1, 2, 3]  # readings are there while frames come


def test_each_event_is_an_analysis_with_its_own_readings():
    technique = Toy(unit="event")
    run, sink = fed(technique, scan(movie(1, 2, 3), num_points=3))
    assert [unit.event for unit, _, _ in sink.ended] == [1, 2, 3]
    assert [analysis.arrays["sums"].tolist() for _, analysis, _ in sink.ended] == [[1], [2], [3]]
    assert [analysis.arrays["temperature"].tolist() for _, analysis, _ in sink.ended] == [[300], [301], [302]]
    assert [made.info.readings.value("x") for made in technique.made] == [10, 11, 12]
    assert [made.info.readings.series("x").tolist() for made in technique.made] == [
        [[100 + i], [10 + i]] for i in range(3)
    ]
    assert len({unit.key for unit, _, _ in sink.ended}) == 3 and len(run.results) == 3


def test_each_unit_is_passed_on_once_when_its_position_is_known():
    begun, technique = [], Toy(unit="event")
    there = {2: Result(raw_uid="", key="", trial_id="", status="complete", positions={}, is_recalled=True)}
    documents = scan(movie(1, 2, 3), num_points=3)
    _, sink = fed(technique, documents, on_begun=begun.append, there=there, positions=("x",))
    assert [unit.positions for unit in begun] == [{"x": 10}, {"x": 12}]
    assert [unit.key for unit in begun] == [unit.key for unit, _, _ in sink.ended]
    assert [analysis.arrays["sums"].tolist() for _, analysis, _ in sink.ended] == [[1], [3]]
    assert len(technique.made) == 2 and len(sink.begun) == 3


def test_an_event_that_fails_is_alone():
    _, sink = fed(Toy(unit="event"), scan(movie(1, 666, 3), num_points=3))
    assert [analysis is None for _, analysis, _ in sink.ended] == [False, True, False]
    assert sink.ended[1][0].problem == "the number of the beast"


@pytest.mark.parametrize("why", ["refused at its begin", "refused at a frame", "known"])
def test_frames_that_are_not_analysed_are_not_kept(why):
    known = Result(raw_uid="", key="", trial_id="", status="complete", positions={}, is_recalled=True)
    frames = movie(666 if "frame" in why else 1, 2, 3, 4)[..., : 2 if "begin" in why else 3]
    run = RunInProgress(Sink(Toy(), there={None: known} if why == "known" else {}))
    documents, kept = scan(frames, num_points=4), []
    while len(documents) > 1:
        name, doc = documents.pop(0)
        run(name, doc)
        kept += [weakref.ref(doc["data"]["det"])] if name == "event" else []
        del doc
    assert len(kept) == 4 and not any(each() is not None for each in kept)


def fed_flown(technique, documents, folder, **keys):
    return fed(technique, documents, keys=Detector(image="det", **keys), roots=[folder])[1].ended


def test_a_detector_that_flies_once_has_one_result_and_need_not_say_how_long(tmp_path):
    technique = Toy(unit="event")
    for keys in ({}, {"n_frames": "num"}):
        ((unit, analysis, _),) = fed_flown(technique, flown(tmp_path, [1, 2, 3], exposures=1, num=3), tmp_path, **keys)
        assert analysis.arrays["sums"].tolist() == [1, 2, 3] and unit.event == 1
        assert technique.made[-1].info.n_frames == (3 if keys else None)


def test_a_detector_that_flies_twice_has_two_results(tmp_path):
    technique = Toy(unit="event")
    ended = fed_flown(technique, flown(tmp_path, [1, 2, 3, 4], exposures=2, num=2), tmp_path, n_frames="num")
    assert [analysis.arrays["sums"].tolist() for _, analysis, _ in ended] == [[1, 2], [3, 4]]
    assert [unit.value("x") for unit, _, _ in ended] == [10, 11]
    assert [unit.run.event_time(unit.event) for unit, _, _ in ended] == [100, 101]
    assert [unit.run.exposure_time(unit.event)[0] for unit, _, _ in ended] == [100, 101]  # readings come before


@pytest.mark.parametrize("unit", ["event", "run"])
def test_a_flight_that_was_interrupted_and_taken_again_has_the_result_of_the_second(tmp_path, unit):
    run, path, technique = Flight(), written(tmp_path, [1, 2, 10, 20, 30]), Toy(unit=unit)
    det, file = run.stream("det", {"det": image(1, 2, 3)}, num=3), run.file(path)
    for first, number in enumerate((1, 2, 1, 2, 3)):  # the RunEngine counts from 1 again
        run.frames(file, det, first, first + 1, number)
    ((unit, analysis, _),) = fed_flown(technique, run.stop(), tmp_path, n_frames="num")
    assert analysis.arrays["sums"].tolist() == [10, 20, 30] and analysis.status == "complete"
    assert [made.sums for made in technique.made] == [[1, 2], [10, 20, 30]]  # frames are analysed as they come
    assert (unit.n_read, unit.n_passed, unit.run.n_read, unit.run.n_passed) == (3, 3, 3, 3)


def test_exposures_of_frames_at_any_times_end_with_their_last_frame(tmp_path):
    documents = list(flown(tmp_path, [1, 2, 3, 4, 5, 6], exposures=2, num=3))
    with h5py.File(tmp_path / "frames.h5", "a") as file:
        file["times"] = [5, 8, 9000, 20_000, 20_001, 20_007]
    technique = Toy(unit="event")
    ended = fed_flown(technique, documents, tmp_path, n_frames="num", ticks="/times")
    assert [analysis.arrays["sums"].tolist() for _, analysis, _ in ended] == [[1, 2, 3], [4, 5, 6]]
    assert [(analysis.status, unit.n_read, unit.n_passed) for unit, analysis, _ in ended] == [
        ("complete", 3, 8996), ("complete", 3, 8)
    ]  # fmt: skip
    assert [(made.info.n_frames, made.info.has_ticks) for made in technique.made] == [(None, True)] * 2
    ended = fed_flown(Toy(unit="event"), documents[:-3] + documents[-1:], tmp_path, n_frames="num", ticks="/times")
    assert [(analysis.status, unit.n_read) for unit, analysis, _ in ended] == [("complete", 3), ("partial", 1)]


def test_frames_that_cannot_be_read_are_the_end_of_their_event_alone(tmp_path):
    run, path = Flight(), written(tmp_path, [1, 2, 3, 4])
    det = run.stream("det", {"det": image(1, 2, 3)}, num=2)
    for first, name in ((0, tmp_path / "gone.h5"), (2, path)):
        run.frames(run.file(name), det, first, first + 2)
    ended = fed_flown(Toy(unit="event"), run.stop(), tmp_path, n_frames="num")
    assert "no file" in ended[0][0].problem and ended[0][1] is None
    assert ended[1][1].arrays["sums"].tolist() == [3, 4]


def test_a_run_with_too_few_frames_is_partial():
    _, sink = fed(Toy(), scan(movie(1, 2), num_points=5, status="abort"))
    assert sink.ended[0][1].status == "partial"


@pytest.mark.parametrize(("status", "expected"), [("success", "complete"), ("abort", "partial")])
def test_without_a_number_of_frames_the_end_of_the_run_counts(tmp_path, status, expected):
    documents = [
        (name, {**doc, "exit_status": status} if name == "stop" else doc)
        for name, doc in flown(tmp_path, [1, 2, 3], exposures=1, num=3)
    ]
    (ended,) = fed_flown(Toy(unit="event"), documents, tmp_path)
    assert ended[1].arrays["sums"].tolist() == [1, 2, 3] and ended[1].status == expected


@pytest.mark.parametrize(
    ("announced", "status", "lost"), [(5, "success", [3]), (2, "success", [0]), (1, "success", [0]), (5, "abort", [])]
)
def test_an_analysis_hears_how_many_frames_never_came_of_a_run_that_ended_well(announced, status, lost):
    class Counting(Growing):
        def lost(self, n_frames):
            numbers.append(n_frames)

    numbers = []
    fed(Toy(analysis=Counting), scan(movie(1, 2), num_points=announced, status=status))
    assert numbers == lost
    fed(Toy(unit=Series("ramp"), analysis=Counting), scan(movie(1, 2), num_points=announced, ramp="a"))
    assert numbers == lost  # a series goes on


def test_a_run_without_frames_says_how_it_ended():
    _, sink = fed(Toy(), scan(movie(), num_points=5, status="abort"))
    unit, analysis, _ = sink.ended[0]
    assert analysis is None
    assert unit.problem == "the exposure ended after 0 of 5 frames: it was stopped, or the detector sent none"


def test_a_run_without_the_detector_has_no_outcome():
    run, sink = fed(Toy(), scan(movie(1)), keys=Detector(image="another"))
    assert not run.results and not sink.begun


def test_frames_of_another_shape_are_a_reason():
    _, sink = fed(Toy(), scan(np.ones((2, 4, 4)), num_points=2))
    assert sink.ended[0][1] is None and sink.ended[0][0].problem.endswith("frames of (4, 4)")


@pytest.mark.fault("Tiled goes away while frames are read from it", "The analysis waits, and goes on where it was")
def test_frames_are_read_on_when_tiled_is_back():
    errors = [httpx.ConnectError("away")]

    class Interrupted(Run):
        def blocks(self, pixels, **options):
            for block in super().blocks(pixels, **options):
                yield block
                if errors:
                    raise errors.pop()

    sink = Sink(technique := Toy())
    sink.new_run = lambda: Interrupted(Detector(image="det"), ())
    run, sink = fed(technique, scan(movie(1, 2, 3), num_points=3), sink)
    ((_, analysis, _),) = sink.ended
    assert not errors and analysis.arrays["sums"].tolist() == [1, 2, 3]
    assert run.results[0].status == "complete"


def test_a_technique_that_cannot_reach_its_own_server_is_a_reason():
    class Remote(Sums):
        def push(self, block, first):
            raise httpx.ConnectError("away")

    run, sink = fed(Toy(analysis=Remote), scan(movie(1), num_points=1))
    ((unit, analysis, _),) = sink.ended
    assert analysis is None and unit.problem == "ConnectError: away" and unit.retake and not run.is_left


@pytest.mark.fault("A run has events whose frames no document announces", "Each has a failed result with the reason")
def test_events_whose_frames_never_came_each_have_a_reason(tmp_path):
    run, path = Flight(), written(tmp_path, [1])
    det = run.stream("det", {"det": image(1, 2, 3), "x": NUMBER}, num=1)
    run.frames(run.file(path), det, 0, 1)
    for i in range(3):
        run.event(det, x=10.0 + i)
    ended = fed_flown(Toy(unit="event"), run.stop(), tmp_path, n_frames="num")
    assert [unit.problem for unit, _, _ in ended] == [
        None, *["the exposure ended after 0 of 1 frames: it was stopped, or the detector sent none"] * 2,
    ]  # fmt: skip
    assert [unit.run.reading("x", unit.event) for unit, _, _ in ended] == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(("missing", "n_results"), [(400, 102), (404, 2)])
def test_a_gap_of_up_to_a_hundred_exposures_has_a_result_for_each(tmp_path, missing, n_results):
    run, path = Flight(), written(tmp_path, range(1, 13))
    det, file = run.stream("det", {"det": image(1, 2, 3)}, num=4), run.file(path)
    for first in (0, 4 + missing):
        run.frames(file, det, first, first + 4)
    ended = fed_flown(Toy(unit="event"), run.stop(), tmp_path, n_frames="num")
    assert len(ended) == n_results and ended[0][1].arrays["sums"].tolist() == [1, 2, 3, 4]
    assert ("more than 100 events" in ended[1][0].problem) == (missing > 400)
