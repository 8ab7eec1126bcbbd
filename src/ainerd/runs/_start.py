"""What a result keeps of the start document: who took the run, of what, and how."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ainerd.runs._outcome import Wanted

# What most beamlines write, under the names that they write it.
USUAL = {
    "sample": ("sample", "sample_name"),
    "user": ("user", "user_name", "operator"),
    "proposal": ("proposal", "proposal_id"),
    "plan": ("plan_name",),
}


def said_at_start(start: Mapping[str, Any], wanted: Wanted) -> dict[str, bool | int | float | str]:
    """The usual, and what is `wanted`, by name; what the document does not say is left out.

    A key with dots goes into what is nested. Of a mapping its ``name`` counts, of a list its items. A name that the
    result has for a reading or a position is left to that.
    """
    asked = USUAL | {name: (key,) for name, key in wanted.start.items()}
    taken = {*wanted.positions, *wanted.readings}
    found = {}
    for name, keys in asked.items():
        values = (_read(start, key) for key in keys)
        value = next((value for value in values if value is not None), None)
        if value is not None and name not in taken:
            found[name] = value
    return found


def _read(start: Mapping[str, Any], key: str) -> bool | int | float | str | None:
    try:
        return _plain(_inside(start, key))
    except Exception:  # whatever a plan wrote there is no reason to lose the result
        return None


def _inside(start: Mapping[str, Any], key: str) -> Any:
    value: Any = start
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _plain(value: Any) -> bool | int | float | str | None:
    if isinstance(value, Mapping):
        value = value.get("name")
    if isinstance(value, np.generic | np.ndarray):
        value = value.item() if value.size == 1 else value.tolist()
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return value if isinstance(value, bool | int | float | str) and value != "" else None
