"""HDF5 files of other programs: only below the allowed roots, also while they grow."""

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlparse

import h5py
from numpy.typing import NDArray

AWAY = (502, 503, 504)  # statuses of HTTP with which a proxy answers for a server that it cannot reach

RECENT_S = 3.0  # since the last change of a file: then its errors are not taken as damage
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError)  # raised by h5py for damaged files
# In HDF5's errors: a writer has the file open, this process has it open with another flag for locks.
WRITTEN, LOCKS_DIFFER = "already open for write", "locking flag values don't match"
_one_at_a_time = threading.RLock()

Array = NDArray[Any]  # in the type of the detector, which its file states
Item: TypeAlias = h5py.Dataset | h5py.Group | None  # None: the file has no such item
Roots = Sequence[Path]  # folders that may be read, with links resolved
MOST_LINKS = 16  # soft links in one name, as HDF5 follows
CHUNK_BYTES = 2**30  # largest chunk: HDF5 unpacks a whole chunk to read one frame


class FrameError(Exception):
    """Raised if frames cannot be read; the message names the frames and the reason.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "frames.h5", "w") as file:
    ...     file["data"] = np.zeros((20, 3, 4))
    >>> FrameReader(folder / "frames.h5", "data", np.array([0]), (512, 1024))
    Traceback (most recent call last):
        ...
    ainerd.documents._storage.FrameError: ...frames.h5, 'data': shape (20, 3, 4), expected (frames, 512, 1024)
    """


class MissingFrames(FrameError):
    """Raised if frames are missing; they may arrive later or be elsewhere.

    Examples
    --------
    >>> FrameReader(folder / "elsewhere.h5", "data", np.array([0]), (512, 1024))
    Traceback (most recent call last):
        ...
    ainerd.documents._storage.MissingFrames: no file ...elsewhere.h5
    """


