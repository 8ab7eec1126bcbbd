"""Regimes for a technique: numbers persist over a refit, and `predict` uses them."""

import numpy as np
import pytest

from ainerd.novelty import find_regimes

RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
POINTS = (np.repeat(CENTRES, 4, axis=0) + RNG.normal(scale=0.1, size=(12, 2))).astype(np.float32)
TRUTH = np.repeat([0, 1, 2], 4)


def test_regimes_are_numbered_by_first_appearance():
    regimes = find_regimes(POINTS, width=1.0)
    np.testing.assert_array_equal(regimes.labels, TRUTH)
    assert regimes.labels.dtype == np.int64 and regimes.n_regimes == 3
    low, high = regimes.supported_range
    assert low <= 3 <= high


def test_width_sets_the_separation_of_regimes():
    assert find_regimes(POINTS, width=100.0).n_regimes == 1
    assert find_regimes(POINTS[[0, 4]], width=1.0).n_regimes == 2
    with pytest.raises(ValueError, match="must be positive"):
        find_regimes(POINTS, width=0.0)


@pytest.mark.parametrize("previous", [None, np.array([7, 2, 4])[TRUTH]])
def test_predict_uses_the_same_numbers_and_rejects_distant_points(previous):
    regimes = find_regimes(POINTS, previous, width=1.0)
    np.testing.assert_array_equal(regimes.predict(POINTS), regimes.labels)
    np.testing.assert_array_equal(regimes.predict(np.float32([[50.0, 50.0]])), [-1])
    np.testing.assert_array_equal(regimes.predict(CENTRES[[2, 0]].astype(np.float32)), regimes.labels[[8, 0]])


def test_merged_regimes_keep_the_number_of_the_larger():
    bridge = np.linspace([0.0, 0.0], [10.0, 0.0], 25).astype(np.float32)
    z = np.concatenate([POINTS[:4], POINTS[:4], POINTS[4:8], bridge])
    previous = np.repeat([5, 1, -1], [8, 4, 25])
    labels = find_regimes(z, previous, width=30.0).labels
    assert set(labels.tolist()) == {5}
