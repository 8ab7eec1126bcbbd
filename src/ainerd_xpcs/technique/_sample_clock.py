"""The clock of a sample in the maps of a ring: its numbers and events, and the relaxation time that it allows.

Flow and clock exclude each other: where the bins of a ring show a flow, its beats are no relaxation.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.words import value_with_error
from ainerd_xpcs import numerics
from ainerd_xpcs.latent import SIZE, block_mean
from ainerd_xpcs.numerics import Clock
from ainerd_xpcs.technique._features import Ring, sectors_of

if TYPE_CHECKING:
    from ainerd_xpcs.technique._cells import Cells

CLOCK_FORMULA = (
    "C2(t1, t2) = 1 + contrast * ((1 - static) * exp(-|s(t1) - s(t2)|**exponent) + static)**2, clock = ds/dt"
)
FLOWS = "flows"
# Numbers of a ring by their names in results, and the fields of `Clock`.
CLOCK = {
    "advance": "advance", "advance_err": "advance_err", "slows_by": "slows_by", "slows_by_err": "slows_by_err",
    "ageing_exponent": "ageing_exponent", "ageing_exponent_err": "ageing_exponent_err",
    "rate_period_s": "rate_period", "rate_period_s_err": "rate_period_err", "clock_p": "p",
}  # fmt: skip
# Numbers of g2 that the clock gives instead, if the rate changes.
OF_RATE = {
    "tau_s": "tau", "tau_s_err": "tau_err", "kww_exponent": "exponent", "kww_exponent_err": "exponent_err",
}  # fmt: skip
CHANGING = ("slows", "speeds up", "oscillates", "in bursts", "varies")
AT_MEAN_RATE = ("slows", "speeds up", "oscillates", "jumps")
NO_TAU = {
    FLOWS: "the sample flows",
    "jumps": "the sample jumps, and does not relax in between",
    "in bursts": "the sample moves in bursts",
    "varies": "the rate varies too much",
    "not described": "one relaxation with one clock does not describe the map",
}
SURE_P = 1e-4  # below it a steady sample relaxes in another shape
NOT_KNOWN = "the rate changes, and the exposure does not determine its mean"
# Numbers of g2 that no model of the decay gives.
_WITHOUT_MODEL = ("speckle", "contrast", "contrast_err", "bins_alike_p", "misfit_p", "g2_errors")
_HALF = ("tau_half_s", "tau_half_s_err", "tau_half_s_above", "tau_half_s_below", "g2_left", "g2_left_err")
DIMS = dict.fromkeys(("clock", "clock_err", "clock_time"), ("clock_time",))
UNITS = {"clock": "1/s", "clock_err": "1/s", "clock_time": "s", "time": "s", "time_err": "s", "size": "1"}


def clock_of(
    ring: Ring, maps: NDArray[np.float32], photons: NDArray[np.float64], duration_s: float, cells: "Cells | None" = None
) -> Clock | None:
    """Fit the clock to the maps (n_roi, 256, 256) of all bins, with `photons` (n_roi,) per pixel; rows are filled.

    None if the map shows nothing: the sample relaxes within a cell, there is no speckle, or there are fewer pixels than
    cells along a time. Bins across the beam see the same and may share speckle, so they are averaged. `cells` are those
    of few frames.
    """
    if ring.n_pixels < SIZE:
        return None
    sectors = sectors_of(ring.pixels, ring.phi_deg, ring.phi_deg is not None)
    of_bins = block_mean(maps[ring.bins]) - 1
    few = len(sectors.n_pixels) < min(3, len(ring.bins))
    of_parts, n_pixels = (of_bins, ring.pixels) if few else (sectors.average(of_bins), sectors.n_pixels)
    shot = of_parts.shape[-1] / max(float(ring.weights @ photons[ring.bins]), 1e-9)
    shared = None if cells is None else cells.shot
    clock = numerics.fit_clock(of_parts, n_pixels, shot, duration=duration_s, shared=shared)
    return clock if np.isfinite(clock.p) else None


def clock_columns(clock: Clock | None, *, flows: bool) -> dict[str, Any]:
    """Return the word and the numbers of a ring by their names in results; "" and NaN where they are unknown."""
    known = None if flows else clock
    word = FLOWS if flows else "" if clock is None else clock.word
    numbers = {name: np.nan if known is None else getattr(known, field) for name, field in CLOCK.items()}
    return {"dynamics": word, **numbers}


def clock_arrays(clock: Clock) -> dict[str, NDArray[Any]]:
    """Return the rate of the clock over the exposure, with its standard error; nothing if it is unknown."""
    if not (clock.rate.size and np.isfinite(clock.rate).all()):
        return {}
    return {"clock": clock.rate, "clock_err": (clock.rate_high - clock.rate_low) / 2, "clock_time": clock.age}


def jumps_table(clock: Clock) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the table of the jumps; nothing without one."""
    names = ("time", "time_err", "size", "complete")
    columns = {name: np.array([getattr(each, name) for each in clock.events]) for name in names}
    return {"jumps": columns} if clock.events else {}


def jumps_at(clock: Clock) -> str:
    """Return when the sample jumps, for people: "12.3 ± 0.2 and 37.1 ± 0.2 s"."""
    times = [value_with_error(each.time, each.time_err) for each in clock.events]
    return f"{' and '.join(filter(None, [', '.join(times[:-1]), *times[-1:]]))} s" if times else ""


def relaxation_of(clock: Clock | None, fitted: Mapping[str, Any], *, flows: bool) -> dict[str, Any]:
    """Return what the clock changes in the numbers of g2 of a ring, which `fitted` has by their names in results.

    A steady sample keeps them, unless one relaxation does not describe its map, and g2 has no second one. Where the
    rate changes, the relaxation time is that at the mean rate, or there is none.
    """
    word = FLOWS if flows else "steady" if clock is None else clock.word
    if word == "steady":
        if clock is None or clock.p > SURE_P or str(fitted["g2_model"]).startswith("two"):
            return {}
        word = "not described"
    kept = _WITHOUT_MODEL + (_HALF if word in (FLOWS, "not described") else ())
    gone = {name: "" if isinstance(x, str) else np.nan for name, x in fitted.items() if name not in kept}
    if clock is not None and word in AT_MEAN_RATE and np.isfinite(clock.tau):
        given = {name: getattr(clock, field) for name, field in OF_RATE.items()}
        return gone | given | {"g2_model": "clock", "plateau": clock.static**2}
    return gone | {"no_tau": NO_TAU.get(word, NOT_KNOWN)}
