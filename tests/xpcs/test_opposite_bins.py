"""Bins across the beam see the same speckle (Friedel): an error of both counts it once."""

import numpy as np

from ainerd.xpcs import MultiTau, Partition, fit_relaxation
from ainerd.xpcs._speckle import Sample, shared

OPPOSITE = (np.arange(18) + 9) % 18


def growth(seed, same):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(18, 12))
    if same:
        x[9:] = x[:9]
    roi = np.repeat(np.arange(18), 12)
    s = Sample(np.arange(1.0, 3.0), np.full(216, 1 / 216), np.zeros((216, 2)), np.zeros(216))
    return shared(s, x.reshape(-1, 1), roi, OPPOSITE)[0]


def test_a_variance_grows_by_what_is_shared():
    assert np.mean([growth(seed, True) for seed in range(40)]) > 1.7
    assert np.mean([growth(seed, False) for seed in range(40)]) < 1.25
    s = Sample(np.arange(2.0), np.full(4, 0.25), np.zeros((4, 2)), np.zeros(4))
    assert shared(s, np.ones((4, 1)), np.array([0, 0, 1, 1]), np.array([-1, -1])).tolist() == [1.0]


def test_errors_of_a_ring_know_of_it():
    """Movies of nine bins, seen twice with other photons: the error is that of about nine bins, not of eighteen."""
    rng, n_frames, n_pixels = np.random.default_rng(0), 128, 60
    lag = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    root = np.linalg.cholesky(np.exp(-lag / 10.0) + 1e-9 * np.eye(n_frames))
    bright = ((root @ rng.normal(size=(n_frames, 6 * 9 * n_pixels))).reshape(n_frames, 6, -1) ** 2).mean(1)
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 19), n_pixels).reshape(18, n_pixels))
    correlator = MultiTau(partition, n_frames)
    correlator.push(rng.poisson(20 * np.concatenate([bright, bright], axis=1)).astype(np.uint16))
    g2 = correlator.result()
    half = fit_relaxation(g2, bins=range(9), together=True).tau_err[0]
    naive, knowing = (fit_relaxation(g2, together=True, opposite=o).tau_err[0] for o in (None, OPPOSITE))
    assert naive < 0.8 * half and 0.85 * half < knowing < 1.3 * half
