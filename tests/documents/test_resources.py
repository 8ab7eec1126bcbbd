"""Frames as classic ophyd announces them: a Resource, a Datum for each event, and the datum's id in the event."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from event_model import RunRouter

from ainerd.config import Detector
from ainerd.documents import FrameError, MissingFrames, Run
from tests.documents.flights import NUMBER, Flight, image

KEYS = Detector(image="lambda750k_image", n_frames="lambda750k_cam_num_images")
PIXELS = np.array([3, 0, 11])
N, POINTS = 20, 3


@pytest.fixture
def movie(tmp_path):
    """Sixty frames of 3 × 4, and their file."""
    frames = np.random.default_rng(0).poisson(1.0, (60, 3, 4)).astype(np.uint16)
    (tmp_path / "frames").mkdir()
    with h5py.File(tmp_path / "frames" / "a b_000000.h5", "w", libver="latest") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, 3, 4), **hdf5plugin.Bitshuffle(cname="lz4"))
    return frames


def documents(tmp_path, *, shape, spec="AD_HDF5", explained=True, per_point=N):
    """Of `count(num=3)` with ophyd's Lambda750kCam and HDF5Plugin, as ophyd 1.11 and bluesky 1.15 emit them."""
    made, path = Flight(), str(tmp_path / "frames" / "a b_000000.h5").lstrip("/")
    kwargs = {"frame_per_point": per_point}
    resource = made.run.compose_resource(spec=spec, root="/", resource_path=path, resource_kwargs=kwargs)
    made.append(("resource", resource.resource_doc))
    detector = described(made, shape, N)
    for point in range(POINTS):
        datum = resource.compose_datum(datum_kwargs={"point_number": point})
        made += [("datum", datum)] * explained
        made.event(detector, time=100.0 + point, lambda750k_image=datum["datum_id"], x=10.0 + point)
    return made.stop()


def described(made, shape, n):
    """Describe a detector of classic ophyd, with `n` frames configured, and a motor."""
    keys = {"lambda750k_image": image(*shape, external="FILESTORE:"), "x": NUMBER}
    return made.stream("primary", keys, lambda750k_cam_num_images=n)


def taken(docs, tmp_path):
    run, blocks = Run(KEYS, [tmp_path]), []
    for name, doc in docs:
        run(name, doc)
        if name in ("event", "stop"):
            blocks += [frames for _, frames in run.blocks(PIXELS, wait_s=0.0 if name == "stop" else None)]
    run.close()
    return run, np.concatenate(blocks)


def test_each_event_has_its_frames_although_its_shape_is_that_of_one(tmp_path, movie):
    run, frames = taken(documents(tmp_path, shape=[3, 4]), tmp_path)
    assert np.array_equal(frames, movie.reshape(POINTS * N, -1)[:, PIXELS])
    assert (run.n_event, run.n_events, run.n_passed) == (N, POINTS, POINTS * N)
    assert [run.reading("x", event) for event in (1, 2, 3)] == [10.0, 11.0, 12.0]


@pytest.mark.fault("Frames are announced with an unknown mimetype", "The result is failed and names it")
def test_unreadable_frames_are_reported(tmp_path, movie):
    with pytest.raises(FrameError, match="event 1 are in datum .*, which no document describes"):
        taken(documents(tmp_path, shape=[N, 3, 4], explained=False), tmp_path)
    with pytest.raises(MissingFrames, match="frames of type 'AD_TIFF' .* are not read"):
        taken(documents(tmp_path, shape=[N, 3, 4], spec="AD_TIFF"), tmp_path)


@pytest.mark.parametrize("per_point", [0, -1])
def test_a_number_of_frames_per_event_is_needed(tmp_path, movie, per_point):
    with pytest.raises(FrameError, match=f"'frame_per_point' of the resource is {per_point}, which does not say"):
        taken(documents(tmp_path, shape=[3, 4], per_point=per_point), tmp_path)
    _, frames = taken(documents(tmp_path, shape=[N, 3, 4], per_point=per_point), tmp_path)  # the shape says it
    assert np.array_equal(frames, movie.reshape(POINTS * N, -1)[:, PIXELS])


def test_documents_from_the_agents_router_are_read_too(tmp_path, movie):
    docs = []
    router = RunRouter([lambda name, doc: ([lambda *document: docs.append(document)], [])])
    for document in documents(tmp_path, shape=[N, 3, 4]):
        router(*document)
    assert "datum_page" in [name for name, _ in docs]
    run, frames = taken(docs, tmp_path)
    assert np.array_equal(frames, movie.reshape(POINTS * N, -1)[:, PIXELS])
    assert (run.frame_shape, run.n_event, run.n_events) == ((3, 4), N, POINTS)


