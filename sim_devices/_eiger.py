"""An Eiger of classic ophyd, as CHX (NSLS-II) has them: a series of files for each event, a Resource and a Datum.

The files are those of Dectris' file writer: PREFIX_ID_master.h5 with links to PREFIX_ID_data_000001.h5, …, which hold
the frames. Their names and the documents are those of NSLS2/chx-profile-collection, ``startup/20-area-detectors.py``.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import h5py
import hdf5plugin
import numpy as np
from event_model import compose_resource
from numpy.typing import NDArray
from ophyd.status import Status

from sim_devices._frames import DATASET
from sim_devices._lambda750k import Lambda750k


class Eiger:
    """Writes the exposures of a `Lambda750k` as series of an Eiger, and announces them as AD_EIGER2.

    It is triggered, each time for one series of `cam.num_images` frames; it does not fly. An event names its datum,
    which has the number of the series, ``seq_id``. The frames are those of the other detector, which has the settings.

    Parameters
    ----------
    counter : Lambda750k
        Makes the frames.
    name : str, optional
        By default that of `counter`.
    images_per_file : int
        Most frames in a data file.
    """

    parent, spec = None, "AD_EIGER2"

    def __init__(self, counter: Lambda750k, *, name: str = "", images_per_file: int = 100) -> None:
        self.name, self.cam, self._counter, self._per_file = name or counter.name, counter.cam, counter, images_per_file
        self.hints = {"fields": list(self._own({counter.mean_counts.name: None}))}
        self._image = f"{self.name}_image"
        self._sequence = 0  # of the last series, as the detector counts
        self._documents: list[tuple[str, Any]] = []
        self._datum: dict[str, Any] = {}  # of the last trigger

    def _own(self, keyed: dict[str, Any]) -> dict[str, Any]:
        """Return a dictionary of the other detector by names of this one."""
        return {key.replace(self._counter.name, self.name, 1): value for key, value in keyed.items()}

    def stage(self) -> list[object]:
        """Name the files of the series to come."""
        self._counter.stage()
        self._source: Path | None = None  # file of the other detector
        self._triggers, self._prefix, self._documents = 0, "", []
        return [self]

    def unstage(self) -> list[object]:
        """End the series."""
        self._counter.unstage()
        if self._source is not None:
            self._source.unlink()
        return [self]

    def stop(self, *, success: bool = False) -> None:
        """Stop an exposure; its status fails unless `success`."""
        self._counter.stop(success=success)

    def trigger(self) -> Status:
        """Take a series; it is done when its files are written."""
        return after(self._counter.trigger(), self._write)

    def describe_configuration(self) -> dict[str, Any]:
        """Describe the settings."""
        return self._own(self._counter.describe_configuration())

    def read_configuration(self) -> dict[str, Any]:
        """Return the settings."""
        return self._own(self._counter.read_configuration())

    def describe(self) -> dict[str, Any]:
        """Describe an event's frames, by their Resource, and the mean counts."""
        others = {key: value for key, value in self._counter.describe().items() if key != self._counter.image_key}
        key = {"source": f"SIM:{self.name}", "dtype": "array", "shape": self._shape, "dtype_str": "<u2"}
        return {self._image: {**key, "external": "FILESTORE:"}, **self._own(others)}

    @property
    def _shape(self) -> list[int]:
        """Shape of the frames of an event."""
        return [self.cam.n_frames, *self._counter.geometry.frame_shape]

    def read(self) -> dict[str, Any]:
        """Return the id of the datum, and the mean counts."""
        datum = {"value": self._datum["datum_id"], "timestamp": time.time()}
        return {self._image: datum, **self._own(self._counter.read())}

    def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
        """Yield the Resource, once per staging, and new datums."""
        documents, self._documents = self._documents, []
        yield from documents

    def _write(self) -> None:
        """Write the frames of the last trigger as a series, and compose its documents."""
        self._sequence += 1
        self._announce(seq_id=self._sequence)
        self._write_series((self._counter.get_index() - 1) * self.cam.n_frames, self.cam.n_frames)

    def _announce(self, **where: int) -> None:
        """Compose the datum of the last trigger, and the Resource if it is the first one."""
        for name, doc in self._counter.collect_asset_docs():
            if name == "stream_resource" and doc["data_key"] == self._counter.image_key:
                self._source = Path(unquote(urlparse(doc["uri"]).path))
                self._prefix = str(self._source.parent / uuid.uuid4().hex)
                resource = compose_resource(
                    spec=self.spec, root="/", resource_path=self._prefix.lstrip("/"),
                    resource_kwargs={"images_per_file": self._per_file},
                )  # fmt: skip
                self._documents.append(("resource", resource.resource_doc))
                self._compose_datum = resource.compose_datum
        self._datum = self._compose_datum(datum_kwargs=where)
        self._documents.append(("datum", self._datum))

    def _write_series(self, first: int, n: int) -> None:
        """Write `n` frames of the other detector's file, from `first` on, as the files of the current series."""
        with h5py.File(self._source, swmr=True) as file:
            frames = file[DATASET].id
            chunks = [frames.read_direct_chunk((first + i, 0, 0))[1] for i in range(n)]
            mask = file["entry/instrument/detector/pixel_mask"][()]
        write_series(self._prefix, self._sequence, chunks, mask, self._per_file, self._facts())

    def _facts(self) -> dict[str, float]:
        """Return the metadata that a master file has, by path."""
        geometry, of_detector = self._counter.geometry, "instrument/detector"
        row, column = geometry.beam_center_px
        return {
            f"{of_detector}/count_time": self.cam.exposure_s,
            f"{of_detector}/frame_time": self.cam.acquire_period.get(),
            f"{of_detector}/beam_center_x": column,
            f"{of_detector}/beam_center_y": row,
            f"{of_detector}/detector_distance": geometry.distance_m,
            "instrument/beam/incident_wavelength": 12.39842 / geometry.energy_keV,
        }


