"""Training: how the decay of echoes slows down from the first cycles to later ones."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from ainerd_xpcs.numerics import SURE_P, AgeingFit, fit_ageing, g2_by_age

FEWEST_BINS, FEWEST_STRIPS = 8, 5


def fit_training(c2: ArrayLike, *, cycles_a_row: float = 1.0, cycles_before: float = 0.0) -> AgeingFit:
    """Fit tau ~ number^mu to a map of cycles with cycles, and tau of the first cycles and of later ones.

    The echoes are cut at octaves, or narrower, of the number of the cycle in the middle of a pair of cycles, which is 1
    for the first cycle of shear. Pairs further apart than this number are left out, because tau changes in between.
    `AgeingFit.age` are these numbers, times are in cycles, and `ageing_exponent` is mu: positive if fewer
    rearrangements come with each cycle.

    The errors of `fit_ageing` are widened for few bins: the weights of the fit come from the same scatter as its
    errors, so these are too small by the root of m / (m - 4) for m degrees of freedom.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, k, k)
        Maps of the bins of one ring, `EchoCurves.c2`: at least eight, whose scatter gives the errors.
    cycles_a_row : float
        `EchoCurves.cycles_a_row`.
    cycles_before : float
        Cycles of shear before the first one of the map.

    Raises
    ------
    ValueError
        If there are fewer than eight bins, or a number is impossible.

    Examples
    --------
    >>> number = 1 + np.arange(64)
    >>> worn = 2 * np.sqrt(number)  # 1 / tau falls as 1 / sqrt(number)
    >>> echo = 1 + 0.2 * np.exp(-0.2 * np.abs(np.subtract.outer(worn, worn)))
    >>> training = fit_training(echo + np.random.default_rng(0).normal(0, 0.004, (8, 64, 64)))
    >>> round(training.ageing_exponent, 1)
    0.5
    """
    maps = np.asarray(c2, dtype=float)
    maps = maps[np.isfinite(maps).any((1, 2))] if maps.ndim == 3 else maps  # those with light
    if maps.ndim != 3 or len(maps) < FEWEST_BINS:
        raise ValueError(f"training needs maps of {FEWEST_BINS} bins of one ring, got {maps.shape}")
    if not (cycles_a_row > 0 and cycles_before >= 0):
        raise ValueError(f"cycles_a_row and cycles_before must be positive, got {cycles_a_row}, {cycles_before}")
    first = (cycles_before + 0.5) / cycles_a_row  # rows from number 0 to the map's begin
    n = maps.shape[-1]
    begin, end = max(first, 1.0), first + n
    strips = max(FEWEST_STRIPS, int(np.ceil(np.log2(end / begin))))
    edges = np.geomspace(begin, end, strips + 1) - first
    ages, value = g2_by_age(maps, edges.tolist())
    lag, number = np.arange(1, n) * cycles_a_row, (ages + first)[:, None] * cycles_a_row
    fit = fit_ageing(lag, np.broadcast_to(number, value.shape[1:]), np.where(lag <= number, value, np.nan))
    freedom = len(maps) - 1
    wider = float(np.sqrt(freedom / (freedom - 4)))
    p = float(2 * student.sf(student.isf(fit.ageing_p / 2, freedom - 1) / wider, freedom - 1))
    sure = p < SURE_P
    return replace(
        fit,
        ageing_exponent=fit.ageing_exponent if sure else np.nan,
        ageing_exponent_err=fit.ageing_exponent_err * wider if sure else np.nan,
        ageing_p=p,
        tau_err=fit.tau_err * wider,
    )
