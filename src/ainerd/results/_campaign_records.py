"""The part of the store that keeps what campaigns write beside results: suggestions, atlases and the log."""

import time
import uuid
from collections.abc import Collection, Mapping

import pandas as pd
from tiled.client.container import Container

from ainerd.results._mirror import Mirror
from ainerd.results._nodes import create_node, newest_key, read_nodes
from ainerd.results._notes import KIND, Notes, read_notes
from ainerd.results._record import now
from ainerd.results._records import AtlasRecord, LogRecord, SuggestionRecord
from ainerd.results._tables import log_table, suggestion_table

_NO_LABELS: Mapping[str, int] = {}


class CampaignRecords:
    """Suggestions with their status, versions of the atlas, and the log.

    `scope` has the agent and the digest that atlases are of, as far as they are given; suggestions and the log are the
    agent's.
    """

    def __init__(self, suggestions: Container, atlas: Container, log: Container, scope: Mapping[str, str]) -> None:
        self._suggestions, self._atlas, self._log = suggestions, atlas, log
        self._atlas_scope, self._agent = dict(scope), scope.get("agent")
        self._lines = Mirror(log, lambda line: True)
        self._known: dict[bool, tuple[str, AtlasRecord]] = {}  # newest atlas that was read or written: of all, of ours

    def add_suggestion(self, record: SuggestionRecord) -> str:
        """Keep a suggestion, and return its id; one of the same id is left as it is."""
        create_node(self._suggestions, record.id, record.metadata(), "AinerdSuggestion")
        return record.id

    def set_status(
        self,
        id: str,
        status: str,
        reason: str | None = None,
        raw_uid: str | None = None,
        *,
        by: str | None = None,
        instead_of: Collection[str] | None = None,
    ) -> bool:
        """Say what became of a suggestion; KeyError or ValueError if there is no such suggestion or status.

        Parameters
        ----------
        id, status : str
        reason : str, optional
            Why, where it was not measured.
        raw_uid : str, optional
            The run that measured it; what is there stays without it.
        by : str, optional
            Who says so: the agent whose store this is without it, else "person".
        instead_of : collection of str, optional
            Only if the status is one of these now.

        Returns
        -------
        bool
            False if nothing was changed; in an agent's own store that of another agent never is.

        Raises
        ------
        KeyError, ValueError
            If there is no such suggestion, or no such status.
        """
        try:
            node = self._suggestions[id]
        except KeyError:
            raise KeyError(f"no suggestion {id!r}: see store.suggestions()") from None
        record = SuggestionRecord.from_metadata(node.metadata)
        if self._agent and record.agent not in (None, self._agent):
            return False
        if instead_of is not None and record.status not in instead_of:
            return False
        about = {"status_reason": reason, "status_by": by or self._agent or "person", "status_time": now()}
        changed = record.changed(status=status, raw_uid=raw_uid or record.raw_uid, **about)
        node.replace_metadata(changed.metadata())
        return True

    def suggestions(self) -> pd.DataFrame:
        """All suggestions by time, index ``id``, the numbers behind the reason as ``terms.<name>``."""
        return suggestion_table(dict(read_nodes(self._suggestions, agent=self._agent)))

    def next_suggestion(self, agent: str | None = None) -> SuggestionRecord | None:
        """The newest suggestion that nobody has accepted or rejected; None if there is none. One request.

        ValueError if several agents have one and none is named, by `agent` or as whose store this is.
        """
        agent = agent or self._agent
        found = [said for _, said in read_nodes(self._suggestions, status="proposed", agent=agent)]
        agents = sorted({str(said.get("agent")) for said in found})
        if len(agents) > 1:
            raise ValueError(f"several agents have suggestions ({', '.join(agents)}): give one, agent={agents[0]!r}")
        return SuggestionRecord.from_metadata(found[-1]) if found else None

    def add_atlas(self, record: AtlasRecord) -> AtlasRecord:
        """Keep a refit of the regimes, and return it as it is kept: with a version, one more than the newest.

        Results that it does not name keep the label of the newest one, whoever writes at the same time, so that the
        newest atlas of all labels every result.
        """
        newest = self._known[False][1] if False in self._known else self._newest({})
        while True:
            version, labels = ((newest.version or 0) + 1, newest.labels) if newest else (1, {})
            about = {"version": version, "labels": {**labels, **record.labels}}
            kept, key = record.changed(**about, **self._atlas_scope), f"{version:06d}"
            if create_node(self._atlas, key, kept.metadata(), "AinerdAtlas")[1]:
                break
            newest = self._newest({})  # another writer was faster
        self._known = {False: (key, kept), True: (key, kept)}
        return kept

    def newest_atlas(self) -> AtlasRecord | None:
        """The regimes as the newest refit saw them; None before the first."""
        return self._newest(self._atlas_scope)

    def log(self, text: str, **ids: str | int | float | None) -> None:
        """Write a line; `ids` say what it is about, such as ``raw_uid=...``."""
        self._add_line(LogRecord.model_validate({"text": text, "agent": self._agent, "ids": ids}))

    def note(self, text: str, *, raw_uid: str, scan: str, result: str | None = None) -> None:
        """Write what a person notes on a run, or on one `result` of it; `scan` is how the line calls it."""
        ids = {"kind": KIND, "note": text, "raw_uid": raw_uid, "result": result}
        self._add_line(LogRecord.model_validate({"text": f"a person noted on scan {scan}: {text}", "ids": ids}))

    def notes(self) -> Notes:
        """What people noted on runs, oldest first, each with ``note``, ``raw_uid`` and ``created``. One request."""
        return read_notes(self._log)

    def logbook(self) -> pd.DataFrame:
        """All lines by time, with what they are about; in an agent's own store its lines and those of nobody."""
        lines = self._lines.read()
        mine = {key: said for key, said in lines.items() if said.get("agent") in (None, self._agent)}
        return log_table(mine if self._agent else lines)

    def current_labels(self) -> Mapping[str, int]:
        """Regime of each result by its key, as in the newest atlas; the same object as long as that is the newest."""
        atlas = self.newest_atlas() or (self._newest({}) if self._atlas_scope else None)
        return atlas.labels if atlas else _NO_LABELS

    def _add_line(self, record: LogRecord) -> None:
        key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        create_node(self._log, key, record.metadata(), "AinerdLog")

    def _newest(self, scope: Mapping[str, str]) -> AtlasRecord | None:
        key, ours = newest_key(self._atlas, **scope), bool(scope)
        if key is None:
            return None
        if ours not in self._known or self._known[ours][0] != key:
            self._known[ours] = key, AtlasRecord.from_metadata(self._atlas[key].metadata)
        return self._known[ours][1]
