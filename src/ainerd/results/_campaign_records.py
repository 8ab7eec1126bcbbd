"""The part of the store that keeps what campaigns write beside results: suggestions, atlases and the log."""

import logging
import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress

import pandas as pd
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.results._columns import Columns
from ainerd.results._mirror import Mirror
from ainerd.results._nodes import Search, create_node, newest_key, newest_nodes, newest_of, nodes_from, read_nodes
from ainerd.results._notes import KIND, Notes, read_notes
from ainerd.results._record import utc_now
from ainerd.results._records import AtlasRecord, LogRecord, SuggestionRecord
from ainerd.results._sound import Sound, line_problem, suggestion_problem
from ainerd.results._tables import log_table, suggestion_table

logger = logging.getLogger(__name__)

MOST_WRITTEN = 100
MOST_OPEN = 50  # of the newest suggestions: those before are of long ago
OPEN = ("proposed", "accepted")  # statuses of suggestions that something is still to become of
_NO_LABELS: Mapping[str, int] = {}


class CampaignRecords:
    """Suggestions with their status, versions of the atlas, and the log.

    `scope` has the agent and the digest that atlases are of, as far as they are given; suggestions and the log are the
    agent's.
    """

    def __init__(self, suggestions: Container, atlas: Container, log: Container, scope: Mapping[str, str]) -> None:
        self._suggestions, self._atlas, self._log = suggestions, atlas, log
        self._atlas_scope, self._agent = dict(scope), scope.get("agent")
        self._lines = Mirror(log, wrong=line_problem)
        self._sound_lines = Sound("log line", line_problem)
        self._sound_suggestions = Sound("suggestion", suggestion_problem)
        self._written: dict[str, tuple[Container, SuggestionRecord]] = {}  # suggestions of this store that are open
        # newest atlas that was read or written: of all, of ours
        self._known: dict[bool, tuple[str, AtlasRecord | None]] = {}
        self._own_atlas: str | None = None  # key of the newest one, if this store wrote it

    def add_suggestion(self, record: SuggestionRecord) -> str:
        """Keep a suggestion, and return its id; one of the same id is left as it is."""
        node, is_new = create_node(self._suggestions, record.id, record.metadata(), "AinerdSuggestion")
        if is_new:
            self._written[record.id] = node, record
            for old in list(self._written)[:-MOST_WRITTEN]:
                del self._written[old]
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
        node, record = self._written.pop(id, (None, None)) if instead_of is None else (None, None)
        if node is None or record is None:  # else it is as this store wrote it, but for its status
            try:
                node = self._suggestions[id]
            except KeyError:
                raise KeyError(f"no suggestion {id!r}: see store.suggestions()") from None
            record = SuggestionRecord.from_metadata(node.metadata)
        if self._agent and record.agent not in (None, self._agent):
            return False
        if instead_of is not None and record.status not in instead_of:
            return False
        about = {"status_reason": reason, "status_by": by or self._agent or "person", "status_time": utc_now()}
        changed = record.changed(status=status, raw_uid=raw_uid or record.raw_uid, **about)
        node.replace_metadata(changed.metadata())
        if status == "accepted":  # what becomes of it follows
            self._written[id] = node, changed
        return True

    def suggestion(self, id: str) -> SuggestionRecord:
        """One suggestion; KeyError if there is none of that id."""
        return SuggestionRecord.from_metadata(self._suggestions[id].metadata)

    def suggestions(self, status: str | None = None) -> pd.DataFrame:
        """All suggestions by time, or those of a status; index ``id``, terms of the reason as ``terms.<name>``."""
        found = dict(read_nodes(self._suggestions, agent=self._agent, status=status))
        return suggestion_table(self._sound_suggestions.of(found))

    def suggestion_counts(self) -> dict[str, int]:
        """How many suggestions there are of each status, however many. One request."""
        some = self._suggestions if self._agent is None else self._suggestions.search(Key("agent") == self._agent)
        found = some.distinct("status", counts=True)["metadata"]["status"]
        return {each["value"]: each["count"] for each in found}

    def open_suggestions(self) -> list[SuggestionRecord]:
        """Those of the agent's newest that are proposed or accepted, the newest first. One request."""
        found = []
        for _, said in newest_nodes(self._suggestions, MOST_OPEN, agent=self._agent):
            with suppress(ValidationError, KeyError, TypeError):  # somebody else's, or changed by hand
                record = SuggestionRecord.from_metadata(said)
                if record.status in OPEN and record.proposed_by is None:
                    found.append(record)
        return found

    def is_logged(self, result: str) -> bool:
        """Whether a line of the log is about a result, by its key. One request."""
        return newest_key(self._log, result=result) is not None

    def next_suggestion(self, agent: str | None = None) -> SuggestionRecord | None:
        """The newest suggestion that nobody has accepted or rejected; None if there is none. One request.

        One that somebody else than an agent proposed is none before a person took it. ValueError if several agents
        have one and none is named, by `agent` or as whose store this is.
        """
        agent = agent or self._agent
        found = [said for _, said in read_nodes(self._suggestions, status="proposed", agent=agent)]
        found = [said for said in found if not said.get("proposed_by")]
        agents = sorted({str(said.get("agent")) for said in found})
        if len(agents) > 1:
            raise ValueError(f"several agents have suggestions ({', '.join(agents)}): give one, agent={agents[0]!r}")
        for said in reversed(found):
            with suppress(ValidationError, KeyError, TypeError):  # somebody else's, or changed by hand
                return SuggestionRecord.from_metadata(said)
        return None

    def add_atlas(self, record: AtlasRecord, *, if_newest: bool = False) -> AtlasRecord | None:
        """Keep a refit of the regimes, and return it as it is kept: with a version, one more than the newest.

        Results that it does not name keep the label of the newest one, whoever writes at the same time, so that the
        newest atlas of all labels every result. With `if_newest`, None if that was not the one this store wrote: look
        at its labels first.
        """
        newest, version = (self._known[False][1] if False in self._known else self._newest({})), 0
        while True:
            # higher than a node that is no atlas, if there is one of that key
            version = max(version, (newest.version or 0) if newest else 0) + 1
            about = {"version": version, "labels": {**(newest.labels if newest else {}), **record.labels}}
            kept, key = record.changed(**about, **self._atlas_scope), f"{version:06d}"
            if create_node(self._atlas, key, kept.metadata(), "AinerdAtlas")[1]:
                break
            if if_newest and self._own_atlas is not None:
                self._own_atlas = None
                return None
            newest = self._newest({})  # another writer was faster
        self._known = {False: (key, kept), True: (key, kept)}
        self._own_atlas = key
        return kept

    def own_labels(self) -> Mapping[str, int]:
        """As `current_labels`, but not asked for where this store wrote the newest atlas it knows; see `add_atlas`."""
        known = self._known.get(True, (None, None))
        return known[1].labels if known[1] and known[0] == self._own_atlas else self.current_labels()

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

    def logbook(self, raw_uid: str | None = None) -> pd.DataFrame:
        """All lines by time, or those about a run; in an agent's own store its lines and those of nobody."""
        if raw_uid is None:
            read = self._lines.read()
        else:
            read = Columns.of(dict(read_nodes(self._log, raw_uid=raw_uid)), line_problem)
        lines = self._sound_lines.at(read)
        whose = lines.column("agent")
        return log_table(lines.at((whose == self._agent) | pd.isna(whose)) if self._agent else lines)

    def searches(self) -> list[Search]:
        """What `current_labels` and `notes` ask."""
        ours = [newest_of(self._atlas, **self._atlas_scope)]
        of_all = [newest_of(self._atlas)] if self._atlas_scope and not self._known.get(True, ("", None))[1] else []
        return [*ours, *of_all, nodes_from(self._log, kind=KIND)]

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
            self._known[ours] = key, self._parsed(key, scope)
        return self._known[ours][1]

    def _parsed(self, key: str, scope: Mapping[str, str]) -> AtlasRecord | None:
        """The atlas of that key, or the newest before it that is one."""
        try:
            return AtlasRecord.from_metadata(self._atlas[key].metadata)
        except (ValidationError, KeyError, TypeError) as error:
            logger.warning("atlas %s is left out: %s", key, type(error).__name__)
        for _, said in reversed(list(read_nodes(self._atlas, 0, **scope))):
            with suppress(ValidationError, KeyError, TypeError):
                return AtlasRecord.from_metadata(said)
        return None
