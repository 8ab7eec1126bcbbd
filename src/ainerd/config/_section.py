"""One section of the TOML, and what its keys point to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from ainerd.config._wrong import SettingsError, dotted, problems_of


class Section(BaseModel):
    """A section of the TOML: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=BaseModel)


def read_section(model: type[S], values: Mapping[str, Any], name: str) -> S:
    """The section `name` of the TOML, validated; SettingsError has a line a problem, each naming its key."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if not values:
            needs = ", ".join(dotted(e["loc"]) for e in error.errors())
            raise SettingsError(f"there is no section [{name}], which needs {needs}") from None
        raise SettingsError("\n".join(f"{name}.{problem}" for problem in problems_of(error, model))) from None


def read_map(path: Path, name: str) -> NDArray[Any]:
    """The array of (rows, columns) in a .npy that the key `name` gives; ValueError names both."""
    if not path.is_file():
        raise ValueError(f"{name}: there is no {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{name}: {path} is not a .npy: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise ValueError(f"{name}: {path} must hold an array of (rows, columns)")
    return array
