"""An area detector behind a crystal: one frame a trigger, in an HDF5 file that is announced as a Bluesky stream."""

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from event_model import compose_stream_resource
from ophyd import Component, Device, DeviceStatus

from sim_devices._clock import SimClock
from sim_devices._diffraction_crystal import Crystal
from sim_devices._quantity import Quantity

DATASET = "entry/data/data"
HIGHEST = 2**16 - 2  # the number above it marks a pixel that must not be used


class DiffractionDetector(Device):
    """Poisson counts of a crystal at its temperature of the moment.

    Parameters
    ----------
    directory : Path
        Where the files go.
    clock : SimClock
    crystal : Crystal
    temperature : callable
        Gives the temperature of the crystal in K.
    seed : int
        The same seed and temperatures give the same frames.
    flicker_rms : float
        Of the beam, as a share; `monitor` counts it.
    dead_share : float
        Part of the pixels that is marked with the highest number of its dtype.
    """

    acquire_time = Component(Quantity, value=10.0, units="s", kind="config")
    monitor = Component(Quantity, value=0.0, units="1", kind="hinted")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        directory: Path,
        clock: SimClock,
        crystal: Crystal,
        temperature: Callable[[], float],
        seed: int = 0,
        flicker_rms: float = 0.02,
        dead_share: float = 0.001,
        **kwargs: Any,
    ) -> None:
        self.crystal, self.flicker_rms, self._temperature = crystal, flicker_rms, temperature
        self._directory, self._clock = Path(directory), clock
        self._rng = np.random.default_rng(seed)
        self._dead = self._rng.random((crystal.n, crystal.n)) < dead_share
        self._file: h5py.File | None = None
        super().__init__(prefix, name=name, **kwargs)

    @property
    def image_key(self) -> str:
        """Name of the frames in documents."""
        return f"{self.name}_image"

    def stage(self) -> list[object]:
        """Open a new file."""
        staged = super().stage()
        n, self._written, self._reported, self._compose_datum = self.crystal.n, 0, 0, None
        self._directory.mkdir(parents=True, exist_ok=True)
        self._path = self._directory.resolve() / f"{self.name}_{uuid.uuid4().hex}.h5"
        self._file = h5py.File(self._path, "w", libver="latest")
        self._file.create_dataset(
            DATASET, (0, n, n), "<u2", maxshape=(None, n, n), chunks=(1, n, n), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        self._file.swmr_mode = True
        return staged

    def unstage(self) -> list[object]:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return super().unstage()

    def trigger(self) -> DeviceStatus:
        """Take a frame; it takes `acquire_time` on the simulated clock."""
        if self._file is None:
            raise RuntimeError(f"{self.name} has no open file: stage it")
        status = DeviceStatus(self)
        threading.Thread(target=self._expose, args=(status, self._file[DATASET]), daemon=True).start()
        return status

    def _expose(self, status: DeviceStatus, data: h5py.Dataset) -> None:
        try:
            threading.Event().wait(self._clock.wall(self.acquire_time.get()))
            exposure = self.acquire_time.get() / 10.0 * (1 + self.flicker_rms * self._rng.normal())
            counts = self._rng.poisson(self.crystal.counts(self._temperature(), exposure)).clip(max=HIGHEST)
            counts[self._dead] = HIGHEST + 1
            data.resize(self._written + 1, axis=0)
            data[self._written] = counts.astype(np.uint16)
            data.flush()
            self.monitor.put(1e6 * exposure)
            self._written += 1
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()

    def describe(self) -> dict[str, Any]:
        """Describe a frame and the monitor."""
        key = {
            "source": f"SIM:{self.name}",
            "dtype": "array",
            "dtype_numpy": "<u2",
            "shape": [1, self.crystal.n, self.crystal.n],
            "external": "STREAM:",
        }
        return {**super().describe(), self.image_key: key}

    def get_index(self) -> int:
        """Frames that can be read."""
        return self._written

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        """Yield a stream resource, once per staging, and a stream datum for the new frames."""
        stop = self._written if index is None else min(index, self._written)
        if stop <= self._reported:
            return
        if self._compose_datum is None:
            resource, self._compose_datum = compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{self._path}",
                data_key=self.image_key,
                parameters={"dataset": DATASET, "swmr": True, "chunk_shape": [1, self.crystal.n, self.crystal.n]},
            )
            yield "stream_resource", resource
        yield "stream_datum", self._compose_datum(indices={"start": self._reported, "stop": stop})
        self._reported = stop
