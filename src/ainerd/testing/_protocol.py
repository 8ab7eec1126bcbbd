"""Attributes, parameters and settings of a technique."""

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real

from ainerd.config import Settings
from ainerd.technique import Series, provides
from ainerd.testing._example import analyse
from ainerd.testing._trial import CheckFailed, Trial, require

ATTRIBUTES = ("name", "unit", "alpha", "embedding_size", "regime_width", "parameters")
METHODS = ("from_settings", "begin", "regimes")


def protocol(trial: Trial) -> None:
    """All attributes and methods are there and make sense."""
    technique = trial.technique
    require(not isinstance(technique, type), "the class was given: give an instance, such as Mine()")
    missing = [name for name in ATTRIBUTES if not hasattr(technique, name)]
    missing += [name for name in METHODS if not provides(technique, name)]
    require(not missing, f"there is no {', '.join(missing)}: see ainerd.technique.Technique")
    no_methods = [name for name in METHODS if not callable(getattr(technique, name))]
    require(not no_methods, f"{', '.join(no_methods)} must be a method")
    name, unit = technique.name, technique.unit
    require(
        isinstance(name, str) and name.isidentifier(),
        f"name must be an identifier, it is the section of the TOML and part of commands; got {name!r}",
    )
    taken = set(Settings.model_fields)
    require(name not in taken, f"name {name!r} is a key of the settings: the technique needs another")
    require(
        unit in ("event", "run") or isinstance(unit, Series),
        f"unit must be 'event', 'run' or ainerd.technique.Series(key), got {unit!r}",
    )
    require(
        not isinstance(unit, Series) or (isinstance(unit.key, str) and unit.key),
        "the key of Series must be that of the start document, such as 'ramp'",
    )
    alpha, size, width = technique.alpha, technique.embedding_size, technique.regime_width
    require(_is(alpha, Real) and 0 < alpha < 1, f"alpha must be a number in (0, 1), got {alpha!r}")
    require(_is(size, Integral) and size > 0, f"embedding_size must be a positive int, got {size!r}")
    require(
        width is None or (_is(width, Real) and 0 < width < math.inf),
        f"regime_width must be None or a positive distance, got {width!r}",
    )


def parameters(trial: Trial) -> None:
    """Parameters are JSON, and the same each time: a result's key depends on them."""
    technique = trial.technique
    before = _json(technique.parameters)
    require(_json(technique.parameters) == before, "two looks give two parameters: leave out what changes by itself")
    analyse(technique, trial.run)
    require(
        _json(technique.parameters) == before,
        "an analysis changed the parameters: leave out what is learned from runs",
    )


def settings(trial: Trial) -> None:
    """`from_settings` builds the same technique each time, and refuses a key that it does not know."""
    if trial.section is None:
        return
    kind, section, folder = type(trial.technique), trial.section, trial.folder
    one, two = (kind.from_settings(dict(section), folder) for _ in range(2))
    require(isinstance(one, kind), f"from_settings must return a {kind.__name__}, got {type(one).__name__}")
    require(
        _json(one.parameters) == _json(two.parameters),
        "two techniques from the same section have other parameters: leave out times, addresses, unseeded numbers",
    )
    unknown = "no_such_key"
    try:
        kind.from_settings({**section, unknown: 1}, folder)
    except ValueError as error:
        require(
            unknown in str(error),
            f"the error for an unknown key must name it, said {error}: use ainerd.config.read_section",
        )
    else:
        raise CheckFailed("a key of the section that is misspelt is passed over: use ainerd.config.read_section")


def _json(parameters: object) -> str:
    require(isinstance(parameters, Mapping), f"parameters must be a mapping, got {type(parameters).__name__}")
    try:
        return json.dumps(parameters, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"parameters must be plain JSON values without NaN: {error}") from None


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


PROTOCOL = (protocol, parameters, settings)
