"""A catalogue that was copied or moved: what it says of its own files is put right before it is served."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

OURS = re.compile(r"file://localhost(/.*?)/data/(?:ainerd|raw)/")  # where an earlier version served
TABLES = re.compile(r"duckdb://localhost/(/.*)/storage\.duckdb")


def settle(directory: Path) -> int:
    """Have the catalogue of a directory find its files there, wherever it was made; how many addresses changed.

    The file ``home`` says for which directory they are.
    """
    directory, note, catalog = directory.resolve(), directory / "home", directory / "catalog.db"
    changed = 0
    if catalog.exists():
        with closing(sqlite3.connect(catalog, timeout=30)) as connection, connection:
            home = Path(note.read_text()) if note.exists() else _home_of(connection)
            if home is not None and home != directory:
                changed = _move(connection, home, directory)
    if changed or not note.exists():
        note.write_text(str(directory))
    return changed


def rewrite(connection: sqlite3.Connection, new: dict[str, str]) -> int:
    """Give files other addresses, old ones to new ones; how many were changed."""
    with closing(connection.cursor()) as cursor:
        cursor.executemany("UPDATE assets SET data_uri = ? WHERE data_uri = ?", [(n, old) for old, n in new.items()])
        return cursor.rowcount


def addresses(connection: sqlite3.Connection) -> list[str]:
    """Of all files and databases that the catalogue names."""
    found = connection.execute("SELECT DISTINCT data_uri FROM assets WHERE data_uri IS NOT NULL")
    return [uri for (uri,) in found]


def address(path: Path) -> str:
    """Of a file, as Tiled writes and reads it: a space stays a space."""
    return f"file://localhost{path}"


def path_of(uri: str) -> Path | None:
    """Of an address, also of one that others wrote, with %20 for a space; None if it is no file of this machine."""
    found = re.match(r"file:(?://localhost|//)?(/.*)", uri)
    if found is None:
        return None
    path = Path(found[1])
    return path if "%" not in found[1] or path.exists() else Path(unquote(found[1]))


def _move(connection: sqlite3.Connection, home: Path, directory: Path) -> int:
    tables = f"duckdb://localhost/{home}/storage.duckdb"
    new = {tables: f"duckdb://localhost/{directory}/storage.duckdb"}
    for uri in addresses(connection):
        text = uri.removeprefix("file://localhost")
        for path in (Path(text), Path(unquote(text))):
            if path.is_relative_to(home / "data") and (there := directory / path.relative_to(home)).exists():
                new[uri] = address(there)
                break
    return rewrite(connection, new)


def _home_of(connection: sqlite3.Connection) -> Path | None:
    """For which directory the addresses are, as far as they tell."""
    try:
        known = addresses(connection)
    except sqlite3.OperationalError:  # no tables yet
        return None
    for pattern in (TABLES, OURS):
        for uri in known:
            if found := pattern.match(uri):
                return Path(unquote(found[1]))
    return None
