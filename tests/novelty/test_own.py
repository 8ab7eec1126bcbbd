"""p-values against the session: uniform for the same kind, small for another one."""

import numpy as np
import pytest
from scipy import stats

from ainerd.novelty import MOST, null_distances, own_p

WIDTH = 4.0


def kind(rng, n, size=1):
    """Exposures (size, n, d) of kinds whose spread differs from kind to kind."""
    spread = 0.3 * np.exp(rng.normal(0, 0.5, (size, 1, 1)))
    return (rng.normal(0, 3, (size, 1, 6)) + spread * rng.standard_normal((size, n, 6))).astype(np.float32)


@pytest.fixture(scope="module")
def null():
    return null_distances(kind(np.random.default_rng(0), MOST + 1, 800), WIDTH)


@pytest.mark.parametrize(("k", "least"), [(5, 0.43), (9, 0.43), (40, 0.3)])  # above MOST it is on the safe side
def test_exposures_of_the_same_kind_are_rarely_flagged(null, k, least):
    p = np.array([own_p(z[k], [z[:k]], null, WIDTH)[0] for z in kind(np.random.default_rng(1), k + 1, 1500)])
    assert (p <= 0.01).mean() <= 0.02 and least < (p <= 0.5).mean() < 0.57


def test_an_exposure_of_another_kind_is_flagged_and_the_nearest_group_counts(null):
    one, other = kind(np.random.default_rng(2), 8, 2)
    assert max(own_p(z, [one], null, WIDTH)[0] for z in other) <= 0.01
    p, of = own_p(other[7], [one, other[:7]], null, WIDTH)
    assert p > 0.01 and of == 1


@pytest.mark.parametrize("k", [1, 4])
def test_an_exposure_of_a_kind_with_few_earlier_ones_is_not_compared_with_other_kinds(null, k):
    one, other = kind(np.random.default_rng(2), 8, 2)
    assert own_p(other[7], [one, other[:k]], null, WIDTH) is None
    p, of = own_p(one[7], [one[:7], other[:k]], null, WIDTH)  # the small kind does not disturb the large one
    assert p > 0.01 and of == 0


def test_the_distance_follows_students_distribution():
    """It is the predictive one of a normal exposure whose variance has an inverse chi-squared prior."""
    rng, n = np.random.default_rng(4), 6000
    spread = np.sqrt(2 / rng.chisquare(2, (n, 1, 1)))  # as of the prior, for this width
    distances = null_distances((spread * rng.standard_normal((n, MOST + 1, 1))).astype(np.float32), 1 / 0.0693)
    for row, k in zip(distances, range(5, MOST + 1), strict=True):
        assert stats.kstest(row, lambda x, k=k: 2 * stats.t(k + 1).cdf(x) - 1).statistic < 0.025


def test_there_is_no_p_value_before_five_exposures(null):
    (z,) = kind(np.random.default_rng(3), 6)
    assert own_p(z[5], [z[:4]], null, WIDTH) is None and own_p(z[5], [], null, WIDTH) is None
    assert own_p(z[5], [z[:5]], null, WIDTH)[0] > 0
