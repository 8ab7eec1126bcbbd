"""Numbers of an exposure with their errors: of the run, of each ring in q and of each bin, from its g2."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs import numerics
from ainerd_xpcs.numerics import G2, Partition
from ainerd_xpcs.technique._features import Ring
from ainerd_xpcs.technique._models import MODELS, of_all, table_of
from ainerd_xpcs.technique._parts import Share
from ainerd_xpcs.technique._sample_clock import (
    CHANGING,
    CLOCK,
    CLOCK_FORMULA,
    clock_arrays,
    clock_columns,
    clock_of,
    jumps_at,
    jumps_table,
    relaxation_of,
)
from ainerd_xpcs.technique._sentences import BINS_DIFFER, DIFFER_P, SURE_BIC

if TYPE_CHECKING:
    from ainerd_xpcs.technique._checks import Doubts
    from ainerd_xpcs.technique._correlated import Correlated


def lit_weights(ring: Ring, g2: G2) -> NDArray[np.float64]:
    """Return the weights of the bins of a ring in means over those with light, (n,); 0 of a dark bin."""
    weight = np.where(np.isfinite(g2.contrast0[ring.bins]), ring.weights, 0)
    return np.asarray(weight / max(weight.sum(), 1e-300))


def contrast_within(ring: Ring, g2: G2) -> tuple[float, float]:
    """Return the contrast within a frame of a ring, with its standard error: the mean of the bins with light."""
    weight, value, error = lit_weights(ring, g2), g2.contrast0[ring.bins], g2.contrast0_err[ring.bins]
    return float(weight @ np.nan_to_num(value)), float(np.hypot.reduce(weight * np.nan_to_num(error)))


def flow(g2: G2, partition: Partition, ring: Ring, frame_time_s: float) -> dict[str, Any]:
    """Fit flow and anisotropy of a ring; return numbers by their names in results, NaN if not significant."""
    phi = partition.phi[ring.bins]
    if len(ring.bins) < 3 or not np.isfinite(phi).all() or not ring.q > 0:
        return {name: "" if name in TEXTS else np.nan for name in FLOW.values()}
    selected = np.isin(g2.part_roi, ring.bins)
    roi, number = g2.part_roi[selected], np.full(partition.n_roi, -1)
    number[ring.bins] = np.arange(len(ring.bins))
    use = g2.lag < g2.n_frames / 2  # the longest lags have few pairs
    curves, parts = (g2.value - g2.bias)[ring.bins][:, use], (g2.parts[selected] - g2.bias[roi])[:, use]
    weight = g2.part_weight[selected] * partition.n_pixels[roi]
    of_parts: dict[str, Any] = {"parts": parts, "part_roi": number[roi], "part_weight": weight}
    tau, q = g2.lag[use] * frame_time_s, partition.q[ring.bins]
    apart = np.diff(tau, append=2 * tau[-1:] - tau[-2:-1])  # as long as the means of frames that lags are of
    widths: dict[str, Any] = {"phi_width": _narrowest(phi), "q_spread": ring.q_spread, "tau_width": apart}
    found = numerics.fit_flow(tau, curves, phi, q, **widths, **of_parts)
    return {name: getattr(found, field) for field, name in FLOW.items()}


# Versions of the computations. If numbers change, their version increases, and results get other keys.
VERSIONS = {"c2": 2, "g2": 4, "relaxation": 13, "flow": 3, "clock": 1, "left_out": 5, "novelty": 6, "denoised": 2}
FORMULAS = {
    "relaxation": numerics.Relaxation.formula,
    "flow": numerics.FlowFit.formula,
    "clock": CLOCK_FORMULA,
}
# Fields of `Relaxation` and `FlowFit` that have other names in results, without the endings.
RENAMED = {
    "tau": "tau_s", "tau2": "tau2_s", "exponent": "kww_exponent", "exponent2": "kww_exponent2",
    "static": "static_share", "baseline": "g2_baseline", "share": "fast_share", "p_same": "bins_alike_p",
    "model": "g2_model", "either": "g2_model_or", "tau_either": "tau_s_or", "errors": "g2_errors",
    "tau_half": "tau_half_s", "left": "g2_left", "velocity": "velocity_nm_s", "velocity_spread": "velocity_spread_nm_s",
    "flow_direction": "flow_direction_deg", "anisotropy_direction": "anisotropy_direction_deg",
    "kind": "flow_kind",
}  # fmt: skip


def _name(field: str) -> str:
    base, _, ending = field.rpartition("_") if field.endswith(("_err", "_above", "_below")) else (field, "", "")
    return RENAMED.get(base, base) + (f"_{ending}" if ending else "")


def _unit(name: str) -> str:
    """Return the unit of a number, by its name in results."""
    base = name.removesuffix("_err").removesuffix("_above").removesuffix("_below").removesuffix("_or")
    return next((unit for ending, unit in ENDINGS.items() if base.endswith(ending)), "1")


NAMES = {field: _name(field) for field in numerics.RELAXATION_COLUMNS}
FLOW = {each.name: _name(each.name) for each in fields(numerics.FlowFit) if each.name != "formula"}
TEXTS = {*(NAMES[field] for field in numerics.RELAXATION_TEXTS), "flow_kind", "dynamics"}
_CONTRASTS = ("contrast0", "contrast0_err", "contrast", "contrast_err")
# Numbers that are NaN where there is no relaxation time.
OF_TAU = [
    NAMES[field]
    for field in numerics.RELAXATION_COLUMNS
    if field.startswith(("tau", "exponent", "plateau", "static", "baseline", "share"))
    and not field.startswith(("tau_above", "tau_below", "tau_half"))
]
LIKE_GAPS = "frames are lost, and gaps look like a second relaxation"
TOO_MANY_LOST = "too many frames are missing"
ONLY_TWO = "two relaxation times do not show whether there is a power law"
LAW = {  # fields of `PowerFit`, and their names in results
    "exponent": "q_exponent", "exponent_err": "q_exponent_err", "p": "q_exponent_p", "reason": "no_q_exponent",
    "diffusion": "diffusion_nm2_s", "diffusion_err": "diffusion_nm2_s_err",
}  # fmt: skip
_UNSURE = 0.5  # relative error of the contrast within a frame above which that of g2 may be used
ENDINGS = {"_nm2_s": "nm²/s", "_nm_s": "nm/s", "_deg": "degree", "_s": "s"}
_BESIDE = ("bin", "n_pixels", "mean_counts", "contrast0", "contrast0_err", "novelty_p", *CLOCK, *LAW.values())
UNITS = {name: _unit(name) for name in {*NAMES.values(), *FLOW.values(), *_BESIDE} - {*TEXTS, "no_q_exponent"}}
UNITS |= {"q": "1/nm", "phi": "degree"}


class Numbers(NamedTuple):
    """Numbers of an exposure from its g2.

    Attributes
    ----------
    arrays : dict of str to ndarray
        g2 with its errors, and by age.
    summary : dict
        Numbers of the run: those of its ring, or of the middle ring of several.
    rings, bins : dict of str to ndarray
        Columns of numbers of each ring, and of each bin.
    contrasts : list of (float, float) or None
        Contrast of each ring with its standard error, for its verdict; None if none was found.
    tables : dict
        The jumps of the sample, if it jumps, and the models of g2 of the rings.
    """

    arrays: dict[str, NDArray[Any]]
    summary: dict[str, float | str | None]
    rings: dict[str, NDArray[Any]]
    bins: dict[str, NDArray[Any]]
    contrasts: list[tuple[float, float] | None]
    tables: dict[str, dict[str, NDArray[Any]]] = {}  # noqa: RUF012

    def share(self, p_of_ring: NDArray[np.float64]) -> Share:
        """Return arrays, numbers and the tables of a result: bins, and rings if there are several."""
        rings = {"rings": {**self.rings, "novelty_p": p_of_ring}} if len(p_of_ring) > 1 else {}
        return Share(self.arrays, {"bins": self.bins, **rings, **self.tables}, self.summary)

    def with_lost(self, share: float) -> Self:
        """Widen the errors of relaxation times, which are too short by up to this share if frames are missing.

        Times that are then not known are taken away, with all numbers of their curves that depend on them, and so are
        two times of one curve.
        """
        if share <= 0:
            return self
        summary, rings, bins = (_widened(table, share) for table in (self.summary, self.rings, self.bins))
        summary, tables = {name: plain(x) for name, x in summary.items()}, self._without_models()
        return self._replace(summary=summary, rings=rings, bins=bins, tables=tables)

    def without_contrast(self) -> Self:
        """Return the numbers without contrasts, which need counts of photons."""
        return self._without(_CONTRASTS)

    def without_fits(self) -> Self:
        """Return g2 alone, without numbers fitted to it."""
        names = [*NAMES.values(), *_CONTRASTS, *FLOW.values(), *CLOCK, "dynamics", *LAW.values()]
        return self._without(names)._replace(tables=self._without_models())

    def _without_models(self) -> dict[str, dict[str, NDArray[Any]]]:
        return {name: table for name, table in self.tables.items() if name != MODELS}

    def _without(self, names: Collection[str]) -> Self:
        gone = set(names) - {"speckle"}
        unknown = {name: None for name in self.summary if name in gone}
        of_rings, of_bins = (
            {name: np.full(len(x), "" if name in TEXTS else np.nan) if name in gone else x for name, x in of.items()}
            for of in (self.rings, self.bins)
        )
        return self._replace(summary=self.summary | unknown, rings=of_rings, bins=of_bins)


def numbers(
    g2: G2, partition: Partition, rings: Sequence[Ring], frame_time_s: float, clocks: Sequence[numerics.Clock | None]
) -> Numbers:
    """Fit the g2 of an exposure, bin by bin and ring by ring; `clocks` are those of the rings, None if unknown."""
    with np.errstate(all="ignore"):  # NaN if nothing is known
        flows = [flow(g2, partition, ring, frame_time_s) for ring in rings]
    fit_ring = partial(numerics.fit_relaxation, g2, frame_time_s)
    steady = [clock is None or clock.word not in CHANGING for clock in clocks]
    models = [numerics.ALL_MODELS if is_steady else numerics.ONE_MODE for is_steady in steady]
    relaxations = [
        fit_ring(bins=ring.bins, together=True, opposite=opposite(partition, ring), models=some)
        for ring, some in zip(rings, models, strict=True)
    ]
    relaxations = of_all(relaxations)
    together = {name: np.array([getattr(fit, of)[0] for fit in relaxations]) for of, name in NAMES.items()}
    together |= {name: np.array([fit[name] for fit in flows]) for name in flows[0]}
    # The contrast from photon statistics: the mean of the bins, weighted by their pixels.
    value, error = np.array([contrast_within(ring, g2) for ring in rings]).T
    within = value, np.where(error > 0, error, np.nan)
    of_bins = [
        named(fit_ring(bins=ring.bins, models=some, like=fit))
        for ring, some, fit in zip(rings, models, relaxations, strict=True)
    ]
    bins = {
        "bin": partition.numbers,
        "q": partition.q,
        "phi": partition.phi,
        "n_pixels": partition.n_pixels,
        "mean_counts": g2.counts,
        **_of_bins(rings, of_bins),
        **_known(g2.contrast0, g2.contrast0_err),
    }
    columns = together["speckle"], *within, together["contrast"], together["contrast_err"]
    contrasts = [_surest(*four) if speckle == "yes" else None for speckle, *four in zip(*columns, strict=True)]
    together |= _known(*within)
    together, bins, more = with_clocks(rings, together, bins, clocks)
    arrays: dict[str, NDArray[Any]] = {"g2": g2.value, "g2_err": g2.error, "tau": g2.lag * frame_time_s}
    of_rings = {"q": np.array([ring.q for ring in rings]), **together}
    summary = of_run(rings, together, bins) | more.summary
    tables = dict(more.tables)
    if summary.get("g2_model") == str(relaxations[len(rings) // 2].model[0]) and summary["no_tau"] != BINS_DIFFER:
        tables[MODELS] = table_of(relaxations, NAMES)
    return Numbers(arrays | more.arrays, summary, of_rings, bins, contrasts, tables)


def with_clocks(
    rings: Sequence[Ring],
    together: dict[str, NDArray[Any]],
    bins: dict[str, NDArray[Any]],
    clocks: Sequence[numerics.Clock | None],
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]], Share]:
    """Let the clock of each ring decide on its relaxation times; return columns of rings and bins, and more.

    More are the rate and the jumps of the middle ring. Bins keep their relaxation times where only the rate changes.
    """
    rows, bins = list[dict[str, Any]](), dict(bins)
    for number, (ring, clock) in enumerate(zip(rings, clocks, strict=True)):
        fitted = {name: together[name][number].item() for name in NAMES.values()}
        flows = _flows(together, number)
        changed = relaxation_of(clock, fitted, flows=flows)
        rows.append(fitted | changed | clock_columns(clock, flows=flows))
        if changed.get("no_tau"):
            of_ring = np.isin(np.arange(len(bins["tau_s"])), ring.bins)
            bins |= {name: np.where(of_ring, value, bins[name]) for name, value in changed.items()}
    together = together | {name: np.array([row[name] for row in rows]) for name in rows[0]}
    middle = len(rings) // 2
    clock = None if _flows(together, middle) else clocks[middle]
    if clock is None:
        return together, bins, Share()
    return together, bins, Share(clock_arrays(clock), jumps_table(clock), {"jumps_at": jumps_at(clock) or None})


def _flows(together: dict[str, NDArray[Any]], number: int) -> bool:
    """Return whether a ring flows, by its columns."""
    kind = together["flow_kind"][number] if "flow_kind" in together else "none"
    return kind in ("velocity", "spread") or (kind == "unknown" and together["flow_bic"][number] > SURE_BIC)


def of_frames(frames: "Correlated", doubts: "Doubts") -> Numbers:
    """Fit the g2 and the clock of an exposure, and leave out the numbers of which there are doubts."""
    technique, frame_time_s = frames.technique, frames.run.frame_time_s
    assert frame_time_s is not None  # checked by `begin`
    clocks: list[numerics.Clock | None] = [None] * len(technique.rings)
    if not (doubts.fits or doubts.maps):
        duration_s = frames.n_frames * frame_time_s
        clocks = [clock_of(ring, frames.whole, frames.photons, duration_s, frames.cells) for ring in technique.rings]
    fitted = numbers(frames.g2, technique.partition, technique.rings, frame_time_s, clocks)
    fitted = fitted.with_lost(frames.n_lost / frames.n_frames)
    if doubts.fits:
        return fitted.without_fits()
    return fitted.without_contrast() if doubts.contrast else fitted


def of_run(
    rings: Sequence[Ring], together: dict[str, NDArray[Any]], bins: dict[str, NDArray[Any]]
) -> dict[str, float | str | None]:
    """Return the numbers of a run from those of its rings: of the middle ring, and the power law of tau over q.

    If the bins of that ring differ, the relaxation time is the range of theirs.
    """
    middle = len(rings) // 2
    summary = {name: plain(values[middle]) for name, values in together.items()}
    alike = summary.get("bins_alike_p")
    differ = alike is not None and alike < DIFFER_P
    tau, error = (bins[name][rings[middle].bins] if differ else np.empty(0) for name in ("tau_s", "tau_s_err"))
    if np.isfinite(tau).sum() > 1:
        summary |= dict.fromkeys((name for name in summary if name.startswith("tau_")), None)
        ends = {"tau_s_above": np.nanmin(tau - error), "tau_s_below": np.nanmax(tau + error)}
        summary |= {"no_tau": BINS_DIFFER, **{name: float(end) for name, end in ends.items()}}
    if len(rings) > 1:
        summary["q"] = rings[middle].q
        law = numerics.fit_power([ring.q for ring in rings], together["tau_s"], together["tau_s_err"])  # tau ~ q^-n
        summary |= of_law(numerics.PowerFit(n=2, reason=ONLY_TWO) if law.n == 2 else law)
    return summary


def named(fit: numerics.Relaxation) -> dict[str, NDArray[Any]]:
    """Return the columns of fits by their names in results."""
    return {name: getattr(fit, field) for field, name in NAMES.items()}


def of_law(fit: numerics.PowerFit) -> dict[str, float | str | None]:
    """Return the numbers of a power law by their names in results, None where unknown."""
    return {name: plain(getattr(fit, field)) for field, name in LAW.items()}


def _of_bins(rings: Sequence[Ring], fits: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the columns of fits of each ring's bins in the order of the bins."""
    order = np.argsort(np.concatenate([ring.bins for ring in rings]))
    return {name: np.concatenate([fit[name] for fit in fits])[order] for name in fits[0]}


