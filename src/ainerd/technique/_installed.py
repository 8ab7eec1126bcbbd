"""Techniques that are installed, by their entry points."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd.technique._technique import Technique, complete_class

logger = logging.getLogger(__name__)


class Panels(Protocol):
    """What a technique draws, a module or an object with any of these functions; one that is missing is not drawn.

    They get results as Tiled has them, and draw with matplotlib alone.
    """

    # Names of the arrays that {"gallery": …, "strip": …} want, by way of ``scene.arrays``: `gallery` gets those of the
    # newest run and the nearest, `strip` those of the newest 60.
    arrays: Mapping[str, Sequence[str]]
    # For pages in a browser: names of the numbers of a result that they show over time and in tables; the array that
    # makes a small picture, with its slice, as Tiled's address has it; and a script that draws a result on the page.
    quantities: Sequence[str]
    thumbnail: str
    view: Path

    def plot(self, result: Any, figure: Any) -> None:
        """One result, an `ainerd.results.AinerdResult`, in a matplotlib figure or part of one: ``result.plot()``."""

    def image(self, result: Any) -> NDArray[np.uint8]:
        """One result as a grey picture: ``result.image()``."""

    def gallery(self, figure: Any, scene: Any, runs: Any) -> None:
        """The newest run and what it is like, beside the map in the campaign's figure (`ainerd.views.Scene`)."""

    def strip(self, axes: Any, scene: Any, runs: Any) -> None:
        """Something of each run, a column each, under the novelty of the campaign's figure."""

    def sentences(self, summary: Mapping[str, Any]) -> list[str]:
        """What the numbers of a result mean, in words, for ``agent.explain()``."""

    def columns(self, summary: Mapping[str, Any], units: Mapping[str, str]) -> Mapping[str, str]:
        """What the table of results shows of one, as text by heading: ``{"tau (s)": "1.2 ± 0.1"}``."""

    def coordinates(self, result: Any, sizes: Mapping[str, int]) -> Mapping[str, tuple[str, NDArray[Any], str]]:
        """What is known of the dimensions of a result's arrays, of these `sizes`: by name, dimension, values, unit."""

    def export(self, store: Any, key: str, path: Path) -> Path:
        """Write one result to a file of the field's format: ``ainerd export KEY FILE``."""


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
        return complete_class(entry.load(), Technique)
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
