"""Statements about a curve of g2, tested against the curve: how far it falls, in errors of its own."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._relaxation import NO_DECAY, NO_SPECKLE, SLOW, UNSURE

Floats = NDArray[np.float64]
CONTRADICTED = 5.0  # errors by which a curve contradicts "no speckle" and "does not decay"
HALF_CONTRADICTED = 3.0  # the same of "slower than the lags", which a fall below a half contradicts
_FIRST, _LAST = (3, 8, 16), (3, 8)  # numbers of lags at either end whose mean counts as the value there
_BANDS = 8


class Fall(NamedTuple):
    """The fall of g2 - 1 from its first to its last lags, with its standard error.

    `below_half` is the number of errors by which the value at the last lags is below a half of that at the first.
    """

    value: float
    error: float
    below_half: float

    @property
    def is_seen(self) -> bool:
        """Whether the curve contradicts that it does not decay."""
        return self.value > CONTRADICTED * self.error


def fall_of(value: Floats, covariance: Floats) -> Fall:
    """Return the fall of g2 - 1, `value` (n,), within the lags.

    The values at the ends are means over 3, 8 or 16 first and 3 or 8 last lags. Of these falls the one counts that has
    the most errors. The covariance (n, n) is NaN on the diagonal at lags that are not used.
    """
    use = np.isfinite(np.diag(covariance)) & np.isfinite(value)
    if use.sum() < 2 * _FIRST[0]:
        return Fall(np.nan, np.nan, np.nan)
    value, covariance = value[use], covariance[np.ix_(use, use)]
    falls = [_over(value, covariance, *ends) for ends in _ends(value.size)]
    best = max(falls, key=lambda fall: abs(fall.value) / fall.error)
    return best._replace(below_half=max(fall.below_half for fall in falls))


def _ends(n: int) -> Iterator[tuple[int, int]]:
    return ((a, b) for a in _FIRST for b in _LAST if a + b <= n)


def _over(value: Floats, covariance: Floats, n_first: int, n_last: int) -> Fall:
    first, last = np.zeros((2, value.size))
    first[:n_first], last[-n_last:] = 1 / n_first, 1 / n_last
    down, half = first - last, 0.5 * first - last
    below_half = half @ value / np.sqrt(half @ covariance @ half)
    return Fall(float(down @ value), float(np.sqrt(down @ covariance @ down)), float(below_half))


def errors_from_zero(value: Floats, covariance: Floats) -> float:
    """Return the most errors by which a lag, or the mean of a band of neighbouring lags, differs from zero."""
    use = np.isfinite(np.diag(covariance)) & np.isfinite(value)
    value, covariance = value[use], covariance[np.ix_(use, use)]
    bands = np.zeros((_BANDS, value.size))
    for row, band in zip(bands, np.array_split(np.arange(value.size), _BANDS), strict=True):
        row[band] = 1 / np.diag(covariance)[band]
    means = np.concatenate([np.eye(value.size), bands[bands.any(1)]])
    return float(np.max(np.abs(means @ value) / np.sqrt(np.einsum("ij,jk,ik->i", means, covariance, means))))


def allowed(why: str, value: Floats, covariance: Floats) -> str:
    """Return why a curve g2 - 1, (n,), has no relaxation time: `why`, or a weaker reason if the curve contradicts it.

    The covariance (n, n) is NaN on the diagonal at lags that are not used.
    """
    if why == NO_SPECKLE and errors_from_zero(value, covariance) > CONTRADICTED:
        use = np.isfinite(np.diag(covariance)) & np.isfinite(value)
        why = NO_DECAY if np.average(value[use], weights=1 / np.diag(covariance)[use]) > 0 else UNSURE
    if why in (NO_DECAY, SLOW):
        fall = fall_of(value, covariance)
        if why == NO_DECAY and fall.is_seen:
            why = SLOW
        if why == SLOW and fall.below_half > HALF_CONTRADICTED:
            why = UNSURE
    return why
