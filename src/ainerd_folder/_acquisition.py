"""One acquisition in files, as at APS 8-ID, as the documents of a Bluesky run.

A folder ``NAME`` holds the frames, ``NAME.h5``, or the files of a Rigaku detector, ``NAME.bin``, or ``NAME.bin.000``
to ``.005``; the metadata, ``NAME_metadata.hdf`` (NXxpcs with additions of APS); and perhaps a record of a rheometer, a
CSV.

References
----------
BCDA-APS/8id-bits, ``plans/acquire/ad_acq.py`` and ``utils/nexus_utils.py``: names and places of these files.
"""

import csv
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5

import h5py
import numpy as np
import pandas as pd
from event_model import ComposeDescriptorBundle, StreamRange, compose_run

from ainerd import config
from ainerd.config import short
from ainerd.documents import MIMETYPES, Document, EventFrames, FrameError, allowed_file, open_item
from ainerd_folder._counting import SHAPES, count_frames
from ainerd_folder._metadata import Metadata

logger = logging.getLogger(__name__)

OTHER_S = 1e9  # s; a clock that is so far from the exposure does not count seconds since 1970
LATEST_S = 9.2e9  # of a time, in s since 1970: the last year that pandas counts
DATASET = "/entry/data/data"  # of the frames in NAME.h5
FRAME_TIME = "/entry/instrument/detector_1/frame_time"  # in the metadata file of 8-ID
N_FRAMES = "/entry/instrument/bluesky/num_images"
BEGAN = "/entry/start_time"  # of the first frame
EMPTY = 30.0  # events that empty frames at the end would hold in the mean: more are not missing by chance


