"""The IOC itself: all records around one simulated instrument."""

import asyncio
import ctypes
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from epicscorelibs.ioc import dbCore
from softioc import asyncio_dispatcher, builder, softioc

from sim_devices._instrument import SimulatedInstrument
from sim_devices.ioc._beamline import Beamline, simulation_records
from sim_devices.ioc._camera import Camera, FrameQueue
from sim_devices.ioc._hdf5 import Hdf5Plugin
from sim_devices.ioc._motor import load_motor_type
from sim_devices.ioc._start import LOOPBACK


def serve(prefix: str, directory: Path, **options: Any) -> None:
    """Serve a simulated instrument; the records answer when this returns.

    Parameters
    ----------
    prefix : str
        Beginning of the records' names, with the colon at its end.
    directory : Path
        Folder that the HDF5 plugin may write to.
    **options
        Those of `SimulatedInstrument`.
    """
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    load_motor_type()
    directory.mkdir(parents=True, exist_ok=True)
    queues: list[FrameQueue] = []
    instrument = SimulatedInstrument(directory=directory, open_file=lambda: queues[0], **options)
    plugin = Hdf5Plugin(f"{prefix}HDF1:", instrument.detector.geometry.frame_shape, directory)
    queues.append(FrameQueue(plugin))
    camera = Camera(f"{prefix}cam1:", instrument.detector, queues[0])
    beamline = Beamline(prefix, instrument)
    simulation_records(f"{prefix}sim:", instrument, queues[0], plugin, directory)
    builder.LoadDatabase()
    with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
        file.write("".join(motor.database() for motor in beamline.motors))
        file.flush()
        softioc.dbLoadDatabase(file.name)
    ctypes.c_int.in_dll(dbCore, "dbThreadRealtimeLock").value = 0  # or all of the process' memory is made resident
    # PVA would listen on all interfaces, on a fixed port.
    softioc.iocInit(dispatcher, enable_pva=False)
    keep_to_loopback()
    compile_frames(instrument)
    camera.show_counters()
    for motor in beamline.motors:
        motor.show_moves()
    asyncio.run_coroutine_threadsafe(beamline.refresh(), dispatcher.loop)


def keep_to_loopback() -> None:
    """Connect UDP sockets of this process that listen on all interfaces to themselves, so that none reaches them.

    EPICS opens two with any variables: one sends beacons, the other wakes threads of its client.
    """
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as opened:  # OSError: not a socket
            if (opened.family, opened.type) != (socket.AF_INET, socket.SOCK_DGRAM):
                continue
            if opened.getsockname()[0] == "0.0.0.0":
                opened.connect((LOOPBACK, opened.getsockname()[1]))


def compile_frames(instrument: SimulatedInstrument) -> None:
    """Take two frames with the shutter closed: the first acquisition must not take longer than its exposure."""
    detector = instrument.detector
    n_frames = detector.cam.num_images.get()
    detector.cam.num_images.put(2)
    detector.stage()
    detector.kickoff()
    detector.complete().wait()
    detector.unstage()
    detector.cam.num_images.put(n_frames)
    detector.cam.array_counter.put(0)
