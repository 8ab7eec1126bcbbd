"""The detector under a RunEngine: flown, triggered, stopped, and failing."""

import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from ainerd.dynamics import Dynamics
from sim_devices import AcquisitionStopped, Lambda750k, SimClock
from sim_devices._frames import FrameFile


def of(documents, name):
    return [doc for kind, doc in documents if kind == name]


def frames_of(documents):
    """All frames of the one stream resource, once the file is closed."""
    (resource,) = of(documents, "stream_resource")
    assert resource["mimetype"] == "application/x-hdf5"
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
        return file[resource["parameters"]["dataset"]][:]


def test_flying_documents_and_live_frames(run_engine, documents, make_instrument, fly):
    """Every frame is reported once, in order, most before the end, and can be read by SWMR when it is."""
    instrument, read = make_instrument(10.0, 120), []  # 12 s in 1.2 s

    def reader(name, doc):
        if name == "stream_datum":
            path = of(documents, "stream_resource")[0]["uri"].removeprefix("file://localhost")
            start, stop = doc["indices"]["start"], doc["indices"]["stop"]
            with h5py.File(path, "r", libver="latest", swmr=True) as file:
                read.append((start, stop, file["entry/data/data"][start:stop], instrument.detector.get_index()))

    token = run_engine.subscribe(reader)
    run_engine(fly(instrument))
    run_engine.unsubscribe(token)

    frames = frames_of(documents)
    assert frames.shape == (120, 128, 192) and frames.any(axis=(1, 2)).all()
    assert [(start, stop) for start, stop, *_ in read] == [(0, 50), (50, 100), (100, 120)]
    assert [written for *_, written in read] == [50, 100, 120], "datums wait for the end"
    assert np.array_equal(np.concatenate([block for _, _, block, _ in read]), frames)

    (descriptor,) = [doc for doc in of(documents, "descriptor") if doc["name"] == "lambda750k"]
    key = descriptor["data_keys"]["lambda750k_image"]
    assert (key["shape"], key["dtype_numpy"], key["external"]) == ([1, 128, 192], "<u2", "STREAM:")
    configuration = descriptor["configuration"]["lambda750k"]["data"]
    assert configuration["lambda750k_cam_num_images"] == 120
    assert configuration["lambda750k_cam_acquire_period"] == 0.1
    (primary,) = [doc for doc in of(documents, "descriptor") if doc["name"] == "primary"]
    assert primary["data_keys"]["sample_x"]["units"] == "mm"
    assert primary["data_keys"]["rheometer_stress"]["units"] == "Pa"


def test_triggered_exposures_are_one_index_each(run_engine, documents, instrument):
    run_engine(bp.count([instrument.detector], 2))
    frames = frames_of(documents)
    assert frames.shape == (240, 128, 192)
    (descriptor,) = of(documents, "descriptor")
    assert descriptor["data_keys"]["lambda750k_image"]["shape"] == [120, 128, 192]
    assert descriptor["hints"]["lambda750k"]["fields"] == ["lambda750k_mean_counts"]
    assert [tuple(doc["indices"].values()) for doc in of(documents, "stream_datum")] == [(0, 1), (1, 2)]
    ring = instrument.detector.geometry.ring
    for event, exposure in zip(of(documents, "event"), (frames[:120], frames[120:]), strict=True):
        assert set(event["data"]) == {"lambda750k_mean_counts"}
        assert event["data"]["lambda750k_mean_counts"] == pytest.approx(exposure.reshape(120, -1)[:, ring].mean())
    assert not np.array_equal(frames[:120], frames[120:])


def test_flying_and_triggering_give_the_same_frames(run_engine, documents, instrument, fly, tmp_path, small):
    """The same seed and dynamics, in both modes and again: bit for bit."""
    made = []
    for plan in (fly, fly, lambda _: bp.count([instrument.detector])):
        instrument.detector = Lambda750k(
            name="lambda750k",
            directory=tmp_path,
            geometry=small,
            clock=instrument.clock,
            sample_now=lambda age, duration, rng: Dynamics(family="fluid", tau_s=2),
            seed=5,
        )
        instrument.detector.cam.num_images.put(70)
        documents.clear()
        run_engine(plan(instrument))
        made.append(frames_of(documents))
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_sees_the_sample_where_the_stage_is(run_engine, instrument, small):
    asked = []
    drawn = instrument.sample.dynamics
    instrument.sample.dynamics = lambda *arguments: asked.append(arguments[:4]) or drawn(*arguments)
    run_engine(bps.mv(instrument.stage.x, 2.5, instrument.stage.y, 7.5))
    before = instrument.clock.now()
    run_engine(bp.count([instrument.detector]))
    ((x, y, age, duration),) = asked
    assert (x, y, duration) == (2.5, 7.5, 12.0)
    assert before <= age <= instrument.clock.now()


