"""The disks that a session needs: the room on them, and a sentence while one is full, slow, read-only or silent."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

SLOW_S = 5.0  # a small file takes less on a disk that can be worked with
PROBE = bytes(4096)
_WORDS = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full: the quota is used up",
    errno.EROFS: "is read-only",
    errno.EACCES: "may not be written",
    errno.EPERM: "may not be written",
}


class Disks:
    """Looks at disks, each time in a thread of its own, because a network disk may not answer for minutes.

    Parameters
    ----------
    written : Path
        Folder that this process writes to. A look writes a small file there, and removes it.
    frames : sequence of Path
        Folders that detectors write to. Only the room on them counts, as far as they exist on this machine.
    least_mb : float
        Room in MB that a disk should have.

    Attributes
    ----------
    free_mb : float or None
        Room on the fullest disk at the last look, in MB; None before the first.
    """

    def __init__(self, written: Path, frames: Sequence[Path], least_mb: float) -> None:
        self._written, self._frames, self._least_mb = written, tuple(frames), least_mb
        self.free_mb: float | None = None
        self._found: str | None = None
        self._looking: Future[None] | None = None
        self._since = 0.0

    def look(self) -> "Future[None]":
        """Begin a look, unless one is in progress, and return its future. It does not block."""
        looking = self._looking
        if looking is None or looking.done():
            self._since = time.monotonic()
            self._looking = looking = Future()
            threading.Thread(target=self._look, args=(looking,), name="ainerd-disks", daemon=True).start()
        return looking

    @property
    def problem(self) -> str | None:
        """Why a disk cannot take an exposure, in a sentence; None if all can, as far as the last look tells.

        The sentence has no numbers that change, so that it is printed once.
        """
        looking = self._looking
        if looking is not None and not looking.done() and time.monotonic() - self._since > SLOW_S:
            return f"the disk of {self._written} or of the frames does not answer"
        return self._found

    def _look(self, looking: "Future[None]") -> None:
        try:
            rooms = [(folder, _free_mb(folder)) for folder in (self._written, *self._frames) if folder.exists()]
            self.free_mb = min((free for _, free in rooms), default=None)
            short = next((folder for folder, free in rooms if free < self._least_mb), None)
            wanted = f"{short} has less room than {_size(self._least_mb)} (storage.least_free_mb)"
            self._found = self._write() or (None if short is None else wanted)
        except OSError as error:
            self._found = f"a disk fails: {error}"
        finally:
            looking.set_result(None)

    def _write(self) -> str | None:
        """Write a small file; return why that was not possible, or too slow."""
        probe, began = self._written / f".room-{os.getpid()}", time.monotonic()
        try:
            self._written.mkdir(parents=True, exist_ok=True)
            with probe.open("wb") as file:
                file.write(PROBE)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return f"{self._written} {_WORDS.get(error.errno or 0, f'cannot be written: {error.strerror}')}"
        finally:
            with suppress(OSError):
                probe.unlink()
        if time.monotonic() - began > SLOW_S:
            return f"{self._written} is slow: a file of 4 kB takes more than {SLOW_S:.0f} s"
        return None


def _free_mb(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e6


def _size(mb: float) -> str:
    return f"{mb / 1000:.3g} GB" if mb >= 1000 else f"{mb:.0f} MB"
