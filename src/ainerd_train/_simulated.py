"""Simulated training data: noise-free maps, noisy examples of them, and views of exposures.

Two thirds of the noise-free maps are of the families in `ainerd_xpcs.dynamics.KNOWN`. The others combine their
mechanisms in wider ranges, so that an encoder learns mechanisms rather than families. Mechanisms of held-out families
are never combined: no echo, no rate that dies out, no two velocities.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_train._textures import textured
from ainerd_xpcs.dynamics import (
    KNOWN,
    MECHANISMS,
    Domains,
    Dynamics,
    Sheared,
    clean_exposure,
    clock,
    draw,
    log_uniform,
    noisy,
    ordinary,
    rate_factor,
    reduced_g1_squared,
)
from ainerd_xpcs.latent import SIZE, MapFeatures, from_triangle, to_triangle

Watch = Callable[[str, int, int, dict[str, float]], None]  # the stage, the number done, the total, numbers to watch
PARAMETERS = ("log_tau", "exponent", "ageing", "fringe", "plateau", "jumps", "share", "static")
_COMPOSED_SHARE = 1 / 3
# Photons per pixel of an exposure (0.01 to 2 a frame, 5000 frames), pixels per bin, contrast: log-uniform, log-uniform
# and uniform.
_PHOTONS, _PIXELS, _CONTRAST = (40.0, 10000.0), (150.0, 5000.0), (0.04, 0.4)
_NO_CONTRAST = 0.004  # contrast of maps without speckle
_SPECKLED, _SUMS, _EMPTY, _CLEAN, _DRIFTING = 0.15, 0.08, 0.02, 0.08, 0.4
N_BINS = 9  # of 20 degrees; by Friedel's symmetry the other nine see the same
N_VIEWS = 4  # of a truth: the first two differ in noise alone, the others in parameters as well
# Photons per pixel of an exposure, pixels per bin, contrast: log-uniform, log-uniform and uniform.
_VIEW_PHOTONS, _VIEW_PIXELS, _VIEW_CONTRAST = (50.0, 2500.0), (150.0, 5000.0), (0.05, 0.35)
_KINDS = (0.25, 0.25, 0.25, 0.25)  # plain, composed, of a known family, ordinary
_BASELINE = 0.025  # standard deviation of an offset common to all maps, over the contrast


def silent(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Truths:
    """Noise-free maps |g1|² with their families and parameters.

    `triangles` are (n, 2080); `family` (n,) is the index in `KNOWN`, -1 for combinations; `parameters` (n, 8) are from
    the function `parameters`, NaN if the map does not determine them.
    """

    triangles: NDArray[np.float16]
    family: NDArray[np.int64]
    parameters: NDArray[np.float32]

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator, watch: Watch = silent) -> "Truths":
        """Draw n maps, each at an azimuth of its own."""
        triangles, family, known = np.empty((n, 2080), np.float16), np.empty(n, np.int64), np.empty((n, 8), np.float32)
        for i in range(n):
            family[i] = -1 if rng.random() < _COMPOSED_SHARE else rng.integers(len(KNOWN))
            dynamics = composed(rng) if family[i] < 0 else draw(KNOWN[family[i]], rng)
            phi = rng.uniform(0, 180)
            # Half are averaged over bins of 20 degrees, half over bins too narrow to wash fringes out.
            shape = clean_exposure(dynamics, [phi]) if i % 2 == 0 else reduced_g1_squared(dynamics, 1.0, SIZE, [phi])
            triangles[i] = to_triangle(shape.astype(np.float32))[0]
            known[i] = parameters(dynamics, phi)
            if dynamics.static and dynamics.flow_rad_s and known[i, 3] < np.log1p(1.0):
                family[i] = -1  # flow across the direction of q shows no fringes
            if (i + 1) % 100 == 0:
                watch("simulating", i + 1, n, {})
        return cls(triangles, family, known)


def composed(rng: np.random.Generator) -> Dynamics:
    """Combine mechanisms of the known families; times in units of the exposure."""
    tau = log_uniform(rng, 0.006, 20)
    fields: dict[str, Any] = {"exponent": rng.uniform(0.5, 2.0)}
    clockwork = rng.choice(["steady", "ageing", "rejuvenating", "beam"], p=[0.55, 0.2, 0.1, 0.15])
    if clockwork in ("ageing", "rejuvenating"):
        tau = log_uniform(rng, 0.008, 0.3)
        fields |= {
            "exponent": rng.uniform(0.5, 1.6),
            "ageing": rng.uniform(0.2, 2.0),
            "ageing_onset_s": log_uniform(rng, 0.05, 0.2),
            "age_s": rng.uniform(0, 1),
        }
    if clockwork == "rejuvenating":
        fields["rejuvenation"] = tuple(float(t) for t in np.sort(rng.uniform(0.1, 0.9, rng.integers(1, 4))))
    if clockwork == "beam":
        tau = log_uniform(rng, 0.05, 3)
        fields |= {"beam_speedup": log_uniform(rng, 1, 20), "dose_s": rng.uniform(0, 0.4)}
    if rng.random() < 0.25:
        fields["plateau"] = rng.uniform(0.15, 0.9)
    if rng.random() < 0.2:
        times = np.sort(rng.uniform(0.05, 0.95, rng.integers(1, 6)))
        fields["events"] = tuple((float(t), log_uniform(rng, 0.2, 3)) for t in times)
    flow: dict[str, Any] = {}
    if rng.random() < 0.3:
        flow = {"flow_rad_s": 2 * np.pi * log_uniform(rng, 1.5, 16), "flow_deg": rng.uniform(0, 180)}
        fields |= flow | {"static": rng.uniform(0.15, 0.8)}
    if rng.random() < 0.2:
        fast = Dynamics(family="fluid", tau_s=log_uniform(rng, 0.006, 0.1), exponent=rng.uniform(0.5, 1.5), **flow)
        fields |= {"second": fast, "second_share": rng.uniform(0.15, 0.85)}
        tau = max(tau, log_uniform(rng, 4, 80) * fast.tau_s)
    return Dynamics(family="composed", tau_s=tau, **fields)


def parameters(dynamics: Dynamics, phi_deg: float) -> NDArray[np.float32]:
    """Return the parameters of dynamics that a map at one azimuth should determine, (8,); NaN if it does not.

    ======== ===================================================================================================
    log_tau  minus the log of the mean relaxation rate, without jumps
    exponent of the KWW kernel
    ageing   log of the relaxation rate at the start over that at the end
    fringe   log(1 + turns of the phase in the exposure), zero without fringes
    plateau  part that never relaxes; known if the rest relaxes well within the exposure
    jumps    log(1 + the sum of jumps of the clock)
    share    of the faster of two populations
    static   part of the intensity
    ======== ===================================================================================================
    """
    jumps = sum(jump for _, jump in dynamics.events)
    s = clock(dynamics, [0.0, 0.02, 0.98, 1.0]) * rate_factor(dynamics, [phi_deg])[0]
    mean = max(s[3] - s[0] - jumps * rate_factor(dynamics, [phi_deg])[0], 1e-6)
    early = jumps == 0 or not any(t < 0.02 or t > 0.98 for t, _ in dynamics.events)
    one = dynamics.second is None
    turns = abs(dynamics.flow_rad_s * np.cos(np.deg2rad(phi_deg - dynamics.flow_deg))) / 2 / np.pi
    relaxes = one and 4 < mean and not dynamics.static
    nan = np.nan
    return np.array(
        [
            np.clip(-np.log(mean), -5, 2.5) if one else nan,
            dynamics.exponent if one and 0.3 < mean < 150 else nan,
            np.log((s[1] - s[0]) / (s[3] - s[2])) if one and early and not dynamics.rejuvenation else nan,
            np.log1p(turns) if dynamics.static else 0.0,
            dynamics.plateau if relaxes else nan,
            np.log1p(jumps),
            dynamics.second_share,
            dynamics.static if turns > 1 or not dynamics.static else nan,
        ],
        dtype=np.float32,
    )


@dataclass(frozen=True)
class Examples:
    """Noisy `maps` (n, 64, 64) of baseline 1 and the true |g1|² of each, its `shape`.

    `noise` is roughly the variance of the noise of `shape`; `truth` is the index in the truths, -1 if the map was
    replaced by another.
    """

    maps: NDArray[np.float32]
    shape: NDArray[np.float32]
    contrast: NDArray[np.float32]
    noise: NDArray[np.float32]
    truth: NDArray[np.int64]


def examples(truths: Truths, n: int, rng: np.random.Generator) -> Examples:
    """Draw n truths and two noisy maps of each: 2 n examples, the second n of the same truths as the first."""
    which = rng.integers(len(truths.family), size=n)
    shape = from_triangle(truths.triangles[which].astype(np.float32))
    kinds = np.split(np.arange(n), (np.cumsum([_SPECKLED, _SUMS, _EMPTY]) * n).astype(int))[:3]
    shape[kinds[0]] = speckled(shape[kinds[0]], rng)
    flowless = np.flatnonzero(truths.parameters[:, PARAMETERS.index("fringe")] == 0)
    other = from_triangle(truths.triangles[rng.choice(flowless, kinds[1].size)].astype(np.float32))
    part = rng.uniform(0.2, 0.8, (kinds[1].size, 1, 1)).astype(np.float32)
    shape[kinds[1]] = part * shape[kinds[1]] + (1 - part) * other
    shape[kinds[2]] = 0
    which[: kinds[2][-1] + 1] = -1

    shape, which = np.concatenate([shape, shape]), np.concatenate([which, which])
    contrast = rng.uniform(*_CONTRAST, 2 * n).astype(np.float32)
    photons, pixels = (np.exp(rng.uniform(np.log(low), np.log(high), 2 * n)) for low, high in (_PHOTONS, _PIXELS))
    maps = noisy(contrast[:, None, None] * shape, n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)[:, 0]
    contrast[shape[:, 0, 0] == 0] = _NO_CONTRAST
    noise = (contrast + SIZE / photons) ** 2 / pixels / contrast**2
    clean = rng.random(2 * n) < _CLEAN
    maps[clean], noise[clean] = 1 + contrast[clean, None, None] * shape[clean], 0
    _drift(maps, rng)
    return Examples(maps, shape, contrast, noise.astype(np.float32), which)


def speckled(shape: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Realize maps by a few coherent areas: bins of real runs show such structure of their own."""
    n, cells = len(shape), np.arange(SIZE)
    covariance = shape.copy()
    covariance[:, cells, cells] += 6e-3  # rounding to float16 can make it indefinite by as much
    field = np.linalg.cholesky(covariance) @ rng.standard_normal((n, SIZE, 2 * SIZE), dtype=np.float32)
    areas = np.exp(rng.uniform(np.log(12), np.log(2 * SIZE), n))
    field *= np.arange(2 * SIZE) < areas[:, None, None]
    realised = field @ field.swapaxes(1, 2)
    level = shape.diagonal(0, 1, 2).mean(1) / np.maximum(realised.diagonal(0, 1, 2).mean(1), 1e-3)
    return np.asarray(level[:, None, None] * realised)


