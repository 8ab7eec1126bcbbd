"""Regimes of exposures, how they are joined over age, and when they are settled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.metrics import adjusted_rand_score

from ainerd.steering._trials import (
    BACK,
    Stability,
    chance_new,
    join_aged,
    nearest_pairs,
    rand_index,
    regimes_at,
    verdict,
)

E = 8
NOISE = float(np.sqrt(2 * chi2.ppf(0.99, E)))  # of embeddings of unit variance


def drawn(seed, truth, spread, noise=1.0):
    """Embeddings of regimes whose means lie `spread` apart, in units of the noise."""
    rng = np.random.default_rng(seed)
    mean = spread * NOISE / np.sqrt(2) * np.eye(E)
    return (mean[truth] + noise * rng.normal(size=(len(truth), E))).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), truth=st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_regimes_beyond_the_noise_are_separate_and_numbered_by_appearance(seed, truth):
    labels = regimes_at(NOISE, drawn(seed, truth, spread=3, noise=0.6))  # of a few per cent with all of it one is cut
    assert adjusted_rand_score(truth, labels) == 1
    assert list(dict.fromkeys(labels)) == list(range(len(set(truth))))


def test_noise_alone_is_one_regime():
    several = [len(set(regimes_at(NOISE, drawn(seed, [0] * 60, 0)))) for seed in range(40)]
    assert np.mean(np.array(several) > 1) <= 0.05


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_does_not_matter(seed):
    z, order = np.random.default_rng(seed).normal(size=(20, E)), np.random.default_rng(seed + 1).permutation(20)
    assert adjusted_rand_score(regimes_at(2.0, z)[order], regimes_at(2.0, z[order])) == 1


def aged(seed, truth, age_s, decades=2.0):
    """Regimes that drift by `decades` times the noise in a decade of age, each along its own direction."""
    along = np.roll(np.eye(E), 4, axis=0)
    return drawn(seed, truth, 3) + decades * NOISE * along[truth] * np.log10(age_s)[:, None]


@pytest.mark.parametrize("seed", range(5))
def test_a_regime_that_ages_stays_one_and_two_stay_two(seed):
    age_s, truth = 60.0 * np.arange(10, 70), np.random.default_rng(seed).integers(0, 2, 60)
    z = aged(seed, truth, age_s)
    pieces = regimes_at(NOISE, z)
    assert len(set(pieces)) > 2
    labels = join_aged(NOISE, pieces, z, age_s)
    assert adjusted_rand_score(truth, labels) > 0.95 > adjusted_rand_score(truth, pieces)
    assert set(labels) <= set(pieces)


def test_without_ages_and_among_the_unassigned_nothing_is_joined():
    age_s, truth = 60.0 * np.arange(1, 61), np.zeros(60, dtype=int)
    z = aged(0, truth, age_s)
    pieces = regimes_at(NOISE, z)
    for unknown in ([np.nan] * 60, [60.0] * 60, [0.0, *age_s[1:]]):
        assert np.array_equal(join_aged(NOISE, pieces, z, unknown), pieces)
    pieces[::7] = -1
    assert np.array_equal(join_aged(NOISE, pieces, z, age_s) < 0, pieces < 0)


def test_the_joined_regime_is_called_as_its_latest_exposure():
    z = np.zeros((6, E), np.float32)
    labels = join_aged(1.0, np.array([4, 4, 2, 7, 2, 7]), z, 1.0 + np.arange(6))
    assert set(labels) == {7}


@pytest.mark.parametrize("sizes", [(40, 70), (3, 200), (1, 2), (200, 1)])
def test_the_nearest_pairs_of_many_are_those_of_all(sizes):
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=n) for n in sizes)
    of_all, of_neighbours = nearest_pairs(one, other), nearest_pairs(one, other, many=0)
    assert len(of_all[0]) == min(5, one.size * other.size)
    for a, b in zip(of_all, of_neighbours, strict=True):
        np.testing.assert_array_equal(a, b)


# whether they are settled


def record(stability, labels):
    stability.record(np.arange(len(labels)).astype(str).astype(object), np.array(labels))


def followed(labels, first=1):
    """A record of labels that came one by one."""
    stability = Stability()
    for n in range(first, len(labels) + 1):
        record(stability, labels[:n])
    return stability


def test_a_region_that_may_be_missed_comes_first():
    stop, why = verdict(0.31, 0.8, "0.9", Stability(), failed=0)
    assert not stop
    assert why == "a region of radius 0.8 may still be unseen, with a chance of 31 %; at 5 % the search is complete"


def test_it_waits_until_the_regimes_were_followed():
    short = followed([0] * BACK)
    stop, why = verdict(0.0, 1.0, "0.9", short, 0)
    assert not stop
    assert why.endswith("with a chance of 0 %, but the regimes must first stay the same over 8 exposures")
    assert verdict(0.0, 1.0, "0.9", followed([0] * (BACK + 1)), 0)[0]


def test_all_at_once_is_not_followed():
    assert "first stay the same" in verdict(0.0, 1.0, "0.9", followed([0] * 50, first=50), 0)[1]


def test_a_lone_exposure_among_the_last_holds_it_back():
    labels = [0, 1] * 6
    assert "regime 5 was seen only once" in verdict(0.0, 1.0, "0.9", followed([*labels, 5]), 0)[1]
    assert verdict(0.0, 1.0, "0.9", followed([*labels, 5, 5]), 0)[0]
    assert verdict(0.0, 1.0, "0.9", followed([5, *labels]), 0)[0]  # long ago: it was looked at and left


def test_regimes_that_split_hold_it_back():
    stability = followed([0] * 20)
    record(stability, [i % 2 for i in range(21)])
    assert "changed during the last 8" in verdict(0.0, 1.0, "0.9", stability, 0)[1]


def test_other_names_of_the_same_regimes_do_not():
    stability = followed([0, 1] * 10)
    record(stability, [7 + (i + 1) % 2 for i in range(21)])
    assert verdict(0.0, 1.0, "0.9", stability, 0)[0]


def test_fewer_exposures_than_before_are_followed_anew():
    stability = followed([0] * 20)
    record(stability, [0] * 12)
    assert "first stay the same" in str(stability.objection())


@pytest.mark.parametrize(
    ("labels", "failed", "words"),
    [
        ([0, 1] * 8, 0, "2 regimes, unchanged over the last 8 exposures"),
        ([0] * 16, 1, "1 regime, unchanged over the last 8 exposures; 1 position failed: no regime is known there"),
        ([-1] * 16, 2, "no regimes were named; 2 positions failed"),
    ],
)
def test_the_reason_gives_the_coverage(labels, failed, words):
    stop, why = verdict(0.04, 0.5, "0.9", followed(labels), failed)
    assert stop and words in why
    assert why.startswith(
        "a region of radius 0.5 may still be unseen, with a chance of 4 %, but none of radius 0.9 or more;"
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=30))
def test_the_rand_index_is_that_of_scikit_learn(labels):
    then, now = ([pair[i] for pair in labels] for i in range(2))
    assert rand_index(then, now) == pytest.approx(adjusted_rand_score(then, now), abs=1e-12)


def test_the_chance_of_a_new_regime_is_the_share_of_new_ones_among_such_p_values():
    rng = np.random.default_rng(0)
    is_new = rng.random(400_000) < 0.2  # odds of a quarter
    p = rng.random(is_new.size) ** np.where(is_new, 5, 1)  # distributed as p to the power of -0.8, and evenly
    for low, high in ((1e-4, 1e-3), (1e-3, 0.01), (0.01, 0.1), (0.5, 1.0)):
        some = (low < p) & (p < high)
        assert chance_new(p[some]).mean() == pytest.approx(is_new[some].mean(), rel=0.06)


def test_groups_whose_nearest_pairs_in_age_are_alike_are_joined():
    """Two groups are one if five pairs nearest in the logarithm of age differ by the noise or less on average."""
    age = np.array([1.0, 2, 4, 8, 16, 32.0])
    labels = np.array([0, 0, 0, 1, 1, 1])
    for x, joined in ((1.0, True), (1.01, False)):
        z = np.array([[0.0], [0], [0], [x], [x], [x]], np.float32)
        assert (len(set(join_aged(1.0, labels, z, age))) == 1) is joined
    # of the nine pairs those of 4 and 8, then 2 and 8, 4 and 16, then two of 1 and 8, 2 and 16, 4 and 32 count
    z = np.array([[50.0], [0], [0], [1], [1], [50]], np.float32)
    distances = [1, 1, 1, 49, 1]
    mean = np.mean(distances)
    assert len(set(join_aged(mean + 0.01, labels, z, age))) == 1 < len(set(join_aged(mean - 0.01, labels, z, age)))
    three = np.array([0, 1, 2, 0, 1, 2])  # the nearest two are joined first, and then compared with the third
    z = np.array([[0.0], [0.9], [1.9], [0], [0.9], [1.9]], np.float32)
    assert join_aged(1.0, three, z, age).tolist() in ([1, 1, 2, 1, 1, 2], [2] * 6)


def test_the_labels_of_eight_exposures_back_are_compared():
    stability = followed([0] * 10)
    assert [len(labels) for _, labels in stability._past] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert stability.n_regimes == 1 and Stability().n_regimes == 0
    late = followed([0] * 5)
    for n in range(6, 14):
        record(late, [0] * (n - 1) + [1] if n < 13 else [0] * 11 + [1] * 2)
    assert late.objection() is None and late.n_regimes == 2
