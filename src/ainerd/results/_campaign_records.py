"""The part of the store for the records of campaigns besides results: suggestions, atlases and the log."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import pandas as pd
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.results._errors import Refused, translated
from ainerd.results._nodes import create_node, newest_key, read_nodes
from ainerd.results._records import AtlasRecord, LogRecord, SuggestionRecord
from ainerd.results._table import NodeFilter, NodeTable, Notes, frame_of
from ainerd.results.commands import new_id
from ainerd.words import printable, sender, utc_now

logger = logging.getLogger(__name__)

MOST_WRITTEN = 100
_PARTS = ("results", "suggestions", "atlas", "log")
NOTE = "note"  # kind of the log lines that are notes
_INVALID = (ValidationError, KeyError, TypeError)  # somebody else wrote the node, or changed it by hand
_NO_LABELS: Mapping[str, int] = {}
_SUGGESTION = ["created", "status", "reason", "status_reason", "status_by", "status_time", "raw_uid"]


class CampaignRecords:
    """Suggestions with their status, versions of the atlas, and the log; the parameters are those of `ResultStore`.

    ``counters`` has the number of nodes that this store wrote or changed in each container.
    """

    def __init__(self, ainerd: Container, *, agent: str | None = None, digest: str | None = None) -> None:
        parts = dict(ainerd.search(KeysFilter([*_PARTS])).items())
        if missing := ", ".join(name for name in _PARTS if name not in parts):
            raise ValueError(
                f"{ainerd.uri} has no {missing}: give client['ainerd'] after ainerd.server.open_catalog(client)"
            )
        self.container, self.agent = ainerd, agent
        self.counters = Counter({"results": 0, "suggestions": 0, "atlas": 0, "log": 0})
        self._results, self._suggestions, self._atlas, self._log = (parts[name] for name in _PARTS)
        self._scope = {name: x for name, x in {"agent": agent, "digest": digest}.items() if x is not None}
        self._valid_lines = NodeFilter("log line", LogRecord.problem)
        self._valid_suggestions = NodeFilter("suggestion", SuggestionRecord.problem)
        self._lines = NodeTable(self._log, self._valid_lines, [*LogRecord.model_fields])
        self._written: dict[str, tuple[Container, SuggestionRecord]] = {}  # open suggestions of this store
        self._known = dict[tuple[tuple[str, str], ...], tuple[str, AtlasRecord | None]]()  # by scope, with its key

    def add_suggestion(self, record: SuggestionRecord) -> str:
        """Write a suggestion and return its id. An existing suggestion with this id stays unchanged."""
        node, is_new = create_node(self._suggestions, record.id, record.metadata(), "AinerdSuggestion")
        if is_new:
            self.counters["suggestions"] += 1
            self._written[record.id] = node, record
            for old in list(self._written)[:-MOST_WRITTEN]:
                del self._written[old]
        return record.id

    @translated()
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
        """Set the status of a suggestion.

        Parameters
        ----------
        id, status : str
        reason : str, optional
            Reason why it was not measured.
        raw_uid : str, optional
            The run that measured it. Default: unchanged.
        by : str, optional
            Name of the one who sets the status. Default: the agent of this store, or "person".
        instead_of : collection of str, optional
            Change the status only if it is one of these now.

        Returns
        -------
        bool
            False if nothing was changed. In an agent's own store a suggestion of another agent is never changed.

        Raises
        ------
        KeyError, ValueError
            If the suggestion or the status does not exist.
        Refused
            If another program has made the suggestion invalid.
        """
        node, record = self._written.pop(id, (None, None))
        if node is None or record is None:
            try:
                node = self._suggestions[id]
            except KeyError:
                raise KeyError(f"no suggestion {id!r}: see store.suggestions()") from None
            if problem := SuggestionRecord.problem(node.metadata):  # another program has changed it
                raise Refused(f"suggestion {id} is invalid: {problem}")
            record = SuggestionRecord.from_metadata(node.metadata)
        if self.agent and record.agent not in (None, self.agent):
            return False
        if instead_of is not None and record.status not in instead_of:
            return False
        details = {"status_reason": reason, "status_by": by or self.agent or "person", "status_time": utc_now()}
        changed = record.changed(status=status, raw_uid=raw_uid or record.raw_uid, **details)
        node.replace_metadata(changed.metadata())
        self.counters["suggestions"] += 1
        if status == "accepted":  # its outcome follows
            self._written[id] = node, changed
        return True

    @translated()
    def suggestion(self, id: str) -> SuggestionRecord:
        """Return one suggestion; raise KeyError if the id is unknown."""
        return SuggestionRecord.from_metadata(self._suggestions[id].metadata)

    def suggestions(self, status: str | None = None) -> pd.DataFrame:
        """Return the suggestions by time, or those with a status; index ``id``, terms in columns ``terms.<name>``."""
        nodes = dict(read_nodes(self._suggestions, agent=self.agent, status=status))
        frame = frame_of(self._valid_suggestions(nodes), ["terms"]).drop(
            columns=["id", "known", "positions"], errors="ignore"
        )
        frame = frame.infer_objects().rename_axis(index="id")
        terms = pd.DataFrame([*frame.pop("terms")], index=frame.index).add_prefix("terms.")
        return _with_leading(frame.join(terms), _SUGGESTION, "status_time").sort_values("created", kind="stable")

    def next_suggestion(self, agent: str | None = None) -> SuggestionRecord | None:
        """Return the newest suggestion that is still proposed, or None. One request.

        Raises
        ------
        ValueError
            If several agents have one, and neither `agent` nor the store names an agent.
        """
        nodes = dict(read_nodes(self._suggestions, status="proposed", agent=agent or self.agent))
        proposed = [SuggestionRecord.from_metadata(each) for each in self._valid_suggestions(nodes).values()]
        agents = sorted({str(record.agent) for record in proposed})
        if len(agents) > 1:
            raise ValueError(f"several agents have suggestions ({', '.join(agents)}): give one, agent={agents[0]!r}")
        return proposed[-1] if proposed else None

    def add_atlas(self, record: AtlasRecord) -> AtlasRecord:
        """Write a refit of the regimes, and return it with its version, one more than that of the newest atlas.

        Entries of the newest atlas for other results and agents stay, even if another process writes at the same time.
        So the newest atlas of all labels every result.
        """
        newest, version = self._known.get((), ("", None))[1] or self._newest({}), 0
        while True:
            # also higher than the key of an invalid atlas
            version = max(version, (newest.version or 0) if newest else 0) + 1
            kept = dict[str, Any]()
            if newest:
                others = {key: why for key, why in newest.left_out.items() if key not in record.labels}
                kept = {"labels": newest.labels | record.labels, "names": newest.names | record.names}
                kept["left_out"] = others | record.left_out
            written = record.changed(version=version, **kept, **self._scope)
            key = f"{version:06d}"
            if create_node(self._atlas, key, written.metadata(), "AinerdAtlas")[1]:
                break
            newest = self._newest({})  # another writer was faster
        self.counters["atlas"] += 1
        self._known = dict.fromkeys([(), tuple(self._scope.items())], (key, written))
        return written

    def newest_atlas(self) -> AtlasRecord | None:
        """Return the newest atlas; None before the first."""
        return self._newest(self._scope)

    def log(
        self, text: str, *, once: str | None = None, by: str | None = None, **ids: str | int | float | None
    ) -> None:
        """Write a log line; `ids` are related keys, such as ``raw_uid=...``. `once`: its key, not to repeat it.

        `by` is the person or program that made the decision in the line, if it was not the agent.
        """
        self._add_line(LogRecord.model_validate({"text": text, "agent": self.agent, "by": by, "ids": ids}), once)

    def note(self, text: str, *, raw_uid: str, scan: str, result: str | None = None, by: str = "person") -> None:
        """Write the note of a person on a run, or on one `result` of it; `scan` is its name in the line."""
        ids = {"kind": NOTE, "note": text, "raw_uid": raw_uid, "result": result}
        line = f"{sender(by)} noted on scan {scan}: {text}"
        self._add_line(LogRecord.model_validate({"text": line, "by": by, "ids": ids}))

    def notes(self) -> Notes:
        """Return the notes of people on runs, oldest first, with ``note``, ``raw_uid`` and ``created``. One request."""
        return [metadata for _, metadata in read_nodes(self._log, kind=NOTE)]

    def logbook(self, raw_uid: str | None = None) -> pd.DataFrame:
        """Return the log lines by time, or those on a run; an agent's own store has its lines and those of people."""
        if raw_uid is None:
            lines = self._lines.read()
        else:
            nodes = self._valid_lines(dict(read_nodes(self._log, raw_uid=raw_uid)))
            lines = frame_of(nodes, [*LogRecord.model_fields]).infer_objects()
        lines = lines[lines["agent"].isin([self.agent]) | lines["agent"].isna()] if self.agent else lines
        return _with_leading(lines.drop(columns="ids"), ["created", "text"]).sort_index()

    def current_labels(self) -> Mapping[str, int]:
        """Return the regime of each result by its key in the newest atlas; the same object while that is the newest."""
        atlas = self._newest({})
        return atlas.labels if atlas else _NO_LABELS

    def _add_line(self, record: LogRecord, key: str | None = None) -> None:
        record = record.changed(text=printable(record.text))
        create_node(self._log, key or new_id(), record.metadata(), "AinerdLog")
        self.counters["log"] += 1

    def _newest(self, scope: Mapping[str, str]) -> AtlasRecord | None:
        key = newest_key(self._atlas, **scope)
        known, atlas = self._known.get(tuple(scope.items()), ("", None))
        if key is not None and key != known:
            atlas = self._read_atlas(key, scope)
            self._known[tuple(scope.items())] = key, atlas
        return None if key is None else atlas

    def _read_atlas(self, key: str, scope: Mapping[str, str]) -> AtlasRecord | None:
        """Return the atlas with that key, or the newest valid one before it."""
        try:
            with translated():
                return AtlasRecord.from_metadata(self._atlas[key].metadata)
        except _INVALID as error:
            logger.warning("version %s of the regimes is left out: %s", key, type(error).__name__)
        for _, metadata in reversed(list(read_nodes(self._atlas, 0, **scope))):
            with suppress(*_INVALID):
                return AtlasRecord.from_metadata(metadata)
        return None


def _with_leading(table: pd.DataFrame, leading: list[str], *times: str) -> pd.DataFrame:
    """Return a copy with these columns first, whether they exist or not; ``created`` and `times` become times."""
    table = table.reindex(columns=leading + [name for name in table.columns if name not in leading])
    return table.assign(
        **{name: pd.to_datetime(table[name], utc=True, format="ISO8601") for name in ("created", *times)}
    )
