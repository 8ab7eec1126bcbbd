"""Hidden samples on a unit square, and strategies that explore them.

Nine generators draw regions of the kinds that the explorer's prior holds, and six draw others. A regime is a mean in a
latent space of `DIMENSIONS`; an exposure adds noise, and on some samples every regime drifts along its own direction
with the logarithm of the age. On every second sample the rarest regime is one that the bank does not hold: its
exposures have small p-values. The luck of the n-th exposure is the same at any position, so every strategy meets the
same luck. Strategies begin at the same position, and use only their own exposures, or nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.stats import qmc

from studies._tools import Row
from tests.explorer import Explorer, Labeler

RESOLUTION = 200  # pixels across the square
DIMENSIONS = 12
EXPOSURES = 80  # at most, on one sample
MISSED = 100  # the count of a regime that was not seen within these
NOISE = {"low": 0.35, "medium": 0.6, "high": 0.85}  # standard deviation of a component; regimes scatter by 1.3
DRIFT = 1.0  # length of the drift in one decade of age, in units of the pair distance that noise makes
RAREST = (0.01, 0.10)  # share of the area of the rarest regime: log-uniform, as near as TRIES draws come
TRIES = 8
WIDTH_MM = 10.0
SMALLEST = 0.08  # stated radius of the smallest region of interest, of the width
RHO = 2.0  # travel time across the square, in exposures
EXPOSURE_S = 60.0
SCRAMBLES = 16  # of Sobol's sequence
OURS = "ours"
SHAPE, ALPHA = 0.2, 0.05  # p-values of a regime outside the bank are distributed as u^(1 / SHAPE); level of a verdict

_centres = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
_X, _Y = np.meshgrid(_centres, _centres)  # [row, column], rows along y
Regions = NDArray[np.int64]
Positions = NDArray[np.float64]  # (n, 2) on the square
Generator = Callable[[np.random.Generator], Regions]


@dataclass(frozen=True)
class HiddenMap:
    """One sample.

    Attributes
    ----------
    kind, noise : str
        Generator, and the key of `NOISE`.
    regions : ndarray of int, shape (RESOLUTION, RESOLUTION)
        Regime of each pixel, 0 … n_regimes - 1.
    start : ndarray, shape (2,)
        Position of the stage.
    """

    kind: str
    noise: str
    regions: Regions
    start: NDArray[np.float64]
    mean: NDArray[np.float64]  # (n_regimes, DIMENSIONS)
    drift: NDArray[np.float64]  # (n_regimes, DIMENSIONS), of one decade of age
    scatter: NDArray[np.float64]  # (EXPOSURES, DIMENSIONS)
    luck: NDArray[np.float64]  # (EXPOSURES,), uniform: p-values of regimes that the bank holds
    unknown: int | None  # the regime that the bank does not hold

    @property
    def n_regimes(self) -> int:
        """Number of regimes."""
        return len(self.mean)

    def regime(self, position: Positions) -> NDArray[np.int64]:
        """Return the regime at each position, (n, 2) to (n,)."""
        column, row = np.clip((position * RESOLUTION).astype(int), 0, RESOLUTION - 1).T
        return self.regions[row, column]

    def expose(self, position: Positions, first: int = 0) -> list[Row]:
        """Return exposures at (n, 2) as points for an explorer; the first is number `first`, a minute after shear."""
        k, number = self.regime(position), np.arange(first, first + len(position))
        seen = self.mean[k] + self.drift[k] * np.log10(1 + number)[:, None] + self.scatter[number]
        p = np.where(k == self.unknown, self.luck[number] ** (1 / SHAPE), self.luck[number])
        return [
            place(here) | {"embedding": z, "novelty_p": x}
            for here, z, x in zip(position, seen.astype(np.float32), p.tolist(), strict=True)
        ]


def large(regions: Regions) -> NDArray[np.int64]:
    """Return the regimes with at least the area of a disc of the radius `SMALLEST`."""
    return np.flatnonzero(np.bincount(regions.ravel()) / regions.size >= np.pi * SMALLEST**2)


def place(position: NDArray[np.float64]) -> Row:
    """Return the positions of the motors at (2,)."""
    return {"sample_x": WIDTH_MM * position[0], "sample_y": WIDTH_MM * position[1]}


def hidden_map(i: int, seed: int, others: bool = False) -> HiddenMap:
    """Return sample `i`: generators, noise levels and drift (one in three) in turns, everything else by `seed`.

    The generators are those of the prior's kinds, or the `others`.
    """
    generators = OTHERS if others else GENERATORS
    return _sample(i // len(generators), *_drawn(i, seed, generators))


def _drawn(i: int, seed: int, generators: Mapping[str, Generator]) -> tuple[str, Regions, np.random.Generator]:
    rng = np.random.default_rng([seed, i])
    kind, draw = list(generators.items())[i % len(generators)]
    wanted, drawn = np.exp(rng.uniform(*np.log(RAREST))), []
    while len(drawn) < TRIES:
        regions = np.unique(draw(rng), return_inverse=True)[1].reshape(RESOLUTION, RESOLUTION)
        share = np.bincount(regions.ravel()) / regions.size
        if len(share) > 1 and RAREST[0] <= share.min() <= RAREST[1]:
            drawn.append((abs(np.log(share.min() / wanted)), regions))
    return kind, min(drawn, key=lambda x: x[0])[1], rng


def _sample(turn: int, kind: str, regions: Regions, rng: np.random.Generator) -> HiddenMap:
    n, noise = int(regions.max()) + 1, list(NOISE)[turn % len(NOISE)]
    direction = rng.normal(size=(n, DIMENSIONS))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    drifts = turn // len(NOISE) % 3 == 2
    return HiddenMap(
        kind,
        noise,
        regions,
        start=rng.uniform(0.02, 0.98, 2),
        mean=rng.normal(0, 1.3, (n, DIMENSIONS)),
        drift=direction * (DRIFT * np.sqrt(2 * DIMENSIONS) * NOISE[noise] if drifts else 0.0),
        scatter=rng.normal(0, NOISE[noise], (EXPOSURES, DIMENSIONS)),
        luck=rng.random(EXPOSURES),
        unknown=int(np.bincount(regions.ravel()).argmin()) if turn % 2 else None,
    )


def _outline(rng: np.random.Generator, centre: NDArray, radius: float, rough: float = 0.0) -> NDArray[np.bool_]:
    """Return a disc, or a blob whose radius varies by `rough`."""
    dx, dy = _X - centre[0], _Y - centre[1]
    angle, r = np.arctan2(dy, dx), np.full_like(_X, radius)
    for m in range(2, 5):
        r *= 1 + rough * rng.uniform(-1, 1) * np.cos(m * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(dx, dy) < r


def _discs(rng: np.random.Generator) -> Regions:
    """Isolated round inclusions, each its own regime, inside the window."""
    regions, placed = np.zeros(_X.shape, dtype=np.int64), []
    for k in range(1, rng.integers(2, 6)):
        for _ in range(50):
            r = np.exp(rng.uniform(np.log(0.06), np.log(0.2)))
            c = rng.uniform(r, 1 - r, 2)
            if all(np.hypot(*(c - other)) > r + s for other, s in placed):
                placed.append((c, r))
                regions[_outline(rng, c, r)] = k
                break
    return regions


def _blobs(rng: np.random.Generator) -> Regions:
    """Irregular inclusions anywhere: they may overlap each other and the border."""
    regions = np.zeros(_X.shape, dtype=np.int64)
    for k in range(1, rng.integers(2, 5)):
        for _ in range(rng.integers(1, 3)):
            regions[_outline(rng, rng.random(2), np.exp(rng.uniform(np.log(0.06), np.log(0.2))), 0.35)] = k
    return regions


def _voronoi(rng: np.random.Generator) -> Regions:
    """Grains, some of them of the same regime."""
    seeds = rng.random((rng.integers(5, 10), 2))
    regime = rng.integers(0, rng.integers(3, 6), len(seeds))
    return regime[np.argmin([np.hypot(_X - x, _Y - y) for x, y in seeds], axis=0)]


def _layers(rng: np.random.Generator) -> Regions:
    """Shear bands in a random direction, with wavy boundaries."""
    angle = rng.uniform(0, np.pi)
    along, across = _X * np.cos(angle) + _Y * np.sin(angle), _Y * np.cos(angle) - _X * np.sin(angle)
    along = along + rng.uniform(0, 0.03) * np.sin(2 * np.pi * (rng.uniform(1, 3) * across + rng.random()))
    n = rng.integers(3, 6)
    edges = along.min() + np.ptp(along) * np.cumsum(rng.dirichlet(np.full(n, 1.5)))[:-1]
    return rng.permutation(n)[np.searchsorted(edges, along)]


def _field(rng: np.random.Generator) -> Regions:
    """Level sets of a smooth random field."""
    padded = gaussian_filter(rng.normal(size=(2 * RESOLUTION, 2 * RESOLUTION)), RESOLUTION * rng.uniform(0.06, 0.14))
    field = padded[RESOLUTION // 2 :, RESOLUTION // 2 :][:RESOLUTION, :RESOLUTION]
    shares = np.sort(rng.dirichlet(np.full(rng.integers(2, 5), 1.5)))[::-1]
    return np.searchsorted(np.quantile(field, np.cumsum(shares)[:-1]), field)


def _shells(rng: np.random.Generator) -> Regions:
    """Inclusions with a rim of another regime."""
    regions = np.zeros(_X.shape, dtype=np.int64)
    for k in range(rng.integers(1, 3)):
        r, rim = rng.uniform(0.12, 0.25), rng.uniform(0.4, 0.75)
        centre = rng.uniform(r, 1 - r, 2)
        regions[_outline(rng, centre, r, 0.15)] = 2 * k + 1
        regions[_outline(rng, centre, rim * r, 0.15)] = 2 * k + 2
    return regions


def _borders(rng: np.random.Generator) -> Regions:
    """Regions that touch the border: corners and strips along an edge."""
    regions = np.zeros(_X.shape, dtype=np.int64)
    for k in range(1, rng.integers(2, 5)):
        x, y = (_X, _Y) if rng.random() < 0.5 else (_Y, _X)
        x = x if rng.random() < 0.5 else 1 - x
        if rng.random() < 0.5:
            regions[x + y * rng.uniform(0.5, 2) < rng.uniform(0.15, 0.45)] = k
        else:
            regions[x < rng.uniform(0.03, 0.12)] = k
    return regions


def _cracks(rng: np.random.Generator) -> Regions:
    """Long thin regions, and an inclusion."""
    regions = np.zeros(_X.shape, dtype=np.int64)
    for k in range(1, rng.integers(2, 4)):
        angle, centre, wide = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2), rng.uniform(0.03, 0.08)
        along = (_X - centre[0]) * np.cos(angle) + (_Y - centre[1]) * np.sin(angle)
        across = (_Y - centre[1]) * np.cos(angle) - (_X - centre[0]) * np.sin(angle)
        bent = across + rng.uniform(-0.3, 0.3) * along**2
        regions[(np.abs(bent) < wide / 2) & (np.abs(along) < rng.uniform(0.15, 0.5))] = k
    regions[_outline(rng, rng.uniform(0.1, 0.9, 2), rng.uniform(0.06, 0.15), 0.2)] = k + 1
    return regions


def _domains(rng: np.random.Generator) -> Regions:
    """Two large domains, and inclusions in them and on their boundary."""
    angle = rng.uniform(0, 2 * np.pi)
    along = (_X - 0.5) * np.cos(angle) + (_Y - 0.5) * np.sin(angle)
    across = (_Y - 0.5) * np.cos(angle) - (_X - 0.5) * np.sin(angle)
    regions = (along > rng.uniform(-0.25, 0.25) + 0.08 * np.sin(4 * across + rng.uniform(0, 6))).astype(np.int64)
    for k in range(2, rng.integers(3, 6)):
        regions[_outline(rng, rng.uniform(0.08, 0.92, 2), np.exp(rng.uniform(np.log(0.06), np.log(0.18))), 0.2)] = k
    return regions


def _filaments(rng: np.random.Generator) -> Regions:
    """Threads across the whole sample, thinner than the smallest feature."""
    regions = np.zeros(_X.shape, dtype=np.int64)
    for k in range(1, rng.integers(2, 5)):
        angle, at, wide = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2), rng.uniform(0.02, 0.06)
        along = (_X - at[0]) * np.cos(angle) + (_Y - at[1]) * np.sin(angle)
        across = (_Y - at[1]) * np.cos(angle) - (_X - at[0]) * np.sin(angle)
        wave = rng.uniform(0, 0.1) * np.sin(2 * np.pi * (rng.uniform(0.5, 2) * along + rng.random()))
        regions[np.abs(across - wave) < wide / 2] = k
    return regions


def _rind(rng: np.random.Generator) -> Regions:
    """One large body with a rind, and a core that may lie beside its middle."""
    centre, radius = rng.uniform(0.4, 0.6, 2), rng.uniform(0.3, 0.45)
    body = _outline(rng, centre, radius, 0.1)
    regions = body.astype(np.int64)
    regions[body & _outline(rng, centre, radius * rng.uniform(0.75, 0.93), 0.1)] = 2
    regions[_outline(rng, centre + rng.uniform(-0.12, 0.12, 2), rng.uniform(0.06, 0.15), 0.2)] = 3
    return regions


def _interphase(rng: np.random.Generator) -> Regions:
    """Two phases, and a thin layer of a third between them."""
    field = gaussian_filter(rng.normal(size=(2 * RESOLUTION, 2 * RESOLUTION)), RESOLUTION * rng.uniform(0.1, 0.2))
    field = field[RESOLUTION // 2 :, RESOLUTION // 2 :][:RESOLUTION, :RESOLUTION]
    first = field < np.quantile(field, rng.uniform(0.3, 0.7))
    apart = distance_transform_edt(first) + distance_transform_edt(~first)
    return np.where(apart < rng.uniform(0.01, 0.04) * RESOLUTION, 2, first)


def _islands(rng: np.random.Generator) -> Regions:
    """Layers with islands in them."""
    regions = _layers(rng)
    for k in range(int(regions.max()) + 1, int(regions.max()) + rng.integers(2, 4)):
        regions[_outline(rng, rng.uniform(0.05, 0.95, 2), np.exp(rng.uniform(np.log(0.05), np.log(0.12))), 0.2)] = k
    return regions


def _gradient(rng: np.random.Generator) -> Regions:
    """A gradient of composition in steps, those near one end thinner, with a rough front."""
    angle, n = rng.uniform(0, 2 * np.pi), rng.integers(4, 7)
    rough = gaussian_filter(rng.normal(size=_X.shape), 0.04 * RESOLUTION, mode="nearest")
    along = (_X - 0.5) * np.cos(angle) + (_Y - 0.5) * np.sin(angle) + 0.03 * rough / rough.std()
    widths = np.geomspace(1, rng.uniform(0.1, 0.5), n)
    return np.searchsorted(along.min() + np.ptp(along) * np.cumsum(widths / widths.sum())[:-1], along)


def _fractal(rng: np.random.Generator) -> Regions:
    """Level sets of a field whose spectrum is a power law: their borders are rough on every scale."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(2 * RESOLUTION), np.fft.fftfreq(2 * RESOLUTION)))
    f[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.normal(size=f.shape)) * f ** -rng.uniform(1.5, 2.0)
    field = np.fft.ifft2(spectrum).real[:RESOLUTION, :RESOLUTION]
    shares = np.sort(rng.dirichlet(np.full(rng.integers(2, 5), 1.5)))[::-1]
    return np.searchsorted(np.quantile(field, np.cumsum(shares)[:-1]), field)


