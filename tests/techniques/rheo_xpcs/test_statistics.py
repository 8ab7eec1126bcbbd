"""The noise of a run, measured in its own maps."""

import numpy as np
import pytest

from ainerd.techniques.rheo_xpcs import Sectors, bank_options, pooled_contrast
from ainerd.techniques.rheo_xpcs._numbers import _surest
from ainerd.techniques.rheo_xpcs._verdict import GIVEN_ERR, add_noise, baseline, flicker, speckle_px

PHI = np.arange(10.0, 360.0, 20.0)


def options(photons=500.0, contrast=0.2, contrast_err=0.04, n_pixels=570.0, phi_deg=None, **others):
    return bank_options(photons, (contrast, contrast_err), np.full(18, n_pixels), phi_deg, **others)


def bins(rng, n_bins=18, n_pixels=570, beta=0.2, photons=500.0, tau=0.1):
    """Maps of Gaussian pixels that relax with tau, (n_bins, 64, 64)."""
    t = np.arange(64) / 64
    root = np.linalg.cholesky(beta * np.exp(-2 * np.abs(t[:, None] - t) / tau) + 64 / photons * np.eye(64))
    pixels = root @ rng.standard_normal((n_bins, 64, n_pixels))
    return (1 + pixels @ pixels.swapaxes(1, 2) / n_pixels - 64 / photons * np.eye(64)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 3])
def test_speckle_of_several_pixels_is_found(width):
    """The field consists of blocks of equal pixels; the expected size is a sum over their overlaps."""
    rng = np.random.default_rng(0)
    field = rng.exponential(size=(40, 48 // width, 48 // width)).repeat(width, 1).repeat(width, 2)
    counts = rng.poisson(4 * field).reshape(40, -1).astype(np.float32)
    size = speckle_px(counts, (48, 48), np.arange(48 * 48), np.repeat([0, 1], 24 * 48))
    m = {d: np.maximum(0, 1 - abs(d) / width) for d in range(-width, width + 1)}
    assert size == pytest.approx(sum(m[i] ** 2 * m[j] ** 2 for i in m for j in m), rel=0.15)


def test_speckle_size_is_one_pixel_if_photons_are_few():
    counts = np.random.default_rng(1).poisson(0.01, (40, 2000)).astype(np.float32)
    assert speckle_px(counts, (40, 50), np.arange(2000), np.zeros(2000, int)) == 1


@pytest.mark.parametrize("error", [0.0, 0.005, 0.02])
def test_errors_of_single_moments_are_found(error):
    rng, sizes = np.random.default_rng(2), []
    for _ in range(5):
        wander = error * rng.standard_normal(64)
        mean = bins(rng).mean(0) + wander[:, None] + wander
        sizes.append(flicker(mean, photons=500.0, contrast=0.2, n_pixels=18 * 570.0))
    assert np.mean(sizes) == pytest.approx(error, abs=0.001 + 0.2 * error)


def test_offsets_between_opposite_bins_are_found():
    rng = np.random.default_rng(3)
    none, some = [], []
    for _ in range(5):
        maps = bins(rng)
        offset = 0.02 * rng.standard_normal((18, 1, 1))
        none.append(baseline(maps, np.full(18, 570.0), PHI, 500.0))
        some.append(baseline(maps + offset, np.full(18, 570.0), PHI, 500.0))
    assert max(none) < 0.005 and np.mean(some) == pytest.approx(0.02, rel=0.35)


def test_given_and_measured_contrast_are_pooled_by_their_errors():
    assert pooled_contrast(None, None) is None
    assert pooled_contrast(None, 0.2) == (pytest.approx(0.2), GIVEN_ERR)
    assert pooled_contrast((0.14, 0.004), 0.2)[0] == pytest.approx(0.14, rel=0.02)
    value, error = pooled_contrast((0.1, 0.1), 0.2)
    assert 0.18 < value < 0.2 and error < GIVEN_ERR


def test_similar_runs_share_a_calibration_and_larger_speckle_leaves_fewer_pixels():
    one = options()
    assert options(photons=505.0, contrast=0.201, flicker=1e-4) == one
    two = options(speckle_px=2.0)
    assert sum(two["n_pixels"]) == pytest.approx(sum(one["n_pixels"]) / 2, rel=0.1)
    # Shot noise is that of all pixels, independent of the speckle: the noise of its square stays.
    shots = [64 / each["photons"] for each in (one, two)]
    beta, own = one["contrast"], 2 * one["contrast"] * shots[0] + shots[0] ** 2
    area = sum(one["n_pixels"]) / sum(two["n_pixels"])
    assert 2 * beta * shots[1] + shots[1] ** 2 == pytest.approx(own / area, rel=1e-4)
    assert options(flicker=0.01)["flicker"] >= 0.01 and options(contrast_err=0.3)["contrast_err"] == 0.4


def test_noise_is_added_to_a_run_of_too_little_noise():
    """Its noise is then that of the calibration, and its mean is unchanged."""
    rng, many = np.random.default_rng(4), 40_000
    given = options(n_pixels=float(many), phi_deg=PHI)
    assert sum(given["n_pixels"]) < 18 * many
    own = Sectors.of(np.full(18, many), PHI)
    maps = own.average(bins(rng, n_pixels=many // 20))  # noise of fewer pixels, which is there anyway
    noisier = add_noise(maps, own, given)
    expected = (0.2 + 64 / given["photons"]) ** 2 * (1 / np.array(given["n_pixels"][0] * 2) - 1 / (2 * many))
    far = np.triu_indices(64, 40)
    assert np.var((noisier - maps)[:, far[0], far[1]]) == pytest.approx(expected, rel=0.3)
    assert abs((noisier - maps).mean()) < 0.01
    less = options(phi_deg=PHI)
    np.testing.assert_array_equal(add_noise(maps, Sectors.of(np.full(18, 570.0), PHI), less), maps)


@pytest.mark.parametrize(
    ("within", "of_g2", "expected"),
    [
        ((0.2, 0.01), (0.15, 0.001), (0.2, 0.01)),  # decays within a frame belong to the contrast
        ((0.01, 0.03), (0.028, 0.003), (0.028, 0.003)),
        ((-0.005, 0.02), (0.03, 0.003), (0.03, 0.003)),
        ((0.01, 0.03), (0.01, 0.03), (0.01, 0.03)),
        ((0.01, 0.03), (np.nan, np.nan), (0.01, 0.03)),
        ((-0.005, 0.02), (np.nan, np.nan), None),
    ],
)
def test_the_more_certain_contrast_is_used(within, of_g2, expected):
    assert _surest(*within, *of_g2) == expected
