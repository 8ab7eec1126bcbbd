"""Sentences and cells of tables about the numbers of an exposure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ainerd.words import number_of, rounded, value_with_error
from ainerd_xpcs.technique._part_panels import part_panels

SURE = 0.95  # confidence of limits
MISFIT_P = 1e-4  # below it no model describes g2
SURE_BIC = 10.0  # `flow_bic` of a flow
SURE_ERRORS = 3.0  # of the exponent of q
DIFFER_P = 1e-3  # below it the bins differ
CLOCK_P = 1e-3  # below it no clock describes the map
BINS_DIFFER = "the bins differ"  # why a run has no single relaxation time


def sentences(values: Mapping[str, Any]) -> list[str]:
    """Describe the summary of a result in plain sentences."""
    of_parts = [sentence for panels in part_panels() for sentence in panels.sentences(values)]
    return [*_clock(values), *_relaxation(values), *_motion(values), *of_parts, *_left_out(values)]


def details(values: Mapping[str, Any]) -> list[str]:
    """Describe the models and tests behind the summary of a result."""
    return [*_models(values), *_tests(values), *power_sentences(values)]


def bin_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Format speckle, contrast, relaxation time and exponent of a row of the table of bins; empty if unknown.

    The contrast of a bin without speckle is noise, and no number is given.
    """
    known = {name: value for name, value in row.items() if value == value and str(value)}
    if known["speckle"] == "no":
        known.pop("contrast", None)
    contrast, exponent = (with_error(known, x) if x in known else "" for x in ("contrast", "kww_exponent"))
    return str(known["speckle"]), contrast, tau_cell(known), exponent


def tau_cell(values: Mapping[str, Any]) -> str:
    """Format the relaxation time with its error; two, if the data do not decide between two models.

    Without one, give its limits or the reason, and when g2 - 1 has fallen to a half.

    Examples
    --------
    >>> tau_cell({"tau_s": 4.8, "tau_s_err": 0.2, "tau_s_or": 8.5, "tau_s_or_err": 0.3})
    '4.80 ± 0.20 or 8.50 ± 0.30'
    """
    if "tau_s" in values:
        return " or ".join(with_error(values, name) for name in ("tau_s", "tau_s_or") if name in values)
    limits, half = _limits(values, "tau_s"), half_cell(values)
    text = limits or str(values.get("no_tau", ""))
    return f"{text}; {half}" if half and ("tau_half_s" in values or not limits) else text


def half_cell(values: Mapping[str, Any]) -> str:
    """Format when g2 - 1 has fallen to a half of its value at the first lags, or the limits; empty if unknown."""
    half = with_error(values, "tau_half_s") if "tau_half_s" in values else _limits(values, "tau_half_s")
    return half and f"half at {half}"


def value_cell(values: Mapping[str, Any], name: str) -> str:
    """Format a number with its error; empty if it is unknown."""
    return with_error({x: value for x, value in values.items() if value == value}, name) if name in values else ""


def _limits(values: Mapping[str, Any], name: str) -> str:
    above, below = (rounded(values[limit]) if limit in values else "" for limit in (f"{name}_above", f"{name}_below"))
    return f"{above} to {below}" if above and below else f"> {above}" if above else below and f"< {below}"


def dynamics_cell(values: Mapping[str, Any]) -> str:
    """Format what the sample does, with its number: "slows × 3.1", "jumps at 37.1 s"; empty if unknown.

    Examples
    --------
    >>> dynamics_cell({"dynamics": "speeds up", "slows_by": 0.25}), dynamics_cell({"dynamics": "steady"})
    ('speeds up × 4', 'steady')
    """
    word = str(values.get("dynamics", ""))
    if word == "jumps":
        return f"jumps at {values.get('jumps_at', 'unknown times')}"
    if word in ("slows", "speeds up") and (factor := values.get("slows_by", 0)) > 0:
        return f"{word} × {rounded(max(factor, 1 / factor), 2)}"
    return word


