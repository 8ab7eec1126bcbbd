"""Exposures that end early: of the simulated detector, in plans that fly it and trigger it, and of others."""

import logging

import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import pytest

from ainerd.plans import Early, visit
from sim_devices import Geometry, SimulatedInstrument

FRAMES = 400
ENOUGH = 50  # frames


@pytest.fixture
def instrument(tmp_path):
    geometry = Geometry(shape=(64, 96), beam_center_px=(32.0, 48.0))
    made = SimulatedInstrument(directory=tmp_path, geometry=geometry, speed=20)  # 40 s in 2 s
    made.detector.cam.num_images.put(FRAMES)
    return made


class Analysis:
    """Says that the first exposures are enough, once their frames are announced."""

    def __init__(self, n=99):
        self.documents, self.n, self.asked = [], n, []

    def __call__(self, name, doc):
        self.documents.append((name, doc))

    def frames(self, run):
        (resource,) = [doc for name, doc in run if name == "stream_resource"]
        with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
            return len(file[resource["parameters"]["dataset"]])

    @property
    def runs(self):
        starts = [i for i, (name, _) in enumerate(self.documents) if name == "start"] + [len(self.documents)]
        return [self.documents[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]

    def enough(self, uid):
        self.asked.append(uid)
        start = self.runs[-1][0][1]
        assert uid == start["uid"]
        last = [doc["indices"]["stop"] for name, doc in self.runs[-1] if name == "stream_datum"]
        return "they are" if last and last[-1] >= ENOUGH and len(self.runs) <= self.n else None


def measured(RE, instrument, analysis, positions=(1.0,), **options):
    """Visit positions with an exposure each, and return the documents of each run."""
    x = instrument.stage.x
    plan = visit(None, shutter=instrument.shutter, early=Early(analysis.enough), **options)
    token = RE.subscribe(analysis)
    try:
        RE(plan([{"_id": str(i), x.name: at} for i, at in enumerate(positions)], [x], [instrument.detector]))
    finally:
        RE.unsubscribe(token)
    return analysis.runs


def test_a_flight_ends_early_and_the_next_position_is_visited(RE, instrument):
    analysis = Analysis(n=1)
    short, whole = measured(RE, instrument, analysis, (1.0, 2.0))
    assert ENOUGH <= analysis.frames(short) < FRAMES and analysis.frames(whole) == FRAMES
    for run in (short, whole):
        announced = [doc["indices"]["stop"] for name, doc in run if name == "stream_datum"]
        assert announced[-1] == analysis.frames(run)  # every frame in the file is announced
        assert run[-1][1]["exit_status"] == "success"
    assert instrument.stage.x.position == pytest.approx(2.0, abs=0.01)


def test_nothing_changes_if_the_frames_are_never_enough(RE, instrument, caplog):
    analysis = Analysis(n=0)
    (run,) = measured(RE, instrument, analysis)
    assert analysis.frames(run) == FRAMES and analysis.asked and not caplog.records


def test_a_triggered_detector_is_named_once(RE, instrument, caplog):
    analysis = Analysis()
    runs = measured(RE, instrument, analysis, (1.0, 2.0), acquire=lambda devices, md: bp.count(devices, md=md))
    assert [analysis.frames(run) for run in runs] == [FRAMES, FRAMES]
    (line,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert line == (
        "lambda750k cannot stop early, its exposures take all frames: its frames are announced only after the last "
        "one, let it fly"
    )


@pytest.mark.parametrize(("fault", "why"), [(None, "had not ended 0.2 s later"), (OSError("no answer"), "no answer")])
def test_a_detector_that_does_not_stop_is_named_once_and_takes_all_frames(
    RE, instrument, monkeypatch, caplog, fault, why
):
    def stop(success=False):
        if fault is not None and instrument.detector.cam.acquire.get():
            raise fault

    analysis = Analysis()
    monkeypatch.setattr("ainerd.plans._early.STOP_S", 0.2)
    monkeypatch.setattr(instrument.detector, "stop", stop)
    runs = measured(RE, instrument, analysis, (1.0, 2.0))
    assert [analysis.frames(run) for run in runs] == [FRAMES, FRAMES]
    assert all(run[-1][1]["exit_status"] == "success" for run in runs)
    (line,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert line.startswith("lambda750k cannot stop early, its exposures take all frames: ") and why in line
