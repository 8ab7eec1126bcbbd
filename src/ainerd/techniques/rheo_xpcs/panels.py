"""What rheo-XPCS draws and exports of results: this needs numpy, h5py and matplotlib, no more."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from ainerd.results import AinerdResult, ResultStore
from ainerd.techniques.rheo_xpcs._axes import coordinates
from ainerd.techniques.rheo_xpcs._drawing import BEAM, draw_columns, draw_exposure, draw_map, highest, montage
from ainerd.techniques.rheo_xpcs._sentences import columns, sentences
from ainerd.views import Scene, empty_panel, newest_and_nearest, panel_title

__all__ = [
    "arrays", "columns", "coordinates", "export", "gallery", "image", "plot", "quantities", "sentences", "strip",
    "thumbnail", "view",
]  # fmt: skip

arrays = {"gallery": ("c2", "denoised"), "strip": ("latent",)}
quantities = ("tau_s", "contrast", "kww_exponent", "velocity_nm_s")
thumbnail = "c2?slice=0,::4,::4&format=image/png"
view = Path(__file__).with_name("view.js")


def image(result: AinerdResult) -> NDArray[np.uint8]:
    """All maps as one grey picture, six in a row, time up and to the right."""
    return montage(result["c2"].read())


def plot(result: AinerdResult, figure: Any) -> None:
    """Maps, g2, the picture of the beam and each series, as far as there are any."""
    said = result.metadata
    wanted = {"c2", "g2", "tau"}.union(*BEAM.values())
    parts = dict(result.items())  # in one request
    there = {name: parts[name].read() for name in said["arrays"] if name in wanted}
    series = {}
    for name in said["series"]:
        table = parts[name].read()
        label = f"{name} ({said['units'][name]})" if name in said["units"] else name
        series[label] = table["time"].to_numpy(), table[name].to_numpy()
    names = [str(k + 1) for k in range(len(there.get("c2", ())))]
    known = "n_frames" in said and "frame_time_s" in said
    duration_s = said["n_frames"] * said["frame_time_s"] if known else None
    draw_exposure(figure, there, series, duration_s=duration_s, names=names)


def gallery(figure: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """The newest map, the same without noise, and the most alike seen so far, on one scale."""
    panel_title(figure, r"$C_2(t_1, t_2)$, mean over azimuths")
    newest, nearest, distance = newest_and_nearest(runs, scene.embeddings)
    wanted = [
        ("newest", newest, "c2"),
        ("without noise", newest, "denoised"),
        (f"nearest seen, {distance:.2f} away", nearest, "c2"),
    ]
    there = [(what, key, name) for what, key, name in wanted if key and name in scene.arrays.get(key, {})]
    if not there:
        axes = figure.subplots()
        axes.set_axis_off()
        empty_panel(axes, "the newest run has no map" if newest else "no complete run yet")
        return
    shown = [np.nanmean(scene.arrays[key][name], axis=0) for _, key, name in there]
    high = max(highest(shown), 1.001)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, image, (what, key, _) in zip(panels, shown, there, strict=True):
        run: Any = runs.loc[key]
        in_seconds = np.isfinite(run["duration"])
        duration, unit = (run["duration"], "s") if in_seconds else (len(image), "cells")
        drawn = draw_map(axes, image, duration, 1.0, high, run["colour"])
        at = ", ".join(f"{run[axis]:.1f}" for axis, _ in zip("xy", scene.bounds, strict=False))
        axes.set_title(f"{what}\nscan {run['scan']}" + ("" if "nan" in at else f" at ({at})"), fontsize=9)
        axes.set_xlabel(f"$t_1$ ({unit})", fontsize=9)
        axes.set_ylabel(f"$t_2$ ({unit})" if axes is panels[0] else "", fontsize=9)
        axes.tick_params(labelsize=8, labelleft=axes is panels[0])
    figure.colorbar(drawn, ax=list(panels), shrink=0.62, aspect=22, pad=0.02, label="$C_2$")


def strip(axes: Axes, scene: Scene, runs: pd.DataFrame) -> None:
    """The regime that each azimuth looks like, a column for each run."""
    regimes = azimuth_regimes(scene, runs)
    draw_columns(axes, ((runs["number"][key] - 0.5, runs["number"][key] + 0.5, regimes[key]) for key in regimes))
    axes.set_facecolor("0.93")
    axes.set_title("regime that each azimuth looks like", loc="right", fontsize=8, pad=2)


def azimuth_regimes(scene: Scene, runs: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Regime that each azimuth looks like by itself, (n_roi,) by key of the run.

    The one whose runs' latent vectors have the mean nearest to the azimuth's; a run that flows looks like another
    regime across the flow.
    """
    known = runs["regime"][runs["regime"] >= 0]
    latents = {key: found["latent"] for key, found in scene.arrays.items() if key in known and "latent" in found}
    if not latents:
        return {}
    means = pd.DataFrame({key: z.mean(axis=0) for key, z in latents.items()}).T
    centres = means.groupby(known).mean()
    regimes, middle = centres.index.to_numpy(), centres.to_numpy()
    return {key: regimes[np.linalg.norm(z[:, None] - middle, axis=2).argmin(axis=1)] for key, z in latents.items()}


def export(store: ResultStore, key: str, path: Path) -> Path:
    """Write an HDF5 file that follows NXxpcs, which pyXpcsViewer opens too; FileExistsError if there is one.

    The masks of the bins and the groups of pyXpcsViewer are written if the store has the configuration of the
    result: without it nobody knows which pixels a map is of.
    """
    import h5py

    from ainerd.techniques.rheo_xpcs.exports._nexus import write_nexus
    from ainerd.techniques.rheo_xpcs.exports._viewer import MASKS, write_viewer

    record = store.record(key)
    there = {name: store.array(key, name) for name in record.arrays}
    series = {name: store.series(key, name) for name in record.series}
    tables = {name: store.rows(key, name) for name in record.tables}
    configuration = store.configuration(record.digest)
    with h5py.File(path, "x") as file:
        write_nexus(file, record, there, series, tables, configuration)
        if configuration is not None and {"c2", "g2", "tau"} <= set(there) and MASKS <= set(configuration.arrays):
            write_viewer(file, record, there, configuration)
    return path
