"""What ainerd changes in Tiled, FastAPI and zarr for the servers of this process: faults, speed, and checks of files.

The versions that this was checked against are in `ainerd.server.internals`.
"""

import math
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cache
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urljoin, urlparse

import tifffile
import tiled.adapters.hdf5
import tiled.catalog
import tiled.catalog.adapter
import tiled.storage
from fastapi import HTTPException
from fastapi.dependencies import utils
from sqlalchemy import select
from sqlalchemy.orm import aliased, noload
from sqlalchemy.pool import QueuePool
from tiled.adapters.array import ArrayAdapter
from tiled.adapters.jpeg import JPEGSequenceAdapter
from tiled.adapters.sequence import FileSequenceAdapter
from tiled.adapters.tiff import TiffSequenceAdapter
from tiled.adapters.zarr import ZarrArrayAdapter
from tiled.catalog.adapter import STORAGE_ADAPTERS_BY_MIMETYPE, CatalogContainerAdapter, CatalogNodeAdapter
from tiled.catalog.orm import Node
from tiled.commandline._catalog import init
from tiled.config import Authentication, StreamingCacheConfig
from tiled.ndslice import NDSlice
from tiled.server import router
from tiled.server.app import build_app
from tiled.storage import FileStorage, get_storage
from tiled.utils import ensure_uri, path_from_uri
from zarr.errors import ContainsArrayError

from ainerd.documents import may_read
from ainerd.server.internals import get_entry

LOCK_S = 30.0  # longest wait of a write for another one; after SQLite's own 5 s a slow disk made it fail
MOST_ARRAY = 300_000_000  # bytes of an array in memory: by default Tiled puts no more into a response
OWN_FORMATS = frozenset(STORAGE_ADAPTERS_BY_MIMETYPE) - {"text/csv"}  # folders of files, which lead to each other
# Of the other formats some follow links, take names for patterns or unpack without a limit. Nothing opens the last one.
READ_FORMATS = OWN_FORMATS | {
    "application/x-hdf5", "multipart/related;type=image/tiff", "application/octet-stream",
}  # fmt: skip


def build(
    directory: Path, api_key: str, readable_storage: Iterable[str | Path] = (), **options: Any
) -> tuple[Any, Callable[[], None]]:
    """Return the app of Tiled for one directory and one key, and a function that closes its tables.

    `options` are those of a catalog.
    """
    (directory / "data").mkdir(exist_ok=True)
    tables = ensure_uri(f"duckdb:///{directory / 'storage.duckdb'}")
    catalog = tiled.catalog.from_uri(
        f"sqlite:///{directory / 'catalog.db'}?timeout={LOCK_S:g}",
        writable_storage=[directory / "data", tables],
        readable_storage=[*readable_storage],
        cache_config=StreamingCacheConfig(uri="memory").model_dump(),
        **options,
    )
    app = build_app(catalog, Authentication(single_user_api_key=api_key, allow_anonymous_access=False))
    return app, _one_at_a_time(get_storage(tables)).dispose


def _one_at_a_time(tables: Any) -> Any:
    """Let one request at a time use the connection to the tables, and return them.

    Tiled 0.2.20 gives one connection of DuckDB to all requests at once. Requests in several threads then fail, wait for
    each other for ever, or end the process.
    """
    tables.__dict__["_connection_pool"] = QueuePool(
        lambda: tables._adbc_connection.adbc_clone(),  # noqa: SLF001
        pool_size=1,
        max_overflow=0,
        timeout=LOCK_S,
    )
    return tables


def inspect_dependencies_once() -> None:
    """Make requests faster: because Tiled overrides one dependency, FastAPI inspects all of them at each request."""
    utils.get_dependant = _inspect_once


def _inspect_once(**arguments: Any) -> Any:
    key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in arguments.items())
    if key not in _dependants:
        _dependants[key] = _get_dependant(**arguments)
    return _dependants[key]


_get_dependant, _dependants = utils.get_dependant, dict[Any, Any]()


def correct(catalog: Path) -> None:
    """Correct Tiled for the servers that this process starts."""
    _avoid_repeated_work(catalog)
    _replace_orphans(catalog)
    _count_file_contents()
    router.get_entry = get_entry


def _avoid_repeated_work(catalog: Path) -> None:
    """Make a start and most requests faster.

    Tiled starts another interpreter at each start to create the tables of the catalog. To find a node, it makes new
    aliases of its largest table, and asks for access tags, which a server of one user does not have.
    """
    init(f"sqlite:///{catalog}", if_not_exists=True)
    with closing(sqlite3.connect(catalog, timeout=30)) as connection, connection:  # for nodes that changed since a time
        connection.execute("CREATE INDEX IF NOT EXISTS nodes_time_updated ON nodes (time_updated)")

    @cache
    def ancestors(depth: int) -> list[Any]:
        return [aliased(Node) for _ in range(depth)]

    def node_from_segments(segments: list[str], root_id: int = 0) -> Any:
        nodes = [*ancestors(len(segments)), Node]
        statement = select(Node).select_from(nodes[0]).where(nodes[0].id == root_id)
        for (parent, child), key in zip(pairwise(nodes), segments, strict=True):
            statement = statement.join(child, child.parent == parent.id).where(child.key == key)
        return statement.options(noload(Node.access_tags))

    tiled.catalog.adapter.node_from_segments = node_from_segments


