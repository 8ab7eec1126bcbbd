"""Sentences and cells of tables about the numbers of an exposure."""

from collections.abc import Iterator, Mapping
from typing import Any

SURE = 0.95  # confidence of limits
MISFIT_P = 1e-4  # below it no model describes g2


def sentences(values: Mapping[str, Any]) -> list[str]:
    """Describe the summary of a result in sentences."""
    return [*_relaxation(values), *_motion(values), *_left_out(values)]


def bin_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Format speckle, contrast, relaxation time and exponent of a row of the table of bins; empty if unknown.

    The contrast of a bin without speckle is noise, and no number is given.
    """
    known = {name: value for name, value in row.items() if value == value and str(value)}
    if known["speckle"] == "no":
        known.pop("contrast", None)
    contrast, exponent = (_with_error(known, x) if x in known else "" for x in ("contrast", "kww_exponent"))
    return str(known["speckle"]), contrast, tau_cell(known), exponent


def tau_cell(values: Mapping[str, Any]) -> str:
    """Format the relaxation time with its error, and that of another model; without one, its limits or the reason."""
    if "tau_s" in values:
        return " or ".join(_with_error(values, name) for name in ("tau_s", "tau_s_or") if name in values)
    limits = ("> ", "tau_s_above"), ("< ", "tau_s_below")
    text = " ".join(f"{sign}{values[name]:.3g}" for sign, name in limits if name in values)
    return text or str(values.get("no_tau", ""))


def _relaxation(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("speckle") == "no":
        yield "no speckle: the contrast, of the first lags and within a frame, is no larger than its error"
        return
    if "tau_s" in values:
        shape = f", exponent {_with_error(values, 'kww_exponent')}" if "kww_exponent" in values else ""
        yield f"tau = {_with_error(values, 'tau_s', 's')}{shape}{_model(values)}"
    elif "tau_s_above" in values and "tau_s_below" in values:
        yield f"tau lies between {values['tau_s_above']:.3g} and {values['tau_s_below']:.3g} s ({SURE:.0%} each)"
    elif "tau_s_above" in values:
        yield f"it does not decay within the exposure: tau above {values['tau_s_above']:.3g} s ({SURE:.0%})"
    elif "tau_s_below" in values:
        yield f"it is faster than a frame: tau below {values['tau_s_below']:.3g} s ({SURE:.0%})"
    elif "no_tau" in values:
        why = values["no_tau"] + (f" (p = {values['misfit_p']:.1g})" if values.get("misfit_p", 1.0) < MISFIT_P else "")
        yield f"no relaxation time is given: {why}"
    if "tau2_s" in values:
        yield f"a second mode has tau = {_with_error(values, 'tau2_s', 's')}"
    elif "tau2_s_above" in values:
        yield f"a second mode has tau above {values['tau2_s_above']:.3g} s ({SURE:.0%})"
    if "contrast" in values:
        yield f"contrast {_with_error(values, 'contrast')}"
    if values.get("plateau"):
        yield f"{_with_error(values, 'plateau')} of it does not decay"
    if values.get("bins_alike_p", 1.0) < 1e-3:
        yield f"the bins differ (p = {values['bins_alike_p']:.1g}): see the table bins"


def _model(values: Mapping[str, Any]) -> str:
    """Name the model, if it is not a single stretched exponential."""
    model, other = values.get("g2_model", "stretched"), values.get("g2_model_or", "")
    if model == "stretched" and not other:
        return ""
    if "tau_s_or" in values:
        other = f"{other} with tau = {_with_error(values, 'tau_s_or', 's')}"
    return f" ({model}, or as well {other})" if other else f" ({model})"


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
    yield from power_sentences(values)


def power_sentences(values: Mapping[str, Any]) -> Iterator[str]:
    """Describe a power law of tau over q."""
    known = {name: value for name, value in values.items() if value is not None}
    if "q_exponent" in known:
        yield f"tau goes with q to the power of -{_with_error(known, 'q_exponent')}"
    elif "q_exponent_p" in known:
        yield f"tau over q is no power law (p = {known['q_exponent_p']:.1g})"
    if "diffusion_nm2_s" in known:
        yield f"diffusion: D = {_with_error(known, 'diffusion_nm2_s', 'nm²/s')}"


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
