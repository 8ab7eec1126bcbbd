"""`ainerd analyze` of events: the results of the same frames in HDF5, metadata of APS, clear messages."""

import os

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_xpcs.numerics import Partition
from sim_devices import Rigaku3M, write_rigaku

pytestmark = pytest.mark.usefixtures("part_of_bank")

SHAPE, N = (512, 1024), 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """128 frames as a dense movie and as events, with metadata and a q map."""
    where = tmp_path_factory.mktemp("acquisition")
    rng = np.random.default_rng(0)
    frames, field = np.zeros((N, *SHAPE), np.uint16), rng.normal(size=(2, 60, 60))
    for frame in frames:
        field = 0.95 * field + np.sqrt(1 - 0.95**2) * rng.normal(size=field.shape)
        frame[100:160, 300:360] = rng.poisson((field**2).sum(0) * 0.1)
    with h5py.File(where / "dense.h5", "w") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, *SHAPE), compression="gzip", compression_opts=1)
    write_rigaku(where / "a.bin", frames)
    write_rigaku(where / "turned.bin", frames, order="columns")
    labels = np.zeros(SHAPE, int)
    labels[100:160, 300:360] = 1 + np.arange(60)[:, None] // 8
    Partition.from_roi_map(labels).save(where / "qmap.hdf")
    Rigaku3M(qmap="qmap.hdf", frame_time_s=2e-5).write_metadata(where / "a_metadata.hdf")
    return where


def run(*arguments):
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)], env={"COLUMNS": "200"})


def test_events_give_the_result_of_the_same_frames_in_hdf5(folder, tmp_path):
    names = {
        "dense": (folder / "dense.h5", "--roi", folder / "qmap.hdf", "--frame-time", 2e-5),
        "metadata": (folder / "a.bin",),
        "columns": (folder / "turned.bin", "--order", "columns", "--roi", folder / "qmap.hdf", "--frame-time", 2e-5),
    }
    for name, arguments in names.items():
        done = run(*arguments, "--out", tmp_path / f"{name}.h5")
        assert done.exit_code == 0, done.output
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
    for name in ("metadata", "columns"):
        with h5py.File(tmp_path / "dense.h5") as dense, h5py.File(tmp_path / f"{name}.h5") as events:
            assert set(events) == set(dense)
            for array in ("mean_frame", "intensity", "intensity_time", "c2", "g2", "tau"):
                np.testing.assert_allclose(events[array], dense[array], rtol=1e-5, err_msg=array)
            for number in ("counts_per_pixel", "tau_s", "novelty_p"):
                assert events.attrs[number] == pytest.approx(dense.attrs[number], rel=1e-4)
            assert name == "columns" or events.attrs["detector"] == "rigaku3M"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_time": None}, "holds no frame_time: give --frame-time, in seconds"),
        ({"frame_time": "long"}, "detector_1/frame_time is 'long': give --frame-time"),
        ({"qmap_file": "other.hdf"}, "the q map other.hdf of m.hdf is not in"),
        ({"qmap_file": "turned.hdf"}, "turned.hdf: a q map of shape (1024, 512) (with rows and columns exchanged)"),
    ],
)
def test_metadata_that_lack_something_say_what(folder, change, message):
    Rigaku3M(qmap="qmap.hdf").write_metadata(folder / "m.hdf")
    Partition.from_roi_map(np.ones(SHAPE[::-1], int)).save(folder / "turned.hdf")
    with h5py.File(folder / "m.hdf", "r+") as file:
        for key, value in change.items():
            del file[f"entry/instrument/detector_1/{key}"]
            if value is not None:
                file[f"entry/instrument/detector_1/{key}"] = value
    done = run(folder / "a.bin", "--metadata", folder / "m.hdf")
    assert done.exit_code != 0 and message in str(done.exception), done.output


def test_bad_input_names_a_remedy(folder, tmp_path):
    roi, time = ("--roi", folder / "qmap.hdf"), ("--frame-time", 1e-5)
    bare = tmp_path / "b.bin"
    bare.write_bytes((folder / "a.bin").read_bytes())
    os.utime(bare, (0, 0))  # it is not being written
    (tmp_path / "c.bin").write_bytes((folder / "dense.h5").read_bytes())
    cases = {
        "b.bin: give the bins with --roi, or the metadata": (bare,),
        "b.bin holds no frame time: give --frame-time": (bare, *roi, "--order", "rows"),
        "say with --order whether the pixels are numbered by rows": (bare, *roi, *time),
        "c.bin is HDF5, not events": (tmp_path / "c.bin", *roi, *time, "--order", "rows"),
        "frame 100 in a run of 100 frames": (bare, *roi, *time, "--order", "rows", "--frames", 100),
        "--metadata, --order and --frames are for events": (folder / "dense.h5", *roi, "--frames", 100),
        "--dataset is for frames in HDF5": (bare, *roi, "--dataset", "entry/other"),
        "files of a Timepix is not published": (tmp_path / "a.tpx.000", *roi, *time),
        "holds no entry/instrument/detector_1": (bare, "--metadata", folder / "qmap.hdf"),
    }
    for message, arguments in cases.items():
        done = run(*arguments)
        assert done.exit_code != 0 and message in str(done.exception), (message, done.output, done.exception)