def _replace_orphans(catalog: Path) -> None:
    """Let the server create an array where a folder without a catalog entry is left from before it started.

    A server that is killed while it creates an array leaves such a folder, and Tiled would refuse the array for ever.
    """
    started, create = time.time(), ZarrArrayAdapter.init_storage

    def init_storage(storage: Any, data_source: Any, path_parts: list[str]) -> Any:
        try:
            return create(storage, data_source, path_parts)
        except ContainsArrayError:
            uri = urljoin(storage.uri + "/", "/".join(quote_plus(part) for part in path_parts))
            folder = Path(path_from_uri(uri))
            with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as connection:
                known = connection.execute("SELECT 1 FROM assets WHERE data_uri = ?", (uri,)).fetchone()
            if known or folder.stat().st_mtime >= started:
                raise
            shutil.rmtree(folder)
            return create(storage, data_source, path_parts)

    ZarrArrayAdapter.init_storage = init_storage


def _count_file_contents() -> None:
    """Let the server count the arrays in an HDF5 file; Tiled 0.2.20 counts none."""

    def counted(count: Any) -> Any:
        async def length(self: Any, **threshold: int) -> Any:
            return len(await self.get_adapter()) if self.node.data_sources else await count(self, **threshold)

        return length

    CatalogContainerAdapter.exact_len = counted(CatalogContainerAdapter.exact_len)
    CatalogContainerAdapter.lbound_len = counted(CatalogContainerAdapter.lbound_len)


def readable_folders() -> list[Path]:
    """Return the folders that the servers of this process may read."""
    return [each.path for each in [*tiled.storage._STORAGE.values()] if isinstance(each, FileStorage)]  # noqa: SLF001


def guard_files(open_hdf5: Any) -> None:
    """Let the servers of this process check each file before they open it, and the size of an array before it is read.

    `open_hdf5` takes the place of Tiled's function.
    """

    def check_address(self: Any, uri: str, folders: Any = None) -> None:
        scheme, path = urlparse(uri).scheme, Path(urlparse(uri).path)
        if scheme == "postgresql" or any(uri == each.uri for each in self.context.writable_storage.values()):
            return  # a database of the server
        storage = self.context.readable_storage if folders is None else folders
        roots = [each.path.resolve() for each in storage.values() if isinstance(each, FileStorage)]
        is_pipe = path.exists() and not (path.is_file() or path.is_dir())  # it would never answer
        if scheme != "file" or not may_read(path.resolve(), roots) or is_pipe:
            raise HTTPException(410, f"{uri[:300]!r} is no file in the folders that this server may read")

    async def checked_adapter(self: Any) -> Any:
        for source in await self.data_sources(include_assets=True):
            for asset in source.assets:
                if source.mimetype not in READ_FORMATS:
                    raise HTTPException(410, f"this server does not read files of {source.mimetype}")
                is_own = source.mimetype in OWN_FORMATS
                check_address(self, asset.data_uri, self.context.writable_storage if is_own else None)
        return await get_adapter(self)

    async def no_file(self: Any, number: int) -> None:
        raise HTTPException(403, "this server sends no files as they are: read the data")

    def bounded(read: Any, has_block: bool) -> Any:
        def checked(self: Any, *args: Any, **options: Any) -> Any:
            given = signature(read).bind(self, *args, **options).arguments
            structure, part = self.structure(), given.get("slice")
            shape = structure.shape
            if has_block:
                shape = given["block"].slice_from_chunks(structure.chunks).shape_after_slice(shape)
            if part is not None:
                shape = NDSlice(*part if isinstance(part, tuple) else (part,)).shape_after_slice(shape)
            if math.prod(shape) * structure.data_type.to_numpy_dtype().itemsize > MOST_ARRAY:
                raise HTTPException(400, f"an array of shape {shape} is too large: use slicing ('?slice=...')")
            return read(self, *args, **options)

        return checked

    def read_tiff(self: Any, path: Any) -> Any:
        with tifffile.TiffFile(path, _multifile=False) as file:  # its metadata may name other files
            if file.series[0].nbytes > MOST_ARRAY:
                raise HTTPException(410, f"{Path(path).name} unpacks to {file.series[0].nbytes} bytes")
            return file.asarray()

    get_adapter = CatalogNodeAdapter.get_adapter
    CatalogNodeAdapter._ensure_uri_within_readable_storage = check_address  # noqa: SLF001
    CatalogNodeAdapter.get_adapter = checked_adapter
    CatalogNodeAdapter.asset_by_id = no_file
    tiled.adapters.hdf5.h5open = open_hdf5
    for adapter in (ArrayAdapter, ZarrArrayAdapter, FileSequenceAdapter):
        adapter.read, adapter.read_block = bounded(adapter.read, False), bounded(adapter.read_block, True)
    TiffSequenceAdapter._read_one = read_tiff  # noqa: SLF001
    TiffSequenceAdapter._load_from_files = JPEGSequenceAdapter._load_from_files  # noqa: SLF001