@dataclass(frozen=True)
class AcquisitionFiles:
    """An acquisition whose files are complete.

    Parameters
    ----------
    folder : Path
    keys : ainerd.config.Acquisition
    detector : ainerd.config.Detector
    roots : tuple of Path
        Folders from which files may be read, with links resolved.
    units : mapping of str to str
        By data key; readings are converted to them.
    growing : bool
        Whether the writer of the frames has not closed the file, and never will.
    """

    folder: Path
    keys: config.Acquisition
    detector: config.Detector
    roots: tuple[Path, ...]
    units: Mapping[str, str] = field(default_factory=dict)
    growing: bool = False

    @property
    def data(self) -> Path:
        """The file of the frames, or the first one of events."""
        paths = [self.folder / f"{self.folder.name}{ending}" for ending in (".h5", ".bin", ".bin.000")]
        return next((path for path in paths if path.exists()), paths[0])

    @property
    def is_counted(self) -> bool:
        """Whether it can be known that no frame is to come; of events only if the metadata announce their number."""
        return self.data.suffix == ".h5" or self._n_announced is not None

    @property
    def metadata(self) -> Path:
        """The file of the metadata."""
        return self.folder / f"{self.folder.name}_metadata.hdf"

    @cached_property
    def record(self) -> Path | None:
        """The CSV; None if there is none yet. FrameError if several files have such a name."""
        files = sorted(self.folder.glob(self.keys.record)) if self.keys.record else []
        if len(files) > 1:
            raise FrameError(f"{self.folder}: {len(files)} files match {self.keys.record!r}, expected one")
        return files[0] if files else None

    @cached_property
    def uid(self) -> str:
        """Uid of the run: the same for the same file that began at the same time."""
        return str(uuid5(NAMESPACE_URL, f"{self.data.resolve().as_uri()}#{self._values.value(BEGAN) or ''}"))

    @cached_property
    def n_frames(self) -> int:
        """Number of frames in the file; of events with empty frames that the metadata announce at the end."""
        n, expected = self._frames[0][0], self._n_announced
        if self.data.suffix == ".h5" or expected is None:
            return n
        n_words = sum(file.stat().st_size // 8 for file in EventFrames.files(self.data, self._shape, self.roots))
        return expected if 0 < (expected - n) * n_words / n < EMPTY else n

    @cached_property
    def n_wanted(self) -> int:
        """Number of frames that the metadata announce, or else of those in the file."""
        return self.n_frames if self._n_announced is None else self._n_announced

    def documents(self, suggestion_of: Callable[[Mapping[str, float]], str | None]) -> Iterator[Document]:
        """Yield the documents of the run: the same ones each time.

        Parameters
        ----------
        suggestion_of : callable
            Returns the id of the suggestion that was fetched for the readings of this acquisition, or None.

        Raises
        ------
        MissingFrames
            If a file is still being written.
        FrameError
            If a file is damaged, or outside the allowed roots, or says something impossible.
        """
        frame_time_s, ended = self._frame_time_s, self.data.stat().st_mtime
        began = self._began(ended - self.n_frames * (frame_time_s or 0.0))
        readings = self._values.numbers(self.keys.readings, self.units)
        about = {"acquisition": self.folder.name, "file": self.data.name, **self._values.values(self.keys.start)}
        if (suggestion := suggestion_of(readings)) is not None:
            about["suggestion_id"] = suggestion
        run = compose_run(uid=self.uid, time=began, metadata=about)
        assert run.compose_stream_resource is not None
        yield "start", dict(run.start_doc)
        if readings:
            of = {name: self._values.unit(self.keys.readings[name]) for name in readings}
            keys = {name: self._key(name, self.metadata, of[name]) for name in readings}
            baseline = self._describe(run, "baseline", keys, began)
            yield "descriptor", dict(baseline.descriptor_doc)
            yield self._event(baseline, 1, began, readings)
        frames = self._describe(run, "primary", {self.detector.image: self._image}, began, self._configuration())
        yield "descriptor", dict(frames.descriptor_doc)
        yield from self._rows(run, began, began + self.n_frames * (frame_time_s or 0.0))
        of_hdf5 = {"dataset": DATASET, "swmr": self.growing, "chunk_shape": [1, *self._frames[0][1:]]}
        is_hdf5 = self.data.suffix == ".h5"
        resource = run.compose_stream_resource(
            mimetype="application/x-hdf5" if is_hdf5 else MIMETYPES["RIGAKU"],
            # other signs stay: Tiled opens the address as it is
            uri="file://localhost" + re.sub(r"[%?#]", lambda sign: quote(sign[0]), str(self.data)),
            data_key=self.detector.image,
            parameters=of_hdf5 if is_hdf5 else {},
            uid=self._uid("frames"),
        )
        yield "stream_resource", dict(resource.stream_resource_doc)
        indices, numbers = (StreamRange(start=first, stop=first + self.n_frames) for first in (0, 1))
        yield "stream_datum", dict(resource.compose_stream_datum(indices, numbers, frames.descriptor_doc))
        end: dict[str, Any] = {"uid": self._uid("stop"), "time": max(ended, began)}
        if self.growing or self.n_frames < self.n_wanted:
            why = "; its writer did not close the file" if self.growing else ""
            end |= {"exit_status": "abort", "reason": f"{self.n_frames} of {self.n_wanted} frames{why}"}
        yield "stop", dict(run.compose_stop(**end))

    # parts

    def _describe(
        self, run: Any, name: str, keys: Any, time_s: float, configuration: Any = None
    ) -> ComposeDescriptorBundle:
        described: ComposeDescriptorBundle = run.compose_descriptor(
            name=name, data_keys=keys, time=time_s, uid=self._uid(name), configuration=configuration
        )
        return described

    def _event(
        self, stream: ComposeDescriptorBundle, number: int, time_s: float, data: Mapping[str, float]
    ) -> Document:
        uid = self._uid(f"{stream.descriptor_doc['name']}/{number}")
        times = dict.fromkeys(data, time_s)
        event = stream.compose_event(data=dict(data), timestamps=times, seq_num=number, uid=uid, time=time_s)
        return "event", dict(event)

    def _rows(self, run: Any, began: float, ended: float) -> Iterator[Document]:
        """Yield the rows of the CSV during the exposure as events of a stream ``record``."""
        if self.record is None or not self.keys.columns:
            return
        path = allowed_file(self.record, self.roots)
        columns = {"time": "time_s", **self.keys.columns}
        times_of = columns.pop("time")
        table, of_record = read_record(path, times_of, [*columns.values()])
        clock, own = table[times_of], self._values.value(BEGAN)
        zones = [_has_zone(text) for text in (own, of_record) if isinstance(text, str)]
        if not self.keys.record_zero and len({*zones}) > 1:
            raise FrameError(
                f"{path}: {times_of!r} and {BEGAN} of {self.metadata.name} cannot be compared: "
                "one of them has a time zone and the other has none"
            )
        zero = self._values.number(self.keys.record_zero, "s")
        if self.keys.record_zero and not (zero is not None and np.isfinite(zero)):
            raise FrameError(f"{self.metadata} has no {self.keys.record_zero}: the time at which the record began")
        times = clock + (0.0 if zero is None else began - zero)
        values = {key: table[name] for key, name in columns.items()}
        rows = pd.DataFrame(values)[(times >= began) & (times <= ended)]
        if rows.empty:
            ranges = (
                f"from {clock.min():.10g} to {clock.max():.10g} s, the exposure from {began:.10g} to {ended:.10g} s"
            )
            if zero is None and abs(clock.max() - began) > OTHER_S:
                count = "set acquisition.record_zero, or give dates if it counts from 1904, in ms, or in days as Excel"
                raise FrameError(f"{path}: {times_of!r} goes {ranges} since 1970: {count}")
            logger.warning("%s has no row during the exposure: %r goes %s", path, times_of, ranges)
            return
        stream = self._describe(run, "record", {name: self._key(name, path) for name in values}, began)
        yield "descriptor", dict(stream.descriptor_doc)
        for number, row in enumerate(rows.assign(_time=times).to_dict("records"), 1):
            yield self._event(stream, number, row.pop("_time"), {str(key): float(x) for key, x in row.items()})

    def _began(self, otherwise: float) -> float:
        value = self._values.value(BEGAN)
        if value is None:
            return otherwise
        try:
            began = datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)
        except (ValueError, OverflowError):
            began = np.nan
        if not abs(began) <= LATEST_S:
            raise FrameError(f"{self.metadata}: {BEGAN} is not a time: {short(value)}")
        return began

    @cached_property
    def _n_announced(self) -> int | None:
        """Number of frames by the metadata; None without one, and for 0 or -1, which mean "without limit"."""
        n = self._values.whole_number(N_FRAMES) or 0
        return n if n > 0 else None

    @property
    def _frame_time_s(self) -> float | None:
        value = self._values.number(FRAME_TIME, "s")
        if value is not None and not 0 < value < np.inf:
            raise FrameError(f"{self.metadata}: {FRAME_TIME} is {value:g}, expected a positive time")
        return value

    def _configuration(self) -> dict[str, Any] | None:
        """Return the configuration of the detector, by the keys in which an analysis looks for it."""
        values = {self.detector.frame_time_s: self._frame_time_s, self.detector.n_frames: self.n_wanted}
        data = {key: value for key, value in values.items() if key and value is not None}
        keys = {key: {"source": str(self.metadata), "dtype": "number", "shape": []} for key in data}
        times = dict.fromkeys(data, self.metadata.stat().st_mtime)
        return {self.detector.image: {"data": data, "timestamps": times, "data_keys": keys}} if data else None

    def _key(self, name: str, source: Path, own: str = "") -> dict[str, Any]:
        unit = self.units.get(name, own)
        return {"source": str(source), "dtype": "number", "shape": [], **({"units": unit} if unit else {})}

    @property
    def _image(self) -> dict[str, Any]:
        (_, *shape), dtype = self._frames
        return {
            "source": str(self.data), "dtype": "array", "dtype_numpy": dtype, "shape": [1, *shape],
            "external": "STREAM:",
        }  # fmt: skip

    @cached_property
    def _frames(self) -> tuple[tuple[int, ...], str]:
        """Shape and type of the frames."""
        if self.data.suffix != ".h5":
            EventFrames.files(self.data, self._shape, self.roots)
            return (count_frames(self.data, self._shape), *self._shape), "<u2"
        with open_item(self.data, DATASET, self.roots, is_complete=not self.growing) as dataset:
            if not isinstance(dataset, h5py.Dataset) or len(dataset.shape) != 3:
                has = f"shape {dataset.shape}" if isinstance(dataset, h5py.Dataset) else "no such dataset"
                raise FrameError(f"{self.data}, {DATASET!r}: {has}, expected (frames, rows, columns)")
            return dataset.shape, dataset.dtype.str

    @property
    def _shape(self) -> tuple[int, int]:
        """Rows and columns of a detector that records events."""
        return SHAPES[self.data.suffix]

    def _uid(self, role: str) -> str:
        return str(uuid5(UUID(self.uid), role))

    @cached_property
    def _values(self) -> Metadata:
        """The values of the metadata file that the keys name."""
        keys = self.keys
        single = (FRAME_TIME, N_FRAMES, BEGAN, keys.record_zero)
        return Metadata(self.metadata, (*single, *keys.readings.values(), *keys.start.values()), self.roots)


