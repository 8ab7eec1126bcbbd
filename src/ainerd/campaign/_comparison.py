"""Compare a new result with others: differences, and numbers on which a regime agrees. They decide nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ainerd.decisions import changes
from ainerd.results import ResultRecord, ResultStore, sentences_on
from ainerd.technique import Technique
from ainerd.words import run_text

RARE = 1e-3  # p-value of a difference that people are told
FEW = 8  # newest results of a regime from which a result may differ
MOST = 64  # newest results of a regime that decide together
_KEPT = 4 * MOST  # results in memory


class _Known(NamedTuple):
    """Arrays and tables of a result, and its metadata as they were last written."""

    parts: Mapping[str, Any]
    metadata: dict[str, Any]


class Comparison:
    """Asks the technique to compare results, in the thread for Tiled. Parts of the newest results stay in memory."""

    def __init__(self, store: ResultStore, technique: Technique) -> None:
        self._store, self._technique = store, technique
        self._names = tuple(dict.fromkeys([*technique.compares, *technique.agrees]))
        self._known = dict[str, _Known]()

    def difference(self, label: changes.Label) -> tuple[dict[str, Any], str]:
        """Return the differences from the last result of its spot and from its regime, and a sentence if one is rare.

        The differences are fields of a record.
        """
        names = self._technique.compares
        before = () if label.before is None else (label.before,)
        compare = {"spot": before, "regime": label.alike[-FEW:]}
        if not (names and any(compare.values())):
            return {}, ""
        read = self._read([label.key, *before, *label.alike[-FEW:]], names)
        fields, rare = dict[str, Any](), list[str]()
        for name, keys in compare.items():
            others = [read[key].parts for key in keys if key in read]
            found = None
            if others and label.key in read:
                found = self._technique.difference(read[label.key].parts, others)
            if found is None:
                continue
            chi2, p = found
            fields |= {f"{name}_chi2": chi2, f"{name}_chi2_p": p}
            if p < RARE:
                of_spot = run_text(read[keys[0]].metadata) if name == "spot" else ""
                other = f"{of_spot} at the same spot" if of_spot else "the others of its regime"
                rare.append(f"from {other} (reduced χ² {chi2:.2g})")
        return fields, f"it differs {' and '.join(rare)}" if rare else ""

    def agreement(self, key: str, alike: Sequence[str]) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return what changes in the regime of a new result, as a sentence, and the fields of each result by key."""
        read = self._read([*alike[-MOST:], key], self._technique.agrees) if self._technique.agrees else {}
        if len(read) < 2:
            return "", {}
        text, numbers = self._technique.agree([(each.parts, each.metadata) for each in read.values()])
        return text, {each: self._changed(each, some) for each, some in zip(read, numbers, strict=True) if some}

    def written(self, key: str, fields: Mapping[str, Any]) -> None:
        """Learn the fields of a record that Tiled has now; None removes one."""
        if key in self._known:
            parts, before = self._known[key]
            self._known[key] = _Known(parts, _with(before, fields))

    def _changed(self, key: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a record with these numbers, their names in its summary, and its sentences."""
        before = self._known[key].metadata
        after = _with(before, numbers)
        after["summary"] = [name for name in dict.fromkeys([*before["summary"], *numbers]) if name in after]
        own, new = (sentences_on(ResultRecord.from_metadata(each)) for each in (before, after))
        written = before.get("sentences") or []
        sentences = [*written[:1], *new, *(each for each in written[1:] if each not in own)]
        return {**numbers, "summary": after["summary"], "sentences": sentences}

    def _read(self, keys: Sequence[str], names: Sequence[str]) -> dict[str, _Known]:
        """Return the results that have all these parts; those that are not known yet are read in one request."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        with suppress(KeyError):  # somebody removed a result: those before it are compared
            for result in self._store.load(new, self._names):
                parts = {name: result[name].values for name in self._names if name in result}
                self._known[result.key] = _Known(parts, dict(result.metadata))
        for oldest in [key for key in self._known if key not in keys][:-_KEPT]:
            del self._known[oldest]
        known = ((key, self._known.get(key)) for key in keys)
        return {key: each for key, each in known if each is not None and {*names} <= {*each.parts}}


def _with(metadata: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with other fields, of which None removes one."""
    return {name: x for name, x in {**metadata, **fields}.items() if x is not None}
