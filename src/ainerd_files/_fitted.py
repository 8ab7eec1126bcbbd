"""Curves of g2 with their fits: table, picture and file."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ainerd.words import number_of, rounded
from ainerd_files._curves_of_bins import Curves
from ainerd_files._written import Columns, write_results
from ainerd_xpcs.numerics import CurveFit, PowerFit, fit_power
from ainerd_xpcs.technique import (
    LAW_COLOUR,
    draw_half,
    draw_over_q,
    half_cell,
    named,
    of_law,
    power_sentences,
    value_cell,
)

SHOWN = 4  # bins in the picture of a file, at most
_BANDS, _MARGIN = 8, 0.25  # of the lags, whose means set the range of a picture, and room beyond it
_TIMES = re.compile(r"× ([\d.e+]+)")


@dataclass(frozen=True)
class FittedCurves:
    """Curves of bins, the fit of each, and the power laws of tau, and of the slower relaxation time, over q."""

    curves: Curves
    fit: CurveFit
    power: PowerFit
    slow: PowerFit

    @classmethod
    def of(cls, curves: Curves, **options: Any) -> "FittedCurves":
        """Fit curves with options of `fit_curves`."""
        fit = curves.fit(**options)
        laws = [fit_power(curves.q, *each) for each in ((fit.tau, fit.tau_err), (fit.tau2, fit.tau2_err))]
        return cls(curves, fit, *laws)

    @property
    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Columns of the fits by their names in results, (n_roi,) each, and the fall of g2 - 1."""
        return {"g2_fall": self.fit.fall, "g2_fall_err": self.fit.fall_err, **named(self.fit)}

    @property
    def order(self) -> NDArray[np.int64]:
        """Rows of the bins: those with a relaxation time first, then those with a share, then those that fall."""
        fit = self.fit
        rank = np.select([np.isfinite(fit.tau), np.isfinite(fit.share), fit.falls], [0, 1, 2], 3)
        return np.argsort(rank, kind="stable")

    def write(self, path: Path, tables: Mapping[str, Columns] = {}, **about: Any) -> None:
        """Write g2, errors, lags, bins with their fits, `tables`, and numbers of all bins as attributes."""
        curves = self.curves
        arrays = {"g2": curves.g2, "g2_err": curves.error, "tau": curves.tau_s}
        of_bins = {name: getattr(curves, name) for name in ("q", "phi", "n_pixels", "mean_counts")}
        bins = {"bin": curves.numbers, **of_bins, **self.columns}
        about |= {"layout": curves.layout, "formula": self.fit.formula, "n_files": self.fit.n_files}
        about |= {"frame_time_s": curves.frame_time_s, "n_frames": curves.n_frames, **of_law(self.power)}
        write_results(path, arrays, {"bins": bins, **tables}, about, curves.partition)

    def table(self, title: str) -> Table:
        """Return a table of the numbers of each bin, or of the reasons, with sentences below it.

        Bins with numbers come first; numbers that need no model stand where there is no relaxation time.
        """
        curves = self.curves
        rows = [self._known(k) for k in range(len(curves.g2))]
        columns = {
            "bin": [str(number) for number in curves.numbers],
            "q (1/nm)": [f"{q:.4g}" if q == q else "–" for q in curves.q],
            "φ (°)": [f"{phi:.4g}" if phi == phi else "" for phi in curves.phi],
            "half (s)": ["" if "tau_s" in row else half_cell(row).removeprefix("half at ") for row in rows],
            "contrast": [value_cell(row, "contrast") if _is_own(row, "contrast") else "" for row in rows],
            "share": [value_cell(row, "fast_share") for row in rows],
            "τ (s)": [_tau(row) for row in rows],
            "τ₂ (s)": [_slow(row) for row in rows],
            "exponent": [value_cell(row, "kww_exponent") if _is_own(row, "exponent") else "" for row in rows],
        }
        shown = {name: cells for name, cells in columns.items() if any(cells)}
        table = Table(*shown, title=escape(title), box=SIMPLE_HEAD)
        for k in self.order:
            table.add_row(*(cells[k] for cells in shown.values()))
        table.caption = "\n".join(self._sentences())
        return table

    def _known(self, k: int) -> dict[str, Any]:
        """Return the numbers of a bin that are known, by their names in results."""
        fit = self.fit
        half = {"tau_half_s": fit.half, "tau_half_s_err": fit.half_err}
        half |= {"tau_half_s_above": fit.half_above, "tau_half_s_below": fit.half_below}
        row = {name: column[k] for name, column in (self.columns | half | {"shared": fit.shared}).items()}
        return {name: x for name, x in row.items() if x == x and x != ""}

    def _sentences(self) -> Iterator[str]:
        curves, fit = self.curves, self.fit
        yield f"{curves.layout}: {curves.tau_s.size} lags, {rounded(curves.tau_s[0])} to {rounded(curves.tau_s[-1])} s"
        yield from _of_errors(fit.errors)
        together = np.flatnonzero(fit.shared != "")
        if together.size:
            yield self._together(together)
        yield from self._models(fit.shared == "")
        yield from power_sentences(of_law(self.power))
        if np.isfinite(fit.tau2).sum() > 1:
            yield from (text.replace("tau", "tau2") for text in power_sentences(of_law(self.slow)))
        if curves.no_partition:
            yield f"No q: {curves.no_partition}"

    def _models(self, alone: NDArray[np.bool_]) -> Iterator[str]:
        """Name the model of the bins that have numbers of their own."""
        of_bins = [_model(self._known(int(k))) for k in np.flatnonzero(alone)]
        for model, n in Counter(filter(None, of_bins)).most_common():
            yield f"model of g2: {model} ({number_of(n, 'bin')})"

    def _together(self, rows: NDArray[np.int64]) -> str:
        """Describe the fit of several bins together, with the numbers that they share."""
        names = str(self.fit.shared[rows[0]]).split(", ")
        fields = [x for x in ("contrast", "exponent", "exponent2", "baseline") if x.removesuffix("2") in names]
        numbers = []
        for name in fields:
            value, error = (getattr(self.fit, field)[rows] for field in (name, f"{name}_err"))
            if (known := np.flatnonzero(np.isfinite(value))).size:
                k = known[np.nanargmin(error[known])] if np.isfinite(error[known]).any() else known[0]
                label = name.replace("exponent2", "that of the slow mode")
                numbers.append(f"{label} {value_cell({'x': value[k], 'x_err': error[k]}, 'x')}")
        shared = f": {', '.join(numbers)}" if numbers else ""
        return f"{number_of(rows.size, 'bin')} with the same {' and '.join(names)}, {self.fit.model[rows[0]]}{shared}"

    def chosen(self) -> Sequence[int]:
        """Return the rows of bins for a picture: at most four of those that come first in the table, by number."""
        fit, order = self.fit, self.order
        with_tau = np.isfinite(fit.tau)
        carries = with_tau | np.isfinite(fit.share) | fit.falls
        n = with_tau.sum() if with_tau.sum() >= SHOWN else carries.sum()
        some = np.sort(order[: max(int(n), 1)])
        return [int(k) for k in some[np.unique(np.linspace(0, some.size - 1, SHOWN).round().astype(int))]]

    def draw(self, figure: Figure | SubFigure) -> dict[int, Axes]:
        """Draw g2 of some bins, one beside the other, each on the scale of its own curve; return their axes by row."""
        rows = self.chosen()
        n_columns = min(len(rows), 2)
        panels = figure.subplots(-(-len(rows) // n_columns), n_columns, squeeze=False, sharex=True).ravel()
        for axes in panels[len(rows) :]:
            axes.set_axis_off()
        for axes, k in zip(panels, rows, strict=False):
            self.draw_curve(axes, k)
            q = self.curves.q[k]
            axes.set_title(f"bin {self.curves.numbers[k]}" + (f", q = {q:.3g}/nm" if q == q else ""), fontsize=10)
            axes.set_ylim(*self._range(k))
            axes.legend(fontsize=8, loc="upper right")
        return dict(zip(rows, panels, strict=False))

    def _range(self, k: int) -> tuple[float, float]:
        """Return the range of g2 of a bin for a picture, from means of bands of lags, whose noise is small."""
        value, error = self.curves.g2[k], self.curves.error[k]
        use = np.isfinite(value)
        if not use.any():
            return 0.9, 1.1
        weight = np.divide(1, error**2, out=np.zeros_like(error), where=error > 0)
        weight = weight if (weight[use] > 0).any() else np.ones_like(value)
        bands = [band for band in np.array_split(np.flatnonzero(use & (weight > 0)), _BANDS) if band.size]
        means = [float(np.average(value[band], weights=weight[band])) for band in bands]
        ends = [1.0, *means, *self.fit.fitted[k]]
        low, high = np.nanmin(ends), np.nanmax(ends)
        room = _MARGIN * max(high - low, 1e-6)
        return low - room, high + room

    def draw_curve(self, axes: Axes, k: int) -> None:
        """Draw g2 of a bin with its errors and its model, or without one the time at which it falls to a half."""
        curves = self.curves
        (points,) = axes.plot(curves.tau_s, curves.g2[k], ".", ms=4, label="$g_2$")
        axes.errorbar(
            curves.tau_s, curves.g2[k], curves.error[k], fmt="none", ecolor=points.get_color(), alpha=0.4, zorder=3
        )
        seen = np.isfinite(self.fit.tau[k]) or np.isfinite(self.fit.share[k])
        if seen:
            tau = f", τ = {rounded(self.fit.tau[k])} s" if np.isfinite(self.fit.tau[k]) else ""
            axes.plot(
                curves.tau_s, self.fit.fitted[k], color=LAW_COLOUR, lw=1.2, zorder=4, label=self.fit.model[k] + tau
            )
        elif np.isfinite(self.fit.half[k]):
            draw_half(axes, self.fit.half[k], points.get_color())
        axes.set(xscale="log", xlabel="lag (s)", ylabel="$g_2$")

    def draw_over_q(self, figure: Figure | SubFigure) -> None:
        """Draw relaxation times of both modes, and exponents, over q."""
        laws = of_law(self.power), of_law(self.slow)
        draw_over_q(figure, self.curves.q, self.columns, *laws)


def _tau(row: dict[str, Any]) -> str:
    if "tau_s" in row:
        return " or ".join(value_cell(row, name) for name in ("tau_s", "tau_s_or") if name in row)
    limits = [
        f"{sign} {rounded(row[name])}" for sign, name in ((">", "tau_s_above"), ("<", "tau_s_below")) if name in row
    ]
    return " ".join(limits) or str(row.get("no_tau", "")).replace("the data do not determine it", "not determined")


def _slow(row: dict[str, Any]) -> str:
    return value_cell(row, "tau2_s") or (f"> {rounded(row['tau2_s_above'], 2)}" if "tau2_s_above" in row else "")


def _is_own(row: dict[str, Any], name: str) -> bool:
    """Return whether a bin has speckle, and does not share this parameter with others."""
    return name not in row.get("shared", "").split(", ") and row.get("speckle") != "no"


def _model(row: dict[str, Any]) -> str:
    if "tau_s" not in row and "fast_share" not in row:
        return ""
    return str(row["g2_model"]) + (f" or {row['g2_model_or']}" if "g2_model_or" in row else "")


def _of_errors(texts: NDArray[np.str_]) -> Iterator[str]:
    """Describe where the errors come from; bins whose errors are enlarged by several factors get one line."""
    kinds: dict[str, list[str]] = {}
    for text in texts:
        if text:
            kinds.setdefault(_TIMES.sub("×", str(text)), []).extend(_TIMES.findall(text) or [""])
    for text, factors in kinds.items():
        numbers = [float(factor) for factor in factors if factor]
        if numbers:
            ends = [rounded(x, 2) for x in (min(numbers), max(numbers))]
            text = text.replace("×", f"× {ends[0]}" + (f" to {ends[1]}" if ends[1] != ends[0] else ""))
        yield f"{number_of(len(factors), 'bin')}: {text}" if len(kinds) > 1 else text
