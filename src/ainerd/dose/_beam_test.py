"""Whether the beam itself changes the dynamics: one spot at a low, a high and the low transmission again."""

import math
from dataclasses import dataclass
from typing import Self

from scipy.special import ndtr

from ainerd.technique import Pace

SURE = 0.01  # p-value below which an effect is stated
WIDE = 1.96


@dataclass(frozen=True)
class BeamVerdict:
    """The verdict of three exposures of a spot on effects of the beam.

    Attributes
    ----------
    has_effect : bool or None
        Whether tau depends on the transmission; None if that cannot be told.
    ratio, error : float or None
        Relaxation time at the high transmission over the mean of those at the low one, with its standard error.
    p : float or None
        Probability of such a ratio without an effect.
    text : str
        The verdict in a sentence.

    Examples
    --------
    >>> from ainerd.technique import Pace
    >>> same = Pace(tau_s=0.5, error_s=0.02, contrast=0.2)
    >>> BeamVerdict.of((same, same, same), low=0.1, high=1.0).has_effect
    False
    """

    has_effect: bool | None
    text: str
    ratio: float | None = None
    error: float | None = None
    p: float | None = None

    @classmethod
    def of(cls, paces: tuple[Pace, Pace, Pace], low: float, high: float) -> Self:
        """Return whether the beam changes the dynamics, from exposures at transmissions low, high and low again.

        The first and the last have the mean age and dose of the middle one, about, so that a steady change cancels. If
        they differ between each other, dose or age has changed the sample, and the sentence says so.
        """
        logs, variances = [], []
        for pace, transmission in zip(paces, (low, high, low), strict=True):
            if pace.tau_s is None or not pace.error_s:
                where = f"at transmission {transmission:.3g}"
                return cls(None, f"no verdict on the beam: no relaxation time was measured {where}")
            logs.append(math.log(pace.tau_s))
            variances.append((pace.error_s / pace.tau_s) ** 2)
        change = logs[1] - (logs[0] + logs[2]) / 2
        error = math.sqrt(variances[1] + (variances[0] + variances[2]) / 4)
        drift, drift_error = logs[2] - logs[0], math.sqrt(variances[0] + variances[2])
        p, drift_p = (float(2 * ndtr(-abs(x) / sd)) for x, sd in ((change, error), (drift, drift_error)))
        ratio = math.exp(change)
        of_low = f"{ratio:.2f} ± {ratio * error:.2f} of that at {low:.3g} (p = {p:.2g})"
        numbers = f"tau at transmission {high:.3g} is {of_low}"
        if p < SURE:
            text = f"the beam changes the dynamics: {numbers}"
        else:
            limits = " to ".join(f"{math.exp(change + side * WIDE * error):.2f}" for side in (-1, 1))
            text = f"no effect of the beam is seen: {numbers}; 95 % {limits}"
        if drift_p < SURE:
            text += f"; from the first to the last exposure tau changed by {math.expm1(drift):+.0%}: by dose, or by age"
        return cls(p < SURE, text, ratio, ratio * error, p)
