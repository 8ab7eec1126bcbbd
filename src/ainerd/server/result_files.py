"""Results as one file each, for a Tiled server: the route that writes them, and the adapter that reads them.

In Tiled's own way a result of twenty arrays and tables is twenty nodes and forty requests. Here it is one HDF5 file,
and one request. The file is plain: a dataset for each array, with the names of its dimensions in the
attribute ``dims``, and a group of columns for each table. A server without this module reads it like any HDF5 file.
"""

import asyncio
import math
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import anyio
import h5py
import msgpack
import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import TypeAdapter
from tiled.adapters.hdf5 import HDF5Adapter, HDF5ArrayAdapter
from tiled.adapters.table import TableAdapter
from tiled.storage import FileStorage
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Management
from tiled.utils import path_from_uri

from ainerd.results import decode_table
from ainerd.server._access import bounded_body
from ainerd.server.internals import Asset, Caller, DataSource, Specs, has_child

MOST_BYTES = 2**30  # of a request
MOST_KEYS, MOST_IN_ANSWER = 200, 2**26  # results in an answer, and bytes of their files and arrays
DEEPEST = 200  # levels of metadata: an answer of Tiled may have 254, including its own
MOST_ARRAY = 300_000_000  # bytes of a table in memory
HDF5, MSGPACK = "application/x-hdf5", "application/x-msgpack"
OURS = "AinerdResult"
_one_at_a_time = asyncio.Lock()  # for a check and the write after it
_tags = TypeAdapter(list[str])
_specs = TypeAdapter(Specs)  # `Spec` itself takes anything for a name, and no client could read it back
READ = ("read:metadata", "read:data")
_SCOPES = ("write:metadata", "write:data", "create:node")
router = APIRouter(prefix="/ainerd")


