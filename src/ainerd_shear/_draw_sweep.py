"""The figure of an amplitude sweep: echoes of each amplitude, and velocities beside the rheology.

It is here because figures of stored results import neither numba nor scipy, and the numerics do.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_sweep(
    figure: "Figure",
    amplitudes: Sequence[float],
    echoes: Sequence[Any],
    moduli: Sequence[Any],
    roi: int = 0,
) -> "list[Axes]":
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
