"""What denoising does to maps: how many are made worse, and what it adds of its own.

Noise has no mean over draws, so what the mean of many denoised maps of one truth lies off that truth is the bias: what
the denoiser brings in. Of dynamics that an encoder was not trained on, it is what a person would take for physics.
"""

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.dynamics import KNOWN
from ainerd.latent import Encoder
from studies._latent_maps import FAMILIES, LabelledMaps, block_mean, measured, truth_of

CONTRAST = 0.2  # of the maps whose bias is measured
LAGS = 48  # of 64, up to which g2 is the mean of enough cells


def made_worse(encoder: Encoder, data: LabelledMaps, level: float) -> dict[str, float]:
    """Share of maps whose squared error is larger after `denoise`, and the largest ratio."""
    truth = 1 + data.contrast[:, None, None] * data.shape
    after, before = (np.square(maps - truth).sum((1, 2)) for maps in (encoder.denoise(data.maps, size=64), data.maps))
    at = f"{level:g}".lstrip("0")
    return {
        f"made worse by denoise, share, {at}": (after > before).mean(),
        f"made worse by denoise, at most, {at}": (after / before).max(),
    }


def bias(
    encoder: Encoder, level: float, rng: np.random.Generator, *, each: int = 8, draws: int = 12
) -> dict[str, float]:
    """Bias of denoised maps and of g2 along their diagonals, in units of the contrast: root mean squares.

    `each` truths of each family, `draws` noisy maps of each; what the mean of so few scatters is taken off.
    """
    of_map, of_g2 = (np.empty((len(FAMILIES), each)) for _ in range(2))
    for i in track(range(of_map.size), f"bias at {level:g} photons", transient=True):
        _, _, truth = truth_of(FAMILIES[i // each], rng)
        noisy = np.array([block_mean(measured(CONTRAST * truth, level, rng)) for _ in range(draws)])
        off = (encoder.denoise(noisy, size=64) - 1) / CONTRAST - block_mean(truth)
        of_map.flat[i] = _squared(off.reshape(draws, -1))
        of_g2.flat[i] = _squared(np.array([off.diagonal(lag, 1, 2).mean(1) for lag in range(LAGS)]).T)
    at, known = f"{level:g}".lstrip("0"), np.isin(FAMILIES, KNOWN)
    return {
        f"bias of denoise in {what}, {name}, {at}": np.sqrt(max(squared[which].mean(), 0))
        for what, squared in (("a map", of_map), ("g2", of_g2))
        for which, name in ((known, "known"), (~known, "held out"))
    }


def _squared(off: NDArray) -> float:
    """Mean square of the mean over n draws (n, m), less what n draws scatter."""
    return float(np.mean(np.square(off.mean(0)) - off.var(0, ddof=1) / len(off)))
