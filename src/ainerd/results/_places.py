"""Results in Tiled, with their arrays in one file that is registered with the server, or each as a node.

A file takes one request to begin, and two to complete, and the server must see its folder. It is never written in
place: a reader sees the former or the new one, whole. A node for each array takes two requests for each.
"""

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pandas as pd
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management
from tiled.utils import ensure_uri

from ainerd.results._errors import Gone, TiledError, translated, within
from ainerd.results._files import Content, bundle
from ainerd.results._nodes import create_node, is_conflict, request, result_node, tags_of
from ainerd.results._records import ResultRecord

logger = logging.getLogger(__name__)

ATTEMPTS, QUICK_S = 2, 10.0  # of a request, and its time limit
MOST_KEPT = 100  # nodes that were just written
REPEATS = 5  # of a write at the same time as that of another process
REGISTERS_NOTHING = (401, 403, 404, 405, 415)  # answers of a server to a key without the scope, or without the route
Contents = Mapping[str, Content]


class Places:
    """Results below a container, in files if there is a folder that the server can read, else as nodes.

    Files are in `folder`, which this process can write; for the server its path is `seen_as`.
    """

    def __init__(self, results: Container, folder: Path | None, seen_as: Path | None) -> None:
        self._container, self._last = results, dict[str, Container]()
        self._folder: Path | None = None
        self._is_readable = folder is None  # else once the server has read a file
        if folder is not None:
            place = [quote(part, safe="") for part in results.path_parts[:-2]]
            self._folder, self._seen_as = (path.absolute().joinpath(*place) for path in (folder, seen_as or folder))

    @cached_property
    def _results(self) -> Container:
        return self._container.include_data_sources()

    @translated()
    def write(self, record: ResultRecord, parts: Contents | None, unless: Sequence[str]) -> str | None:
        """Write a result with its arrays and tables, unless it has one of these statuses.

        Returns its former status; None if it is new.
        """
        try:
            return self._write(record, parts, unless)
        except OSError as error:
            if self._folder is None:
                raise
            logger.warning("each array of a result is a node from now on, which takes ten times as long: %s", error)
        self._folder, self._is_readable = None, True
        return self._write(record, parts, unless)

    def _write(self, record: ResultRecord, parts: Contents | None, unless: Sequence[str]) -> str | None:
        key, sources = record.key, self._sources(record.key)
        with within(self._container, QUICK_S, ATTEMPTS):
            node, is_new = self._begun(record, sources)
        former = None if is_new else str(node.metadata.get("status"))
        if former in unless:
            return former
        if not is_new and _files_of(node.data_sources() or ()) != _files_of(sources):  # it was begun in another place
            with suppress(Gone), translated():  # another process has deleted it
                self._results.delete_contents(key, recursive=True, external_only=False)
            return self._write(record, parts, unless)
        self._put(node, record, parts)
        if not is_new or record.status != "computing":
            with within(node, QUICK_S, ATTEMPTS):
                node.replace_metadata(record.metadata(), drop_revision=True)
        self._last[key] = node
        for old in list(self._last)[:-MOST_KEPT]:
            self._last.pop(old, None)
        return former

    def node(self, key: str) -> Container:
        """Return the node of a result, without a request if it was just written."""
        node = self._last.pop(key, None)
        return result_node(self._container, key) if node is None else node

    def _sources(self, key: str) -> list[DataSource[None]]:
        """Return the file of a result, if it has one. One that is absent would be an error of the server."""
        if self._folder is None:
            return []
        if not (path := self._folder / f"{key}.h5").exists():
            _replace(path, {}, {})
        uri, family = ensure_uri(self._seen_as / path.name), StructureFamily.container
        assets = [Asset(data_uri=uri, is_directory=False, parameter="data_uris", num=0)]
        return [DataSource(family, None, mimetype="application/x-hdf5", management=Management.external, assets=assets)]

    def _begun(self, record: ResultRecord, sources: Sequence[DataSource[None]]) -> tuple[Container, bool]:
        """Return the node of a result, and whether it is new; OSError if the server registers no files."""
        if record.status != "computing":  # it probably exists
            with suppress(Gone), translated():
                return self._results[record.key], False
        metadata, tags = record.metadata() | {"status": "computing"}, record.access_tags or []
        try:
            return create_node(self._results, record.key, metadata, "AinerdResult", tags=tags, sources=sources)
        except TiledError as error:
            if not self._is_readable and error.status in REGISTERS_NOTHING:
                raise OSError(f"the key lacks the scope register ({error})") from None
            raise

    def _put(self, node: Container, record: ResultRecord, parts: Contents | None) -> None:
        """Write arrays and tables; without any, remove those of an earlier attempt.

        Raises OSError if the server cannot read the first file.
        """
        if self._folder is None:
            if parts is not None:
                write_parts(node, parts)
            elif record.status != "computing":
                try:
                    node.delete_contents(external_only=False)
                except httpx.HTTPStatusError as error:  # a server that was killed may miss the files of these arrays
                    logger.warning("the arrays in result %s cannot be removed: %s", record.key, error)
            return
        if parts is not None or not record.arrays:
            _replace(self._folder / f"{record.key}.h5", parts or {}, record.units)
        if not self._is_readable:
            try:  # the client would repeat this for 45 s
                request(node, node.item["links"]["search"], params={"fields": "", "page[limit]": 1})
            except TiledError as error:
                if error.status == httpx.codes.INTERNAL_SERVER_ERROR:
                    raise OSError(f"the server cannot read {self._seen_as}") from None
                raise
            self._is_readable = True


def write_parts(node: Container, parts: Contents) -> None:
    """Write each array and table as a node, in place of the remains of an earlier attempt."""
    tags = tags_of(node)
    for name, part in parts.items():
        for attempt in range(REPEATS):  # another process may write the same at the same time
            try:
                if isinstance(part.values, pd.DataFrame):
                    node.write_table(part.values, key=name, access_tags=tags)
                else:
                    node.write_array(np.ascontiguousarray(part.values), key=name, dims=part.dims, access_tags=tags)
                break
            except ClientError as error:
                if not is_conflict(error) or attempt + 1 == REPEATS:
                    raise
            with suppress(KeyError):
                node.delete_contents(name, external_only=False)


def _files_of(sources: Sequence[DataSource[None]]) -> list[str]:
    return [asset.data_uri for source in sources for asset in source.assets]


def _replace(path: Path, parts: Contents, units: Mapping[str, str]) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(bundle(parts, units))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
