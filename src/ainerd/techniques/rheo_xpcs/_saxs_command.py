"""`ainerd saxs`: I(q) of a result without its buffer, normalised, on an absolute scale."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli import Config, Force, Tiled, check_new, key_of, results_at

if TYPE_CHECKING:
    from ainerd.results import ResultStore
    from ainerd.xpcs import Measured, Saxs

RESULT = "number of a scan, or first characters of a key"


def saxs(
    sample: Annotated[str, typer.Argument(help=f"A result: {RESULT}.")],
    buffer: Annotated[str | None, typer.Option(help=f"The result of the buffer: {RESULT}.")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Volume of buffer in the sample.")] = 1.0,
    monitor: Annotated[str | None, typer.Option(help="Number in the table that monitors the beam.")] = None,
    transmission: Annotated[str | None, typer.Option(help="Number in the table that is the transmission.")] = None,
    relative_err: Annotated[float, typer.Option(min=0, max=1, help="Relative error of each of these two.")] = 0.0,
    standard: Annotated[str | None, typer.Option(help=f"The result of a standard: {RESULT}.")] = None,
    empty: Annotated[str | None, typer.Option(help="The result of the empty container of the standard.")] = None,
    standard_inv_cm: Annotated[
        float | None, typer.Option(help="Cross-section of the standard in 1/cm. Default: water at 20 °C, 0.01632.")
    ] = None,
    standard_mm: Annotated[float, typer.Option(help="Thickness of the standard in mm.")] = 1.0,
    thickness_mm: Annotated[float, typer.Option(help="Thickness of the sample in mm.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Columns q, I, error as text, a figure beside it.")] = Path("saxs.dat"),
    force: Force = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write I(q) of a result: normalised by monitor and transmission, without buffer, in 1/cm with a standard."""
    from ainerd.xpcs import WATER_INV_CM, Measured, absolute_factor

    check_new(out, force)
    if standard is None and (empty is not None or standard_inv_cm is not None):
        raise ValueError("--empty and --standard-inv-cm are for a standard: give --standard")

    with results_at(tiled, config) as store:

        def read(given: str) -> "Saxs":
            return _read(store, key_of(store, given), monitor, transmission, relative_err)

        curves = {"sample": read(sample)}
        if buffer is not None:
            curves["buffer"] = read(buffer)
        found = (
            curves["sample"] if buffer is None else curves["sample"].without(curves["buffer"], Measured(value=share))
        )
        if standard is not None:
            water = read(standard) if empty is None else read(standard).without(read(empty))
            known = WATER_INV_CM if standard_inv_cm is None else standard_inv_cm
            factor = absolute_factor(water, known, Measured(value=standard_mm))
            found = found.scaled(factor, Measured(value=thickness_mm))
    _write(found, out)
    _draw(found, curves if found.unit != "1/cm" else {}).savefig(out.with_suffix(".png"), dpi=120)
    shared = f"; the scale is known to {found.scale_error:.2g} of its value" if found.scale_error else ""
    print(f"{found.q.size} points from {found.q[0]:.3g} to {found.q[-1]:.3g} 1/nm in {found.unit}{shared}")
    print(f"I(q): {out}   figure: {out.with_suffix('.png')}")


def _read(store: "ResultStore", key: str, monitor: str | None, transmission: str | None, relative_err: float) -> "Saxs":
    """Read I(q) of a result, normalised; ValueError if it has none, or not the numbers that are named."""
    from ainerd.xpcs import Measured, Saxs

    names = ("saxs_q", "saxs", "saxs_segments")
    (result,) = store.load([key], names)
    if not set(names) <= set(result):
        raise ValueError(f"result {key} has no I(q): its analysis knew no q of the pixels, or saw no whole frame")
    row = store.table(columns="all").loc[key]

    def number(name: str | None) -> "Measured":
        if name is None:
            return Measured(value=1.0)
        value = row.get(name)
        if not isinstance(value, int | float) or value != value:
            raise ValueError(f"result {key} has no number {name!r} in the table")
        return Measured(value=float(value), error=relative_err * abs(float(value)))

    curve = Saxs.of_segments(*(result[name].values for name in names))
    unit = "photons/pixel/frame" + (f"/{monitor}" if monitor else "")
    return curve.normalised(number(monitor), number(transmission), unit=unit)


def _write(found: "Saxs", out: Path) -> None:
    import numpy as np

    known = np.isfinite(found.intensity)
    header = f"q (1/nm)  I ({found.unit})  error of I\nall q share a relative error of {found.scale_error:.4g}"
    np.savetxt(out, np.column_stack([found.q, found.intensity, found.error])[known], "%.8g", header=header)


def _draw(found: "Saxs", parts: "dict[str, Saxs]") -> Any:
    from ainerd.techniques.rheo_xpcs._drawing import new_figure

    figure = new_figure(6, 4.5)
    axes = figure.subplots()
    for name, curve in parts.items():
        seen = curve.intensity > 0
        axes.plot(curve.q[seen], curve.intensity[seen], lw=0.8, label=name, color="0.5" if name == "sample" else "0.75")
    seen = found.intensity > 0
    label = "sample without buffer" if "buffer" in parts else "I(q)"
    axes.errorbar(found.q[seen], found.intensity[seen], found.error[seen], fmt=".", ms=4, color="black", label=label)
    axes.set(xscale="log", yscale="log", xlabel="$q$ (1/nm)", ylabel=f"$I$ ({found.unit})")
    axes.legend(fontsize=8)
    return figure
