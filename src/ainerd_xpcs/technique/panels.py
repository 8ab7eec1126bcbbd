"""Pictures and sentences of results; they need numpy, h5py and matplotlib only.

Functions import pandas and results: `ainerd analyze` needs only the sentences.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from ainerd.words import coordinate, run_text
from ainerd_xpcs.technique._drawing import (
    BEAM,
    C2_MAP,
    CLOCK,
    bin_names,
    draw_exposure,
    draw_fit,
    draw_map,
    highest,
    new_figure,
)
from ainerd_xpcs.technique._over_q import OVER_Q, draw_over_q
from ainerd_xpcs.technique._part_panels import part_panels
from ainerd_xpcs.technique._sentences import details, dynamics_cell, half_cell, sentences, tau_cell, with_error, within

if TYPE_CHECKING:
    import pandas as pd

    from ainerd.results import AinerdResult, LoadedResult
    from ainerd.views import Scene

arrays = {"gallery": ("c2", "denoised"), "strip": ("latent",)}
__all__ = [
    "C2_MAP", "arrays", "columns", "compare", "coordinates", "details", "gallery", "highest", "new_figure",
    "plot", "sentences", "strip", "thumbnail", "view", "with_error", "within",
]  # fmt: skip

OF_FRAMES = ("tau_s", "tau_half_s", "contrast", "kww_exponent", "velocity_nm_s")
thumbnail = "c2?slice=0,::4,::4&format=image/png"
view = Path(__file__).with_name("view.js")


def __getattr__(name: str) -> Any:
    if name == "quantities":  # the panels of parts import this module
        return (*(quantity for each in part_panels() for quantity in each.quantities), *OF_FRAMES)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def plot(result: "AinerdResult", figure: Any) -> None:
    """Draw maps, g2, the image of the beam and each series, as far as they exist; of several rings also tau over q.

    Below them are the drawings of the installed parts.
    """
    from ainerd.results import since_exposure

    metadata = result.metadata
    drawings = [each for each in part_panels() if each.arrays[0] in metadata["arrays"]]
    wanted = {"c2", "g2", "tau", *CLOCK}.union(*BEAM.values(), *(each.arrays for each in drawings))
    parts = dict(result.items())  # in one request
    present = {name: parts[name].read() for name in metadata["arrays"] if name in wanted}
    series = {}
    for name in metadata["series"]:
        table = parts[name].read()
        label = f"{name} ({metadata['units'][name]})" if name in metadata["units"] else name
        series[label] = since_exposure(table, name, metadata)
    names = [str(k + 1) for k in range(len(present.get("c2", present.get("g2", ()))))]
    if names and "bins" in metadata["tables"]:
        bins = parts["bins"].read()
        numbers = bins["bin"].to_numpy()
        names = bin_names(numbers, bins["phi"].to_numpy()) if "phi" in bins else [f"{k:.0f}" for k in numbers]
    known = "n_frames" in metadata and "frame_time_s" in metadata
    duration_s = metadata["n_frames"] * metadata["frame_time_s"] if known else None
    if drawings and isinstance(figure, Figure):
        figure.set_size_inches(13, 12)
    for drawing in drawings:
        figure, below = figure.subfigures(2, 1, height_ratios=(5, 6))
        drawing.plot(below, present, parts[drawing.table].read())
    if "rings" in metadata["tables"]:
        figure, right = figure.subfigures(1, 2, width_ratios=(3, 1))
        draw_over_q(right, *_over_q(parts["rings"].read()), metadata)
    fit = metadata if "rings" not in metadata["tables"] else None
    draw_exposure(figure, present, series, duration_s=duration_s, names=names, fit=fit)


def compare(results: Sequence["LoadedResult"], figure: Any) -> None:
    """Draw the mean maps of results side by side on one scale, and their mean g2 with fits below."""
    maps = [np.nanmean(result["c2"].read(), axis=0) for result in results]
    high, colours = max(highest(maps), 1.001), colormaps["viridis"](np.linspace(0, 0.85, len(results)))
    above, below = figure.subfigures(2, 1)
    panels, curves = above.subplots(1, len(results), squeeze=False)[0], below.subplots()
    for result, image, axes, colour in zip(results, maps, panels, colours, strict=True):
        metadata, name = result.metadata, run_text(result.metadata)
        drawn = draw_map(axes, image, metadata["n_frames"] * metadata["frame_time_s"], 1.0, high, colour)
        axes.set(title=name, xlabel="$t_1$ (s)", ylabel="$t_2$ (s)" if axes is panels[0] else "")
        lag, g2 = result["tau"].read(), np.nanmean(result["g2"].read(), axis=0)
        fit = {} if "rings" in metadata["tables"] else metadata
        is_drawn = bool({"tau_s", "tau_half_s"} & {*fit}) and fit.get("g2_model") != "clock"
        text = "" if is_drawn else f"{name}: {tau_cell(metadata)}"
        curves.semilogx(lag, g2, ".", ms=4, color=colour, label=text or None)
        draw_fit(curves, lag, fit, colour, label=name)
    above.colorbar(drawn, ax=list(panels), label="$C_2$")
    curves.set(xlabel="lag (s)", ylabel="$g_2$, mean of the bins")
    curves.legend(fontsize=8)


def _over_q(table: "pd.DataFrame") -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return q and the columns that are drawn over it, NaN where a result has none."""
    columns = table.reindex(columns=list(OVER_Q))
    return table["q"].to_numpy(), {name: columns[name].to_numpy(dtype=float) for name in OVER_Q}


