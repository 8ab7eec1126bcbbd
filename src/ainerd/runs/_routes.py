"""The run to which a document belongs."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

# The key with which each kind of document names another one of its run.
REFERS = {
    **dict.fromkeys(("descriptor", "stop", "resource", "stream_resource"), "run_start"),
    **dict.fromkeys(("event", "event_page"), "descriptor"),
    **dict.fromkeys(("datum", "datum_page"), "resource"),
    "stream_datum": "stream_resource",
}


class Routes:
    """Finds the runs in progress to which a document belongs, with any contents.

    `event_model.RunRouter` does this too, but it raises at empty pages and repeated documents, and packs events.

    Examples
    --------
    >>> routes = Routes()
    >>> [routes.of(name, doc) for name, doc in documents[:3]] == [[documents[0][1]["uid"]]] * 3
    True
    >>> routes.of("event", {"descriptor": "of another run"})
    []
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[str]] = {}  # uids of runs, by uid of a document
        self._uids: dict[str, list[str]] = defaultdict(list)  # of the documents of a run in progress

    def of(self, name: str, doc: Mapping[str, Any]) -> list[str]:
        """Return the uids of the runs of a document: none if its run did not begin here, or has ended.

        Old resources do not name their run; they belong to all runs in progress.
        """
        uid = doc.get("uid")
        if name == "start":
            if not isinstance(uid, str) or uid in self._uids:
                return []
            self._uids[uid], self._runs[uid] = [uid], [uid]
            return [uid]
        refers = doc.get(REFERS.get(name, ""))
        if refers is None and name in ("resource", "stream_resource"):
            runs = [*self._uids]
        else:
            runs = self._runs.get(refers, []) if isinstance(refers, str) else []
        if name in ("descriptor", "resource", "stream_resource") and isinstance(uid, str) and uid not in self._runs:
            self._runs[uid] = runs
            for run in runs:
                self._uids[run].append(uid)
        if name == "stop":
            for run in runs:
                for known in self._uids.pop(run, ()):
                    self._runs.pop(known, None)
        return runs