def _clock(values: Mapping[str, Any]) -> Iterator[str]:
    """Say what the clock of the sample does."""
    word = values.get("dynamics")
    if word == "steady":
        yield "the dynamics are steady"
    elif word in ("slows", "speeds up"):
        factor, error = values["slows_by"], values.get("slows_by_err", 0.0)
        if factor < 1:
            factor, error = 1 / factor, error / factor**2
        of = {"by": factor, "by_err": error}
        yield f"the sample {word} by a factor of {with_error(of, 'by')} during the exposure"
    elif word == "jumps":
        yield f"the sample {dynamics_cell(values)}: see the table jumps"
    elif word == "oscillates":
        yield f"the rate of relaxation oscillates with a period of {with_error(values, 'rate_period_s', 's')}"
    elif word in CHANGES:
        yield CHANGES[word]


CHANGES = {
    "in bursts": "the sample relaxes in bursts",
    "varies": "the rate of relaxation varies",
    "not described": "one clock does not describe the map",
}


def _relaxation(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("speckle") == "no":
        yield "no speckle is seen: the contrast is no larger than its error"
        return
    if values.get("no_tau") == BINS_DIFFER:
        yield f"the bins differ: their relaxation times lie {within(values, 'tau_s', 's')}, see the table bins"
    elif tau := within(values, "tau_s", "s"):
        of_clock = {"jumps": " between the jumps"}.get(values.get("dynamics", ""), " at the mean rate")
        when = of_clock if values.get("g2_model") == "clock" else ""
        other = f" or {with_error(values, 'tau_s_or', 's')}" if "tau_s_or" in values else ""
        yield f"the relaxation time is {tau}{when}{other}" + (
            ": the data do not decide between two models" * bool(other)
        )
    elif "no_tau" in values:
        yield f"no relaxation time is given: {values['no_tau']}"
    yield from _without_model(values)
    if second := within(values, "tau2_s", "s"):
        yield f"a second relaxation time is {second}"
    if "contrast" in values:
        yield f"the contrast is {with_error(values, 'contrast')}"
    if values.get("plateau") and "+" in values.get("g2_model_or", "+"):
        yield f"{100 * values['plateau']:.0f} % of the contrast does not decay"
    if values.get("bins_alike_p", 1.0) < DIFFER_P and values.get("no_tau") != BINS_DIFFER:
        yield "the bins differ: see the table bins"


def _without_model(values: Mapping[str, Any]) -> Iterator[str]:
    """Give the time at which g2 - 1 has fallen to a half, and the share that is left."""
    if time := within(values, "tau_half_s", "s"):
        when = time if time.startswith("between") else f"{'at' if 'tau_half_s' in values else 'after'} {time}"
        yield f"the correlation g2 - 1 falls to half of its first value {when}"
    if "g2_left" in values:
        yield f"at the last lags {with_error(values, 'g2_left')} of its first value is left"


def _motion(values: Mapping[str, Any]) -> Iterator[str]:
    for name, label in (
        ("velocity_nm_s", "the sample flows at"),
        ("velocity_spread_nm_s", "velocities in the sample differ by"),
    ):
        if name in values:
            yield f"{label} {with_error(values, name, 'nm/s')},{_along(values)}"
    if values.get("flow_kind") == "unknown":
        moves = "it flows" if values["flow_bic"] > SURE_BIC else "its motion is fastest"
        yield f"{moves}{_along(values)}; the profile is not determined"
    if "anisotropy" in values:
        yield f"the sample relaxes fastest along {with_error(values, 'anisotropy_direction_deg', 'degrees')}"
    if abs(values.get("q_exponent", 0.0)) > SURE_ERRORS * values.get("q_exponent_err", 0.0):
        yield f"the relaxation time {'falls with q as a power law' if values['q_exponent'] > 0 else 'grows with q'}"


def _along(values: Mapping[str, Any]) -> str:
    if "flow_direction_deg" not in values:
        return ""
    return f" along {with_error(values, 'flow_direction_deg', 'degrees')} or the opposite"


def _models(values: Mapping[str, Any]) -> Iterator[str]:
    """Name the model of g2, its parameters, and how sure limits are."""
    if "tau_s" in values:
        shape = f", exponent {with_error(values, 'kww_exponent')}" if "kww_exponent" in values else ""
        yield f"model of g2: {values.get('g2_model', 'stretched')}{shape}{_decided(values)}"
        if values.get("g2_model_or"):
            tau = f", with the relaxation time {with_error(values, 'tau_s_or', 's')}" if "tau_s_or" in values else ""
            yield f"the model {values['g2_model_or']} fits as well{tau}"
    elif {"tau_s_above", "tau_s_below"} & {*values}:
        yield f"limits of the relaxation time hold with {SURE:.0%}"
    if "static_share" in values:
        yield f"static share {with_error(values, 'static_share')}"


def _decided(values: Mapping[str, Any]) -> str:
    """Say how many exposures chose the model, and with what odds."""
    if "g2_model_exposures" not in values:
        return ""
    n, odds = number_of(values["g2_model_exposures"], "exposure"), values["g2_model_odds"]
    do = "do not decide between it and another one" if "g2_model_or" in values else "prefer it together"
    return f"; {n} of this regime {do}, odds {rounded(max(odds, 1), 2)} to {rounded(max(1 / odds, 1), 2)}"


def _tests(values: Mapping[str, Any]) -> Iterator[str]:
    """Give the p-values of tests and the numbers that they are of."""
    if "no_tau" in values and values.get("misfit_p", 1.0) < MISFIT_P:
        yield f"misfit of g2: p = {values['misfit_p']:.1g}"
    if values.get("bins_alike_p", 1.0) < DIFFER_P:
        yield f"test of alike bins: p = {values['bins_alike_p']:.1g}"
    if {"velocity_nm_s", "velocity_spread_nm_s"} & {*values}:
        yield f"flow: p = {values['flow_p']:.1g}"
    if values.get("flow_kind") == "unknown":
        yield f"flow: p = {values['flow_p']:.1g}; misfit of its models: p = {values['flow_misfit_p']:.1g}"
    if "anisotropy" in values:
        yield f"anisotropy of log tau: {with_error(values, 'anisotropy')}"
    if "ageing_exponent" in values:
        power = with_error(values, "ageing_exponent")
        yield f"tau goes with the time since the exposure began to the power of {power}"
    if values.get("clock_p", 1.0) < CLOCK_P:
        yield f"misfit of the clock: p = {values['clock_p']:.1g}"


def power_sentences(values: Mapping[str, Any]) -> Iterator[str]:
    """Describe a power law of tau over q."""
    known = {name: value for name, value in values.items() if value is not None}
    if "q_exponent" in known:
        law = {"slope": -known["q_exponent"], "slope_err": known.get("q_exponent_err")}
        yield f"tau goes with q to the power of {with_error(law, 'slope')}"
    elif "no_q_exponent" in known:
        p = f" (p = {known['q_exponent_p']:.1g})" if "q_exponent_p" in known else ""
        yield f"no exponent of tau over q is given: {known['no_q_exponent']}{p}"
    if "diffusion_nm2_s" in known:
        yield f"diffusion: D = {with_error(known, 'diffusion_nm2_s', 'nm²/s')}"


def _left_out(values: Mapping[str, Any]) -> Iterator[str]:
    counts = [(values.get(f"{item}s_left_out", 0), item) for item in ("pixel", "frame")]
    if items := [number_of(n, item) for n, item in counts if n]:
        yield f"{' and '.join(items)} left out: see the table left_out"
    if "moved_s" in values:
        when = f"{rounded(values['moved_s'])} s after the first frame"
        yield f"the picture changed for good {when}: did the beam or the sample move?"


def within(values: Mapping[str, Any], name: str, unit: str) -> str:
    """Format a number of a result with its error, or the limits between which it lies; empty if both are unknown."""
    if name in values:
        return with_error(values, name, unit)
    above, below = (rounded(values[limit]) if limit in values else "" for limit in (f"{name}_above", f"{name}_below"))
    if above and below:
        return f"between {above} and {below} {unit}"
    return f"more than {above} {unit}" if above else below and f"less than {below} {unit}"


def with_error(values: Mapping[str, Any], name: str, unit: str = "") -> str:
    """Format a number of a result with its error and its unit."""
    value, error = values[name], values.get(f"{name}_err")
    return f"{rounded(value) if error is None else value_with_error(value, error)} {unit}".rstrip()
