"""Readings of a run: the first one, one for each event, and one for each frame."""

import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import Run
from tests.documents.flights import NUMBER, Flight, held, image, sent_to


def read(keys, *, configuration=None, image_shape=(2, 3), n=3, wanted=None, units=(), **start):
    """A run of n events that hold frames and a motor, with a baseline before and after."""
    run, made = Run(keys, [], units=wanted), Flight(**start)
    x = NUMBER | ({"units": units["x"]} if "x" in units else {})
    baseline = made.stream("baseline", {"x": x, "slit": NUMBER})
    primary = made.stream("primary", {"det": held(*image_shape), "x": x}, units, **(configuration or {}))
    made.event(baseline, time=1.0, x=0.5, slit=7.0)
    for i in range(n):
        made.event(primary, time=10.0 + i, det=np.full(image_shape, i), x=10.0 + i)
    made.event(baseline, time=50.0, x=99.0, slit=8.0)
    return sent_to(run, made.stop())


def test_an_event_has_its_own_readings():
    run = read(Detector(image="det"))
    assert [run.reading("x", event) for event in (1, 2, 3)] == [10.0, 11.0, 12.0]
    assert run.reading("slit", 2) == 7.0  # not that of the second baseline
    assert run.series("x", 2).tolist() == [[11.0], [11.0]]


def test_each_frame_has_its_reading():
    run = read(Detector(image="det"))
    assert run.of_frames("x", 1, 3).tolist() == [11.0, 12.0]
    assert run.of_frames("slit", 0, 2).tolist() == [7.0, 7.0]
    assert np.isnan(run.of_frames("no", 0, 2)).all()
    many = read(Detector(image="det"), image_shape=(4, 2, 3), n=2)
    assert many.of_frames("x", 2, 6).tolist() == [10.0, 10.0, 11.0, 11.0]


def test_the_expected_number_of_frames():
    keys = Detector(image="det", n_frames="num", frame_time_s="period")
    configured = {"num": 4, "period": 0.1}
    assert read(Detector(image="det")).n_frames is None
    assert read(Detector(image="det"), num_points=3).n_frames == 3
    assert read(keys, configuration=configured, image_shape=(4, 2, 3)).n_frames == 4
    assert read(keys, configuration=configured, image_shape=(4, 2, 3), num_points=3).n_frames == 12
    assert read(keys, configuration=configured, num_points=1).n_frames == 4  # it flies: each index is a frame
    assert read(keys, configuration=configured).described.frame_time_s == 0.1
    assert read(keys, configuration=configured, image_shape=(4, 2, 3)).n_event == 4


def test_a_detector_that_reports_a_fault_is_flagged_with_the_largest_value():
    run = read(Detector(image="det", flags={"slit": 9.0, "x": 10.5}))
    assert run.flagged() == "the detector reports a fault: x is 99, above 10.5"
    assert [run.flagged(event) for event in (1, 2, 3)] == [
        None, *(f"the detector reports a fault: x is {x}, above 10.5" for x in (11, 12)),
    ]  # fmt: skip
    of_slit = read(Detector(image="det", flags={"slit": 7.5}))
    assert of_slit.flagged() == "the detector reports a fault: slit is 8, above 7.5"
    assert read(Detector(image="det", flags={"slit": 8.0, "no": 0.0})).flagged() is None


def test_a_triggered_detector_has_exposed_before_its_event():
    configured = {"num": 4, "period": 0.1}
    run = read(Detector(image="det", n_frames="num", frame_time_s="period"), configuration=configured,
               image_shape=(4, 2, 3))  # fmt: skip
    assert [run.event_time(event) for event in (1, 2, 3, 4)] == [10.0, 11.0, 12.0, None]
    assert [run.exposure_time(event)[0] for event in (1, 2, 3, 4)] == pytest.approx([9.6, 10.6, 11.6, None])
    unknown = read(Detector(image="det", n_frames="num"), configuration=configured, image_shape=(4, 2, 3))
    assert unknown.exposure_time(1) == (None, None)


@pytest.mark.parametrize("is_datum", [True, False], ids=["stamp of the trigger", "stamp of the frames"])
@pytest.mark.parametrize("slow_s", [0.0, 5.0])
def test_another_device_of_the_event_does_not_move_the_exposure(is_datum, slow_s):
    """Exposures of .4 s begin at 3 and 13 s; then another device takes some seconds, and the event is made."""
    made, frames = Flight(), image(4, 2, 3, external="FILESTORE:") if is_datum else held(4, 2, 3)
    stream = made.stream("primary", {"det": frames, "x": NUMBER}, num=4, period=0.1)
    made[0][1]["time"] = 0.0
    for began, clock_s in ((3.0, 0.0), (13.0, 0.0), (23.0, 100.0), (33.0, -100.0)):  # the clock of the detector's stamp
        made.event(stream, time=began + 0.4 + slow_s, det="datum" if is_datum else np.zeros((4, 2, 3)), x=1.0)
        made[-1][1]["timestamps"]["det"] = began + clock_s + (0.0 if is_datum else 0.4)
    run = sent_to(Run(Detector(image="det", n_frames="num", frame_time_s="period"), []), made)
    times = [run.exposure_time(event) for event in (1, 2, 3, 4)]
    assert [x for each in times[:2] for x in each] == pytest.approx([3.0, None, 13.0, None])
    for began, (time, early_s) in zip((23.0, 33.0), times[2:], strict=True):  # by the event alone
        assert time == pytest.approx(began + slow_s) and time - early_s == pytest.approx(began - 9.6 + slow_s)


