"""Fits across azimuth and age, of samples whose motion is known.

Frames are those of scatterers that move: their fields are summed at every pixel of a detector, with the field of
scatterers that stand still, and photons are drawn. g2 is not used.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_xpcs import MultiTau, Partition, fit_ageing, fit_flow, middle_age
from studies._tools import Row

SIDE, INNER, OUTER = 96, 36.0, 44.0  # pixels; with one speckle a pixel q is the distance to the middle, times STEP
STEP = 2 * np.pi / 1000  # 1/nm: positions lie in a box of 1000 nm, round which fields are the same
MODES, SCATTERERS = 4, 48  # a contrast of a quarter; of each mode in each block, whose noise bins do not share
BLOCK = 16  # pixels a side
N_FRAMES = 400
PHOTONS = (0.05, 0.5, 5.0)


def partition(arc: float = 360.0, n_phi: int = 18, keep: float = 1.0) -> Partition:
    """Return sectors of a ring from 0 to `arc` degrees, with a share `keep` of its pixels."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    radius, phi = np.hypot(x, y), np.rad2deg(np.arctan2(y, x)) % 360
    used = (radius >= INNER) & (radius < OUTER) & (phi < arc)
    used &= np.random.default_rng(0).random(used.shape) < keep
    roi = np.where(used, 1 + (phi * n_phi / arc).astype(int), 0)
    q = [radius[roi == k].mean() * STEP for k in range(1, n_phi + 1)]
    return Partition.from_roi_map(roi, q=q, phi=(np.arange(n_phi) + 0.5) * arc / n_phi)


def intensities(
    rng: np.random.Generator,
    *,
    diffusion: Callable[[NDArray], NDArray] | float = 0.0,
    velocity: float = 0.0,
    direction: float = 0.0,
    static: float = 0.0,
) -> NDArray[np.float32]:
    """Draw frames of mean one, (N_FRAMES, SIDE, SIDE).

    `diffusion` is in nm² a frame (or of the frame's number), `velocity` in nm a frame; `static` is the part of the
    intensity that stands still. Blocks far from the ring stay dark.
    """
    n = SIDE // BLOCK
    k = (np.arange(SIDE).reshape(n, BLOCK) - (SIDE - 1) / 2).astype(np.float32) * np.float32(STEP)
    ky, kx = (x.ravel() for x in np.indices((n, n)))
    corner = np.hypot(np.abs(k[ky]).max(1), np.abs(k[kx]).max(1)) / STEP  # the pixel of a block that is furthest out
    near = np.hypot(np.abs(k[ky]).min(1), np.abs(k[kx]).min(1)) / STEP
    seen_blocks = np.flatnonzero((corner >= INNER) & (near < OUTER))
    ky, kx = ky[seen_blocks], kx[seen_blocks]
    along = np.array([np.cos(np.deg2rad(direction)), np.sin(np.deg2rad(direction))])[:, None, None, None]
    shape = (2, len(kx), MODES, SCATTERERS)

    def field(x: NDArray) -> NDArray:  # (n_block, MODES, BLOCK, BLOCK)
        px, py = (k[j][:, None, :, None] * (x[i] % 1000).astype(np.float32)[:, :, None] for i, j in ((0, kx), (1, ky)))
        ex, ey = np.cos(px) + 1j * np.sin(px), np.cos(py) + 1j * np.sin(py)
        return ey @ ex.transpose(0, 1, 3, 2) / np.float32(np.sqrt(SCATTERERS))

    at = rng.uniform(0, 1000, shape)
    reference = field(rng.uniform(0, 1000, shape)) * np.float32(np.sqrt(static))
    moving = field(at)
    out = np.zeros((N_FRAMES, n, BLOCK, n, BLOCK), np.float32)
    for t in range(N_FRAMES):
        intensity = (np.abs(np.float32(np.sqrt(1 - static)) * moving + reference) ** 2).mean(1)
        out[t].transpose(0, 2, 1, 3)[ky, kx] = intensity
        if not (diffusion or velocity):
            out[:] = out[0]
            break
        sd = np.sqrt(2 * (diffusion(np.array(t)) if callable(diffusion) else diffusion))
        at = at + along * velocity + rng.standard_normal(shape) * sd
        moving = field(at)
    return out.reshape(N_FRAMES, SIDE, SIDE)


