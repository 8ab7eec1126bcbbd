"""What a process opens, and what it leaves behind."""

import ctypes
import gc
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_OPENED, _FROM_PYTHON = 0x20, "open"  # IN_OPEN of inotify; the audit event
LOOKS, BETWEEN_S = 5, 0.3


class Watched:
    """Notes whoever opens anything in a folder: Python by its audit hook, and any library by the kernel's inotify.

    HDF5 opens files without Python. A hook cannot be taken away again: it stays, and notes nothing more.
    """

    def __init__(self, folder: Path) -> None:
        self.opened: set[str] = set()
        self._folder: str | None = f"{folder.resolve()}/"
        libc = ctypes.CDLL(None, use_errno=True)
        self._notes = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._notes < 0 or libc.inotify_add_watch(self._notes, bytes(folder), _OPENED) < 0:
            raise OSError(ctypes.get_errno(), "no inotify")
        sys.addaudithook(self._hear)

    def close(self) -> set[str]:
        """Names that were opened."""
        self._folder = None
        try:
            notes = os.read(self._notes, 2**20)
        except BlockingIOError:
            notes = b""
        os.close(self._notes)
        at = 0
        while at < len(notes):
            length = struct.unpack_from("iIII", notes, at)[3]
            self.opened.add(os.fsdecode(notes[at + 16 : at + 16 + length].rstrip(b"\0")))
            at += 16 + length
        return self.opened

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None or event != _FROM_PYTHON or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        name = os.fsdecode(arguments[0])
        if os.path.abspath(name).startswith(self._folder):
            self.opened.add(name)


def held() -> tuple[set[str], set[str]]:
    """Names of the threads of this process, and the files that it has open; connections to Tiled come and go."""
    gc.collect()
    return {thread.name for thread in threading.enumerate()}, set(_files())


def left_since(before: tuple[set[str], set[str]]) -> list[str]:
    """Threads and open files that were not there before; not a file that is open for the moment of a look."""
    names: set[str] | None = None
    for _ in range(LOOKS):
        new = {name for then, now in zip(before, held(), strict=True) for name in now - then}
        names = new if names is None else names & new
        if not names:
            break
        time.sleep(BETWEEN_S)
    return sorted(names or ())


def _files() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # of the folder itself
            if not (name := os.readlink(link)).startswith("socket:"):
                yield name


def memory() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
