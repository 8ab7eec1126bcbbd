"""Several results of one technique together: their average and their picture, as the technique makes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ainerd.results._files import LoadedResult
from ainerd.technique import Average, load, panels
from ainerd.words import scan_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def average(results: Sequence[LoadedResult], dose: Sequence[float] | None = None, dose_name: str = "") -> Average:
    """Average results of one technique; ValueError if they are of several, or cannot be averaged."""
    names = [f"scan {scan_text(each.metadata.get('scan_id'), each.metadata.get('event'))}" for each in results]
    return load(_technique_of(results)).average(results, names, dose, dose_name or "order of the results")


def plot_together(results: Sequence[LoadedResult], values: Sequence[float] | None = None, name: str = "") -> "Figure":
    """Draw results of one technique, coloured by values with a name; ValueError if the technique draws none."""
    from ainerd.results._picture import Picture  # imports matplotlib

    technique = _technique_of(results)
    draw = getattr(panels(technique), "plot_together", None)
    if draw is None:
        raise ValueError(f"technique {technique!r} cannot draw results together")
    figure = Picture(figsize=(7, 6), layout="constrained")
    numbers = [float(k + 1) for k in range(len(results))] if values is None else values
    draw(results, numbers, name or "order of the results", figure)
    return figure


def _technique_of(results: Sequence[LoadedResult]) -> str:
    """Return the name of the technique of results; ValueError if there are several, or no result."""
    names = sorted({str(each.metadata["technique"]) for each in results})
    if len(names) != 1:
        raise ValueError(f"give results of one technique, not of {', '.join(names) or 'none'}")
    return names[0]
