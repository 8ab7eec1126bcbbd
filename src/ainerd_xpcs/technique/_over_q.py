"""Relaxation times and exponents over q, with their power law."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from ainerd.words import value_with_error

OVER_Q = (
    "tau_s", "tau_s_err", "tau2_s", "tau2_s_err", "tau_s_or", "tau_s_or_err", "tau_s_above", "tau_s_below",
    "tau_half_s", "tau_half_s_err", "tau2_s_above", "kww_exponent", "kww_exponent_err",
)  # fmt: skip
NARROW = 10.0  # highest over lowest value of a logarithmic axis below which its ticks are those of a linear one
LAW_COLOUR, SLOW_COLOUR, LIMIT_COLOUR = "#D55E00", "#0072B2", "#999999"
MARKS = {  # by column: the marker and its label
    "tau2_s": ("s", "τ₂"),
    "tau_s_or": ("D", "τ, another model"),
    "tau_half_s": ("X", "no τ: falls to a half"),
    "tau_s_above": ("^", "limit, >"),
    "tau_s_below": ("v", "limit, <"),
    "tau2_s_above": ("2", "τ₂, limit, >"),
}


def draw_over_q(
    figure: Figure | SubFigure,
    q: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    law: Mapping[str, Any],
    slow: Mapping[str, Any] | None = None,
) -> list[Axes]:
    """Draw tau over q on logarithmic axes, with guides and arrows for limits, and the exponent over q below it.

    `columns` have the names of the tables of bins and rings, `law` those of the summary; `slow` is the law of the
    slower relaxation time. Guides have the slopes of diffusion, -2, and ballistic motion, -1.
    """
    times, shapes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    tau, error = columns["tau_s"], columns["tau_s_err"]
    times.errorbar(q, tau, error, fmt="o", ms=4, color="black", label="τ")
    for name, (marker, label) in MARKS.items():
        if not np.isfinite(columns[name]).any():
            continue
        if f"{name}_err" in columns:
            style = {"ms": 4, "mfc": "white", "color": "black", "label": label}
            times.errorbar(q, columns[name], columns[f"{name}_err"], fmt=marker, **style)
        else:
            times.plot(q, columns[name], marker, ms=6, color=LIMIT_COLOUR, label=label)
    known = np.isfinite(q) & (q > 0)
    if known.any():
        ends = np.array([q[known].min(), q[known].max()]) * (0.95, 1.05)
        seen = np.isfinite(tau) & known
        if seen.any():
            weight = (tau[seen] / error[seen]) ** 2
            middle = [np.exp(np.average(np.log(x[seen]), weights=weight)) for x in (q, tau)]
            _draw_law(times, ends, middle, law, LAW_COLOUR)
            both = known & np.isfinite(columns["tau2_s"])
            if slow is not None and both.any():
                of_slow = [float(np.exp(np.log(x[both]).mean())) for x in (q, columns["tau2_s"])]
                _draw_law(times, ends, of_slow, slow, SLOW_COLOUR)
            if law.get("no_q_exponent"):
                label = textwrap.fill(f"no exponent: {law['no_q_exponent']}", 28)
                times.plot([], [], " ", label=label)
            for slope, dashes in ((2, "--"), (1, ":")):
                guide = middle[1] * (ends / middle[0]) ** -slope
                times.plot(ends, guide, dashes, lw=1, color="0.7", label=f"$q^{{-{slope}}}$")
    if any(np.isfinite(columns[name]).any() for name in ("tau_s", *MARKS)):  # a power law is a straight line
        times.set(yscale="log", xscale="log" if known.any() else "linear")
        plain_ticks(times)
        # beside the axes: inside, it would hide the guides or marks of limits
        beside: dict[str, Any] = {"loc": "outside upper center", "ncols": 2, "columnspacing": 1, "handlelength": 1.5}
        figure.legend(*times.get_legend_handles_labels(), fontsize=7, **beside)
    shapes.errorbar(q, columns["kww_exponent"], columns["kww_exponent_err"], fmt="o", ms=4, color="black")
    shapes.axhline(1, lw=1, color="0.7")
    times.set(ylabel="τ (s)")
    shapes.set(xlabel="q (1/nm)", ylabel="exponent")
    return [times, shapes]


def plain_ticks(axes: Axes) -> None:
    """Write plain numbers on logarithmic axes that are narrow: powers of ten would be too few."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        if high < NARROW * low:
            ticks = MaxNLocator(4, steps=(1, 2, 5, 10))
            axis.set(major_locator=ticks, major_formatter=ScalarFormatter(), minor_locator=NullLocator())


def _draw_law(axes: Axes, ends: NDArray[Any], middle: Sequence[float], law: Mapping[str, Any], colour: str) -> None:
    """Draw a power law, if there is one, through a point (q, tau)."""
    if (n := law.get("q_exponent")) is not None:
        label = f"$q^{{-n}}$, n = {value_with_error(n, law['q_exponent_err'])}"
        axes.plot(ends, middle[1] * (ends / middle[0]) ** -n, color=colour, label=label)
