"""Whole raw runs, written with `TiledWriter`: those of a source without a RunEngine, and those in its backup."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tiled.client.container import Container

from ainerd.documents import MIMETYPES, Document, RunReader
from ainerd.results import Away, translated

logger = logging.getLogger(__name__)

LONGEST = 200  # characters of an error in the log


def write_run(raw: Container, documents: Sequence[Document], backup: Path | None = None) -> None:
    """Write a run that has ended to Tiled, unless it is there. If a part of it is there, this part is replaced.

    With a folder `backup`, a run that `TiledWriter` cannot write becomes a file there. Otherwise its error is raised.

    Examples
    --------
    >>> write_run(client["raw"], documents)
    >>> run = client["raw"][documents[0][1]["uid"]]
    >>> run.metadata["start"]["plan_name"], run["primary"]["sample_x"].read()
    ('count', array([3., 3., 3., 3., 3.]))
    """
    from bluesky_tiled_plugins import TiledWriter  # half a second

    register_files()
    uid = documents[0][1]["uid"]
    if uid in raw:
        if raw[uid].metadata.get("stop"):
            return
        raw.delete_contents(uid, recursive=True, external_only=False)  # the detector's files stay
    folder = None if backup is None else str(backup)
    write = TiledWriter(
        raw,
        batch_size=len(documents) + 1,
        max_array_size=0,  # the tables of the embedded server hold no arrays
        backup_directory=folder,
        spec_to_mimetype=MIMETYPES,
    )
    for name, doc in documents:
        write(name, doc)


def start_documents(raw: Container, backup: Path, newest: int = 100) -> list[Mapping[str, object]]:
    """Return the start documents of the `newest` runs in Tiled, and of those in the backup of a `TiledWriter`."""
    with translated():
        runs = RunReader.runs_by_time(raw, newest_first=True).values().head(newest)
    starts = [run.metadata.get("start") for run in runs]
    for path in backup.glob("*.jsonl"):
        with suppress(OSError, ValueError, KeyError, TypeError), path.open() as lines:
            starts.append(json.loads(next(lines, ""))["doc"])
    return [start for start in starts if isinstance(start, Mapping)]


def write_backup(raw: Container, backup: Path) -> None:
    """Write the runs to Tiled that lie in the backup of a `TiledWriter`, and remove their files.

    A run that Tiled refuses, or that has no end, stays there, with one line in the log. Raises `Away` if Tiled
    does not take one now.
    """
    for path in sorted(backup.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        try:
            with translated():
                write_run(raw, _first_run([json.loads(line) for line in path.read_text().splitlines()]))
            path.unlink()
        except Away:
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {str(error)[:LONGEST]}"
            logger.warning("the raw run in %s is not written to Tiled, it stays there: %s", path, why)


def _first_run(records: list[Any]) -> list[Document]:
    """Return the documents up to the first end: a run that came twice is twice in its file."""
    documents = [(record["name"], record["doc"]) for record in records]
    names = [name for name, _ in documents]
    if names[:1] != ["start"] or "stop" not in names:
        raise ValueError("it has no start or no end")
    return documents[: names.index("stop") + 1]


@cache
def register_files() -> None:
    """Let `TiledWriter` describe the files of a Rigaku, which Tiled cannot read, as arrays."""
    from bluesky_tiled_plugins.writing.consolidators import CONSOLIDATOR_REGISTRY, ConsolidatorBase

    class OfRigaku(ConsolidatorBase):  # type: ignore[misc]  # it is not typed
        supported_mimetypes = {MIMETYPES["RIGAKU"]}

        def get_data_source(self) -> object:
            known = "application/octet-stream"  # a Tiled server accepts only files of types that it knows
            source = super().get_data_source()
            return replace(source, mimetype=known, parameters={"mimetype": source.mimetype})

    CONSOLIDATOR_REGISTRY.update(dict.fromkeys(OfRigaku.supported_mimetypes, OfRigaku))
