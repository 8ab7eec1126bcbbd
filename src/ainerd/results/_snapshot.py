"""Metadata of the results in one table, so that a first reading of thousands is a request or two."""

import json
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._nodes import is_conflict

_KEY = "snapshot"
_ARROW = "application/vnd.apache.arrow.file"
# The same in most results: written once, in a row without a key, with the names of what each result says itself.
_COMMON = ("parameters", "software", "model", "calibration", "units", "positions", "summary", "arrays")

Metadata = Mapping[str, Any]


class Snapshot:
    """The table ``ainerd/snapshot``: a cache, never the truth, made anew where it is missing.

    Rows are appended in the order of the results; where a key occurs twice, its last row counts. Who may not write
    reads without it.
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
            rows = list(zip(*(table[name].to_pylist() for name in ("key", "common", "said")), strict=True))
            common = {name: json.loads(said) for key, name, said in rows if not key}
            return {
                key: dict(zip(common[name]["names"], json.loads(said), strict=True)) | common[name]["said"]
                for key, name, said in rows
                if key
            }
        except (httpx.HTTPError, pyarrow.ArrowInvalid, KeyError, TypeError, ValueError):
            return {}

    def append(self, results: Mapping[str, Metadata]) -> bool:
        """Add rows; False if the server does not let us."""
        import pyarrow

        rows, written = [], set()
        for key, metadata in results.items():
            own = {name: x for name, x in metadata.items() if name not in _COMMON}
            shared = {name: metadata[name] for name in _COMMON if name in metadata}
            common = json.dumps({"names": list(own), "said": shared})
            name = sha256(common.encode()).hexdigest()[:16]
            if name not in written:
                written.add(name)
                rows.append(("", name, common))
            rows.append((key, name, json.dumps(list(own.values()))))
        columns = zip(*rows, strict=True)
        table = pyarrow.table(dict(zip(("key", "common", "said"), map(list, columns), strict=True)))
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
