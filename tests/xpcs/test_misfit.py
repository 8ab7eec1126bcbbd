"""Whether a model describes g2 is told by the scatter of its parts."""

import numpy as np
import pytest

from ainerd.xpcs._misfit import misfit
from ainerd.xpcs._speckle import Sample

LAG = np.arange(1.0, 61.0)
CURVE = 1 + 0.2 * np.exp(-2 * LAG / 20)


def sample(truth, seed, n_part=48, noise=0.02):
    """Parts whose lags vary together: a random walk over lags, as of speckle that all lags share."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(n_part, LAG.size)), axis=1) / np.sqrt(LAG.size)
    x = truth - 1 + noise * (walk + rng.normal(size=walk.shape))
    return Sample(LAG, np.full(n_part, 1 / n_part), x, x[:, 0])


def test_of_the_true_curve_small_chances_are_as_rare_as_they_say():
    p = np.array([misfit(sample(CURVE, seed), CURVE)[0] for seed in range(300)])
    assert 0.02 < np.mean(p < 0.05) < 0.085 and 0.4 < np.median(p) < 0.6


def test_an_echo_is_no_relaxation():
    echo = CURVE + 0.1 * np.exp(-(((LAG - 40) / 4) ** 2))
    p, size = misfit(sample(echo, 0), CURVE)
    assert p < 1e-6 and 0.3 < size < 0.8


def test_too_few_parts_say_nothing():
    assert np.isnan(misfit(sample(CURVE, 0, n_part=9), CURVE)).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_the_size_is_a_share_of_the_contrast(scale):
    s = sample(1 + scale * (CURVE - 1), 1, noise=0.02 * scale)
    assert misfit(s, 1 + 0.5 * scale * (CURVE - 1))[1] == pytest.approx(0.5, abs=0.05)
