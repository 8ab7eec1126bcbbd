"""What of a ring's g2 depends on azimuth and age, and what of all rings on q: said only where a test says so."""

from collections.abc import Sequence
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


def motion(g2: G2, by_age: G2ByAge, partition: Partition, ring: Ring, frame_time_s: float) -> dict[str, float]:
    """Flow, anisotropy and ageing of a ring, by the names of results; NaN where nothing is claimed."""
    said = dict.fromkeys((name for name, _ in FLOW.values()), np.nan) | dict.fromkeys(AGEING, np.nan)
    kept, phi = np.isin(g2.part_roi, ring.bins), partition.phi[ring.bins]
    roi = g2.part_roi[kept]
    number = np.full(partition.n_roi, -1)
    number[ring.bins] = np.arange(len(ring.bins))
    of_parts: dict[str, Any] = {
        "part_roi": number[roi],
        "part_weight": g2.part_weight[kept] * partition.n_pixels[roi],
    }
    if len(ring.bins) >= 3 and np.isfinite(phi).all() and ring.q > 0:
        use = g2.lag < by_age.edges[-1] / 2  # the longest are of few pairs
        flow = fit_flow(
            g2.lag[use] * frame_time_s,
            (g2.value - g2.bias)[ring.bins][:, use],
            phi,
            partition.q[ring.bins],
            parts=(g2.parts[kept] - g2.bias[roi])[:, use],
            phi_width=float(np.diff(phi).min()),
            q_width=_q_width(partition, ring),
            **of_parts,
        )
        said |= {name: getattr(flow, ours) for ours, (name, _) in FLOW.items()}
    ages = middle_age(by_age.edges, by_age.lag) * frame_time_s
    tau = by_age.lag * frame_time_s
    ageing = fit_ageing(tau, ages, by_age.value[ring.bins], parts=by_age.parts[kept], **of_parts)
    return said | {name: getattr(ageing, name) for name in AGEING}


def _q_width(partition: Partition, ring: Ring) -> float:
    """From the inner to the outer edge of a ring, in 1/nm, by its static labels; 0 where they do not tell."""
    if partition.static_q is None:
        return 0.0
    labels = np.unique(partition.static_label[np.isin(partition.static_roi, ring.bins)])
    q = np.sort(partition.static_q[labels - 1])
    return float((q[-1] - q[0]) * len(q) / (len(q) - 1)) if len(q) > 1 else 0.0


def of_q(rings: Sequence[Ring], tau_s: NDArray[np.float64], tau_s_err: NDArray[np.float64]) -> dict[str, float]:
    """Tau ~ q^-n over the rings, where three or more have a tau."""
    fit = fit_power([ring.q for ring in rings], tau_s, tau_s_err)
    if fit.n < 3:
        return {}
    return {"q_exponent": fit.exponent, "q_exponent_err": fit.exponent_err, "q_exponent_p": fit.p}
