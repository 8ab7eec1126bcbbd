"""Files that frames are read from: allowed roots, files that grow, links and virtual datasets.

HDF5 opens every file that a link or a virtual dataset names, and returns the fill value for one that is missing. This
module first resolves all these files in the way of HDF5, and checks that each exists and lies below the allowed roots.
"""

import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlparse

import h5py
from h5py.h5 import phil as hdf5_lock

MOST_LINKS = 16  # in a chain
MOST_SOURCES = 100_000  # of a virtual dataset
AWAY = (502, 503, 504)  # statuses of HTTP with which a proxy answers for a server that it cannot reach

RECENT_S = 10.0  # since the last change of a file with a SWMR writer: then its errors are not taken as damage
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError)  # raised by h5py for damaged files
# In HDF5's errors: a writer has the file open, or this process has it open with another flag for locks.
_WRITTEN, _LOCKS_DIFFER = "already open for write", "file locking flag values don't match"

_SIGNATURE, _SWMR = b"\x89HDF\r\n\x1a\n", 4  # of a superblock, and its flag of a file that is written with SWMR
LOCKS = Path("/proc/locks")  # of all processes
_LOCK = struct.Struct("hhqqi")  # `struct flock` of C: kind, whence, start, length and process of a lock

Roots = Sequence[Path]  # folders that may be read, with links resolved
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
    ainerd.documents._storage.FrameError: ...frames.h5, '/data': shape (20, 3, 4), expected (frames, 512, 1024)
    """


class MissingFrames(FrameError):
    """Raised if frames are missing; they may arrive later or be elsewhere.

    Examples
    --------
    >>> Metadata(folder / "acquisition.h5", ["entry/temperature"], [folder])
    Traceback (most recent call last):
        ...
    ainerd.documents._storage.MissingFrames: no file ...acquisition.h5
    """


class MissingDataset(MissingFrames):
    """Raised if a link leads to a dataset that its file does not have."""


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
    try:
        parts = urlparse(uri)
    except ValueError as error:
        raise FrameError(f"frames at {uri!r}: {error}") from None
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
        raise MissingFrames(f"no file {path}")
    if not may_read(resolved, roots):
        raise FrameError(f"{resolved} lies outside the allowed roots: {', '.join(map(str, roots)) or 'none is set'}")
    return resolved


def may_read(path: Path, roots: Iterable[Path]) -> bool:
    """Return whether a path with links resolved lies below one of these folders."""
    return any(map(path.is_relative_to, roots))


def _find_file(roots: Roots, name: str, beside: Path, what: str) -> Path:
    """Find a file in the way of HDF5: by its full name, otherwise in the folder of the file that names it.

    Raises MissingFrames if the file does not exist, and FrameError unless it is a plain file below the roots.
    """
    given = Path(name)
    candidates = [given, beside / given.name] if given.is_absolute() else [beside / given]
    path = next((candidate for candidate in candidates if candidate.exists()), candidates[0]).resolve()
    if not may_read(path, roots):
        raise FrameError(f"{what} leads to {path}, outside the allowed roots")
    if not path.exists():
        raise MissingFrames(f"{what} leads to {path}, which is not there")
    if not path.is_file():
        raise FrameError(f"{what} leads to {path}, which is not a file")
    return path


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading until the end of the block, without being in the way of its writer.

    HDF5 locks nothing. It also refuses to open a file that is open in the same process with other flags, so the block
    holds HDF5's lock of this process: no writer in it can open the file meanwhile. Other threads wait for HDF5, so the
    block must be short.

    A writer with SWMR may go on while the file is read. Without SWMR it leaves the file in between, so the file is not
    read while another process has it open for writing, and values read while it changed are discarded. A file that
    this process writes with h5py is read as its writer sees it.

    Raises
    ------
    MissingFrames
        If the file is being written without SWMR.
    OSError
        If the file cannot be opened, or is shorter than its superblock states: HDF5 may hang in such a file with SWMR.
    """
    before = _State.of(path)
    is_safe, has_changed = before.has_swmr_writer, False
    try:
        if before.size < before.stated_size:
            raise OSError(f"truncated file: eof = {before.size}, stored_eof = {before.stated_size}")  # as HDF5 says it
        with hdf5_lock:
            file = _open_hdf5(path, swmr=before.has_swmr_writer)
            try:
                is_safe = is_growing(file)
                if before.is_locked and not is_safe:
                    raise MissingFrames(f"{path} is being written, without SWMR")
                yield file
            finally:
                file.close()
            has_changed = not is_safe and before.has_changed(path)  # before another thread of this process can write
    except (*DAMAGED, FrameError) as error:
        is_final = isinstance(error, MissingFrames) or (is_safe and isinstance(error, FrameError))
        if is_final or not before.may_pass(path, is_safe=is_safe):
            raise
        raise MissingFrames(f"{path} is being written: {error}") from error
    if has_changed:
        raise MissingFrames(f"{path} changed while it was read")


def is_written_here(file: h5py.File) -> bool:
    """Return whether this process writes an open file: then HDF5 has nothing to read again."""
    return bool(file.id.get_intent() & h5py.h5f.ACC_RDWR)


