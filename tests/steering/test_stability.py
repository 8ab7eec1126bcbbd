"""Regimes of exposures, and when they are settled."""

import numpy as np
import pytest

from ainerd.steering import Exposures, Search, should_stop

EVERYWHERE = np.linspace(0, 10, 21)


def verdict(*labels, radius=0.8, n_failed=0):
    """Whether to stop, and why: the labels of exposures everywhere on a line, each time one more came."""
    exposures = Exposures(["x"])
    for some in labels:
        for i in range(len(exposures), len(some)):
            exposures.add(str(i), {"x": EVERYWHERE[i * len(EVERYWHERE) // len(labels[-1])]}, [])
        exposures["regime"][:] = some
        exposures.settle()
    failed = [{"x": 5.0}] * n_failed
    return should_stop(exposures, failed, Search.of({"x": (0.0, 10.0)}, smallest_feature=radius))


def followed(labels, first=1):
    """Labels that came one by one."""
    return [labels[:n] for n in range(first, len(labels) + 1)]


def test_it_waits_until_the_regimes_were_followed():
    stop, why = verdict(*followed([0] * 20, first=13))
    assert not stop
    assert why.endswith("hide in only 0 % of the sample, but the regimes must first stay the same over 8 exposures")
    assert verdict(*followed([0] * 20, first=12))[0]


def test_a_lone_exposure_among_the_last_holds_it_back():
    labels = [0, 1] * 10
    assert "regime 5 was seen only once" in verdict(*followed([*labels, 5]))[1]
    assert verdict(*followed([*labels, 5, 5]))[0]
    assert verdict(*followed([5, *labels]))[0]  # long ago: it was looked at and left


def test_regimes_that_split_hold_it_back_and_other_names_of_the_same_do_not():
    assert "changed during the last 8" in verdict(*followed([0] * 20), [i % 2 for i in range(21)])[1]
    assert verdict(*followed([0, 1] * 10), [7 + i % 2 for i in range(21)])[0]


@pytest.mark.parametrize(
    ("labels", "n_failed", "words"),
    [
        ([0, 1] * 10, 0, "2 regimes, unchanged over the last 8 exposures"),
        ([0] * 20, 1, "1 regime, unchanged over the last 8 exposures; 1 position failed: no regime is known there"),
        ([-1] * 20, 2, "no regimes were named; 2 positions failed"),
    ],
)
def test_the_reason_gives_the_coverage(labels, n_failed, words):
    stop, why = verdict(*followed(labels), n_failed=n_failed)
    assert stop and why.startswith("a region of radius 0.8 could hide in only 0 % of the sample, and nowhere one of")
    assert words in why


def test_an_exposure_that_is_left_out_does_not_shift_the_labels_of_the_others():
    labels, exposures = [0, 1] * 11, Exposures(["x"])
    for i, label in enumerate(labels):
        if i == 20:
            exposures["left_out"][2] = True
        exposures.add(str(i), {"x": EVERYWHERE[i % len(EVERYWHERE)]}, [])
        exposures["regime"][i] = label
        exposures.settle()
    assert exposures.stability.objection() is None
