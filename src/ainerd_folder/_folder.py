"""Follow a folder in which a beamline without documents puts its acquisitions, each in a folder of its own."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.documents import Document, FrameError, MissingFrames
from ainerd.results import Away, Refused, TiledError, translated
from ainerd.sources import Intake
from ainerd_folder._acquisition import AcquisitionFiles
from ainerd_folder._counting import ENDINGS

logger = logging.getLogger(__name__)

LOOK_S = 0.05  # between two looks at the folder
SETTLED_S = 0.1  # for which size and time of all files must stay the same
ABANDONED_S = 600.0  # after which a file that is not closed, and no longer changes, is taken as it is
AWAY_S = 5.0  # between two questions to a server that does not answer
BATCH = 100  # uids in one question to Tiled
FRAMES = ((".h5",), *ENDINGS)  # endings of their files


class FolderOfAcquisitions:
    """A folder in which a beamline without documents puts its acquisitions. No other agent may follow it meanwhile."""

    usage: ClassVar[str] = "folder:PATH (acquisitions of a beamline without documents)"
    writes_runs: ClassVar[bool] = True

    def __init__(self, address: str) -> None:
        if not address:
            raise ValueError(f"a source without a path: give {self.usage}")
        self._path = Path(address)

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents of each acquisition that is complete and has no result."""
        settings = intake.settings
        roots = tuple(root.resolve() for root in settings.storage.frames)
        pattern = AcquisitionFiles(self._path, settings.acquisition, settings.detector, roots, settings.units_of_keys)
        folder = Folder(self._path, pattern, settings.storage.late_s)
        for documents in folder_documents(folder, intake):
            yield from documents


@dataclass(frozen=True)
class _Seen:
    """Names, sizes and times of the files of an acquisition, and since when they have not changed."""

    files: tuple[tuple[str, int, int], ...]  # name, size, time of the last change
    since: float
    refused: str = ""  # why they cannot be used as they are

    @property
    def changed(self) -> int:
        """Time of the last change, in ns."""
        return max(changed for *_, changed in self.files)


