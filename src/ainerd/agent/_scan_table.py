"""Bluesky's own table of a scan, as text, under the number that results have."""

import logging
from collections.abc import Mapping
from typing import Any

from bluesky.callbacks import LiveTable
from bluesky.callbacks.core import make_class_safe

logger = logging.getLogger(__name__)

OURS = ("explore", "expose")  # what an agent measures has a line for each result


@make_class_safe(logger=logger)  # no table is worth a plan
class ScanTable:
    """A callback that shows each run that a person takes as bluesky's `LiveTable`, a row an event.

    ``RE.subscribe(ScanTable())``. It opens no window. The columns are the motors and the hinted numbers.
    """

    def __init__(self) -> None:
        self._start: dict[str, Any] = {}
        self._table: LiveTable | None = None

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            self._start, self._table = doc, None
        elif name == "descriptor" and doc.get("name") == "primary" and not self._is_ours():
            self._table = LiveTable(_columns(self._start, doc))
            self._table("start", self._start)
            self._table("descriptor", doc)
        elif self._table is not None and name in ("event", "stop"):
            self._table(name, doc)

    def _is_ours(self) -> bool:
        return "suggestion_id" in self._start or self._start.get("plan_name") in OURS


def _columns(start: Mapping[str, Any], descriptor: Mapping[str, Any]) -> list[str]:
    """Motors and hinted fields of a stream that are numbers or texts."""
    keys = descriptor["data_keys"]
    dimensions = start.get("hints", {}).get("dimensions", ())
    moved = [field for fields, stream in dimensions if stream == "primary" for field in fields]
    hinted = [field for hint in descriptor.get("hints", {}).values() for field in hint.get("fields", ())]
    return [field for field in dict.fromkeys([*moved, *hinted]) if field in keys and not keys[field]["shape"]]