GENERATORS: dict[str, Generator] = {
    "discs": _discs,
    "blobs": _blobs,
    "grains": _voronoi,
    "layers": _layers,
    "field": _field,
    "shells": _shells,
    "borders": _borders,
    "cracks": _cracks,
    "domains": _domains,
}
# Kinds that the prior does not hold.
OTHERS: dict[str, Generator] = {
    "filaments": _filaments,
    "rind and core": _rind,
    "thin interphase": _interphase,
    "islands in layers": _islands,
    "gradient": _gradient,
    "fractal borders": _fractal,
}


def explorer(labeler: Labeler, **options: Any) -> Explorer:
    """Return an explorer of the square that knows the speed of the stage and the length of an exposure."""
    return Explorer(
        {"sample_x": (0.0, WIDTH_MM), "sample_y": (0.0, WIDTH_MM)},
        labeler=labeler,
        travel_time=lambda a, b: np.linalg.norm(b - a, axis=1) / WIDTH_MM * RHO * EXPOSURE_S,
        exposure_s=EXPOSURE_S,
        smallest_feature=SMALLEST * WIDTH_MM,
        **options,
    )


def suggested(known: Explorer, start: NDArray[np.float64], measure: Callable[[Any], Row]) -> Iterator[Positions]:
    """Yield `start` and the positions that an explorer suggests, each after the explorer has its measured point."""
    here = start
    for _ in range(EXPOSURES):
        known.ingest([measure(here)])
        yield here
        (suggestion,) = known.suggest()
        known.waiting.clear()
        here = np.array([suggestion["sample_x"], suggestion["sample_y"]]) / WIDTH_MM


def sequences(start: NDArray[np.float64]) -> list[Positions]:
    """Return the positions of `SCRAMBLES` of Sobol's sequence, the start first."""
    points = [qmc.Sobol(2, seed=seed).random_base2(7) for seed in range(SCRAMBLES)]
    return [np.vstack([start, after])[:EXPOSURES] for after in points]


def r2(start: NDArray[np.float64]) -> list[Positions]:
    """Return the positions of `SCRAMBLES` of the R2 sequence, each shifted at random, the start first.

    Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018: steps of 1 / g and 1 / g^2, g^3 = g + 1.
    """
    step = 1 / np.array([1.324717957244746, 1.324717957244746**2])
    shifts = np.random.default_rng(0).random((SCRAMBLES, 2))
    return [np.vstack([start, (shift + np.arange(1, EXPOSURES)[:, None] * step) % 1]) for shift in shifts]