class ManualEiger(Eiger):
    """An `Eiger` each of whose triggers takes one frame, announced as AD_EIGER_SLICE.

    A staging is one series of at most `cam.num_images` frames, and a datum has the number of its frame, ``frame_num``,
    besides ``seq_id``. The files are written when the series is complete, or at its end. The frames keep to
    `cam.acquire_period` from the first trigger on, however slowly the others come.
    """

    spec = "AD_EIGER_SLICE"

    def __init__(self, counter: Lambda750k, **options: Any) -> None:
        super().__init__(counter, **options)
        self._lock, self._waiting = threading.Lock(), list[tuple[int, Status]]()  # numbers of frames to come

    def stage(self) -> list[object]:
        """Begin a series."""
        super().stage()
        self._sequence += 1
        self._subscription = self.cam.num_images_counter.subscribe(self._count, run=False)
        return [self]

    def unstage(self) -> list[object]:
        """End the series, and write it if frames are missing."""
        self.cam.num_images_counter.unsubscribe(self._subscription)
        if 0 < self._triggers < self.cam.n_frames:
            self._write_series(0, self._triggers)
        return super().unstage()

    def trigger(self) -> Status:
        """Take a frame; RuntimeError if the series is complete."""
        number, came = self._triggers, Status()
        if number == self.cam.n_frames:
            raise RuntimeError(f"{self.name} has taken the {number} frames of its series: stage it again")
        self._triggers += 1
        if not number:
            self._counter.kickoff()
            self._counter.complete().add_callback(self._fail)
        with self._lock:
            self._waiting.append((number, came))
        self._count(self.cam.num_images_counter.get())
        return after(came, self._write)

    def _count(self, value: int, **_: Any) -> None:
        """End triggers whose frames have come."""
        for came in self._take_waiting(value):
            came.set_finished()

    def _fail(self, taken: Status) -> None:
        """End triggers whose frames will not come."""
        if (error := taken.exception()) is not None:
            for came in self._take_waiting(self.cam.n_frames):
                came.set_exception(error)

    def _take_waiting(self, before: int) -> list[Status]:
        """Take the triggers of the frames below a number."""
        with self._lock:
            taken = [came for number, came in self._waiting if number < before]
            self._waiting = [each for each in self._waiting if each[0] >= before]
        return taken

    @property
    def _shape(self) -> list[int]:
        """Shape of one frame."""
        return list(self._counter.geometry.frame_shape)

    def _write(self) -> None:
        """Compose the documents of the last trigger's frame; write the series if it is complete."""
        self._announce(seq_id=self._sequence, frame_num=self._triggers - 1)
        if self._triggers == self.cam.n_frames:
            self._write_series(0, self._triggers)


def after(taken: Status, do: Callable[[], None]) -> Status:
    """Return a status that is done when `taken` is done and `do` has returned, and fails if either fails."""
    done = Status()

    def then(_: Any) -> None:
        try:
            if (error := taken.exception()) is not None:
                raise error
            do()
            done.set_finished()
        except Exception as error:
            done.set_exception(error)

    taken.add_callback(then)
    return done


def write_series(
    prefix: str, seq_id: int, chunks: list[bytes], mask: NDArray[np.uint32], per_file: int, facts: dict[str, float]
) -> None:
    """Write a series as an Eiger does: data files of at most `per_file` frames, then the master file that links them.

    Parameters
    ----------
    prefix : str
        Path and beginning of the names.
    seq_id : int
        Number of the series.
    chunks : list of bytes
        Frames of uint16, each a bitshuffle-LZ4 chunk.
    mask : ndarray of uint32, shape (ny, nx)
        ``pixel_mask`` of the detector: 1 in gaps, 2 for a dead pixel, 0 elsewhere.
    per_file : int
    facts : dict of str to float
        Further metadata, by path below ``entry``.
    """
    links = {}
    for k, start in enumerate(range(0, len(chunks), per_file), start=1):
        part, path = chunks[start : start + per_file], Path(f"{prefix}_{seq_id}_data_{k:06d}.h5")
        with h5py.File(path, "w", libver="latest") as file:
            frames = file.create_dataset(
                "entry/data/data", (len(part), *mask.shape), "<u2", chunks=(1, *mask.shape),
                **hdf5plugin.Bitshuffle(cname="lz4"),
            )  # fmt: skip
            frames.attrs["image_nr_low"], frames.attrs["image_nr_high"] = start + 1, start + len(part)
            for i, chunk in enumerate(part):
                frames.id.write_direct_chunk((i, 0, 0), chunk)
        links[f"data_{k:06d}"] = path.name
    with h5py.File(f"{prefix}_{seq_id}_master.h5", "w", libver="latest") as master:
        data = master.create_group("entry/data")
        for name, file_name in links.items():
            data[name] = h5py.ExternalLink(file_name, "/entry/data/data")
        for name, value in facts.items():
            master[f"entry/{name}"] = value
        specific = master.create_group("entry/instrument/detector/detectorSpecific")
        specific["nimages"], specific["pixel_mask"] = len(chunks), mask
