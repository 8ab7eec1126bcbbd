"""Results as one file each, for a Tiled server: what takes them, and what reads them.

A result of twenty arrays and tables is twenty nodes, and forty requests, in Tiled's own way; as one HDF5 file it is one
node and two requests. The file is plain: a dataset for each array, with the names of its dimensions in the attribute
``dims``, and a group of columns for each table. A server without this module reads it as it reads any HDF5 file.
"""

import asyncio
import io
import os
import re
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import h5py
import orjson
import pandas as pd
from fastapi import APIRouter, Depends, HTTPException, Request, Security
from pydantic import TypeAdapter
from tiled.adapters.hdf5 import HDF5Adapter, HDF5ArrayAdapter
from tiled.adapters.table import TableAdapter
from tiled.server.authentication import (
    check_scopes,
    get_current_access_tags,
    get_current_principal,
    get_current_scopes,
)
from tiled.server.dependencies import get_entry, get_root_tree
from tiled.server.schemas import Asset, DataSource, Specs
from tiled.storage import FileStorage
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Management
from tiled.utils import path_from_uri

from ainerd.hdf5 import check_bytes
from ainerd.results import decode_table

MOST_BYTES = 2**30  # of a request
DEEPEST = 200  # metadata inside each other: an answer of Tiled may hold 254, its own among them
HDF5 = "application/x-hdf5"
OURS = "AinerdResult"
_one_at_a_time = asyncio.Lock()  # looking at what is there, and writing
_ONE_FILE: dict[str, Any] = {"is_directory": False, "parameter": "data_uris", "num": 0}
_specs = TypeAdapter(Specs)  # `Spec` itself takes anything for a name, and no client could read it back
_SCOPES = ["write:metadata", "write:data", "create:node"]
router = APIRouter(prefix="/ainerd")


