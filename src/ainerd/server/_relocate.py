"""Correct the file addresses of a catalog whose folder was copied or moved."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote


def relocate(directory: Path) -> int:
    """Make the catalog of a copied or moved directory refer to its own files; return how many addresses changed.

    The file ``home`` holds the directory that the addresses are for.
    """
    directory, home_file, catalog = directory.resolve(), directory / "home", directory / "catalog.db"
    changed = 0
    if catalog.exists() and home_file.exists() and (home := Path(home_file.read_text())) != directory:
        with closing(sqlite3.connect(catalog, timeout=30)) as connection, connection:
            changed = _move(connection, home, directory)
    if changed or not home_file.exists():
        home_file.write_text(str(directory))
    return changed


def _move(connection: sqlite3.Connection, home: Path, directory: Path) -> int:
    tables = "duckdb://localhost/{}/storage.duckdb"
    new = {tables.format(home): tables.format(directory)}
    for (uri,) in connection.execute("SELECT DISTINCT data_uri FROM assets WHERE data_uri IS NOT NULL").fetchall():
        text = uri.removeprefix("file://localhost")
        for path in [Path(text), Path(unquote(text))]:
            if path.is_relative_to(home / "data") and (target := directory / path.relative_to(home)).exists():
                new[uri] = f"file://localhost{target}"  # as Tiled writes it: a space stays a space
                break
    with closing(connection.cursor()) as cursor:
        cursor.executemany("UPDATE assets SET data_uri = ? WHERE data_uri = ?", [(n, old) for old, n in new.items()])
        return cursor.rowcount
