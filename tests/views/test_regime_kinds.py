"""What the exposures of each regime do, in a word."""

import numpy as np
import pytest

from ainerd.views import regime_kinds


@pytest.mark.parametrize(
    ("words", "novel", "new", "name"),
    [
        ("aab", [0, 0, 0], (), "a"),
        ("aabb", [0, 0, 0, 0], (), None),  # three in five are needed
        ("a", [0], (), None),  # and two results
        ("aab", [1, 1, 0], (7,), "new"),
        ("aab", [1, 1, 0], (), None),  # an echo is not called steady, nor new before it is claimed
        ("aab", [0, 0, 0], (7,), "a"),
        ("aab", [np.nan] * 3, (7,), None),  # without verdicts nothing is said
    ],
)
def test_the_name_of_a_regime_never_contradicts_its_verdict(words, novel, new, name):
    regimes = [7] * len(words)
    kinds = regime_kinds([*regimes, -1, None], [*words, "b", "b"], [*novel, 0, 0], new)
    assert kinds == ({} if name is None else {7: name})


def test_regimes_without_a_gap_have_one_word():
    kinds = regime_kinds([0, 1, 1, 2, 2, 3], list("abbbbc"), [0, 0, 0, 1, 1, 0], new=[2], components=[[0, 1], [2], [3]])
    assert kinds == {0: "b", 1: "b", 2: "new"}
    assert regime_kinds([0, 1], list("ab"), [1, 1], new=[1], components=[[0, 1]]) == dict.fromkeys((0, 1), "new")
