"""The run to which a document belongs."""

from collections.abc import Mapping
from typing import Any

# The key with which each kind of document names another one of its run.
REFERS = {
    **dict.fromkeys(("descriptor", "stop", "resource", "stream_resource"), "run_start"),
    **dict.fromkeys(("event", "event_page"), "descriptor"),
    **dict.fromkeys(("datum", "datum_page"), "resource"),
    "stream_datum": "stream_resource",
}
OWNERS = ("start", "descriptor", "resource", "stream_resource")  # other documents name them


class Routes:
    """Finds the run in progress to which a document belongs, with any contents.

    `event_model.RunRouter` does this too, but it raises at empty pages and repeated documents, and packs events.

    Examples
    --------
    >>> routes = Routes()
    >>> [routes.of(name, doc) for name, doc in documents[:3]] == [documents[0][1]["uid"]] * 3
    True
    >>> routes.of("event", {"descriptor": "of another run"}) is None
    True
    """

    def __init__(self) -> None:
        self._runs: dict[str, str] = {}  # uid of the run, by uid of a document; of runs in progress

    def of(self, name: str, doc: Mapping[str, Any]) -> str | None:
        """Return the uid of the run of a document; None if its run did not begin here, or has ended."""
        uid, refers = doc.get("uid"), doc.get(REFERS.get(name, ""))
        if name == "start":
            run = uid if isinstance(uid, str) and uid not in self._runs else None
        else:
            run = self._runs.get(refers) if isinstance(refers, str) else None
        if run is not None and isinstance(uid, str) and name in OWNERS:
            self._runs.setdefault(uid, run)
        if name == "stop":
            self._runs = {known: of for known, of in self._runs.items() if of != run}
        return run
