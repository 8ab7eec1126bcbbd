"""The hidden sample: the regimes of its dynamics, and their places on its face, drawn at random.

In the first samples, regimes have prescribed correlation functions. In the others scatterers are moved one by one, and
no correlation function is prescribed: these use nothing of `ainerd_xpcs.dynamics`; their times and lengths are those of
an exposure of about 50 s at q of .024 1/nm.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.dynamics import HELD_OUT, KNOWN, Dynamics
from sim_devices._blocks import Blocks
from sim_devices._particles import Crowd, FlowField
from sim_devices._scattering import Motion

JUMP_PER_PA = 5.0  # of the internal clock, where the sample yields by 1 Pa
REJUVENATING_PA = 0.5


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The conditions that decide the parameters of one exposure.

    Attributes
    ----------
    x, y : float
        Position in mm.
    slower, further : float
        Two smooth fields over the sample, from -1 to 1.
    age_s : float
        Time since shear stopped when the exposure begins.
    dose_s : float
        Beam the spot has had before, in seconds of the full beam.
    events : tuple of (float, float)
        Times in the exposure, in seconds, and sizes, in Pa, of the sample's yielding.
    rng : numpy.random.Generator
        Draws everything that varies between exposures.
    """

    x: float
    y: float
    slower: float
    further: float
    age_s: float
    dose_s: float
    events: tuple[tuple[float, float], ...]
    rng: np.random.Generator

    @property
    def tau(self) -> float:
        """Factor of relaxation times at this spot."""
        return 1 + 0.25 * self.slower

    @property
    def aged_tau(self) -> float:
        """Factor that also grows slowly with age: by a quarter within the hour."""
        return self.tau * (1 + 0.1 * np.log1p(self.age_s / 300))


Recipe = Callable[[Spot], Dynamics | Motion]


def _populations(spot: Spot) -> Dynamics:
    mobile = Dynamics(family="fluid", tau_s=0.4 * spot.tau)
    share = 0.5 + 0.12 * spot.further
    return Dynamics(family="populations", tau_s=80 * spot.aged_tau, exponent=1.2, second=mobile, second_share=share)


def _banded(spot: Spot) -> Dynamics:
    fast = 2 * np.pi * (8 + 1.5 * spot.further) / 50
    slow = Dynamics(family="flow", tau_s=40 * spot.tau, flow_rad_s=0.4 * fast)
    return Dynamics(family="banded", tau_s=40 * spot.tau, flow_rad_s=fast, second=slow, second_share=0.5)


REGIMES: dict[str, Recipe] = {
    "fluid": lambda spot: Dynamics(family="fluid", tau_s=1.5 * spot.tau),
    "slow": lambda spot: Dynamics(
        family="slow", tau_s=60 * spot.aged_tau, exponent=1.6, anisotropy=0.2, anisotropy_deg=90.0
    ),
    # A spot ages anew once the beam is on it; of the time before only the logarithm is left.
    "ageing": lambda spot: Dynamics(
        family="ageing", tau_s=1.5 * spot.tau, ageing=1.1, ageing_onset_s=7.5, age_s=4 * np.log1p(spot.age_s / 120)
    ),
    "rejuvenating": lambda spot: Dynamics(
        family="rejuvenating", tau_s=spot.tau, ageing=1.3, ageing_onset_s=3.0,
        age_s=10 + 4 * np.log1p(spot.age_s / 120),
        rejuvenation=tuple(when for when, size in spot.events if size > REJUVENATING_PA),
    ),
    "arrested": lambda spot: Dynamics(family="arrested", tau_s=4 * spot.tau, plateau=0.7 + 0.05 * spot.further),
    # The whole sample yields; how much of it happens in the beam is drawn.
    "avalanche": lambda spot: Dynamics(
        family="avalanche", tau_s=200 * spot.aged_tau, exponent=1.2,
        events=tuple((when, JUMP_PER_PA * size * spot.rng.uniform(0.6, 1.4)) for when, size in spot.events),
    ),
    "flow": lambda spot: Dynamics(
        family="flow", tau_s=40 * spot.tau, static=0.45, flow_rad_s=2 * np.pi * ((6.5 + 1.2 * spot.further) / 50)
    ),
    "populations": _populations,
    "beam": lambda spot: Dynamics(family="beam", tau_s=45 * spot.tau, beam_speedup=0.35, dose_s=spot.dose_s),
    "echo": lambda spot: Dynamics(
        family="echo", tau_s=100 * spot.tau, exponent=2.0, echo=(1.2, 0.11 * (1 + 0.2 * spot.further))
    ),
    "banded": _banded,
    "ballistic": lambda spot: Dynamics(
        family="ballistic", tau_s=2.5 * spot.tau, exponent=2.0, arrest_s=10 * (1 + 0.2 * spot.further)
    ),
}  # fmt: skip


