"""Frames keep their numbers: gaps, repeats and disorder in the indices of a StreamDatum."""

import h5py
import numpy as np
import pytest
from event_model import compose_run, compose_stream_resource
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd.config import Detector
from ainerd.documents import FrameError, Run

KEYS = Detector(image="det")
ROWS = 120  # in each file; the value of a pixel is that of its row, and 1000 more in the second file
PIXELS = np.array([1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for name, more in (("a", 0), ("b", 1000)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["d"] = np.broadcast_to(more + np.arange(ROWS)[:, None, None], (ROWS, 2, 3))
    return folder


def numbered(folder, datums, reads):
    """Return the number and the value of each frame that a run gives, and the reason why it ended early.

    Each of `datums` is (file, start, stop); the run is read after those of `reads`, and at the end.
    """
    bundle = compose_run()
    image = {"dtype": "array", "shape": [1, 2, 3], "source": "sim", "external": "STREAM:"}
    detector = bundle.compose_descriptor(name="det", data_keys={"det": image}, object_keys={"det": ["det"]})
    run, rows = Run(KEYS, [folder]), []
    run("start", bundle.start_doc)
    run("descriptor", detector.descriptor_doc)
    composed = {}
    for name in "ab":
        resource, composed[name] = compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{folder}/{name}.h5",
            data_key="det",
            parameters={"dataset": "d", "swmr": False},
        )
        run("stream_resource", resource)
    try:
        for i, (name, start, stop) in enumerate(datums):
            run("stream_datum", composed[name]({"start": start, "stop": stop}, descriptor=detector.descriptor_doc))
            if i in reads or i == len(datums) - 1:
                for first, frames in run.blocks(PIXELS, wait_s=0.0):
                    rows += [(first + k, int(value)) for k, value in enumerate(frames[:, 0])]
    except FrameError as error:
        return rows, str(error), run
    finally:
        run.close()
    return rows, None, run


def right(datums):
    """The same by a list of all frames, one by one: whether a frame is new, and its number."""
    at, seen, expected, following = {}, [], [], 0
    for name, start, stop in datums:
        if start == stop:
            continue
        at.setdefault(name, following - start)
        if any(other == name and start <= last for other, last in seen) or at[name] + start < following:
            return expected, " came a"  # again, or after those of another file
        for row in range(start, stop):
            if row >= ROWS:
                return expected, "holds 120 frames"
            seen.append((name, row))
            expected.append((at[name] + row, row + 1000 * (name == "b")))
        following = max(following, at[name] + stop)
    return expected, None


KINDS = {
    "contiguous": [("a", 0, 120)],
    "split": [("a", 0, 40), ("a", 40, 41), ("a", 41, 120)],
    "one by one": [("a", i, i + 1) for i in range(30)],
    "an empty datum": [("a", 0, 40), ("a", 40, 40), ("a", 40, 90)],
    "a gap": [("a", 0, 40), ("a", 50, 110)],
    "two gaps": [("a", 0, 40), ("a", 50, 60), ("a", 80, 120)],
    "a gap at the start": [("a", 10, 110)],
    "an empty datum, then a gap": [("a", 0, 0), ("a", 10, 20), ("a", 30, 40)],
    "a repeat": [("a", 0, 50), ("a", 0, 50)],
    "an overlap": [("a", 0, 60), ("a", 40, 80)],
    "an overlap over a gap": [("a", 0, 40), ("a", 50, 60), ("a", 35, 55)],
    "a part repeated": [("a", 0, 60), ("a", 10, 20)],
    "disorder": [("a", 50, 100), ("a", 0, 50)],
    "disorder in a gap": [("a", 0, 40), ("a", 60, 80), ("a", 40, 60)],
    "beyond the file": [("a", 0, 100), ("a", 100, 140)],
    "a gap beyond the file": [("a", 0, 100), ("a", 10**6, 10**6 + 10)],
    "two files": [("a", 0, 60), ("b", 0, 60)],
    "two files with gaps": [("a", 0, 60), ("a", 70, 80), ("b", 5, 20), ("b", 30, 60)],
    "two files in turns": [("a", 0, 20), ("b", 0, 20), ("a", 20, 40)],
    "a file goes on": [("a", 60, 80), ("a", 80, 120)],
}


def require(folder, datums, reads):
    rows, reason, _ = numbered(folder, datums, reads)
    expected, why = right(datums)
    assert (reason is None) == (why is None), (reason, why)
    if why is not None:
        assert why in reason
    assert rows == expected[: len(rows)] and (len(rows) == len(expected) or why is not None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", ["each", "at the end"])
def test_frames_have_the_numbers_that_their_documents_give(folder, kind, reads):
    require(folder, KINDS[kind], range(99) if reads == "each" else ())


DATUM = st.tuples(st.sampled_from("aaab"), st.integers(0, 125), st.integers(0, 40)).map(
    lambda x: (x[0], x[1], x[1] + x[2])
)
STEPS = st.lists(
    st.tuples(st.sampled_from("aaaab"), st.sampled_from([0, 0, 0, 3, 7, -4]), st.integers(0, 25)), max_size=8
)


def stepped(steps):
    """Datums of two files, each after the last one of its file, or after a gap, or too early."""
    datums, at = [], {"a": 0, "b": 0}
    for name, jump, n in steps:
        start = max(at[name] + jump, 0)
        datums.append((name, start, start + n))
        at[name] = start + n
    return datums


@given(st.one_of(st.lists(DATUM, max_size=6), STEPS.map(stepped)), st.sets(st.integers(0, 8)))
@settings(max_examples=120, deadline=None)
def test_any_sequence_gives_the_right_frames_or_a_reason(folder, datums, reads):
    require(folder, datums, reads)


def test_the_reason_names_the_frames(folder):
    for datums, reason in (
        ([("a", 0, 60), ("a", 40, 80)], "frames 40-79 came again, or too late: frame 59 was announced before"),
        ([("a", 0, 50), ("a", 0, 50)], "frames 0-49 came again, or too late: frame 49 was announced before"),
        ([("a", 50, 100), ("a", 0, 50)], "frames 0-49 came again, or too late: frame 99 was announced before"),
    ):
        assert numbered(folder, datums, ())[1] == reason


def test_many_missing_frames_cost_nothing(folder):
    rows, reason, run = numbered(folder, [("a", 0, 2), ("a", 110, 120)], ())
    assert rows[2] == (110, 110) and reason is None and run.n_passed == 120
    rows, reason, _ = numbered(folder, [("a", 0, 10), ("a", 10**9 - 5, 10**9)], (0,))
    assert len(rows) == 10 and "holds 120 frames" in reason
    assert "may have 1000000000" in numbered(folder, [("a", 0, 10), ("a", 10**9, 10**9 + 5)], (0,))[1]


def test_an_event_that_is_taken_again_after_a_pause_costs_no_later_one(caplog):
    bundle, run = compose_run(), Run(KEYS, [])
    image = {"dtype": "array", "shape": [2, 3], "source": "sim"}
    detector = bundle.compose_descriptor(name="primary", data_keys={"det": image}, object_keys={"det": ["det"]})
    run("start", bundle.start_doc)
    run("descriptor", detector.descriptor_doc)
    for number, value in ((1, 1), (2, 2), (3, 3), (3, 30), (4, 4)):
        data = {"det": np.full((2, 3), value)}
        run("event", detector.compose_event(data=data, timestamps={"det": 0.0}, seq_num=number))
    taken = [(first + k, int(x)) for first, frames in run.blocks(PIXELS) for k, x in enumerate(frames[:, 0])]
    assert taken == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert "the frames of event 3 are left out: it came twice" in caplog.text
