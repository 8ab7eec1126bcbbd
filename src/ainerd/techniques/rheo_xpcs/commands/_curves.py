"""Fits of g2 that others computed."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs import Curves
    from ainerd.xpcs import KwwFit


def analyze_curves(file: Path, frame_time_s: float | None, out: Path | None) -> None:
    """Fit g2 of a result file bin by bin: a table, an HDF5 file and a figure; ValueError if it is none."""
    import h5py
    from rich.console import Console

    from ainerd.techniques.rheo_xpcs import has_curves, read_curves
    from ainerd.xpcs import fit_kww

    if not file.is_file():
        raise ValueError(f"no file {file}")
    if not has_curves(file):
        raise ValueError(f"{file} holds no g2 of NXxpcs or APS: for a file of frames give the bins, --roi")
    curves = read_curves(file, frame_time_s=frame_time_s)
    fit = fit_kww(curves.tau_s, curves.g2, curves.error)
    out = out or Path(f"{file.stem}_g2.h5")
    with h5py.File(out, "w") as results:
        for name in ("g2", "q", "phi"):
            results[name] = getattr(curves, name)
        results["tau"], results["g2_err"] = curves.tau_s, curves.error
        if curves.partition is not None:
            results.create_dataset("roi_map", data=curves.partition.roi_map, compression="gzip")
        for name in ("contrast", "tau", "exponent", "baseline"):
            results[f"fit/{name}"], results[f"fit/{name}_err"] = getattr(fit, name), getattr(fit, f"{name}_err")
        results["fit/chi2"] = fit.chi2
        results.attrs.update({"source": str(file), "layout": curves.layout, "formula": fit.formula})
    _draw(file, curves, fit, out.with_suffix(".png"))
    console = Console()
    console.print(_table(file, curves, fit))
    console.print(f"results: {out}   figure: {out.with_suffix('.png')}")


def _table(file: Path, curves: "Curves", fit: "KwwFit") -> object:
    from rich.table import Table

    lines = [
        f"{curves.layout}: {curves.tau_s.size} lags, {curves.tau_s[0]:.3g} to {curves.tau_s[-1]:.3g} s",
        "Each curve is fitted alone, with the errors of the file as if lags were independent: they are too small.",
    ]
    if curves.no_partition:
        lines.append(f"No q: {curves.no_partition}")
    table = Table("bin", "q (1/nm)", "φ (°)", "contrast", "τ (s)", "exponent", "χ²", title=str(file))
    table.caption = "\n".join(lines)
    for k in range(len(curves.g2)):
        where = [f"{x[k]:.4g}" if x[k] == x[k] else "–" for x in (curves.q, curves.phi)]
        values = [_value(fit, name, k) for name in ("contrast", "tau", "exponent")]
        table.add_row(str(k + 1), *where, *values, f"{fit.chi2[k]:.2g}" if fit.ok[k] else "–")
    return table


def _value(fit: "KwwFit", name: str, k: int) -> str:
    return f"{getattr(fit, name)[k]:.3g} ± {getattr(fit, name + '_err')[k]:.1g}" if fit.ok[k] else "no fit"


def _draw(file: Path, curves: "Curves", fit: "KwwFit", path: Path) -> None:
    import numpy as np

    from ainerd.techniques.rheo_xpcs._drawing import new_figure

    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    lags = np.geomspace(curves.tau_s[0], curves.tau_s[-1], 200)
    for k, (g2, error) in enumerate(zip(curves.g2, curves.error, strict=True)):
        (points,) = axes.plot(curves.tau_s, g2, ".", ms=4)
        axes.errorbar(curves.tau_s, g2, error, fmt="none", ecolor=points.get_color(), alpha=0.4)
        if fit.ok[k]:
            decay = fit.contrast[k] * np.exp(-2 * (lags / fit.tau[k]) ** fit.exponent[k])
            axes.plot(lags, fit.baseline[k] + decay, color=points.get_color())
    axes.set(xscale="log", xlabel="lag (s)", ylabel="$g_2$", title=f"{file.name}: {len(curves.g2)} bins")
    figure.savefig(path, dpi=120)
