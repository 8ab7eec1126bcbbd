"""Runs whose frames are in files of a Rigaku detector: the frames of each event, late files, refusals."""

import os

import numpy as np
import pytest
from event_model import compose_resource

from ainerd.config import Detector
from ainerd.documents import MIMETYPES, FrameError, MissingFrames, Run, Whole
from ainerd.technique import RunAnalysis
from ainerd_files import RigakuReader
from ainerd_xpcs.numerics import Events, Partition
from sim_devices import rigaku_words, write_rigaku, write_words
from tests.documents.flights import Flight, image, sent_to

MODULE, CANVAS = (512, 1024), (1676, 2100)
RIGAKU = MIMETYPES["RIGAKU"]
KEYS = Detector(image="det", n_frames="n", frame_time_s="t", pixel_order="rows")


class Reader(RunAnalysis):
    """Takes events, and whole frames now and then."""

    every = 5

    def __init__(self, shape=MODULE):
        roi_map = np.random.default_rng(0).integers(-40, 2, shape).clip(0)
        self.partition, self.frames = Partition.from_roi_map(roi_map), {}
        self.pixels = self.partition.pixels

    def open_events(self, path, pixel_order):
        return RigakuReader(path, self.partition, order=pixel_order, block=4)

    def whole(self, frame, number):
        self.frames[number] = frame


def frames_of(n, shape=MODULE, seed=1):
    frames, rng = np.zeros((n, *shape), np.uint16), np.random.default_rng(seed)
    for frame in frames:
        frame.ravel()[rng.integers(0, frame.size, 40_000)] = rng.integers(1, 9, 40_000)
    return frames


class Documents:
    """A run whose frames are announced as they are written."""

    def __init__(self, folder, file, *, n=None, per_index=1, shape=MODULE, keys=KEYS, roots=None):
        self.run, self._made = Run(keys, roots or [folder]), Flight()
        self._stream = self._made.stream("primary", {"det": image(per_index, *shape)}, n=n or per_index, t=1e-5)
        self._file = self._made.file(folder / file, mimetype=RIGAKU, chunk_shape=[1, 1, *shape])
        sent_to(self.run, self._made)

    def announce(self, start, stop):
        self._made.frames(self._file, self._stream, start, stop)
        self.run(*self._made[-1])

    def take(self, reader, **options):
        """Dense frames by number, of all blocks that are ready."""
        first, until = options.pop("first", 0), options.get("until")
        frames = {}
        for block in self.run.blocks(reader.pixels, whole=Whole(reader, first), **options):
            events = block.frames
            assert isinstance(events, Events) and (until is None or block.first + len(events) <= until)
            for number in range(len(events)):
                frames[block.first + number] = np.zeros(reader.pixels.size, int)
            for tick, a, b in zip(events.ticks, events.offsets[:-1], events.offsets[1:], strict=True):
                frames[block.first + tick][events.pixel[a:b]] = events.count[a:b]
        return frames


def check(taken, frames, reader, numbers):
    assert [*taken] == [*numbers]
    for number, frame in taken.items():
        np.testing.assert_array_equal(frame, reader.partition.gather(frames[number][None])[0])


def test_a_file_that_grows_is_read_as_its_frames_are_announced(tmp_path):
    frames, reader, documents = frames_of(20), Reader(), Documents(tmp_path, "a.bin")
    frames[6:9] = 0
    for start, stop in ((0, 3), (3, 11), (11, 20)):
        write_rigaku(tmp_path / "a.bin", frames[start:stop], first=start)
        with (tmp_path / "a.bin").open("ab") as file:
            file.write(b"abc")  # a part of the next word
        documents.announce(start, stop)
        check(documents.take(reader), frames, reader, range(start, stop))
        os.truncate(tmp_path / "a.bin", os.path.getsize(tmp_path / "a.bin") - 3)
    assert [*reader.frames] == [4, 9, 14, 19] and documents.run.n_read == documents.run.n_passed == 20
    for number, frame in reader.frames.items():
        np.testing.assert_array_equal(frame, frames[number])
    documents.run.close()


