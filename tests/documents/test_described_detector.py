"""Values of a descriptor: each is checked where it enters, and one that cannot be used is named."""

import h5py
import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import FrameError, Run
from tests.documents.flights import Flight, image, sent_to

KEYS = Detector(image="det", n_frames="cam_num_images", frame_time_s="cam_acquire_period")
GOOD = {"cam_num_images": 4, "cam_acquire_period": 0.01}
MISSING = object()


def flown(settings, *, folder="/nowhere", shape=(2, 3), n=4):
    """Documents of a run whose detector flies."""
    run = Flight()
    det = run.stream("det", {"det": image(shape=shape)}, **settings)
    run.frames(run.file(f"{folder}/f.h5"), det, 0, n)
    return run.stop()


def taken(documents, roots=()):
    return sent_to(Run(KEYS, roots), documents)


@pytest.mark.fault(
    "A setting of the detector in a descriptor is no number, missing or impossible",
    "The run has one failed result, which names the setting",
)
@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", [MISSING, None, [96], "96", True, float("nan"), float("inf"), -7])
def test_a_setting_that_is_no_number_is_named(key, value):
    configuration = {name: x for name, x in GOOD.items() if name != key} | ({} if value is MISSING else {key: value})
    run = taken(flown(configuration))
    assert key in run.problem and run.n_frames is None and run.described.frame_time_s is None


@pytest.mark.parametrize("number", [4.0, np.int64(4), np.array(4)])
def test_numbers_of_all_kinds_are_taken(number):
    run = taken(flown(GOOD | {"cam_num_images": number}))
    assert not run.problem and run.n_frames == 4 and type(run.n_frames) is int


@pytest.mark.parametrize(
    ("configuration", "n"),
    [
        ({"cam_num_images": 0}, None), ({"cam_num_images": -1}, None),
        ({"cam_num_images": 1}, 1), ({"cam_num_images": 1, "cam_image_mode": "Single"}, 1),
        ({"cam_num_images": 1, "cam_image_mode": "Continuous"}, None),
        ({"cam_num_images": 1, "cam_image_mode": 2}, None),
        ({"cam_num_images": 1, "hdf1_file_write_mode": "Stream"}, None),
        ({"cam_num_images": 4, "cam_image_mode": "Continuous"}, 4),
    ],
)  # fmt: skip
def test_zero_and_continuous_mean_without_limit(configuration, n):
    run = taken(flown(GOOD | configuration))
    assert not run.problem and run.described.n_frames == n and run.n_events == (1 if n is None else 4 // n)


@pytest.mark.parametrize("shape", [None, [3], [2, "3"], [2, 0], [1, 1, 2, 3], [2, 1e9]])
def test_a_shape_that_is_none_is_named(shape):
    assert "the shape of 'det' is" in taken(flown(GOOD, shape=shape)).problem


@pytest.mark.fault(
    "The numbers of frames or events in a document are not whole numbers",
    "The run has one failed result, which names the number; the worker goes on",
)
@pytest.mark.parametrize("value", [0.5, 1e300, float("nan"), True, "1", None])
@pytest.mark.parametrize("place", ["indices", "seq_nums"])
@pytest.mark.parametrize("end", ["start", "stop"])
def test_a_range_of_frames_that_is_not_whole_is_named(tmp_path, place, end, value):
    documents = dict(flown(GOOD, folder=tmp_path))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["d"] = np.zeros((4, 2, 3))
    datum = documents["stream_datum"]
    documents["stream_datum"] = {**datum, place: {**datum[place], end: value}}
    run = taken(documents.items(), roots=[tmp_path])
    with pytest.raises(FrameError, match=f"the {end} of '{place}' is "):
        list(run.blocks(np.arange(6)))


@pytest.mark.parametrize("first", [0, None])
def test_a_number_of_planes_without_limit_is_one_plane(first):
    run = taken(flown(GOOD, shape=[first, 2, 3]))
    assert not run.problem and run.frame_shape == (2, 3) and run.n_ready == 4
