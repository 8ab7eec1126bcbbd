"""Grouping of results: corrections by p-values, and numbers that persist."""

from functools import partial

import numpy as np

from ainerd.novelty import find_regimes, grouped
from ainerd.technique import Regimes

WIDTH = 3.0


def line(*x):
    return np.array([[float(value), 0.0] for value in x])


def corrected(z, labels, novel):
    """Labels after correction, numbered by first appearance, and which results are ambiguous."""

    def find(z, previous):
        return Regimes(labels=np.array(labels), n_regimes=1, supported_range=(1, 1), predict=lambda z: np.zeros(len(z)))

    regimes, ambiguous = grouped(find, z, np.full(len(z), -1), np.array(novel), width=WIDTH)
    return regimes.labels.tolist(), ambiguous.tolist()


def test_a_novel_result_far_from_known_ones_gets_its_own_regime():
    assert corrected(line(0, 0.2, 0.4, 2.5), [0, 0, 0, 0], [0, 0, 0, 1]) == ([0, 0, 0, 1], [False] * 4)


def test_a_novel_result_close_to_known_ones_keeps_their_regime_and_is_ambiguous():
    assert corrected(line(0, 0.2, 0.4, 0.6), [0, 0, 0, 0], [0, 0, 0, 1]) == ([0] * 4, [False] * 3 + [True])
    assert corrected(line(0, 0.2, 0.4, 2.1, -1.7), [0] * 5, [0, 0, 0, 1, 1]) == ([0] * 5, [False] * 3 + [True] * 2)
    assert corrected(line(0, 0.2, 0.4, 2.3, -1.7), [0] * 5, [0, 0, 0, 1, 1])[1] == [False] * 4 + [True]  # beyond 2
    assert corrected(line(0, 0.2, 9), [0, 0, -1], [0, 0, 1])[0] == [0, 0, -1]


def test_a_regime_of_novel_results_only_is_kept():
    assert corrected(line(0, 0.2, 9), [0, 0, 1], [1, 1, -1])[0] == [0, 0, 1]


def test_a_lone_result_near_a_regime_is_unassigned_and_a_distant_one_is_not():
    z, labels = line(0, 0.2, 0.4, 4.0, 20.0), [0, 0, 0, 1, 2]
    assert corrected(z, labels, [0] * 5)[0] == [0, 0, 0, -1, 1]
    assert corrected(z, labels, [0, 0, 0, 1, 0])[0] == labels  # novel: a regime of its own
    assert corrected(z, labels, [-1] * 5)[0] == labels  # no verdict
    assert corrected(line(0, 0.2, 0.4, 4.3), labels[:4], [0] * 4)[0] == [0, 0, 0, -1]  # up to 4.2 on average
    assert corrected(line(0, 0.2, 0.4, 4.5), labels[:4], [0] * 4)[0] == [0, 0, 0, 1]
    assert corrected(line(0, 4.0), [0, 1], [0] * 2)[0] == [0, 1]  # there is no larger regime


def test_a_regime_is_divided_where_a_gap_runs_through_it():
    rng = np.random.default_rng(0)
    near = np.concatenate([rng.normal(0, 0.1, (12, 2)), rng.normal(0, 0.1, (6, 2)) + [2.0, 0]])
    (labels, _), none = corrected(near, [0] * 18, [0] * 18), np.full(18, -1)
    assert labels == [0] * 12 + [1] * 6
    find = partial(find_regimes, width=WIDTH)
    assert find(near).n_regimes == 1  # the cut holds both
    regimes, _ = grouped(find, near, none, np.zeros(18, int), width=WIDTH)
    assert regimes.n_regimes == 2
    assert regimes.predict(np.float32([[0.1, 0], [1.8, 0], [0, 20]])).tolist() == [0, 1, -1]
    two = corrected(np.concatenate([near[:12], near[12:14]]), [0] * 14, [0] * 14)[0]
    assert two == [0] * 12 + [1] * 2 and corrected(near[[0, 1, 12]], [0] * 3, [0] * 3)[0] == [0] * 3
    alike = rng.normal(0, 0.5, (18, 2))
    assert corrected(alike, [0] * 18, [0] * 18)[0] == [0] * 18
    assert corrected(np.concatenate([near[:12], near[12:13]]), [0] * 13, [0] * 13)[0] == [0] * 13  # one is not enough


def test_numbers_persist_and_that_of_a_vanished_regime_is_not_reused():
    def find(z, previous):
        return find_regimes(z, previous, width=WIDTH)

    z = line(0, 0.1, 9, 9.1, 30).astype(np.float32)
    regimes, _ = grouped(find, z, np.array([4, 4, 2, 2, -1]), np.zeros(5, int), width=WIDTH, highest=7)
    assert regimes.labels.tolist() == [4, 4, 2, 2, 8]
    assert regimes.predict(line(0.05, 9.05, 30, 500).astype(np.float32)).tolist() == [4, 2, 8, -1]
    assert regimes.n_regimes == 3
