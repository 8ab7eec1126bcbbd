"""Runs that were paused, or that broke off: each exposure has its own frames and its own position, or none."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter

from ainerd.config import Detector
from ainerd.documents import Run, documents_of
from ainerd.server import open_catalog
from tests.documents.flights import NUMBER, Flight, image, sent_to

PIXELS = np.arange(4)


def exposures(run, documents, key="x", pixels=PIXELS):
    """The first pixels of the frames of each event, and its position."""
    sent_to(run, documents)
    n, frames, positions = run.n_own or 1, [], []
    for event in range(1, run.n_events + 1):
        frames.append([x.tolist() for _, block in run.blocks(pixels, until=event * n) for x in block])
        positions.append(run.reading(key, event))
    run.close()
    return frames, positions


@pytest.mark.fault(
    "A person pauses a scan after an event, and the RunEngine takes the event again",
    "The frames of the first time count; later events keep their frames and positions, also from Tiled",
)
def test_an_event_that_is_taken_again_after_a_pause_moves_no_frames(tmp_path, place):
    core, sim = pytest.importorskip("ophyd_async.core"), pytest.importorskip("ophyd_async.sim")
    engine, documents, pauses = RunEngine({}), [], iter([False, True])
    with core.init_devices():
        stage = sim.SimStage(pattern := sim.PatternGenerator(), name="stage")
        files = core.StaticPathProvider(core.UUIDFilenameProvider(), tmp_path)
        detector = sim.SimBlobDetector(files, pattern, name="det")

    def one(detectors, motor, step):
        yield from bps.one_1d_step(detectors, motor, step)
        if next(pauses, False):
            yield from bps.pause()

    raw, _ = open_catalog(place.client())
    writer = TiledWriter(raw, batch_size=1)
    engine.subscribe(lambda name, doc: (documents.append((name, doc)), writer(name, doc)))
    with pytest.raises(RunEngineInterrupted):
        engine(bp.scan([detector], stage.x, 0.0, 3.0, 4, per_step=one))
    engine.resume()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        images = file["entry/data/data"][()]
    pixels = np.argsort(np.ptp(images, axis=0), axis=None)[-10:]
    taken = images.reshape(len(images), 1, -1)[..., pixels].tolist()
    assert len(taken) == 5 and len({str(frame) for frame in taken}) >= 4
    for source in (documents, documents_of(raw[documents[0][1]["uid"]])):
        frames, positions = exposures(Run(Detector(image="det"), [tmp_path]), source, "stage-x", pixels)
        assert frames == [taken[i] for i in (0, 1, 3, 4)]
        assert positions == pytest.approx([0.0, 1.0, 2.0, 3.0])


def streams(folder, n, *, per_index, scalars=(), **settings):
    """Return a run, its streams primary, of x, and det, of a detector, and the file of its `n` frames."""
    with h5py.File(folder / "frames.h5", "w") as file:
        file["d"] = np.arange(n, dtype=np.uint16)[:, None, None] * np.ones((1, 2, 2), np.uint16)
    run = Flight()
    x = run.stream("primary", {"x": NUMBER})
    det = run.stream("det", {"det": image(per_index, 2, 2), **dict.fromkeys(scalars, NUMBER)}, **settings)
    return run, x, det, run.file(folder / "frames.h5")


@pytest.mark.fault(
    "A detector flies several times in a run that also has other events", "Each exposure has the position before it"
)
@pytest.mark.parametrize("after", [False, True])
def test_other_events_of_primary_do_not_move_the_positions_of_flights(tmp_path, after):
    run, x, det, file = streams(tmp_path, 6, per_index=2)
    if not after:
        run.event(x, x=9.0)  # of an alignment
        run.event(x, x=1.0)
    for i in range(3):
        run.frames(file, det, i, i + 1, i + 1)
        if not after and i == 1:
            run.event(x, x=8.0)
        if i < 2 or after:
            run.event(x, x=float(i + (1 if after else 2)))
    frames, positions = exposures(Run(Detector(image="det"), [tmp_path]), run.stop())
    assert [len(event) for event in frames] == [2, 2, 2] and positions == [1.0, 2.0, 3.0]


def test_flights_from_tiled_without_an_event_each_have_no_position_if_it_changed(tmp_path):
    for positions in ([1.0, 2.0], [1.0, 2.0, 2.5], [4.0]):
        run, x, det, file = streams(tmp_path, 4, per_index=2)
        for position in positions:
            run.event(x, x=position)
        run.frames(file, det, 0, 2, 0)
        _, places = exposures(Run(Detector(image="det"), [tmp_path]), run.stop())
        assert places == {1: [4.0, 4.0], 2: [1.0, 2.0], 3: [None, None]}[len(positions)]


@pytest.mark.fault(
    "A detector that flies begins again after a pause, in the middle of an exposure or after it",
    "An exposure that was whole counts; of one that was interrupted the frames of the second time count",
)
def test_a_flight_that_begins_again_is_not_put_together(tmp_path):
    configured = Detector(image="det", n_frames="num")
    for first, position in (((0, 3), 1.0), ((0, 2), 1.5)):  # the frames of the first attempt
        run, x, det, file = streams(tmp_path, 9, per_index=1, num=3)
        run.event(x, x=1.0)
        run.frames(file, det, *first, 1)
        run.event(x, x=1.5)
        for i in range(3):  # again, frame by frame
            run.frames(file, det, first[1] + i, first[1] + i + 1, 1 + i)
        run.event(x, x=2.0)
        run.frames(file, det, first[1] + 3, first[1] + 6, 4)
        frames, positions = exposures(Run(configured, [tmp_path]), run.stop())
        begin = 0 if position == 1.0 else 2
        assert [[x[0] for x in event] for event in frames] == [
            [begin, begin + 1, begin + 2], [first[1] + i for i in (3, 4, 5)]
        ]  # fmt: skip
        assert positions == [position, 2.0]


@pytest.mark.fault(
    "A plan breaks off between the frames of an event and its readings", "The exposure has no position, not another one"
)
def test_frames_whose_event_never_came_have_no_position(tmp_path):
    run, _, det, file = streams(tmp_path, 4, per_index=2, scalars=["x"])
    run.frames(file, det, 0, 1, 1)
    run.event(det, x=1.0)
    run.frames(file, det, 1, 2, 2)
    frames, positions = exposures(Run(Detector(image="det"), [tmp_path]), run.stop())
    assert [len(event) for event in frames] == [2, 2] and positions == [1.0, None]
