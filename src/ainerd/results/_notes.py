"""What people wrote about runs: lines of the log that know their run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tiled.client.container import Container

from ainerd.results._columns import Columns
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


def noted_on(results: Columns, notes: Notes) -> dict[str, list[str]]:
    """What is noted on each of the results that something is noted on, by key."""
    if not notes:
        return {}
    keys, runs = ({str(note.get(name)) for note in notes} for name in ("result", "raw_uid"))
    may_be = results.frame.index.isin([*keys]) | np.isin(results.column("raw_uid").astype(object), [*runs])
    if (series := results.nested.get("raw_uids")) is not None:
        may_be |= np.array([bool(value and runs & {*value}) for value in series.values])[series.codes]
    some = results.at(np.asarray(may_be, bool))
    said = zip(some.frame.index, some.column("raw_uid"), some.values("raw_uids"), strict=True)
    found = {key: notes_on(key, {"raw_uid": uid, "raw_uids": uids}, notes) for key, uid, uids in said}
    return {key: texts for key, texts in found.items() if texts}
