"""What is wrong with settings, in words that name the key."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError


class SettingsError(ValueError):
    """The settings do not fit; the message names the key and the file."""


def problems_of(error: ValidationError, model: type[BaseModel], technique: str = "") -> list[str]:
    """What is wrong with values, a line each: ``key: what``."""
    found = []
    for e in error.errors():
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] not in ("missing", "extra_forbidden", "value_error") and "storage" not in e["loc"]:  # has the key
            message += f", got {short(e['input'])}"
        if e["type"] == "extra_forbidden":
            message = "unknown key" + meant(str(e["loc"][-1]), _keys(model, e["loc"][:-1]))
            if technique and "did you mean" not in message:
                message += f"; a key of the technique goes to [{technique}]"
        found.append(f"{dotted(e['loc'])}: {message}" if e["loc"] else message)
    return found


def beyond_use(value: Any, at: tuple[Any, ...] = ()) -> Iterator[str]:
    """Values that no setting can be, a line each: text that is in no path, a number that no float holds."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from beyond_use(each, (*at, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from beyond_use(each, at)
    elif isinstance(value, str | Path) and any(x == "\0" or "\ud800" <= x <= "\udfff" for x in str(value)):
        yield f"{dotted(at)}: has NUL, or half of a surrogate pair, in its text"
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield f"{dotted(at)}: a whole number of more than {sys.float_info.max_10_exp} digits is none that is used"


def _keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Keys of the section at a location, as far as that is a section."""
    for name in location:
        field = getattr(model, "model_fields", {}).get(name)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def meant(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" * bool(known)


def near(path: Path) -> str:
    """A settings file beside or in a path that is none."""
    if path.is_dir():
        found = [file for file in sorted(path.glob("*.toml")) if ".instrument" not in file.suffixes]
        return f", did you mean {found[0]}?" if found else ""
    there = {file.name: file for file in path.parent.glob("*.toml")}
    close = difflib.get_close_matches(path.name, there, 1)
    return f", did you mean {there[close[0]]}?" if close else ""


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(location: tuple[Any, ...]) -> str:
    return ".".join(map(str, location))