class ResultFileAdapter(HDF5Adapter):  # type: ignore[misc]
    """An HDF5 file for Tiled; the file of a result has named dimensions, and its groups are tables."""

    is_result = False

    @classmethod
    def from_catalog(cls, data_source: Any, node: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return the adapter of a node, as `tiled.adapters.hdf5.HDF5Adapter` does."""
        adapter = super().from_catalog(data_source, node, *args, **kwargs)
        if isinstance(adapter, cls):
            adapter.is_result = any(spec["name"] == OURS for spec in node.specs)
        return adapter

    def metadata(self) -> Any:
        """Return the metadata of the node; a file of ours has none at its root."""
        return self._metadata if self.is_result else super().metadata()

    def __getitem__(self, key: str) -> Any:
        child = super().__getitem__(key)
        if not self.is_result:
            return child
        if not isinstance(child, HDF5ArrayAdapter):
            with h5py.File(path_from_uri(self.uris[0])) as file:
                group = file[key]
                if _size(group) > MOST_ARRAY:
                    raise HTTPException(400, f"the table {key!r} is too large to be read at once")
                columns = {column: dataset[()] for column, dataset in group.items()}
            return TableAdapter.from_pandas(decode_table(columns), npartitions=1)
        if dims := child.metadata().get("dims"):
            child.structure().dims = tuple(dims.split(","))
        return child


@router.get("/contents/{path:path}")
async def contents(
    path: str,
    caller: Annotated[Caller, Depends()],
    keys: Annotated[list[str], Query(max_length=MOST_KEYS)],
    names: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Return [metadata, parts] of results below a campaign, with all arrays and tables or those with these names.

    An array is [dtype, shape, content, dims], a table has an array for each column. A coordinate, whose dimension has
    its own name, is always there. Null stands for a result whose nodes are to be read: it is no file of ours, or a
    large one. The answer ends after the result that makes it long.
    """
    results = await caller.node(path, "results", scopes=READ)
    answer: list[bytes | None] = []
    for key in keys:
        answer.append(await packed_result(caller, results, path, key, names))
        if sum(map(len, filter(None, answer))) > MOST_IN_ANSWER:
            break
    return Response(msgpack.packb(answer), media_type=MSGPACK)


async def packed_result(caller: Caller, results: Any, path: str, key: str, names: list[str] | None) -> bytes | None:
    """Return one result below a campaign, packed as in the answer of `contents`."""
    node = await caller.child(results, key, scopes=READ)
    if node is None or OURS not in {spec.name for spec in node.specs} or not node.node.data_sources:
        return None
    file = _file_path(results, [*filter(None, path.split("/")), "results", key])
    parts = await anyio.to_thread.run_sync(_parts, file, names)
    return None if parts is None else bytes(msgpack.packb([node.metadata(), parts]))


@router.put("/results/{path:path}")
async def put_result(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> dict[str, Any]:
    """Write the node of a result and its file.

    The body is JSON of ``x-metadata-length`` bytes, followed by the HDF5 file, if there is one. The JSON holds the
    ``key``, ``metadata`` and ``specs`` of the node, and the statuses ``unless``: a node with one of these stays. The
    answer holds the previous status, ``found`` (None: the node is new), and whether anything was ``written``.
    """
    parents = path.split("/")
    if parents[-2:] != ["ainerd", "results"] or {"", ".", ".."} & set(parents):
        raise HTTPException(422, f"{path[:300]!r} is not the path of results")
    parent = await caller.node(path, scopes=_SCOPES)
    size = request.headers.get("x-metadata-length", "")
    if not re.fullmatch("[0-9]{1,18}", size):
        raise HTTPException(422, f"no result in the body: {size[:40]!r} is not a number of bytes")
    body = memoryview(await bounded_body(request, MOST_BYTES))
    if len(body) < int(size):
        raise HTTPException(422, f"no result in the body: it ends {int(size) - len(body)} bytes too early")
    return await _put(caller, parent, parents, _upload(bytes(body[: int(size)])), body[int(size) :])


class _Upload(NamedTuple):
    """A result in the body of a request, without its file."""

    key: str
    metadata: dict[str, Any]
    specs: Any
    unless: list[str]
    tags: list[str]


def _upload(text: bytes) -> _Upload:
    """Return the result that the JSON describes; HTTPException if it is not valid."""
    try:
        head = _parse(text)
        key, metadata = head["key"], dict(head["metadata"])
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,200}", key):
            raise ValueError(f"{key[:300]!r} is not the key of a result")
        specs, tags = _specs.validate_python(head["specs"]), metadata.get("access_tags") or []
        return _Upload(key, metadata, specs, [*head["unless"]], _tags.validate_python(tags))
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(422, f"no result in the body: {type(error).__name__}: {error}"[:500]) from None


async def _put(caller: Caller, parent: Any, parents: list[str], new: _Upload, file: memoryview) -> dict[str, Any]:
    """Write one result with its file, unless its node has a status with which it stays."""
    target = _file_path(parent, [*parents, new.key])
    async with _one_at_a_time:
        exists = await has_child(parent, new.key)
        node = await caller.node(*parents, new.key, scopes=_SCOPES) if exists else None
        if node is not None and OURS not in {spec.name for spec in node.specs}:
            raise HTTPException(422, f"{new.key!r} is not a result and is not replaced")
        status = None if node is None else node.metadata().get("status")
        if status is not None and status in new.unless:
            return {"found": status, "written": False}
        is_emptied = not file and node is not None  # after its metadata, which no longer list its arrays
        if not is_emptied:
            await anyio.to_thread.run_sync(_write, target, file)
        if node is not None and not node.node.data_sources:  # created before the server had this route
            await node.delete(recursive=True, external_only=False)
            node = None
        if node is not None:
            await node.replace_metadata(metadata=new.metadata, specs=new.specs, drop_revision=True)
        else:
            asset = Asset(data_uri=f"file://localhost{target}", is_directory=False, parameter="data_uris", num=0)
            source = DataSource(
                structure_family=StructureFamily.container,
                structure=None,
                mimetype=HDF5,
                management=Management.external,
                assets=[asset],
            )
            await caller.create(parent, new.key, new.metadata, new.specs, [source], new.tags)
        if is_emptied:
            await anyio.to_thread.run_sync(_write, target, file)
    return {"found": status, "written": True}


def _parts(path: Path, names: list[str] | None) -> dict[str, Any] | None:
    """Return arrays and tables in the file of a result; None if that cannot be."""
    with suppress(TypeError, OSError):
        if os.path.getsize(path) <= MOST_IN_ANSWER:
            with h5py.File(path, "r") as file:
                wanted = {
                    name: item
                    for name, item in file.items()
                    if names is None or name in names or (names != [""] and item.attrs.get("dims") == name)
                }
                if sum(map(_size, wanted.values())) <= MOST_IN_ANSWER:
                    return {name: _packed(item) for name, item in wanted.items()}
    return None


def _size(item: h5py.Group | h5py.Dataset) -> int:
    """Return the bytes that an array or a table needs in memory: the file may be a thousand times smaller."""
    if isinstance(item, h5py.Group):
        return sum(map(_size, item.values()))
    return int(max(item.size, math.prod(item.chunks or ()))) * int(item.dtype.itemsize)


def _packed(item: h5py.Group | h5py.Dataset) -> dict[str, Any] | list[Any]:
    """Return a table as a mapping of columns, an array as a list; TypeError if its values are not plain bytes."""
    if isinstance(item, h5py.Group):
        return {name: _packed(column) for name, column in item.items()}
    if item.dtype.kind not in "biufcS":
        raise TypeError(f"{item.name} has values of {item.dtype}")
    return [item.dtype.str, item.shape, item[()].tobytes(), item.attrs.get("dims")]


def _parse(text: bytes) -> Any:
    """Return the JSON if every catalog can store it and Tiled can return it; else raise ValueError."""
    if rb"\u0000" in text:
        raise ValueError("PostgreSQL stores no text with NUL")
    value = orjson.loads(text)  # refuses NaN, halves of surrogate pairs, and integers of more than 64 bits
    level, depth = [value], 0
    while level := [item for parent in level for item in _items(parent)]:
        depth += 1
    if depth > DEEPEST:
        raise ValueError(f"metadata are nested more than {DEEPEST} levels deep")
    return value


def _items(value: Any) -> list[Any]:
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def _file_path(parent: Any, parts: list[str]) -> Path:
    """Return the path of the file of a node in the server's own storage."""
    if not getattr(parent, "writable", False):
        raise HTTPException(405, "nothing can be written there")
    for storage in parent.context.writable_storage.values():
        if isinstance(storage, FileStorage):
            folder = Path(path_from_uri(storage.uri))
            return folder.joinpath(*(quote(part, safe="") for part in parts)).with_suffix(".h5")
    raise HTTPException(405, "the server has no folder for files")


def _write(target: Path, file: memoryview) -> None:
    """Write a file in one step; HTTPException if it is not a plain HDF5 file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{uuid.uuid4().hex}.part")
    try:
        if file:
            part.write_bytes(file)
            if problem := _problem(part):
                raise HTTPException(422, f"no result in the body: {problem}")
        else:
            h5py.File(part, "w").close()
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _problem(path: Path) -> str | None:
    """Return why a file is refused: a link out of it would let a client read any file of the server."""
    try:
        with h5py.File(path, "r") as opened:
            groups: list[h5py.Group] = [opened]
            for group in groups:
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        return f"{name} is a link"
                    item = group[name]
                    if isinstance(item, h5py.Group) and group is opened:
                        groups.append(item)
                    elif not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                        return f"{name} is not a plain dataset"
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # from h5py, if the file is damaged
        return str(error)
    return None
