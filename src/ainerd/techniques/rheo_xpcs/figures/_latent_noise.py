"""What lies around a point of the latent space: maps decoded from points a little off it."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuth_figures import Maps, draw_c2, high, middle_of, new_figure
from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths
from ainerd.views._style import colour

STEP = 0.3  # of the spread of each component, as in the paper (Horwath et al., Nat. Commun. 15, 5945, 2024)


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
    something. The noise of each component is 0.3 of its spread over all azimuths.

    Parameters
    ----------
    azimuths : Azimuths
    c2_of : callable
        C2 maps (n_roi, t, t) of a result, by key.
    decode : callable
        Maps (n, t, t) of latent vectors (n, m), such as `ainerd.latent.Encoder.decode`.
    n_noisy : int
        Noisy vectors of each cluster.
    seed : int
        Of the noise.
    """
    rng, n_roi, m = np.random.default_rng(seed), azimuths.labels.shape[1], azimuths.latents.shape[-1]
    latents = azimuths.latents.reshape(-1, m)
    spread, shown, chosen = latents.std(axis=0), [], []
    for c in range(azimuths.n_clusters):
        middle = middle_of(azimuths, c)
        noise = STEP * spread * rng.standard_normal((n_noisy, m))
        decoded = decode((latents[middle] + np.concatenate([np.zeros((1, m)), noise])).astype(np.float32))
        measured = c2_of(str(azimuths.runs.index[middle // n_roi]))[middle % n_roi]
        shown.append([measured, *decoded])
        chosen.append(middle)
    figure = new_figure(1.75 * (2 + n_noisy) + 1.2, 2.0 * len(shown) + 0.5)
    panels = figure.subplots(len(shown), 2 + n_noisy, sharex=True, sharey=True, squeeze=False)
    top = high([image for images in shown for image in images])
    for c, (row, images) in enumerate(zip(panels, shown, strict=True)):
        for axes, image in zip(row, images, strict=True):
            drawn = draw_c2(axes, image, azimuths, 1.0, top, colour(c))
            axes.tick_params(labelsize=8)
        row[0].set_title(f"run {chosen[c] // n_roi + 1}, measured", fontsize=8)
        row[1].set_title("decoded", fontsize=8)
        for axes in row[2:]:
            axes.set_title(f"{STEP:g} of the spread off", fontsize=8)
        row[0].set_ylabel("$t_2$ (s)", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("$t_1$ (s)", fontsize=9)
    figure.colorbar(drawn, ax=panels.ravel().tolist(), label="$C_2$", shrink=0.6, pad=0.01)
    figure.suptitle("What is decoded around the middle of each cluster", x=0.01, ha="left", fontsize=11)
    return figure
