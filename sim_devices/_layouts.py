"""Maps of regimes over the face of the sample, drawn at random."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import HELD_OUT, KNOWN, Dynamics
from sim_devices._regimes import Spot
from sim_devices._sample import SIZE_MM, Layout

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
    """Twelve convex grains, shuffled, of these regimes."""
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

    A spot keeps what the beam did to it: 500 s of it double the rate.
    """
    turn = rng.uniform(0, 2 * np.pi)
    step = np.array([np.cos(turn), np.sin(turn)])
    step /= SIZE_MM * np.abs(step).sum()

    def along(x: Floats, y: Floats) -> Floats:
        """From 0 to 1 between opposite corners."""
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
    """One known regime everywhere: nothing to be found."""
    regime = str(rng.choice(KNOWN))
    return Layout(regions=(regime,), names=lambda x, y: np.full(np.broadcast(x, y).shape, regime))
