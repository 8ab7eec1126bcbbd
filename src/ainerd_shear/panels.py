"""Drawings and sentences of runs that oscillate; they need numpy, pandas and matplotlib only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd_xpcs.technique.panels import C2_MAP, highest, new_figure, with_error, within

if TYPE_CHECKING:
    import pandas as pd

    from ainerd.results import LoadedResult

Floats = NDArray[np.float64]
arrays = ("echo", "echo_err", "echo_lag", "echo_c2")
table = "cycles"
quantities = ("echo_height", "tau_cycles", "tan_delta")
MODULI = {"storage_pa": ("G'", "#0072B2"), "loss_pa": ("G''", "#D55E00")}


def sweep(results: Iterable["LoadedResult"], amplitudes: Sequence[float]) -> Figure:
    """Return a figure of results of runs that oscillate: the echoes of each amplitude, and 1/(qτ) over tan δ.

    `results` come from `ainerd.results.ResultStore.load`.
    """
    figure, echoes = new_figure(10, 4.5), [_echoes(result) for result in results]
    draw_sweep(figure, amplitudes, echoes, echoes)
    return figure


def draw_sweep(
    figure: Figure,
    amplitudes: Sequence[float],
    echoes: Sequence[Any],
    moduli: Sequence[Any],
    roi: int = 0,
) -> list[Axes]:
    """Draw the echoes of each amplitude over the number of cycles, and 1/(qτ) over tan δ.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Or a part of one.
    amplitudes : sequence of float
        Of the strain, as fractions.
    echoes : sequence of EchoCurves
        Of each amplitude, or records with lags, heights, velocities and q. Where τ has only a lower limit, a triangle
        is the upper limit of the velocity.
    moduli : sequence of CycleModuli
        Of the same cycles, or records with their tan_delta; the point is the mean of tan δ over the cycles, its error
        that of the mean.
    roi : int
        Bin, from 0.

    Returns
    -------
    list of matplotlib.axes.Axes
        Of both plots.

    Raises
    ------
    ValueError
        If there are not as many echoes and moduli as amplitudes, or none.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> from matplotlib.figure import Figure
    >>> time = np.arange(0, 256, 0.05)
    >>> strain, stress = 0.1 * np.sin(2 * np.pi * time), 40 * np.sin(2 * np.pi * time + 0.1)
    >>> moduli = cycle_moduli(time, strain, stress, phase_of_record(time, strain))
    >>> echoes = Echoes(Partition.from_roi_map(np.ones((40, 40), int), q=[0.05]))
    >>> echoes.push(movie, np.arange(256))
    >>> axes = draw_sweep(Figure(), [0.1], [echoes.result()], [moduli])
    >>> [each.get_xlabel() for each in axes]
    ['number of cycles', 'tan δ']
    """
    from matplotlib import colormaps  # takes half a second

    if not len(amplitudes) or {len(echoes), len(moduli)} != {len(amplitudes)}:
        raise ValueError(f"{len(amplitudes)} amplitudes, {len(echoes)} echoes and {len(moduli)} moduli must be as many")
    left, right = figure.subplots(1, 2)
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(amplitudes)))
    for amplitude, each, cycles, colour in zip(amplitudes, echoes, moduli, colours, strict=True):
        style: dict[str, Any] = {"color": colour, "ms": 4, "lw": 0.8}
        label = f"{100 * amplitude:.3g} %"
        left.errorbar(each.lag, each.height[roi], each.height_err[roi], fmt="o-", label=label, **style)
        of_cycles = cycles.tan_delta[np.isfinite(cycles.tan_delta)]
        tan = of_cycles.mean() if of_cycles.size else np.nan
        tan_err = of_cycles.std(ddof=1) / np.sqrt(of_cycles.size) if of_cycles.size > 1 else np.nan
        if np.isfinite(each.velocity[roi]):
            right.errorbar(tan, each.velocity[roi], each.velocity_err[roi], tan_err, fmt="o", label=label, **style)
        elif np.isfinite(each.velocity_below[roi]):
            right.errorbar(tan, each.velocity_below[roi], None, tan_err, fmt="v", mfc="none", label=label, **style)
    left.set(xscale="log", xlabel="number of cycles", ylabel="echo height")
    left.axhline(0, lw=1, color="0.7")
    left.legend(title="strain", fontsize=8)
    right.set(xlabel="tan δ", ylabel="1/(qτ) (nm per cycle)")
    q = echoes[0].q[roi]
    if np.isfinite(q):
        left.set_title(f"q = {q:.3g} 1/nm", loc="left", fontsize=10)
    if right.has_data():
        right.set_yscale("log")
    return [left, right]


def plot(figure: Any, arrays: Mapping[str, NDArray[Any]], cycles: "pd.DataFrame") -> None:
    """Draw echo heights over the number of cycles, the map of cycles, and echoes and moduli of each cycle.

    Parameters
    ----------
    figure : matplotlib.figure.SubFigure
    arrays : mapping
        Of a result, with the names in `arrays`.
    cycles : DataFrame
        Its table ``cycles``.
    """
    axes = figure.subplot_mosaic([["height", "each"], ["map", "moduli"]])
    height, lag = arrays["echo"], arrays["echo_lag"]
    axes["height"].semilogx(lag, height.T, "-", lw=0.6, alpha=0.5, color="0.6")
    axes["height"].errorbar(lag, *_mean_of_bins(height, arrays["echo_err"]), fmt="o-", ms=3, lw=1, color="0.1")
    axes["height"].axhline(0, lw=0.8, color="0.7")
    axes["height"].set(xlabel="number of cycles", ylabel="echo height", title="bins grey, their mean black")
    each, _ = _mean_of_bins(arrays["echo_c2"], arrays["echo_c2"])
    first, last = float(cycles["cycle"].iloc[0]), float(cycles["cycle"].iloc[-1] + cycles["cycle"].diff().iloc[-1])
    box: dict[str, Any] = {"extent": (first, last, first, last), "origin": "lower", "cmap": C2_MAP}
    drawn = axes["map"].imshow(each, vmin=1.0, vmax=max(highest([each]), 1.001), **box)
    axes["map"].set(xlabel="cycle", ylabel="cycle", title="$C_2$ of cycle with cycle")
    figure.colorbar(drawn, ax=axes["map"], shrink=0.9)
    style: dict[str, Any] = {"fmt": ".-", "ms": 3, "lw": 0.7}
    axes["each"].errorbar(cycles["cycle"], cycles["echo"], cycles["echo_err"], color="0.1", **style)
    axes["each"].set(ylabel="echo height", title="each cycle with the one before")
    axes["moduli"].sharex(axes["each"])
    axes["moduli"].set(xlabel="cycle", ylabel="modulus (Pa)")
    if not MODULI.keys() <= set(cycles):
        return
    for name, (label, colour) in MODULI.items():
        values = cycles["cycle"], cycles[name], cycles[f"{name}_err"]
        axes["moduli"].errorbar(*values, color=colour, label=label, **style)
    right = axes["moduli"].twinx()
    right.errorbar(cycles["cycle"], cycles["tan_delta"], cycles["tan_delta_err"], color="0.5", label="tan δ", **style)
    right.set_ylabel("tan δ")
    if (highest_tan := cycles["tan_delta"].max()) > 0:
        right.set_ylim(0, 1.5 * highest_tan)
    axes["moduli"].set_ylim(0, None)
    lines = [*axes["moduli"].get_legend_handles_labels(), *right.get_legend_handles_labels()]
    axes["moduli"].legend(lines[0] + lines[2], lines[1] + lines[3], fontsize=8, loc="best")


def _mean_of_bins(values: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Return the mean over the bins, the first axis, that have light, and its error; NaN without such a bin."""
    n = np.isfinite(values).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(values, axis=0) / n, np.sqrt(np.nansum(np.square(errors), axis=0)) / n


