"""Techniques that are installed, by their entry points."""

import difflib
import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from ainerd.technique._panels import Panels
from ainerd.technique._protocol import Technique

logger = logging.getLogger(__name__)


class TechniqueError(ValueError):
    """There is no such technique, or it cannot be loaded; the message says which there are."""


def names() -> list[str]:
    """Names of the techniques that are installed."""
    return sorted(entry_points(group="ainerd.techniques").names)


def load(name: str) -> type[Technique]:
    """The class of an installed technique.

    Raises
    ------
    TechniqueError
        If there is none of that name, or it cannot be imported; in one line.
    """
    entry = _entry("ainerd.techniques", name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), 1)
        hint = f": did you mean {close[0]!r}?" if close else "."
        raise TechniqueError(f"there is no technique {name!r}{hint} Installed: {', '.join(names()) or 'none'}")
    try:
        return entry.load()
    except Exception as error:  # it may be anybody's code
        raise TechniqueError(f"technique {name!r} ({entry.value}) cannot be imported: {error}") from error


@cache
def panels(name: str) -> Panels | None:
    """What an installed technique draws; None if it draws nothing, or cannot be imported (which is logged)."""
    entry = _entry("ainerd.panels", name)
    if entry is None:
        return None
    try:
        return entry.load()
    except Exception as error:  # it may be anybody's code
        logger.warning("the panels of technique %r (%s) cannot be imported: %s", name, entry.value, error)
        return None


def _entry(group: str, name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=group, name=name)), None)
