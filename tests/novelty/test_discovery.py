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


def test_the_shares_of_alpha_sum_to_one():
    assert sum(share(k) for k in range(200)) == pytest.approx(1, abs=1e-9)
    assert share(0) == share(5) > share(6) > share(7)


def test_no_false_discovery_in_most_nights_of_known_regimes(calibrated):
    rng = np.random.default_rng(1)
    p, z = regimes(600, rng)
    false, naive = 0, 0
    for _ in range(80):
        of, number = night((600, LOOKS), 12, rng)
        ranks, _ = calibrated.night(p[of, number], z[of, number], find, width=WIDTH, alpha=0.05)
        false += any(calibrated.p(rank) <= 0.05 * share(k) for k, rank in ranks.items())
        naive += (p[of, number] <= 0.05).any()
    assert false <= 9  # 4 are expected; more than 9 come by in one of 70 tries
    assert naive > 4 * max(false, 1)


def test_ranks_run_from_one_of_all_simulated_regimes_to_all_of_them(calibrated):
    n = calibrated.by_look.shape[1]
    assert calibrated.rank([1e-300]) == pytest.approx(1 / (n + 1)) and calibrated.rank([1.0]) == 1


def test_two_exposures_of_a_new_regime_suffice(calibrated):
    p, _ = regimes(300, np.random.default_rng(2), new=4.0)
    found = [calibrated.p(calibrated.rank(row[:2])) <= 0.05 * share(0) for row in p]
    assert np.mean(found) > 0.85


def test_looking_more_often_does_not_make_a_regime_less_new(calibrated):
    p = [0.001, 0.001, 0.9, 0.9]
    ranks = [calibrated.rank(p[:k]) for k in range(1, 5)]
    assert ranks == sorted(ranks, reverse=True)
    assert calibrated.rank([0.5] * LOOKS + [0.001] * 9) == calibrated.rank([0.5] * LOOKS)  # known once, quiet since


def test_each_discovery_is_reported_once(calibrated):
    claims = Discoveries(calibrated, 0.1)
    assert claims.update({3: []}) == {}
    one, two = [0.02], [0.02, 0.001]
    assert claims.update({3: one}) == {} and not claims.decides(3, [0.6])
    assert list(claims.update({3: [*two, 0.001]})) == [3] == list(claims.p_values)
    assert claims.update({3: [*two, 0.001, 0.001]}) == {}


def test_the_whole_sample_is_judged_by_its_largest_component(calibrated):
    rng = np.random.default_rng(4)
    p, z = regimes(600, rng)
    false = 0
    for _ in range(80):
        of, number = night((600, LOOKS), 12, rng)
        _, rank = calibrated.night(p[of, number], z[of, number], find, width=WIDTH, alpha=0.05)
        false += calibrated.p_of_sample(rank) <= 0.05
    assert false <= 9  # 4 are expected
    claims = Discoveries(calibrated, 0.05)
    assert claims.judge_sample([0.001, 0.001]) is None  # two exposures are not enough
    assert claims.judge_sample([0.001] * 3) <= 0.025 and claims.judge_sample([0.9] * 3) is not None  # the best look


def test_tables_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="by_look must be"):
        RegimeTest(np.ones((2, 5)), np.ones(3), np.ones(3))