def is_growing(file: h5py.File) -> bool:
    """Return whether an open file has a writer beside whom it can be read: in this process, or with SWMR."""
    return bool(file.id.get_intent() & (h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_READ))


def require_closed(file: h5py.File) -> None:
    """Raise MissingFrames if the writer of a file, in another process, has not closed it."""
    if is_growing(file) and not is_written_here(file):
        raise MissingFrames(f"{file.filename} is being written")


class _State(NamedTuple):
    """The state of a file before it is read."""

    identity: tuple[int, int, int]  # inode, size, and time of the last change in ns
    has_swmr_writer: bool
    stated_size: int  # bytes of the file by its superblock; 0 without one
    is_locked: bool

    @classmethod
    def of(cls, path: Path) -> Self:
        try:
            with path.open("rb", buffering=0) as file:
                stat = os.fstat(file.fileno())
                identity = stat.st_ino, stat.st_size, stat.st_mtime_ns
                return cls(identity, *_superblock(file, stat.st_size), is_locked(file.fileno()))
        except FileNotFoundError:
            raise MissingFrames(f"no file {path}") from None

    @property
    def size(self) -> int:
        return self.identity[1]

    def has_changed(self, path: Path) -> bool:
        now = self.of(path)
        return now.is_locked or now.identity != self.identity

    def may_pass(self, path: Path, *, is_safe: bool) -> bool:
        """Return whether an error may be gone when the writer goes on."""
        return abs(time.time() - path.stat().st_mtime) < RECENT_S if is_safe else self.has_changed(path)


def _superblock(file: RawIOBase, size: int) -> tuple[bool, int]:
    """Return whether a file is marked as open to a writer with SWMR, and its size by the superblock; 0 without one.

    Source: HDF5 File Format Specification 3.0, II.A.
    """
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(96) or b""
        if head.startswith(_SIGNATURE) and len(head) >= 48:
            version = head[8]
            first, width = (12, head[9]) if version >= 2 else ({0: 24}.get(version, 28), head[13])  # of the addresses
            end = first + 2 * width  # after the base address and that of an extension
            return version == 3 and bool(head[11] & _SWMR), int.from_bytes(head[end : end + width], "little")
        at = 2 * at or 512  # after a user block
    return False, 0


def is_locked(descriptor: int) -> bool:
    """Return whether a process has locked an open file to write it. No lock is taken: that could stop a writer."""
    with suppress(OSError):  # the file system has no locks
        asked = fcntl.fcntl(descriptor, fcntl.F_GETLK, _LOCK.pack(fcntl.F_RDLCK, 0, 0, 0, 0))
        if _LOCK.unpack(asked)[0] != fcntl.F_UNLCK:
            return True
    with suppress(OSError):  # this is not Linux
        stat = os.fstat(descriptor)
        lines, number = LOCKS.read_text().splitlines(), f":{stat.st_ino}"
        device = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}" if os.major(stat.st_dev) else ""
        places = [place for line in lines if " WRITE " in line for place in line.split()]
        return any(place.startswith(device) and place.endswith(number) for place in places)
    return False


def _open_hdf5(path: Path, *, swmr: bool) -> h5py.File:
    access, mode = h5py.h5p.create(h5py.h5p.FILE_ACCESS), h5py.h5f.ACC_RDONLY
    if swmr:
        mode |= h5py.h5f.ACC_SWMR_READ
        access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    access.set_file_locking(False, True)
    try:
        try:
            return h5py.File(h5py.h5f.open(os.fsencode(path), mode, fapl=access))
        except OSError as error:
            if _LOCKS_DIFFER not in str(error):
                raise
        access.set_file_locking(True, True)  # this process has it open, and HDF5 does not lock it again
        return h5py.File(h5py.h5f.open(os.fsencode(path), mode, fapl=access))
    except OSError as error:
        if _WRITTEN in str(error):
            raise MissingFrames(f"{path} is being written without SWMR: {error}") from error
        raise


def find_dataset(path: Path, dataset: str, roots: Roots, *, n_links: int = 0) -> tuple[Path, str]:
    """Follow all links and return the file and the name of a dataset.

    Raises FrameError if a link leads outside the roots, and MissingFrames if a target does not exist.
    """
    if n_links > MOST_LINKS:
        raise FrameError(f"{path}, {dataset!r}: more than {MOST_LINKS} links one behind the other")
    parts = [part for part in dataset.split("/") if part and part != "."]
    with open_hdf5(path) as file:
        first = _first_link(file, parts)
    if first is None:
        return path, "/".join(parts)  # the caller reports the error if there is no such dataset
    i, link = first
    if link is None:
        if n_links:
            raise MissingDataset(f"{path}, {dataset!r}: no such dataset, and a link leads there")
        return path, "/".join(parts)
    is_external = isinstance(link, h5py.ExternalLink)
    target = _find_file(roots, link.filename, path.parent, f"{path}, {dataset!r}") if is_external else path
    start = [] if is_external or link.path.startswith("/") else parts[:i]
    name = "/".join([*start, link.path.strip("/"), *parts[i + 1 :]])
    return find_dataset(target, name, roots, n_links=n_links + 1)


