"""A record and the metadata of its Tiled node: the one becomes the other and back.

Metadata are flat where a person filters: positions and summary numbers are top-level keys, so that
``Key("sample_x") > 3`` works with nothing but Tiled. What is not known (NaN and infinity too) is absent.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from ainerd.words import storable


def utc_now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def plain(value: Any) -> Any:
    """Numpy to Python, NaN and infinity to None, in whatever nesting; what no JSON of Tiled holds becomes text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value) if abs(value) < 10**80 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, Mapping):
        return {storable(key) if isinstance(key, str) else key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _known(values: Any) -> Any:
    return {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values


Numbers = Annotated[dict[str, float], BeforeValidator(_known)]
Scalars = Annotated[dict[str, bool | int | float | str], BeforeValidator(_known)]


class Record(BaseModel):
    """A strict record; the mappings named in `_flat` become top-level keys of the metadata."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    _flat: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _make_plain(cls, data: Any) -> Any:
        return plain(data)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        taken = set(type(self).model_fields) | {"digest"}
        for field in self._flat:
            for name in getattr(self, field):
                if name in taken or not name or set(name) & set("./"):
                    raise ValueError(
                        f"{field}: {name!r} is taken, empty, or has a dot or a slash; give it another name"
                    )
                taken.add(name)
        return self

    def metadata(self) -> dict[str, Any]:
        """Metadata of the node: JSON values, no NaN, nothing that is None."""
        metadata = self.model_dump(exclude_none=True)
        for field in self._flat:
            metadata |= metadata[field] | {field: list(metadata[field])}
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """The record that `metadata` came from."""
        record = {name: metadata[name] for name in cls.model_fields if name in metadata}
        for field in cls._flat:
            record[field] = {name: metadata[name] for name in record[field]}
        return cls.model_validate(record)

    def changed(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated."""
        return type(self).model_validate(self.model_dump() | changes)