def test_counts_follow_the_exposure_time(run_engine, instrument):
    cam, mean = instrument.detector.cam, {}
    for period in (0.1, 0.01):
        cam.acquire_period.put(period)
        run_engine(bp.count([instrument.detector]))
        mean[period] = instrument.detector.mean_counts.get()
    assert mean[0.1] == pytest.approx(0.5, rel=0.05)
    assert mean[0.01] == pytest.approx(0.05, rel=0.05)


def test_frames_do_not_come_before_their_time(run_engine, instrument, make_instrument):
    run_engine(bp.count([instrument.detector]))  # compiled and warm
    instrument = make_instrument(12.0, 120)
    start = time.monotonic()
    run_engine(bp.count([instrument.detector]))
    assert 1.0 <= time.monotonic() - start < 2.5


@pytest.mark.parametrize("mode", ["fly", "count"])
def test_failure_in_the_middle(mode, run_engine, documents, instrument, fly, monkeypatch):
    """The disk is full after 50 frames: the run fails and says why, the file is closed, the next run works."""
    plan = {"fly": fly, "count": lambda _: bp.count([instrument.detector])}[mode]
    append, written = FrameFile.append, []

    def full(self, chunks):
        if written:
            raise OSError("no space left on device")
        written.append(self)
        append(self, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(FrameFile, "append", full)
        with pytest.raises(FailedStatus) as failure:
            run_engine(plan(instrument))
    assert "no space left" in str(failure.value.__cause__)
    (stop,) = of(documents, "stop")
    assert stop["exit_status"] == "fail"
    with h5py.File(written[0].path, "r+") as file:  # refused while a writer has it
        assert len(file["entry/data/data"]) == 50

    documents.clear()
    run_engine(plan(instrument))
    assert len(frames_of(documents)) == 120


def test_sample_that_cannot_be_asked_fails_the_run(run_engine, tmp_path, small):
    def broken(age, duration, rng):
        raise ValueError("the beam is off the sample")

    detector = Lambda750k(name="lambda750k", directory=tmp_path, geometry=small, clock=SimClock(100), sample_now=broken)
    with pytest.raises(FailedStatus) as failure:
        run_engine(bp.count([detector]))
    assert "off the sample" in str(failure.value.__cause__)


@pytest.fixture
def slow_instrument(make_instrument):
    """An exposure of ten minutes."""
    return make_instrument(1.0, 6000)


def test_plan_that_fails_stops_the_acquisition(run_engine, slow_instrument):
    detector, started = slow_instrument.detector, []

    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(detector, name="lambda750k", collect=True)
        yield from bps.kickoff(detector, wait=True)
        started.append((detector.complete(), threading.active_count()))
        yield from bps.sleep(0.3)
        raise KeyError("something else")

    begin = time.monotonic()
    with pytest.raises(KeyError):
        run_engine(plan())
    assert time.monotonic() - begin < 3
    ((status, threads),) = started
    assert status.done
    assert threading.active_count() < threads
    path = next(detector._directory.iterdir())
    with h5py.File(path, "r+") as file:
        assert len(file["entry/data/data"]) < 100


def test_abort(run_engine, documents, slow_instrument, fly):
    timer = threading.Timer(0.5, lambda: run_engine.abort("enough"))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(RunEngineInterrupted):
        run_engine(fly(slow_instrument))
    timer.join()
    assert time.monotonic() - begin < 3
    assert of(documents, "stop")[0]["exit_status"] == "abort"
    assert run_engine.state == "idle"
    slow_instrument.detector.cam.num_images.put(1)
    documents.clear()
    run_engine(fly(slow_instrument))
    assert len(frames_of(documents)) == 1


def test_stop_fails_the_exposure(slow_instrument):
    detector = slow_instrument.detector
    detector.stage()
    try:
        detector.kickoff()
        detector.stop()
        assert isinstance(detector.complete().exception(timeout=3), AcquisitionStopped)
    finally:
        detector.unstage()


def test_misuse_is_named(instrument, run_engine):
    detector = instrument.detector
    with pytest.raises(RuntimeError, match="stage it"):
        detector.trigger()
    detector.stage()
    try:
        with pytest.raises(RuntimeError, match="not been kicked off"):
            detector.complete()
        detector.trigger().wait(10)
        with pytest.raises(RuntimeError, match="while staged"):
            detector.kickoff()
    finally:
        detector.unstage()
    detector.cam.num_images.put(0)
    with pytest.raises(ValueError, match="num_images of at least 1"):
        run_engine(bp.count([detector]))


def test_file_names_cannot_be_guessed_and_never_clash(instrument):
    names = set()
    for _ in range(3):
        instrument.detector.stage()
        instrument.detector.unstage()
    names = {path.name for path in instrument.detector._directory.iterdir()}
    assert len(names) == 3 and all(len(name) > 40 for name in names)