def _drift(maps: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Add baseline offsets and wandering or flickering intensities to some of the maps, in place."""
    n, t = len(maps), np.linspace(-1, 1, SIZE)
    chosen = rng.random((3, n, 1)) < _DRIFTING
    wander = 0.012 * rng.standard_normal((n, 1)) * np.sin(rng.uniform(0.5, 8, (n, 1)) * t + rng.uniform(0, 6.3, (n, 1)))
    flicker = 0.003 * rng.standard_normal((n, SIZE))
    along = (chosen[0] * wander + chosen[1] * flicker).astype(np.float32)
    maps *= 1 + along[:, :, None] + along[:, None, :]
    maps += (0.01 * chosen[2] * rng.standard_normal((n, 1))).astype(np.float32)[:, :, None]


def draw_views(n: int, features: MapFeatures, rng: np.random.Generator) -> NDArray[np.float16]:
    """Draw n truths and return the features (n, 4, 9, f) of the maps of their views."""
    out = []
    for _ in range(n):
        maps = np.concatenate(views(truth(rng), rng))
        out.append(np.clip(features(maps), -100, 100).astype(np.float16).reshape(N_VIEWS, N_BINS, -1))
    return np.stack(out)


def truth(rng: np.random.Generator) -> Dynamics:
    """Draw dynamics without the mechanisms of the held-out families."""
    kind = rng.choice(4, p=_KINDS)
    if kind == 0:
        tau = log_uniform(rng, 0.0015, 12)
        plateau = float(rng.uniform(0.1, 0.9)) if rng.random() < 0.15 else 0.0
        return Dynamics(family="plain", tau_s=tau, exponent=float(rng.uniform(0.4, 2)), plateau=plateau)
    if kind == 1:
        return composed(rng)
    if kind == 2:
        return draw(str(rng.choice(KNOWN)), rng)
    dynamics: Dynamics | Domains | Sheared | None = None
    while not isinstance(dynamics, Dynamics):  # the run encoder is trained on neither shear nor domains
        dynamics = ordinary(str(rng.choice(list(MECHANISMS))), rng)
    return dynamics


def variant(dynamics: Dynamics, rng: np.random.Generator) -> Dynamics:
    """Vary dynamics within a regime: parameters within a quarter, events at the same rate and of similar sizes."""

    def near(x: float, share: float = 0.25) -> float:
        return float(x * (1 + share * rng.uniform(-1, 1)))

    changed: dict[str, Any] = {
        "tau_s": near(dynamics.tau_s),
        "exponent": float(np.clip(near(dynamics.exponent, 0.08), 0.1, 2)),
        "plateau": float(np.clip(near(dynamics.plateau, 0.08), 0, 1)),
        "flow_rad_s": near(dynamics.flow_rad_s, 0.15),
        "static": float(np.clip(near(dynamics.static, 0.1), 0, 1)),
        "ageing": near(dynamics.ageing, 0.1),
    }
    if dynamics.events:
        times = np.sort(rng.uniform(0.05, 0.95, _n_events(len(dynamics.events), rng)))
        sizes = rng.choice([size for _, size in dynamics.events], times.size)
        changed["events"] = tuple((float(t), near(s, 0.3)) for t, s in zip(times, sizes, strict=True))
    if dynamics.rejuvenation:
        times = np.sort(rng.uniform(0.12, 0.88, _n_events(len(dynamics.rejuvenation), rng)))
        changed["rejuvenation"] = tuple(times.tolist())
    if dynamics.echo[0]:
        changed["echo"] = (near(dynamics.echo[0]), near(dynamics.echo[1], 0.2))
    if np.isfinite(dynamics.arrest_s):
        changed["arrest_s"] = near(dynamics.arrest_s, 0.2)
    if dynamics.second is not None:
        second = dynamics.second
        changed["second"] = replace(second, tau_s=near(second.tau_s), flow_rad_s=near(second.flow_rad_s, 0.15))
        changed["second_share"] = float(np.clip(near(dynamics.second_share, 0.15), 0, 1))
    return replace(dynamics, **changed)


def _n_events(usual: int, rng: np.random.Generator) -> int:
    """Draw the number of events of an exposure with this mean; at least one, or its regime would not show."""
    return max(1, int(rng.poisson(usual)))


def views(dynamics: Dynamics, rng: np.random.Generator, *, texture: bool = True) -> list[NDArray[np.float32]]:
    """Return maps (9, 64, 64) of each view; with `texture`, also with noise other than counting noise."""
    out = []
    for number in range(N_VIEWS):
        if number != 1:
            phi = rng.uniform(0, 180) + 20 * np.arange(N_BINS)
            clean = np.broadcast_to(clean_exposure(variant(dynamics, rng), phi), (N_BINS, SIZE, SIZE))
        out.append(_measured(clean, rng, texture))
    return out


def _measured(clean: NDArray[np.float32], rng: np.random.Generator, texture: bool) -> NDArray[np.float32]:
    """Add to |g1|² (k, 64, 64) the noise of a run of random statistics, and other textures."""
    contrast = rng.uniform(*_VIEW_CONTRAST)
    photons, pixels = (log_uniform(rng, *limits) for limits in (_VIEW_PHOTONS, _VIEW_PIXELS))
    maps = noisy(np.float32(contrast) * clean, n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)[:, 0]
    spread = (contrast + SIZE / photons) / np.sqrt(18 * pixels) * rng.random()
    wander = spread * rng.standard_normal(SIZE)
    maps += (_BASELINE * contrast * rng.standard_normal() + wander[:, None] + wander).astype(np.float32)
    return textured(maps, contrast, rng) if texture else maps
