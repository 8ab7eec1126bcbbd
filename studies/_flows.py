"""Fits of samples that flow in a gap, drawn by no code of `ainerd_xpcs.dynamics`.

The sample has thin layers. Each moves at its own velocity along one direction, and all lose their memory in the same
time; a part may stay at rest. A pixel sees the sum of the layers, a complex Gaussian field.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from ainerd_xpcs import MultiTau, Partition, fit_flow
from ainerd_xpcs.numerics import FlowFit
from studies._tools import Row

N_FRAMES, FRAME_S, Q = 256, 0.1, 0.024
N_ROI, N_PIXELS, MODES, PHOTONS = 18, 570, 5, 0.5
FINE = 15  # azimuths within a bin
GAP = (np.arange(200) + 0.5) / 200
# velocity over the height in the gap, in that of the fastest layer
PROFILES = {
    "uniform": np.ones_like(GAP),
    "linear": GAP,
    "banded": np.where(GAP < 0.3, 3 * GAP, 0.9 + (GAP - 0.3) / 7),  # 90 % of the shear in 30 % of the gap
    "Poiseuille": 4 * GAP * (1 - GAP),
    "two bands": np.where(GAP < 0.5, 0.35, 1.0),
}


@dataclass(frozen=True)
class Flow:
    """A flow: turns of the fastest phase and tau in exposures, share at rest, second harmonic, direction, width in q.

    `velocities` are those of the layers, in that of the fastest.
    """

    velocities: NDArray[np.float64]
    turns: float
    tau: float
    along: float
    rest: float = 0.0
    harmonic: float = 0.0
    q_spread: float = 0.0

    def g1(self, lag: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complex128]:
        """Return the field correlation at lags in exposures; `q` is relative to that of the ring."""
        away = np.deg2rad(phi - self.along)
        turned = np.exp(2j * np.pi * self.turns * q * np.cos(away) * np.outer(lag, self.velocities)).mean(1)
        tau = self.tau * np.exp(-self.harmonic * np.cos(2 * away))
        return np.asarray(self.rest + (1 - self.rest) * np.exp(-lag / tau) * turned)


def drawn(kind: str, rng: np.random.Generator) -> Flow:
    """Draw a flow of a kind."""
    profile = kind.split(",")[0]
    tau, along = float(np.exp(rng.uniform(*np.log([0.2, 3])))), rng.uniform(0, 180)
    if profile == "anisotropy":
        return Flow(PROFILES["uniform"], 0.0, tau, along, harmonic=rng.uniform(0.1, 0.5))
    at_rest = rng.uniform(0.12, 0.85) if profile == "uniform" else 0.3 if kind.endswith("at rest") else 0.0
    return Flow(
        PROFILES[profile], rng.uniform(2, 10), tau, along, at_rest, q_spread=0.1 if kind.endswith("10 %") else 0.0
    )


def counts(flow: Flow, phi: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return counts (frames, bins, pixels)."""
    out, lag, roots = np.empty((N_FRAMES, len(phi), N_PIXELS)), np.arange(N_FRAMES) / N_FRAMES, {}
    within = 360 / len(phi) * ((np.arange(FINE) + 0.5) / FINE - 0.5)
    rings = 1 + flow.q_spread * (np.arange(4) - 1.5) / 2 if flow.q_spread else np.ones(1)
    for j, bin_phi in enumerate(phi):
        cells = [((bin_phi + off) % 180, q) for off in within for q in rings]
        for cell, pixels in zip(cells, np.array_split(np.arange(N_PIXELS), len(cells)), strict=True):
            if cell not in roots:
                column = flow.g1(lag, *cell)
                covariance = toeplitz(column, column.conj()) + 1e-6 * np.eye(N_FRAMES)
                roots[cell] = np.linalg.cholesky(covariance).astype(np.complex64)
            real, imaginary = rng.standard_normal((2, N_FRAMES, pixels.size * MODES), dtype=np.float32)
            field = np.abs(roots[cell] @ (real + 1j * imaginary)) ** 2 / 2
            out[:, j, pixels] = field.reshape(N_FRAMES, pixels.size, MODES).mean(2)
    return rng.poisson(PHOTONS * out).astype(np.uint16)


