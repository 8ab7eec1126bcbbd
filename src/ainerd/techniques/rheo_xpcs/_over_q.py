"""Relaxation times and exponents over q: a power law and the figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

OVER_Q = (
    "tau_s", "tau_s_err", "tau2_s", "tau2_s_err", "tau_s_above", "tau_s_below", "kww_exponent", "kww_exponent_err",
)  # fmt: skip
LAW, LIMIT = "#D55E00", "#999999"


def draw_over_q(
    figure: Figure, q: NDArray[Any], columns: Mapping[str, NDArray[Any]], law: Mapping[str, Any]
) -> list[Axes]:
    """Draw tau over q on logarithmic axes, with guides and arrows for limits, and the exponent over q below it.

    `columns` have the names of the tables of bins and rings, `law` those of the summary. Guides have the slopes of
    diffusion, -2, and ballistic motion, -1.
    """
    times, shapes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    tau, error = columns["tau_s"], columns["tau_s_err"]
    times.errorbar(q, tau, error, fmt="o", ms=4, color="black", label="τ")
    if np.isfinite(columns["tau2_s"]).any():
        times.errorbar(
            q, columns["tau2_s"], columns["tau2_s_err"], fmt="s", ms=4, mfc="white", color="black", label="τ₂"
        )
    for name, marker, sign in (("tau_s_above", "^", ">"), ("tau_s_below", "v", "<")):
        if np.isfinite(columns[name]).any():
            times.plot(q, columns[name], marker, ms=6, color=LIMIT, label=f"limit, {sign}")
    known = np.isfinite(q) & (q > 0)
    if known.any():
        ends = np.array([q[known].min(), q[known].max()]) * (0.95, 1.05)
        seen = np.isfinite(tau) & known
        if seen.any():
            weight = (tau[seen] / error[seen]) ** 2
            middle = [np.exp(np.average(np.log(x[seen]), weights=weight)) for x in (q, tau)]
            if law.get("q_exponent") is not None:
                n = law["q_exponent"]
                label = f"q^−n, n = {n:.2f} ± {law['q_exponent_err']:.2g}"
                times.plot(ends, middle[1] * (ends / middle[0]) ** -n, color=LAW, label=label)
            for slope, style in ((2, "--"), (1, ":")):
                times.plot(
                    ends, middle[1] * (ends / middle[0]) ** -slope, style, lw=1, color="0.7", label=f"q^−{slope}"
                )
        times.set_xscale("log")
    if np.isfinite([columns[name] for name in ("tau_s", "tau_s_above", "tau_s_below")]).any():
        times.set_yscale("log")
        times.legend(fontsize=7)
    shapes.errorbar(q, columns["kww_exponent"], columns["kww_exponent_err"], fmt="o", ms=4, color="black")
    shapes.axhline(1, lw=1, color="0.7")
    times.set(ylabel="τ (s)")
    shapes.set(xlabel="q (1/nm)", ylabel="exponent")
    return [times, shapes]
