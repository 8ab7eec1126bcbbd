"""Copy a campaign, and correct the file addresses of a catalog that was copied or moved."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from re import match
from urllib.parse import unquote

from ainerd.server._connect import ServerError

TABLES = ("storage.duckdb", "storage.duckdb.wal")
ATTEMPTS, PAUSE_S = 20, 0.5
SPARE = 1.02  # files grow while they are copied


@dataclass(frozen=True, kw_only=True)
class Archived:
    """Numbers of files and of frame files copied, their bytes, and the frame files that were not copied.

    `missing` are paths in the catalog that do not exist, and files that only frame files refer to: external links,
    sources of virtual datasets, and raw files. `refused` are files in the catalog outside the folders of frames.
    """

    files: int
    frames: int
    size: int
    missing: list[Path]
    refused: list[Path]


def archive(
    directory: Path,
    to: Path,
    *,
    frames: Iterable[Path] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Archived:
    """Copy the catalog of an embedded server with its files; the server may be running.

    Parameters
    ----------
    directory : Path
        Directory of the embedded server.
    to : Path
        A folder that is empty or does not exist. `EmbeddedServer.start` opens it, also after it was moved again.
    frames : iterable of Path, optional
        Folders below which the files of detectors are copied: those that the server may read. A catalog may name any
        file, and whoever opens the copy can read all that is in it. Without folders the copy refers to where the files
        are now.
    progress : callable
        Called with the bytes copied and the bytes in all.

    Raises
    ------
    ServerError
        If `directory` has no catalog, `to` is not empty, or the disk has not enough space.
    """
    directory, to = directory.resolve(), to.resolve()
    if not (directory / "catalog.db").is_file():
        raise ServerError(f"{directory} has no catalog of an embedded server")
    if to.is_relative_to(directory) or directory.is_relative_to(to):
        raise ServerError(f"one of {to} and {directory} is inside the other: give a folder elsewhere")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ServerError(f"{to} exists and is not empty: give another name")
    with closing(sqlite3.connect(f"file:{directory / 'catalog.db'}?mode=ro", uri=True, timeout=30)) as catalog:
        roots = None if frames is None else [Path(folder).resolve() for folder in frames]
        found = ({}, [], []) if roots is None else _frame_files(directory, roots, _addresses(catalog))
        wanted, missing, refused = found
        size = sum(map(_size, [directory / "catalog.db", *_data(directory), *wanted, *(directory / t for t in TABLES)]))
        free = shutil.disk_usage(next(path for path in (to, *to.parents) if path.exists())).free
        if size * SPARE > free:
            hint = "; without --frames it is less" if roots is not None else ""
            raise ServerError(f"{to} needs {size / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free there{hint}")
        to.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(to / "catalog.db")) as copy:
                catalog.backup(copy)  # a consistent copy, also while someone writes
            # A file is written before the catalog names it: files copied after the catalog hold all that it names.
            files, copied = _copy_files(directory, to, wanted, roots or [], lambda n: progress(n, max(n, size)))
        except BaseException:
            shutil.rmtree(to, ignore_errors=True)  # half a copy is useless
            raise
    return Archived(files=files, frames=len(wanted), size=copied, missing=missing, refused=refused)


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
    for uri in _addresses(connection):
        text = uri.removeprefix("file://localhost")
        for path in [Path(text), Path(unquote(text))]:
            if path.is_relative_to(home / "data") and (target := directory / path.relative_to(home)).exists():
                new[uri] = _address(target)
                break
    return _rewrite(connection, new)


def _addresses(connection: sqlite3.Connection) -> list[str]:
    """Return the addresses of all files and databases in the catalog."""
    return [uri for (uri,) in connection.execute("SELECT DISTINCT data_uri FROM assets WHERE data_uri IS NOT NULL")]


def _rewrite(connection: sqlite3.Connection, new: dict[str, str]) -> int:
    """Replace addresses, old to new; return how many changed."""
    with closing(connection.cursor()) as cursor:
        cursor.executemany("UPDATE assets SET data_uri = ? WHERE data_uri = ?", [(n, old) for old, n in new.items()])
        return cursor.rowcount


def _address(path: Path) -> str:
    """Return the address of a file as Tiled writes and reads it: a space stays a space."""
    return f"file://localhost{path}"


def _path_of(uri: str) -> Path | None:
    """Return the path of a file address, also of one with %20 for a space; None if it is not a file of this machine."""
    parts = match(r"file:(?://localhost|//)?(/.*)", uri)
    if parts is None:
        return None
    path = Path(parts[1])
    return path if "%" not in parts[1] or path.exists() else Path(unquote(parts[1]))


def _copy_files(
    directory: Path, to: Path, frames: dict[Path, str], roots: list[Path], progress: Callable[[int], None]
) -> tuple[int, int]:
    """Copy everything but the catalog, and correct the addresses in the copy; return the number of files and bytes."""
    size, n_files = _size(to / "catalog.db"), 1 + len(frames)
    for path in _data(directory):
        size += _copy(path, to / path.relative_to(directory))
        n_files += 1
        progress(size)
    for path, name in frames.items():
        with path.open("rb") as file:
            opened = Path(f"/proc/self/fd/{file.fileno()}")  # a link may have been changed since `_frame_files`
            if not _is_below(opened.resolve(), roots):
                raise ServerError(f"{path} now leads to {opened.resolve()}, outside the folders of frames")
            size += _copy(opened, to / "data" / name)
        progress(size)
    size += _copy_tables(directory, to)
    if (directory / "home").exists():
        _copy(directory / "home", to / "home")
    relocate(to)
    with closing(sqlite3.connect(to / "catalog.db")) as copy, copy:
        names = {uri: frames.get(local) for uri in _addresses(copy) if (local := _path_of(uri))}
        _rewrite(copy, {uri: _address(to / "data" / name) for uri, name in names.items() if name is not None})
    return n_files, size


def _is_below(path: Path, roots: list[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _data(directory: Path) -> Iterator[Path]:
    """Yield the files of arrays and results, except those that are being written."""
    return (path for path in (directory / "data").rglob("*") if path.is_file() and path.suffix != ".part")


def _frame_files(
    directory: Path, roots: list[Path], addresses: list[str]
) -> tuple[dict[Path, str], list[Path], list[Path]]:
    """Return the files outside `directory` with their names in the archive, the missing ones, and the refused ones.

    Files of one folder stay together, so that their links to each other hold.
    """
    outside = sorted({path for uri in addresses if (path := _path_of(uri)) and not path.is_relative_to(directory)})
    existing = [path for path in outside if path.is_file()]
    refused = [path for path in existing if not _is_below(path.resolve(), roots)]
    copied = [path for path in existing if path not in refused]
    numbers = (n for n in count() if not (directory / "data" / "frames" / str(n)).exists())  # 0… in an older archive
    folders = {parent: f"frames/{next(numbers)}" for parent in dict.fromkeys(path.parent for path in copied)}
    linked = {other for path in copied for other in _linked_files(path)}.difference(existing)
    gone = [path for path in outside if not path.is_file()]
    names = {path: f"{folders[path.parent]}/{path.name}" for path in copied}
    return names, gone + sorted(linked.difference(gone)), refused


def _linked_files(path: Path) -> set[Path]:
    """Return the files that an HDF5 file needs, directly or through others; none if it cannot be read as HDF5.

    These are targets of external links, sources of virtual datasets, and raw files.
    """
    import h5py

    linked: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        names: set[str] = set()

        def collect(name: str, link: object, names: set[str] = names) -> None:
            if isinstance(link, h5py.ExternalLink):
                names.add(link.filename)
            elif isinstance(link, h5py.HardLink) and isinstance(data := file[name], h5py.Dataset):
                names.update(source.file_name for source in (data.virtual_sources() if data.is_virtual else ()))
                names.update(raw for raw, _, _ in data.external or ())

        try:
            with h5py.File(current, "r", locking=False) as file:
                file.visititems_links(collect)
        except (OSError, RuntimeError, ValueError, KeyError):
            continue
        new = {current.parent / name for name in names - {"."}} - linked - {path}
        linked |= new
        waiting.extend(new)
    return linked


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # just removed
        return 0


def _copy(path: Path, to: Path) -> int:
    """Copy a file; return its size in bytes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(path, to)
    except FileNotFoundError:  # just replaced under the same name, or removed
        if not path.exists():
            return 0
        shutil.copy2(path, to)
    return to.stat().st_size


def _copy_tables(directory: Path, to: Path) -> int:
    """Copy the database of tables, between two changes of its main file; return the bytes."""
    main, log = (directory / name for name in TABLES)
    for _ in range(ATTEMPTS):
        before = _state(main)
        size = sum(_copy(path, to / path.name) for path in (main, log) if path.exists())
        if _state(main) == before:
            return size
        for name in TABLES:
            (to / name).unlink(missing_ok=True)
        time.sleep(PAUSE_S)
    raise ServerError(f"{main} changes too often to be copied: try again when no run is in progress")


def _state(path: Path) -> tuple[int, int]:
    status = path.stat() if path.exists() else None
    return (status.st_mtime_ns, status.st_size) if status else (0, 0)
