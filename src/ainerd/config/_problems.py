"""Problems of settings, as lines that name the key and the remedy."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ValidationError

S = TypeVar("S", bound=BaseModel)


def read_section(model: type[S], values: Mapping[str, object], name: str) -> S:
    """Validate the section `name` of the TOML and return it.

    Raises SettingsError with one line for each problem, which names the key.

    Examples
    --------
    >>> read_section(Detector, {"image": "lambda750k_image"}, "detector").image
    'lambda750k_image'
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if not values:
            needs = ", ".join(dotted(e["loc"]) for e in error.errors())
            raise SettingsError(f"there is no section [{name}], which needs {needs}") from None
        raise SettingsError("\n".join(problems_of(error, model, at=(name,)))) from None


class SettingsError(ValueError):
    """Raised if the settings are invalid; the message names the key and the file.

    Examples
    --------
    >>> Settings.load(folder / "agent.toml")
    Traceback (most recent call last):
        ...
    ainerd.config._problems.SettingsError: cannot read ...agent.toml: No such file or directory
    """

    def in_file(self, path: Path) -> Self:
        """Return the error with the name of the file in each line."""
        return type(self)("\n".join(f"{path}: {line}" for line in str(self).splitlines()))


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    technique: str = "",
    at: tuple[str, ...] = (),
    *,
    others: bool = False,
) -> list[str]:
    """Return one line ``key: problem`` for each invalid value of a model whose own key is `at`.

    Problems that only follow from another one are left out: with `others`, also sections that miss, or miss something.
    """
    problems, errors = [], error.errors()
    places = [e["loc"] for e in errors]
    for e in errors:
        if e["loc"][:2] == ("steering", "bounds") and any(x[:2] == ("steering", "knobs") for x in places):
            continue  # they come from the knobs
        if others and (not e["loc"] or (e["type"] == "missing" and len(e["loc"]) == 1)):
            continue  # an unknown section may be the one that is meant
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] not in ("missing", "extra_forbidden", "value_error") and not {"storage", "webhook"} & {*e["loc"]}:
            # neither the key of a server nor the token in an address
            message += f", got {short(e['input'])}"
        where = (*at, *e["loc"])
        if e["type"] == "missing" and isinstance(e["loc"][-1], int):
            message, where = f"has too few values, got {short(e['input'])}", where[:-1]
        if e["type"] == "extra_forbidden":
            message = "unknown key" + alternatives(str(e["loc"][-1]), keys_at(model, e["loc"][:-1]))
            if technique and "did you mean" not in message:
                message += f"; a key of the technique goes to [{technique}]"
        problems.append(f"{dotted(where)}: {message}" if where else message)
    return problems


def keys_at(model: Any, location: tuple[object, ...]) -> list[str]:
    """Return the keys of the section at a location; empty if it is not a section."""
    for name in location:
        if (field := model.model_fields.get(name)) is not None:  # else the name of a section in a table of them
            kinds = (field.annotation, *get_args(field.annotation))
            model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), BaseModel)
    return list(model.model_fields)


def alternatives(key: str, known: list[str]) -> str:
    """Return the end of a message, with the most similar key or all known keys."""
    close = difflib.get_close_matches(key, known, 1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" * bool(known)


def short(value: object) -> str:
    """Return a value as text of at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(location: tuple[object, ...]) -> str:
    """Return a location as ``section.key``."""
    return ".".join(map(str, location))