class Folder:
    """Finds complete acquisitions in a folder. Each is found once.

    An acquisition is complete when frames and metadata are there, names, sizes and times of its files have not changed
    for `SETTLED_S`, HDF5 opens them as files that nobody writes, and the frames are as many as the metadata announce.
    If the frames stay fewer, if they are events whose number is not announced, or if the CSV does not come, it counts
    as complete `late_s` after the last change. A file that is never closed counts `ABANDONED_S` after its last change,
    if it holds a frame.

    Parameters
    ----------
    path : Path
    pattern : AcquisitionFiles
        Its keys, detector and roots; its folder does not count.
    late_s : float

    Raises
    ------
    ValueError
        If there is no such folder, or it lies outside the roots.
    """

    def __init__(self, path: Path, pattern: AcquisitionFiles, late_s: float) -> None:
        if not path.is_dir():
            raise ValueError(f"no folder {path}: give the folder that contains the acquisitions, folder:PATH")
        self._path = path.resolve()
        if not any(self._path.is_relative_to(root) for root in pattern.roots):
            roots = ", ".join(map(str, pattern.roots))
            raise ValueError(f"{path} lies outside storage.frames ({roots}): frames may be read only from there")
        self._pattern, self._late_s = pattern, late_s
        self._seen: dict[str, _Seen] = {}
        self._done: set[str] = set()

    @property
    def is_growing(self) -> bool:
        """Whether an acquisition with frames and metadata may still become complete."""
        return any(not seen.refused for seen in self._seen.values())

    def look(self) -> list[AcquisitionFiles]:
        """Return the acquisitions that are complete and were not returned before, oldest first."""
        now, complete = time.monotonic(), []
        for name in self._names():
            seen = self._files(name, now)
            if seen is None or seen.refused or now - seen.since < SETTLED_S:
                continue
            if (acquisition := self._complete(name, seen, now - seen.since)) is not None:
                complete.append((seen.changed, acquisition))
        complete.sort(key=lambda each: (each[0], each[1].folder))
        for _, acquisition in complete:
            self._done.add(acquisition.folder.name)
            del self._seen[acquisition.folder.name]
        return [acquisition for _, acquisition in complete]

    def refuse(self, acquisition: AcquisitionFiles, error: Exception) -> None:
        """Log why an acquisition cannot be used. It is tried again once its files have changed."""
        name = acquisition.folder.name
        seen = self._files(name, time.monotonic())
        self._done.discard(name)
        if seen is not None and not seen.refused:
            why = str(error) if isinstance(error, FrameError) else f"{type(error).__name__}: {error}"
            logger.warning("%s is left out until it changes: %s", acquisition.folder, why)
            self._seen[name] = replace(seen, refused=why)

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._path) as entries:
                names = {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()}
                return [*names - self._done]
        except OSError as error:  # such as a file system that does not answer
            logger.warning("%s cannot be read: %s", self._path, error)
            return []

    def _files(self, name: str, now: float) -> _Seen | None:
        """Return the names, sizes and times of the files of an acquisition; None without frames or metadata."""
        try:
            with os.scandir(self._path / name) as entries:
                stats = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
        except OSError:  # it was just removed
            return None
        files = tuple(sorted((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))
        known = {file for file, *_ in files}
        has_frames = any({f"{name}{ending}" for ending in endings} <= known for endings in FRAMES)
        if not has_frames or f"{name}_metadata.hdf" not in known:
            return None
        if name not in self._seen or self._seen[name].files != files:
            self._seen[name] = _Seen(files, now)
        return self._seen[name]

    def _complete(self, name: str, seen: _Seen, quiet_s: float) -> AcquisitionFiles | None:
        """Return an acquisition whose files have not changed for a time, if it is complete."""
        growing = quiet_s > ABANDONED_S
        acquisition = replace(self._pattern, folder=self._path / name, growing=growing)
        try:
            n, wanted, _ = acquisition.n_frames, acquisition.n_wanted, acquisition.uid  # reads both files
            is_whole = n >= wanted and (acquisition.record is not None or not acquisition.keys.record)
            is_whole = is_whole and acquisition.is_counted
        except MissingFrames:  # it is being written
            return None
        except Exception as error:  # whatever the files hold, the others are served
            if quiet_s > self._late_s:  # such as a file whose first bytes are not on a slow file system yet
                self.refuse(acquisition, error)
            return None
        return acquisition if n and (is_whole or quiet_s > self._late_s) else None


def folder_documents(folder: Folder, intake: Intake) -> Iterator[list[Document]]:
    """Yield the documents of each acquisition, all in one list, until the intake stops.

    Acquisitions whose run is in the catalog, has ended there, and has its results are left out. If Tiled does not
    answer, they wait.
    """
    is_done = intake.analysed()
    while not intake.stop.is_set():
        began = time.monotonic()
        acquisitions = folder.look()
        pause_s = max(LOOK_S, 10 * (time.monotonic() - began))  # a folder of many takes long
        for first in range(0, len(acquisitions), BATCH):
            some = acquisitions[first : first + BATCH]
            known = _known(some, intake, is_done)
            for acquisition in some:
                if intake.stop.is_set():
                    return
                if acquisition.uid in known:
                    continue
                try:
                    with translated():
                        documents = list(acquisition.documents(intake.suggestion_at))
                except (Away, Refused):  # of the search for the suggestion
                    raise
                except Exception as error:  # one acquisition must not stop those behind it
                    folder.refuse(acquisition, error)
                    continue
                yield documents
        if intake.once and not folder.is_growing:
            return
        intake.stop.wait(pause_s)


def _known(some: list[AcquisitionFiles], intake: Intake, is_done: Callable[[Container], bool]) -> set[str]:
    """Return the uids of acquisitions that are done, as soon as Tiled answers."""
    while not intake.stop.is_set():
        try:
            with translated():
                runs = intake.raw.search(KeysFilter([acquisition.uid for acquisition in some])).items()
                return {uid for uid, run in runs if run.metadata.get("stop") and is_done(run)}
        except TiledError as error:
            logger.warning("Tiled does not answer: %s", error)
            intake.stop.wait(AWAY_S)
    return set()
