"""Results as one HDF5 file each, registered with a Tiled server that can read their folder.

A result is one node with the file as its external data: it takes one request to begin, and two to complete. The file is
never written in place: a reader sees the former or the new one, whole.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
from tiled.client.container import Container
from tiled.utils import ensure_uri

from ainerd.results._errors import Gone, TiledError
from ainerd.results._files import Part, bundle
from ainerd.results._nodes import SPEC_VERSION, request, shared_tags
from ainerd.results._records import ResultRecord

HDF5 = "application/x-hdf5"
ATTEMPTS, QUICK_S = 2, 10.0  # of a request, and its time limit
REGISTERS_NOTHING = (401, 403, 404, 405, 415)  # answers of a server to a key without the scope, or without the route
SPECS = [{"name": "AinerdResult", "version": SPEC_VERSION}]


class Written(NamedTuple):
    """The former status of a node, None if it is new, and whether anything was written."""

    former: str | None
    written: bool


class NoFiles(Exception):
    """The server registers or reads no files of this folder."""


class _Found(NamedTuple):
    """The status of the node of a result, and the addresses of its files."""

    status: str
    files: list[str]


class ResultFiles:
    """The files of results in a folder.

    Parameters
    ----------
    results : tiled.client.container.Container
        ``client["ainerd/results"]``.
    folder : path
        A folder that this process can write and the server can read, by the same path.
    """

    def __init__(self, results: Container, folder: Path) -> None:
        self._results = results
        self._folder = folder.absolute().joinpath(*(quote(part, safe="") for part in results.path_parts[:-2]))
        self._is_readable = False  # until the server has read a file

    def write(self, record: ResultRecord, parts: Mapping[str, Part] | None, unless: Sequence[str]) -> Written:
        """Write a result with its file, unless it has one of these statuses.

        Raises `NoFiles` if the key lacks the scope ``register``, or the server cannot read the folder.
        """
        path = self._folder / f"{record.key}.h5"
        found = None if record.status == "computing" else self._find(record.key)
        if found is None:
            is_left = path.exists()  # of a node that was deleted
            if not is_left:
                _replace(path, _nothing())  # a registered file that is absent is an error of the server
            if self._register(record, path):
                if is_left or parts is not None:
                    _replace(path, _nothing() if parts is None else bundle(parts, record.units))
                self._check_readable(record.key)
                return Written(None, True)
            found = self._find(record.key)
        if found is None:
            raise KeyError(record.key)
        if found.status in unless:
            return Written(found.status, False)
        if found.files != [ensure_uri(path)]:  # of another folder, or nodes
            self._delete(record.key)
            return self.write(record, parts, unless)
        if parts is not None or not record.arrays:
            _replace(path, _nothing() if parts is None else bundle(parts, record.units))
        content = {"metadata": record.metadata(), "specs": SPECS}
        self._request("PUT", self._url("metadata", record.key), content, params={"drop_revision": True})
        return Written(found.status, True)

    def _register(self, record: ResultRecord, path: Path) -> bool:
        """Create the node of a result; False if it exists."""
        asset = {"data_uri": ensure_uri(path), "is_directory": False, "parameter": "data_uris", "num": 0}
        family = {"structure_family": "container"}
        source = family | {"structure": None, "mimetype": HDF5, "management": "external", "assets": [asset]}
        tags = shared_tags(record.access_tags or ())
        node = family | {"id": record.key, "metadata": record.metadata(), "specs": SPECS, "access_tags": tags}
        try:
            self._request("POST", self._url("register"), node | {"data_sources": [source]})
        except TiledError as error:
            if error.status == httpx.codes.CONFLICT:
                return False
            if self._is_readable or error.status not in REGISTERS_NOTHING:
                raise
            raise NoFiles(f"the key lacks the scope register ({error})") from None
        return True

    def _check_readable(self, key: str) -> None:
        """Let the server read the file of the first new result; delete its node if that is impossible."""
        if self._is_readable:
            return
        try:
            self._request("GET", self._url("search", key), params={"fields": "", "page[limit]": 1})
        except TiledError as error:
            if error.status != httpx.codes.INTERNAL_SERVER_ERROR:
                raise
            self._delete(key)
            raise NoFiles(f"the server cannot read {self._folder}") from None
        self._is_readable = True

    def _find(self, key: str) -> _Found | None:
        params = {"fields": ["metadata", "data_sources"], "include_data_sources": True}
        try:
            answer = self._request("GET", self._url("metadata", key), params=params)
        except Gone:
            return None
        node = answer.json()["data"]["attributes"]
        files = [asset["data_uri"] for source in node["data_sources"] or () for asset in source["assets"]]
        return _Found(str(node["metadata"].get("status")), files)

    def _delete(self, key: str) -> None:
        """Delete a node, with its arrays if these are nodes; a file stays."""
        params = {"recursive": True, "external_only": False}
        with suppress(Gone):  # another process has deleted it
            self._request("DELETE", self._url("metadata", key), params=params)

    def _url(self, kind: str, *keys: str) -> str:
        return "/".join((self._results.uri.replace("/metadata/", f"/{kind}/", 1).rstrip("/"), *keys))

    def _request(self, method: str, url: str, body: Any = None, **options: Any) -> httpx.Response:
        return request(self._results, method, url, body, attempts=ATTEMPTS, timeout=QUICK_S, **options)


@cache
def _nothing() -> bytes:
    return bundle({}, {})


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
