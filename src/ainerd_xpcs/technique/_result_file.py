"""A result file of another program as the documents of a Bluesky run: the same file gives the same ones each time."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

import numpy as np
from event_model import StreamRange, compose_run

from ainerd.config import Settings
from ainerd.documents import Document, FrameError, Metadata, Run, open_item
from ainerd_xpcs.technique._curves import has_curves
from ainerd_xpcs.technique._map_run import ABOUT
from ainerd_xpcs.technique._maps import MapFile

logger = logging.getLogger(__name__)

ONLY_G2 = "it holds g2 and no two-time map: a point and a regime are computed from C2"


@dataclass(frozen=True)
class ResultFile:
    """A result file, as it was at one time.

    Parameters
    ----------
    path : Path
        Without links.
    size : int
    changed : float
        Time of the last change, in seconds since 1970.
    settings : Settings
    row_s : float or None
        Seconds from row to row of the maps, in place of those in the file.
    """

    path: Path
    size: int
    changed: float
    settings: Settings
    row_s: float | None = None

    @cached_property
    def sha256(self) -> str:
        """Digest of the content, whatever the name."""
        with self.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    @cached_property
    def uid(self) -> str:
        """Uid of the run: that of `ainerd ingest`."""
        return str(uuid5(NAMESPACE_OID, self.sha256))

    @cached_property
    def _about(self) -> MapFile:
        """Layout, times and bins of the maps; the file is closed."""
        if self.path.suffix != ".npy":
            with open_item(self.path, "/", self._roots, is_complete=True):
                pass
        with MapFile(self.path, frame_time_s=self.row_s) as file:
            return file

    def problem(self) -> Exception | None:
        """Return why the maps cannot be read, as far as that shows before they are; None if they can."""
        try:
            self._about  # noqa: B018  (raises)
            return None
        except (FrameError, ValueError, OSError) as error:
            return FrameError(f"{self.path}: {ONLY_G2}") if self._has_only_g2() else error

    def documents(
        self,
        suggestion_of: Callable[[Mapping[str, float]], str | None],
        problem: Exception | None = None,
        replaces: str | None = None,
    ) -> Iterator[Document]:
        """Yield the documents.

        Parameters
        ----------
        suggestion_of : callable
            Returns the id of the suggestion that was fetched for the readings of this file, or None.
        problem : Exception, optional
            Why it cannot be used: then the run has no frames, and its result has the reason.
        replaces : str, optional
            Uid of the run of an earlier content, whose result that of this one supersedes.

        Raises
        ------
        FrameError
            If a value that `[acquisition]` names cannot be used.
        """
        layout, began, row_s, n_rows, shape = "", None, None, 1, (1, 1)
        if problem is None:
            file, shape = self._about, self._about.partition.shape
            layout, began, row_s, n_rows = file.layout, file.began, file.row_s, file.n_stated
        began = self.changed - n_rows * (row_s or 0.0) if began is None else began
        readings, start = self._metadata() if problem is None else ({}, {})
        about: dict[str, Any] = {
            "path": str(self.path),
            "size": self.size,
            "changed": self.changed,
            "sha256": self.sha256,
        }
        about |= {"layout": layout, "row_s": row_s}
        start |= {"plan_name": "results", ABOUT: about}
        if replaces is not None:
            start["replaces"] = replaces
        if (suggestion := suggestion_of(readings)) is not None:
            start["suggestion_id"] = suggestion
        run = compose_run(uid=self.uid, time=began, metadata=start)
        assert run.compose_stream_resource is not None
        yield "start", dict(run.start_doc)
        units = self.settings.acquisition.units
        if readings:
            keys = {name: self._key([], **({"units": units[name]} if name in units else {})) for name in readings}
            stream = run.compose_descriptor(name="baseline", data_keys=keys, time=began, uid=self._uid("baseline"))
            yield "descriptor", dict(stream.descriptor_doc)
            times = dict.fromkeys(readings, began)
            event = stream.compose_event(
                data=readings, timestamps=times, seq_num=1, uid=self._uid("readings"), time=began
            )
            yield "event", dict(event)
        image = self.settings.detector.image
        key = self._key([n_rows, *shape], dtype="array", dtype_numpy="<f4", external="STREAM:")
        frames = run.compose_descriptor(
            name="primary", data_keys={image: key}, time=began, uid=self._uid("primary"),
            configuration=self._configuration(n_rows, row_s),
        )  # fmt: skip
        yield "descriptor", dict(frames.descriptor_doc)
        if problem is None:
            resource = run.compose_stream_resource(
                mimetype=Run.mimetypes["XPCS_RESULT"],
                uri="file://localhost" + re.sub(r"[%?#]", lambda sign: quote(sign[0]), str(self.path)),
                data_key=image, parameters={}, uid=self._uid("maps"),
            )  # fmt: skip
            yield "stream_resource", dict(resource.stream_resource_doc)
            index, number = (StreamRange(start=first, stop=first + 1) for first in (0, 1))
            yield "stream_datum", dict(resource.compose_stream_datum(index, number, frames.descriptor_doc))
        end: dict[str, Any] = {"uid": self._uid("stop"), "time": max(self.changed, began)}
        if problem is not None:
            end |= {"exit_status": "fail", "reason": f"spoilt file: {problem}"}
        stop = dict[str, Any](run.compose_stop(**end))
        yield "stop", stop | {"num_events": {**stop["num_events"], "primary": 1}}

    # parts

    def _has_only_g2(self) -> bool:
        try:
            return self.path.suffix != ".npy" and has_curves(self.path)
        except (ValueError, OSError):
            return False

    def _metadata(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Return readings and metadata that the file has at the paths in the settings."""
        keys = self.settings.acquisition
        if self.path.suffix == ".npy":
            return {}, {}
        values = Metadata(self.path, (*keys.readings.values(), *keys.start.values()), self._roots)
        numbers = {key: values.number(name, keys.units.get(key)) for key, name in keys.readings.items()}
        readings = {key: x for key, x in numbers.items() if x is not None and np.isfinite(x)}
        if missing := numbers.keys() - readings.keys():
            logger.warning("%s has no number for %s", self.path, ", ".join(sorted(missing)))
        texts = {key: values.value(name) for key, name in keys.start.items()}
        return readings, {key: value for key, value in texts.items() if value is not None}

    def _configuration(self, n_rows: int, row_s: float | None) -> dict[str, Any] | None:
        """Return the configuration of the detector, by the keys in which an analysis looks for it."""
        keys = self.settings.detector
        data = {key: x for key, x in {keys.frame_time_s: row_s, keys.n_frames: n_rows}.items() if key and x is not None}
        times = dict.fromkeys(data, self.changed)
        of_image = {"data": data, "timestamps": times, "data_keys": {key: self._key([]) for key in data}}
        return {keys.image: of_image} if data else None

    def _key(self, shape: list[int], *, dtype: str = "number", **more: str) -> dict[str, Any]:
        return {"source": str(self.path), "dtype": dtype, "shape": shape, **more}

    def _uid(self, role: str) -> str:
        return str(uuid5(UUID(self.uid), role))

    @property
    def _roots(self) -> list[Path]:
        return [root.resolve() for root in self.settings.storage.frames]
