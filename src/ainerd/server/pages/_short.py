"""What a page shows of a result, a suggestion and a line of the log: short, plain, and bounded, whoever wrote it."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from ainerd.results import FINAL, line_problem, result_problem, scan_text, suggestion_problem
from ainerd.technique import panels

LONGEST = 600  # characters of a text
MOST_NUMBERS = 24  # of a result, beside its position
_BESIDE = ("sample", "user", "proposal", "plan")

Metadata = Mapping[str, Any]


class ShortResult:
    """A result as the pages keep it; `of` are the quantities that are shown over time."""

    __slots__ = (
        "agent", "digest", "duration", "embedding", "event", "frames", "key", "kind", "novel", "of", "p", "positions",
        "raw_uids", "reason", "regime", "sample", "scan", "scan_id", "status", "suggestion", "supersedes", "t",
        "technique", "text", "units",
    )  # fmt: skip

    def __init__(self, key: str, said: Metadata) -> None:
        self.key, self.status, self.agent = key, said["status"], said.get("agent", "")
        self.digest, self.technique = said.get("digest", ""), said.get("technique", "")
        self.scan_id, self.event = said.get("scan_id"), said.get("event")
        self.scan = scan_text(self.scan_id, self.event)
        self.t = said.get("event_time", said.get("run_time"))
        self.p, self.novel, self.regime = said.get("novelty_p"), said.get("novel"), said.get("regime")
        self.frames, self.kind = said.get("n_frames"), text(said.get("nearest_known"))
        frame_s = number(said.get("frame_time_s"))
        self.duration = None if frame_s is None or self.frames is None else frame_s * self.frames
        self.positions = {name[:60]: float(said[name]) for name in list(said.get("positions") or ())[:6]}
        self.reason, self.sample = text(said.get("reason")), text(said.get("sample"))
        self.suggestion, self.supersedes = said.get("suggestion_id"), said.get("supersedes")
        self.raw_uids = tuple(said.get("raw_uids") or (said.get("raw_uid"),))
        embedding = said.get("embedding")
        self.embedding: Any = None if embedding is None else np.asarray(embedding, np.float32)
        self.units = _same_units(tuple(sorted((said.get("units") or {}).items())))
        wanted = quantities(self.technique, said.get("series") or {})
        self.of = {name: x for name in wanted if (x := number(said.get(name))) is not None}
        words = (self.scan, key, self.status, self.technique, self.reason, *(said.get(name) for name in _BESIDE))
        self.text = " ".join(str(word)[:LONGEST] for word in words if word).casefold()


def short_result(key: str, said: Metadata) -> ShortResult | None:
    """What is kept of a result; None if it cannot be shown."""
    return None if result_problem(said) else ShortResult(key, said)


def is_final_result(result: ShortResult) -> bool:
    """Whether a result does not change any more."""
    return result.status in FINAL


def short_suggestion(key: str, said: Metadata) -> dict[str, Any] | None:
    """A suggestion as the pages show it."""
    if suggestion_problem(said):
        return None
    return {
        "id": key,
        "agent": said.get("agent"),
        "position": {text(name): number(said.get(name)) for name in list(said.get("positions") or ())[:6]},
        "reason": text(said.get("reason")),
        "terms": numbers(said["terms"]),
        "created": seconds(said.get("created")),
        "status": text(said.get("status")),
        "status_by": text(said.get("status_by")),
        "status_reason": text(said.get("status_reason")),
        "status_time": seconds(said.get("status_time")),
        "proposed_by": text(said.get("proposed_by")),
        "principal": said.get("principal"),
    }


def is_final_suggestion(suggestion: Mapping[str, Any]) -> bool:
    """Whether nothing becomes of a suggestion any more."""
    return suggestion["status"] not in ("proposed", "accepted")


def short_line(key: str, said: Metadata) -> dict[str, Any] | None:
    """A line of the log as the pages show it; `note` and `raw_uid` are those of a person's note."""
    if line_problem(said):
        return None
    shown = {
        "key": key,
        "t": seconds(said["created"]),
        "text": text(said.get("text")),
        "agent": text(said.get("agent")),
    }
    note = {"note": text(said.get("note")), "raw_uid": said.get("raw_uid")} if said.get("kind") == "note" else {}
    return {**shown, "result": text(said.get("result")), **note}


def is_final_line(line: Mapping[str, Any]) -> bool:
    """A line never changes."""
    return True


def quantities(technique: str, series: Iterable[str]) -> list[str]:
    """Names of the numbers that are shown of each result: the technique's, and the mean of each series."""
    return [*_of_technique(technique), *(f"{name}_mean" for name in series)][:MOST_NUMBERS]


@lru_cache
def _of_technique(name: str) -> tuple[str, ...]:
    return tuple(map(str, getattr(panels(name), "quantities", ())))


@lru_cache
def _same_units(units: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """One object for all results that have the same units."""
    return {name[:60]: unit[:20] for name, unit in units[:200]}


def text(value: Any) -> str | None:
    """A text of at most `LONGEST` characters; None for nothing."""
    if value is None:
        return None
    value = str(value)
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def number(value: Any) -> float | None:
    """A finite number, or None."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_one else None


def numbers(values: Any) -> dict[str, float]:
    """The finite numbers among named values."""
    found = {str(name)[:60]: number(x) for name, x in dict(values).items()}
    return {name: x for name, x in list(found.items())[:MOST_NUMBERS] if x is not None}


def seconds(stamp: Any) -> float | None:
    """Seconds since 1970 of a time in ISO 8601."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
