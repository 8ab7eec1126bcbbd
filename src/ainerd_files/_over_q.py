"""Relaxation times and exponents of many exposures over q."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd_xpcs.technique import LIMIT_COLOUR, MARKS, draw_guides, log_axes


def draw_many_over_q(
    figure: Figure,
    series: Sequence[tuple[NDArray[Any], Mapping[str, NDArray[Any]]]],
    values: Sequence[float],
    name: str,
) -> list[Axes]:
    """Draw `ainerd_xpcs.technique.draw_over_q` for many exposures: q and columns of each, coloured by a number.

    Guides go through the middle of all relaxation times. `name` is that of the number, on the colour bar.
    """
    times, shapes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    finite = [x for x in values if np.isfinite(x)] or [0.0]
    norm, colours = Normalize(min(finite), max(finite)), colormaps["viridis"]
    points = []
    for (q, columns), value in zip(series, values, strict=True):
        style: dict[str, Any] = {"color": colours(norm(value)) if np.isfinite(value) else LIMIT_COLOUR, "alpha": 0.8}
        tau = columns["tau_s"]
        order = np.argsort(q)
        times.plot(q[order], tau[order], lw=0.6, **style)
        times.errorbar(q, tau, columns["tau_s_err"], fmt="o", ms=3, lw=0.8, **style)
        for other, (marker, *_) in MARKS.items():
            times.plot(q, columns[other], marker, ms=5, mfc="none", **style)
        shapes.errorbar(q, columns["kww_exponent"], columns["kww_exponent_err"], fmt="o", ms=3, lw=0.8, **style)
        points += [(x, y) for x, y in zip(q, tau, strict=True) if x > 0 and np.isfinite(y)]
    if points:
        all_q, all_tau = np.array(points).T
        middle = np.exp(np.median(np.log(all_q))), np.exp(np.median(np.log(all_tau)))
        draw_guides(times, np.array([all_q.min(), all_q.max()]) * (0.95, 1.05), *middle)
        times.legend(fontsize=7)
    shapes.axhline(1, lw=1, color="0.7")
    marks = [
        text for other, (*_, text) in MARKS.items() if any(np.isfinite(columns[other]).any() for _, columns in series)
    ]
    title = f"{len(series)} exposures" + (f"; {', '.join(marks)}" if marks else "")
    log_axes(times, np.concatenate([q for q, _ in series]), [columns for _, columns in series])
    times.set(ylabel="τ (s)", title=textwrap.fill(title, 60))
    shapes.set(xlabel="q (1/nm)", ylabel="exponent")
    figure.colorbar(ScalarMappable(norm, colours), ax=[times, shapes], label=name)
    return [times, shapes]