def _echoes(result: Any) -> SimpleNamespace:
    """Return the mean echo of the ring to which the numbers of a result belong, its velocity, and tan δ by cycle.

    The names are those of `EchoCurves` and `CycleModuli`, which `draw_sweep` draws.
    """
    q, numbers = result["echoes"].read()["q"].to_numpy(dtype=float), result.metadata
    ring = np.isclose(q, numbers["q"], rtol=0.02) if "q" in numbers else np.ones(len(q), bool)
    height, error = _mean_of_bins(result["echo"].read()[ring], result["echo_err"].read()[ring])
    tau, tau_err, above = (np.array([numbers.get(f"tau_cycles{end}", np.nan)]) for end in ("", "_err", "_above"))
    at, cycles = q[ring].mean(keepdims=True), result["cycles"].read()
    tan_delta = np.asarray(cycles["tan_delta"] if "tan_delta" in cycles else [np.nan], dtype=float)
    of_ring = {"velocity": 1 / (at * tau), "velocity_err": tau_err / (at * tau**2), "velocity_below": 1 / (at * above)}
    lag, curve = result["echo_lag"].read(), {"height": height[None], "height_err": error[None]}
    return SimpleNamespace(lag=lag, **curve, **of_ring, q=at, tan_delta=tan_delta)


def sentences(values: Mapping[str, Any]) -> Iterator[str]:
    """Describe the echoes of a sample that oscillates, and its moduli."""
    if "no_echoes" in values:
        yield f"the strain changes, and there are no echoes: {values['no_echoes']}"
    if "echo_height" in values:
        yield f"the echo after a cycle is {with_error(values, 'echo_height')}"
    if decay := within(values, "tau_cycles", "cycles"):
        yield f"echoes decay in {decay}"
    elif "no_tau_cycles" in values:
        yield f"no decay of the echoes is given: {values['no_tau_cycles']}"
    if "training_exponent" in values:
        yield "echoes decay more slowly from cycle to cycle"
    if "storage_pa" in values:
        moduli = (with_error(values, name, "Pa") for name in ("storage_pa", "loss_pa"))
        yield "G' is {}, G'' is {}".format(*moduli)
    if "cycles_changed" in values:
        yield str(values["cycles_changed"])
