"""How a new result differs from the last one of its spot and from its regime. This decides nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from ainerd.decisions import changes
from ainerd.results import ResultStore
from ainerd.technique import Technique
from ainerd.words import run_text

RARE = 1e-3  # p-value of a difference that people are told
MOST = 8  # newest results of a regime with which a result is compared
_KEPT = 64  # results whose arrays stay in memory
Arrays = Mapping[str, NDArray[Any]]


class Differences:
    """Compares results, in the thread that asks Tiled. It keeps the arrays of the newest results."""

    def __init__(self, store: ResultStore, technique: Technique) -> None:
        self._store, self._technique = store, technique
        self._known = dict[str, tuple[Arrays, Mapping[str, Any]]]()

    def of(self, label: changes.Label) -> tuple[dict[str, Any], str]:
        """Return the fields of a record with the differences, and a sentence if one of them is rare."""
        before = () if label.before is None else (label.before,)
        compare = {"spot": before, "regime": label.alike[-MOST:]}
        if not (self._technique.compares and any(compare.values())):
            return {}, ""
        read = self._read([label.key, *before, *label.alike[-MOST:]])
        fields, rare = dict[str, Any](), list[str]()
        for name, keys in compare.items():
            others = [read[key][0] for key in keys if key in read]
            found = self._technique.difference(read[label.key][0], others) if others and label.key in read else None
            if found is None:
                continue
            chi2, p = found
            fields |= {f"{name}_chi2": chi2, f"{name}_chi2_p": p}
            if p < RARE:
                of_spot = run_text(read[keys[0]][1]) if name == "spot" else ""
                other = f"{of_spot} at the same spot" if of_spot else "the others of its regime"
                rare.append(f"from {other} (reduced χ² {chi2:.2g})")
        return fields, f"it differs {' and '.join(rare)}" if rare else ""

    def _read(self, keys: Sequence[str]) -> dict[str, tuple[Arrays, Mapping[str, Any]]]:
        """Return arrays and metadata of results that have all arrays; in one request for those that are not known."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        with suppress(KeyError):  # somebody removed a result: the others are compared
            for result in self._store.load(new, self._technique.compares):
                if {*self._technique.compares} <= {*result}:
                    arrays = {name: result[name].values for name in self._technique.compares}
                    self._known[result.key] = arrays, result.metadata
        for oldest in [key for key in self._known if key not in keys][:-_KEPT]:
            del self._known[oldest]
        return {key: self._known[key] for key in keys if key in self._known}
