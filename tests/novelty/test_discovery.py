"""The p-value of a regime, and the division of alpha over regimes."""

import numpy as np
import pytest

from ainerd.novelty import LOOKS, Discoveries, RegimeTest, find_regimes, night, share

WIDTH = 3.0


def find(z, previous):
    return find_regimes(z, previous, width=WIDTH)


def regimes(n, rng, new=0.0, shared=0.9):
    """Return p-values and embeddings of six exposures of each regime, correlated by `shared`."""
    from scipy.stats import norm

    common = rng.standard_normal((n, 1))
    score = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.standard_normal((n, LOOKS)) + new
    z = 12 * rng.standard_normal((n, 1, 8)) + 0.3 * rng.standard_normal((n, LOOKS, 8))
    return np.maximum(norm.sf(score), 1 / 1000), z.astype(np.float32)


@pytest.fixture(scope="module")
def calibrated():
    rng = np.random.default_rng(0)
    p, z = regimes(2000, rng)
    return RegimeTest.calibrated(p, z, find, width=WIDTH, alpha=0.05, rng=rng, regimes=700, exposures=12)


def test_no_false_discovery_in_most_nights_of_known_regimes_and_the_largest_component_is_the_sample(calibrated):
    rng = np.random.default_rng(1)
    p, z = regimes(600, rng)
    false, naive, of_sample = 0, 0, 0
    for _ in range(80):
        of, number = night((600, LOOKS), 12, rng)
        ranks, whole = calibrated.night(p[of, number], z[of, number], find, width=WIDTH, alpha=0.05)
        of_sample += calibrated.p_of_sample(whole) <= 0.05
        false += any(calibrated.p(rank) <= 0.05 * share(k) for k, rank in ranks.items())
        naive += (p[of, number] <= 0.05).any()
    assert max(false, of_sample) <= 9  # 4 are expected; more than 9 come by in one of 70 tries
    assert naive > 4 * max(false, 1)


def test_ranks_and_p_values_are_those_counted():
    rng = np.random.default_rng(5)
    by_look = rng.exponential(size=(LOOKS, 40))
    test = RegimeTest(by_look, [0.3, 0.1, 0.5, 0.1], [0.6, 0.2])
    for n in (1, 2, 3, LOOKS, LOOKS + 3):
        p = rng.random(n)
        stranger = [(by_look[k] >= -np.log(p[: k + 1]).mean()).sum() for k in range(min(n, LOOKS))]
        assert test.rank(p) == (1 + min(stranger)) / 41
    assert test.rank([]) == test.rank([1.0]) == 1 and test.rank([1e-300]) == test.rank([0.0]) == 1 / 41
    assert [test.p(rank) for rank in (0.05, 0.1, 0.2, 0.3, 0.5)] == [1 / 5, 3 / 5, 3 / 5, 4 / 5, 1]
    assert [test.p_of_sample(rank) for rank in (0.1, 0.2, 0.6)] == [1 / 3, 2 / 3, 1]


def test_a_night_ranks_each_regime_alone_and_the_sample_by_its_largest_component(calibrated):
    of, number = np.array([0, 1, 0, 1, 1, 0, 2, 0, 0]), np.array([0, 0, 1, 1, 2, 2, 0, 3, 4])
    _, z = regimes(3, np.random.default_rng(6))
    usual, strange = [0.5, 0.9, 0.4, 0.7, 0.2], [0.02, 0.03, 0.02, 0.6, 0.4]
    for p in ([usual, strange, usual], [strange, usual, usual]):
        p = np.array(p)
        ranks, whole = calibrated.night(p[of, number], z[of, number], find, width=WIDTH, alpha=0.05)
        assert ranks == {0: calibrated.rank(p[0]), 1: calibrated.rank(p[1][:3]), 2: calibrated.rank(p[2][:1])}
        assert whole == min(calibrated.rank(p[1][:3]), calibrated.rank(p[0]))  # 1 has three exposures first
    _, whole = calibrated.night(p[of, number][:4], z[of, number][:4], find, width=WIDTH, alpha=0.05)
    assert whole == 1  # no component has three


def test_two_exposures_of_a_new_regime_suffice(calibrated):
    p, _ = regimes(300, np.random.default_rng(2), new=4.0)
    is_new = [calibrated.p(calibrated.rank(row[:2])) <= 0.05 * share(0) for row in p]
    assert np.mean(is_new) > 0.85


def test_looking_more_often_does_not_make_a_regime_less_new(calibrated):
    p = [0.001, 0.001, 0.9, 0.9]
    ranks = [calibrated.rank(p[:k]) for k in range(1, 5)]
    assert ranks == sorted(ranks, reverse=True)
    assert calibrated.rank([0.5] * LOOKS + [0.001] * 9) == calibrated.rank([0.5] * LOOKS)  # known once, quiet since


class Least:
    """Tells the least p-value of exposures as rank and as p-value; among its regimes the strangest has 0.0067."""

    by_look = np.array([[1.0, 5.0]])

    def rank(self, p):
        return min(p)

    def p(self, rank):
        return rank

    p_of_sample = p


def test_a_regime_is_new_at_its_share_of_half_of_alpha_and_the_sample_at_the_other_half():
    claims = Discoveries(Least(), 0.4)  # half of it is 0.2: shares are 0.03 for the first six, then 0.01, 0.005
    p_values = claims.update({0: [0.5, 0.0299], 5: [0.0301], 6: [0.0099], 7: [0.0051], 8: []})
    assert p_values == claims.p_values == {0: 0.0299, 6: 0.0099}
    assert claims.update({0: [0.001], 7: [0.0049], 5: [0.9]}) == {7: 0.0049} and len(claims.p_values) == 3
    assert [claims.decides(k, [0.6]) for k in (3, 6, 9)] == [True, True, False]  # with 0.0067, of 0.00125
    assert [claims.decides(3, [0.6] * n) for n in (0, 1, LOOKS - 1, LOOKS)] == [False, True, True, False]
    assert claims.judge_sample([0.201] * 3) is None and claims.judge_sample([0.1] * 2) is None
    assert claims.judge_sample([0.3, 0.9, 0.199]) == 0.199 == claims.judge_sample([0.9] * 3)
