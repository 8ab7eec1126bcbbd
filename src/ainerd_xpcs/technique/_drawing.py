"""Pictures of two-time maps, and of one exposure on one page: maps, g2, the beam, and series."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ainerd.words import SINCE, rounded
from ainerd_xpcs.technique._over_q import plain_ticks
from ainerd_xpcs.technique._sentences import half_cell, tau_cell

C2_MAP = "magma"
COLUMNS = 6  # maps in a row
GAP = 4  # pixels between maps
LIMITS = (1.0, 99.5)  # percentiles drawn black and white
MOST_NAMED = 6  # curves with a legend; more have a colour bar
FIT_COLOUR = "#D55E00"
OUTLINE = withStroke(linewidth=1.5, foreground="black")  # of the numbers of maps
BEAM = {
    "mean_frame": {"mean_frame"},
    "saxs": {"saxs", "saxs_q"},
    "intensity": {"intensity", "intensity_total", "intensity_time"},
}
CLOCK = ("clock", "clock_err", "clock_time")
Series = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]


def bin_names(numbers: NDArray[Any], phi: NDArray[Any]) -> list[str]:
    """Return the azimuth of each bin, with its number if another ring has the same; without azimuth the number."""
    azimuths = [f"φ = {x:.0f}°" if x == x else "" for x in phi]
    both = zip(numbers, azimuths, strict=True)
    return [f"bin {k:.0f}" if not at else at if azimuths.count(at) == 1 else f"{k:.0f}: {at}" for k, at in both]


def side_by_side(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Join maps (n, size, size) to one picture, six in a row, time up and to the right, NaN between them."""
    n, size, _ = maps.shape
    step, columns = size + GAP, min(COLUMNS, n)
    picture = np.full((-(-n // columns) * step - GAP, columns * step - GAP), np.nan)
    for k, image in enumerate(maps):
        row, column = divmod(k, columns)
        picture[row * step : row * step + size, column * step : column * step + size] = image[::-1]
    return picture


def highest(images: Iterable[NDArray[Any]]) -> float:
    """Return the largest percentile 99.5 of several maps, without their diagonals, which may hold shot noise."""
    return max(float(np.nanpercentile(image[~np.eye(len(image), dtype=bool)], 99.5)) for image in images)


def draw_map(axes: Axes, image: NDArray[Any], duration: float, low: float, high: float, frame: str) -> Any:
    """Draw a map over times from 0 to `duration`, in a coloured frame."""
    style: dict[str, Any] = {"extent": (0, duration, 0, duration), "origin": "lower", "cmap": C2_MAP}
    drawn = axes.imshow(image, vmin=low, vmax=high, **style)
    for side in axes.spines.values():
        side.set(color=frame, linewidth=2.5)
    return drawn


def draw_half(axes: Axes, time_s: float, colour: Any = "0.2", label: str | None = None) -> None:
    """Draw a dotted line at the time at which g2 - 1 falls to a half of its value at the first lags."""
    axes.axvline(time_s, color=colour, lw=1, ls=":", label=label)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1))


def draw_exposure(
    figure: Any,
    arrays: Mapping[str, NDArray[Any]],
    series: Series | None = None,
    *,
    duration_s: float | None,
    names: Sequence[str],
    fit: Mapping[str, Any] | None = None,
    fits: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Draw two-time maps, g2 and I(t) of every bin, mean frame, I(q), and series, as far as they are given.

    `arrays` may hold ``c2`` (n_roi, n, n); ``g2`` (n_roi, n_lags) over ``tau`` in s; ``clock`` (n,), the rate of the
    sample's clock in 1/s, with ``clock_err`` over ``clock_time`` in s; ``mean_frame``; ``saxs`` over
    ``saxs_q`` in 1/nm; ``intensity`` (n_roi, n_times) and ``intensity_total`` over ``intensity_time`` in s. `series`
    maps labels to (times in s, values); all times count from the start of the exposure, and all axes of time end with
    it. `names` are the names of the bins. `fit` has the numbers of a fit to all of them, by their names in results, and
    `fits` those of each.
    """
    curves = ["g2"] if {"g2", "tau"} <= set(arrays) else []
    beam = [name for name, wanted in BEAM.items() if wanted <= set(arrays)]
    clock = ["clock"] if {*CLOCK} <= set(arrays) else []
    columns = [["c2"] if "c2" in arrays else [], [*curves, *clock, *(series or {})], beam]
    widths = [width for column, width in zip(columns, (3.3, 1.8, 1.7), strict=True) if column]
    there = [[[name] for name in column] for column in columns if column]
    axes = figure.subplot_mosaic([there], width_ratios=widths) if there else {}
    colours = colormaps["hsv"](np.arange(len(names)) / max(len(names), 1)) * [0.8, 0.8, 0.8, 1]
    limits = None if duration_s is None else (0, duration_s)
    if "c2" in axes:
        _draw_maps(figure, axes["c2"], arrays["c2"], duration_s, names)
    if "g2" in axes:
        axes["g2"].set_prop_cycle(color=colours)
        lines = axes["g2"].semilogx(arrays["tau"], arrays["g2"].T, "." if fits else ".-", ms=3, lw=0.8, alpha=0.7)
        axes["g2"].set(xlabel="lag (s)", ylabel="$g_2$")
        if len(names) > MOST_NAMED:
            _draw_names(figure, axes["g2"], colours, names)
        else:
            for line, name in zip(lines, names, strict=False):
                line.set_label(name if not fits else None)
        for name, colour, own in zip(names, colours, fits, strict=bool(fits)):
            draw_fit(axes["g2"], arrays["tau"], own, colour, label=name if len(names) <= MOST_NAMED else "")
        draw_fit(axes["g2"], arrays["tau"], fit or {}, FIT_COLOUR, label="all bins")
        if axes["g2"].get_legend_handles_labels()[0]:
            axes["g2"].legend(fontsize=8)
    if "clock" in axes:
        draw_clock(axes["clock"], *(arrays[name] for name in CLOCK))
        axes["clock"].set(xlabel=SINCE, xlim=limits)
    if "mean_frame" in axes:
        _draw_mean_frame(figure, axes["mean_frame"], arrays["mean_frame"])
    if "saxs" in axes:
        seen = arrays["saxs"] > 0  # not behind the beamstop
        axes["saxs"].loglog(arrays["saxs_q"][seen], arrays["saxs"][seen], ".-", color="0.2", ms=3, lw=0.8)
        axes["saxs"].set(xlabel="$q$ (1/nm)", ylabel="$I(q)$")
        plain_ticks(axes["saxs"])
    if "intensity" in axes:
        axes["intensity"].set_prop_cycle(color=colours)
        axes["intensity"].plot(arrays["intensity_time"], arrays["intensity"].T, lw=0.5, alpha=0.3)
        axes["intensity"].plot(arrays["intensity_time"], arrays["intensity_total"], lw=0.8, color="0.1")
        axes["intensity"].set(xlabel=SINCE, ylabel="$I(t)$", xlim=limits, ylim=(0, None))
    for label, (times, values) in (series or {}).items():
        axes[label].plot(times, values, ".-", color="0.2", lw=1, ms=3)
        early = duration_s is not None and len(times) and times[-1] < 0.9 * duration_s
        end = f"\nthe readings end at {rounded(times[-1])} s" if early else ""
        axes[label].set(xlabel=SINCE + end, ylabel=label, xlim=limits)


def draw_fit(axes: Axes, lag: NDArray[Any], fit: Mapping[str, Any], colour: Any, *, label: str) -> None:
    """Draw the model of g2 with the numbers of a result, and its relaxation time; else when g2 - 1 falls to a half.

    Without a label nothing is written.
    """
    if {"contrast", "tau_s"} <= fit.keys() and fit.get("g2_model") != "clock":  # that is of the map
        t = np.geomspace(lag[lag > 0].min(), lag.max(), 120)
        moving = np.exp(-((t / fit["tau_s"]) ** fit.get("kww_exponent", 1.0)))
        share, still, base = (fit.get(n, x) for n, x in (("fast_share", 1.0), ("static_share", 0), ("g2_baseline", 0)))
        if share < 1:
            slow = np.exp(-((t / fit.get("tau2_s", np.inf)) ** fit.get("kww_exponent2", 1.0)))
            moving = share * moving + (1 - share) * slow
        g2 = 1 + base + (fit["contrast"] - base) * (still + (1 - still) * moving) ** 2
        axes.plot(t, g2, lw=1.5, color=colour, zorder=3, label=label and f"{label}: τ = {tau_cell(fit)} s")
    elif "tau_half_s" in fit:
        draw_half(axes, fit["tau_half_s"], colour, label and f"{label}: {half_cell(fit)} s")


def draw_clock(axes: Axes, rate: NDArray[Any], error: NDArray[Any], time: NDArray[Any]) -> None:
    """Draw the rate of the sample's clock, 1 / tau, with its band."""
    band = np.exp(error / rate)
    axes.fill_between(time, rate / band, rate * band, color=FIT_COLOUR, alpha=0.25, lw=0)
    axes.semilogy(time, rate, color=FIT_COLOUR, lw=1.2)
    axes.set(ylabel="rate 1/τ (1/s)", ylim=(np.quantile(rate, 0.02) / 3, np.max(rate) * 2))


def _draw_names(figure: Any, axes: Axes, colours: NDArray[Any], names: Sequence[str]) -> None:
    """Draw a colour bar with the names of some curves."""
    n = len(names)
    of_curves = ScalarMappable(BoundaryNorm(np.arange(n + 1), n), ListedColormap(colours))
    some = np.unique(np.linspace(0, n - 1, MOST_NAMED).round().astype(int))
    bar = figure.colorbar(of_curves, ax=axes, pad=0.02, aspect=30, ticks=some + 0.5)
    bar.set_ticklabels([names[k] for k in some], fontsize=7)


def _draw_mean_frame(figure: Any, axes: Any, image: NDArray[Any]) -> None:
    shown = image[image > 0]
    low, high = np.nanpercentile(shown, [2, 99.8]) if shown.size else (0.1, 1)
    axes.set_facecolor("0.85")  # masked pixels
    drawn = axes.imshow(np.maximum(image, low), norm=LogNorm(low, max(high, 1.001 * low)))
    axes.set(xticks=[], yticks=[], title="mean frame")
    ticks = {"ticks": np.geomspace(low, high, 3), "format": "{x:.2g}", "label": "photons/px/frame"}
    figure.colorbar(drawn, ax=axes, pad=0.02, shrink=0.9, aspect=12, **ticks).minorticks_off()


def _draw_maps(figure: Any, axes: Any, maps: NDArray[Any], duration_s: float | None, names: Sequence[str]) -> None:
    low, high = np.nanpercentile(maps, LIMITS)
    drawn = axes.imshow(side_by_side(maps), vmin=low, vmax=high, cmap=C2_MAP)
    step = maps.shape[1] + GAP
    for k, name in enumerate(names):
        row, column = divmod(k, COLUMNS)
        at = (column + 0.04) * step, (row + 0.04) * step
        axes.text(*at, name, color="white", va="top", fontsize=7, path_effects=[OUTLINE])
    axes.set_axis_off()
    each = "" if duration_s is None else f", {rounded(duration_s)} s long"
    axes.set_title(f"$C_2(t_1, t_2)$ of each bin{each}: time up and to the right")
    figure.colorbar(drawn, ax=axes, label="$C_2$", shrink=0.7, pad=0.01)
