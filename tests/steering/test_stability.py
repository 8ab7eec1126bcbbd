"""Regimes of exposures, and when they are settled."""

import numpy as np
import pytest

from ainerd.steering._propose import chance_new, verdict
from ainerd.steering._stability import BACK, Stability

# whether they are settled


def record(stability, labels):
    stability.record(np.array(labels))


def followed(labels, first=1):
    """A record of labels that came one by one."""
    stability = Stability()
    for n in range(first, len(labels) + 1):
        record(stability, labels[:n])
    return stability


def test_a_region_that_may_be_missed_comes_first():
    stop, why = verdict(0.31, 0.8, "0.9", Stability(), n_failed=0)
    assert not stop
    assert why == "a region of radius 0.8 could still hide in 31 % of the sample; at 5 % the search is complete"


def test_it_waits_until_the_regimes_were_followed():
    short = followed([0] * BACK)
    stop, why = verdict(0.0, 1.0, "0.9", short, 0)
    assert not stop
    assert why.endswith("hide in only 0 % of the sample, but the regimes must first stay the same over 8 exposures")
    assert verdict(0.0, 1.0, "0.9", followed([0] * (BACK + 1)), 0)[0]


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
    assert why.startswith("a region of radius 0.5 could hide in only 4 % of the sample, and nowhere one of radius 0.9;")


def test_the_chance_of_a_new_regime_is_the_share_of_new_ones_among_such_p_values():
    rng = np.random.default_rng(0)
    is_new = rng.random(400_000) < 0.2  # odds of a quarter
    p = rng.random(is_new.size) ** np.where(is_new, 5, 1)  # distributed as p to the power of -0.8, and evenly
    for low, high in ((1e-4, 1e-3), (1e-3, 0.01), (0.01, 0.1), (0.5, 1.0)):
        some = (low < p) & (p < high)
        assert chance_new(p[some]).mean() == pytest.approx(is_new[some].mean(), rel=0.06)


def test_the_labels_of_eight_exposures_back_are_compared():
    stability = followed([0] * 10)
    assert [len(labels) for labels in stability._past] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert stability.n_regimes == 1 and Stability().n_regimes == 0
    late = followed([0] * 5)
    for n in range(6, 14):
        record(late, [0] * (n - 1) + [1] if n < 13 else [0] * 11 + [1] * 2)
    assert late.objection() is None and late.n_regimes == 2
