"""Documents of ophyd-async: each event has its own frames and its own readings.

test_resources.py covers those of classic ophyd. The frames are compared with what h5py reads from the files.
"""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.config import Detector
from ainerd.documents import Run

PIXELS = np.array([11, 0, 3])


class Flown:
    """Two detectors of ophyd-async, flown, each with a stream and a number of frames: a StreamDatum for each flush."""

    keys, readings = Detector(image="det"), {"stage-x": [0.3]}
    names = {"other": 25, "det": 40}

    def __init__(self, folder):
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


class FrameByFrame(Flown):
    """SimBlobDetector of ophyd-async in a scan: a StreamDatum for each frame."""

    names, readings = {"det": 40}, {"stage-x": [0.1, 0.2, 0.3, 0.4]}

    def plan(self, core, x, *detectors):
        return bp.scan(detectors, x, 0.1, 0.4, 4)


@pytest.mark.parametrize("kind", [Flown, FrameByFrame])
def test_each_event_has_its_frames_and_readings(tmp_path, kind):
    case = kind(tmp_path)
    run, blocks = Run(case.keys, [tmp_path]), []
    for name, doc in case.documents:
        run(name, doc)
        if run.has_frames and name in ("stream_datum", "stop"):
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
