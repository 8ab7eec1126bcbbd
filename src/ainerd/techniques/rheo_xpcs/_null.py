"""Regimes of known kinds, simulated: what the exposures of one say together, when nothing is new."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

import ainerd
from ainerd.latent import SIZE, ModelError, read_weights, write_weights
from ainerd.novelty import LOOKS, NoveltyScorer, RegimeTest
from ainerd.technique import NullRegimes
from ainerd.techniques.rheo_xpcs._bank import BASELINE, add_systematics, noised
from ainerd.techniques.rheo_xpcs._clean import Clean, seen_from
from ainerd.techniques.rheo_xpcs._features import features, sectors_of
from ainerd.threads import one_thread

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

# What the exposures are measured with: the more counts, the more alike the p-values of one regime, and the more
# cautious the test.
PHOTONS, PIXELS, CONTRAST, CONTRAST_ERR = 500.0, 570.0, 0.2, 0.1
BINS = 18
SHIPPED = Path(__file__).parent / "weights" / "regimes.safetensors"
_RANKS = {"by_look": 2, "smallest": 1}


@dataclass(frozen=True)
class Views:
    """p-values (n, k), points (n, k, d) and features (n, k, f) of k exposures of each of n regimes."""

    p: NDArray[np.float64]
    z: NDArray[np.float32]
    features: NDArray[np.float32]

    @classmethod
    def judged(cls, scorer: NoveltyScorer, z: NDArray[np.float32], features: NDArray[np.float32]) -> Self:
        """Points and features with the p-values that a scorer gives."""
        return cls(scorer.p_values(features.reshape(-1, features.shape[-1])).reshape(z.shape[:2]), z, features)


@one_thread
def views(
    technique: "RheoXPCS",
    clean: Sequence[Clean],
    *,
    each: int = LOOKS,
    contrast_off: float = 1.0,
    photons: float = PHOTONS,
    seed: int = 0,
    advance: Callable[[int], None] = lambda n: None,
) -> Views:
    """Exposures of regimes, which differ by noise alone; contrast is a regime's own, within what is known of it.

    `contrast_off` is the contrast over what the technique is told; `photons` are those of a pixel in an exposure.
    """
    encoder, linear, rng = technique.encoder, technique.encoder.linear, np.random.default_rng([seed, 3])
    sectors = sectors_of(np.full(BINS, PIXELS), None, True)
    noise = (CONTRAST + SIZE / photons) / np.sqrt(BINS * PIXELS)
    described, points = [], []
    for one in clean:
        scale = CONTRAST * contrast_off * np.exp(CONTRAST_ERR * rng.uniform(-(3**0.5), 3**0.5))
        signal = np.float32(scale) * seen_from([one], sectors.phi_deg, sectors.width_deg)
        signal = np.broadcast_to(signal, (each, len(sectors.phi_deg), SIZE, SIZE))
        maps = noised(signal, sectors.n_pixels, photons, rng)
        add_systematics(maps, noise, rng, baseline=BASELINE * CONTRAST)
        mean = np.tensordot(maps, sectors.share, (1, 0)).astype(np.float32)
        held = linear.decode(linear.encode(mean), size=SIZE)
        described.append(features(held, mean, maps, sectors, photons=photons))
        latent = encoder.encode(maps.reshape(-1, SIZE, SIZE)).reshape(each, len(sectors.phi_deg), -1)
        points.append([encoder.point(z, phi=sectors.phi_deg) for z in latent])
        advance(1)
    return Views.judged(scorer_of(technique, photons), np.array(points, dtype=np.float32), np.stack(described))


def scorer_of(technique: "RheoXPCS", photons: float = PHOTONS) -> NoveltyScorer:
    """What judges the exposures of `views`."""
    told = {"contrast": CONTRAST, "contrast_err": CONTRAST_ERR, "n_pixels": [PIXELS] * BINS}
    return technique.scorer({"photons": photons, "flicker": 0.0, "baseline": BASELINE * CONTRAST, **told})


def write_null(path: Path, technique: "RheoXPCS", seen: Views, *, seed: int) -> None:
    """Write a ``.safetensors`` file that `null_regimes` reads: regimes of nights, grouped as the technique does."""
    assert technique.regime_width is not None
    test = RegimeTest.calibrated(
        seen.p,
        seen.z,
        technique.regimes,
        width=technique.regime_width,
        alpha=technique.alpha,
        rng=np.random.default_rng([seed, 5]),
    )
    tensors = {"by_look": test.by_look.astype(np.float32), "smallest": test.smallest.astype(np.float32)}
    recipe = {"kind": "regimes", "seed": seed, "ainerd": ainerd.__version__, **_made_for(technique)}
    write_weights(path, tensors, recipe)


def null_regimes(technique: "RheoXPCS", path: Path = SHIPPED) -> NullRegimes | None:
    """What the file says; None if it was made for another bank, encoder or alpha."""
    try:
        tensors, recipe = _read(path)
    except ModelError:
        return None
    if {name: recipe.get(name) for name in _made_for(technique)} != _made_for(technique):
        return None
    return NullRegimes(by_look=tensors["by_look"].astype(float), smallest=tensors["smallest"].astype(float))


def _made_for(technique: "RheoXPCS") -> dict[str, str | float]:
    return {"bank": technique.bank.id, "encoder": technique.encoder.sha256, "alpha": technique.alpha}


@cache
def _read(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, object]]:
    return read_weights(path, "regimes", _RANKS)
