"""The IOC of the simulated instrument, in a process of its own, by ophyd's own classes and plain Channel Access."""

import os
import threading
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
from ophyd import EpicsMotor
from ophyd.areadetector import ADComponent, DetectorBase, SingleTrigger
from ophyd.areadetector.cam import Lambda750kCam
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34

from agents.rheo_xpcs import TOML
from sim_devices.ioc import start_ioc
from tests.epics_clients import keep_channels

epics = pytest.importorskip("epics")

PORT = int(os.environ["EPICS_CA_SERVER_PORT"])
SMALL = TOML.with_name("small.instrument.toml")
LIMIT_S = 20


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return tmp_path_factory.mktemp("ioc_frames")


@pytest.fixture(scope="module")
def ioc(frames):
    keep_channels()
    log = frames / "ioc.log"
    ioc = start_ioc(frames, "--hardware", str(SMALL), "--speed", "1000", "--prefix", "T:", port=PORT, log=log)
    yield ioc
    ioc.kill()


class HDF5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
    pass


@pytest.fixture(scope="module")
def detector(ioc, frames):
    class Lambda(SingleTrigger, DetectorBase):
        cam = ADComponent(Lambda750kCam, "cam1:")
        hdf1 = ADComponent(HDF5, "HDF1:", write_path_template=str(frames / "ophyd"), root="/")

    detector = Lambda("T:", name="lambda750k", read_attrs=["hdf1"])
    detector.wait_for_connection(timeout=LIMIT_S)
    detector.hdf1.create_directory.set(-3).wait(LIMIT_S)
    detector.cam.num_images.set(60).wait(LIMIT_S)
    return detector


@pytest.fixture(scope="module")
def motor(ioc):
    motor = EpicsMotor("T:stage:X", name="sample_x")
    motor.wait_for_connection(timeout=LIMIT_S)
    return motor


def put(name, value):
    assert epics.caput(f"T:{name}", value, wait=True, timeout=LIMIT_S) == 1


def get(name):
    return epics.caget(f"T:{name}", use_monitor=False, timeout=LIMIT_S)


def expose(detector, swmr=True):
    """Two exposures in one file; return the file."""
    detector.hdf1.swmr_mode.set(int(swmr)).wait(LIMIT_S)
    detector.stage()
    try:
        for _ in range(2):
            detector.trigger().wait(LIMIT_S)
        path = detector.hdf1.full_file_name.get()
        if swmr:
            with h5py.File(path, swmr=True) as file:  # while the plugin has it open
                assert len(file["entry/data/data"]) == 120
        else:
            with pytest.raises(OSError, match="lock"):
                h5py.File(path)
    finally:
        detector.unstage()
    return path


@pytest.mark.parametrize("swmr", [False, True])
def test_it_writes_files_as_areadetector_does(detector, swmr):
    put("shutter:Position", "open")
    counted = detector.cam.array_counter.get()
    path = expose(detector, swmr)
    with h5py.File(path) as file:
        data = file["entry/instrument/detector/data"]
        assert data.shape == (120, 128, 192) and data.dtype == np.uint16 and data.chunks == (1, 128, 192)
        assert data.id.get_create_plist().get_filter(0)[0] == 32008  # bitshuffle, with LZ4:
        assert data.id.get_create_plist().get_filter(0)[2][4] == 2
        assert file["entry/data/data"] == data
        frames = data[:]
        ids = file["entry/instrument/NDAttributes/NDArrayUniqueId"][:]
    assert np.array_equal(ids, counted + 1 + np.arange(120))
    assert 0.01 < frames.mean() < 1 and frames[:60].sum() != frames[60:].sum()  # two exposures of a sample
    assert get("cam1:BadFrameCounter_RBV") == 0


def test_a_motor_moves_and_stops(motor):
    motor.move(3.0, wait=True, timeout=LIMIT_S)
    assert motor.position == pytest.approx(3.0, abs=0.01) and not motor.moving
    assert motor.limits == (0.0, 10.0) and motor.egu == "mm"
    motor.velocity.put(1e-3, wait=True)  # in simulated seconds: six of the wall clock for 6 mm
    started = threading.Event()
    motor.subscribe(lambda **_: started.set(), event_type=motor.SUB_START, run=False)
    status = motor.set(9.0)
    assert started.wait(LIMIT_S)
    motor.stop()
    status.wait(LIMIT_S)
    motor.velocity.put(1.0, wait=True)  # with callback: it ends when the motor has stopped
    assert get("stage:X.RBV") < 8 and get("stage:X.DMOV") == 1
    motor.user_setpoint.put(5.0, wait=True)
    assert get("stage:X.RBV") == pytest.approx(5.0, abs=0.01)  # ophyd's position may come later


def test_it_listens_on_loopback_alone(ioc, motor):
    inodes, addresses = {os.readlink(file) for file in Path(f"/proc/{ioc.process.pid}/fd").iterdir()}, set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{ioc.process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes and (table[:3] == "udp" or fields[3] == "0A"):
                addresses.add((table, *fields[1].split(":")))
    assert {("tcp", "0100007F", f"{PORT:04X}"), ("udp", "0100007F", f"{PORT:04X}")} <= addresses  # searches by UDP
    assert all(address == "0100007F" for _, address, _ in addresses), addresses


def test_abort_ends_an_acquisition_and_its_callback(detector):
    detector.cam.acquire_period.set(20.0).wait(LIMIT_S)  # simulated seconds: a second of the wall clock for 50 frames
    detector.cam.num_images.set(2000).wait(LIMIT_S)
    ended = threading.Event()
    epics.PV("T:cam1:Acquire").put(1, callback=lambda **_: ended.set(), use_complete=True)
    while not get("cam1:NumImagesCounter_RBV"):
        assert not ended.wait(0.05)
    epics.caput("T:cam1:Acquire", 0)  # with callback, it would wait for that of the first put
    assert ended.wait(LIMIT_S)
    assert epics.caget("T:cam1:DetectorState_RBV", as_string=True) == "Aborted"
    assert get("cam1:Acquire_RBV") == get("cam1:Acquire") == 0
    detector.cam.num_images.set(60).wait(LIMIT_S)
    detector.cam.acquire_period.set(0.1).wait(LIMIT_S)
