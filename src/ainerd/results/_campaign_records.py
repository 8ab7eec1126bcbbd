"""The part of the store that keeps suggestions, atlases and the log."""

import time
import uuid
from collections.abc import Mapping

import pandas as pd
from tiled.client.container import Container

from ainerd.results._mirror import Mirror
from ainerd.results._nodes import create_node, read_newest, read_nodes
from ainerd.results._records import AtlasRecord, LogRecord, SuggestionRecord
from ainerd.results._tables import log_table, suggestion_table

_NO_LABELS: Mapping[str, int] = {}


class Notes:
    """Suggestions with their fate, versions of the atlas, and the log."""

    def __init__(self, suggestions: Container, atlas: Container, log: Container) -> None:
        self._suggestions, self._atlas, self._log = suggestions, atlas, log
        self._lines = Mirror(log, lambda line: True)
        self._newest: tuple[str, AtlasRecord] | None = None  # the atlas read or written last, by its key

    def add_suggestion(self, record: SuggestionRecord) -> str:
        """Keep a suggestion, and return its id; one of the same id is left as it is."""
        create_node(self._suggestions, record.id, record.metadata(), "AinerdSuggestion")
        return record.id

    def set_fate(self, id: str, fate: str, reason: str | None = None, raw_uid: str | None = None) -> None:
        """Say what became of a suggestion; what is None stays as it was.

        Raises
        ------
        KeyError
            If there is no such suggestion.
        ValueError
            If there is no such fate.
        """
        try:
            node = self._suggestions[id]
        except KeyError:
            raise KeyError(f"no suggestion {id!r}: see store.suggestions()") from None
        changes = {"fate": fate, "fate_reason": reason, "raw_uid": raw_uid}
        known = {name: value for name, value in changes.items() if value is not None}
        node.replace_metadata(SuggestionRecord.from_metadata(node.metadata).changed(**known).metadata())

    def suggestions(self) -> pd.DataFrame:
        """All suggestions by time, index ``id``, the numbers behind the reason as ``terms.<name>``."""
        return suggestion_table(dict(read_nodes(self._suggestions)))

    def next_suggestion(self, agent: str | None = None) -> SuggestionRecord | None:
        """The newest suggestion that nobody took up or turned down; None if there is none. One request.

        Parameters
        ----------
        agent : str, optional
            Whose; by default any agent's.
        """
        whose = {} if agent is None else {"agent": agent}
        found = read_newest(self._suggestions, fate="proposed", **whose)
        return None if found is None else SuggestionRecord.from_metadata(found[1])

    def add_atlas(self, record: AtlasRecord) -> AtlasRecord:
        """Keep a refit of the regimes, and return it as it is kept: with a version, one more than the newest.

        Results that it does not name keep the label of the newest one, whoever writes at the same time.
        """
        is_new = False
        while not is_new:  # another writer may be faster
            newest = self.newest_atlas()
            before, labels = (newest.version or 0, newest.labels) if newest else (0, _NO_LABELS)
            kept = record.changed(version=before + 1, labels={**labels, **record.labels})
            key = f"{before + 1:06d}"
            _, is_new = create_node(self._atlas, key, kept.metadata(), "AinerdAtlas")
        self._newest = key, kept
        return kept

    def newest_atlas(self) -> AtlasRecord | None:
        """The regimes as the newest refit saw them; None before the first."""
        keys = self._atlas.keys().tail(1)
        if not keys:
            return None
        (key,) = keys
        if self._newest is None or self._newest[0] != key:
            self._newest = key, AtlasRecord.from_metadata(self._atlas[key].metadata)
        return self._newest[1]

    def log(self, text: str, **ids: str | int | float | None) -> None:
        """Write a line; `ids` say what it is about, such as ``raw_uid=...``."""
        key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        create_node(self._log, key, LogRecord.model_validate({"text": text, "ids": ids}).metadata(), "AinerdLog")

    def logbook(self) -> pd.DataFrame:
        """All lines by time, with what they are about."""
        return log_table(self._lines.read())

    def current_labels(self) -> Mapping[str, int]:
        """Regime of each result by its key, as in the newest atlas; the same object as long as that is the newest."""
        atlas = self.newest_atlas()
        return atlas.labels if atlas else _NO_LABELS
