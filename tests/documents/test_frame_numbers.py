"""Frames with numbers or times of the detector: in their file, in a stream of their own, in events."""

import re

import h5py
import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import FrameError, MissingFrames, Run
from tests.documents.flights import NUMBER, Flight, image, sent_to

PIXELS = np.array([1])
UNIQUE = "/entry/instrument/NDAttributes/NDArrayUniqueId"
STREAM, FILE = "number", UNIQUE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("numbers")


def written(path, numbers):
    """Write a file whose frames hold their rows, beside numbers."""
    numbers = np.asarray(numbers)
    with h5py.File(path, "w") as file:
        file["d"] = np.broadcast_to(np.arange(len(numbers))[:, None, None], (len(numbers), 2, 3))
        file[UNIQUE] = numbers


def documents(folder, n, *, key, n_frames=0, flush=10, per_index=1, scalar=False):
    """A detector that flies, or with `scalar` reads a number with each index; `key` is where the numbers are."""
    run, keys = Flight(), {"det": image(per_index, 2, 3)}
    if not key.startswith("/"):
        keys[key] = image(per_index)
    stream = run.stream("det", keys | ({"x": NUMBER} if scalar else {}), num=n_frames, tick=0.5)
    files = [run.file(folder / "f.h5", "d" if name == "det" else UNIQUE, key=name) for name in keys]
    for start in range(0, n // per_index, flush):
        stop = min(start + flush, n // per_index)
        for file in files:
            run.frames(file, stream, start, stop, number=0)
        for i in range(start, stop) if scalar else ():
            run.event(stream, time=float(i), seq_num=i + 1, x=i)
    return run.stop()


def read(docs, folder, **keys):
    """Return the number and row of each frame, the reason why the run ended early, and the run."""
    run, rows = Run(Detector(image="det", **keys), [folder]), []
    try:
        for name, doc in docs:
            run(name, doc)
            if name in ("stream_datum", "event", "stop"):
                for first, frames in run.blocks(PIXELS, wait_s=0.0 if name == "stop" else None):
                    rows += [(first + k, int(value)) for k, value in enumerate(frames[:, 0])]
    except FrameError as error:
        return rows, str(error), run
    finally:
        run.close()
    return rows, None, run


def numbered(numbers):
    return [(int(number), row) for row, number in enumerate(numbers)]


LOST = np.delete(np.arange(1, 101), [3, 40, 41, 42, 98])
KINDS = {  # numbers of the detector, what the run gives (its numbers, or how many frames come before a reason)
    "from another number": (np.arange(7001, 7061), np.arange(60)),
    "frames lost": (LOST, LOST - 1),
    "many lost": ([1, 2, 10**8], [0, 1, 10**8 - 1]),
    "two exposures": ([*range(1, 101), *range(1, 101)], range(200)),
    "two exposures that lose frames": ([*LOST, *LOST], [*(LOST - 1), *(LOST + 99)]),
    "an exposure that ends early": ([*range(1, 31), *range(1, 101)], [*range(30), *range(100, 200)]),
    "numbers that go on": ([*LOST, *(LOST + 100)], [*(LOST - 1), *(LOST + 99)]),
    "three exposures of one frame": ([5, 5, 5], [0, 100, 200]),
    "a repeat": ([*range(1, 30), 29, 30, 31], (29, "frames? 29.* frame 29 was announced before")),
    "disorder": ([1, 2, 3, 8, 9, 5, 6], (5, "frames? 5.* frame 9 was announced before")),
    "whole floats": (LOST.astype(float), LOST - 1),
    "broken numbers": ([1.0, 2.5, 3.0], (1, "not whole")),
    "too many": ([1, 2, 2 * 10**9], (2, "may have 1000000000")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [STREAM, FILE])
@pytest.mark.parametrize("flush", [7, 1000])
def test_frames_have_the_numbers_of_the_detector(folder, kind, key, flush):
    numbers, wanted = KINDS[kind]
    written(folder / "f.h5", numbers)
    docs = documents(folder, len(numbers), key=key, n_frames=100, flush=flush)
    rows, reason, run = read(docs, folder, frame_number=key, n_frames="num")
    if isinstance(wanted, tuple):
        n, text = wanted
        assert re.search(text, reason) and rows == numbered([x - numbers[0] for x in numbers[:n]])[: len(rows)]
    else:
        assert reason is None and rows == numbered(wanted)
        assert run.n_events == -(-(wanted[-1] + 1) // 100) and run.n_read == len(numbers)


@pytest.mark.parametrize("flush", [1, 3])
def test_an_index_may_hold_many_frames_and_events_come_later(folder, flush):
    written(folder / "f.h5", LOST)
    docs = documents(folder, 95, key=FILE, per_index=5, flush=flush, scalar=True)
    rows, reason, run = read(docs, folder, frame_number=FILE)
    assert reason is None and rows == numbered(LOST - 1)
    np.testing.assert_array_equal(run.of_frames("x", 0, 3), [0, 0, 0])
    np.testing.assert_array_equal(run.of_frames("x", 97, 98), [18])  # by its row


def test_numbers_that_come_late_are_waited_for(folder):
    written(folder / "f.h5", np.arange(4))
    docs = [*documents(folder, 4, key=STREAM, flush=4)]
    late = [doc for name, doc in docs if name == "stream_datum"][1]
    without = [(name, doc) for name, doc in docs if doc is not late]
    rows, reason, run = read(without, folder, frame_number=STREAM)
    assert not rows and reason == "'number' of frames 0-3 is not announced" and run.n_ready == 4
    rows, reason, _ = read([*without[:-1], ("stream_datum", late), without[-1]], folder, frame_number=STREAM)
    assert rows == numbered(range(4)) and reason is None
    with h5py.File(folder / "f.h5", "a") as file:
        del file[UNIQUE]
        file[UNIQUE] = np.arange(3)
    run = sent_to(Run(Detector(image="det", frame_number=FILE), [folder]), documents(folder, 4, key=FILE))
    with pytest.raises(MissingFrames, match="holds the numbers of 3 frames, 4 were announced"):
        list(run.blocks(PIXELS, wait_s=0.0))
    run.close()


def test_a_key_that_is_not_there_is_named(folder):
    written(folder / "f.h5", np.arange(4))
    for key, reason in (("/elsewhere", "elsewhere': no such dataset"), ("id", "no number for each frame in 'id'")):
        assert reason in read(documents(folder, 4, key=FILE), folder, frame_number=key)[1]


TICKS = np.array([0, 1, 2, 4, 8, 16, 32, 10**8])


@pytest.mark.parametrize("times", [TICKS + 5, (TICKS + 5) * 0.5, 1.7e9 + TICKS * 0.5 + 0.1 * np.sin(TICKS)])
@pytest.mark.parametrize("flush", [5, 1000])
@pytest.mark.parametrize("key", [STREAM, FILE])
def test_frames_may_come_at_any_times(folder, times, flush, key):
    both = np.concatenate([times, times + 10 * times[-1]])
    written(folder / "f.h5", both)
    docs = [*documents(folder, 16, key=key, flush=flush, n_frames=8)]
    rows, reason, run = read(docs, folder, ticks=key, n_frames="num", frame_time_s="tick")
    assert reason is None and run.n_events == 2 and run.n_event == 10**9 and run.n_own == 8
    assert [number for number, _ in rows] == [*TICKS, *(TICKS + run.n_event)]
    docs = documents(folder, 8, key=key, flush=flush)
    rows, _, run = read(docs, folder, ticks=key, frame_time_s="tick")  # one exposure, as far as anyone knows
    assert (run.n_events, run.n_event, rows[7]) == (1, None, (10**8, 7))


def test_times_are_in_the_unit_of_their_data_key(folder):
    written(folder / "f.h5", 500.0 * TICKS[:7])
    docs = [*documents(folder, 7, key=STREAM)]
    docs[1][1]["data_keys"][STREAM]["units"] = "ms"
    rows, reason, _ = read(docs, folder, ticks=STREAM, frame_time_s="tick")
    assert reason is None and [number for number, _ in rows] == [*TICKS[:7]]


def test_times_that_do_not_fit_have_a_reason(folder):
    for times, reason in (
        ([0.0, 0.5, 0.6, 1.0], "came again, or too late: tick 1 was"),
        ([0.0, 0.5, 0.1], "tick 0 came again, or too late: tick 1 was"),
        ([5.0, 6.0, 2.0], "tick -6 came again, or too late: tick 2 was"),
        ([0.0, 1e10], "more than 1000000000"),
    ):
        written(folder / "f.h5", np.array(times))
        docs = documents(folder, len(times), key=FILE)
        assert reason in read(docs, folder, ticks=FILE, frame_time_s="tick")[1]
    assert "detector.frame_time_s" in read(documents(folder, 2, key=FILE), folder, ticks=FILE)[1]
