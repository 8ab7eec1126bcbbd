"""The room on the disks that a session needs, and a sentence while one is full, read-only or silent."""

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from ainerd.jobs import in_background

SLOW_S = 5.0  # a disk that can be worked with answers sooner


class Disks:
    """Looks at disks, each time in a thread of its own, because a network disk may not answer for minutes.

    Parameters
    ----------
    written : Path
        Folder that this process writes to.
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
        self._fault: str | None = None
        self._looking: Future[None] | None = None
        self._since = 0.0

    def look(self) -> "Future[None]":
        """Begin a look, unless one is in progress, and return its future. It does not block."""
        looking = self._looking
        if looking is None or looking.done():
            self._since = time.monotonic()
            self._looking = looking = in_background("ainerd-disks", self._look)
        return looking

    @property
    def problem(self) -> str | None:
        """Why a disk cannot take an exposure, in a sentence without numbers that change; None if all can."""
        looking = self._looking
        if looking is not None and not looking.done() and time.monotonic() - self._since > SLOW_S:
            return f"the disk of {self._written} or of the frames does not answer"
        return self._fault

    def _look(self) -> None:
        try:
            rooms = {each: _free_mb(each) for each in (self._written, *self._frames) if each.exists()}
            self.free_mb = min(rooms.values(), default=None)
            short = [folder for folder, free in rooms.items() if free == 0 or free < self._least_mb]
            if self._written in rooms and not os.access(self._written, os.W_OK):
                self._fault = f"{self._written} is read-only"
            elif short:
                self._fault = f"{short[0]} has less room than {self._least_mb:g} MB (storage.least_free_mb)"
            else:
                self._fault = None
        except OSError as error:
            self._fault = f"a disk fails: {error}"


def _free_mb(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e6
