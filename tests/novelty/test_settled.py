"""What p-values change of regimes that points alone give."""

from functools import partial

import numpy as np

from ainerd.novelty import find_regimes, grouped
from ainerd.novelty._settled import settled
from ainerd.novelty._tree import EXACT

WIDTH = 3.0


def line(*x):
    return np.array([[float(value), 0.0] for value in x])


def test_a_novel_run_does_not_take_a_known_regimes_label():
    z = line(0, 0.2, 0.4, 2.5)
    said = settled(z, [0, 0, 0, 0], [0, 0, 0, 1], width=WIDTH)
    assert said.labels.tolist() == [0, 0, 0, 1] and not said.not_told_apart.any()


def test_unless_the_points_do_not_tell_them_apart():
    said = settled(line(0, 0.2, 0.4, 0.6), [0, 0, 0, 0], [0, 0, 0, 1], width=WIDTH)
    assert said.labels.tolist() == [0] * 4 and said.not_told_apart.tolist() == [False] * 3 + [True]


def test_novel_runs_that_are_alike_are_one_regime():
    z = line(0, 0.2, 2.5, 2.7, -2.6)
    said = settled(z, [0] * 5, [0, 0, 1, 1, 1], width=WIDTH)
    a, b, c, d, e = said.labels
    assert a == b == 0 and c == d != 0 and e not in (a, c)


def test_a_regime_of_novel_runs_alone_stays():
    assert settled(line(0, 0.2, 9), [0, 0, 1], [1, 1, -1], width=WIDTH).labels.tolist() == [0, 0, 1]


def test_a_lone_run_between_is_unassigned_and_one_far_off_is_not():
    z = line(0, 0.2, 0.4, 4.0, 20.0)
    labels = [0, 0, 0, 1, 2]
    assert settled(z, labels, [0] * 5, width=WIDTH).labels.tolist() == [0, 0, 0, -1, 2]
    assert settled(z, labels, [0, 0, 0, 1, 0], width=WIDTH).labels.tolist() == labels  # novel: a regime of its own
    assert settled(z, labels, [-1] * 5, width=WIDTH).labels.tolist() == labels  # nothing is claimed


def test_numbers_last_and_a_dead_one_is_not_given_again():
    def find(z, previous):
        return find_regimes(z, previous, width=WIDTH)

    z = line(0, 0.1, 9, 9.1, 30).astype(np.float32)
    found = grouped(find, z, np.array([4, 4, 2, 2, -1]), np.zeros(5, int), width=WIDTH, highest=7)
    assert found.regimes.labels.tolist() == [4, 4, 2, 2, 8]
    assert found.regimes.predict(line(0.05, 9.05, 30, 500).astype(np.float32)).tolist() == [4, 2, 8, -1]
    assert found.regimes.n_regimes == 3


def test_numbers_of_very_many_results_outlive_a_refit():
    """Of more than are compared pair by pair: a regime that goes on, one that is gone, a new one, and a lone result."""
    rng = np.random.default_rng(3)

    def some(n, *centre):
        return rng.normal(scale=0.05, size=(n, 2)) + centre

    z = np.vstack([some(3000, 0, 0), some(2000, 10, 0), some(20, 0, 10)])
    find = partial(find_regimes, width=WIDTH)
    first = grouped(find, z, np.full(len(z), -1), np.zeros(len(z), int), width=WIDTH, highest=4)
    assert len(z) > EXACT and np.unique(first.regimes.labels).tolist() == [5, 6, 7]
    more = np.vstack([z[:5000], some(100, 0, 0), some(30, 10, 10), [[0, 1.3 * WIDTH]]])
    again = grouped(
        find, more, np.append(first.regimes.labels[:5000], np.full(131, -1)), np.zeros(len(more), int),
        width=WIDTH, highest=7,
    )  # fmt: skip
    np.testing.assert_array_equal(again.regimes.labels[:5000], first.regimes.labels[:5000])
    assert set(again.regimes.labels[5000:5100]) == {5} and set(again.regimes.labels[5100:5130]) == {8}
    assert again.regimes.labels[-1] == -1 and again.regimes.supported_range[0] <= 3