def fitted(flow: Flow, rng: np.random.Generator) -> FlowFit:
    """Return the fit of a ring."""
    phi = (np.arange(N_ROI) + 0.5) * 360 / N_ROI
    roi = np.repeat(np.arange(1, N_ROI + 1), N_PIXELS).reshape(N_ROI, N_PIXELS)
    correlator = MultiTau(Partition.from_roi_map(roi, np.full(N_ROI, Q), phi))
    correlator.push(counts(flow, phi, rng))
    g2 = correlator.result()
    use = g2.lag < N_FRAMES / 2
    values, parts = (g2.value - g2.bias)[:, use], (g2.parts - g2.bias[g2.part_roi])[:, use]
    of_parts = {"parts": parts, "part_roi": g2.part_roi, "part_weight": g2.part_weight}
    tau = g2.lag[use] * FRAME_S
    apart = np.diff(tau, append=2 * tau[-1:] - tau[-2:-1])  # as long as the means of frames that lags are of
    apart = np.sqrt(np.maximum(apart**2 - FRAME_S**2, 0))  # a frame here is at one moment
    widths = {"phi_width": 360 / N_ROI, "q_spread": flow.q_spread, "tau_width": apart}
    return fit_flow(tau, values, phi, Q, **widths, **of_parts)


RIGHT = {"uniform": "velocity", "uniform, q ± 10 %": "velocity", "linear": "spread", "anisotropy": "anisotropy"}
WRONG = ("banded", "Poiseuille", "two bands", "two bands, past a part at rest")


def of_flows(n_runs: int) -> Iterator[Row]:
    """Yield a row for each kind of flow: how many runs get which number, and the pulls of the right one.

    A number is false if the model is wrong, and of two bands, which look like a flow past a part at rest, if it is not
    the difference of their velocities. A spread that is right within four errors is not false.
    """
    for kind in (*RIGHT, *WRONG):
        flows, fits = [], []
        for seed in range(n_runs):
            rng = np.random.default_rng([seed, *kind.encode()])
            flows.append(drawn(kind, rng))
            fits.append(fitted(flows[-1], rng))
        size = np.array([2 * np.pi * flow.turns / (N_FRAMES * FRAME_S * Q) for flow in flows])
        layers = [np.r_[flow.velocities, 0.0] if flow.rest else flow.velocities for flow in flows]
        truth = {
            "velocity": size * [np.ptp(each) for each in layers],
            "velocity_spread": size * [flow.velocities.std() for flow in flows],
            "anisotropy": np.array([flow.harmonic for flow in flows]),
        }
        pulls = {name: np.array([getattr(fit, name) for fit in fits]) - true for name, true in truth.items()}
        pulls = {name: off / [getattr(fit, f"{name}_err") for fit in fits] for name, off in pulls.items()}
        given = {name: np.isfinite(off) for name, off in pulls.items()}
        far = {name: given[name] & (np.abs(off) > 4) for name, off in pulls.items()}
        own = {"velocity": "velocity", "spread": "velocity_spread", "anisotropy": "anisotropy"}.get(RIGHT.get(kind, ""))
        one_velocity = own == "velocity" or kind == "two bands"
        false = (far["velocity"] if one_velocity else given["velocity"]) | far["velocity_spread"]
        unknown = np.array([fit.kind == "unknown" for fit in fits])
        directed = [
            ((fit.flow_direction - flow.along + 90) % 180 - 90) / fit.flow_direction_err
            for fit, flow in zip(fits, flows, strict=True)
        ]
        pull = pulls[own or "velocity"] if own or one_velocity else np.empty(0)
        yield {
            "flow": kind, "runs": n_runs, **{name: is_given.sum() for name, is_given in given.items()},
            "unknown": unknown.sum(), "false": false.sum(), "misfit": np.mean(unknown) if own else np.nan,
            "mean": _over(np.mean, pull), "sd": _over(np.std, pull), "direction sd": _over(np.std, np.array(directed)),
        }  # fmt: skip


def _over(statistic: Callable[..., float], values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(statistic(known)) if known.size else np.nan
