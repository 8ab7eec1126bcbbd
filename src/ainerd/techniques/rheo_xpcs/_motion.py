"""What of a ring's g2 depends on azimuth and age, and what of all rings on q: said only where a test says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs._rings import Ring
from ainerd.xpcs import G2, G2ByAge, Partition, fit_ageing, fit_flow, fit_power, middle_age

# Names of what a `FlowFit` says, as results have them, and units.
FLOW = {
    "velocity": ("velocity_nm_s", "nm/s"),
    "velocity_err": ("velocity_nm_s_err", "nm/s"),
    "velocity_spread": ("velocity_spread_nm_s", "nm/s"),
    "velocity_spread_err": ("velocity_spread_nm_s_err", "nm/s"),
    "flow_direction": ("flow_direction_deg", "degree"),
    "flow_direction_err": ("flow_direction_deg_err", "degree"),
    "flow_p": ("flow_p", "1"),
    "flow_bic": ("flow_bic", "1"),
    "anisotropy": ("anisotropy", "1"),
    "anisotropy_err": ("anisotropy_err", "1"),
    "anisotropy_direction": ("anisotropy_direction_deg", "degree"),
    "anisotropy_direction_err": ("anisotropy_direction_deg_err", "degree"),
    "anisotropy_p": ("anisotropy_p", "1"),
}
AGEING = ("ageing_exponent", "ageing_exponent_err", "ageing_p", "ageing_bic")
UNITS = dict(FLOW.values()) | dict.fromkeys((*AGEING, "q_exponent", "q_exponent_err", "q_exponent_p"), "1")


@dataclass(frozen=True)
class _Part:
    """What a ring has of a g2: its bins, and their parts with the numbers of these bins."""

    bins: NDArray[np.int64]
    kept: NDArray[np.bool_]
    about: Mapping[str, Any]

    @classmethod
    def of(cls, g2: G2, ring: Ring, partition: Partition) -> "_Part":
        kept = np.isin(g2.part_roi, ring.bins)
        number = np.full(partition.n_roi, -1)
        number[ring.bins] = np.arange(len(ring.bins))
        pixels = g2.part_weight[kept] * partition.n_pixels[g2.part_roi[kept]]
        return cls(ring.bins, kept, {"part_roi": number[g2.part_roi[kept]], "part_weight": pixels})


def motion(g2: G2, by_age: G2ByAge, partition: Partition, ring: Ring, frame_time_s: float) -> dict[str, float]:
    """Flow, anisotropy and ageing of a ring, by the names of results; NaN where nothing is claimed."""
    said = dict.fromkeys((name for name, _ in FLOW.values()), np.nan) | dict.fromkeys(AGEING, np.nan)
    part, tau = _Part.of(g2, ring, partition), g2.lag * frame_time_s
    phi = partition.phi[ring.bins]
    if len(ring.bins) >= 3 and np.isfinite(phi).all() and ring.q > 0:
        flow = fit_flow(tau, g2.value[part.bins], phi, partition.q[ring.bins], parts=g2.parts[part.kept], **part.about)
        said |= {name: getattr(flow, ours) for ours, (name, _) in FLOW.items()}
    ages = middle_age(by_age.edges, by_age.lag) * frame_time_s
    ageing = fit_ageing(tau, ages, by_age.value[part.bins], parts=by_age.parts[part.kept], **part.about)
    return said | {name: getattr(ageing, name) for name in AGEING}


def of_q(rings: Sequence[Ring], tau_s: NDArray[np.float64], tau_s_err: NDArray[np.float64]) -> dict[str, float]:
    """Tau ~ q^-n over the rings, where three or more have a tau."""
    fit = fit_power([ring.q for ring in rings], tau_s, tau_s_err)
    if fit.n < 3:
        return {}
    return {"q_exponent": fit.exponent, "q_exponent_err": fit.exponent_err, "q_exponent_p": fit.p}
