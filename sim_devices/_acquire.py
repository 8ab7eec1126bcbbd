"""Acquisitions in files, as a beamline without Bluesky documents leaves them (APS 8-ID)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sim_devices._instrument import SimulatedInstrument

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
    detector.stage()
    detector.kickoff()
    detector.complete().wait(600)
    uri = next(doc["uri"] for name, doc in detector.collect_asset_docs() if name == "stream_resource")
    detector.unstage()
    instrument.shutter.set("close").wait(30)
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
