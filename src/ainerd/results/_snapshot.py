"""Metadata of the results in one table, so that a first reading of thousands is a request or two."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from operator import itemgetter
from typing import Any

import httpx
import numpy as np
import orjson
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._nodes import is_conflict

_KEY = "snapshot"
_NUMBER = "number"
_COLUMNS = (_NUMBER, "key", "common", "said")
_ARROW = "application/vnd.apache.arrow.file"
# The same in most results: written once, in a row without a key, with the names of what each result says itself.
_POINT, _PACKED = "embedding", "embedding as float32"  # most of what a result says: in base64 a third of its digits
_COMMON = ("parameters", "software", "model", "calibration", "units", "positions", "summary", "arrays")

Metadata = Mapping[str, Any]


class Snapshot:
    """The table ``ainerd/snapshot``: a cache, never the truth, made anew where it is missing.

    Rows are numbered in the order of the results, for a database may give those of a large table in any order; where a
    key occurs twice, its last row counts. Who may not write reads without it.
    """

    def __init__(self, ainerd: Container) -> None:
        self._ainerd = ainerd

    def load(self) -> dict[str, Metadata]:
        """Metadata by key as they were; nothing, if there is no table or it cannot be read."""
        import pyarrow

        # Not through the client of the table, whose import of dask takes longer than the reading.
        address = self._ainerd.uri.replace("/metadata/", "/table/full/", 1) + f"/{_KEY}"
        try:
            response = self._ainerd.context.http_client.get(address, headers={"Accept": _ARROW})
            response.raise_for_status()
            table = pyarrow.ipc.open_file(BytesIO(response.content)).read_all()
            if _NUMBER not in table.column_names:  # of an earlier version: made anew
                self.drop()
                return {}
            rows = list(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))
            rows.sort(key=itemgetter(0))
            common = {name: _read(said) for _, key, name, said in rows if not key}
            return {key: _unpacked(_read(said), **common[name]) for _, key, name, said in rows if key}
        except (httpx.HTTPError, pyarrow.ArrowInvalid, KeyError, TypeError, ValueError):
            return {}

    def append(self, results: Mapping[str, Metadata], first: int) -> bool:
        """Add rows, the first of them with this number; False if the server does not let us."""
        import pyarrow

        rows, written = [], set()
        for number, (key, metadata) in enumerate(results.items(), first):
            own = _packed({name: x for name, x in metadata.items() if name not in _COMMON})
            shared = {name: metadata[name] for name in _COMMON if name in metadata}
            common = json.dumps({"names": list(own), "said": shared})
            name = sha256(common.encode()).hexdigest()[:16]
            if name not in written:
                written.add(name)
                rows.append((number, "", name, common))
            rows.append((number, key, name, json.dumps(list(own.values()))))
        columns = zip(*rows, strict=True)
        table = pyarrow.table(dict(zip(_COLUMNS, map(list, columns), strict=True)))
        try:
            try:
                node = self._ainerd.create_appendable_table(table.schema, key=_KEY)
            except ClientError as error:
                if not is_conflict(error):
                    raise
                node = self._ainerd[_KEY]
            node.append_partition(0, table)
        except (httpx.HTTPError, KeyError):
            return False
        return True

    def drop(self) -> None:
        """Remove the table."""
        try:
            self._ainerd.delete_contents(_KEY, external_only=False)
        except httpx.HTTPError:
            pass  # none there, or not for us to remove: rows appended later count


def _read(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # NaN, as json writes it
        return json.loads(text)


def _packed(own: dict[str, Any]) -> dict[str, Any]:
    """With the point as text, if it is of numbers that float32 holds exactly."""
    point = own.get(_POINT)
    if not isinstance(point, list) or {*map(type, point)} != {float}:
        return own
    short = np.array(point, "<f4")
    if not np.array_equal(short, point):
        return own
    text = b64encode(short.tobytes()).decode()
    return {(_PACKED if name == _POINT else name): text if name == _POINT else x for name, x in own.items()}


def _unpacked(values: list[Any], names: list[str], said: dict[str, Any]) -> dict[str, Any]:
    """Metadata as they were: `said` in all results of the kind, and the values of the other names."""
    own = dict(zip(names, values, strict=True))
    if _PACKED in own:
        own[_POINT] = np.frombuffer(b64decode(own.pop(_PACKED)), "<f4").tolist()
    return own | said
