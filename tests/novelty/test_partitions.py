"""Regimes by mixture, by centres, by density."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ainerd.novelty import RegimeModel


def blobs(sizes, seed=0, dimension=4, distance=12.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.eye(len(sizes), dimension) * distance / np.sqrt(2)
    return centres[labels] + rng.normal(size=(len(labels), dimension)), labels


@pytest.mark.parametrize("method", ["gmm", "kmeans", "hdbscan"])
def test_regimes_are_found(method):
    z, labels = blobs([40, 25, 30])
    model = RegimeModel(method=method).fit(z)
    assert model.n_regimes_ == 3 and model.supported_range_[0] <= 3 <= model.supported_range_[1]
    there = model.labels_ >= 0
    assert there.mean() > 0.85 and adjusted_rand_score(labels[there], model.labels_[there]) > 0.95
    first = [list(model.labels_).index(k) for k in range(3)]
    assert first == sorted(first)
    np.testing.assert_array_equal(model.predict(z[there]), model.labels_[there])
    assert model.predict(z.mean(0, keepdims=True) + 50)[0] == -1


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_one_regime_stays_one(method):
    z, _ = blobs([60])
    model = RegimeModel(method=method).fit(z)
    assert model.n_regimes_ == 1 and set(model.labels_) == {0}


def test_a_mixture_finds_long_regimes_that_centres_cut():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 60)
    z = rng.normal(size=(120, 2)) * [8, 0.4] + labels[:, None] * [0, 4]
    found = {method: RegimeModel(method=method).fit(z).labels_ for method in ("gmm", "kmeans")}
    assert adjusted_rand_score(labels, found["gmm"]) > 0.95 > adjusted_rand_score(labels, found["kmeans"])


def test_few_runs_are_all_that_is_needed():
    for method in ("gmm", "kmeans"):
        assert RegimeModel(method=method).fit(np.ones((2, 3)) * [[0], [1]]).n_regimes_ == 1
    assert RegimeModel(method="hdbscan").fit(np.ones((2, 3))).n_regimes_ == 0


def test_another_method_is_refused():
    with pytest.raises(ValueError, match="method must be linkage, gmm, kmeans, hdbscan"):
        RegimeModel(method="ward").fit(np.ones((5, 2)))