def _first_link(file: h5py.File, parts: Sequence[str]) -> tuple[int, Any] | None:
    """Return the index of the first part that is an external or soft link, and it; with None if it is missing."""
    group: Any = file
    for i, part in enumerate(parts):
        try:
            link = group.get(part, getlink=True)
        except (KeyError, AttributeError, TypeError, RuntimeError):
            link = None
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            return i, link
        if not isinstance(link, h5py.HardLink):
            return i, None
        if parts[i + 1 :]:
            try:
                group = group[part]
            except KeyError as error:
                raise OSError(f"{'/'.join(parts)!r}: {error}") from error
    return None


class Storage:
    """Sources that hold frames of an open virtual dataset outside its own file.

    Each part has its first frame, its last frame + 1, and a function that checks whether the part reaches a frame.
    `depth` is the number of virtual datasets in the chain that leads to this one. For files outside the roots, the
    errors are those of `find_dataset` too. The dataset is open only when this is made.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, roots: Roots, *, depth: int = 0) -> None:
        self._path, self._roots, self._depth = path, roots, depth
        self.sources: set[Path] = set()  # files of a virtual dataset, as far as they were needed
        self._parts: list[tuple[int, int, Callable[[int], None]]] = []
        if dataset.external:
            raise FrameError(f"{path}, {dataset.name!r}: its values are raw data outside the file, which are not read")
        if dataset.is_virtual:
            self._add_sources(dataset)

    @property
    def is_elsewhere(self) -> bool:
        """Whether any frame lies outside the dataset's own file."""
        return bool(self._parts)

    def require(self, start: int, stop: int) -> None:
        """Check all files of frames start … stop - 1.

        Raises MissingFrames if a file is absent, and FrameError if it is outside the roots.
        """
        for first, last, reach in self._parts:
            if first < stop and start < last:
                reach(min(stop, last))

    def _add_sources(self, dataset: h5py.Dataset) -> None:
        if self._depth > MOST_LINKS:
            raise FrameError(f"{self._path}: more than {MOST_LINKS} virtual datasets one behind the other")
        for source in dataset.virtual_sources():
            low, high = _bounds(source.vspace, len(dataset))
            if any(pattern in name for name in (source.file_name, source.dset_name) for pattern in ("%b", "%%")):
                raise FrameError(f"{self._path}: a source of a virtual dataset is a pattern, which is not resolved")
            if len(self._parts) > MOST_SOURCES:
                raise FrameError(f"{self._path}: more than {MOST_SOURCES} sources of a virtual dataset")
            self._parts.append((low, high + 1, self._check_of(source, low)))

    def check_open(self, file: h5py.File) -> None:
        """Raise MissingFrames if this process has a source open otherwise than `file`, through which it is read.

        HDF5 then cannot open the source, and returns the fill value in its place.
        """
        if self.sources:
            for other in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
                name = os.fsdecode(other.name)
                if _locking(other) != _locking(file.id) and any(_is_same(name, path) for path in self.sources):
                    raise MissingFrames(f"{name}, a source of {self._path}, is open in this process")

    def _check_of(self, source: Any, first: int) -> Callable[[int], None]:
        """Return the check of a source of a virtual dataset. It opens the file only when more frames are needed."""
        low, last = _bounds(source.src_space, sys.maxsize - 1)
        path, roots, known = self._path, self._roots, 0
        is_own, what = source.file_name == ".", f"{self._path}: a source"

        def reach(stop: int) -> None:
            nonlocal known
            if stop <= known:
                return
            target = path if is_own else _find_file(roots, source.file_name, path.parent, what)
            file_path, name = find_dataset(target, source.dset_name, roots)
            wanted, storage = min(low + stop - first, last + 1), None
            with open_hdf5(file_path) as file:
                dataset = file[name]
                if not isinstance(dataset, h5py.Dataset):
                    raise FrameError(f"{file_path}, {name!r}: not a dataset, but a source of {path}")
                if dataset.shape and len(dataset) < wanted:
                    raise MissingFrames(f"{file_path}, {name!r} holds {len(dataset)} frames, {wanted} are needed")
                if dataset.is_virtual or dataset.external:
                    storage = Storage(file_path, dataset, roots, depth=self._depth + 1)
            if storage is not None:
                storage.require(0, max(wanted, 1))
                self.sources |= storage.sources
            self.sources |= {file_path} - {path}
            known = stop

        return reach


def _locking(file: h5py.h5f.FileID) -> tuple[int, int]:
    locking: tuple[int, int] = file.get_access_plist().get_file_locking()
    return locking


def _is_same(name: str, path: Path) -> bool:
    try:
        return os.path.samefile(name, path)
    except OSError:
        return False


def _bounds(space: Any, otherwise: int) -> tuple[int, int]:
    """Return the first and last frame of a selection; return 0 and `otherwise` for an unlimited selection."""
    try:
        low, high = space.get_select_bounds()
    except (RuntimeError, ValueError):
        return 0, otherwise
    return int(low[0]), int(high[0])
