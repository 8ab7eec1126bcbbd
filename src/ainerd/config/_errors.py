"""Messages for errors in the settings. Each message names the key."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError


class SettingsError(ValueError):
    """Raised if the settings are invalid; the message names the key and the file."""


def problems_of(error: ValidationError, model: type[BaseModel], technique: str = "") -> list[str]:
    """Return one line ``key: problem`` for each invalid value."""
    problems = []
    for e in error.errors():
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] not in ("missing", "extra_forbidden", "value_error") and "storage" not in e["loc"]:  # has the key
            message += f", got {short(e['input'])}"
        if e["type"] == "extra_forbidden":
            message = "unknown key" + alternatives(str(e["loc"][-1]), _keys(model, e["loc"][:-1]))
            if technique and "did you mean" not in message:
                message += f"; a key of the technique goes to [{technique}]"
        problems.append(f"{dotted(e['loc'])}: {message}" if e["loc"] else message)
    return problems


def unusable_values(value: Any, at: tuple[Any, ...] = ()) -> Iterator[str]:
    """Yield one line for each value that is invalid in any setting: text that a path cannot contain, or a huge integer.

    An integer is too large if it does not fit into a float.
    """
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from unusable_values(each, (*at, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from unusable_values(each, at)
    elif isinstance(value, str | Path) and any(x == "\0" or "\ud800" <= x <= "\udfff" for x in str(value)):
        yield f"{dotted(at)}: has NUL, or half of a surrogate pair, in its text"
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield f"{dotted(at)}: the integer has more than {sys.float_info.max_10_exp} digits"


def _keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys of the section at a location; empty if it is not a section."""
    for name in location:
        field = getattr(model, "model_fields", {}).get(name)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def alternatives(key: str, known: list[str]) -> str:
    """Return the end of a message, with the most similar key or all known keys."""
    close = difflib.get_close_matches(key, known, 1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" * bool(known)


def files_near(path: Path) -> str:
    """Return the end of a message, with a settings file near a path that is not a settings file."""
    if path.is_dir():
        files = [file for file in sorted(path.glob("*.toml")) if ".instrument" not in file.suffixes]
        return f", did you mean {files[0]}?" if files else ""
    by_name = {file.name: file for file in path.parent.glob("*.toml")}
    close = difflib.get_close_matches(path.name, by_name, 1)
    return f", did you mean {by_name[close[0]]}?" if close else ""


def short(value: Any) -> str:
    """Return a value as text of at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(location: tuple[Any, ...]) -> str:
    """Return a location as ``section.key``."""
    return ".".join(map(str, location))