def series(tmp_path, spec, datums, shape, n=N):
    """Documents of an Eiger of classic ophyd, and its files: a master for each series, with files of eight frames.

    `n` frames are configured. The motor x is at 10, 11, … in the events.
    """
    movies = np.random.default_rng(1).poisson(1.0, (4, N, 3, 4)).astype(np.uint16)
    for seq_id, movie in enumerate(movies, start=7):
        with h5py.File(tmp_path / f"eiger_{seq_id}_master.h5", "w") as master:
            data = master.create_group("entry/data")
            for k, start in enumerate(range(0, N, 8), start=1):
                name = f"eiger_{seq_id}_data_{k:06d}.h5"
                part, packed = movie[start : start + 8], hdf5plugin.Bitshuffle(cname="lz4")
                with h5py.File(tmp_path / name, "w") as file:
                    file.create_dataset("entry/data/data", data=part, chunks=(1, 3, 4), **packed)
                data[f"data_{k:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    made, path = Flight(), str(tmp_path / "eiger").lstrip("/")
    kwargs = {"images_per_file": 8}
    resource = made.run.compose_resource(spec=spec, root="/", resource_path=path, resource_kwargs=kwargs)
    made.append(("resource", resource.resource_doc))
    detector = described(made, shape, n)
    for point, options in enumerate(datums):
        datum = resource.compose_datum(datum_kwargs=options)
        made.append(("datum", datum))
        made.event(detector, lambda750k_image=datum["datum_id"], x=10.0 + point)
    return made.stop(), movies.reshape(4, N, -1)[:, :, PIXELS]


@pytest.mark.parametrize("shape", [[N, 3, 4], [3, 4]])
@pytest.mark.parametrize("spec", ["AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE"])
def test_each_event_of_an_eiger_has_the_frames_of_its_series(tmp_path, spec, shape):
    docs, movies = series(tmp_path, spec, [{"seq_id": 8}, {"seq_id": 9}, {"seq_id": 7}], shape)
    run, frames = taken(docs, tmp_path)
    assert np.array_equal(frames, np.concatenate([movies[1], movies[2], movies[0]])) and run.n_events == 3


def test_a_datum_that_does_not_say_where_its_frames_are_is_refused(tmp_path):
    for spec, options in (("AD_EIGER2", {}), ("AD_HDF5", {"seq_id": 3}), ("AD_PILATUS", {"k": 1})):
        docs, _ = series(tmp_path, spec, [options], [N, 3, 4])
        with pytest.raises(FrameError, match=f"event 1 does not say where its frames are: frames of {spec}"):
            taken(docs, tmp_path)


UNIQUE = "/entry/instrument/NDAttributes/NDArrayUniqueId"
LOST = {  # numbers of the frames of three events, and which of them are at which places of the exposures
    "none": [*range(7, 67)],
    "in each exposure, from the same number": [*range(1, 4), *range(5, 22), *range(2, 22), *range(1, 21)],
    "numbers that go on": [*range(1, 4), *range(5, 22), *range(22, 42), *range(42, 60), 63, 64],
}


@pytest.mark.parametrize("kind", LOST)
def test_each_event_has_its_frames_at_their_places(tmp_path, movie, kind):
    numbers = np.array(LOST[kind]).reshape(POINTS, N)
    origin = np.where(numbers[:, 0] - numbers[0, 0] < N, numbers[0, 0], numbers[:, 0])
    places = numbers - origin[:, None]
    with h5py.File(tmp_path / "frames" / "a b_000000.h5", "a") as file:
        file[UNIQUE] = numbers.ravel()
    run, placed = Run(KEYS.model_copy(update={"frame_number": UNIQUE}), [tmp_path]), []
    for name, doc in documents(tmp_path, shape=[3, 4]):
        run(name, doc)
        if name in ("event", "stop"):
            placed += [(first + k, x) for first, block in run.blocks(PIXELS) for k, x in enumerate(block.tolist())]
    run.close()
    frames = movie.reshape(POINTS, N, -1)[..., PIXELS]
    expected = [
        (event * N + int(place), frames[event, row].tolist())
        for event in range(POINTS) for row, place in enumerate(places[event]) if place < N
    ]  # fmt: skip
    assert placed == expected and run.n_events == POINTS
