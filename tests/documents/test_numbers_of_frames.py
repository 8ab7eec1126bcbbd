"""Frames have the sequence numbers of their StreamDatum: gaps, repeats, several files."""

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ainerd.config import Detector
from ainerd.documents import FrameError, Run
from tests.documents.flights import Flight, held, image, sent_to

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

    Each of `datums` is (file, start, stop, number of the first frame, or None if it is not known); the run is read
    after those of `reads`, and at the end.
    """
    made, run, rows = Flight(), Run(KEYS, [folder]), []
    det = made.stream("det", {"det": image(1, 2, 3)})
    files = {name: made.file(folder / f"{name}.h5") for name in "ab"}
    sent_to(run, made)
    try:
        for i, (name, start, stop, number) in enumerate(datums):
            made.frames(files[name], det, start, stop, 0 if number is None else number + 1)
            run(*made[-1])
            if i in reads or i == len(datums) - 1:
                for first, frames in run.blocks(PIXELS, wait_s=0.0):
                    rows += [(first + k, int(value)) for k, value in enumerate(frames[:, 0])]
    except FrameError as error:
        return rows, str(error), run
    finally:
        run.close()
    return rows, None, run


def right(datums):
    """The same by a list of all frames, one by one; the whole run is one exposure."""
    expected, following, is_again = [], 0, False
    for name, start, stop, number in datums:
        at = following if number is None else number
        new = [(at + k, start + k) for k in range(stop - start) if at + k >= following]
        is_again = is_again or len(new) < stop - start
        if new and is_again and new[0][0] > 0:
            return expected, "the detector began again before frame"
        for place, row in new:
            if row >= ROWS:
                return expected, "holds 120 frames"
            expected.append((place, row + 1000 * (name == "b")))
            following, is_again = place + 1, False
    return expected, None


KINDS = {
    "contiguous": [("a", 0, 120, 0)],
    "split": [("a", 0, 40, 0), ("a", 40, 41, 40), ("a", 41, 120, 41)],
    "one by one": [("a", i, i + 1, i) for i in range(30)],
    "numbers that are left out": [("a", 0, 40, 0), ("a", 40, 80, 50), ("a", 80, 120, 95)],
    "indices that are left out": [("a", 10, 40, 0), ("a", 50, 120, 30)],
    "again": [("a", 0, 40, 0), ("a", 40, 60, 10)],
    "again, and more": [("a", 0, 40, 0), ("a", 40, 80, 10)],
    "again, and more later": [("a", 0, 40, 0), ("a", 40, 50, 10), ("a", 50, 60, 40)],
    "beyond the file": [("a", 100, 130, 0)],
    "two files in turns": [("a", 0, 20, 0), ("b", 0, 20, 20), ("a", 20, 40, 40)],
    "numbers that are not known": [("a", 60, 80, None), ("a", 80, 120, None), ("b", 0, 60, None)],
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


STEP = st.tuples(st.sampled_from("aaaab"), st.sampled_from([0, 0, 0, 3, 7, -4, -30]), st.integers(0, 25))


def stepped(steps):
    """Datums of two files: each begins after the frame before, or leaves numbers out, or begins again."""
    datums, at, number = [], {"a": 0, "b": 0}, 0
    for name, jump, n in steps:
        number = max(number + jump, 0)
        datums.append((name, at[name], at[name] + n, number))
        at[name], number = at[name] + n, number + n
    return datums


@given(st.lists(STEP, max_size=8).map(stepped), st.sets(st.integers(0, 8)))
@example([("a", 0, 1, 0), ("a", 1, 1, 0), ("a", 1, 2, 3)], set())  # a document without frames repeats a number
@settings(max_examples=120, deadline=None)
def test_any_sequence_gives_the_right_frames_or_a_reason(folder, datums, reads):
    require(folder, datums, reads)


def test_many_missing_frames_cost_nothing(folder):
    rows, reason, run = numbered(folder, [("a", 0, 2, 0), ("a", 110, 120, 110)], ())
    assert rows[2] == (110, 110) and reason is None and run.n_passed == 120
    rows, reason, _ = numbered(folder, [("a", 0, 10, 0), ("a", 10, 15, 10**9 - 9)], (0,))
    assert rows[10] == (10**9 - 9, 10) and reason is None
    assert "number from 0 to 1000000000" in numbered(folder, [("a", 0, 10, 0), ("a", 10, 15, 10**9)], (0,))[1]


def test_an_event_that_is_taken_again_after_a_pause_costs_no_later_one(caplog):
    made, run = Flight(), Run(KEYS, [])
    stream = made.stream("primary", {"det": held(2, 3)})
    for number, value in ((1, 1), (2, 2), (3, 3), (3, 30), (4, 4)):
        made.event(stream, seq_num=number, det=np.full((2, 3), value))
    sent_to(run, made)
    taken = [(first + k, int(x)) for first, frames in run.blocks(PIXELS) for k, x in enumerate(frames[:, 0])]
    assert taken == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert "frame 2 came again after a pause" in caplog.text
