"""Effect of lost photons on the contrast, as documented in limits.md."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from ainerd_xpcs.numerics import MultiTau, Partition, fit_relaxation

MODES = 3


def test_lost_photons_lower_the_contrast():
    """A detector of dead time d (in frames) counts N / (1 + N d) of N photons, so bright speckles lose more."""
    rng, dead, photons = np.random.default_rng(0), 0.05, 5.0
    partition = Partition.from_roi_map(np.ones((40, 50), int))
    bright = gamma(MODES, scale=photons / MODES)
    truth = bright.rvs((1, 2000), random_state=rng)
    seen = rng.poisson(truth / (1 + dead * truth), (400, 2000))  # static: the same speckles in all frames
    correlator = MultiTau(partition)
    correlator.push(seen.astype(np.uint16))
    fit = fit_relaxation(correlator.result())
    mean, square = (quad(lambda x, n=n: (x / (1 + dead * x)) ** n * bright.pdf(x), 0, 60)[0] for n in (1, 2))
    expected = square / mean**2 - 1
    assert expected < 0.75 / MODES
    assert fit.contrast[0] == pytest.approx(expected, abs=4 * fit.contrast_err[0])
    assert fit.contrast[0] + 4 * fit.contrast_err[0] < 1 / MODES
