"""Pictures of a run that oscillates, from stored arrays and tables; numpy and matplotlib only."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_xpcs._draw_sweep import draw_sweep
from ainerd_xpcs.technique._drawing import C2_MAP, highest

Floats = NDArray[np.float64]
ARRAYS = ("echo", "echo_err", "echo_lag", "echo_c2")
MODULI = {"storage_pa": ("G'", "#0072B2"), "loss_pa": ("G''", "#D55E00")}


class Stored(NamedTuple):
    """The arrays of a result that `draw_sweep` draws, with the names of `EchoCurves` and `CycleModuli`."""

    lag: Floats
    height: Floats
    height_err: Floats
    velocity: Floats
    velocity_err: Floats
    velocity_below: Floats
    q: Floats
    tan_delta: Floats


def draw_cycles(figure: Any, arrays: Mapping[str, NDArray[Any]], cycles: pd.DataFrame) -> None:
    """Draw echo heights over the number of cycles, the map of cycles, and echoes and moduli of each cycle.

    Parameters
    ----------
    figure : matplotlib.figure.SubFigure
    arrays : mapping
        `ARRAYS` of a result.
    cycles : DataFrame
        Its table ``cycles``.
    """
    axes = figure.subplot_mosaic([["height", "each"], ["map", "moduli"]])
    height, lag = arrays["echo"], arrays["echo_lag"]
    axes["height"].semilogx(lag, height.T, "-", lw=0.6, alpha=0.5, color="0.6")
    error = np.sqrt(np.nansum(np.square(arrays["echo_err"]), axis=0)) / np.maximum(np.isfinite(height).sum(0), 1)
    known = np.isfinite(height).any(0)
    mean = np.nanmean(height[:, known], axis=0)
    axes["height"].errorbar(lag[known], mean, error[known], fmt="o-", ms=3, lw=1, color="0.1")
    axes["height"].axhline(0, lw=0.8, color="0.7")
    axes["height"].set(xlabel="number of cycles", ylabel="echo height", title="bins grey, their mean black")
    each = np.nanmean(arrays["echo_c2"], axis=0)
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
    right.set(ylabel="tan δ", ylim=(0, 1.5 * np.nanmax(cycles["tan_delta"])))
    axes["moduli"].set_ylim(0, None)
    lines = [*axes["moduli"].get_legend_handles_labels(), *right.get_legend_handles_labels()]
    axes["moduli"].legend(lines[0] + lines[2], lines[1] + lines[3], fontsize=8, loc="best")


def draw_stored_sweep(figure: Any, results: Sequence[Any], amplitudes: Sequence[float]) -> None:
    """Draw the sweep of results with echoes, of the ring in the middle; see `ainerd_xpcs.draw_sweep`."""
    order = np.argsort(amplitudes)
    stored = [_stored(results[i]) for i in order]
    draw_sweep(figure, [amplitudes[i] for i in order], stored, stored)


def _stored(result: Any) -> Stored:
    """Return the mean echo of the ring to which the numbers of a result belong, its velocity, and tan δ by cycle."""
    q, numbers = result["echoes"].read()["q"].to_numpy(dtype=float), result.metadata
    ring = np.isclose(q, numbers["q"], rtol=0.02) if "q" in numbers else np.ones(len(q), bool)
    lag, height, error = (result[name].read() for name in ("echo_lag", "echo", "echo_err"))
    mean, of_mean = height[ring].mean(0), np.sqrt(np.square(error[ring]).sum(0)) / ring.sum()
    tau, tau_err, above = (numbers.get(f"tau_cycles{end}", np.nan) for end in ("", "_err", "_above"))
    at, cycles = float(q[ring].mean()), result["cycles"].read()
    velocity = 1 / (at * tau)
    of_ring = [np.array([x]) for x in (velocity, velocity * tau_err / tau, 1 / (at * above), at)]
    tan_delta = np.asarray(cycles["tan_delta"] if "tan_delta" in cycles else [np.nan], dtype=float)
    return Stored._make([lag, mean[None], of_mean[None], *of_ring, tan_delta])
