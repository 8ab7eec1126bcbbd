"""The data of a run that its results keep: metadata of its start document, positions, readings and series."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from ainerd.config import Recorded
from ainerd.results import LATEST_S

T = TypeVar("T")
# Metadata that most beamlines write, and the names that they use.
USUAL = {
    "sample": ("sample", "sample_name"),
    "user": ("user", "user_name", "operator", "username"),
    "proposal": ("proposal", "proposal.proposal_id", "proposal_id"),
    "data_session": ("data_session",),
    "cycle": ("cycle",),
    "plan": ("plan_name",),
    "file": ("file",),  # that stands for the run, which has no scan
}


class RecordedKeys(Recorded):
    """Data of a run to keep in its results: data keys by their names in the result.

    Examples
    --------
    >>> RecordedKeys(positions=("sample_x",), units={"sample_x": "mm"}).positions
    ('sample_x',)
    """

    positions: tuple[str, ...]  #: data keys of the actuators

    @property
    def units_of_keys(self) -> dict[str, str]:
        """Units by data key."""
        keys = {**{name: name for name in self.positions}, **self.series, **self.readings}
        return {key: self.units[name] for name, key in keys.items() if self.units.get(name)}


def start_metadata(start: Mapping[str, object], recorded: RecordedKeys) -> dict[str, bool | int | float | str]:
    """Return the usual metadata of a start document and those in `recorded`, by name.

    A key with dots reads nested mappings. A mapping counts as its ``name``, a list as its items. A name that the
    result uses for a reading or a position is left out.

    Examples
    --------
    >>> recorded = RecordedKeys(start={"sample_name": "sample"}, positions=())
    >>> start_metadata({"uid": "6f1d", "scan_id": 4, "sample": "gel"}, recorded)
    {'sample': 'gel', 'sample_name': 'gel'}
    """
    keys_of = USUAL | {name: (key,) for name, key in recorded.start.items()}
    taken = {*recorded.positions, *recorded.readings}
    values = {
        name: next((value for key in keys if (value := _read(start, key)) is not None), None)
        for name, keys in keys_of.items()
        if name not in taken
    }
    return {name: value for name, value in values.items() if value is not None}


def _read(start: Mapping[str, object], key: str) -> bool | int | float | str | None:
    try:
        value: object = start
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, np.generic | np.ndarray):
            value = value.item() if value.size == 1 else value.tolist()
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
    except Exception:  # whatever a plan wrote there must not cost the result
        return None
    return value if isinstance(value, bool | int | float | str) and value != "" else None


def typed(value: object, *kinds: type[T]) -> T | None:
    """Return a value of these types; None if it has another type, or is an integer that Tiled cannot store."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        return None
    return None if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def access_tags(value: object) -> list[str] | None:
    """Return the access tags that a start document names; an invalid tag becomes one that a server refuses."""
    return None if value is None else [*map(str, value)] if isinstance(value, list | tuple) else [str(value)]


def time_of(value: object) -> float | None:
    """Return seconds since 1970; None if the value is not a number or later than a table can show."""
    number = typed(value, int, float)
    return float(number) if number is not None and abs(number) <= LATEST_S else None
