"""What a run shows of its own noise."""

import numpy as np
import pytest

from ainerd.techniques.rheo_xpcs import _seen
from ainerd.techniques.rheo_xpcs._sectors import Sectors
from ainerd.techniques.rheo_xpcs._seen import Seen, at_edge, baseline, flicker, pooled_contrast, speckle_px

PHI = np.arange(10.0, 360.0, 20.0)


def seen(**about):
    return Seen(**{"photons": 500.0, "contrast": 0.2, "contrast_err": 0.04, "n_pixels": np.full(18, 570.0)} | about)


def bins(rng, n_bins=18, n_pixels=570, beta=0.2, photons=500.0, tau=0.1):
    """Maps of Gaussian pixels that relax with tau, (n_bins, 64, 64)."""
    t = np.arange(64) / 64
    root = np.linalg.cholesky(beta * np.exp(-2 * np.abs(t[:, None] - t) / tau) + 64 / photons * np.eye(64))
    pixels = root @ rng.standard_normal((n_bins, 64, n_pixels))
    return (1 + pixels @ pixels.swapaxes(1, 2) / n_pixels - 64 / photons * np.eye(64)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 3])
def test_speckle_of_several_pixels_is_found(width):
    """Against the sum of squares over a field that is made of blocks of so many pixels across: all of a block alike."""
    rng = np.random.default_rng(0)
    field = rng.exponential(size=(40, 48 // width, 48 // width)).repeat(width, 1).repeat(width, 2)
    counts = rng.poisson(4 * field).reshape(40, -1).astype(np.float32)
    found = speckle_px(counts, (48, 48), np.arange(48 * 48), np.repeat([0, 1], 24 * 48))
    m = {d: np.maximum(0, 1 - abs(d) / width) for d in range(-width, width + 1)}
    assert found == pytest.approx(sum(m[i] ** 2 * m[j] ** 2 for i in m for j in m), rel=0.15)


def test_few_photons_tell_nothing_of_the_size_of_speckle():
    counts = np.random.default_rng(1).poisson(0.01, (40, 2000)).astype(np.float32)
    assert speckle_px(counts, (40, 50), np.arange(2000), np.zeros(2000, int)) == 1


@pytest.mark.parametrize("error", [0.0, 0.005, 0.02])
def test_errors_of_single_moments_are_found(error):
    rng, found = np.random.default_rng(2), []
    for _ in range(5):
        wander = error * rng.standard_normal(64)
        mean = bins(rng).mean(0) + wander[:, None] + wander
        found.append(flicker(mean, photons=500.0, contrast=0.2, n_pixels=18 * 570.0))
    assert np.mean(found) == pytest.approx(error, abs=0.001 + 0.2 * error)


def test_what_bins_across_the_beam_differ_by_is_found():
    rng = np.random.default_rng(3)
    none, some = [], []
    for _ in range(5):
        maps = bins(rng)
        offset = 0.02 * rng.standard_normal((18, 1, 1))
        none.append(baseline(maps, np.full(18, 570.0), PHI, 500.0))
        some.append(baseline(maps + offset, np.full(18, 570.0), PHI, 500.0))
    assert max(none) < 0.005 and np.mean(some) == pytest.approx(0.02, rel=0.35)


def test_contrast_told_and_found_are_pooled_by_their_errors():
    assert pooled_contrast(None, None, None) is None
    assert pooled_contrast(None, None, 0.2) == (pytest.approx(0.2), _seen.TOLD_ERR)
    assert pooled_contrast(0.14, 0.004, 0.2)[0] == pytest.approx(0.14, rel=0.02)
    value, error = pooled_contrast(0.1, 0.1, 0.2)
    assert 0.18 < value < 0.2 and error < _seen.TOLD_ERR


def test_runs_that_are_alike_share_a_bank_and_larger_speckle_leaves_fewer_pixels():
    one = seen().bank()
    assert seen(photons=505.0, contrast=0.201, flicker=1e-4).bank() == one
    two = seen(speckle_px=2.0).bank()
    assert sum(two["n_pixels"]) == pytest.approx(sum(one["n_pixels"]) / 2, rel=0.1)
    # Shot noise is that of all pixels, whatever the speckle: the noise of its square stays.
    shots = [64 / each["photons"] for each in (one, two)]
    beta, own = one["contrast"], 2 * one["contrast"] * shots[0] + shots[0] ** 2
    area = sum(one["n_pixels"]) / sum(two["n_pixels"])
    assert 2 * beta * shots[1] + shots[1] ** 2 == pytest.approx(own / area, rel=1e-4)
    assert seen(flicker=0.01).bank()["flicker"] >= 0.01 and seen(contrast_err=0.3).bank()["contrast_err"] == 0.4


def test_a_run_better_than_the_edge_is_brought_to_it():
    """Its noise is then that of the bank, and what it shows is the same in the mean."""
    rng, many = np.random.default_rng(4), 40_000
    given = seen(n_pixels=np.full(18, float(many)), phi_deg=PHI).bank()
    assert sum(given["n_pixels"]) < 18 * many
    own = Sectors.of(np.full(18, many), PHI)
    maps = own.average(bins(rng, n_pixels=many // 20))  # noise of fewer pixels, which is there in any case
    noisier = at_edge(maps, own, given)
    expected = (0.2 + 64 / given["photons"]) ** 2 * (1 / np.array(given["n_pixels"][0] * 2) - 1 / (2 * many))
    far = np.triu_indices(64, 40)
    assert np.var((noisier - maps)[:, far[0], far[1]]) == pytest.approx(expected, rel=0.3)
    assert abs((noisier - maps).mean()) < 0.01
    less = seen(phi_deg=PHI).bank()
    np.testing.assert_array_equal(at_edge(maps, Sectors.of(np.full(18, 570.0), PHI), less), maps)
