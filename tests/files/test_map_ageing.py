"""Maps of a sample whose relaxation time grows with age, from a formula."""

import numpy as np

from ainerd_files import technique_of
from ainerd_files._map_run import ageing
from ainerd_xpcs import Partition


def maps(mu, n_bins, seed, n=256):
    """C2 with τ = 20 rows at age 128 and a power `mu` of the age, and noise."""
    t = np.arange(n) + 0.5
    lag, age = np.abs(t[:, None] - t), (t[:, None] + t) / 2
    noise = np.random.default_rng(seed).normal(0, 0.01, (n_bins, n, n))
    return (1 + 0.2 * np.exp(-2 * lag / (20 * (age / 128) ** mu)) + noise + noise.transpose(0, 2, 1)).astype(np.float32)


def ring(phi):
    partition = Partition.from_roi_map(np.repeat(np.arange(1, len(phi) + 1), 10)[None], phi=np.asarray(phi))
    return technique_of(partition).rings[0]


def test_the_exponent_of_ageing_is_found_and_none_without():
    of = ring(np.arange(6) * 30.0)
    aged, steady = ageing(maps(0.8, 6, 1), of, 0.1), ageing(maps(0.0, 6, 1), of, 0.1)
    assert abs(aged["ageing_exponent"] - 0.8) < 0.03 and aged["ageing_exponent_err"] < 0.03
    assert np.isnan(steady["ageing_exponent"]) and steady["ageing_p"] > 0.01


def test_two_bins_across_the_beam_are_one_and_too_few_give_nothing():
    of = ring(np.array([0.0, 60.0, 180.0, 240.0]))
    assert np.isnan(ageing(maps(0.8, 4, 1), of, 0.1)["ageing_exponent"])
