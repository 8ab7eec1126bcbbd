"""`ainerd xsvs`: the contrast within a frame of results over their exposure times."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli import Config, Force, Tiled, check_new, key_of, results_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.results import ResultStore

SHOWN = 6  # bins in the figure, at most


def xsvs(
    results: Annotated[list[str], typer.Argument(help="Results: numbers of scans, or first characters of keys.")],
    exposure: Annotated[
        str, typer.Option(help="Number in the table that is the exposure time of a frame, in seconds.")
    ] = "frame_time_s",
    out: Annotated[Path, typer.Option(help="The figure (.png, .pdf or .svg).")] = Path("xsvs.png"),
    force: Force = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Fit contrast and relaxation time to the contrast within frames of different exposure times (XSVS), bin by bin."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from ainerd.techniques.rheo_xpcs._drawing import new_figure
    from ainerd.xpcs import fit_visibility, visibility

    if out.suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"{out}: give a name that ends in .png, .pdf or .svg")
    check_new(out, force)
    with results_at(tiled, config) as store:
        width, q, contrast, error = _read(store, [key_of(store, each) for each in results], exposure)
    table = Table("bin", "q (1/nm)", "exposures", "contrast", "τ (s)", title="speckle visibility")
    figure = new_figure(6, 4.5)
    axes = figure.subplots()
    shown = np.unique(np.linspace(0, len(q) - 1, min(len(q), SHOWN)).round().astype(int))
    dense = np.geomspace(width.min(), width.max(), 100)
    for k in range(len(q)):
        fit = fit_visibility(width, contrast[:, k], error[:, k])
        numbers = ((fit.contrast, fit.contrast_err), (fit.tau, fit.tau_err))
        cells = ["" if fit.no_tau else f"{x:.3g} ± {sd:.2g}" for x, sd in numbers]
        where = f"{q[k]:.4g}" if q[k] == q[k] else "–"
        n = int(np.isfinite(contrast[:, k]).sum())
        table.add_row(str(k + 1), where, str(n), cells[0], fit.no_tau or cells[1])
        if k in shown:
            (points,) = axes.plot(width, contrast[:, k], "o", ms=4, label=f"bin {k + 1}")
            axes.errorbar(width, contrast[:, k], error[:, k], fmt="none", ecolor=points.get_color())
            if not fit.no_tau:
                axes.plot(dense, visibility(dense, fit.tau, fit.contrast), color=points.get_color(), lw=1)
    axes.set(xscale="log", xlabel="exposure time of a frame (s)", ylabel="contrast within a frame", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(out, dpi=150)
    Console().print(table)
    print(f"figure: {out}")


def _read(store: "ResultStore", keys: list[str], exposure: str) -> "tuple[NDArray[np.float64], ...]":
    """Return exposure times (m,), q (k,), and the contrast within a frame of each bin with its error, (m, k) each."""
    import numpy as np

    rows = store.table(columns="all").loc[keys]
    if exposure not in rows or not rows[exposure].notna().all():
        raise ValueError(f"not every result has the number {exposure!r}: name the exposure time with --exposure")
    tables = []
    for result in store.load(keys, ["bins"]):
        if "bins" not in result or not {"contrast0", "q"} <= set(result["bins"].read()):
            raise ValueError(f"result {result.key} has no contrast within a frame")
        tables.append(result["bins"].read())
        if len(tables[-1]) != len(tables[0]):
            raise ValueError(f"result {result.key} has {len(tables[-1])} bins, the first {len(tables[0])}")
    contrast, error = (np.stack([table[name] for table in tables]) for name in ("contrast0", "contrast0_err"))
    return rows[exposure].to_numpy(dtype=float), tables[0]["q"].to_numpy(dtype=float), contrast, error