def opposite(partition: Partition, ring: Ring) -> NDArray[np.int64]:
    """Return the opposite bin of its ring for each bin, (n_roi,); -1 for a bin without one."""
    out, there = np.full(partition.n_roi, -1), across(ring)
    out[ring.bins] = np.where(there < 0, -1, ring.bins[there])
    return out


def across(ring: Ring) -> NDArray[np.int64]:
    """Return the place in the ring of the opposite bin of each of its bins, (n,); -1 for a bin without one."""
    phi = ring.phi_deg
    return np.full(len(ring.bins), -1) if phi is None else other_side(phi, _narrowest(phi) / 2)


def other_side(phi_deg: NDArray[np.float64], within: float) -> NDArray[np.int64]:
    """Return for each bin at `phi_deg`, (n,), that on the other side of the beam; -1 if none is `within` degrees."""
    away = np.abs((phi_deg[:, None] - phi_deg + 360) % 360 - 180)
    return np.where(away.min(1) < within, away.argmin(1), -1)


def _narrowest(phi: NDArray[np.float64]) -> float:
    """Return the smallest distance of neighbours in azimuth, in degrees, also across 0; 360 of a single bin."""
    ordered = np.sort(phi)
    return float(np.diff(ordered, append=ordered[0] + 360).min())


