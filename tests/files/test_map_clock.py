"""Maps of a sample whose relaxation time grows with age, from a formula."""

import numpy as np
import pytest

from ainerd_files import technique_of
from ainerd_xpcs import Partition
from ainerd_xpcs.technique import clock_of


def maps(mu, n_bins, seed, n=256):
    """C2 with τ = 20 rows at age 128 and a power `mu` of the age, and noise."""
    t = np.arange(n) + 0.5
    lag, age = np.abs(t[:, None] - t), (t[:, None] + t) / 2
    noise = np.random.default_rng(seed).normal(0, 0.01, (n_bins, n, n))
    return (1 + 0.2 * np.exp(-2 * lag / (20 * (age / 128) ** mu)) + noise + noise.transpose(0, 2, 1)).astype(np.float32)


def ring(phi):
    partition = Partition.from_roi_map(np.repeat(np.arange(1, len(phi) + 1), 20)[None], phi=np.asarray(phi))
    return technique_of(partition).rings[0]


def test_the_map_of_a_file_shows_that_its_sample_slows():
    of, photons = ring(np.arange(6) * 30.0), np.full(6, 64 / 0.02)
    aged, steady = (clock_of(of, maps(mu, 6, 1), photons, 25.6) for mu in (0.8, 0.0))
    assert aged.word == "slows" and steady.word == "steady"
    middle = np.interp(12.8, aged.age, aged.rate)  # there tau is 20 rows of .1 s
    assert middle == pytest.approx(0.5, rel=0.1) and steady.tau == pytest.approx(2.0, rel=0.05)
