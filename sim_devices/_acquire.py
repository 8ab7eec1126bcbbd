"""Acquisitions in files, as a beamline without Bluesky documents leaves them (APS 8-ID)."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sim_devices._instrument import SimulatedInstrument
from sim_devices._rigaku import OF_3M, SECOND_HALF, sparse_speckle

RECORD_EVERY_S = 1.0  # of the simulated clock


def acquire(instrument: SimulatedInstrument, folder: Path, name: str, **more: Any) -> Path:
    """Take an exposure without a RunEngine, and leave ``NAME.h5`` and ``NAME_metadata.hdf`` in a folder ``NAME``.

    Beside them the rheometer leaves ``NAME_rheo.csv``, by a clock of its own: from 20 s before the exposure, or from
    the end of shear if that was later, to the end of the exposure.

    Parameters
    ----------
    instrument : SimulatedInstrument
        Its detector writes to the same file system.
    folder : Path
    name : str
    **more
        Values of the metadata file, by path, besides the usual ones.

    Returns
    -------
    Path
        The new folder.
    """
    detector, rheometer, into = instrument.detector, instrument.rheometer, folder / name
    into.mkdir(parents=True)
    period, n_frames = detector.cam.acquire_period.get(), detector.cam.num_images.get()
    x, y = instrument.stage.x.position, instrument.stage.y.position
    instrument.shutter.set("open").wait(30)
    began, clock_s, age_s = time.time(), instrument.clock.now(), rheometer.age_s
    try:
        detector.stage()
        detector.kickoff()
        detector.complete().wait(600)
        uri = next(doc["uri"] for name, doc in detector.collect_asset_docs() if name == "stream_resource")
    finally:
        instrument.shutter.set("close").wait(30)
        detector.unstage()
    write_record(into / f"{name}_rheo.csv", rheometer, clock_s - min(20, age_s), clock_s + n_frames * period)
    values = {
        "start_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began)) + f"{began % 1:.6f}"[1:] + "+00:00",
        "sample/position_x": (x * 1000, "um"),
        "sample/position_y": (y, "mm"),
        "sample/name": "clay",
        "instrument/rheometer/clock": (clock_s, "s"),
        "instrument/rheometer/time_since_shear": (age_s, "s"),
        "instrument/attenuator_1/attenuator_transmission": instrument.attenuator.transmission.get(),
        "instrument/incident_beam/incident_beam_intensity": np.full(10, 1e6 * instrument.source.intensity()),
        "instrument/detector_1/frame_time": (period, "s"),
        "instrument/detector_1/detector_name": "lambda750k",
        "instrument/detector_1/qmap_file": "qmap.hdf",
        "instrument/bluesky/num_images": n_frames,
        **more,
    }
    Path(uri.removeprefix("file://localhost")).rename(into / f"{name}.h5")
    write_metadata(into / f"{name}_metadata.hdf", values)
    return into


def write_metadata(path: Path, values: Mapping[str, Any]) -> None:
    """Write values below ``entry`` of an HDF5 file; a pair is a value and its unit."""
    with h5py.File(path, "w") as file:
        file["entry/definition"] = "NXxpcs"
        for name, value in values.items():
            number, unit = value if isinstance(value, tuple) else (value, "")
            file[f"entry/{name}"] = number
            if unit:
                file[f"entry/{name}"].attrs["units"] = unit


def write_record(path: Path, rheometer: Any, first_s: float, last_s: float) -> None:
    """Write the readings of the rheometer from one time of the simulated clock to another."""
    lines = ["time_s,stress_Pa,shear_rate_1_s"]
    for now in np.arange(first_s, last_s + RECORD_EVERY_S, RECORD_EVERY_S):
        measured = rheometer.measured(float(now))
        lines.append(f"{now:.3f},{measured['shear_stress']:.4f},{measured['shear_rate']:.3g}")
    path.write_text("\n".join(lines) + "\n")


@dataclass(frozen=True, kw_only=True)
class Rigaku3M:
    """A simulated Rigaku detector of 3M in its zero-deadtime mode.

    Attributes
    ----------
    photons : float
        Mean count of a pixel and frame.
    tau : float
        Relaxation time in frames.
    frame_time_s : float
        Period of the frames.
    qmap : str
        File name of the q map, for the metadata.
    seed : int
    """

    photons: float = 5e-4
    tau: float = 500.0
    frame_time_s: float = 20e-6
    qmap: str = ""
    seed: int = 0

    def acquire(self, folder: Path, name: str, n_frames: int) -> Path:
        """Write ``NAME.bin.000`` to ``.005``, which grow together, beside ``NAME_metadata.hdf``; return the first."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write_metadata(folder / f"{name}_metadata.hdf")
        numbers = range(6)
        modules = [sparse_speckle(n_frames, self.photons, tau=self.tau, seed=6 * self.seed + k) for k in numbers]
        with ExitStack() as stack:
            paths = [folder / f"{name}.bin.{number:03d}" for number in numbers]
            files = [stack.enter_context(path.open("wb", buffering=0)) for path in paths]
            for blocks in zip(*modules, strict=True):
                for number, file, words in zip(numbers, files, blocks, strict=True):
                    offset = np.uint64((SECOND_HALF if number > 2 else 0) << 16)
                    file.write((words + offset).astype("<u8").tobytes())
        return paths[0]

    def write_metadata(self, path: Path) -> None:
        """Write a metadata file with the fields of APS 8-ID that ainerd reads."""
        rows, columns = OF_3M
        detector = {
            "detector_name": "rigaku3M",
            "count_time": self.frame_time_s,
            "frame_time": self.frame_time_s,
            "beam_center_x": columns / 2,
            "beam_center_y": rows / 2,
            "distance": 12.0,
            "qmap_file": self.qmap,
            "x_pixel_size": 76e-6,
            "y_pixel_size": 76e-6,
        }
        values = {f"instrument/detector_1/{key}": value for key, value in detector.items()}
        write_metadata(path, values | {"instrument/incident_beam/incident_energy": 11.0})
