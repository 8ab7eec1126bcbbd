"""Frames that are not in a file of this machine."""

import json
from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from event_model import NumpyEncoder

from ainerd.config import Detector
from ainerd.documents import FrameError, MissingFrames, Run, Whole, documents_of
from ainerd.runs import Writer
from ainerd.server import open_catalog
from tests.documents.flights import Flight, held, image, sent_to
from tests.documents.test_whole_frames import Sees

KEYS = Detector(image="det_image", n_frames="det_num", frame_time_s="det_period")
PIXELS = np.array([13, 29, 2, 17])
N, NY, NX = 60, 5, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of the detector, which the server may read."""
    return tmp_path_factory.mktemp("detector")


@pytest.fixture(scope="module")
def raw(place):
    return open_catalog(place.client())[0]


@pytest.fixture(scope="module")
def movie(folder):
    frames = np.random.default_rng(0).poisson(1.0, (N, NY, NX)).astype(np.uint16)
    for name, part in {"all": frames, "first": frames[:25], "second": frames[25:]}.items():
        with h5py.File(folder / f"{name}.h5", "w", libver="latest") as file:
            file.create_dataset("d", data=part, chunks=(1, NY, NX), **hdf5plugin.Bitshuffle(cname="lz4"))
    return frames


def documents(folder, files, *, per_index=1, frames=()):
    """Documents of a run whose frames are in files of another machine, or in its events."""
    run, key = Flight(), image(per_index, NY, NX) if files else held(NY, NX)
    det = run.stream("det", {"det_image": key}, det_num=N, det_period=0.1)
    for name, n in files.items():
        about = {"swmr": True, "chunk_shape": [1, per_index, NY, NX]}
        file = run.file(folder / f"{name}.h5", key="det_image", host="detector-pc", **about)
        run.frames(file, det, 0, n // per_index, number=0)
    for frame in frames:
        run.event(det, det_image=frame)
    return run.stop()


def sent(raw, docs, batch_size=1):
    """Write documents to Tiled, events in batches, and return them."""
    sent_to(TiledWriter(raw, batch_size=batch_size), docs := list(docs))
    return docs


def gathered(docs, raw, roots=()):
    run, blocks = Run(KEYS, roots, raw), []
    for name, doc in docs:
        run(name, doc)
        if run.has_frames:
            blocks += [frames for _, frames in run.blocks(PIXELS, wait_s=0.0 if name == "stop" else None)]
    run.close()
    assert run.n_passed == N
    return np.concatenate(blocks)


@pytest.mark.parametrize(
    ("files", "per_index"), [({"all": N}, 1), ({"all": N}, 20), ({"all": N}, N), ({"first": 25, "second": 35}, 1)]
)
def test_frames_of_another_machine_come_from_tiled(raw, folder, movie, files, per_index):
    docs, asked = sent(raw, documents(folder, files, per_index=per_index)), []
    expected = movie.reshape(N, -1)[:, PIXELS]
    raw.context.http_client.event_hooks["request"].append(lambda request: asked.append(request.url.params.get("slice")))
    assert np.array_equal(gathered(docs, raw), expected)
    raw.context.http_client.event_hooks["request"].pop()
    windows = [each for each in asked if each]
    assert windows and all(each.endswith("0:5,1:6") for each in windows)  # pixels 13, 29, 2 and 17
    assert np.array_equal(gathered(documents_of(raw[docs[0][1]["uid"]]), raw), expected)
    with pytest.raises(MissingFrames, match="not a local file"):
        gathered(docs, None)


def test_a_run_from_tiled_has_no_gaps(raw, folder, movie):
    """A limit: Tiled keeps how many frames were announced, not their indices."""
    docs = list(documents(folder, {"all": N}))
    at = [name for name, _ in docs].index("stream_datum")
    datum, ranges = docs[at][1], ((0, 20), (40, N))
    docs[at : at + 1] = [
        ("stream_datum", {**datum, "uid": f"{datum['uid']}/{start}", "indices": {"start": start, "stop": stop},
                          "seq_nums": {"start": start + 1, "stop": stop + 1}})
        for start, stop in ranges
    ]  # fmt: skip
    n_frames = []
    for source in sent(raw, docs), documents_of(raw[docs[0][1]["uid"]]):
        n_frames.append(sent_to(Run(KEYS, (), raw), source).n_ready)
    assert n_frames == [N, 40]


def test_frames_that_are_late_in_tiled_are_requested_again(raw, folder, movie):
    docs = list(documents(folder, {"all": N}))
    run = sent_to(Run(KEYS, (), raw), docs)
    assert list(run.blocks(PIXELS)) == []
    with pytest.raises(MissingFrames, match=r"not a local file, and Tiled has no .*/det/det_image"):
        list(run.blocks(PIXELS, wait_s=0.0))
    sent(raw, docs)
    assert np.array_equal(np.concatenate([frames for _, frames in run.blocks(PIXELS)]), movie.reshape(N, -1)[:, PIXELS])


def test_a_forbidden_file_is_not_requested_from_tiled(raw, folder, movie, tmp_path):
    docs = sent(raw, ((name, dict(doc)) for name, doc in documents(folder, {"all": N})))
    for name, doc in docs:
        if name == "stream_resource":
            doc["uri"] = doc["uri"].replace("detector-pc", "localhost")
    with pytest.raises(FrameError, match="outside the allowed roots"):
        gathered(docs, raw, [tmp_path])


def test_frames_in_events_are_read_live_and_from_tiled(raw, movie):
    docs, expected = list(documents(None, {}, frames=movie)), movie.reshape(N, -1)[:, PIXELS]
    assert np.array_equal(gathered(docs, None), expected)
    kept = [(name, json.loads(json.dumps(doc, cls=NumpyEncoder))) for name, doc in docs]  # while Tiled is away
    assert np.array_equal(gathered(kept, None), expected)
    sent(raw, docs, batch_size=20)
    assert np.array_equal(gathered(documents_of(raw[docs[0][1]["uid"]]), raw), expected)
    with pytest.raises(FrameError, match=r"shape \(4, 6\)"):
        gathered(documents(None, {}, frames=movie[:, 1:]), None)


@pytest.mark.parametrize(("per_index", "every"), [(1, 16), (20, 8)])
def test_whole_frames_come_from_tiled(raw, folder, movie, per_index, every):
    docs, sees = sent(raw, documents(folder, {"all": N}, per_index=per_index)), Sees(every)
    run = sent_to(Run(KEYS, (), raw), docs)
    blocks = sees.take(frames for _, frames in run.blocks(PIXELS, wait_s=0.0, whole=Whole(sees)))
    run.close()
    assert len(blocks) == N
    sees.require(movie, range(every - 1, N, every))


def test_whole_frames_are_numbered_in_their_event(movie):
    run = sent_to(Run(KEYS, ()), documents(None, {}, frames=movie))
    run.skip(20)
    sees = Sees(8)
    sees.take(frames for _, frames in run.blocks(PIXELS, until=40, whole=Whole(sees, first=20)))
    sees.require(movie[20:], [7, 15])


def numbered(raw, folder, movie, numbers, n_exposure):
    """Write a run of a detector that numbers its frames to Tiled, and return its documents."""
    path, run = folder / f"numbered{n_exposure}.h5", Flight()
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("d", data=movie, chunks=(1, NY, NX))
        file.create_dataset("ids", data=numbers, chunks=(16,))
    det = run.stream("det", {"det_image": image(1, NY, NX), "ids": image(1, dtype_numpy="<i8")}, n=n_exposure)
    files = [
        run.file(path, dataset, key=key, swmr=True, chunk_shape=chunks)
        for key, dataset, chunks in (("det_image", "d", [1, NY, NX]), ("ids", "ids", [16]))
    ]
    for start, stop in ((0, 25), (25, N)):
        for file in files:
            run.frames(file, det, start, stop, number=0)
    return sent(raw, run.stop())


def test_with_a_stream_of_numbers_a_run_from_tiled_has_its_gaps(raw, folder, movie):
    numbers = np.delete(np.arange(70), [5, *range(30, 36), 50, 60, 61])
    docs = numbered(raw, folder, movie, numbers, N)
    for source in docs, list(documents_of(raw[docs[0][1]["uid"]])):
        run, places, frames = Run(Detector(image="det_image", frame_number="ids"), [folder], raw), [], []
        for name, doc in source:
            run(name, doc)
            if run.has_frames:
                for first, block in run.blocks(PIXELS, wait_s=0.0 if name == "stop" else None):
                    places += range(first, first + len(block))
                    frames.append(block)
        run.close()
        assert places == numbers.tolist()
        assert np.array_equal(np.concatenate(frames), movie.reshape(N, -1)[:, PIXELS])


def test_an_exposure_without_frames_counts_among_those_that_need_a_result(raw, folder, movie):
    numbers = np.delete(np.arange(80), np.arange(20, 40))  # of four exposures the second one is lost
    docs = numbered(raw, folder, movie, numbers, 20)
    keys = Detector(image="det_image", frame_number="ids", n_frames="n")
    technique = SimpleNamespace(unit="event", parameters={}, files_digest=lambda start: "")
    writer = Writer(technique, None, keys, SimpleNamespace(units_of_keys={}), (folder,), "me", raw)
    run = raw[uid := docs[0][1]["uid"]]
    assert [writer.has_all(run, {uid: n}) for n in (0, 3, 4)] == [False, False, True]
