"""The numbers of an exposure in sentences, with their errors or limits."""

from collections.abc import Iterator, Mapping
from typing import Any

SURE = 0.95  # confidence of limits


def sentences(values: Mapping[str, Any]) -> list[str]:
    """Describe the summary of a result in sentences."""
    return [*_relaxation(values), *_motion(values), *_left_out(values)]


def columns(values: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, str]:
    """Return the relaxation time with its error, or its limits, for the table of results."""
    return {"tau (s)": _tau(values)}


def bin_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Format speckle, contrast, relaxation time and exponent of a row of the table of bins; empty if unknown."""
    known = {name: value for name, value in row.items() if value == value}
    return (
        str(known["speckle"]),
        _with_error(known, "contrast") if "contrast" in known else "",
        _tau(known),
        _with_error(known, "kww_exponent") if "kww_exponent" in known else "",
    )


def _tau(values: Mapping[str, Any]) -> str:
    if "tau_s" in values:
        return _with_error(values, "tau_s")
    limits = ("> ", "tau_s_above"), ("< ", "tau_s_below")
    return " ".join(f"{sign}{values[name]:.3g}" for sign, name in limits if name in values)


def _relaxation(values: Mapping[str, Any]) -> Iterator[str]:
    speckle = values.get("speckle")
    if speckle == "no":
        yield "no speckle: the contrast, of the first lags and within a frame, is no larger than its error"
        return
    if not {"tau_s", "tau_s_above", "tau_s_below"} & set(values) and values.get("misfit_p", 1.0) < 1e-3:
        yield f"g2 is no stretched exponential (p = {values['misfit_p']:.1g}): no relaxation time is given"
    elif "tau_s" in values:
        shape = f", exponent {_with_error(values, 'kww_exponent')}" if "kww_exponent" in values else ""
        yield f"tau = {_with_error(values, 'tau_s', 's')}{shape}"
    elif "tau_s_above" in values and "tau_s_below" in values:
        yield f"tau lies between {values['tau_s_above']:.3g} and {values['tau_s_below']:.3g} s ({SURE:.0%} each)"
    elif "tau_s_above" in values:
        yield f"it does not decay within the exposure: tau above {values['tau_s_above']:.3g} s ({SURE:.0%})"
    elif "tau_s_below" in values:
        yield f"it is faster than a frame: tau below {values['tau_s_below']:.3g} s ({SURE:.0%})"
    if "contrast" in values:
        yield f"contrast {_with_error(values, 'contrast')}"
    if values.get("plateau"):
        yield f"{_with_error(values, 'plateau')} of it does not decay"
    if values.get("bins_alike_p", 1.0) < 1e-3:
        yield f"the bins differ (p = {values['bins_alike_p']:.1g}): see the table bins"


def _motion(values: Mapping[str, Any]) -> Iterator[str]:
    for name, label in (("velocity_nm_s", "flow of"), ("velocity_spread_nm_s", "a spread of velocities of")):
        if name in values:
            direction = f", direction {_with_error(values, 'flow_direction_deg', 'degrees')} modulo 180"
            yield f"{label} {_with_error(values, name, 'nm/s')}{direction} (p = {values['flow_p']:.1g})"
    if "anisotropy" in values:
        direction = f", quickest along {_with_error(values, 'anisotropy_direction_deg', 'degrees')}"
        yield f"tau depends on azimuth: {_with_error(values, 'anisotropy')} in log tau{direction}"
    if "ageing_exponent" in values:
        power = f"tau goes with age to the power of {_with_error(values, 'ageing_exponent')}"
        yield f"{power} (p = {values['ageing_p']:.1g})"
    if "q_exponent" in values:
        yield f"tau goes with q to the power of -{_with_error(values, 'q_exponent')}"


def _left_out(values: Mapping[str, Any]) -> Iterator[str]:
    counts = [(values.get(f"{item}s_left_out", 0), item) for item in ("pixel", "frame")]
    if items := [f"{n} {item}{'s' * (n != 1)}" for n, item in counts if n]:
        yield f"{' and '.join(items)} left out: see the table left_out"
    if "moved_s" in values:
        when = f"{values['moved_s']:.3g} s after the first frame"
        yield f"the picture changed for good {when}: did the beam or the sample move?"


def _with_error(values: Mapping[str, Any], name: str, unit: str = "") -> str:
    error = values.get(f"{name}_err")
    number = f"{values[name]:.3g}" if error is None else f"{values[name]:.3g} ± {error:.2g}"
    return f"{number} {unit}".rstrip()
