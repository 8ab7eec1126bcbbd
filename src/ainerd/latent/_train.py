"""Fit the linear encoder and freeze the bank."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import ainerd
from ainerd.dynamics import KNOWN
from ainerd.latent._bank_file import write_bank
from ainerd.latent._calibrate import simulated_exposures
from ainerd.latent._corpus import Statistics, known_maps, noisy
from ainerd.latent._pca import PcaFit
from ainerd.latent._weights import write_weights

_AT_ONCE = 50


def train_pca(
    out: Path,
    *,
    seed: int = 0,
    exposures: int = 3000,
    bank: int = 5400,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[Path, Path]:
    """Write `out`/pca.safetensors and `out`/bank.safetensors.

    The components are those of every simulated exposure twice: clean, and noisy at drawn statistics. The bank
    holds other exposures. One seed gives one pair of files.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
    exposures, bank : int
        Exposures the components are fitted to, and those in the bank.
    advance : callable
        Told how many exposures more were simulated.

    Returns
    -------
    tuple of Path
        Encoder and bank.
    """
    if exposures < 1 or bank < 1:
        raise ValueError(f"exposures and bank must be at least 1, got {exposures} and {bank}")
    for_fit = np.random.default_rng([seed, 0])
    recipe = {"seed": seed, "families": list(KNOWN), "ainerd": ainerd.__version__}

    fit = PcaFit()
    for first in range(0, exposures, _AT_ONCE):
        n = min(_AT_ONCE, exposures - first)
        statistics = Statistics.drawn(n, for_fit)
        clean = statistics.contrast.astype(np.float32)[:, None, None] * known_maps(n, for_fit)
        fit.push(1 + clean)
        fit.push(
            noisy(
                clean,
                n_pixels=statistics.n_pixels,
                n_frames=statistics.n_frames,
                counts=statistics.counts,
                rng=for_fit,
            )[:, 0]
        )
        advance(n)
    mean, components = fit.finish()
    encoder_file = out / "pca.safetensors"
    ranges = {name: list(pair) for name, pair in Statistics.RANGES.items()}
    write_weights(
        encoder_file,
        {"mean": mean, "components": components},
        recipe | {"kind": "pca", "exposures": exposures, "statistics": ranges},
    )

    bank_file = out / "bank.safetensors"
    write_bank(bank_file, *simulated_exposures(bank, seed=seed, advance=advance), seed=seed)
    return encoder_file, bank_file
