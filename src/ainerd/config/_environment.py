"""What the environment says instead of a file."""

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from ainerd.config._wrong import SettingsError, short

PREFIX = "AINERD_"


def overridden(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A section with what the environment says instead: JSON, or else text."""
    table = deepcopy(dict(section))
    for variable in sorted(name for name in os.environ if name.startswith(prefix)):
        inner, *outer, last = table, *variable[len(prefix) :].split("__")
        for name in outer:
            inner = inner.setdefault(_as_known(name, inner), {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{variable}: {name.lower()} is not a table")
        text = os.environ[variable]
        try:
            inner[_as_known(last, inner)] = json.loads(text)
        except ValueError:
            inner[_as_known(last, inner)] = text
    return table


def _as_known(name: str, table: Mapping[str, Any]) -> str:
    """A key that is written in capitals, as the table has it."""
    return next((key for key in table if key.lower() == name.lower()), name.lower())


def no_json(error: ValueError) -> str:
    """Which variable of the environment is to be JSON, and is not."""
    text = getattr(error.__cause__, "doc", None)
    wrong = [name for name, value in os.environ.items() if name.startswith(PREFIX) and value == text]
    if not wrong:
        return f"the environment: {error}"
    shown = "the value" if any("STORAGE" in name for name in wrong) else short(text)  # the API key is in it
    return f'{wrong[0]}: {shown} is no JSON; a list is \'["a", "b"]\', a table \'{{"a": 1}}\''
