"""Simulated exposures of speckle, and faults of a detector.

The light of a pixel is the mean intensity of four complex Gaussian fields with the covariance of the dynamics, in a
ring whose S(q) falls as q⁻¹. Its counts are drawn from a Poisson distribution. A fault changes the counts, or draws
them again from changed light. Frames that are known to be missing are masked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs import Partition
from studies._exposures import Squared, ageing, lags, light, plain

SIDE, FRAMES, MODES, PHOTONS = 112, 400, 4, 0.5
INNER, OUTER, SECTORS, RINGS = 24.0, 52.0, 12, 7
TAU = 0.05  # of the exposure
MIDDLE = FRAMES // 2
Counts = NDArray[np.uint16]


def ring() -> Partition:
    """Return twelve sectors of a ring in seven static rings."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x) % (2 * np.pi)
    of_ring = np.floor((radius - INNER) / (OUTER - INNER) * RINGS).astype(int)
    used = (of_ring >= 0) & (of_ring < RINGS)
    sector = np.minimum((angle / (2 * np.pi) * SECTORS).astype(int), SECTORS - 1)
    phi = (np.arange(SECTORS) + 0.5) * 360 / SECTORS
    roi_map = np.where(used, sector + 1, 0)
    return Partition.from_roi_map(roi_map, np.full(SECTORS, 0.024), phi, static_map=np.where(used, of_ring + 1, 1))


def stop_and_go(tau: float, moves: int, share: float) -> Squared:
    """Relax only while the sample moves: `moves` times, in a `share` of the exposure."""
    fine = np.linspace(0, 1, 20001)
    active = (fine * moves) % 1 < share
    moved = np.r_[0, np.cumsum(active[1:])] * (fine[1] - fine[0])
    return lambda t, phi: np.exp(-2 * np.abs(lags(np.interp(t, fine, moved))) / tau)


KINDS: dict[str, Squared] = {
    "stationary": plain(TAU, 1.0),
    "ageing": ageing(0.02, 1.0, 0.8, 0.1),
    "stop and go": stop_and_go(0.05, 5, 0.4),
}


@dataclass(frozen=True, eq=False)
class Exposure:
    """Light and counts of an exposure without a fault.

    Attributes
    ----------
    light : ndarray, shape (FRAMES, SIDE, SIDE)
        Expected photons.
    counts : ndarray of uint16, shape (FRAMES, SIDE, SIDE)
    """

    light: NDArray[np.float32]
    counts: Counts

    @classmethod
    def drawn(cls, kind: str, seed: int, photons: float = PHOTONS) -> "Exposure":
        """Draw an exposure with so many photons per pixel and frame mid-ring, and contrast 1 / `MODES`."""
        rng = np.random.default_rng([seed, len(kind)])
        y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
        profile = (np.clip(np.hypot(x, y), 10, None) / ((INNER + OUTER) / 2)) ** -1
        expected = light(KINDS[kind], FRAMES, SIDE * SIDE, rng, MODES).reshape(FRAMES, SIDE, SIDE)
        expected *= np.float32(photons) * profile.astype(np.float32)
        return cls(expected, rng.poisson(expected).astype(np.uint16))


Fault = Callable[[Exposure, np.random.Generator], NDArray]  # may change the counts of the exposure
FAULTS: dict[str, Fault] = {"nothing": lambda of, rng: of.counts}


