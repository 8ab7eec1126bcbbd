"""Regimes of many runs and of few."""

from itertools import permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from ainerd.novelty import find_regimes, match_labels


def blobs(sizes, seed=0, dimension=8, distance=12.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.eye(len(sizes), dimension) * distance / np.sqrt(2)
    return centres[labels] + rng.normal(size=(len(labels), dimension)), labels


@pytest.mark.parametrize("sizes", [[5, 9, 14, 3], [150, 100, 60]])
def test_regimes_are_found(sizes):
    z, labels = blobs(sizes)
    model = find_regimes(z, width=9.0)
    assert adjusted_rand_score(labels, model.labels) > 0.95
    assert model.supported_range[0] <= len(sizes) <= model.supported_range[1]
    first = [list(model.labels).index(k) for k in range(model.n_regimes)]
    assert first == sorted(first)


def test_it_is_average_linkage():
    z, _ = blobs([20, 20, 20], distance=5.0)
    peer = AgglomerativeClustering(n_clusters=None, linkage="average", distance_threshold=3 * 1.3).fit(z)
    assert adjusted_rand_score(peer.labels_, find_regimes(z, width=3 * 1.3).labels) == 1


@pytest.mark.parametrize("n", [1, 60])
def test_one_regime_is_not_divided(n):
    z, _ = blobs([n])
    model = find_regimes(z, width=9.0)
    assert model.n_regimes == 1 and model.supported_range[0] == 1
    np.testing.assert_array_equal(model.labels, 0)
    np.testing.assert_array_equal(model.predict(z), 0)


@pytest.mark.parametrize("z", [np.empty((0, 4)), np.array([[0.0, np.nan]])])
def test_bad_runs_are_refused(z):
    with pytest.raises(ValueError, match="embeddings must be|not finite"):
        find_regimes(z, width=1.0)


@pytest.mark.parametrize(("kind", "seed"), [("drawn out", 2), ("heavy tails", 0)])
def test_leaders_give_the_regimes_of_all_runs(kind, seed):
    """Compare more runs than are compared pair by pair with the exact tree: labels, and numbers at other cuts."""
    z = campaign(kind, 4500, seed)
    tree, model = linkage(pdist(z), "average"), find_regimes(z, width=1.0)
    assert adjusted_rand_score(fcluster(tree, 1.0, "distance"), model.labels) > 0.99
    exact = [1 + (tree[:, 2] > cut).sum() for cut in (1.4, 0.75)]
    np.testing.assert_allclose(model.supported_range, exact, rtol=0.2)


def campaign(kind, n, seed, dimension=24):
    """Return runs around 3 to 14 centers of different widths, some of them about 1 apart."""
    rng = np.random.default_rng(seed)
    n_regimes = int(rng.integers(3, 15))
    labels = rng.choice(n_regimes, n, p=rng.dirichlet(np.full(n_regimes, 0.7)))
    centres = rng.normal(size=(n_regimes, dimension)) * rng.uniform(0.9, 3.0) / np.sqrt(dimension)
    noise = rng.normal(size=(n, dimension)) / 3 / np.sqrt(2 * dimension)  # two runs of a regime are 1/3 apart
    z = centres[labels] + noise * rng.uniform(0.5, 1.5, n_regimes)[labels, None]
    if kind == "drawn out":
        way = rng.normal(size=(n_regimes, dimension))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        z += (rng.random(n) * rng.uniform(0, 1, n_regimes)[labels])[:, None] * way[labels]
    if kind == "heavy tails":
        z += noise * rng.standard_t(2.5, size=(n, 1))
    return z


def test_the_supported_range_comes_from_a_lower_and_a_higher_cut():
    z = np.array([[0.0], [1.0], [5.0], [9.5]])
    model = find_regimes(z, width=4.5)  # cut at 4.5, merges at 1, 4.5 and 7
    assert (model.n_regimes, model.supported_range) == (2, (2, 3))


def test_a_result_belongs_to_the_nearest_regime_up_to_the_cut():
    model = find_regimes([[0.0], [10.0]], width=3.0)
    assert model.predict([[3.0], [3.1], [6.9], [7.0], [13.5]]).tolist() == [0, -1, -1, 1, -1]


def test_merged_regimes_keep_the_number_of_the_larger():
    bridge = np.linspace([0.0, 0.0], [10.0, 0.0], 25)
    z = np.concatenate([np.zeros((8, 2)), np.full((4, 2), [10.0, 0.0]), bridge])
    assert {*find_regimes(z, np.repeat([5, 1, -1], [8, 4, 25]), width=30.0).labels.tolist()} == {5}


def test_matching_keeps_as_many_numbers_as_possible():
    rng = np.random.default_rng(0)
    for _ in range(20):
        new, old = rng.integers(0, 4, 15), rng.integers(0, 4, 15)
        best = max((np.array(p)[new] == old).sum() for p in permutations(range(4)))
        kept = match_labels(new, old)
        assert (kept == old).sum() == best
        assert len(np.unique(kept)) == len(np.unique(new))
