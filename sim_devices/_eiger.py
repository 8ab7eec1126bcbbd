"""An Eiger of classic ophyd, as CHX (NSLS-II) has them: a series of files for each event, a Resource and a Datum.

The files are those of Dectris' file writer: PREFIX_ID_master.h5 with links to PREFIX_ID_data_000001.h5, …, which hold
the frames. Their names and the documents are those of NSLS2/chx-profile-collection, ``startup/20-area-detectors.py``.
"""

import time
import uuid
from collections.abc import Iterator
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
        Makes the frames. Its name is the name of this detector.
    images_per_file : int
        Most frames in a data file.
    """

    parent = None

    def __init__(self, counter: Lambda750k, *, images_per_file: int = 100) -> None:
        self.name, self.cam, self._counter, self._per_file = counter.name, counter.cam, counter, images_per_file
        self.hints = {"fields": [counter.mean_counts.name]}
        self.read_configuration, self.describe_configuration = (
            counter.read_configuration,
            counter.describe_configuration,
        )
        self._sequence = 0  # of the last series, as the detector counts
        self._documents: list[tuple[str, Any]] = []
        self._datum: dict[str, Any] = {}  # of the last trigger

    def stage(self) -> list[object]:
        """Name the files of the series to come."""
        self._counter.stage()
        self._source: Path | None = None  # file of the other detector
        self._triggers, self._prefix = 0, ""
        self._documents = []
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
        done = Status()

        def write(taken: Any) -> None:
            try:
                if (error := taken.exception()) is not None:
                    raise error
                self._write()
                done.set_finished()
            except Exception as error:
                done.set_exception(error)

        self._counter.trigger().add_callback(write)
        return done

    def describe(self) -> dict[str, Any]:
        """Describe a series, by its Resource, and the mean counts."""
        image = self._counter.image_key
        described = {key: value for key, value in self._counter.describe().items() if key != image}
        shape = [self.cam.n_frames, *self._counter.geometry.frame_shape]
        key = {"source": f"SIM:{self.name}", "dtype": "array", "shape": shape, "dtype_str": "<u2"}
        return {image: {**key, "external": "FILESTORE:"}, **described}

    def read(self) -> dict[str, Any]:
        """Return the id of the datum, and the mean counts."""
        return {
            self._counter.image_key: {"value": self._datum["datum_id"], "timestamp": time.time()},
            **self._counter.read(),
        }

    def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
        """Yield the Resource, once per staging, and new datums."""
        documents, self._documents = self._documents, []
        yield from documents

    def _write(self) -> None:
        """Write the frames of the last trigger as a series, and compose its documents."""
        for name, doc in self._counter.collect_asset_docs():
            if name == "stream_resource" and doc["data_key"] == self._counter.image_key:
                self._source = Path(unquote(urlparse(doc["uri"]).path))
        assert self._source is not None
        if not self._triggers:
            self._prefix = str(self._source.parent / uuid.uuid4().hex)
            options = {"images_per_file": self._per_file}
            resource = compose_resource(
                spec="AD_EIGER2", root="/", resource_path=self._prefix.lstrip("/"), resource_kwargs=options
            )
            self._documents.append(("resource", resource.resource_doc))
            self._compose_datum = resource.compose_datum
        self._sequence += 1
        n = self.cam.n_frames
        with h5py.File(self._source, swmr=True) as file:
            frames = file[DATASET].id
            chunks = [frames.read_direct_chunk((self._triggers * n + i, 0, 0))[1] for i in range(n)]
            mask = file["entry/instrument/detector/pixel_mask"][()]
        write_series(self._prefix, self._sequence, chunks, mask, self._per_file, self._facts())
        self._triggers += 1
        self._datum = self._compose_datum(datum_kwargs={"seq_id": self._sequence})
        self._documents.append(("datum", self._datum))

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
