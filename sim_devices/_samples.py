"""Samples by name: maps of regimes over the face of the sample, drawn at random.

In the first, regimes have prescribed correlation functions. In the others scatterers are moved one by one, and no
correlation function is prescribed: these use nothing of `ainerd.dynamics`; their times and lengths are those of an
exposure of about 50 s at q of .024 1/nm.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import HELD_OUT, KNOWN, Dynamics
from sim_devices._blocks import Blocks
from sim_devices._flow_field import FlowField
from sim_devices._particles import Crowd
from sim_devices._sample import SIZE_MM, HiddenSample, Layout, Recipe, Spot

Floats = NDArray[np.float64]
Names = NDArray[np.str_]

MATRIX = "ageing"
PATCHES = ("arrested", "avalanche", "fluid")
NOVEL = "echo"


def inclusions(rng: np.random.Generator) -> Layout:
    """An ageing matrix, three large patches and one or two small inclusions of a family that is held out."""
    turn = rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
    middles = 5 + 3.1 * np.c_[np.cos(turn), np.sin(turn)] + rng.uniform(-0.4, 0.4, (3, 2))
    patches = [(middle, rng.uniform(1.9, 2.4), rng.uniform(0, 2 * np.pi, 2)) for middle in rng.permutation(middles)]
    discs: list[tuple[Floats, float]] = []
    regions = (MATRIX, *PATCHES, NOVEL)

    def names(x: Floats, y: Floats) -> Names:
        which = np.zeros(np.broadcast(x, y).shape, int)
        nearest = np.ones(which.shape)
        for number, (middle, radius, lobes) in enumerate(patches, start=1):
            angle = np.arctan2(y - middle[1], x - middle[0])
            edge = radius * (1 + 0.12 * np.cos(2 * angle + lobes[0]) + 0.08 * np.cos(3 * angle + lobes[1]))
            depth = np.hypot(x - middle[0], y - middle[1]) / edge
            which = np.where(depth < nearest, number, which)
            nearest = np.minimum(nearest, depth)
        for middle, radius in discs:
            which = np.where(np.hypot(x - middle[0], y - middle[1]) < radius, len(regions) - 1, which)
        return np.array(regions)[which]

    for _ in range(rng.integers(1, 3)):
        while True:  # until it lies in the matrix, whole on the face and well away from the other one
            radius = rng.uniform(0.9, 1.2)
            middle = rng.uniform(radius, SIZE_MM - radius, 2)
            apart = all(np.hypot(*(middle - other)) > 3.5 for other, _ in discs)
            if apart and names(*middle) == MATRIX:
                break
        discs.append((middle, radius))
    return Layout(regions=regions, names=names, unknown=frozenset({NOVEL}))


def grains(rng: np.random.Generator, of_each: Sequence[str]) -> Callable[[Floats, Floats], Names]:
    """Return the names of twelve shuffled convex grains of these regimes."""
    regimes = rng.permutation(of_each)
    cell = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(12, 2)
    sites = (cell + rng.uniform(0.2, 0.8, (12, 2))) * SIZE_MM / (4, 3)

    def names(x: Floats, y: Floats) -> Names:
        return regimes[np.argmin(np.hypot(x[..., None] - sites[:, 0], y[..., None] - sites[:, 1]), axis=-1)]

    return names


def voronoi(rng: np.random.Generator) -> Layout:
    """Twelve grains: one of a family that is held out, the others of four known ones."""
    known = rng.choice(KNOWN, 4, replace=False).tolist()
    novel = str(rng.choice(sorted(HELD_OUT)))
    names = grains(rng, [*(known * 3)[:11], novel])
    return Layout(regions=(*known, novel), names=names, unknown=frozenset({novel}))


def gradient(rng: np.random.Generator) -> Layout:
    """From fluid to slow without a border: the relaxation time grows 200-fold, from 0.5 s, across the face.

    The beam changes a spot for good: 500 s of beam double the rate.
    """
    turn = rng.uniform(0, 2 * np.pi)
    step = np.array([np.cos(turn), np.sin(turn)])
    step /= SIZE_MM * np.abs(step).sum()

    def along(x: Floats, y: Floats) -> Floats:
        """Return a coordinate from 0 to 1 between opposite corners."""
        return 0.5 + (x - SIZE_MM / 2) * step[0] + (y - SIZE_MM / 2) * step[1]

    def names(x: Floats, y: Floats) -> Names:
        return np.where(along(x, y) < 0.55, "fluid", "slow")

    def recipe(spot: Spot) -> Dynamics:
        here = np.asarray(spot.x), np.asarray(spot.y)
        tau_s = 0.5 * 200 ** float(along(*here)) * spot.aged_tau
        return Dynamics(family=str(names(*here)), tau_s=tau_s, beam_speedup=0.002, dose_s=spot.dose_s)

    return Layout(regions=("fluid", "slow"), names=names, recipes={"fluid": recipe, "slow": recipe})


def bands(rng: np.random.Generator) -> Layout:
    """Six bands along the flow, a little tilted and wavy: at rest, molten, flowing, and with two velocities at once."""
    regions = ("arrested", "fluid", "flow", "banded")
    order = rng.permutation(regions)
    stack = np.r_[order, order[:2]]
    edges = np.cumsum(rng.dirichlet(np.full(6, 30.0)))[:-1] * SIZE_MM
    tilt, wave = np.tan(np.deg2rad(rng.uniform(-15, 15))), rng.uniform(0, 2 * np.pi)

    def names(x: Floats, y: Floats) -> Names:
        height = y + tilt * (x - SIZE_MM / 2) + 0.2 * np.sin(0.8 * x + wave)
        return stack[np.searchsorted(edges, height)]

    return Layout(regions=regions, names=names, unknown=frozenset({"banded"}))


def null(rng: np.random.Generator) -> Layout:
    """One known regime everywhere."""
    regime = str(rng.choice(KNOWN))
    return Layout(regions=(regime,), names=lambda x, y: np.full(np.broadcast(x, y).shape, regime))


FREE_NM2_S = 1150.0  # diffusion of a single particle, which decorrelates within 1.5 s
ALONG_DEG = 90.0  # flow


def _dilute(spot: Spot) -> Crowd:
    return Crowd(family="dilute", fraction=0.0, diffusion_nm2_s=FREE_NM2_S / spot.tau)


def _crowded(spot: Spot) -> Crowd:
    fraction = 0.86 + 0.04 * spot.further
    return Crowd(family="crowded", fraction=fraction, diffusion_nm2_s=FREE_NM2_S / spot.tau, waited_s=spot.age_s)


def _jammed(spot: Spot) -> Crowd:
    fraction = 1.15 + 0.05 * spot.further
    return Crowd(family="jammed", fraction=fraction, diffusion_nm2_s=0.25 * FREE_NM2_S, waited_s=spot.age_s)


def _fading(spot: Spot) -> float:
    """Return the remaining drive that yields blocks, which fades like a stress after shear."""
    return float((1 + spot.age_s / 600) ** -0.3)


def _quiet(spot: Spot) -> Blocks:
    return Blocks(family="quiet", strained_in_s=2000 * spot.tau / _fading(spot))


def _avalanching(spot: Spot) -> Blocks:
    return Blocks(family="avalanching", strained_in_s=60 * spot.tau / _fading(spot))


def _creeping(spot: Spot) -> Blocks:
    return Blocks(family="creeping", strained_in_s=8 * spot.tau / _fading(spot))


def _still(spot: Spot) -> FlowField:
    return FlowField(family="still", diffusion_nm2_s=60 / spot.tau)


def _slipping(spot: Spot) -> FlowField:
    velocity = 34 * (1 + 0.15 * spot.further)
    return FlowField(
        family="slipping", diffusion_nm2_s=30, velocity_nm_s=velocity, sticking=0.4, direction_deg=ALONG_DEG
    )


def _sheared(spot: Spot) -> FlowField:
    shear = 60 * (1 + 0.15 * spot.further)
    return FlowField(family="sheared", diffusion_nm2_s=30, shear_nm_s=shear, direction_deg=ALONG_DEG)


def _recovering(spot: Spot) -> FlowField:
    # Like a spot that starts to age when the beam reaches it.
    resting = 12 * spot.tau
    return FlowField(
        family="recovering", diffusion_nm2_s=30, shear_nm_s=200, resting_s=resting, direction_deg=ALONG_DEG
    )


def _swinging(spot: Spot) -> FlowField:
    hertz = 0.11 * (1 + 0.2 * spot.further)
    return FlowField(family="swinging", diffusion_nm2_s=20, swing=(400.0, hertz), direction_deg=ALONG_DEG)


def particles(rng: np.random.Generator) -> Layout:
    """A suspension of uneven density: dilute, crowded and jammed."""
    return _grown(rng, {"dilute": _dilute, "crowded": _crowded, "jammed": _jammed})


def blocks(rng: np.random.Generator) -> Layout:
    """A solid under uneven load: quiet, avalanching and creeping."""
    return _grown(rng, {"quiet": _quiet, "avalanching": _avalanching, "creeping": _creeping})


def flow_field(rng: np.random.Generator) -> Layout:
    """A fluid that is still, slips on a wall, is sheared, comes to rest, and oscillates in one grain."""
    recipes = {"still": _still, "slipping": _slipping, "sheared": _sheared, "recovering": _recovering}
    return _grown(rng, recipes, {"swinging": _swinging})


def _grown(rng: np.random.Generator, ordinary: dict[str, Recipe], unknown: dict[str, Recipe] | None = None) -> Layout:
    """Return twelve grains, one of each unknown regime."""
    unknown = unknown or {}
    of_each = (list(ordinary) * 12)[: 12 - len(unknown)]
    return Layout(
        regions=(*ordinary, *unknown),
        names=grains(rng, [*of_each, *unknown]),
        recipes=ordinary | unknown,
        unknown=frozenset(unknown),
    )


SAMPLES: dict[str, Callable[[np.random.Generator], Layout]] = {
    "inclusions": inclusions,
    "voronoi": voronoi,
    "gradient": gradient,
    "bands": bands,
    "null": null,
    "particles": particles,
    "blocks": blocks,
    "flow_field": flow_field,
}


def hidden_sample(name: str = "inclusions", seed: int = 0) -> HiddenSample:
    """Make a sample.

    Parameters
    ----------
    name : str
        A name in `SAMPLES`.
    seed : int
        The same seed gives the same sample.

    Raises
    ------
    ValueError
        If there is no such sample.
    """
    if name not in SAMPLES:
        raise ValueError(f"no sample {name!r}: there are {', '.join(SAMPLES)}")
    rng = np.random.default_rng(seed)
    return HiddenSample(SAMPLES[name](rng), rng)
