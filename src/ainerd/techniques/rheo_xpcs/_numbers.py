"""Numbers of an exposure with their errors: of the run, of each ring in q and of each bin, from its g2."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs import _motion
from ainerd.techniques.rheo_xpcs._motion import motion, of_q
from ainerd.techniques.rheo_xpcs._rings import Ring
from ainerd.xpcs import G2, AgeingFit, FlowFit, G2ByAge, Partition, Relaxation, fit_relaxation

# What numbers are computed by; a version grows when its numbers change, and then results have other keys.
VERSIONS = {"g2": 3, "relaxation": 2, "flow": 1, "ageing": 1, "left_out": 1, "novelty": 2}
FORMULAS = {"relaxation": Relaxation.formula, "flow": FlowFit.formula, "ageing": AgeingFit.formula}
# Names of what a `Relaxation` says, as results have them.
NAMES = {
    "tau": "tau_s",
    "tau_err": "tau_s_err",
    "tau_above": "tau_s_above",
    "tau_below": "tau_s_below",
    "exponent": "kww_exponent",
    "exponent_err": "kww_exponent_err",
    "contrast": "contrast",
    "contrast_err": "contrast_err",
    "plateau": "plateau",
    "plateau_err": "plateau_err",
    "speckle": "speckle",
    "p_same": "bins_alike_p",
    "misfit_p": "misfit_p",
}
_CONTRASTS = ("contrast0", "contrast0_err", "contrast", "contrast_err")
_UNSURE = 0.5  # relative error of the contrast within a frame, above which g2 is asked
UNITS = {
    **{name: "s" if name.startswith("tau_s") else "1" for name in NAMES.values() if name != "speckle"},
    **dict.fromkeys(("bin", "n_pixels", "contrast0", "contrast0_err", "novelty_p"), "1"),
    "q": "1/nm",
    "phi": "degree",
    **_motion.UNITS,
}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What g2 says of an exposure.

    Attributes
    ----------
    arrays : dict of str to ndarray
        g2 with its errors, and by age.
    summary : dict
        Of the run: those of its ring, the middle one of several.
    rings, bins : dict of str to ndarray
        Columns of numbers, of each ring and bin.
    contrasts : list of (float, float) or None
        Of each ring the contrast that its novelty is judged by, with its standard error; None where none was found.
    units : dict of str to str
    """

    arrays: dict[str, NDArray[Any]]
    summary: dict[str, float | str | None]
    rings: dict[str, NDArray[Any]]
    bins: dict[str, NDArray[Any]]
    contrasts: list[tuple[float, float] | None]
    units: dict[str, str]

    def tables(self, p_of_ring: NDArray[np.float64]) -> dict[str, dict[str, NDArray[Any]]]:
        """Tables of a result: the bins, and the rings if there are several."""
        rings = {"rings": {**self.rings, "novelty_p": p_of_ring}} if len(p_of_ring) > 1 else {}
        return {"bins": self.bins, **rings}


def numbers(g2: G2, by_age: G2ByAge, partition: Partition, rings: Sequence[Ring], frame_time_s: float) -> Numbers:
    """Fit the g2 of an exposure, bin by bin and ring by ring."""
    relaxations = [
        _said(fit_relaxation(g2, frame_time_s, bins=ring.bins, together=True, opposite=_opposite(partition, ring)))
        for ring in rings
    ]
    with np.errstate(all="ignore"):  # NaN where nothing can be said
        moved = [motion(g2, by_age, partition, ring, frame_time_s) for ring in rings]
    together = {name: np.array([said[name][0] for said in relaxations]) for name in relaxations[0]}
    together |= {name: np.array([said[name] for said in moved]) for name in moved[0]}
    together |= _within_a_frame(g2, rings)
    bins = {
        "bin": np.arange(1, partition.n_roi + 1),
        "q": partition.q,
        "phi": partition.phi,
        "n_pixels": partition.n_pixels,
        **_said(fit_relaxation(g2, frame_time_s)),
        "contrast0": g2.contrast0,
        "contrast0_err": g2.contrast0_err,
    }
    middle = len(rings) // 2
    summary = {name: _plain(values[middle]) for name, values in together.items()}
    if len(rings) > 1:
        summary |= {"q": rings[middle].q, **of_q(rings, together["tau_s"], together["tau_s_err"])}
    return Numbers(
        arrays={
            "g2": g2.value,
            "g2_err": g2.error,
            "tau": g2.lag * frame_time_s,
            "g2_by_age": by_age.value.astype(np.float32),
            "age": by_age.edges[1:] * frame_time_s,
        },
        summary=summary,
        rings={"q": np.array([ring.q for ring in rings]), **together},
        bins=bins,
        contrasts=[
            _surest(*found) if speckle == "yes" else None
            for speckle, *found in zip(together["speckle"], *(together[name] for name in _CONTRASTS), strict=True)
        ],
        units=UNITS,
    )


def _said(fit: Relaxation) -> dict[str, NDArray[Any]]:
    return {NAMES[field.name]: getattr(fit, field.name) for field in fields(fit) if field.name in NAMES}


def _opposite(partition: Partition, ring: Ring) -> NDArray[np.int64]:
    """Of each bin the one of the ring across the beam, (n_roi,); -1 for none."""
    phi, out = partition.phi[ring.bins], np.full(partition.n_roi, -1)
    if len(ring.bins) > 1 and np.isfinite(phi).all():
        away = np.abs((phi[:, None] - phi + 360) % 360 - 180)
        nearest = away.argmin(1)
        near = away.min(1) < np.diff(phi).min() / 2
        out[ring.bins[near]] = ring.bins[nearest[near]]
    return out


def _within_a_frame(g2: G2, rings: Sequence[Ring]) -> dict[str, NDArray[np.float64]]:
    """Contrast of each ring by photon statistics: the mean of its bins, by their pixels."""
    value = [np.nansum(ring.weights * g2.contrast0[ring.bins]) for ring in rings]
    error = np.array([np.sqrt(np.nansum((ring.weights * g2.contrast0_err[ring.bins]) ** 2)) for ring in rings])
    return {"contrast0": np.array(value), "contrast0_err": np.where(error > 0, error, np.nan)}


def _surest(within: float, within_err: float, of_g2: float, of_g2_err: float) -> tuple[float, float] | None:
    """The contrast within a frame, to which all that decays belongs; where few photons hide it, that of g2 if surer."""
    if within > 0 and within_err <= _UNSURE * within:
        return float(within), float(within_err)
    if of_g2 > 0 and of_g2_err < within_err:
        return float(of_g2), float(of_g2_err)
    return (float(within), float(within_err)) if within > 0 else None


def _plain(value: Any) -> float | str | None:
    """A number or text for the summary; None where nothing is known."""
    if isinstance(value, str):
        return str(value)
    return float(value) if np.isfinite(value) else None