def _surest(within: float, within_err: float, of_g2: float, of_g2_err: float) -> tuple[float, float] | None:
    """Return the contrast within a frame, which includes all decays, or that of g2 if it is surer."""
    if within > 0 and within_err <= _UNSURE * within:
        return float(within), float(within_err)
    if of_g2 > 0 and of_g2_err < within_err:
        return float(of_g2), float(of_g2_err)
    return (float(within), float(within_err)) if within > 0 else None


def _widened(table: dict[str, Any], share: float) -> dict[str, Any]:
    out = {name: np.asarray(x if x is not None else "" if name in TEXTS else np.nan) for name, x in table.items()}
    for name in ("tau_s", "tau2_s", "tau_s_or", "tau_half_s"):
        out[f"{name}_err"] = np.hypot(out[f"{name}_err"], share * out[name])
    two = np.char.startswith(out["g2_model"].astype(str), "two")  # gaps change the shape of g2 as a second decay does
    lost = two | (out["tau_s_err"] > numerics.LOG_TAU_KNOWN * out["tau_s"])
    slow = lost | (out["tau2_s_err"] > numerics.LOG_TAU_KNOWN * out["tau2_s"])
    for name in OF_TAU:
        out[name] = np.where(slow if name.startswith(("tau2", "kww_exponent2")) else lost, np.nan, out[name])
    out["no_tau"] = np.where(two, LIKE_GAPS, np.where(lost, TOO_MANY_LOST, out["no_tau"]))
    return out


def _known(value: NDArray[np.float64], error: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return contrasts within a frame, NaN where the error is as large as the contrast."""
    known = error < np.abs(value)
    return {"contrast0": np.where(known, value, np.nan), "contrast0_err": np.where(known, error, np.nan)}


def plain(value: Any) -> Any:
    """Return a number or text for the summary; None if it is unknown."""
    if isinstance(value, str) or getattr(value, "dtype", np.dtype(float)).kind == "U":
        return str(value) or None
    return float(value) if np.isfinite(value) else None
