"""The detector under a RunEngine: flown, triggered, stopped, failing; its settings, and its file."""

import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from ainerd_xpcs.dynamics import Dynamics
from sim_devices import FrameFile, Geometry, Lambda750k, SimClock


def of(documents, name):
    return [doc for kind, doc in documents if kind == name]


def frames_of(documents):
    """All frames of the one stream resource, once the file is closed."""
    (resource,) = of(documents, "stream_resource")
    assert resource["mimetype"] == "application/x-hdf5"
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
        return file[resource["parameters"]["dataset"]][:]


@pytest.fixture
def make_detector(tmp_path, small):
    """A detector on its own: no shutter, a steady beam, a fluid."""

    def make(num_images=120, *, speed=1e4, geometry=small, dynamics=None, **options):
        fluid = dynamics or Dynamics(family="fluid", tau_s=2)
        options = {"directory": tmp_path / "alone", "geometry": geometry, "flicker_rms": 0.0} | options
        clock = SimClock(speed)
        made = Lambda750k(name="lambda750k", clock=clock, sample_now=lambda age, duration, rng: fluid, **options)
        made.cam.num_images.put(num_images)
        return made

    return make


def test_flying_documents_and_live_frames(run_engine, documents, make_instrument, fly):
    """Every frame is reported once, in order, most before the end, and can be read by SWMR when it is."""
    instrument, read = make_instrument(4.0, 120), []  # 12 s in 3 s

    def reader(name, doc):
        if name == "stream_datum":
            path = of(documents, "stream_resource")[0]["uri"].removeprefix("file://localhost")
            start, stop = doc["indices"]["start"], doc["indices"]["stop"]
            with h5py.File(path, "r", libver="latest", swmr=True) as file:
                read.append((start, stop, file["entry/data/data"][start:stop], instrument.detector.get_index()))

    token = run_engine.subscribe(reader)
    run_engine(fly(instrument))
    run_engine.unsubscribe(token)

    frames = frames_of(documents)
    assert frames.shape == (120, 128, 192) and frames.any(axis=(1, 2)).all()
    starts, stops = ([row[i] for row in read] for i in (0, 1))
    assert starts == [0, *stops[:-1]] and stops[-1] == 120  # a busy machine may put two blocks into one datum
    assert all(written >= stop for _, stop, _, written in read)
    assert len(read) > 1 and read[0][3] < 120, "datums wait for the end"
    assert np.array_equal(np.concatenate([block for _, _, block, _ in read]), frames)

    described = {doc["name"]: doc for doc in of(documents, "descriptor")}
    key = described["lambda750k"]["data_keys"]["lambda750k_image"]
    assert (key["shape"], key["dtype_numpy"], key["external"]) == ([1, 128, 192], "<u2", "STREAM:")
    assert described["primary"]["data_keys"]["sample_x"]["units"] == "mm"


def test_triggered_exposures_are_one_index_each(run_engine, documents, instrument):
    run_engine(bp.count([instrument.detector], 2))
    frames = frames_of(documents)
    assert frames.shape == (240, 128, 192)
    (descriptor,) = of(documents, "descriptor")
    assert descriptor["data_keys"]["lambda750k_image"]["shape"] == [120, 128, 192]
    assert descriptor["hints"]["lambda750k"]["fields"] == ["lambda750k_mean_counts"]
    assert [tuple(doc["indices"].values()) for doc in of(documents, "stream_datum")] == [(0, 1), (1, 2)]
    ring = instrument.detector.geometry.ring
    for event, exposure in zip(of(documents, "event"), (frames[:120], frames[120:]), strict=True):
        assert set(event["data"]) == {"lambda750k_mean_counts"}
        assert event["data"]["lambda750k_mean_counts"] == pytest.approx(exposure.reshape(120, -1)[:, ring].mean())
    assert not np.array_equal(frames[:120], frames[120:])


class OnFullDisk(FrameFile):
    """A file for which the disk is full after one block of frames."""

    has_room = True

    def append(self, *block):
        if not self.has_room:
            raise OSError("no space left on device")
        self.has_room = super().append(*block)


def test_failure_in_the_middle(run_engine, documents, instrument, fly, make_detector, tmp_path):
    """The disk is full after 50 frames: the run fails and says why, the file is closed, the next run works."""
    mask = instrument.detector.geometry.pixel_mask
    files = [kind(tmp_path, kind.__name__, mask) for kind in (FrameFile, OnFullDisk)]
    full = files[-1]
    instrument.detector = make_detector(open_file=files.pop)
    with pytest.raises(FailedStatus) as failure:
        run_engine(fly(instrument))
    assert "no space left" in str(failure.value.__cause__)
    (stop,) = of(documents, "stop")
    assert stop["exit_status"] == "fail"
    with h5py.File(full.path, "r+") as file:  # refused while a writer has it
        assert len(file["entry/data/data"]) == 50

    cam = instrument.detector.cam
    assert (cam.detector_state.get(), cam.acquire.get()) == (6, 0) and "no space left" in cam.status_message.get()

    documents.clear()
    run_engine(fly(instrument))
    assert len(frames_of(documents)) == 120
    assert cam.detector_state.get() == 0


def test_lost_frames_are_zeros_in_their_place_and_counted(run_engine, documents, make_detector):
    detector = make_detector(400, lost_share=0.1)
    run_engine(bp.count([detector]))
    empty = ~frames_of(documents).any(axis=(1, 2))
    assert 20 < empty.sum() < 65
    assert detector.cam.bad_frame_counter.get() == empty.sum()
    assert detector.cam.array_counter.get() == 400


def test_beam_flickers_and_bad_pixels_are_those_of_the_mask(run_engine, documents, make_detector):
    geometry = Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0), bad_share=2e-3)
    detector = make_detector(
        300, geometry=geometry, flicker_rms=0.1, count_rate=50.0, dynamics=Dynamics(family="fluid", tau_s=0.01)
    )
    run_engine(bp.count([detector]))
    frames = frames_of(documents)
    (resource,) = of(documents, "stream_resource")
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
        mask = file["entry/instrument/detector/pixel_mask"][:]
    good = frames[:, mask == 0].mean(1)
    assert 0.04 < good.std() / good.mean() < 0.2
    assert not frames[:, mask == 1 << 1].any()
    assert frames[:, mask == 1 << 3].mean(0).min() > 5  # hot: 100 counts in a second and more
    assert np.array_equal(mask > 0, detector.geometry.bad_pixels)
