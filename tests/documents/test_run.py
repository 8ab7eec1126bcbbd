import h5py
import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import FrameError, Run
from tests.documents.flights import NUMBER, Flight, held, image, sent_to

KEYS = Detector(image="det_image", n_frames="det_num", frame_time_s="det_period")
PIXELS = np.array([3, 0, 11])


@pytest.fixture
def movie(tmp_path):
    frames = np.random.default_rng(0).poisson(1.0, (130, 3, 4)).astype(np.uint16)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["d"] = frames
    return frames


def documents(tmp_path, *, splits=(0, 60, 130), name="m.h5"):
    run = Flight(scan_id=7)
    run.event(run.stream("primary", {"x": NUMBER}), time=10.0, x=4.5)
    det = run.stream("det", {"det_image": image(1, 3, 4)}, det_num=130, det_period=0.1)
    file = run.file(tmp_path / name, key="det_image")
    for start, stop in zip(splits, splits[1:], strict=False):
        run.frames(file, det, start, stop)
    return run.stop()


def gathered(run, docs):
    blocks = []
    for name, doc in docs:
        run(name, doc)
        if name == "stream_datum":
            blocks += [block.frames for block in run.blocks(PIXELS)]
    run.close()
    return np.concatenate(blocks)


@pytest.mark.parametrize("name", ["m.h5", "root/../m.h5", "root/%2e%2e/m.h5", "root/link.h5"])
def test_frames_out_of_the_roots_are_refused(tmp_path, movie, name):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.h5").symlink_to(tmp_path / "m.h5")
    for roots in ([tmp_path / "root"], []):
        with pytest.raises(FrameError, match="outside the allowed roots"):
            gathered(Run(KEYS, roots), documents(tmp_path, name=name))


@pytest.mark.fault("A run announces millions of frames", "The result is failed at once; the next run does not wait")
@pytest.mark.parametrize(
    ("splits", "reason"), [((0, 10**8), "more than the 5000000"), ((0, -3), "the stop of 'indices' is -3")]
)
def test_a_run_of_too_many_frames_is_refused(tmp_path, movie, splits, reason):
    run = sent_to(Run(KEYS, [tmp_path]), documents(tmp_path, splits=splits))
    with pytest.raises(FrameError, match=reason):
        list(run.blocks(PIXELS))
    assert run.n_ready == 0


@pytest.mark.parametrize(
    "order", [("dark", "primary"), ("primary", "dark"), ("primary", "after the scan"), ("baseline", "primary")]
)
@pytest.mark.fault(
    "A detector takes frames in two streams of a run, such as dark frames",
    "Only those of primary or of the first stream are analysed, with its positions, none of the baseline or dark",
)
def test_frames_in_another_stream_are_left_out(order, caplog):
    made, streams, of_primary = Flight(), {}, []
    for n in range(2):
        for i, name in enumerate(order):
            if n == 0:
                streams[name] = made.stream(name, {"det": held(3, 4), "x": NUMBER})
            frame = np.full((3, 4), 10 * n + i)
            of_primary += [frame] if name == "primary" else []
            made.event(streams[name], det=frame, x=float(frame[0, 0]))
    run = taken(made)
    frames = np.concatenate([block.frames for block in run.blocks(PIXELS)])
    assert frames.tolist() == [each.ravel()[PIXELS].tolist() for each in of_primary]
    assert [run.reading("x", event) for event in (1, 2)] == [float(each[0, 0]) for each in of_primary]
    assert "are not analysed" in caplog.text


def taken(documents):
    return sent_to(Run(Detector(image="det"), []), documents)


def test_primary_counts_if_another_stream_was_described_first():
    """As when a plan prepares a second stream with the detector, which takes its frames after the scan."""
    made = Flight()
    second, primary = (made.stream(name, {"det": held(3, 4)}) for name in ("second", "primary"))
    for stream, value in ((primary, 1.0), (second, 2.0), (primary, 3.0)):
        made.event(stream, det=np.full((3, 4), value))
    assert [x[0] for block in taken(made).blocks(PIXELS) for x in block.frames] == [1.0, 3.0]


@pytest.mark.fault(
    "The stream of the frames has a position, and the primary stream another one", "The result has that of its frames"
)
def test_a_position_that_was_read_with_the_frames_counts():
    made = Flight()
    made.event(made.stream("primary", {"x": NUMBER}), time=1.0, x=1.0)
    made.event(made.stream("second", {"det": held(3, 4), "x": NUMBER}), time=2.0, det=np.ones((3, 4)), x=2.0)
    assert taken(made).reading("x", 1) == 2.0
