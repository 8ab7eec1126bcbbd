"""Which nodes can be shown: one that anybody has changed by hand must not cost the others their table."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results._columns import Columns, problem_with

logger = logging.getLogger(__name__)

Metadata = Mapping[str, Any]
Nodes = Mapping[str, Metadata]

LATEST_S = 9.2e9  # since 1970: the year 2261, the last that pandas counts in ns
_STATUSES = ("computing", "complete", "partial", "growing", "failed")


class Sound:
    """Of the nodes that it is given, those that can be shown; what is wrong with one is said once in the log.

    `wrong` says what is wrong with the metadata of a node, which is a `kind`; None if nothing is.
    """

    def __init__(self, kind: str, wrong: Callable[[Metadata], str | None]) -> None:
        self._kind, self._wrong = kind, wrong
        self._told: dict[str, str] = {}

    def of(self, nodes: Nodes) -> Nodes:
        """Those of metadata by key."""
        problems = {key: problem for key, said in nodes.items() if (problem := problem_with(self._wrong, said))}
        self._tell(problems)
        return {key: said for key, said in nodes.items() if key not in problems}

    def at(self, columns: Columns) -> Columns:
        """Those of columns; the same object if all can."""
        self._tell(columns.problems)
        return columns.at(~columns.frame.index.isin([*columns.problems])) if columns.problems else columns

    def _tell(self, problems: Mapping[str, str]) -> None:
        for key, problem in problems.items():
            if self._told.get(key) != problem:
                self._told[key] = problem
                logger.warning("%s %s is left out: %s", self._kind, key, problem)


def alike(results: Columns) -> NDArray[np.bool_]:
    """All results but those whose embedding has another size than most of the same agent and parameters."""
    fits = np.ones(len(results), bool)
    if len(np.unique(results.sizes[results.sizes > 0])) < 2:
        return fits
    agent, digest = (pd.factorize(results.column(name))[0] for name in ("agent", "digest"))
    group = agent * (digest.max() + 2) + digest
    for one in np.unique(group):
        is_one = (group == one) & (results.sizes > 0)
        if is_one.any():
            sizes = results.sizes[is_one]
            fits[is_one] = sizes == sizes[np.bincount(sizes)[sizes].argmax()]  # of two that are as many, the older
    return fits


def result_problem(said: Metadata) -> str | None:
    """What in the metadata of a result would spoil a table, or the start of an agent."""
    for name, fits in _RESULT.items():
        value = said.get(name)
        if value is not None and not fits(value):
            return f"{name} is {str(value)[:60]!r}"
    if said.get("status") is None or said.get("raw_uid") is None:
        return "it has no status, or no run"
    for name in said.get("positions") or ():
        if not _is_number(said.get(name)):
            return f"the position {name} is {str(said.get(name))[:60]!r}"
    return None


def suggestion_problem(said: Metadata) -> str | None:
    """What in the metadata of a suggestion would spoil their table."""
    for name in ("created", "status_time"):
        if not (_is_stamp(said.get(name)) or (name != "created" and said.get(name) is None)):
            return f"{name} is {str(said.get(name))[:60]!r}"
    terms = said.get("terms")
    if not isinstance(said.get("id"), str) or not isinstance(terms, Mapping):
        return "it has no id, or no terms"
    return None


def line_problem(said: Metadata) -> str | None:
    """What in the metadata of a log line would spoil the log."""
    return None if _is_stamp(said.get("created")) else f"created is {str(said.get('created'))[:60]!r}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: Sequence[Any]) -> bool:
    if {*map(type, values)} == {float} and math.isfinite(sum(values)):  # as nearly all are
        return True
    return all(map(_is_number, values))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_time(value: Any) -> bool:
    return _is_number(value) and abs(value) <= LATEST_S


def _is_stamp(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_RESULT: Mapping[str, Callable[[Any], bool]] = {
    "status": lambda value: value in _STATUSES,
    "raw_uid": _is_text,
    "agent": _is_text,
    "digest": _is_text,
    "technique": _is_text,
    "reason": _is_text,
    "suggestion_id": _is_text,
    "supersedes": _is_text,
    "created": _is_stamp,
    "scan_id": _is_whole,
    "event": _is_whole,
    "n_frames": _is_whole,
    "regime": _is_whole,
    "run_time": _is_time,
    "event_time": _is_time,
    "novelty_p": _is_number,
    "novel": lambda value: isinstance(value, bool),
    "embedding": lambda value: isinstance(value, list | tuple) and _are_numbers(value) and len(value) > 0,
    "positions": lambda value: isinstance(value, list | tuple) and all(map(_is_text, value)),
    "raw_uids": lambda value: isinstance(value, list | tuple) and all(map(_is_text, value)),
    "units": lambda value: _is_mapping(value) and all(map(_is_text, value.values())),
    "arrays": _is_mapping,
    "series": _is_mapping,
    "parameters": _is_mapping,
}