def fault(name: str) -> Callable[[Fault], Fault]:
    """Add a fault to the table."""

    def add(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return add


def copies(share: float) -> Fault:
    """Replace a share of the frames by the one before."""

    def put(of: Exposure, rng: np.random.Generator) -> Counts:
        source = np.arange(FRAMES)
        for t in np.sort(1 + rng.permutation(FRAMES - 1)[: round(share * FRAMES)]):
            source[t] = source[t - 1]
        return of.counts[source]

    return put


for _share in (0.01, 0.02, 0.1):
    FAULTS[f"{_share:.0%} copies"] = copies(_share)
FAULTS["each second frame a copy"] = lambda of, rng: of.counts[np.arange(FRAMES) // 2 * 2]
FAULTS["blocks of 20 come twice"] = lambda of, rng: of.counts[
    [t - 20 if t // 20 in (3, 8, 15) else t for t in range(FRAMES)]
]
FAULTS["last 50 repeated"] = lambda of, rng: np.concatenate([of.counts[: FRAMES - 50], of.counts[-100:-50]])
FAULTS["clipped at 1"] = lambda of, rng: np.minimum(of.counts, 1)
FAULTS["clipped at 3"] = lambda of, rng: np.minimum(of.counts, 3)
FAULTS["wraps at 4"] = lambda of, rng: of.counts % 4
FAULTS["offset of 1"] = lambda of, rng: of.counts + np.uint16(1)
FAULTS["gain of 10"] = lambda of, rng: of.counts * np.uint16(10)
FAULTS["half of the counts"] = lambda of, rng: np.round(of.counts * 0.5).astype(np.uint16)
FAULTS["swapped neighbours"] = lambda of, rng: of.counts[np.arange(FRAMES).reshape(-1, 2)[:, ::-1].ravel()]
FAULTS["blocks of 50 in wrong order"] = lambda of, rng: of.counts[
    np.concatenate([np.arange(50) + 50 * block for block in (0, 2, 1, 3, 4, 6, 5, 7)])
]
FAULTS["step of the beam to half"] = lambda of, rng: rng.binomial(
    of.counts, np.where(np.arange(FRAMES) < MIDDLE, 1, 0.5)[:, None, None]
)


@fault("analogue units")
def _analogue(of: Exposure, rng: np.random.Generator) -> Counts:
    noise = rng.standard_normal(of.counts.shape, np.float32)
    return np.clip(np.round(100 + 12.3 * of.counts + 3 * noise), 0, None).astype(np.uint16)


@fault("module dies in the middle")
def _module_dies(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[MIDDLE:, : SIDE // 2, : SIDE // 2] = 0
    return of.counts


@fault("rows die in the middle")
def _rows_die(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[MIDDLE:, 20:26] = 0
    return of.counts


@fault("rows flicker")
def _rows_flicker(of: Exposure, rng: np.random.Generator) -> Counts:
    factor = np.ones((FRAMES, SIDE, 1))
    factor[:, 20:26] = rng.choice([0.0, 1.0], (FRAMES, 6, 1))
    return rng.poisson(of.light * factor).astype(np.uint16)


@fault("module lags by a frame")
def _lags(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[1:, : SIDE // 2] = of.counts[:-1, : SIDE // 2]
    return of.counts


def pixels(rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """Return a share of the pixels, (SIDE, SIDE)."""
    return rng.random((SIDE, SIDE)) < share


@fault("10 % of the pixels dead")
def _dead_pixels(of: Exposure, rng: np.random.Generator) -> Counts:
    return np.where(pixels(rng, 0.1), np.uint16(0), of.counts)


@fault(".5 % of the pixels hot")
def _hot_pixels(of: Exposure, rng: np.random.Generator) -> Counts:
    return np.where(pixels(rng, 0.005), rng.poisson(20, of.counts.shape), of.counts).astype(np.uint16)


@fault("10 % of the pixels hot")
def _many_hot(of: Exposure, rng: np.random.Generator) -> Counts:
    return np.where(pixels(rng, 0.1), rng.poisson(20, of.counts.shape), of.counts).astype(np.uint16)


@fault("2 % of the pixels flicker")
def _flickering(of: Exposure, rng: np.random.Generator) -> Counts:
    sparks = rng.poisson(10, of.counts.shape) * (rng.random(of.counts.shape) < 0.05)
    return (of.counts + pixels(rng, 0.02) * sparks).astype(np.uint16)


@fault("2 % of the pixels blink")
def _blinking(of: Exposure, rng: np.random.Generator) -> Counts:
    on = np.cumsum(rng.random(of.counts.shape) < 0.02, 0) % 2 == 0
    return np.where(pixels(rng, 0.02) & ~on, 0, of.counts).astype(np.uint16)


@fault("afterglow of 10 %")
def _afterglow(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[1:] += rng.binomial(of.counts[:-1], 0.1).astype(np.uint16)
    return of.counts


@fault("10 % of the frames missing")
def _missing(of: Exposure, rng: np.random.Generator) -> NDArray:
    keep = rng.permutation(FRAMES)[: FRAMES * 9 // 10]
    return np.ma.MaskedArray(of.counts, np.isin(np.arange(FRAMES), keep, invert=True)[:, None, None] | (of.counts < 0))


@fault("10 % of the frames missing, hidden")
def _hidden(of: Exposure, rng: np.random.Generator) -> Counts:
    return of.counts[np.sort(rng.permutation(FRAMES)[: FRAMES * 9 // 10])]


@fault("burst of 40 missing, hidden")
def _burst(of: Exposure, rng: np.random.Generator) -> Counts:
    return np.delete(of.counts, np.arange(MIDDLE, MIDDLE + 40), axis=0)


@fault("10 % of the frames dark")
def _dark(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[rng.permutation(FRAMES)[: FRAMES // 10]] = 0
    return of.counts


@fault("beam dumped in the middle")
def _dump(of: Exposure, rng: np.random.Generator) -> Counts:
    return np.where(np.arange(FRAMES)[:, None, None] < MIDDLE, of.counts, 0).astype(np.uint16)


@fault("flashes")
def _flashes(of: Exposure, rng: np.random.Generator) -> Counts:
    some = rng.permutation(FRAMES)[:4]
    of.counts[some] += rng.poisson(5.0, (4, SIDE, SIDE)).astype(np.uint16)
    return of.counts


@fault("a frame transposed")
def _transposed(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[MIDDLE] = of.counts[MIDDLE].T
    return of.counts


@fault("frames shifted from the middle on")
def _shifted(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[MIDDLE:] = np.roll(of.counts[MIDDLE:], 3, axis=2)
    return of.counts


@fault("four frames of another sample")
def _foreign(of: Exposure, rng: np.random.Generator) -> Counts:
    other = rng.gamma(MODES, 1 / MODES, (4, SIDE, SIDE)) * of.light.mean(0)
    of.counts[rng.permutation(FRAMES)[:4]] = rng.poisson(other)
    return of.counts


@fault("common flicker of 10 %")
def _flicker(of: Exposure, rng: np.random.Generator) -> Counts:
    return rng.poisson(of.light * (1 + 0.1 * rng.standard_normal((FRAMES, 1, 1))).clip(0)).astype(np.uint16)


@fault("two dead columns")
def _columns(of: Exposure, rng: np.random.Generator) -> Counts:
    of.counts[:, :, 30:32] = 0
    return of.counts


@fault("negative counts")
def _negative(of: Exposure, rng: np.random.Generator) -> NDArray:
    return of.counts.astype(np.int32) - (rng.random(of.counts.shape) < 1e-4) * 5


@fault("NaN in a pixel")
def _not_a_number(of: Exposure, rng: np.random.Generator) -> NDArray:
    out = of.counts.astype(np.float32)
    out[MIDDLE:, 20, 56] = np.nan
    return out
