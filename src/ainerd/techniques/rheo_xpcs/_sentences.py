"""The numbers of an exposure in words: what is measured, and how sure it is."""

from collections.abc import Iterator, Mapping
from typing import Any

SURE = 0.95  # of limits


def sentences(said: Mapping[str, Any]) -> list[str]:
    """What a result's summary says of the exposure, a sentence each."""
    return [*_relaxation(said), *_motion(said), *_left_out(said)]


def columns(said: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, str]:
    """The relaxation time with its error, or the limit there is of it, for the table of results."""
    return {"tau (s)": _tau(said)}


def bin_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Speckle, contrast, relaxation time and exponent of a row of the table of bins, as text; empty if not known."""
    known = {name: value for name, value in row.items() if value == value}
    return (
        str(known["speckle"]),
        _with_error(known, "contrast") if "contrast" in known else "",
        _tau(known),
        _with_error(known, "kww_exponent") if "kww_exponent" in known else "",
    )


def _tau(said: Mapping[str, Any]) -> str:
    if "tau_s" in said:
        return _with_error(said, "tau_s")
    limits = ("> ", "tau_s_above"), ("< ", "tau_s_below")
    return " ".join(f"{sign}{said[name]:.3g}" for sign, name in limits if name in said)


def _relaxation(said: Mapping[str, Any]) -> Iterator[str]:
    speckle = said.get("speckle")
    if speckle == "no":
        yield "no speckle: the contrast, of the first lags and within a frame, is no larger than its error"
        return
    if not {"tau_s", "tau_s_above", "tau_s_below"} & set(said) and said.get("misfit_p", 1.0) < 1e-3:
        yield f"g2 is no stretched exponential (p = {said['misfit_p']:.1g}): no relaxation time is given"
    elif "tau_s" in said:
        shape = f", exponent {_with_error(said, 'kww_exponent')}" if "kww_exponent" in said else ""
        yield f"tau = {_with_error(said, 'tau_s', 's')}{shape}"
    elif "tau_s_above" in said and "tau_s_below" in said:
        yield f"tau lies between {said['tau_s_above']:.3g} and {said['tau_s_below']:.3g} s ({SURE:.0%} each)"
    elif "tau_s_above" in said:
        yield f"it does not decay within the exposure: tau above {said['tau_s_above']:.3g} s ({SURE:.0%})"
    elif "tau_s_below" in said:
        yield f"it is faster than a frame: tau below {said['tau_s_below']:.3g} s ({SURE:.0%})"
    if "contrast" in said:
        yield f"contrast {_with_error(said, 'contrast')}"
    if said.get("plateau"):
        yield f"{_with_error(said, 'plateau')} of it does not decay"
    if said.get("bins_alike_p", 1.0) < 1e-3:
        yield f"the bins differ (p = {said['bins_alike_p']:.1g}): see the table bins"


def _motion(said: Mapping[str, Any]) -> Iterator[str]:
    for name, what in (("velocity_nm_s", "flow of"), ("velocity_spread_nm_s", "a spread of velocities of")):
        if name in said:
            direction = f", direction {_with_error(said, 'flow_direction_deg', 'degrees')} modulo 180"
            yield f"{what} {_with_error(said, name, 'nm/s')}{direction} (p = {said['flow_p']:.1g})"
    if "anisotropy" in said:
        direction = f", quickest along {_with_error(said, 'anisotropy_direction_deg', 'degrees')}"
        yield f"tau depends on azimuth: {_with_error(said, 'anisotropy')} in log tau{direction}"
    if "ageing_exponent" in said:
        yield f"tau goes with age to the power of {_with_error(said, 'ageing_exponent')} (p = {said['ageing_p']:.1g})"
    if "q_exponent" in said:
        yield f"tau goes with q to the power of -{_with_error(said, 'q_exponent')}"


def _left_out(said: Mapping[str, Any]) -> Iterator[str]:
    counts = [(said.get(f"{what}s_left_out", 0), what) for what in ("pixel", "frame")]
    if found := [f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n]:
        yield f"{' and '.join(found)} left out: see the table left_out"
    if "moved_s" in said:
        when = f"{said['moved_s']:.3g} s after the first frame"
        yield f"the picture changed for good {when}: did the beam or the sample move?"


def _with_error(said: Mapping[str, Any], name: str, unit: str = "") -> str:
    error = said.get(f"{name}_err")
    number = f"{said[name]:.3g}" if error is None else f"{said[name]:.3g} ± {error:.2g}"
    return f"{number} {unit}".rstrip()