def test_frames_are_read_up_to_a_number_or_left_out():
    run, pixels = read(Detector(image="det"), image_shape=(4, 2, 3), n=2), np.array([5])
    assert run.n_ready == 8
    assert np.concatenate([frames for _, frames in run.blocks(pixels, until=3)]).ravel().tolist() == [0, 0, 0]
    run.skip(5)
    assert np.concatenate([frames for _, frames in run.blocks(pixels)]).ravel().tolist() == [1, 1, 1]
    assert run.n_passed == 8


@pytest.mark.fault("An event has an invalid time", "The time of its document is used; the run is analysed")
@pytest.mark.parametrize("odd", [None, "late", [1.0], float("nan"), True])
def test_an_invalid_time_is_replaced_by_that_of_the_event(odd):
    made = Flight()
    stream = made.stream("primary", {"det": held(2, 3), "x": NUMBER, "y": NUMBER})
    for i, at in enumerate([20.0, odd, 5.0]):
        made.event(stream, time=10.0 + i, det=np.ones((2, 3)), x=float(i), y="none")
        made[-1][1]["timestamps"] = {"det": 0.0, "x": at}  # and none for y
    run = sent_to(Run(Detector(image="det"), []), made.stop())
    assert run.series("x").tolist() == [[10.0, 11.0, 12.0], [0.0, 1.0, 2.0]]
    assert run.reading("x") == 0.0 and run.reading("x", 2) == 1.0
    assert run.reading("y") is None


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1e-3), ("M", 1e3), ("mm", 1), (None, 1)])
def test_readings_are_in_the_unit_of_the_settings(unit, factor):
    run = read(Detector(image="det"), wanted={"x": "mm"}, units={"x": unit})
    assert run.problem == "" and run.reading("slit") == 7.0
    assert [run.reading("x", event) for event in (1, 2, 3)] == pytest.approx([10 * factor, 11 * factor, 12 * factor])
    assert run.series("x")[1].tolist() == pytest.approx([x * factor for x in (0.5, 10.0, 11.0, 12.0, 99.0)])
    assert run.of_frames("x", 1, 2).tolist() == pytest.approx([11.0 * factor])


def test_a_reading_in_a_unit_that_does_not_fit_is_refused_with_both_units():
    run = read(Detector(image="det"), wanted={"x": "mm"}, units={"x": "steps"})
    assert run.problem == "the reading 'x': 'steps' cannot be converted to 'mm', the unit in the settings"


@pytest.mark.parametrize(("unit", "seconds"), [("ms", 0.1), ("", 100.0), ("min", 6000.0)])
def test_the_frame_time_is_in_the_unit_of_its_data_key(unit, seconds):
    keys = Detector(image="det", frame_time_s="period")
    run = read(keys, configuration={"period": 100.0}, units={"period": unit})
    assert run.described.frame_time_s == pytest.approx(seconds)
    assert read(keys, configuration={"period": 100.0}, units={"period": "mm"}).problem == (
        "the configuration 'period': 'mm' cannot be converted to 's'"
    )


@pytest.mark.parametrize("ahead", [0.0, 0.2, 3600.0, -3600.0])
def test_a_monitor_whose_clock_differs_has_the_order_of_the_documents(ahead):
    """The oven reads 10, 20, 30 before events 1, 2, 3."""
    made = Flight()
    primary, oven = made.stream("primary", {"det": held(2, 3)}), made.stream("oven_monitor", {"oven": NUMBER})
    for k in (1, 2, 3):
        at = 1000.0 + 100 * k
        made.event(oven, time=at - 50, oven=10.0 * k)
        made[-1][1]["timestamps"]["oven"] += ahead
        made.event(primary, time=at, det=np.ones((2, 3)))
    run = sent_to(Run(Detector(image="det"), []), made.stop())
    assert [run.reading("oven", event) for event in (1, 2, 3)] == [10.0, 20.0, 30.0]
    np.testing.assert_allclose(run.series("oven"), [[1050.0, 1150.0, 1250.0], [10.0, 20.0, 30.0]], rtol=1e-3)


def test_events_that_were_sent_together_have_their_time_stamps():
    made, times = Flight(), [100.0, 200.0, 300.0]
    page = made.stream("oven", {"oven": NUMBER}).compose_event_page(
        data={"oven": [1.0, 2.0, 3.0]}, timestamps={"oven": times}, seq_num=[1, 2, 3], time=[900.0] * 3
    )
    run = sent_to(Run(Detector(image="det"), []), [*made, ("event_page", page)])
    assert run.series("oven").tolist() == [times, [1.0, 2.0, 3.0]]