SIZE_MM = 10.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A map of regimes.

    Attributes
    ----------
    regions : tuple of str
        Names of the regimes.
    names : callable
        ``names(x, y)`` returns the name at each position in mm; x and y are arrays, broadcast against each other.
    recipes : mapping
        The dynamics of each regime at a `Spot`.
    unknown : frozenset of str
        Regimes that the analysis has never seen.
    """

    regions: tuple[str, ...]
    names: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.str_]]
    recipes: Mapping[str, Recipe] = field(default_factory=lambda: REGIMES)
    unknown: frozenset[str] = frozenset()


class HiddenSample:
    """A face of 10 × 10 mm with a map of regimes, defined at every position.

    Parameters vary smoothly, by about a quarter, within each region. Relaxation times are in seconds, whatever the
    exposure. Only devices, tests and studies may know the map, never an agent.

    Parameters
    ----------
    layout : Layout
    rng : numpy.random.Generator
        Draws the variation of the parameters.

    Attributes
    ----------
    bounds : tuple of (float, float)
        ((x low, x high), (y low, y high)) in mm.
    regions : tuple of str
        Names of the regimes.
    unknown : frozenset of str
        Regimes that the analysis has never seen.
    """

    bounds = ((0.0, SIZE_MM), (0.0, SIZE_MM))

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._layout, self.regions, self.unknown = layout, layout.regions, layout.unknown
        self._waves = rng.uniform(-0.5, 0.5, (2, 2)), rng.uniform(0, 2 * np.pi, 2)

    def _names(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.str_]:
        return self._layout.names(np.asarray(x, dtype=float), np.asarray(y, dtype=float))

    def regime(self, x: float, y: float) -> str:
        """Return the name of the regime at a position in mm.

        Raises
        ------
        ValueError
            If the position is off the sample.
        """
        if not all(low <= value <= high for value, (low, high) in zip((x, y), self.bounds, strict=True)):
            raise ValueError(f"position ({x}, {y}) mm is off the sample, whose bounds are {self.bounds}")
        return str(self._names(x, y))

    def regime_map(self, n: int) -> NDArray[np.str_]:
        """Return the names on an n × n grid of cells: [i, j] is the middle of cell y_i, x_j."""
        middle = (np.arange(n) + 0.5) * (SIZE_MM / n)
        return self._names(middle[None, :], middle[:, None])

    def dynamics(
        self,
        x: float,
        y: float,
        age_s: float,
        duration_s: float,
        rng: np.random.Generator,
        *,
        dose_s: float = 0.0,
        events: Sequence[tuple[float, float]] = (),
    ) -> Dynamics | Motion:
        """Return the dynamics at a position during one exposure.

        Parameters
        ----------
        x, y : float
            Position in mm.
        age_s : float
            Time since shear stopped when the exposure begins.
        duration_s : float
            Length of the exposure.
        rng : numpy.random.Generator
            Draws everything that varies between exposures.
        dose_s : float
            Beam the spot has had before, in seconds of the full beam.
        events : sequence of (float, float)
            Yield events from `Yielding.between`: age in seconds, size in Pa. Only those in the exposure count.

        Raises
        ------
        ValueError
            If the position is off the sample, or `age_s` or `dose_s` is negative.
        """
        if not (age_s >= 0 and dose_s >= 0):
            raise ValueError(f"age_s and dose_s must not be negative, got {age_s} and {dose_s}")
        name = self.regime(x, y)
        directions, origins = self._waves
        slower, further = np.sin(directions @ (x, y) + origins).tolist()
        during = tuple((age - age_s, size) for age, size in events if 0 <= age - age_s < duration_s)
        spot = Spot(
            x=x, y=y, slower=slower, further=further, age_s=age_s, dose_s=dose_s, events=during, rng=rng
        )  # fmt: skip
        return self._layout.recipes[name](spot)


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


def _fading(spot: Spot) -> float:
    """Return the remaining drive that yields blocks, which fades like a stress after shear."""
    return float((1 + spot.age_s / 600) ** -0.3)


PARTICLES: dict[str, Recipe] = {
    "dilute": lambda spot: Crowd(family="dilute", fraction=0.0, diffusion_nm2_s=FREE_NM2_S / spot.tau),
    "crowded": lambda spot: Crowd(
        family="crowded", fraction=0.86 + 0.04 * spot.further, diffusion_nm2_s=FREE_NM2_S / spot.tau,
        waited_s=spot.age_s,
    ),
    "jammed": lambda spot: Crowd(
        family="jammed", fraction=1.15 + 0.05 * spot.further, diffusion_nm2_s=0.25 * FREE_NM2_S, waited_s=spot.age_s
    ),
}  # fmt: skip
BLOCKS: dict[str, Recipe] = {
    "quiet": lambda spot: Blocks(family="quiet", strained_in_s=2000 * spot.tau / _fading(spot)),
    "avalanching": lambda spot: Blocks(family="avalanching", strained_in_s=40 * spot.tau / _fading(spot)),
    "creeping": lambda spot: Blocks(family="creeping", strained_in_s=4 * spot.tau / _fading(spot)),
}
FLOWS: dict[str, Recipe] = {
    "still": lambda spot: FlowField(family="still", diffusion_nm2_s=60 / spot.tau),
    "slipping": lambda spot: FlowField(
        family="slipping", diffusion_nm2_s=30, velocity_nm_s=34 * (1 + 0.15 * spot.further), sticking=0.4
    ),
    "sheared": lambda spot: FlowField(family="sheared", diffusion_nm2_s=30, shear_nm_s=60 * (1 + 0.15 * spot.further)),
    # Like a spot that starts to age when the beam reaches it.
    "recovering": lambda spot: FlowField(
        family="recovering", diffusion_nm2_s=30, shear_nm_s=200, resting_s=12 * spot.tau
    ),
}
SWINGING: dict[str, Recipe] = {
    "swinging": lambda spot: FlowField(
        family="swinging", diffusion_nm2_s=20, swing=(400.0, 0.11 * (1 + 0.2 * spot.further))
    )
}


def grown(rng: np.random.Generator, ordinary: dict[str, Recipe], unknown: dict[str, Recipe]) -> Layout:
    """Twelve grains, one of each unknown regime."""
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
    # A suspension of uneven density: dilute, crowded and jammed.
    "particles": partial(grown, ordinary=PARTICLES, unknown={}),
    # A solid under uneven load: quiet, avalanching and creeping.
    "blocks": partial(grown, ordinary=BLOCKS, unknown={}),
    # A fluid that is still, slips on a wall, is sheared, comes to rest, and oscillates in one grain.
    "flow_field": partial(grown, ordinary=FLOWS, unknown=SWINGING),
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
