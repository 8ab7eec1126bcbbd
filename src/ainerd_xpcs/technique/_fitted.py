"""Curves of g2 with their fits: table, picture and file."""

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from ainerd.words import rounded
from ainerd_xpcs.numerics import PowerFit, Relaxation, fit_power
from ainerd_xpcs.technique._curves_of_bins import Curves
from ainerd_xpcs.technique._drawing import draw_half
from ainerd_xpcs.technique._numbers import TEXTS, named, of_law
from ainerd_xpcs.technique._over_q import draw_over_q
from ainerd_xpcs.technique._sentences import bin_cells, power_sentences


@dataclass(frozen=True)
class FittedCurves:
    """Curves of bins, the fit of each, and the power law of tau over q."""

    curves: Curves
    fit: Relaxation
    power: PowerFit

    @classmethod
    def of(cls, curves: Curves, **options: Any) -> "FittedCurves":
        """Fit curves with options of `fit_curves`."""
        fit = curves.fit(**options)
        return cls(curves, fit, fit_power(curves.q, fit.tau, fit.tau_err))

    @property
    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Columns of the fits by their names in results, (n_roi,) each."""
        return named(self.fit)

    def write(self, file: h5py.File) -> None:
        """Write g2, errors, lags, bins and fits."""
        curves = self.curves
        for name in ("g2", "q", "phi"):
            file[name] = getattr(curves, name)
        file["tau"], file["g2_err"], file["bin"] = curves.tau_s, curves.error, curves.numbers
        if curves.partition is not None:
            file.create_dataset("roi_map", data=curves.partition.roi_map, compression="gzip")
        for name, column in self.columns.items():
            file[f"fit/{name}"] = column.astype(h5py.string_dtype()) if name in TEXTS else column
        law = {name: x for name, x in vars(self.power).items() if x == x and x != ""}
        file.create_group("power_law").attrs.update(law)
        file.attrs.update({"layout": curves.layout, "formula": self.fit.formula})

    def table(self, title: str) -> Table:
        """Return a table of the numbers of each bin, or of the reasons, with sentences below it."""
        curves, fit = self.curves, self.fit
        table = Table("bin", "q (1/nm)", "φ (°)", "contrast", "τ (s)", "exponent", "model", title=escape(title))
        for k in range(len(curves.g2)):
            where = [f"{x[k]:.4g}" if x[k] == x[k] else "–" for x in (curves.q, curves.phi)]
            model = fit.model[k] + (f" or {fit.either[k]}" if fit.either[k] else "")
            row = {name: column[k] for name, column in self.columns.items()}
            table.add_row(
                str(curves.numbers[k]), *where, *bin_cells(row)[1:], model if fit.tau[k] == fit.tau[k] else ""
            )
        lags = f"{curves.tau_s.size} lags, {rounded(curves.tau_s[0])} to {rounded(curves.tau_s[-1])} s"
        table.caption = "\n".join(
            [
                f"{curves.layout}: {lags}",
                *sorted({text for text in fit.errors if text}),
                *power_sentences(of_law(self.power)),
                *([f"No q: {curves.no_partition}"] if curves.no_partition else []),
            ]
        )
        return table

    def draw_curve(self, axes: Axes, k: int) -> None:
        """Draw g2 of a bin with its errors and its model, or without one the time at which it falls to a half."""
        curves = self.curves
        (points,) = axes.plot(curves.tau_s, curves.g2[k], ".", ms=4)
        axes.errorbar(
            curves.tau_s, curves.g2[k], curves.error[k], fmt="none", ecolor=points.get_color(), alpha=0.4, zorder=3
        )
        lags = np.geomspace(curves.tau_s[0], curves.tau_s[-1], 200)
        model = self.fit.curve(k, lags)
        if model is not None:
            axes.plot(lags, model, color=points.get_color())
        elif np.isfinite(self.fit.tau_half[k]):
            draw_half(axes, self.fit.tau_half[k], points.get_color())
        axes.set(xscale="log", xlabel="lag (s)", ylabel="$g_2$")

    def draw_over_q(self, figure: Figure | SubFigure) -> None:
        """Draw relaxation times and exponents over q."""
        draw_over_q(figure, self.curves.q, self.columns, of_law(self.power))  # type: ignore[arg-type]
