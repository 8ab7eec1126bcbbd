"""A copy of a campaign, which opens wherever it is taken."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ainerd.server._connect import ServerError
from ainerd.server._home import address, addresses, path_of, rewrite, settle

TABLES = ("storage.duckdb", "storage.duckdb.wal")
TRIES, PAUSE_S = 20, 0.5
SPARE = 1.02  # files grow while they are copied


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What was copied: files, of them frames, their bytes; and files of frames that were not.

    Missing is what the catalogue names and is no file any more, and files that only files of frames name: external
    links, sources of virtual datasets, and raw files.
    """

    files: int
    frames: int
    size: int
    missing: list[Path]


def archive(
    directory: Path, to: Path, *, frames: bool = False, progress: Callable[[int, int], None] = lambda done, of: None
) -> Archived:
    """Copy the catalogue of an embedded server with its files; it may be in use meanwhile.

    Parameters
    ----------
    directory : Path
        Of the embedded server.
    to : Path
        A folder that is empty, or not there yet. `EmbeddedServer.start` opens it, also after it was moved again.
    frames : bool
        Whether to copy the files of detectors, too; else they are looked for where they are now.
    progress : callable
        Called with bytes copied and bytes in all.

    Raises
    ------
    ServerError
        If there is no catalogue, the folder is not empty, or there is no room for it.
    """
    directory, to = directory.resolve(), to.resolve()
    if not (directory / "catalog.db").is_file():
        raise ServerError(f"{directory} has no catalogue of an embedded server")
    if to.is_relative_to(directory) or directory.is_relative_to(to):
        raise ServerError(f"{to} and {directory} lie within each other: give a folder elsewhere")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ServerError(f"{to} is there and not empty: give another name")
    place = next(path for path in (to, *to.parents) if path.exists())
    with closing(sqlite3.connect(f"file:{directory / 'catalog.db'}?mode=ro", uri=True, timeout=30)) as catalog:
        wanted, missing = _frames(directory, addresses(catalog)) if frames else ({}, [])
        size = sum(map(_size, [directory / "catalog.db", *_data(directory), *wanted, *(directory / t for t in TABLES)]))
        free = shutil.disk_usage(place).free
        if size * SPARE > free:
            hint = "; without --frames it is less" if frames else ""
            raise ServerError(f"{to} needs {size / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free there{hint}")
        to.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(to / "catalog.db")) as copy:
                catalog.backup(copy)  # one moment of it, also while somebody writes
            # What the catalogue names was written before it was named: files copied after it hold all of it.
            files, done = _copy_files(directory, to, wanted, lambda n: progress(n, max(n, size)))
        except BaseException:
            shutil.rmtree(to, ignore_errors=True)  # half a copy is none
            raise
    return Archived(files=files, frames=len(wanted), size=done, missing=missing)


def _copy_files(directory: Path, to: Path, frames: dict[Path, str], progress: Callable[[int], None]) -> tuple[int, int]:
    """Everything but the catalogue, and in this where the files are now; how many files, and their bytes."""
    done, n = _size(to / "catalog.db"), 1
    for path in _data(directory):
        done, n = done + _copied(path, to / path.relative_to(directory)), n + 1
        progress(done)
    done += _copy_tables(directory, to)
    if (directory / "home").exists():
        _copied(directory / "home", to / "home")
    settle(to)
    for path, name in frames.items():
        done, n = done + _copied(path, to / "data" / name), n + 1
        progress(done)
    with closing(sqlite3.connect(to / "catalog.db")) as copy, copy:
        names = {uri: frames.get(found) for uri in addresses(copy) if (found := path_of(uri))}
        rewrite(copy, {uri: address(to / "data" / name) for uri, name in names.items() if name is not None})
    return n, done


def _data(directory: Path) -> Iterator[Path]:
    """Files of arrays and results, but for those that are being written."""
    return (path for path in (directory / "data").rglob("*") if path.is_file() and path.suffix != ".part")


def _frames(directory: Path, known: list[str]) -> tuple[dict[Path, str], list[Path]]:
    """Files elsewhere that the catalogue names, each with a name in the archive; and those that are not to be copied.

    Files of one folder stay together, so that they find each other.
    """
    outside = sorted({path for uri in known if (path := path_of(uri)) and not path.is_relative_to(directory)})
    there = [path for path in outside if path.is_file()]
    free = (n for n in count() if not (directory / "data" / "frames" / str(n)).exists())  # of an archive that went on
    folders = {parent: f"frames/{next(free)}" for parent in dict.fromkeys(path.parent for path in there)}
    named = {other for path in there for other in _named(path)}.difference(there)
    gone = [path for path in outside if not path.is_file()]
    return {path: f"{folders[path.parent]}/{path.name}" for path in there}, gone + sorted(named.difference(gone))


def _named(path: Path) -> set[Path]:
    """Files that an HDF5 file names: external links, sources of virtual datasets, raw files; and those that they name.

    Empty if it is none, or cannot be read now.
    """
    import h5py

    found: set[Path] = set()
    waiting = [path]
    while waiting:
        at = waiting.pop()
        names: set[str] = set()

        def look(name: str, link: object, names: set[str] = names) -> None:
            if isinstance(link, h5py.ExternalLink):
                names.add(link.filename)
            elif isinstance(link, h5py.HardLink) and isinstance(data := file[name], h5py.Dataset):
                names.update(source.file_name for source in (data.virtual_sources() if data.is_virtual else ()))
                names.update(raw for raw, _, _ in data.external or ())

        try:
            with h5py.File(at, "r", locking=False) as file:
                file.visititems_links(look)
        except (OSError, RuntimeError, ValueError, KeyError):
            continue
        others = {at.parent / name for name in names - {"."}}
        found |= (new := others - found - {path})
        waiting.extend(new)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # removed in this moment
        return 0


def _copied(path: Path, to: Path) -> int:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(path, to)
    except FileNotFoundError:  # written anew in this moment under its own name, or removed
        if not path.exists():
            return 0
        shutil.copy2(path, to)
    return to.stat().st_size


def _copy_tables(directory: Path, to: Path) -> int:
    """Copy the database of tables in a moment in which its main file does not change."""
    main, log = (directory / name for name in TABLES)
    for _ in range(TRIES):
        before = _state(main)
        size = sum(_copied(path, to / path.name) for path in (main, log) if path.exists())
        if _state(main) == before:
            return size
        for name in TABLES:
            (to / name).unlink(missing_ok=True)
        time.sleep(PAUSE_S)
    raise ServerError(f"{main} does not rest long enough to be copied: try again when no run goes on")


def _state(path: Path) -> tuple[int, int]:
    found = path.stat() if path.exists() else None
    return (found.st_mtime_ns, found.st_size) if found else (0, 0)
