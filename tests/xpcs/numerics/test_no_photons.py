"""Counts that cannot be photons: the chance of equal frames, histograms and contrasts, against counts by hand."""

import numpy as np
from scipy.stats import poisson

from ainerd_xpcs.numerics._faults_of_counts import no_photons, no_relaxation


def photons(*means, n=10**6):
    """The histogram of a mixture of Poisson distributions."""
    return np.rint(n * np.mean([poisson.pmf(np.arange(40), mean) for mean in means], axis=0)).astype(int)


def test_any_mixture_of_photons_is_one_and_other_counts_are_named():
    for means in ((0.01,), (0.5,), (4.0,), (0.1, 3.0, 9.0), (12.0,)):
        assert no_photons(photons(*means)) is None is no_relaxation(photons(*means))
    assert no_photons(np.zeros(8, int)) is None is no_photons(np.array([9, 0, 0]))
    three = np.zeros(40, int)
    three[::3] = photons(1.0)[:14]
    assert no_photons(three) == "all counts are multiples of 3" and no_relaxation(three) is None
    moved = np.roll(photons(2.0), 2)
    assert no_photons(moved) == no_relaxation(moved) == "no pixel counts less than 2"
    often = photons(2.0)
    often[4] *= 3
    assert no_photons(often) == "more pixels count 4 than photons allow" and no_relaxation(often) is None
    for share, is_low in ((0.149, False), (0.151, True)):
        cut = np.array([1e6 * (1 - share) * 0.6, 1e6 * (1 - share) * 0.4, 1e6 * share]).astype(int)
        cut = np.append(cut, np.zeros(5, int))
        cut[2] += 10**6 - cut.sum()
        why = no_photons(cut)
        assert why is None or why == "counts end at 2, as if they were cut off there"
        low = np.array([int(1e6 * (1 - share)), int(1e6 * share), 0])
        assert no_photons(low) is not None and (no_relaxation(low) is not None) is is_low
