"""The method compared with xtec, with scikit-learn, and with known numbers."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from ainerd_xtec import (
    Mixture,
    cut,
    find_clusters,
    fit,
    improve,
    posteriors,
    rescale,
    responsibilities,
    smoothing,
    transitions,
)
from tests.xtec.peer import damped, neighbours
from tests.xtec.ramps import ramp

FRAMES = ramp(0, np.linspace(30, 180, 16), n=96).frames
MEAN = FRAMES.reshape(len(FRAMES), -1).mean(axis=0)
KEEP = cut(MEAN).keep
X = rescale(np.ascontiguousarray(FRAMES.reshape(len(FRAMES), -1)[:, KEEP].T, dtype=np.float32))


def test_the_cut_can_be_chosen():
    for how, level in (("simple", np.log(MEAN).mean() + 2 * np.log(MEAN).std()), ("none", -np.inf), (50.0, np.log(50))):
        assert np.array_equal(cut(MEAN, how).keep, np.log(MEAN) > level)


def test_trajectories_are_scaled():
    x = np.random.default_rng(0).gamma(5, 2, (100, 8)).astype(np.float32)
    mean, sd = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True)
    for how, expected in (
        ("mean", x / mean - 1),
        ("zscore", (x - mean) / sd),
        ("log", np.log1p(x) - np.log1p(x).mean(axis=1, keepdims=True)),
    ):
        np.testing.assert_allclose(rescale(x.copy(), how), expected, atol=2e-6)


def test_pixels_and_clusters_agree_with_xtec():
    from xtec import GMM as gmm
    from xtec import Preprocessing as preprocessing

    masked = preprocessing.Mask_Zeros(FRAMES.astype(float))
    theirs = preprocessing.Threshold_Background(masked)
    assert np.array_equal(np.flatnonzero(KEEP), np.ravel_multi_index(theirs.ind_thresholded.T, FRAMES.shape[1:]))
    np.random.seed(0)
    peer = gmm.GMM(X.astype(float), 4)
    start = peer.means.copy(), peer.covs.copy()
    peer.RunEM()
    assert adjusted_rand_score(peer.cluster_assignments, damped(X.astype(float), *start)) >= 0.999


def test_our_clusters_are_a_fixed_point_of_xtec():
    for k in (4, 5):
        mixture = fit(X, k)
        labels = responsibilities(X, mixture)[0].argmax(axis=0)
        there = damped(X.astype(float), mixture.means, mixture.variances, epochs=200)
        assert adjusted_rand_score(labels, there) >= 0.99


def test_other_seeds_find_the_same_clusters():
    labels = [responsibilities(X, fit(X, 4, seed=seed))[0].argmax(axis=0) for seed in range(3)]
    assert min(adjusted_rand_score(labels[0], other) for other in labels[1:]) >= 0.95


def test_the_likelihood_agrees_with_scikit_learn():
    mixture = fit(X, 4)
    theirs = GaussianMixture(4, covariance_type="diag", reg_covar=1e-6, n_init=3, random_state=0).fit(X)
    again = GaussianMixture(4, covariance_type="diag")
    again.weights_, again.means_, again.covariances_ = mixture.weights, mixture.means, mixture.variances
    again.precisions_cholesky_ = 1 / np.sqrt(mixture.variances)
    assert responsibilities(X, mixture)[1] == pytest.approx(again.score(X.astype(float)), abs=1e-9)
    assert mixture.score == pytest.approx(again.score(X.astype(float)), abs=1e-3)
    assert mixture.score >= theirs.score(X) - 1e-3


def test_known_gaussians_are_found_with_their_number():
    rng = np.random.default_rng(1)
    truth, means = np.repeat(np.arange(3), 600), rng.normal(0, 1, (3, 12))
    x = (means[truth] + rng.normal(0, 0.2, (1800, 12))).astype(np.float32)
    clusters = find_clusters(x, None, 5)
    assert clusters.mixture.k == 3 and clusters.stable and adjusted_rand_score(truth, clusters.labels) == 1
    nearest = np.linalg.norm(clusters.mixture.means[:, None] - means, axis=2).min(axis=0)
    assert nearest.max() < 0.05
    np.testing.assert_allclose(clusters.mixture.variances, 0.04, rtol=0.25)
    noise = find_clusters(rng.normal(size=(1500, 12)).astype(np.float32), 4, 5)
    assert not noise.stable


@pytest.mark.parametrize(("length", "cell"), [(1.0, None), (2.3, None), (0.15, (12.5, 8.0))])
def test_smoothing_agrees_with_the_matrix_of_xtec(length, cell):
    positions = np.argwhere(KEEP.reshape(96, 96))[::3]
    shares = np.random.default_rng(0).dirichlet(np.ones(4), len(positions)).T.astype(np.float32)
    expected = (neighbours(positions, length, cell) @ shares.T).T
    np.testing.assert_allclose(smoothing(positions, length, cell)(shares), expected, rtol=1e-5)


def test_smoothed_clusters_agree_with_xtec_with_the_same_matrix():
    x, positions = X[::4], np.argwhere(KEEP.reshape(96, 96))[::4] / 2
    smooth, start = smoothing(positions, 1.0), fit(x, 4)
    labels = responsibilities(x, improve(x, start, smooth=smooth), smooth)[0].argmax(axis=0)
    peer = damped(x.astype(float), start.means, start.variances, smooth=csr_array(neighbours(positions, 1.0)))
    assert adjusted_rand_score(labels, peer) >= 0.99


def test_a_known_transition_is_found():
    t = np.linspace(30, 180, n := 30)
    for at in (70.3, 118.8):
        curve = 2 * np.clip(1 - t / at, 0, None) ** 0.66 + 0.8 / (1 + np.abs(t - at) / 6) - 0.002 * t
        y = curve + np.random.default_rng(0).normal(0, 0.01, n)
        both = posteriors(t, np.stack([y, 0.1 - 0.002 * t]), np.full((2, n), 0.01))
        (transition,) = transitions(t, both)
        assert transition.low < at < transition.high and transition.high - transition.low < 2 * (t[1] - t[0])
        assert transition.high - transition.low >= 0.4 * (t[1] - t[0]) and transition.clusters == (0,)


def test_a_transition_below_zero_is_found():
    """A ramp in degrees Celsius, or of a strain or field around zero."""
    zero, t = 100.0, np.linspace(30, 180, n := 30)
    y = 2 * np.clip(1 - t / 118.8, 0, None) ** 0.66 + np.random.default_rng(0).normal(0, 0.01, n)
    of_kelvin, shifted = (transitions(x, posteriors(x, y[None], np.full((1, n), 0.01))) for x in (t, t - zero))
    assert shifted[0].at == pytest.approx(of_kelvin[0].at - zero, abs=1e-6)
    assert shifted[0].low < 118.8 - zero < shifted[0].high


def test_a_line_or_few_temperatures_show_no_transition():
    t = np.linspace(30, 180, 12)
    y = 1 - 0.002 * t + np.random.default_rng(0).normal(0, 0.01, (20, 12))
    assert transitions(t, posteriors(t, y, np.full_like(y, 0.01))) == []
    assert transitions(t[:7], posteriors(t[:7], y[:, :7], y[:, :7])) == []


def test_a_mixture_of_identical_trajectories_does_not_fail():
    same = np.zeros((100, 6), np.float32)
    assert isinstance(fit(same, 2), Mixture)


@pytest.mark.parametrize("k", [None, 3])
def test_one_trajectory_is_one_cluster(k):
    """A ramp whose bright pixels are connected has one patch."""
    clusters = find_clusters(X[:1], k, 4)
    assert clusters.mixture.k == 1 and clusters.labels.tolist() == [0]


def test_clusters_take_at_most_half_the_memory_of_the_trajectories():
    rng = np.random.default_rng(2)
    means = rng.normal(0, 1, (3, 30)).astype(np.float32)
    x = means[np.repeat(np.arange(3), 60_000)] + np.float32(0.1) * rng.standard_normal((180_000, 30), np.float32)
    find_clusters(x[:100], 3, 3)
    tracemalloc.start()
    try:
        clusters = find_clusters(x, 3, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.bincount(clusters.labels).tolist() == [60_000] * 3 and peak < 0.5 * x.nbytes
