"""Views of exposures: what the run encoder is trained to tell apart, and what to take for one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import KNOWN, MECHANISMS, Dynamics, Sheared, clean_exposure, draw, noisy, ordinary
from ainerd.latent._grid import SIZE
from ainerd.latent._run import MapFeatures
from ainerd.latent.training._textures import textured
from ainerd.latent.training._truths import composed

N_BINS = 9  # of 20 degrees: by Friedel's symmetry the other nine show the same
N_VIEWS = 4  # of a truth: the first two are the same but for their noise, the others have other parameters
# Photons per pixel of an exposure, pixels per bin, contrast: log-uniform, log-uniform and uniform.
PHOTONS, PIXELS, CONTRAST = (50.0, 2500.0), (150.0, 5000.0), (0.05, 0.35)
_KINDS = (0.25, 0.25, 0.25, 0.25)  # plain, composed, of a known family, ordinary
_BASELINE = 0.025  # standard deviation of an offset that all maps share, over the contrast


@dataclass(frozen=True)
class Views:
    """Features (n, 4, 9, f) of the maps of views of n truths."""

    features: NDArray[np.float16]

    @classmethod
    def drawn(cls, n: int, of: MapFeatures, rng: np.random.Generator) -> "Views":
        """Draw n truths."""
        seen = []
        for _ in range(n):
            maps = np.concatenate(views(truth(rng), rng))
            seen.append(np.clip(of(maps), -100, 100).astype(np.float16).reshape(N_VIEWS, N_BINS, -1))
        return cls(np.stack(seen))


def truth(rng: np.random.Generator) -> Dynamics:
    """Dynamics that no held-out family has."""
    kind = rng.choice(4, p=_KINDS)
    if kind == 0:
        tau = float(np.exp(rng.uniform(np.log(0.0015), np.log(12))))
        plateau = float(rng.uniform(0.1, 0.9)) if rng.random() < 0.15 else 0.0
        return Dynamics(family="plain", tau_s=tau, exponent=float(rng.uniform(0.4, 2)), plateau=plateau)
    if kind == 1:
        return composed(rng)
    if kind == 2:
        return draw(str(rng.choice(KNOWN)), rng, 1.0)
    made: Dynamics | Sheared | None = None
    while not isinstance(made, Dynamics):  # shear is not among what it learns from
        made = ordinary(str(rng.choice(list(MECHANISMS))), rng)
    return made


def variant(dynamics: Dynamics, rng: np.random.Generator) -> Dynamics:
    """Dynamics of the same regime: parameters within a quarter, events at the same rate and of about the same sizes."""

    def about(x: float, share: float = 0.25) -> float:
        return float(x * (1 + share * rng.uniform(-1, 1)))

    changed: dict[str, Any] = {
        "tau_s": about(dynamics.tau_s),
        "exponent": float(np.clip(about(dynamics.exponent, 0.08), 0.1, 2)),
        "plateau": float(np.clip(about(dynamics.plateau, 0.08), 0, 1)),
        "flow_rad_s": about(dynamics.flow_rad_s, 0.15),
        "static": float(np.clip(about(dynamics.static, 0.1), 0, 1)),
        "ageing": about(dynamics.ageing, 0.1),
    }
    if dynamics.events:
        times = np.sort(rng.uniform(0.05, 0.95, _happened(len(dynamics.events), rng)))
        sizes = rng.choice([size for _, size in dynamics.events], times.size)
        changed["events"] = tuple((float(t), about(s, 0.3)) for t, s in zip(times, sizes, strict=True))
    if dynamics.rejuvenation:
        times = np.sort(rng.uniform(0.12, 0.88, _happened(len(dynamics.rejuvenation), rng)))
        changed["rejuvenation"] = tuple(times.tolist())
    if dynamics.echo[0]:
        changed["echo"] = (about(dynamics.echo[0]), about(dynamics.echo[1], 0.2))
    if np.isfinite(dynamics.arrest_s):
        changed["arrest_s"] = about(dynamics.arrest_s, 0.2)
    if dynamics.second is not None:
        second = dynamics.second
        changed["second"] = replace(second, tau_s=about(second.tau_s), flow_rad_s=about(second.flow_rad_s, 0.15))
        changed["second_share"] = float(np.clip(about(dynamics.second_share, 0.15), 0, 1))
    return replace(dynamics, **changed)


def _happened(usual: int, rng: np.random.Generator) -> int:
    """How many events an exposure has where this many are usual: one at least, or it would not show of which regime."""
    return max(1, int(rng.poisson(usual)))


def views(dynamics: Dynamics, rng: np.random.Generator, *, texture: bool = True) -> list[NDArray[np.float32]]:
    """Maps (9, 64, 64) of each view; `texture`: also with noise that is not that of counting."""
    seen = []
    for number in range(N_VIEWS):
        if number != 1:
            phi = rng.uniform(0, 180) + 20 * np.arange(N_BINS)
            clean = np.broadcast_to(clean_exposure(variant(dynamics, rng), phi), (N_BINS, SIZE, SIZE))
        seen.append(_measured(clean, rng, texture))
    return seen


def _measured(clean: NDArray[np.float32], rng: np.random.Generator, texture: bool) -> NDArray[np.float32]:
    """Maps of |g1|² (k, 64, 64) with the noise of a run of statistics of its own, and of other textures."""
    contrast = rng.uniform(*CONTRAST)
    photons, pixels = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (PHOTONS, PIXELS))
    maps = noisy(np.float32(contrast) * clean, n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)[:, 0]
    spread = (contrast + SIZE / photons) / np.sqrt(18 * pixels) * rng.random()
    wander = spread * rng.standard_normal(SIZE)
    maps += (_BASELINE * contrast * rng.standard_normal() + wander[:, None] + wander).astype(np.float32)
    return textured(maps, contrast, rng) if texture else maps
