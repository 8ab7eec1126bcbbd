"""A detector of classic ophyd without EPICS, and its frames."""

import threading

import h5py
import hdf5plugin
import numpy as np
import pytest
from ophyd.areadetector import ADComponent, DetectorBase, SingleTrigger
from ophyd.areadetector.cam import Lambda750kCam
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34
from ophyd.sim import make_fake_device


@pytest.fixture
def movie(tmp_path):
    """Sixty frames of 3 × 4, and their file."""
    frames = np.random.default_rng(0).poisson(1.0, (60, 3, 4)).astype(np.uint16)
    (tmp_path / "frames").mkdir()
    with h5py.File(tmp_path / "frames" / "a b_000000.h5", "w", libver="latest") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, 3, 4), **hdf5plugin.Bitshuffle(cname="lz4"))
    return frames


@pytest.fixture
def lambda750k(tmp_path):
    """ophyd's Lambda750kCam and HDF5Plugin, on signals that only store their values: 20 frames of 3 × 4 a trigger."""

    class HDF5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
        source_plugin = property(lambda self: self.parent.cam)

    class Lambda(SingleTrigger, DetectorBase):  # ophyd has no class of the whole detector
        cam = ADComponent(Lambda750kCam, "cam1:")
        hdf1 = ADComponent(HDF5, "HDF1:", write_path_template=str(tmp_path / "frames"), root="/")

        def trigger(self):
            status = super().trigger()
            threading.Timer(0.05, self.cam.acquire.sim_put, [0]).start()  # not before: it would forget its status
            return status

        def _acquire_changed(self, value=None, old_value=None, **kwargs):
            if self._status is not None and (old_value, value) == (1, 0):
                ended, self._status = self._status, None  # ophyd ends it first, and then may forget the next one
                ended.set_finished()

    made = make_fake_device(Lambda)
    detector = made("LAMBDA:", name="lambda750k", read_attrs=["hdf1"], configuration_attrs=["cam"])
    cam, hdf1 = detector.cam, detector.hdf1
    cam.configuration_attrs, hdf1.configuration_attrs, hdf1.read_attrs = ["num_images"], [], []
    size = cam.array_size
    for signal, value in {
        cam.num_images: 20, cam.data_type: "UInt16", cam.acquire: 0, size.array_size_y: 3, size.array_size_x: 4,
        hdf1.enable: 1, hdf1.plugin_type: "NDFileHDF5", hdf1.array_size.height: 3, hdf1.array_size.width: 4,
        hdf1.file_path_exists: 1, hdf1.file_template: "%s%s_%6.6d.h5", hdf1.file_write_mode: "Stream",
        hdf1.num_capture: 0, hdf1.capture: 0, hdf1.file_number: 0,
    }.items():  # fmt: skip
        signal.sim_put(value)
    for device in (detector, cam, hdf1):
        device.stage_sigs.clear()
    return detector
