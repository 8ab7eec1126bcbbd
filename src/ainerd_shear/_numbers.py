"""The numbers of echoes and moduli of a run that oscillates, by their names in results."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_shear._cycles import CycleResult
from ainerd_shear._stretches import SAME_STRAIN, notes, stretches
from ainerd_shear._training import fit_training
from ainerd_xpcs.numerics import Partition, Relaxation, fit_relaxation
from ainerd_xpcs.technique import Ring, Share, contrast_within, lit_weights, opposite, plain

Floats = NDArray[np.float64]
DIMS = {
    "echo": ("roi", "echo_lag"),
    "echo_err": ("roi", "echo_lag"),
    "echo_lag": ("echo_lag",),
    "echo_c2": ("roi", "cycle1", "cycle2"),
}
# Fields of `CycleModuli`: names in results, and units.
MODULI = {
    "strain": ("strain", "1"),
    "storage": ("storage_pa", "Pa"),
    "loss": ("loss_pa", "Pa"),
    "tan_delta": ("tan_delta", "1"),
    "peak_stress": ("peak_stress_pa", "Pa"),
    "third": ("third_harmonic", "1"),
}
# Fields of `Relaxation`: names in results, and units.
DECAY = {
    "tau": ("tau_cycles", "cycle"),
    "tau_err": ("tau_cycles_err", "cycle"),
    "tau_above": ("tau_cycles_above", "cycle"),
    "tau_below": ("tau_cycles_below", "cycle"),
    "exponent": ("echo_exponent", "1"),
    "exponent_err": ("echo_exponent_err", "1"),
    "static": ("returning_share", "1"),
    "static_err": ("returning_share_err", "1"),
}
WHY = "no_tau_cycles"
VELOCITY = ("velocity_nm_cycle", "velocity_nm_cycle_err", "velocity_nm_cycle_below")
TRAINING = {name: f"training_{name}" for name in ("exponent", "exponent_err", "p")}
UNITS = {
    **dict.fromkeys(("echo", "echo_err", "echo_c2", "echo_height", "echo_height_err"), "1"),
    **dict.fromkeys(("echo_lag", "phase_err", "phase_off", "clock_offset", "clock_offset_err"), "cycle"),
    **dict(DECAY.values()),
    **dict.fromkeys(VELOCITY, "nm/cycle"),
    **{f"{name}{end}": unit for name, unit in MODULI.values() for end in ("", "_err")},
    **dict.fromkeys(("cycle", "first_cycle", "yields", "creep", "n_cycles", "frames_outside_cycles"), "1"),
    **dict.fromkeys(("cycle_strain", "cycle_strain_err", *TRAINING.values()), "1"),
    "cycle_frequency_hz": "Hz",
}
TEXTS = (WHY, "no_echoes", "no_moduli", "cycles_changed")


def cycle_numbers(result: CycleResult, partition: Partition, rings: Sequence[Ring]) -> Share:
    """Return the numbers of echoes and moduli; those of the summary are of the middle ring."""
    curves, ring = result.curves, rings[len(rings) // 2]
    arrays: dict[str, NDArray[Any]] = {
        "echo": curves.height,
        "echo_err": curves.height_err,
        "echo_lag": curves.lag,
        "echo_c2": curves.c2.astype(np.float32),
    }
    bins = {"bin": partition.numbers, "q": partition.q, "phi": partition.phi}
    with np.errstate(invalid="ignore", divide="ignore"):
        bins |= _of_decay(curves.decay)
        bins |= dict(zip(VELOCITY, (curves.velocity, curves.velocity_err, curves.velocity_below), strict=True))
    together = fit_relaxation(curves.g2, bins=ring.bins, together=True, opposite=opposite(partition, ring))
    by_cycle, before = _by_cycle(result, ring), max(result.first - int(np.floor(result.phase.phase[0])), 0)
    tau = [float(each[0]) for each in (together.tau, together.tau_err, together.tau_above)]
    parts = stretches(curves.c2[ring.bins], by_cycle, result.phase, curves.cycles_a_row, before, tau)
    summary: dict[str, Any] = {
        "n_cycles": curves.n_cycles,
        "frames_outside_cycles": result.n_outside,
        "cycle_frequency_hz": result.phase.frequency,
        "phase_err": result.phase.error,
        "phase_off": curves.off_phase,
        **_mean("cycle_strain", result.phase.amplitude),
        **{name: plain(values[0]) for name, values in _of_decay(together).items()},
        **_training(result, ring, before),
        "no_moduli": result.no_moduli or None,
        "cycles_changed": notes(parts) or None,
    }
    weights = lit_weights(ring, curves.g2)
    one, errors = (np.where(weights > 0, x[ring.bins, 0], 0) for x in (curves.height, curves.height_err))
    echo = {"echo_height": weights @ one, "echo_height_err": np.sqrt(np.square(weights * errors).sum())}
    summary |= {name: plain(x) if weights.any() else None for name, x in echo.items()}
    if result.offset is not None:
        summary |= {"clock_offset": result.offset.cycles, "clock_offset_err": result.offset.error}
    if result.moduli is not None:
        for field, (name, _) in MODULI.items():
            if field != "strain":
                summary |= _mean(name, getattr(result.moduli, field))
    fallen = np.flatnonzero(weights @ np.where(weights[:, None] > 0, curves.height[ring.bins], 0) < 0.5)
    if parts["creep"].size == 1 and fallen.size and not np.isfinite(tau[0]):
        parts["creep"][0] = result.phase.creep(curves.lag[fallen[0]])
    if why := _no_decay(parts):
        names = [name for name, _ in DECAY.values()]
        summary |= dict.fromkeys([*names, *TRAINING.values()]) | {WHY: why}
        bins |= dict.fromkeys([*names, *VELOCITY], np.full(partition.n_roi, np.nan))
        bins[WHY] = np.full(partition.n_roi, why)
    by_row = {"cycles": by_cycle, "stretches": parts}
    tables = {"echoes": bins}
    tables |= {name: {column: _size(x) for column, x in table.items()} for name, table in by_row.items()}
    return Share(arrays, tables, summary, DIMS, UNITS)


def _no_decay(parts: dict[str, NDArray[Any]]) -> str:
    """Return why the decay of the echoes of all cycles together is not one of the sample; empty if it can be."""
    n, creep = parts["yields"].size, float(parts["creep"][0])
    if n > 1:
        return f"the run has {n} stretches, each with its own"
    if creep > SAME_STRAIN:
        return (
            f"the strain creeps by {creep:.0%} of its amplitude meanwhile, as the record says, which explains a decay"
        )
    return ""


def _of_decay(fit: Relaxation) -> dict[str, NDArray[Any]]:
    """Return the columns of decays; a share that returns is given only with its error."""
    columns = {name: getattr(fit, field) for field, (name, _) in DECAY.items()}
    columns["returning_share"] = np.where(np.isfinite(fit.static_err), fit.static, np.nan)
    return columns | {WHY: fit.no_tau}


def _training(result: CycleResult, ring: Ring, before: int) -> dict[str, float | None]:
    """Return the exponent, with so many cycles of the record before the frames."""
    curves = result.curves
    try:
        law = fit_training(curves.c2[ring.bins], cycles_a_row=curves.cycles_a_row, cycles_before=before)
    except ValueError:  # too few bins
        return {}
    return {name: plain(getattr(law, field)) for field, name in TRAINING.items()}


def _by_cycle(result: CycleResult, ring: Ring) -> dict[str, NDArray[Any]]:
    """Return a row for each row of the map of cycles: its first cycle, its echo with the row before, and its moduli."""
    curves, moduli, n = result.curves, result.moduli, result.curves.cycles_a_row
    rows = curves.c2.shape[1]
    echo, echo_err = curves.from_cycle(bins=ring.bins)
    contrast = contrast_within(ring, curves.g2)[0]
    scale = 1 / contrast if contrast > 0 else np.nan
    out: dict[str, NDArray[Any]] = {
        "cycle": result.first + n * np.arange(rows),
        "echo": np.append(np.nan, echo * scale),
        "echo_err": np.append(np.nan, echo_err * scale),
    }
    if moduli is None:
        return out
    row = (moduli.cycle - result.first) // n
    mine = (row >= 0) & (row < rows)
    of_row = np.bincount(row[mine], minlength=rows)
    for field, (name, _) in MODULI.items():
        value, error = (getattr(moduli, f"{field}{end}")[mine] for end in ("", "_err"))
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [np.bincount(row[mine], part, rows) / of_row for part in (value.real, value.imag)]
            out[name] = parts[0] + 1j * parts[1] if np.iscomplexobj(value) else parts[0]
            squares = np.bincount(row[mine], error**2, rows)
            out[f"{name}_err"] = np.where(of_row, np.sqrt(squares) / of_row, np.nan)
    return out


def _mean(name: str, values: NDArray[Any]) -> dict[str, float | None]:
    """Return the mean over the cycles, or its size, and its error."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {name: None, f"{name}_err": None}
    error = known.std(ddof=1) / np.sqrt(known.size) if known.size > 1 else np.nan
    return {name: plain(_size(known.mean())), f"{name}_err": plain(error)}


def _size(values: Any) -> Any:
    """Return the size of complex numbers; the mean of sizes would be that of the noise."""
    return np.abs(values) if np.iscomplexobj(values) else values
