"""Fit the linear encoder and freeze the bank."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import ainerd
from ainerd.dynamics import KNOWN
from ainerd.latent._corpus import Statistics, clean_exposure, known_exposures, known_maps, noisy
from ainerd.latent._grid import to_triangle
from ainerd.latent._pca import PcaFit
from ainerd.latent._weights import write_weights

_AT_ONCE = 50


def train_pca(
    out: Path,
    *,
    seed: int = 0,
    exposures: int = 3000,
    bank: int = 1200,
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
        Told after each block how many exposures it had.

    Returns
    -------
    tuple of Path
        Encoder and bank.
    """
    if exposures < 1 or bank < 1:
        raise ValueError(f"exposures and bank must be at least 1, got {exposures} and {bank}")
    for_fit, for_bank = (np.random.default_rng([seed, part]) for part in (0, 1))
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

    exposures_kept = known_exposures(bank, for_bank)
    triangles = [to_triangle(clean_exposure(known)).astype(np.float16) for known in exposures_kept]
    bank_file = out / "bank.safetensors"
    write_weights(
        bank_file,
        {"g1_squared": np.concatenate(triangles), "directions": np.array([len(maps) for maps in triangles])},
        recipe | {"kind": "bank", "exposure_families": [known.family for known in exposures_kept]},
    )
    advance(bank)
    return encoder_file, bank_file
