"""Frames as Resource and Datum documents of classic ophyd describe them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from event_model.documents import Datum, Resource

from ainerd.documents._detector import whole_number
from ainerd.documents._events import RIGAKU
from ainerd.documents._storage import FrameError

EIGER = ("AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE")
Options = Mapping[str, Any]  # a document may hold any values
HDF5 = "application/x-hdf5"
MIMETYPES = dict.fromkeys(EIGER, HDF5) | {"RIGAKU": RIGAKU}  # by spec of a Resource


@dataclass(frozen=True)
class FrameFile:
    """A file of frames, or of their numbers, as a document describes it.

    Attributes
    ----------
    mimetype, uri, parameters, data_key
        Those of a StreamResource.
    spec, options
        Those of a Resource of classic ophyd.
    before : int
        Frames of the series of an Eiger that are in the files before.
    """

    mimetype: str
    uri: str
    parameters: Options
    data_key: str = ""
    spec: str = ""
    options: Options = field(default_factory=dict)
    before: int = 0


class ClassicFiles:
    """Files of classic ophyd. The event of an exposure names the datum of its frames.

    `RunNormalizer` of bluesky-tiled-plugins 2.0 reads such documents too, but gives frames that were taken again after
    a pause the numbers of later events, and has one file for all series of an Eiger.

    Attributes
    ----------
    per_point : int
        Frames of one index of the data key, of the last datum.
    """

    def __init__(self, resources: dict[str, FrameFile]) -> None:
        self._resources = resources  # of the run, by uid
        self._datums: dict[str, tuple[str, Options]] = {}  # resource and its options, by id of the datum
        self.per_point = 1

    def resource(self, doc: Resource) -> None:
        """Remember a file of classic ophyd. Its events name the datum of each frame."""
        spec, options = str(doc["spec"]).upper(), doc.get("resource_kwargs") or {}
        path = PurePosixPath(doc.get("root") or "/") / str(doc["resource_path"]).lstrip("/")
        is_hdf5 = spec.startswith("AD_HDF5") and spec != "AD_HDF5_SINGLE"
        self._resources[doc["uid"]] = FrameFile(
            mimetype=HDF5 if is_hdf5 else MIMETYPES.get(spec, spec),
            uri=f"file://localhost{quote(str(path))}",
            parameters={"dataset": options.get("dataset", "/entry/data/data")},
            spec=spec,
            options=options,
        )

    def datum(self, doc: Datum) -> None:
        """Remember the frames of a datum."""
        if doc["resource"] in self._resources:
            self._datums[doc["datum_id"]] = doc["resource"], dict(doc["datum_kwargs"])

    def pieces(self, datum_id: str, event: int, shape: tuple[int, ...], n_exposure: int) -> list[tuple[str, int, int]]:
        """Return the frames of an event: resources, the first index in each, and numbers of indices.

        `shape` is that of an index. FrameError if the documents do not say where the frames are.
        """
        if datum_id not in self._datums:
            raise FrameError(f"the frames of event {event} are in datum {datum_id!r}, which no document describes")
        resource, options = self._datums.pop(datum_id)
        spec, of_file = self._resources[resource].spec, self._resources[resource].options
        key = "frames_per_point" if spec == "RIGAKU" else "frame_per_point"
        per_point, per_file = _number(of_file, key), _number(of_file, "images_per_file")
        if of_file.get(key) is not None and per_point == 0 and spec not in EIGER and len(shape) != 3:
            raise FrameError(
                f"{key!r} of the resource is {of_file[key]}, which does not say which frames belong to an event: "
                "before a run, set num_images of the camera, or num_capture of its file"
            )
        of_eiger = 1 if "frame_num" in options else n_exposure
        self.per_point = of_eiger if spec in EIGER else per_point or 1
        n = shape[0] if len(shape) == 3 else self.per_point
        if spec in EIGER and isinstance(options.get("seq_id"), int) and (per_file or per_point):
            return self._of_series(resource, options, n, per_file or per_point)
        if isinstance(point := options.get("index" if spec == "RIGAKU" else "point_number"), int):
            return [(resource, point * n, n)]
        where = f"frames of {spec} with {options} are not read"
        raise FrameError(f"the datum of event {event} does not say where its frames are: {where}")

    def _of_series(self, resource: str, options: Options, n: int, per_file: int) -> list[tuple[str, int, int]]:
        """Return the pieces of an Eiger's series, each with a resource of its own.

        The file PREFIX_ID_master.h5 has the links ``entry/data/data_000001``, … to files of `per_file` frames
        (bluesky/area-detector-handlers, ``eiger.py``). With `frame_num` in the datum, the event is one of its frames.
        """
        doc, pieces, begin = self._resources[resource], [], options.get("frame_num")
        first = begin if isinstance(begin, int) else 0
        for k in range(first // per_file, -(-(first + n) // per_file)):
            uid, before = f"{resource}/{options['seq_id']}/{k}", k * per_file
            uri, where = f"{doc.uri}_{options['seq_id']}_master.h5", {"dataset": f"/entry/data/data_{k + 1:06d}"}
            self._resources[uid] = FrameFile(doc.mimetype, uri, where, before=before)
            start, stop = max(first, before), min(first + n, before + per_file)
            pieces.append((uid, start - before, stop - start))
        return pieces


def _number(options: Options, key: str) -> int:
    return max(whole_number(options.get(key) or 0, f"{key!r} of the resource", least=-1), 0)
