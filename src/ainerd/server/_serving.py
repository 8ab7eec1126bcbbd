"""Serve a directory with Tiled in this process, with our routes, and with corrections to Tiled 0.2.20.

All assignments over names of Tiled, FastAPI and zarr are in this file.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urljoin

from ainerd.server._archive import relocate


@contextmanager
def serving(directory: Path, **options: Any) -> Iterator[Any]:
    """Run a server of `directory` that takes results as files; `options` are those of `SimpleTiledServer`."""
    from tiled.server import SimpleTiledServer  # not in an analyst's install

    from ainerd.server import pages
    from ainerd.server.downloads import offer_downloads
    from ainerd.server.result_files import HDF5, ResultFileAdapter, router

    catalog = directory / "catalog.db"
    relocate(directory)
    _avoid_repeated_work(catalog, adapters_by_mimetype={HDF5: ResultFileAdapter})
    _replace_orphans(catalog)
    _count_file_contents()
    _find_nodes_at_once()
    offer_downloads()
    os.environ["TILED_UI_SETTINGS"] = str(pages.write_ui_settings(directory / "ui.yml"))
    with SimpleTiledServer(directory, **options) as server:
        server.app.include_router(router, prefix="/custom")
        server.app.include_router(pages.router, prefix="/custom")
        yield server


def _avoid_repeated_work(catalog: Path, **options: Any) -> None:
    """Make a start and most requests faster; Tiled opens the catalog with these `options`, too.

    Tiled starts another interpreter at each start to create the tables of the catalog. Because it overrides one
    dependency, FastAPI inspects all of them again at each request. To find a node, Tiled makes new aliases of its
    largest table, and asks for access tags, which a server of one user does not have.
    """
    import tiled.catalog.adapter
    from fastapi.dependencies import utils
    from sqlalchemy import select
    from sqlalchemy.orm import aliased, noload
    from tiled.catalog import orm
    from tiled.commandline._catalog import init

    init(f"sqlite:///{catalog}", if_not_exists=True)
    with closing(sqlite3.connect(catalog, timeout=30)) as connection, connection:  # for what changed since a time
        connection.execute("CREATE INDEX IF NOT EXISTS nodes_time_updated ON nodes (time_updated)")
    from_uri, get_dependant, known = tiled.catalog.from_uri, utils.get_dependant, {}

    def inspect_once(**arguments: Any) -> Any:
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in arguments.items())
        if key not in known:
            known[key] = get_dependant(**arguments)
        return known[key]

    @cache
    def ancestors(depth: int) -> list[Any]:
        return [aliased(orm.Node) for _ in range(depth)]

    def node_from_segments(segments: list[str], root_id: int = 0) -> Any:
        nodes = [*ancestors(len(segments)), orm.Node]
        statement = select(orm.Node).select_from(nodes[0]).where(nodes[0].id == root_id)
        for (parent, child), key in zip(pairwise(nodes), segments, strict=True):
            statement = statement.join(child, child.parent == parent.id).where(child.key == key)
        return statement.options(noload(orm.Node.access_tags))

    tiled.catalog.adapter.node_from_segments = node_from_segments
    tiled.catalog.from_uri = lambda *uri, **own: from_uri(*uri, **own | options | {"init_if_not_exists": False})
    utils.get_dependant = inspect_once


def _replace_orphans(catalog: Path) -> None:
    """Let the server create an array where a folder without a catalog entry is left from before it started.

    A server that is killed while it creates an array leaves such a folder, and Tiled would refuse the array for ever.
    """
    from tiled.adapters.zarr import ZarrArrayAdapter
    from tiled.utils import path_from_uri
    from zarr.errors import ContainsArrayError

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
    from tiled.catalog.adapter import CatalogContainerAdapter

    exact_len, lbound_len = CatalogContainerAdapter.exact_len, CatalogContainerAdapter.lbound_len

    async def count(self: Any) -> Any:
        return len(await self.get_adapter()) if self.node.data_sources else await exact_len(self)

    async def count_at_least(self: Any, threshold: int) -> Any:
        return len(await self.get_adapter()) if self.node.data_sources else await lbound_len(self, threshold)

    CatalogContainerAdapter.exact_len, CatalogContainerAdapter.lbound_len = count, count_at_least


def _find_nodes_at_once() -> None:
    """Find a node by its whole path, in one query instead of one for each part.

    Tiled looks at each part because of access policies, of which this server has none. Errors are those of Tiled.
    """
    from tiled.server import dependencies, router
    from tiled.server.core import NoEntry
    from tiled.utils import BrokenLink

    from ainerd.server import _access

    part_by_part = dependencies.get_entry
    arguments = signature(part_by_part)

    async def get_entry(*args: Any, **options: Any) -> Any:
        given = arguments.bind(*args, **options).arguments
        root, families = given["root_tree"], given.get("structure_families")
        if given.get("access_policy") is None and hasattr(root, "lookup_adapter"):
            with suppress(NoEntry, BrokenLink):
                node = await root.lookup_adapter([part for part in given["path"].split("/") if part])
                if families is None or node.structure_family in families:
                    return node
        return await part_by_part(*args, **options)

    router.get_entry = _access.get_entry = get_entry