def test_frames_are_late_until_their_events_can_be_seen(tmp_path):
    frames, reader, documents = frames_of(8), Reader(), Documents(tmp_path, "a.bin")
    documents.announce(0, 8)
    assert documents.take(reader) == {}  # no file yet
    with pytest.raises(MissingFrames, match="no file .*a.bin"):
        documents.take(reader, wait_s=0.0)
    write_rigaku(tmp_path / "a.bin", frames[:5])
    with pytest.raises(MissingFrames, match="no event of frame 7 yet"):
        documents.take(reader, wait_s=0.0)
    write_rigaku(tmp_path / "a.bin", frames[5:], first=5)
    check(documents.take(reader), frames, reader, range(8))
    # of a file that does not change any more the others are empty
    empty = Documents(tmp_path, "a.bin")
    empty.announce(0, 12)
    check(empty.take(reader, wait_s=5.0), [*frames, *np.zeros((4, *MODULE), int)], reader, range(12))
    for run in (documents.run, empty.run):
        run.close()


def test_documents_of_the_rigaku_at_aps_8id_i(tmp_path):
    """Resource and Datum as its class of classic ophyd composes them, with a file of two points."""
    frames, reader = frames_of(12), Reader()
    write_rigaku(tmp_path / "a.bin", frames)
    run, made = Run(KEYS, [tmp_path]), Flight()
    primary = made.stream("primary", {"det": image(*MODULE, external="FILESTORE:")}, n=6, t=1e-5)
    resource, datum, _ = compose_resource(
        spec="RIGAKU", root="/", resource_path=str(tmp_path / "a.bin")[1:], resource_kwargs={"frames_per_point": 6}
    )
    made.append(("resource", resource))
    for index in range(2):
        point = datum(datum_kwargs={"index": index})
        made.append(("datum", point))
        made.event(primary, det=point["datum_id"])
    sent_to(run, made)
    taken = Documents.take(type("Taken", (), {"run": run}), reader)
    check(taken, frames, reader, range(12))
    run.close()


def test_an_unreadable_file_has_a_reason(tmp_path):
    frames = frames_of(4)
    write_rigaku(tmp_path / "a.bin", frames)
    inside = tmp_path / "inside"
    inside.mkdir()
    for number in range(6):
        (inside / f"b.bin.{number:03d}").symlink_to(tmp_path / "a.bin")
    (inside / "b.bin.000").unlink()
    write_rigaku(inside / "b.bin.000", frames[:1])
    write_words(inside / "c.bin", [rigaku_words([0, 3, 2], [0, 0, 0], [1, 1, 1])])
    write_rigaku(inside / "d.bin", frames)
    os.truncate(inside / "d.bin", 20)
    no_order = Detector(image="det", n_frames="n", frame_time_s="t")
    cases = [
        ("d.bin", MODULE, no_order, Reader(), "set detector.pixel_order to 'rows', as boost_corr"),
        ("b.bin.000", CANVAS, KEYS, Reader(CANVAS), "outside the allowed roots"),
        ("c.bin", MODULE, KEYS, Reader(), "c.bin, word 2: frame 2 after frame 3"),
        ("d.bin", MODULE, KEYS, Reader(), "d.bin ends within a word, before frame 3"),
        ("d.bin", MODULE, KEYS, None, "holds events, and the technique reads only frames"),
    ]
    for file, shape, keys, reader, message in cases:
        documents = Documents(inside, file, shape=shape, keys=keys, roots=[inside])
        documents.announce(0, 4)
        pixels = Reader(shape).pixels
        with pytest.raises(FrameError, match=message):
            list(documents.run.blocks(pixels, wait_s=1.0, whole=Whole(reader)))
        documents.run.close()