def across(one: Any, where: Partition) -> Any:
    """Fit across azimuth, without lags of more than half of the run."""
    use = one.lag < N_FRAMES / 2
    weight = one.part_weight * where.n_pixels[one.part_roi]
    return fit_flow(
        one.lag[use],
        (one.value - one.bias)[:, use],
        where.phi,
        where.q,
        parts=(one.parts - one.bias[one.part_roi])[:, use],
        part_roi=one.part_roi,
        part_weight=weight,
        phi_width=np.diff(where.phi).mean(),
        q_width=(OUTER - INNER) * STEP,
    )


def by_age(one: Any, table: Any) -> Any:
    """Fit ageing."""
    middle = middle_age(table.edges, table.lag)
    return fit_ageing(
        table.lag, middle, table.value, parts=table.parts, part_roi=one.part_roi, part_weight=one.part_weight
    )


def _diffusion(tau: float) -> float:
    """Return the diffusion with which the field at the ring's mean q decorrelates in tau frames."""
    return 1 / (tau * (40 * STEP) ** 2)


STILL: dict[str, dict[str, Any]] = {
    "diffusion": {"diffusion": _diffusion(50)},
    "quick diffusion": {"diffusion": _diffusion(4)},
    "slow diffusion": {"diffusion": _diffusion(1000)},
    "static": {"static": 1.0},
    "plateau": {"diffusion": _diffusion(40), "static": 0.4},
    "ageing": {"diffusion": lambda t: _diffusion(30) / ((t + 1) / 100)},
    "flat": {},
}


def flows(n: int) -> Iterator[Row]:
    """Fit uniform flow against a static reference: velocity, direction, and whether their errors are right."""
    for name, arc, n_phi, keep in (
        ("18 bins", 360.0, 18, 1.0),
        ("18 small bins", 360.0, 18, 0.5),
        ("quarter", 90.0, 9, 1.0),
    ):
        where, found = partition(arc, n_phi, keep), []
        for seed in range(n):
            rng = np.random.default_rng([seed, n_phi])
            turn, direction = rng.uniform(4, 12), rng.uniform(0, 180)  # radians within tau
            velocity, tau = turn / 50 / (40 * STEP), 50.0
            moves = {"diffusion": _diffusion(tau), "velocity": velocity, "direction": direction}
            movie = intensities(rng, **moves, static=rng.uniform(0.3, 0.6))
            found += [fitted(rng.poisson(movie * photons), where, photons, velocity, direction) for photons in PHOTONS]
        yield from summary(f"flow, {name}, {where.n_pixels.mean():.0f} px", found)


def without(n: int) -> Iterator[Row]:
    """Fit runs without flow or anisotropy: how often one is claimed, and the exponent of ageing."""
    where = partition()
    for name, sample in STILL.items():
        found = []
        for seed in range(n):
            rng = np.random.default_rng([seed, len(name)])
            movie = np.ones((N_FRAMES, SIDE, SIDE), np.float32) if name == "flat" else intensities(rng, **sample)
            found += [fitted(rng.poisson(movie * photons), where, photons) for photons in PHOTONS]
        yield from summary(f"no flow: {name}", found)


def fitted(
    counts: NDArray, where: Partition, photons: float, velocity: float = np.nan, direction: float = np.nan
) -> Row:
    """Return the claim about the flow in a run, with its errors."""
    multi_tau = MultiTau(where)
    multi_tau.push(counts)
    one = multi_tau.result()
    fit = across(one, where)
    off = (fit.flow_direction - direction + 90) % 180 - 90
    return {
        "photons": photons,
        "claimed": fit.kind != "none" if np.isnan(velocity) else np.isfinite(fit.velocity),
        "velocity": fit.velocity / velocity - 1,
        "direction": off,
        "z": abs((fit.velocity - velocity) / fit.velocity_err),
        "z of direction": abs(off / fit.flow_direction_err),
        "ageing": by_age(one, multi_tau.by_age()).ageing_exponent,
    }


def summary(what: str, found: list[Row]) -> Iterator[Row]:
    """Yield a row for each number of photons."""
    for photons, some in pd.DataFrame(found).groupby("photons"):
        z = pd.concat([some["z"], some["z of direction"]]).dropna()
        yield {
            "what": what,
            "photons": photons,
            "runs": len(some),
            "claimed": some["claimed"].mean(),
            "velocity off, mean": some["velocity"].mean(),
            "sd": some["velocity"].std(ddof=0),
            "direction off (degrees, rms)": np.sqrt(np.square(some["direction"]).mean()),
            "|z|<1": z.lt(1).mean(),
            "|z|<2": z.lt(2).mean(),
            "ageing claimed": some["ageing"].notna().mean(),
            "its exponent": some["ageing"].mean(),
        }
