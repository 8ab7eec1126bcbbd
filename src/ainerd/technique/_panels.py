"""What a technique draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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
