"""Nights of simulated regimes of known kinds, with which claims are calibrated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ainerd
from ainerd.novelty import LOOKS, NoveltyScorer, RegimeTest, null_distances
from ainerd.threads import one_thread
from ainerd_xpcs.latent import SIZE, write_weights
from ainerd_xpcs.technique import (
    BASELINE,
    Clean,
    RheoXPCS,
    add_systematics,
    differences,
    features,
    noised,
    purpose_of,
    sectors_of,
    seen_from,
)

# Statistics of the simulated exposures: with more counts the p-values of one regime are more alike, and the test is
# more cautious.
PHOTONS, PIXELS, CONTRAST, CONTRAST_ERR = 500.0, 570.0, 0.2, 0.1
BINS = 18
LONGER = 1000  # regimes with the exposures that p-values against the session need


@dataclass(frozen=True)
class Views:
    """p-values (n, k), points (n, k, d) and features (n, k, f) of k exposures of each of n regimes."""

    p: NDArray[np.float64]
    z: NDArray[np.float32]
    features: NDArray[np.float32]


@one_thread
def views(
    technique: RheoXPCS,
    clean: Sequence[Clean],
    *,
    each: int = LOOKS,
    contrast_off: float = 1.0,
    seed: int = 0,
    has_p: bool = True,
    advance: Callable[[int], None] = lambda n: None,
) -> Views:
    """Simulate exposures of regimes, which differ by noise alone; each regime has its own contrast within its error.

    `contrast_off` is the true contrast over the given one. Without `has_p` there are points alone.
    """
    encoder, rng = technique.encoder, np.random.default_rng([seed, 3])
    sectors = sectors_of(np.full(BINS, PIXELS), None, True)
    noise = (CONTRAST + SIZE / PHOTONS) / np.sqrt(BINS * PIXELS)
    columns, points, pixels = [], [], np.full(BINS, PIXELS)
    for one in clean:
        scale = CONTRAST * contrast_off * np.exp(CONTRAST_ERR * rng.uniform(-(3**0.5), 3**0.5))
        signal = np.float32(scale) * seen_from([one], sectors.phi_deg, sectors.width_deg)
        signal = np.broadcast_to(sectors.of_bins(signal), (each, BINS, SIZE, SIZE))
        of_bins = noised(signal, pixels, PHOTONS, rng)
        maps, differing = sectors.average(of_bins), differences(of_bins, sectors.pairs, pixels)
        add_systematics(maps, noise, rng, baseline=BASELINE * CONTRAST)
        mean = sectors.mean(maps)
        described = features(encoder, mean, maps, sectors, photons=PHOTONS, differing=differing) if has_p else None
        columns.append(np.empty((each, 0), np.float32) if described is None else described)
        latent = encoder.encode(maps.reshape(-1, SIZE, SIZE)).reshape(each, len(sectors.phi_deg), -1)
        points.append([encoder.point(z, phi=sectors.phi_deg) for z in latent])
        advance(1)
    z, all_features = np.array(points, dtype=np.float32), np.stack(columns)
    rows = all_features.reshape(len(z) * each, -1)
    p = scorer_of(technique).p_values(rows) if has_p else np.full(len(rows), np.nan)
    return Views(p.reshape(z.shape[:2]), z, all_features)


def scorer_of(technique: RheoXPCS) -> NoveltyScorer:
    """Return the scorer for the exposures of `views`."""
    contrast = {"contrast": CONTRAST, "contrast_err": CONTRAST_ERR, "n_pixels": [PIXELS] * BINS}
    return technique.scorer({"photons": PHOTONS, "flicker": 0.0, "baseline": BASELINE * CONTRAST, **contrast})


def write_null(path: Path, technique: RheoXPCS, simulated: Views, longer: NDArray[np.float32], *, seed: int) -> None:
    """Group simulated regimes of nights as the technique does, and write the file that `RheoXPCS.null_regimes` reads.

    `longer` are points (n, 19, d) of regimes with more exposures, for p-values against the session.
    """
    limits: dict[str, Any] = {"width": technique.regime_width, "alpha": technique.alpha}
    rng = np.random.default_rng([seed, 5])
    test = RegimeTest.calibrated(simulated.p, simulated.z, technique.regimes, rng=rng, **limits)
    own = null_distances(longer, technique.regime_width)
    arrays = {"by_look": test.by_look, "smallest": test.smallest, "whole": test.whole, "own": own}
    tensors = {name: array.astype(np.float32) for name, array in arrays.items()}
    recipe = {"kind": "regimes", "seed": seed, "ainerd": ainerd.__version__, **purpose_of(technique)}
    write_weights(path, tensors, recipe)
