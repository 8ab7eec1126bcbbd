"""Numbers on which the results of one regime agree: a new result may change those of the others."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ainerd.results import ResultRecord, ResultStore, sentences_on
from ainerd.technique import Technique

MOST = 64  # newest results of a regime that decide together


class Agreement:
    """Asks the technique, in the thread that asks Tiled. It keeps tables and metadata of the newest results."""

    def __init__(self, store: ResultStore, technique: Technique) -> None:
        self._store, self._technique = store, technique
        self._known = dict[str, tuple[Mapping[str, Any], dict[str, Any]]]()

    def of(self, key: str, alike: Sequence[str]) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return what changes in the regime of a new result, as a sentence, and the fields of each result by key."""
        if not (names := self._technique.agrees):
            return "", {}
        keys = [*alike[-MOST:], key]
        with suppress(KeyError):  # somebody removed a result: the others agree
            for result in self._store.load([each for each in keys if each not in self._known], names):
                if {*names} <= {*result}:
                    self._known[result.key] = {name: result[name].values for name in names}, dict(result.metadata)
        for oldest in [each for each in self._known if each not in keys][: -4 * MOST]:
            del self._known[oldest]
        keys = [each for each in keys if each in self._known]
        if len(keys) < 2:
            return "", {}
        text, numbers = self._technique.agree([self._known[each] for each in keys])
        return text, {each: self._changed(each, some) for each, some in zip(keys, numbers, strict=True) if some}

    def _changed(self, key: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a record with these numbers, of which None removes one, and its sentences."""
        tables, before = self._known[key]
        after = {name: x for name, x in {**before, **numbers}.items() if x is not None}
        self._known[key] = tables, after
        own, new = (sentences_on(ResultRecord.from_metadata(each)) for each in (before, after))
        told = before.get("sentences") or []
        after["sentences"] = [*told[:1], *new, *(each for each in told[1:] if each not in own)]
        return {**numbers, "sentences": after["sentences"]}
