"""Installed techniques, their panels and their exports, found by entry points."""

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ainerd.technique._technique import Technique

logger = logging.getLogger(__name__)


class Panels(Protocol):
    """Drawing functions of a technique: a module or an object with any of these functions.

    The functions get results in the form that Tiled stores, and draw with matplotlib only.

    Examples
    --------
    >>> drawing = panels("xtec")
    >>> drawing.thumbnail, drawing.quantities
    ('labels?format=image/png', ('clusters', 'transition_1'))
    """

    # Names of the arrays in ``scene.arrays``, by panel: {"gallery": …, "strip": …}. `gallery` gets the arrays of the
    # newest run and of its nearest one, `strip` those of the newest 60 runs.
    arrays: Mapping[str, Sequence[str]]
    # For pages in a browser. `quantities`: names of the numbers in time series and tables. `thumbnail`: the array of
    # the small picture, with its slice as in Tiled's URL. `view`: a script that draws a result on the page. `between`:
    # names of the two numbers between which a result was measured; titles then have these in place of its position.
    quantities: Sequence[str]
    between: Sequence[str]
    thumbnail: str
    view: Path

    def plot(self, result: Any, figure: Any) -> None:
        """Draw an `ainerd.results.AinerdResult` in a matplotlib figure or subfigure: ``result.plot()``."""

    def compare(self, results: Any, figure: Any) -> None:
        """Draw several results beside each other: ``results.plot([9, 12, 15])``."""

    def gallery(self, figure: Any, scene: Any, runs: Any) -> None:
        """Draw the newest run and its nearest one, beside the map in a campaign's figure (`ainerd.views.Scene`)."""

    def strip(self, axes: Any, scene: Any, runs: Any) -> None:
        """Draw a column for each run, below the novelty in the figure of a campaign."""

    def sentences(self, summary: Mapping[str, object]) -> list[str]:
        """Return plain sentences about the numbers of a result, for ``agent.explain()``."""

    def details(self, summary: Mapping[str, object]) -> list[str]:
        """Return more sentences, with the statistics, for ``agent.explain(details=True)``."""

    def columns(self, summary: Mapping[str, object], units: Mapping[str, str]) -> Mapping[str, str]:
        """Return the cells of one result in the table of results, by heading: ``{"tau (s)": "1.2 ± 0.1"}``."""

    def coordinates(self, result: Any, sizes: Mapping[str, int]) -> Mapping[str, tuple[str, NDArray[Any], str]]:
        """Return coordinates by name: each has its dimension, values and unit. `sizes` gives the size by dimension."""


class TechniqueError(ValueError):
    """Raised if a technique is not installed or cannot be imported.

    Examples
    --------
    >>> load("saxs")
    Traceback (most recent call last):
        ...
    ainerd.technique._installed.TechniqueError: there is no technique 'saxs'. Installed: rheo_xpcs, xtec
    """


def names() -> list[str]:
    """Return the names of the installed techniques.

    Examples
    --------
    >>> names()
    ['rheo_xpcs', 'xtec']
    """
    return sorted(entry_points(group="ainerd.techniques").names)


def load(name: str) -> type[Technique]:
    """Return the class of an installed technique.

    Raises
    ------
    TechniqueError
        If no technique has this name, it cannot be imported, or it is no `Technique`. The message is one line.

    Examples
    --------
    >>> load("xtec").__name__
    'XTEC'
    """
    entry = _entry("ainerd.techniques", name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), 1)
        hint = f": did you mean {close[0]!r}?" if close else "."
        raise TechniqueError(f"there is no technique {name!r}{hint} Installed: {', '.join(names()) or 'none'}")
    try:
        kind: type[Technique] = entry.load()
    except Exception as error:  # code of a third party
        is_light = isinstance(error, ModuleNotFoundError) and entry.dist is not None and entry.dist.name == "ainerd"
        hint = "; pip install 'ainerd[agent]' installs it" if is_light else ""
        raise TechniqueError(f"technique {name!r} ({entry.value}) cannot be imported: {error}{hint}") from error
    if not (isinstance(kind, type) and issubclass(kind, Technique)):
        raise TechniqueError(f"technique {name!r}: {entry.value} must inherit from ainerd.technique.Technique")
    return kind


@cache
def panels(name: str) -> Panels | None:
    """Return the panels of an installed technique, or None.

    Panels that cannot be imported are logged and count as None.
    """
    entry = _entry("ainerd.panels", name)
    if entry is None:
        return None
    try:
        loaded: Panels = entry.load()
    except Exception as error:  # code of a third party
        logger.warning("the panels of technique %r (%s) cannot be imported: %s", name, entry.value, error)
        return None
    return loaded


def exporter(name: str) -> Callable[[Any, str, Path], Path] | None:
    """Return the function that writes a result of a technique to a file in the format of its field, or None."""
    entry = _entry("ainerd.exports", name)
    return None if entry is None else entry.load()


def _entry(group: str, name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=group, name=name)), None)
