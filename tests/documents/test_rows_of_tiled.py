"""Events from a table of Tiled, whose rows come in any order: their numbers order them, and number the frames."""

import h5py
import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import Run, documents_of
from ainerd.runs import write_run
from ainerd.server import open_catalog
from tests.documents.flights import NUMBER, Flight, image, sent_to

PIXELS = np.arange(6)


@pytest.fixture(scope="module")
def raw(place):
    return open_catalog(place.client())[0]


def scan(folder, rows, *, n_frames):
    """Documents of a scan whose events are stored as `rows` (number, x, time); frame i, from 0, holds i everywhere."""
    with h5py.File(folder / "f.h5", "w") as file:
        file["d"] = np.repeat(np.arange(n_frames, dtype="u2"), 6).reshape(n_frames, 2, 3)
    run = Flight()
    stream = run.stream("primary", {"x": NUMBER, "det": image(1, 2, 3)})
    run.frames(run.file(folder / "f.h5", chunk_shape=[1, 2, 3]), stream, 0, n_frames)
    for number, x, time_s in rows:
        run.event(stream, time=time_s, seq_num=number, x=x)
    return run.stop(num_events={"primary": max(number for number, *_ in rows)})


def read(documents, folder):
    """Return number, x and frame of each event."""
    run = sent_to(Run(Detector(image="det"), [folder]), documents)
    frames = {block.first + i + 1: int(x[0]) for block in run.blocks(PIXELS) for i, x in enumerate(block.frames)}
    run.close()
    return [(number, run.reading("x", number), frame) for number, frame in sorted(frames.items())]


@pytest.mark.fault("Tiled gives the rows of a scan in another order", "They are ordered by the numbers of the events")
@pytest.mark.parametrize(
    ("order", "times"),
    [((4, 3, 2, 1), (10, 20, 30, 40)), ((2, 4, 1, 3), (40, 10, 30, 20))],
    ids=["steady clock", "clock that jumps"],
)
def test_rows_are_ordered_by_their_numbers(raw, tmp_path, order, times):
    documents = scan(tmp_path, [(n, 10.0 * n, float(times[n - 1])) for n in order], n_frames=4)
    write_run(raw, documents)
    uid = documents[0][1]["uid"]
    expected = [(n, 10.0 * n, n - 1) for n in (1, 2, 3, 4)]
    assert read(documents_of(raw[uid]), tmp_path) == expected


@pytest.mark.filterwarnings("ignore:.*concat")
@pytest.mark.parametrize("method", ["stack", "concat"])
def test_frames_of_an_index_may_be_joined_in_either_way(raw, tmp_path, method):
    """As by the TiledWriter of bluesky_tiled_plugins, and by the older one of bluesky: 3 indices of 4 frames."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["d"] = np.repeat(np.arange(12, dtype="u2"), 6).reshape(12, 2, 3)
    documents = Flight()
    stream = documents.stream("primary", {"det": image(4, 2, 3)})
    file = documents.file(tmp_path / "f.h5", chunk_shape=[1, 2, 3], join_method=method)
    documents.frames(file, stream, 0, 3)
    write_run(raw, documents.stop())
    for each in (documents, documents_of(raw[documents[0][1]["uid"]])):
        run = sent_to(Run(Detector(image="det"), [tmp_path]), each)
        assert [int(x) for block in run.blocks(PIXELS) for x in block.frames[:, 0]] == list(range(12))
        run.close()
