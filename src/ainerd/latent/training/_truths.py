"""Noise-free maps with what is known of them: what the learned encoder is trained towards.

Two thirds are of the families in `ainerd.dynamics.KNOWN`. The rest combines their mechanisms in wider ranges, so that
the encoder learns mechanisms rather than families. What makes a held-out family is never combined: no echo, no rate
that dies out, no two velocities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import KNOWN, Dynamics, clean_exposure, clock, draw, rate_factor, reduced_g1_squared
from ainerd.latent._grid import SIZE, to_triangle

PARAMETERS = ("log_tau", "exponent", "ageing", "fringe", "plateau", "jumps", "share", "static")
_COMPOSED_SHARE = 1 / 3


@dataclass(frozen=True)
class Truths:
    """Maps |g1|² and what is known of each.

    `triangles` are (n, 2080); `family` (n,) is the place in `KNOWN`, -1 for combinations; `parameters` (n, 8) are those
    of the function `parameters`, NaN where the map does not tell.
    """

    triangles: NDArray[np.float16]
    family: NDArray[np.int64]
    parameters: NDArray[np.float32]

    @classmethod
    def drawn(cls, n: int, rng: np.random.Generator, told: Callable[[int], None] = lambda done: None) -> "Truths":
        """Draw n maps, each at an azimuth of its own; `told` how many are done."""
        triangles, family, known = np.empty((n, 2080), np.float16), np.empty(n, np.int64), np.empty((n, 8), np.float32)
        for i in range(n):
            family[i] = -1 if rng.random() < _COMPOSED_SHARE else rng.integers(len(KNOWN))
            dynamics = composed(rng) if family[i] < 0 else draw(KNOWN[family[i]], rng, 1.0)
            phi = rng.uniform(0, 180)
            # Half as bins of 20 degrees see them, half as bins too narrow to wash fringes out.
            shape = clean_exposure(dynamics, [phi]) if i % 2 == 0 else reduced_g1_squared(dynamics, 1.0, SIZE, [phi])
            triangles[i] = to_triangle(shape.astype(np.float32))[0]
            known[i] = parameters(dynamics, phi)
            if dynamics.static and dynamics.flow_rad_s and known[i, 3] < np.log1p(1.0):
                family[i] = -1  # flow seen from across shows no fringes
            told(i + 1)
        return cls(triangles, family, known)


def composed(rng: np.random.Generator) -> Dynamics:
    """Mechanisms of the known families in combination; times in units of the exposure."""

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    tau = log_uniform(0.006, 20)
    fields: dict[str, Any] = {"exponent": rng.uniform(0.5, 2.0)}
    clockwork = rng.choice(["steady", "ageing", "rejuvenating", "beam"], p=[0.55, 0.2, 0.1, 0.15])
    if clockwork in ("ageing", "rejuvenating"):
        tau = log_uniform(0.008, 0.3)
        fields |= {
            "exponent": rng.uniform(0.5, 1.6),
            "ageing": rng.uniform(0.2, 2.0),
            "ageing_onset_s": log_uniform(0.05, 0.2),
            "age_s": rng.uniform(0, 1),
        }
    if clockwork == "rejuvenating":
        fields["rejuvenation"] = tuple(float(t) for t in np.sort(rng.uniform(0.1, 0.9, rng.integers(1, 4))))
    if clockwork == "beam":
        tau = log_uniform(0.05, 3)
        fields |= {"beam_speedup": log_uniform(1, 20), "dose_s": rng.uniform(0, 0.4)}
    if rng.random() < 0.25:
        fields["plateau"] = rng.uniform(0.15, 0.9)
    if rng.random() < 0.2:
        times = np.sort(rng.uniform(0.05, 0.95, rng.integers(1, 6)))
        fields["events"] = tuple((float(t), log_uniform(0.2, 3)) for t in times)
    flow: dict[str, Any] = {}
    if rng.random() < 0.3:
        flow = {"flow_rad_s": 2 * np.pi * log_uniform(1.5, 16), "flow_deg": rng.uniform(0, 180)}
        fields |= flow | {"static": rng.uniform(0.15, 0.8)}
    if rng.random() < 0.2:
        fast = Dynamics(family="fluid", tau_s=log_uniform(0.006, 0.1), exponent=rng.uniform(0.5, 1.5), **flow)
        fields |= {"second": fast, "second_share": rng.uniform(0.15, 0.85)}
        tau = max(tau, log_uniform(4, 80) * fast.tau_s)
    return Dynamics(family="composed", tau_s=tau, **fields)


def parameters(dynamics: Dynamics, phi_deg: float) -> NDArray[np.float32]:
    """What a map should tell of its dynamics, (8,); NaN where it does not.

    ======== ===================================================================================================
    log_tau  minus the log of the mean relaxation rate, without jumps
    exponent of the KWW kernel
    ageing   log of the relaxation rate at the start over that at the end
    fringe   log(1 + turns of the phase in the exposure), zero without fringes
    plateau  part that never relaxes; told where the rest relaxes well within the exposure
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
