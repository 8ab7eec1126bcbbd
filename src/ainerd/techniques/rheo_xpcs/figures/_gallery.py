"""The newest two-time map, what the latent space holds of it, and the most alike seen so far."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from ainerd.views._scene import Scene, newest_and_nearest
from ainerd.views._style import C2_MAP, nothing, title


def draw_gallery(figure: SubFigure, scene: Scene, runs: pd.DataFrame) -> None:
    """Three maps on one scale."""
    title(figure, "b", r"$C_2(t_1, t_2)$, mean over azimuths")
    newest, nearest, distance = newest_and_nearest(runs, scene.embeddings)
    panels = figure.subplots(1, 3)
    shown: list[tuple[str, str | None, NDArray[Any] | None]] = [
        ("newest", newest, scene.maps.get(newest or "")),
        ("what the latent space holds of it", newest, scene.reconstruction),
        (f"nearest seen, {distance:.2f} away", nearest, scene.maps.get(nearest or "")),
    ]
    known = [image for _, _, image in shown if image is not None]
    highest = max((float(np.nanpercentile(off_diagonal(image), 99.5)) for image in known), default=1.0)
    for axes, (what, key, image) in zip(panels, shown, strict=True):
        if key is None or image is None:
            axes.set_axis_off()
            nothing(axes, "no complete run yet" if newest is None else "nothing else seen yet")
            continue
        run = runs.loc[key]
        duration = run["duration"] if np.isfinite(run["duration"]) else len(image)
        unit = "s" if np.isfinite(run["duration"]) else "cells"
        style: dict[str, Any] = {"extent": (0, duration, 0, duration), "cmap": C2_MAP, "vmin": 1}
        drawn = axes.imshow(image, origin="lower", vmax=max(highest, 1.001), **style)
        about = "" if axes is panels[1] else f"run {run['number']} at ({run['x']:.1f}, {run['y']:.1f})"
        axes.set_title(f"{what}\n{about}", fontsize=9)
        axes.set_xlabel(f"$t_1$ ({unit})", fontsize=9)
        axes.set_ylabel(f"$t_2$ ({unit})" if axes is panels[0] else "", fontsize=9)
        axes.tick_params(labelsize=8, labelleft=axes is panels[0])
        for side in axes.spines.values():
            side.set(color=run["colour"], linewidth=2.5)
    if known:
        figure.colorbar(drawn, ax=list(panels), shrink=0.62, aspect=22, pad=0.02, label="$C_2$")


def off_diagonal(image: NDArray[Any]) -> NDArray[Any]:
    """All but the diagonal, which may hold shot noise."""
    return image[~np.eye(len(image), dtype=bool)]
