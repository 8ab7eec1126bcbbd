"""What people wrote about runs: lines of the log that know their run."""

from collections.abc import Mapping, Sequence
from typing import Any

from tiled.client.container import Container

from ainerd.results._nodes import read_nodes

KIND = "note"  # by which they are found among the other lines

Notes = Sequence[Mapping[str, Any]]


def read_notes(log: Container) -> list[Mapping[str, Any]]:
    """Metadata of the notes, oldest first; one request."""
    return [said for _, said in read_nodes(log, kind=KIND)]


def notes_on(key: str, said: Mapping[str, Any], notes: Notes) -> list[str]:
    """What is noted on a result, or on its whole run; `said` are its metadata."""
    runs = {said.get("raw_uid"), *(said.get("raw_uids") or ())}
    return [
        str(note["note"])
        for note in notes
        if note.get("result") == key or ("result" not in note and note.get("raw_uid") in runs)
    ]
