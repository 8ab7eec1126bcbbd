"""Frames as Resource and Datum documents of classic ophyd describe them."""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from ainerd.documents._detector import Described, whole_number
from ainerd.documents._events import RESULT, RIGAKU
from ainerd.documents._storage import FrameError

EIGER = ("AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE")
HDF5 = "application/x-hdf5"
MIMETYPES = dict.fromkeys(EIGER, HDF5) | {"RIGAKU": RIGAKU, "XPCS_RESULT": RESULT}  # by spec of a Resource


class ClassicFiles:
    """Files of classic ophyd. The event of an exposure names the datum of its frames.

    Attributes
    ----------
    per_point : int
        Frames of one index of the data key, of the last datum.
    """

    def __init__(self, resources: dict[str, dict[str, Any]]) -> None:
        self._resources = resources  # of the run, by uid
        self._datums: dict[str, tuple[str, dict[str, Any]]] = {}  # resource and its options, by id of the datum
        self._per_point: dict[str, int] = {}  # by uid of the resource
        self.per_point = 1

    def resource(self, doc: Any) -> None:
        """Remember a file of classic ophyd. Its events name the datum of each frame."""
        spec, options = str(doc["spec"]).upper(), doc.get("resource_kwargs") or {}
        is_hdf5 = spec.startswith("AD_HDF5") and spec != "AD_HDF5_SINGLE"
        of_point = "frames_per_point" if spec == "RIGAKU" else "frame_per_point"
        try:
            per_point, per_file = (
                max(whole_number(options.get(key) or 0, f"{key!r} of the resource", least=-1), 0)
                for key in (of_point, "images_per_file")
            )
        except FrameError as error:  # it may belong to another detector
            self._resources[doc["uid"]] = {"problem": str(error)}
            return
        self._resources[doc["uid"]] = {
            "spec": spec,
            "uncounted": (
                f"{of_point!r} of the resource is {options[of_point]}, which does not say which frames belong to an "
                "event: before a run, set num_images of the camera, or num_capture of its file"
                if options.get(of_point) is not None and per_point == 0 and spec not in EIGER
                else ""
            ),
            "per_file": per_file or per_point,
            "mimetype": HDF5 if is_hdf5 else MIMETYPES.get(spec, spec),
            "uri": uri_of(doc),
            "parameters": {"dataset": options.get("dataset", "/entry/data/data"), "swmr": options.get("swmr", True)},
        }
        self._per_point[doc["uid"]] = 1 if spec in EIGER else per_point or 1

    def datum(self, doc: Any) -> None:
        """Remember the frames of a datum."""
        if doc["resource"] in self._resources:
            self._datums[doc["datum_id"]] = doc["resource"], dict(doc["datum_kwargs"])

    def pieces(
        self, datum_id: str, event: int, described: Described | None, n_exposure: int
    ) -> list[tuple[str, int, int]]:
        """Return the frames of an event: resources, the first index in each, and numbers of indices.

        FrameError if the documents do not say where they are.
        """
        if datum_id not in self._datums:
            raise FrameError(f"the frames of event {event} are in datum {datum_id!r}, which no document describes")
        resource, options = self._datums.pop(datum_id)
        about, shape = self._resources[resource], () if described is None else described.shape
        if problem := about.get("problem") or ("" if len(shape) == 3 else about["uncounted"]):
            raise FrameError(problem)
        spec, self.per_point = about["spec"], self._per_point[resource]
        if spec in EIGER and "frame_num" not in options:
            self.per_point = n_exposure
        n = shape[0] if len(shape) == 3 else self.per_point
        if spec in EIGER and isinstance(options.get("seq_id"), int) and about["per_file"] > 0:
            return self._of_series(resource, options, n)
        if isinstance(point := options.get("index" if spec == "RIGAKU" else "point_number"), int):
            return [(resource, point * n, n)]
        raise FrameError(
            f"the datum of event {event} does not say where its frames are: frames of {spec} with {options} are not "
            "read"
        )

    def _of_series(self, resource: str, options: dict[str, Any], n: int) -> list[tuple[str, int, int]]:
        """Return the pieces of an Eiger's series, each with a resource of its own.

        The file PREFIX_ID_master.h5 has the links ``entry/data/data_000001``, … to files of `images_per_file` frames
        (bluesky/area-detector-handlers, ``eiger.py``). With `frame_num` in the datum, the event is one of its frames.
        """
        doc, pieces = self._resources[resource], []
        begin = options.get("frame_num")
        first, last = (0, n) if not isinstance(begin, int) else (begin, begin + n)
        for k in range(first // doc["per_file"], -(-last // doc["per_file"])):
            uid, before = f"{resource}/{options['seq_id']}/{k}", k * doc["per_file"]
            uri = f"{doc['uri']}_{options['seq_id']}_master.h5"
            where = {"dataset": f"/entry/data/data_{k + 1:06d}", "swmr": False}
            self._resources[uid] = {"mimetype": doc["mimetype"], "uri": uri, "parameters": where, "before": before}
            start, stop = max(first, before), min(last, before + doc["per_file"])
            pieces.append((uid, start - before, stop - start))
        return pieces


def uri_of(doc: Any) -> str:
    """Return the address of the file that a resource names by its root and path."""
    return (
        f"file://localhost{quote(str(PurePosixPath(doc.get('root') or '/') / str(doc['resource_path']).lstrip('/')))}"
    )
