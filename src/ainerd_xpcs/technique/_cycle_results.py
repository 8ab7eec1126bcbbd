"""The result of a run that oscillates: numbers of its echoes and moduli, and a verdict.

The verdict is that of the map of cycles, by a bank of its own. In a map of cycles a decay is a relaxation, and a share
that returns is a plateau. The bank of all runs holds both. It lacks these kinds, which are added; times are shares of
the run:

======== ==========================================================================================================
kind     dynamics
======== ==========================================================================================================
training the rate falls as (1 + time / onset)^-mu, mu .15 to 1.2, onset .0005 to .03: from the first cycle on
yielding at a time of .05 to .95 the rate rises at once by a factor of 1.5 to 60, and stays there; tau .2 to 30 before
         that, and .01 or more after it
======== ==========================================================================================================

The exponent is .6 to 1.8; a third has a plateau of .1 to .9, and a quarter relaxes faster along one direction.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_xpcs.dynamics import Dynamics, clock
from ainerd_xpcs.numerics import (
    EchoCurves,
    Partition,
    Relaxation,
    change_together,
    fit_relaxation,
    fit_training,
    reduction_operator,
)
from ainerd_xpcs.technique._bank import Bank
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._clean import Clean
from ainerd_xpcs.technique._cycles import CycleResult
from ainerd_xpcs.technique._features import Ring
from ainerd_xpcs.technique._numbers import contrast_within, lit_weights, opposite, plain
from ainerd_xpcs.technique._verdict import Judgement, filled, holes, judge, pooled_contrast

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

Floats = NDArray[np.float64]
DIMS = {
    "echo": ("roi", "echo_lag"),
    "echo_err": ("roi", "echo_lag"),
    "echo_lag": ("echo_lag",),
    "half_echo": ("roi", "half_echo_lag"),
    "half_echo_err": ("roi", "half_echo_lag"),
    "half_echo_lag": ("half_echo_lag",),
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
TRAINING = {
    "ageing_exponent": "training_exponent",
    "ageing_exponent_err": "training_exponent_err",
    "ageing_p": "training_p",
}
UNITS = {
    **dict.fromkeys(
        ("echo", "echo_err", "half_echo", "half_echo_err", "echo_c2", "echo_height", "echo_height_err"), "1"
    ),
    **dict.fromkeys(("echo_lag", "half_echo_lag"), "cycle"),
    **dict.fromkeys(("phase_err", "phase_off", "clock_offset", "clock_offset_err"), "cycle"),
    **dict(DECAY.values()),
    **dict.fromkeys(VELOCITY, "nm/cycle"),
    **{f"{name}{end}": unit for name, unit in MODULI.values() for end in ("", "_err")},
    **dict.fromkeys(("cycle", "n_cycles", "cycle_strain", "cycle_strain_err", *TRAINING.values()), "1"),
    "cycle_frequency_hz": "Hz",
}
TEXTS = (WHY, "no_echoes", "no_moduli", "cycles_changed")
FEWEST, MOST = 64, 256  # rows of a map of cycles: for a p-value, as of frames; and at all
KNOWN = 3.0  # errors by which a contrast exceeds zero
EXPOSURES = {"training": 400, "yielding": 600}
_NEVER = 1e4  # in shares of a run: an onset of ageing after which a rate has not changed at its end


class CycleNumbers(NamedTuple):
    """Arrays with `DIMS`, tables, and numbers and texts for the summary, with `UNITS`."""

    arrays: dict[str, NDArray[Any]]
    tables: dict[str, dict[str, NDArray[Any]]]
    summary: dict[str, Any]


def cycle_numbers(result: CycleResult, partition: Partition, rings: Sequence[Ring]) -> CycleNumbers:
    """Return the numbers of echoes and moduli; those of the summary are of the middle ring."""
    curves, ring = result.curves, rings[len(rings) // 2]
    arrays: dict[str, NDArray[Any]] = {
        "echo": curves.height,
        "echo_err": curves.height_err,
        "echo_lag": curves.lag,
        "echo_c2": curves.c2.astype(np.float32),
    }
    if curves.half_lag.size:
        arrays["half_echo"], arrays["half_echo_err"] = curves.half_height, curves.half_height_err
        arrays["half_echo_lag"] = curves.half_lag
    bins = {"bin": partition.numbers, "q": partition.q, "phi": partition.phi}
    with np.errstate(invalid="ignore", divide="ignore"):
        bins |= _of_decay(curves.decay)
        bins |= dict(zip(VELOCITY, (curves.velocity, curves.velocity_err, curves.velocity_below), strict=True))
    together = fit_relaxation(curves.g2, bins=ring.bins, together=True, opposite=opposite(partition, ring))
    by_cycle = _by_cycle(result, ring)
    summary: dict[str, Any] = {
        "n_cycles": curves.n_cycles,
        "cycle_frequency_hz": result.phase.frequency,
        "phase_err": result.phase.error,
        "phase_off": curves.off_phase,
        **_mean("cycle_strain", result.phase.amplitude),
        **{name: plain(values[0]) for name, values in _of_decay(together).items()},
        **_training(result, ring),
        "no_moduli": result.no_moduli or None,
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
        summary["cycles_changed"] = "; ".join(_notes(by_cycle)) or None
    return CycleNumbers(arrays, {"echoes": bins, "cycles": by_cycle}, summary)


def _of_decay(fit: Relaxation) -> dict[str, NDArray[Any]]:
    """Return the columns of decays; a share that returns is given only with its error."""
    columns = {name: getattr(fit, field) for field, (name, _) in DECAY.items()}
    columns["returning_share"] = np.where(np.isfinite(fit.static_err), fit.static, np.nan)
    return columns | {WHY: fit.no_tau}


def _training(result: CycleResult, ring: Ring) -> dict[str, float | None]:
    curves = result.curves
    before = max(result.first - int(np.floor(result.phase.phase[0])), 0)  # cycles of the record before the frames
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
            out[name] = np.where(of_row, np.bincount(row[mine], value, rows) / of_row, np.nan)
            squares = np.bincount(row[mine], error**2, rows)
            out[f"{name}_err"] = np.where(of_row, np.sqrt(squares) / of_row, np.nan)
    return out


def _notes(by_cycle: dict[str, NDArray[Any]]) -> tuple[str, ...]:
    """Return the notes of `change_together`, of the echo with G'."""
    names = ("cycle", "echo", "echo_err", "storage_pa", "storage_pa_err")
    known = np.isfinite([by_cycle[name] for name in names]).all(0)
    return change_together(*(by_cycle[name][known] for name in names))