def local_path(uri: str, roots: Iterable[Path]) -> Path:
    """Return the path of a StreamResource's uri (file://localhost/…), with links resolved.

    Raises
    ------
    MissingFrames
        If the uri is not a local file, or the file does not exist.
    FrameError
        If the file lies outside all roots, or its path cannot be followed.

    Examples
    --------
    >>> path = folder / "frames.h5"
    >>> path.touch()
    >>> local_path(f"file://localhost{path}", [path.parent]).name
    'frames.h5'
    """
    parts = urlparse(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise MissingFrames(f"frames at {uri!r} are not a local file")
    return allowed_file(Path(unquote(parts.path)), roots)


def allowed_file(path: Path, roots: Iterable[Path]) -> Path:
    """Resolve the links of a path; raise MissingFrames without a file, FrameError outside the roots.

    FrameError also if the path cannot be followed, as where this account may not enter a folder.
    """
    roots = [Path(root).resolve() for root in roots]
    try:
        resolved = path.resolve()
        is_there = resolved.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # no permission, a loop of links, NUL, a name too long
        raise FrameError(f"{str(path)[:200]!r} cannot be opened: {str(error)[:200]}") from None
    if not is_there:
        if resolved.exists():
            raise FrameError(f"{path} is not a regular file")
        raise MissingFrames(f"no file {path}")
    if not any(map(resolved.is_relative_to, roots)):
        raise FrameError(f"{resolved} lies outside the allowed roots: {', '.join(map(str, roots)) or 'none is set'}")
    return resolved


def linked_file(path: Path, name: str, roots: Roots) -> Path:
    """Find a file that an HDF5 file names, as HDF5 does: by its full name, otherwise in the folder of that file.

    Raises MissingFrames if it does not exist, and FrameError if it lies outside the roots.
    """
    places = [path.parent / name, path.parent / Path(name).name]
    return allowed_file(next((place for place in places if place.exists()), places[0]), roots)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading until the end of the block, without being in the way of its writer.

    HDF5 locks nothing. The file is open once at a time, because HDF5 gives a second reader of this process what the
    first one saw, so the block must be short.

    A writer with SWMR may go on while the file is read. Without SWMR it leaves the file in between: values read while
    the file changed are discarded, and an error soon after a change is not taken as damage. A file that this process
    writes with h5py is read as its writer sees it.

    Raises
    ------
    MissingFrames
        If the file does not exist, or is being written without SWMR.
    OSError
        If the file cannot be opened.
    """
    try:
        before = path.stat()
    except FileNotFoundError:
        raise MissingFrames(f"no file {path}") from None
    is_safe = False  # to be read beside a writer
    try:
        with _one_at_a_time:
            file = _open(path)
            try:
                is_safe = is_growing(file)
                yield file
            finally:
                file.close()
    except MissingFrames:
        raise
    except (*DAMAGED, FrameError) as error:
        is_incomplete = isinstance(error, OSError | RuntimeError | KeyError) and is_recent(path)
        if WRITTEN in str(error) or is_incomplete or (not is_safe and _has_changed(path, before)):
            raise MissingFrames(f"{path} is being written: {error}") from error
        raise
    if not is_safe and _has_changed(path, before):
        raise MissingFrames(f"{path} changed while it was read")


def is_growing(file: h5py.File) -> bool:
    """Return whether an open file has a writer beside whom it can be read: in this process, or with SWMR."""
    return bool(file.id.get_intent() & (h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_READ))


def is_recent(path: Path) -> bool:
    """Return whether a file changed a short time ago, so that its writer may not have written all of it."""
    return time.time() - path.stat().st_mtime < RECENT_S


def _open(path: Path) -> h5py.File:
    """Open a file, with SWMR only if HDF5 says that it has a writer: in a truncated file HDF5 may hang with SWMR."""
    options: dict[str, bool | str] = {"locking": False}
    while True:
        try:
            return h5py.File(path, "r", **options)
        except OSError as error:
            if WRITTEN in str(error) and "swmr" not in options:
                options |= {"swmr": True, "libver": "latest"}
            elif LOCKS_DIFFER in str(error) and options["locking"] is False:
                options["locking"] = "best-effort"  # as this process has it open
            else:
                raise


def _has_changed(path: Path, before: os.stat_result) -> bool:
    now = path.stat()
    return any(getattr(now, key) != getattr(before, key) for key in ("st_ino", "st_size", "st_mtime_ns"))


def find_item(path: Path, name: str, roots: Roots) -> tuple[Path, str]:
    """Follow external links; return the file that holds an item, and its name there.

    The file is then opened by itself, so that it may be growing beside the one with the link. Raises FrameError if a
    link leads outside the roots, and MissingFrames if its file does not exist.
    """
    with open_hdf5(path) as file:
        name, link, rest = _first_external(file, name)
    if link is not None:
        return find_item(linked_file(path, link.filename, roots), "/".join((link.path, *rest)), roots)
    return path, name


def _first_external(file: h5py.File, name: str) -> tuple[str, h5py.ExternalLink | None, list[str]]:
    """Follow a name to the first link into another file, and return the name that leads there, the link and the rest.

    HDF5 would open that file, and wait in it for ever if it is a pipe.
    """
    at, rest, n_soft = "", name.split("/"), 0
    while rest:
        part, *rest = rest
        if part in ("", "."):
            continue
        group = file[at or "/"]
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            return name, link, rest
        if isinstance(link, h5py.SoftLink):
            at, rest, n_soft = "" if link.path.startswith("/") else at, [*link.path.split("/"), *rest], n_soft + 1
            if n_soft > MOST_LINKS:
                raise FrameError(f"{file.filename}, {name!r}: links lead to each other")
        elif link is None:
            return "/".join((at, part, *rest)) if n_soft else name, None, []
        else:
            at = f"{at}/{part}"
    return at if n_soft else name, None, []


@contextmanager
def opened(path: Path, name: str, roots: Roots, *, is_checked: bool = False) -> Iterator[Item]:
    """Open a dataset or group of a file, as `open_hdf5` does; None if the file has no such item.

    `name` is as `find_item` returns it. The files of its sources are checked before HDF5 opens them, unless that
    `is_checked`. Raises FrameError if one lies outside the roots, or a chunk of the item is too large.
    """
    with open_hdf5(path) as file:
        item = file.get(name or "/")
        size = math.prod(item.chunks) * item.dtype.itemsize if getattr(item, "chunks", None) else 0
        if size > CHUNK_BYTES:
            raise FrameError(f"{path}, {name!r}: a chunk of it unpacks to {size / 1e6:,.0f} MB: write smaller ones")
        if isinstance(item, h5py.Dataset) and not is_checked:
            _check_sources(path, item, roots)
        yield item


def _check_sources(path: Path, dataset: h5py.Dataset, roots: Roots) -> None:
    """Raise FrameError if a source of a dataset is no regular file, or lies outside the roots; it may be missing."""
    if dataset.external:
        raise FrameError(f"{path}, {dataset.name!r}: its values are raw data outside the file, which are not read")
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        if "%b" in source.file_name + source.dset_name:
            raise FrameError(f"{path}, {dataset.name!r}: a source with %b in its name is not read")
        with suppress(MissingFrames):
            file = path if source.file_name == "." else linked_file(path, source.file_name, roots)
            with opened(*find_item(file, source.dset_name, roots), roots):
                pass


@contextmanager
def open_item(path: Path, name: str, roots: Roots, *, is_complete: bool = False) -> Iterator[Item]:
    """Open a dataset or group of an HDF5 file, after links.

    If the file `is_complete`, its writer must have closed it, and None stands for an item that it does not have.

    Raises
    ------
    MissingFrames
        If a file does not exist, or is being written.
    FrameError
        If the file is damaged, lies or leads outside the roots, or has no such item.
    """
    try:
        where, inner = find_item(allowed_file(path, roots), name, roots)
        with opened(where, inner, roots) as item:
            if item is None and not is_complete:
                raise FrameError(f"{path}, {name!r}: no such dataset")
            if is_complete and item is not None and is_growing(item.file):
                raise MissingFrames(f"{where} is being written")
            yield item
    except DAMAGED as error:
        if "signature not found" in str(error):
            raise FrameError(f"{path} is not an HDF5 file") from error
        raise FrameError(f"{path}, {name!r}: {error}") from error