class ResultFileAdapter(HDF5Adapter):
    """An HDF5 file for Tiled; that of a result with named dimensions, and with its tables as tables."""

    is_result = False

    @classmethod
    def from_catalog(cls, data_source: Any, node: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The adapter of a node, as of `tiled.adapters.hdf5.HDF5Adapter`."""
        adapter = super().from_catalog(data_source, node, *args, **kwargs)
        if isinstance(adapter, cls):
            adapter.is_result = any(spec["name"] == OURS for spec in node.specs)
        return adapter

    def metadata(self) -> Any:
        """Of the node alone: a file of ours says nothing at its root."""
        return self._metadata if self.is_result else super().metadata()

    def __getitem__(self, key: str) -> Any:
        child = super().__getitem__(key)
        if not self.is_result:
            return child
        if not isinstance(child, HDF5ArrayAdapter):
            return TableAdapter.from_pandas(_table(self.uris[0], key), npartitions=1)
        if dims := child.metadata().get("dims"):
            child.structure().dims = tuple(dims.split(","))
        return child


@router.put("/result/{path:path}")
async def put_result(
    request: Request,
    path: str,
    principal: Annotated[Any, Depends(get_current_principal)],
    access_tags: Annotated[Any, Depends(get_current_access_tags)],
    scopes: Annotated[Any, Depends(get_current_scopes)],
    root_tree: Annotated[Any, Depends(get_root_tree)],
    _: Annotated[Any, Security(check_scopes, scopes=_SCOPES)],
) -> dict[str, Any]:
    """Write the node of a result, and the file behind it, in one request.

    The body is JSON of ``x-metadata-length`` bytes, followed by an HDF5 file, or nothing for an empty one. The JSON has
    ``metadata`` of the node, its ``specs``, and ``unless``, statuses of a node that stays as it is. The answer says
    the status that was found (None: the node is new), and whether it was ``written``.
    """
    *parents, key = path.split("/")
    is_path = parents[-2:] == ["ainerd", "results"] and not {"", ".", ".."} & set(parents)
    if not is_path or not re.fullmatch(r"[0-9A-Za-z_-]{1,200}", key):
        raise HTTPException(422, f"{path[:300]!r} is no path of a result")
    body = await _body(request)
    try:
        length = int(request.headers["x-metadata-length"])
        if not 0 <= length <= len(body):
            raise ValueError(f"{length} bytes of metadata in a body of {len(body)}")
        said, file = _parsed(body[:length]), body[length:]
        metadata, specs, unless = dict(said["metadata"]), _specs.validate_python(said["specs"]), [*said["unless"]]
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(422, f"no result in the body: {type(error).__name__}: {error}"[:500]) from None
    policy = getattr(request.app.state, "access_policy", None)
    about: Any = (principal, access_tags, scopes, root_tree, {}, request.state.metrics, None, policy)
    parent = await get_entry("/".join(parents), _SCOPES, *about)
    target = _target(parent, [*parents, key])
    async with _one_at_a_time:
        try:
            node = await get_entry(path, _SCOPES, *about)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            node = None
        if node is not None and OURS not in {spec.name for spec in node.specs}:
            raise HTTPException(422, f"{path!r} is no result: it stays as it is")
        found = None if node is None else node.metadata().get("status")
        if found is not None and found in unless:
            return {"found": found, "written": False}
        await anyio.to_thread.run_sync(_write, target, file)
        if node is not None and not node.node.data_sources:  # begun by an earlier version, with nodes of its own
            await node.delete(recursive=True, external_only=False)
            node = None
        if node is not None:
            await node.replace_metadata(metadata=metadata, specs=specs, drop_revision=True)
            return {"found": found, "written": True}
        tags: Any = None
        if policy is not None and hasattr(policy, "init_node"):
            _, tags = await policy.init_node(principal, access_tags, scopes, access_tags=None)
        source = DataSource(
            structure_family=StructureFamily.container,
            structure=None,
            mimetype=HDF5,
            management=Management.external,
            parameters={},
            assets=[Asset(data_uri=f"file://localhost{target}", **_ONE_FILE)],
        )
        await parent.create_node(
            structure_family=StructureFamily.container,
            metadata=metadata,
            key=key,
            specs=specs,
            data_sources=[source],
            access_tags=tags,
        )
    return {"found": found, "written": True}


def count_what_files_hold() -> None:
    """Let the server of this process say how many arrays are in a file, where Tiled 0.2.20 says none."""
    from tiled.catalog.adapter import CatalogContainerAdapter

    of_nodes, at_least = CatalogContainerAdapter.exact_len, CatalogContainerAdapter.lbound_len

    async def exact_len(self: Any) -> Any:
        return len(await self.get_adapter()) if self.node.data_sources else await of_nodes(self)

    async def lbound_len(self: Any, threshold: int) -> Any:
        return len(await self.get_adapter()) if self.node.data_sources else await at_least(self, threshold)

    CatalogContainerAdapter.exact_len, CatalogContainerAdapter.lbound_len = exact_len, lbound_len


async def _body(request: Request) -> bytes:
    """The body of a request, unless it is longer than anything that is read back."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise HTTPException(413, f"a result has at most {MOST_BYTES} bytes")
    return b"".join(parts)


def _parsed(text: bytes) -> Any:
    """JSON that every catalogue holds and Tiled can give back; ValueError of any other."""
    if rb"\u0000" in text:
        raise ValueError("PostgreSQL takes no text with NUL")
    said = orjson.loads(text)  # refuses NaN, halves of surrogate pairs, and integers of more than 64 bits
    if _depth(said) > DEEPEST:
        raise ValueError(f"metadata more than {DEEPEST} deep inside each other")
    return said


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [item for each in level for item in _items(each)]:
        depth += 1
    return depth


def _items(value: Any) -> list[Any]:
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def _target(parent: Any, parts: list[str]) -> Path:
    """Where the file of a node lies: in the server's own storage, as its path says."""
    if not getattr(parent, "writable", False):
        raise HTTPException(405, "nothing can be written there")
    for storage in parent.context.writable_storage.values():
        if isinstance(storage, FileStorage):
            folder = Path(path_from_uri(storage.uri))
            return folder.joinpath(*(quote(part, safe="") for part in parts)).with_suffix(".h5")
    raise HTTPException(405, "the server has no folder for files")


def _write(target: Path, file: bytes) -> None:
    """Put a file in place at once; HTTPException if it is no plain HDF5 file."""
    if not file:
        buffer = io.BytesIO()
        h5py.File(buffer, "w").close()
        file = buffer.getvalue()
    elif wrong := _wrong(file):
        raise HTTPException(422, f"no result in the body: {wrong}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(file)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _wrong(file: bytes) -> str | None:
    """Why a file is not taken; what leads out of it would make the server read anything."""
    try:
        check_bytes(file)
        with h5py.File(io.BytesIO(file), "r") as opened:
            groups: list[h5py.Group] = [opened]
            for group in groups:
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        return f"{name} is a link"
                    found = group[name]
                    if isinstance(found, h5py.Group) and group is opened:
                        groups.append(found)
                    elif not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
                        return f"{name} is no plain dataset"
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # what h5py raises of one that is damaged
        return str(error)
    return None


def _table(uri: str, name: str) -> pd.DataFrame:
    with h5py.File(path_from_uri(uri), "r") as file:
        columns = {column: dataset[()] for column, dataset in file[name].items()}
    return decode_table(columns)