def _mean(name: str, values: Floats) -> dict[str, float | None]:
    """Return the mean over the cycles, and its error."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {name: None, f"{name}_err": None}
    error = known.std(ddof=1) / np.sqrt(known.size) if known.size > 1 else np.nan
    return {name: float(known.mean()), f"{name}_err": plain(error)}


def judge_cycles(technique: "RheoXPCS", curves: EchoCurves, speckle_px: float, doubt: str | None) -> Judgement:
    """Judge a run that oscillates by its map of cycles, as if each cycle were a frame; see `judge`."""
    c2 = curves.c2.astype(np.float32)
    whole, _ = filled(c2)
    n = whole.shape[1]
    if n < FEWEST:
        doubt = doubt or f"{n} cycles: a p-value needs at least {FEWEST}"
    else:
        doubt = doubt or holes(c2, technique.partition.numbers) or None
    resize = reduction_operator("area", n, MOST).toarray()
    maps = (1 + resize @ (whole - 1) @ resize.T).astype(np.float32)
    photons, contrasts, cells = seen(curves, technique.rings, curves.n_cycles)
    technique = technique if doubt else technique.of_cycles
    return judge(technique, maps, photons, contrasts, speckle_px, doubt, cells)


def seen(
    curves: EchoCurves, rings: Sequence[Ring], n_cycles: int
) -> tuple[Floats, list[tuple[float, float] | None], Cells | None]:
    """Return photons, contrasts and cells of a map of so many cycles, as `judge` takes them, from as many or fewer.

    The noise is that of one phase: how much less that of the mean over phases is depends on the speckle they share. The
    contrast in the settings is that of a sample at rest, so it is not used.
    """
    of_rings = [contrast_within(ring, curves.g2) for ring in rings]
    contrasts = [pooled_contrast(each, None) if each[0] > KNOWN * each[1] else None for each in of_rings]
    n = n_cycles
    while n > MOST:
        n //= 2
    return curves.g2.counts * n_cycles, contrasts, Cells.of_whole(n)


@one_thread
def with_cycles(bank: Bank) -> Bank:
    """Return a bank with the kinds in `EXPOSURES` as well; its `id` changes with their dynamics."""
    rng = np.random.default_rng([0, 58])
    kinds = [kind for kind, n in EXPOSURES.items() for _ in range(n)]
    drawn = [cyclic(kind, rng) for kind in kinds]
    clean = [Clean.of(each, duty=0.0) for each in drawn]
    numbers = re.sub(r"\d+\.\d+(e[-+]\d+)?", lambda x: f"{float(x[0]):.6g}", repr(drawn))  # the same on any machine
    code = hashlib.sha256(numbers.encode()).hexdigest()[:12]
    return Bank([*bank.clean, *clean], [*bank.families, *kinds], id=f"{bank.id}+{code}")


def cyclic(kind: str, rng: np.random.Generator) -> Dynamics:
    """Draw the dynamics of a run of 1 s, of a kind in `EXPOSURES`."""
    drawn: dict[str, Any] = _trains(rng) if kind == "training" else _yields(rng)
    if rng.random() < 1 / 3:
        drawn["plateau"] = rng.uniform(0.1, 0.9)
    if rng.random() < 1 / 4:
        drawn |= {"anisotropy": rng.uniform(0.05, 0.45), "anisotropy_deg": rng.uniform(0, 180)}
    return Dynamics(family=kind, exponent=rng.uniform(0.6, 1.8), **drawn)


def _trains(rng: np.random.Generator) -> dict[str, float]:
    mu, onset, end = rng.uniform(0.15, 1.2), _log_uniform(rng, 5e-4, 0.03), _log_uniform(rng, 0.2, 100)
    passed = clock(Dynamics(family="", tau_s=1.0, ageing=mu, ageing_onset_s=onset), 1.0)
    return {"tau_s": float(passed) / end, "ageing": mu, "ageing_onset_s": onset}


def _yields(rng: np.random.Generator) -> dict[str, Any]:
    """Rejuvenate a sample whose rate has fallen by `factor` before the run, and does not change in it."""
    before = _log_uniform(rng, 0.2, 30)
    factor = min(_log_uniform(rng, 1.5, 60), 100 * before)
    return {
        "tau_s": before / factor,
        "ageing": 1.0,
        "ageing_onset_s": _NEVER,
        "age_s": _NEVER * (factor - 1),
        "rejuvenation": (rng.uniform(0.05, 0.95),),
    }


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
