import numpy as np
import pytest

from ainerd.steering._trials import BACK, Stability, verdict


def record(stability, labels):
    stability.record(np.arange(len(labels)).astype(str).astype(object), np.array(labels))


def followed(labels, first=1):
    """A record of labels that came one by one."""
    stability = Stability()
    for n in range(first, len(labels) + 1):
        record(stability, labels[:n])
    return stability


def test_a_region_that_may_be_missed_comes_first():
    stop, why = verdict(0.31, 0.8, Stability(), failed=0)
    assert not stop
    assert why == "the chance that a region of radius 0.8 was missed is 0.31, more than 0.05"


def test_it_waits_until_the_regimes_were_followed():
    short = followed([0] * BACK)
    stop, why = verdict(0.0, 1.0, short, 0)
    assert not stop
    assert why.endswith("was missed is 0.00, but the regimes were not yet followed over 8 exposures")
    assert verdict(0.0, 1.0, followed([0] * (BACK + 1)), 0)[0]


def test_all_at_once_is_not_followed():
    assert "not yet followed" in verdict(0.0, 1.0, followed([0] * 50, first=50), 0)[1]


def test_a_lone_exposure_among_the_last_holds_it_back():
    labels = [0, 1] * 6
    assert "regime 5 rests on a single one" in verdict(0.0, 1.0, followed([*labels, 5]), 0)[1]
    assert verdict(0.0, 1.0, followed([*labels, 5, 5]), 0)[0]
    assert verdict(0.0, 1.0, followed([5, *labels]), 0)[0]  # long ago: it was looked at and left


def test_regimes_that_split_hold_it_back():
    stability = followed([0] * 20)
    record(stability, [i % 2 for i in range(21)])
    assert "changed over the last 8" in verdict(0.0, 1.0, stability, 0)[1]


def test_other_names_of_the_same_regimes_do_not():
    stability = followed([0, 1] * 10)
    record(stability, [7 + (i + 1) % 2 for i in range(21)])
    assert verdict(0.0, 1.0, stability, 0)[0]


def test_fewer_exposures_than_before_are_followed_anew():
    stability = followed([0] * 20)
    record(stability, [0] * 12)
    assert "not yet followed" in str(stability.objection())


@pytest.mark.parametrize(
    ("labels", "failed", "words"),
    [
        ([0, 1] * 8, 0, "2 regimes, unchanged over the last 8 exposures"),
        ([0] * 16, 1, "1 regime, unchanged over the last 8 exposures; 1 position failed, what is there is not known"),
        ([-1] * 16, 2, "no regimes were named; 2 positions failed"),
    ],
)
def test_the_reason_gives_the_coverage(labels, failed, words):
    stop, why = verdict(0.04, 0.5, followed(labels), failed)
    assert (
        stop and why.startswith("covered: the chance that a region of radius 0.5 was missed is 0.04; ") and words in why
    )
