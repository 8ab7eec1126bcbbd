"""The source ``results``: files with two-time maps that a pipeline writes, as they appear.

Each file becomes the documents of a Bluesky run. The same file gives the same documents each time.
"""

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from event_model import compose_run
from tiled.queries import KeyPresent

from ainerd.config import Settings
from ainerd.documents import Document, FrameError, MissingFrames, allowed_file, open_item
from ainerd.results import TiledError, translated
from ainerd.sources import Intake
from ainerd_files._layouts import has_curves
from ainerd_files._maps import MapFile
from ainerd_folder import Metadata
from ainerd_xpcs.technique import RESULT_FILE, RheoXPCS

ONLY_G2 = "it holds g2 and no two-time map: a point and a regime are computed from C2"


@dataclass(frozen=True)
class ResultFile:
    """A result file, as it was at one time.

    Parameters
    ----------
    path : Path
        Without links.
    size : int
    changed : float
        Time of the last change, in seconds since 1970.
    settings : Settings
    row_s : float or None
        Seconds from row to row of the maps, in place of those in the file.
    """

    path: Path
    size: int
    changed: float
    settings: Settings
    row_s: float | None = None

    @cached_property
    def sha256(self) -> str:
        """Digest of the content, without the name."""
        with self.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    @cached_property
    def uid(self) -> str:
        """Uid of the run."""
        return str(uuid5(NAMESPACE_OID, self.sha256))

    @cached_property
    def _about(self) -> MapFile:
        """Layout, times and bins of the maps; the file is closed."""
        if self.path.suffix != ".npy":
            with open_item(self.path, "/", self._roots, is_complete=True):
                pass
        with MapFile(self.path, frame_time_s=self.row_s) as file:
            return file

    def problem(self) -> Exception | None:
        """Return why the maps cannot be read, as far as that shows before they are; None if they can."""
        try:
            self._about  # noqa: B018  (raises)
            return None
        except (FrameError, ValueError, OSError) as error:
            return FrameError(f"{self.path}: {ONLY_G2}") if self._has_only_g2() else error

    def documents(
        self,
        suggestion_of: Callable[[Mapping[str, float]], str | None],
        problem: Exception | None = None,
        replaces: str | None = None,
    ) -> Iterator[Document]:
        """Yield the documents.

        Parameters
        ----------
        suggestion_of : callable
            Returns the id of the suggestion that was fetched for the readings of this file, or None.
        problem : Exception, optional
            Why it cannot be used: then the run has no frames, and its result has the reason.
        replaces : str, optional
            Uid of the run of an earlier content, whose result that of this one supersedes.

        Raises
        ------
        FrameError
            If a value that `[acquisition]` names cannot be used.
        """
        readings, start, began, row_s = dict[str, float](), dict[str, Any](), self.changed, None
        if problem is None:
            (readings, start), file = self._metadata(), self._about
            row_s = file.row_s
            began = self.changed - file.n_stated * row_s if file.began is None else file.began
        about = {"path": str(self.path), "size": self.size, "changed": self.changed}
        start |= {"plan_name": "results", "file": self.path.name}
        start[RESULT_FILE] = about | {"sha256": self.sha256, "row_s": row_s}
        if replaces is not None:
            start["replaces"] = replaces
        if (suggestion := suggestion_of(readings)) is not None:
            start["suggestion_id"] = suggestion
        run = compose_run(uid=self.uid, time=began, metadata=start)
        yield "start", dict(run.start_doc)
        units = self.settings.units_of_keys
        if readings:
            key = {"source": str(self.path), "dtype": "number", "shape": []}
            keys = {name: key | ({"units": units[name]} if name in units else {}) for name in readings}
            stream = run.compose_descriptor(name="baseline", data_keys=keys, time=began, uid=self._uid("baseline"))
            yield "descriptor", dict(stream.descriptor_doc)
            times = dict.fromkeys(readings, began)
            event = stream.compose_event(
                data=readings, timestamps=times, seq_num=1, uid=self._uid("readings"), time=began
            )
            yield "event", dict(event)
        end: dict[str, Any] = {"uid": self._uid("stop"), "time": max(self.changed, began)}
        if problem is not None:
            end |= {"exit_status": "fail", "reason": f"spoilt file: {problem}"}
        yield "stop", dict(run.compose_stop(**end))

    # parts

    def _has_only_g2(self) -> bool:
        try:
            return self.path.suffix != ".npy" and has_curves(self.path)
        except (ValueError, OSError):
            return False

    def _metadata(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Return readings and metadata that the file has at the paths in the settings."""
        keys = self.settings.acquisition
        if self.path.suffix == ".npy":
            return {}, {}
        found = Metadata(self.path, (*keys.readings.values(), *keys.start.values()), self._roots)
        return found.numbers(keys.readings, self.settings.units_of_keys), dict(found.values(keys.start))

    def _uid(self, role: str) -> str:
        return str(uuid5(UUID(self.uid), role))

    @property
    def _roots(self) -> list[Path]:
        return [root.resolve() for root in self.settings.storage.frames]


logger = logging.getLogger(__name__)

ENDINGS = (".h5", ".hdf", ".hdf5", ".nxs", ".npy")
LOOK_S = 0.2  # between two looks at the folder; after a look that takes long, ten times as long as it
SETTLED_S = 1.0  # for which size and time of a file must stay the same
ABANDONED_S = 600.0  # after which a file that its writer has not closed, and that no longer changes, is given up
AWAY_S = 5.0  # between two attempts to reach a server that does not answer
MISSING = (-1, 0.0)  # size and time of a file that was just removed


@dataclass(frozen=True)
class _Seen:
    """A file at a look, and since when it has not changed."""

    size: int
    changed: float
    since: float
    is_done: bool = False


class ResultFiles:
    """Files with two-time maps in a folder and those below it.

    Parameters
    ----------
    address : str
        The folder; ``?frame_time=0.02`` after it are the seconds from row to row of the maps, in place of
        those in the files.
    """

    usage: ClassVar[str] = "results:FOLDER (two-time maps of other programs)"
    writes_runs: ClassVar[bool] = True

    def __init__(self, address: str) -> None:
        place, _, row_s = address.partition("?frame_time=")
        if not place:
            raise ValueError(f"a source without a path: give {self.usage}")
        self._path = Path(place)
        try:
            self._row_s = float(row_s) if row_s else None
        except ValueError:
            self._row_s = 0.0
        if self._row_s is not None and not 0 < self._row_s < math.inf:
            raise ValueError(f"results: frame_time={row_s} is not a time in seconds")
        self._seen: dict[Path, _Seen] = {}
        self._outside = set[str]()  # folders that links lead to
        self._runs: dict[Path, tuple[int, float, str]] = {}  # size, time of change and uid of the newest run of a path

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents of each file that is complete and has no result.

        Raises
        ------
        ValueError
            If there is no such folder, or it lies outside the roots.
        """
        settings = intake.settings
        if settings.technique != RheoXPCS.name or settings.detector.number:
            raise ValueError("results: needs the technique rheo_xpcs, and no detector.frame_number or detector.ticks")
        roots, folder = [root.resolve() for root in settings.storage.frames], self._path
        if not folder.is_dir():
            raise ValueError(f"no folder {folder}: give the folder in which results appear, results:FOLDER")
        if not any(map(folder.resolve().is_relative_to, roots)):
            raise ValueError(f"{folder} lies outside storage.frames ({', '.join(map(str, roots))})")
        done = self._earlier(intake)
        while not intake.stop.is_set():
            now = time.monotonic()
            settled = self._settled(now, roots)
            pause_s = max(LOOK_S, 10 * (time.monotonic() - now))
            for path, seen in settled:
                yield from self._of(path, seen, intake, done)
                if intake.stop.is_set():
                    return
            if intake.once and all(seen.is_done for seen in self._seen.values()):
                break
            intake.stop.wait(pause_s)

    def _earlier(self, intake: Intake) -> set[str]:
        """Return the uids of the runs of earlier sessions that have a result, and note which files they are of."""
        while not intake.stop.is_set():
            try:
                with translated():
                    is_done, done = intake.analysed(), set[str]()
                    for uid, run in intake.raw.search(KeyPresent(f"start.{RESULT_FILE}.sha256")).items():
                        about = run.metadata["start"][RESULT_FILE]
                        if run.metadata.get("stop") and is_done(run):
                            done.add(uid)
                            self._runs[Path(about["path"])] = about["size"], about["changed"], uid
                    return done
            except TiledError as error:
                logger.warning("Tiled does not answer: %s", error)
                intake.stop.wait(AWAY_S)
        return set()

    def _settled(self, now: float, roots: Sequence[Path]) -> list[tuple[Path, _Seen]]:
        """Return the files that have not changed for a time and were not read as they are, oldest first."""
        before, self._seen = self._seen, {}
        for path in self._files(roots):
            try:
                stat = path.stat()
                size, changed = stat.st_size, stat.st_mtime
            except OSError:
                size, changed = MISSING
            seen = before.get(path)
            if seen is None or (seen.size, seen.changed) != (size, changed):
                is_known = self._runs.get(path, MISSING)[:2] == (size, changed) != MISSING
                seen = _Seen(size, changed, now, is_done=is_known)
            self._seen[path] = seen
        settled = [each for each in self._seen.items() if not each[1].is_done and now - each[1].since >= SETTLED_S]
        return sorted(settled, key=lambda each: (each[1].changed, each[0]))

    def _files(self, roots: Sequence[Path]) -> Iterator[Path]:
        """Yield the files below the folder, also in folders that are links; those that begin with a dot are hidden."""
        known = set[Path]()
        for parent, folders, names in os.walk(self._path.resolve(), followlinks=True):
            place = Path(parent).resolve()
            folders[:] = [name for name in folders if not name.startswith(".")]
            if place in known or not any(map(place.is_relative_to, roots)):
                folders.clear()
                if place not in known and parent not in self._outside:
                    self._outside.add(parent)
                    logger.warning("%s is left out: it leads outside storage.frames, to %s", parent, place)
                continue
            known.add(place)
            yield from (Path(parent, name) for name in names if name.endswith(ENDINGS) and not name.startswith("."))

    def _of(self, path: Path, seen: _Seen, intake: Intake, done: set[str]) -> Iterator[Document]:
        """Yield the documents of a file, unless it is half-written, or its content has a result."""
        settings, quiet_s = intake.settings, time.monotonic() - seen.since
        try:
            file = ResultFile(
                allowed_file(path, settings.storage.frames), seen.size, seen.changed, settings, self._row_s
            )
        except FrameError as error:  # there is no such file, or it lies outside the roots
            if not isinstance(error, MissingFrames) or quiet_s > settings.storage.late_s:
                logger.warning("%s is left out: %s", path, error)
                self._seen[path] = replace(seen, is_done=True)
            return
        problem = file.problem()
        patience_s = ABANDONED_S if isinstance(problem, MissingFrames) else settings.storage.late_s
        if problem is not None and quiet_s <= patience_s:
            return
        documents = list[Document]()
        try:
            if file.uid not in done:
                replaces = self._runs.get(file.path, (*MISSING, None))[2]
                try:
                    documents = list(file.documents(intake.suggestion_at, problem, replaces))
                except FrameError as error:
                    documents = list(file.documents(intake.suggestion_at, error, replaces))
            stat = path.stat()
        except (OSError, ValueError):  # it is written again: the next look sees it
            return
        if (stat.st_size, stat.st_mtime) != (seen.size, seen.changed):
            return
        self._seen[path], self._runs[file.path] = replace(seen, is_done=True), (seen.size, seen.changed, file.uid)
        done.add(file.uid)
        yield from documents