def _has_zone(text: str) -> bool:
    """Return whether a text is a date with a time zone."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def read_record(path: Path, times_of: str, columns: Sequence[str]) -> tuple[pd.DataFrame, Any]:
    """Return columns of a CSV as numbers, one row for each of its own, and its first time as it is written.

    Dates become seconds since 1970, in local time without a zone. A header that comes again is left out. FrameError
    with the line of what is no number, of a row with more fields than the header, or of a time that goes back.
    """
    wanted = [times_of, *columns]
    try:
        # as long as the file; without index_col a comma at the end of each row moves the values by a column
        table = pd.read_csv(
            path, usecols=lambda name: name in wanted, compression=None, index_col=False, encoding_errors="replace",
            low_memory=False,
        )  # fmt: skip
    except (ValueError, OSError) as error:  # ValueError: pandas' ParserError
        raise FrameError(f"{path} is not a table: {error}") from error
    lines = [(n, line) for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if line.strip()]
    names, *rows = csv.reader(line for _, line in lines)
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise FrameError(f"{path} has {names.count(twice[0])} columns {twice[0]!r}: give each a name of its own")
    for (n, line), row in zip(lines[1:], rows, strict=False):
        if any(row[len(names) :]):  # one comma at the end of each row does no harm
            raise FrameError(
                f"{path}, line {n}: {short(line)} has {len(row)} fields, and the header has {len(names)} names: write "
                "numbers with a decimal point, or between quotes"
            )
    if missing := [name for name in wanted if name not in table]:
        (n, head), code = lines[0], ", which is not UTF-8" * ("\ufffd" in lines[0][1])
        raise FrameError(f"{path} has no column {missing[0]!r}: line {n} has {short(head)}{code}")
    table = table[table[times_of] != times_of]
    numbers = table.apply(pd.to_numeric, errors="coerce")
    if are_dates := numbers[times_of].count() < table[times_of].count() / 2:
        numbers[times_of] = table[times_of].map(_seconds)
    wrong = (numbers.isna() & table.notna()).to_numpy()
    for row, column in np.argwhere(wrong)[:1]:
        bad, name, text = wrong[:, column], table.columns[column], table.iloc[row, column]
        cause = "a second header" if row == 0 else "a footer" if bad[row:].all() else "text among the values"
        like = "date such as 2026-11-20T10:00:00+01:00" if are_dates and name == times_of else "number such as 1.5"
        where = f"{path}, line {lines[table.index[row] + 1][0]}, column {name!r}"
        raise FrameError(f"{where}: {short(text)} is no {like}: {'another style' if bad.all() else cause}")
    if are_dates and len({_has_zone(text) for text in table[times_of].dropna()}) > 1:
        raise FrameError(f"{path}: some dates of {times_of!r} have a time zone and others have none")
    times = numbers[times_of].dropna()
    for row, step in times.diff()[lambda step: step < 0].head(1).items():
        raise FrameError(
            f"{path}, line {lines[row + 1][0]}: the times go back by {-step:.10g} s, so another interval begins: leave "
            "one interval in the file"
        )
    return numbers, next(iter(table[times_of]), None)


def _seconds(text: Any) -> float:
    """Return a date as seconds since 1970, in local time without a zone; NaN for other text."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return np.nan
