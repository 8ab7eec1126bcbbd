"""What lies around the middle of each cluster in the latent space: other azimuths, and what is decoded a little off."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuth_figures import Maps
from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths
from ainerd.techniques.rheo_xpcs.figures._maps import draw_map, highest, new_figure
from ainerd.views._style import colour

STEP = 0.3  # of the spread of each component, as in the paper (Horwath et al., Nat. Commun. 15, 5945, 2024)
Tile = tuple[NDArray[Any], str, str]  # a map, its title, and the colour of its frame


def similarity_figure(azimuths: Azimuths, c2_of: Maps, *, n_similar: int = 5) -> Figure:
    """For the azimuth in the middle of each cluster, those of other exposures that are nearest in the latent space."""
    n_roi = azimuths.labels.shape[1]
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    labels, run = azimuths.labels.ravel(), np.repeat(np.arange(len(azimuths.runs)), n_roi)
    rows = []
    for c in range(azimuths.n_clusters):
        middle = _middle_of(azimuths, c)
        distance = np.linalg.norm(points - points[middle], axis=1)
        others = np.flatnonzero(run != run[middle])
        near = others[distance[others].argsort()][:n_similar]
        rows.append([(middle, ""), *[(int(i), f"\ndistance {distance[i]:.2f}") for i in near]])
    maps = {i: c2_of(str(azimuths.runs.index[i])) for i in {int(run[i]) for row in rows for i, _ in row}}

    def tile(i: int, distance: str) -> Tile:
        k = i % n_roi
        degrees = f"{360 * k / n_roi:.0f}–{360 * (k + 1) / n_roi:.0f}°"
        return maps[run[i]][k], f"run {run[i] + 1}, {degrees}{distance}", colour(int(labels[i]))

    said = "Left: the middle of each cluster. Then the nearest in the latent space, of other exposures"
    return _in_rows(azimuths, [[tile(*of) for of in row] for row in rows], said)


def neighbourhood_figure(
    azimuths: Azimuths,
    c2_of: Maps,
    decode: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    n_noisy: int = 4,
    seed: int = 0,
) -> Figure:
    """For the azimuth in the middle of each cluster: its map, what is decoded, and that of noisy latent vectors.

    Where neighbouring points of the latent space decode to maps that could have been measured, distances in it mean
    something. The noise of each component is 0.3 of its spread over all azimuths. `c2_of` gives C2 maps (n_roi, t, t)
    of a result, by key; `decode` maps (n, t, t) of latent vectors (n, m), such as `ainerd.latent.Encoder.decode`.
    """
    rng, n_roi, m = np.random.default_rng(seed), azimuths.labels.shape[1], azimuths.latents.shape[-1]
    latents = azimuths.latents.reshape(-1, m)
    spread, rows = latents.std(axis=0), []
    for c in range(azimuths.n_clusters):
        middle = _middle_of(azimuths, c)
        noise = STEP * spread * rng.standard_normal((n_noisy, m))
        decoded = decode((latents[middle] + np.concatenate([np.zeros((1, m)), noise])).astype(np.float32))
        measured = c2_of(str(azimuths.runs.index[middle // n_roi]))[middle % n_roi]
        names = [f"run {middle // n_roi + 1}, measured", "decoded", *[f"{STEP:g} of the spread off"] * n_noisy]
        rows.append([(image, name, colour(c)) for image, name in zip([measured, *decoded], names, strict=True)])
    return _in_rows(azimuths, rows, "What is decoded around the middle of each cluster")


def _middle_of(azimuths: Azimuths, cluster: int) -> int:
    """The azimuth, counted over all exposures, that is nearest to the median of its cluster."""
    points = azimuths.points.reshape(-1, azimuths.latents.shape[-1])
    members = np.flatnonzero(azimuths.labels.ravel() == cluster)
    return int(members[np.linalg.norm(points[members] - np.median(points[members], axis=0), axis=1).argmin()])


def _in_rows(azimuths: Azimuths, rows: list[list[Tile]], said: str) -> Figure:
    columns = max(map(len, rows))
    figure = new_figure(1.75 * columns + 1.2, 2.0 * len(rows) + 0.5)
    panels = figure.subplots(len(rows), columns, sharex=True, sharey=True, squeeze=False)
    high = highest(image for row in rows for image, _, _ in row)
    for places, row in zip(panels, rows, strict=True):
        for axes in places[len(row) :]:
            axes.set_visible(False)
        for axes, (image, name, frame) in zip(places, row, strict=False):
            drawn = draw_map(axes, image, azimuths.duration_s, 1.0, high, frame)
            axes.set_title(name, fontsize=8)
            axes.tick_params(labelsize=8)
        places[0].set_ylabel("$t_2$ (s)", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("$t_1$ (s)", fontsize=9)
    figure.colorbar(drawn, ax=panels.ravel().tolist(), label="$C_2$", shrink=0.6, pad=0.01)
    figure.suptitle(said, x=0.01, ha="left", fontsize=11)
    return figure
