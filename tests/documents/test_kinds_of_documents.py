"""Documents of ophyd-async, and event pages of a flyer: each event has its own frames and its own readings.

test_resources.py covers those of classic ophyd. The frames are compared with what h5py reads from the files.
"""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.status import Status

from ainerd.config import Detector
from ainerd.documents import Run
from tests.documents.test_resources import POINTS, N

PIXELS = np.array([11, 0, 3])


def taken(plan):
    """Return the documents of a plan."""
    documents = []
    engine = RunEngine({}, context_managers=[])
    engine(plan, lambda name, doc: documents.append((name, doc)))
    return documents


class Flown:
    """SimBlobDetector of ophyd-async, flown: a StreamDatum for each flush."""

    keys, readings = Detector(image="det"), {"stage-x": [0.3]}
    names = {"det": 40}

    def __init__(self, request, folder):
        core, sim = pytest.importorskip("ophyd_async.core"), pytest.importorskip("ophyd_async.sim")
        engine, self.documents = RunEngine({}), []
        files = core.StaticPathProvider(core.UUIDFilenameProvider(), folder)
        with core.init_devices():
            stage = sim.SimStage(sim.PatternGenerator(), name="stage")
            detectors = [sim.SimBlobDetector(files, name=name) for name in self.names]
        engine(self.plan(core, stage.x, *detectors), lambda name, doc: self.documents.append((name, doc)))
        (uri,) = [
            doc["uri"]
            for name, doc in self.documents
            if name == "stream_resource" and doc["data_key"] == self.keys.image
        ]
        with h5py.File(uri.partition("localhost")[2]) as file:
            n_events, frames = len(next(iter(self.readings.values()))), file["entry/data/data"][()]
        self.frames = frames.reshape(n_events, len(frames) // n_events, -1)

    def plan(self, core, x, *detectors):
        @bpp.stage_decorator(detectors)
        @bpp.run_decorator()
        def inner():
            yield from bps.trigger_and_read([x])
            for detector in detectors:
                info = core.TriggerInfo(number_of_events=self.names[detector.name], livetime=0.005)
                yield from bps.prepare(detector, info, wait=True)
                yield from bps.declare_stream(detector, name=detector.name, collect=True)
            yield from bps.kickoff_all(*detectors, wait=True)
            yield from bps.complete_all(*detectors, wait=False, group="complete")
            done = False
            while not done:
                done = yield from bps.wait("complete", timeout=0.1, error_on_timeout=False)
                for detector in detectors:
                    yield from bps.collect(detector, name=detector.name)

        yield from bps.mv(x, 0.3)
        yield from inner()


class TwoStreams(Flown):
    """A fly scan with two detectors, each with a stream of its own and its own number of frames."""

    names = {"other": 25, "det": 40}


class FrameByFrame(Flown):
    """SimBlobDetector of ophyd-async in a scan: a StreamDatum for each frame."""

    readings = {"stage-x": [0.1, 0.2, 0.3, 0.4]}

    def plan(self, core, x, *detectors):
        return bp.scan(detectors, x, 0.1, 0.4, 4)


class Pages:
    """A flyer of classic bluesky that gives its events by the page, with the frames in them."""

    keys, readings, parent, name = Detector(image="image"), {"x": [5.0, 6.0, 7.0]}, None, "flyer"

    def __init__(self, request, folder):
        self.frames = request.getfixturevalue("movie").reshape(POINTS, N, -1)
        self.documents = taken(bp.fly([self]))
        assert [name for name, _ in self.documents].count("event_page") == 2

    def kickoff(self):
        return self.complete()

    def complete(self):
        status = Status()
        status.set_finished()
        return status

    def describe_collect(self):
        image = {"dtype": "array", "shape": [N, 3, 4], "source": "sim"}
        return {"flyer": {"image": image, "x": {"dtype": "number", "shape": [], "source": "sim"}}}

    def collect_pages(self):
        for points in (slice(0, 2), slice(2, 3)):
            data = {"image": [x.reshape(N, 3, 4) for x in self.frames[points]], "x": self.readings["x"][points]}
            times = [100.0 + x for x in data["x"]]
            yield {"data": data, "timestamps": {"image": times, "x": times}, "time": times}


KINDS = {
    "ophyd-async StreamDatum per flush": Flown,
    "ophyd-async StreamDatum per frame": FrameByFrame,
    "event pages": Pages,
    "fly scan with two streams": TwoStreams,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_has_its_frames_and_readings(request, tmp_path, kind):
    case = KINDS[kind](request, tmp_path)
    run, blocks = Run(case.keys, [tmp_path]), []
    for name, doc in case.documents:
        run(name, doc)
        if run.has_frames and name in ("event", "event_page", "stream_datum", "stop"):
            blocks += [(first, x.copy()) for first, x in run.blocks(PIXELS, wait_s=2.0 if name == "stop" else None)]
    run.close()
    n_events, n, _ = case.frames.shape
    assert run.n_events == n_events and run.n_own in (n, None) and run.n_missing == 0
    assert [first for first, _ in blocks] == np.cumsum([0, *(len(x) for _, x in blocks)])[:-1].tolist()
    frames = np.concatenate([x for _, x in blocks]).reshape(n_events, n, -1)
    for event in range(n_events):
        assert np.array_equal(frames[event], case.frames[event][:, PIXELS]), f"frames of event {event + 1}"
        for key, values in case.readings.items():
            assert run.reading(key, event + 1) == pytest.approx(values[event]), f"{key} of event {event + 1}"
