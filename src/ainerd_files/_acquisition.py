"""Files of events, and the metadata that APS 8-ID writes beside them.

References
----------
BCDA-APS/8id-bits, ``utils/nexus_utils.py`` and ``xpcs_schema.py``: ``NAME_metadata.hdf`` with ``/entry/instrument``.
Nothing in it names the raw files, the number of frames or the bits of a count.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py

from ainerd.documents import FrameError
from ainerd.technique import RunAnalysis
from ainerd_files._layouts import EVENTS
from ainerd_files._rigaku import RigakuReader, rigaku_gaps
from ainerd_folder import Metadata, count_frames
from ainerd_xpcs.numerics import Events, Partition

Order = Literal["rows", "columns"]
_DETECTOR = "entry/instrument/detector_1"


@dataclass(frozen=True)
class AcquisitionMetadata:
    """Metadata of an acquisition at APS 8-ID; a value that the file does not hold is None, or empty.

    Attributes
    ----------
    file : Path
        The metadata file.
    frame_time_s : float or None
        Time from frame to frame.
    detector, qmap : str
        Name of the detector, and file name of the q map.
    """

    file: Path
    frame_time_s: float | None
    detector: str
    qmap: str

    @classmethod
    def beside(cls, file: Path) -> "AcquisitionMetadata | None":
        """Read the metadata beside a file of events, if there are any."""
        path = file.with_name(EVENTS.sub("", file.name) + "_metadata.hdf")
        return cls.read(path) if path.is_file() else None

    @classmethod
    def read(cls, path: Path) -> "AcquisitionMetadata":
        """Read a metadata file; ValueError if it is not one."""
        names = [f"{_DETECTOR}/{name}" for name in ("frame_time", "detector_name", "qmap_file")]
        try:
            values = Metadata(path, names, [Path("/")])
            time_s, (time, detector, qmap) = values.number(names[0], "s"), map(values.value, names)
        except FrameError as error:
            raise ValueError(str(error)) from None
        if {time, detector, qmap} == {None}:
            raise ValueError(f"{path} holds no {_DETECTOR}: is it the metadata file of an acquisition?")
        if time is not None and not (time_s is not None and time_s > 0):
            raise ValueError(f"{path}: {names[0]} is {time!r}: give --frame-time")
        return cls(path, time_s, str(detector or ""), str(qmap or ""))

    def find_qmap(self) -> Path:
        """Return the q map, beside the metadata or in one of the two folders above; ValueError if it is in none."""
        if not self.qmap:
            raise ValueError(f"{self.file} holds no {_DETECTOR}/qmap_file: give the bins with --roi")
        folders = [self.file.resolve().parents[i] for i in range(min(3, len(self.file.resolve().parents)))]
        for folder in folders:
            if (folder / Path(self.qmap).name).is_file():
                return folder / Path(self.qmap).name
        places = ", ".join(map(str, folders))
        raise ValueError(f"the q map {self.qmap} of {self.file.name} is not in {places}: give it with --roi")


@dataclass(frozen=True)
class EventMovie:
    """A file of events of a Rigaku detector, or six of a detector of 3M."""

    file: Path
    partition: Partition
    order: Order
    n_frames: int

    @classmethod
    def find(cls, file: Path, partition: Partition, order: Order | None, n_frames: int | None) -> "EventMovie":
        """Find the files; ValueError if the order of pixels is not known, or the files hold something else.

        Without `n_frames`, the frames are counted. Pixels between modules are taken out of the bins.
        """
        if order is None:
            raise ValueError(
                f"{file}: say with --order whether the pixels are numbered by rows, as boost_corr reads them, or by "
                "columns, as xpcs-eigen does"
            )
        if file.is_file() and h5py.is_hdf5(file):
            raise ValueError(f"{file} is HDF5, not events: the detector was in the mode FastTransfer")
        gaps = rigaku_gaps(partition.shape)
        if n_frames is None:
            n_frames = count_frames(file, partition.shape)
        used = partition.without(gaps) if (partition.roi_map[gaps] > 0).any() else partition
        return cls(file, used, order, n_frames)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frames."""
        return self.partition.shape

    def blocks(self, analysis: RunAnalysis) -> Iterator[tuple[int, Events]]:
        """Yield the number of the first frame of each block, and its events; the analysis gets whole frames."""
        with closing(RigakuReader(self.file, self.partition, order=self.order)) as reader:
            first = 0
            for events in reader.blocks(0, self.n_frames, analysis, 0):
                yield first, events
                first += events.stop
            reader.check_ends(self.n_frames)
