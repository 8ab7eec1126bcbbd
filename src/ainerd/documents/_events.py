"""Files of a Rigaku detector in its zero-deadtime mode, which an analysis reads by itself.

A file is of words of eight bytes, little-endian, in the order of the frames. Bits 63 to 40 are the number
of the frame, which wraps after 2²⁴. Files of 500k pixels are one, ``NAME.bin``; of 3M there are six, one for each
module, ``NAME.bin.000`` to ``.005``. No public document of Bluesky names such files by a StreamResource: the MIME type
is ours.
Resource documents with spec ``RIGAKU``, ``frames_per_point`` and the `index` of a datum are those of APS 8-ID-I
(``ipython-8idiuser``, class ``Rigaku_8IDI``).
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from ainerd.documents._storage import FrameError, MissingFrames, allowed_file
from ainerd.technique import EventReader, RunAnalysis

RIGAKU = "application/x-rigaku"
MODULE = 512, 1024  # rows and columns of 500k; of 3M there are more
N_MODULES = 6  # of 3M
QUIET_S, OLD_S = 0.5, 10.0  # without growth, and since the last change: after these a file is taken as it is


class EventFrames:
    """Frames of the files of one exposure, as a reader of the analysis gives them.

    Frames that were announced may not be visible yet, as on a file system of the network, and nothing tells them from
    frames without an event. They are late until each file holds an event of the last one, or no file has changed for
    `QUIET_S`.
    """

    def __init__(self, files: list[Path], reader: EventReader) -> None:
        self._files, self._reader = files, reader
        self._size, self._since = -1, 0.0

    @classmethod
    def open(
        cls, path: Path, shape: tuple[int, int], roots: Iterable[Path], pixel_order: str, analysis: RunAnalysis | None
    ) -> Self:
        """Open the files of a detector whose frames have this shape, (ny, nx); `path` is the first of them.

        Raises
        ------
        MissingFrames
            If one of the files does not exist (yet).
        FrameError
            If one is outside the allowed roots, the analysis takes no events, or the order of pixels is not known.
        """
        files = cls.files(path, shape, roots)
        if not pixel_order:
            raise FrameError(
                f"{path} does not contain the order of its pixels: set detector.pixel_order to 'rows', as boost_corr "
                "reads them, or to 'columns', as xpcs-eigen does"
            )
        try:
            reader = None if analysis is None else analysis.open_events(path, pixel_order)
        except ValueError as error:
            raise FrameError(f"{path}: {error}") from error
        if reader is None:
            raise FrameError(f"{path} holds events, and the technique reads only frames")
        return cls(files, reader)

    @staticmethod
    def files(path: Path, shape: tuple[int, int], roots: Iterable[Path]) -> list[Path]:
        """Return the files of an exposure, as `open` takes them, if all are there and below the roots."""
        stem = path.with_suffix("") if path.suffix[1:].isdigit() else path
        names = [stem.with_name(f"{stem.name}.{number:03d}") for number in range(N_MODULES)]
        files, folders = [path] if shape == MODULE else names, tuple(roots)
        for file in files:
            allowed_file(file, folders)
        return files

    def blocks(self, start: int, stop: int, *, whole: Any) -> Iterator[Any]:
        """Yield frames start … stop - 1 of the files in blocks of the analysis, as `FrameReader.blocks` does."""
        if not self._reader.reaches(stop):
            if self._are_changing():
                raise MissingFrames(f"{self._files[0]} has no event of frame {stop - 1} yet, which was announced")
            if cut := [file for file in self._files if file.stat().st_size % 8]:
                raise FrameError(f"{cut[0]} ends within a word, before frame {stop - 1}")
        try:
            yield from self._reader.blocks(start, stop, whole.viewer, whole.first)
        except (OSError, ValueError) as error:
            raise FrameError(str(error)) from error

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def _are_changing(self) -> bool:
        stats, now = [file.stat() for file in self._files], time.monotonic()
        size = sum(stat.st_size for stat in stats)
        if size != self._size:
            self._size, self._since = size, now
        return now - self._since < QUIET_S and time.time() - max(stat.st_mtime for stat in stats) < OLD_S