def gallery(figure: SubFigure, scene: "Scene", runs: "pd.DataFrame") -> None:
    """Draw the newest map, the same without noise, and that of the nearest earlier run, on one scale."""
    from ainerd.views import empty_panel, newest_and_nearest, panel_title

    panel_title(figure, r"$C_2(t_1, t_2)$, mean of the bins")
    newest, nearest = newest_and_nearest(runs, scene.embeddings)
    wanted = [("newest", newest, "c2"), ("without noise", newest, "denoised")]
    wanted.append(("most similar run before", nearest, "c2"))
    present = [(label, key, name) for label, key, name in wanted if key and name in scene.arrays.get(key, {})]
    if not present:
        axes = figure.subplots()
        axes.set_axis_off()
        empty_panel(axes, "the newest run has no map" if newest else "no complete run yet")
        return
    shown = [np.nanmean(scene.arrays[key][name], axis=0) for _, key, name in present]
    high = max(highest(shown), 1.001)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, image, (label, key, _) in zip(panels, shown, present, strict=True):
        run: Any = runs.loc[key]
        in_seconds = np.isfinite(run["duration"])
        duration, unit = (run["duration"], "s") if in_seconds else (len(image), "cells")
        drawn = draw_map(axes, image, duration, 1.0, high, run["colour"])
        at = [run[axis] for axis, _ in zip("xy", scene.bounds, strict=False)]
        where = f" at ({', '.join(map(coordinate, at))})" if np.isfinite(at).all() else ""
        axes.set_title(f"{label}\nscan {run['scan']}{where}", fontsize=9)
        axes.set_xlabel(f"$t_1$ ({unit})", fontsize=9)
        axes.set_ylabel(f"$t_2$ ({unit})" if axes is panels[0] else "", fontsize=9)
        axes.tick_params(labelsize=8, labelleft=axes is panels[0])
    figure.colorbar(drawn, ax=list(panels), shrink=0.62, aspect=22, pad=0.02, label="$C_2$")


def strip(axes: Axes, scene: "Scene", runs: "pd.DataFrame") -> None:
    """Draw the regime of each bin by itself, a column for each run."""
    regimes = azimuth_regimes(scene, runs)
    columns = ((runs["number"][key] - 0.5, runs["number"][key] + 0.5, regimes[key]) for key in regimes)
    draw_columns(axes, columns)
    axes.set_facecolor("0.93")
    axes.set_title("regime that each bin looks like", loc="right", fontsize=8, pad=2)


def azimuth_regimes(scene: "Scene", runs: "pd.DataFrame") -> dict[str, NDArray[np.int64]]:
    """Return the regime of each azimuth by itself, (n_roi,) by key of the run.

    It is the regime with the nearest mean latent vector. A flowing run may resemble another regime across the flow.
    """
    import pandas as pd

    known = runs["regime"][runs["regime"] >= 0]
    latents = {key: of_run["latent"] for key, of_run in scene.arrays.items() if key in known and "latent" in of_run}
    if not latents:
        return {}
    means = pd.DataFrame({key: z.mean(axis=0) for key, z in latents.items()}).T
    centres = means.groupby(known).mean()
    regimes, middle = centres.index.to_numpy(), centres.to_numpy()
    return {key: regimes[np.linalg.norm(z[:, None] - middle, axis=2).argmin(axis=1)] for key, z in latents.items()}


def coordinates(result: Any, sizes: Mapping[str, int]) -> dict[str, tuple[str, NDArray[Any], str]]:
    """Return number, q and phi of the bins, and the time of each row of a map, as far as they are known.

    Bins of a result file, or of a q map that the run names, are in the table ``bins``, not in the configuration.
    """
    metadata = result.metadata
    out: dict[str, tuple[str, NDArray[Any], str]] = {}
    if "roi" in sizes:
        out["roi"] = "roi", np.arange(1, sizes["roi"] + 1), "1"
        try:
            node = result.configuration
            for name, unit in (("roi", "1"), ("q", "1/nm"), ("phi", "degree")):
                if "bins_of" not in metadata and name in node.metadata["arrays"]:
                    out[name] = "roi", np.asarray(node[name].read()), unit
        except KeyError:  # no configuration is stored
            pass
    if "n_frames" in metadata and "frame_time_s" in metadata:
        duration_s = metadata["n_frames"] * metadata["frame_time_s"]
        times = {name for name in sizes if name.split("_")[0] in ("t1", "t2")}
        out |= {name: (name, (np.arange(sizes[name]) + 0.5) * duration_s / sizes[name], "s") for name in times}
    return out


def draw_columns(axes: Axes, columns: Iterable[tuple[float, float, NDArray[np.int64]]]) -> None:
    """Draw for each (left, right, labels) a column over all bins, in the colours of the labels (n_roi,)."""
    from ainerd.views import regime_colour

    for left, right, labels in columns:
        column = np.array([to_rgb(regime_colour(int(label))) for label in labels])[:, None]
        extent = (left, right, 0.5, len(labels) + 0.5)
        axes.imshow(column, extent=extent, origin="lower", aspect="auto", zorder=1)
    axes.set(ylabel="bin")


def columns(values: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, str]:
    """Return the relaxation time with its error, the time to a half, or limits, and what the sample does."""
    tau = half_cell(values) if "tau_half_s" in values else tau_cell(values)
    word = dynamics_cell(values)
    return {"tau (s)": tau} | ({"dynamics": word} if word else {})
