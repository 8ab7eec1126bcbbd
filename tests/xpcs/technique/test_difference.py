"""Differences between the maps of exposures, of Wishart matrices drawn here."""

import numpy as np
import pytest

from ainerd_xpcs import Partition
from ainerd_xpcs.technique import rings
from ainerd_xpcs.technique._difference import difference, outline

PIXELS, BINS, PHOTONS = 400, 6, 100.0
TIME = (np.arange(32) + 0.5) / 32


@pytest.fixture(scope="module")
def ring():
    roi_map = np.repeat(np.arange(1, BINS + 1), PIXELS)[None]
    return rings(Partition.from_roi_map(roi_map, phi=np.arange(BINS) * 60.0, q=np.full(BINS, 0.02)))


def seen(ring, tau, rng, contrast=0.2, photons=PHOTONS, offset=0.0):
    """Return the outline of an exposure with C2 - 1 = contrast exp(-2 lag / tau), of Gaussian pixels."""
    shot = 32 / photons
    covariance = contrast * np.exp(-2 * np.abs(TIME[:, None] - TIME) / tau) + shot * np.eye(32)
    pixels = np.linalg.cholesky(covariance) @ rng.standard_normal((BINS, 32, PIXELS))
    maps = 1 + pixels @ pixels.swapaxes(1, 2) / PIXELS - shot * np.eye(32) + offset
    whole = np.repeat(np.repeat(maps, 8, 1), 8, 2).astype(np.float32)
    return outline(ring, whole, np.full(BINS, photons))


def test_the_p_value_of_two_exposures_of_one_sample_is_seldom_small(ring):
    rng = np.random.default_rng(0)
    drawn = [
        difference(seen(ring, 0.3, rng), [seen(ring, 0.3, rng) for _ in range(n)]) for n in (1, 3) for _ in range(40)
    ]
    chi2, p = np.array(drawn).T
    assert 0.9 < chi2.mean() < 1.4
    assert np.quantile(p, 0.1) < 0.5 and (p <= 0.05).mean() < 0.12 and p.min() > 1e-4


def test_another_contrast_or_offset_or_dose_is_no_difference_and_another_sample_is(ring):
    rng = np.random.default_rng(1)
    first = seen(ring, 0.3, rng)
    for change in ({"contrast": 0.22}, {"offset": 0.01}, {"photons": 110.0}):
        assert difference(first, [seen(ring, 0.3, rng, **change)])[1] > 0.001, change
    assert difference(first, [seen(ring, 0.6, rng)])[1] < 1e-6


def test_bins_that_change_alone_are_seen(ring):
    """Two opposite bins relax ten times as fast; the others stay."""
    rng = np.random.default_rng(2)
    first, second, faster = (seen(ring, tau, rng) for tau in (0.5, 0.5, 0.05))
    second["outline"][1] = faster["outline"][1]
    assert difference(first, [second])[1] < 1e-6


def test_outlines_of_other_directions_are_not_compared(ring):
    first = seen(ring, 0.3, np.random.default_rng(3))
    assert difference(first, [{name: array[:2] for name, array in first.items()}]) is None
    assert difference(first, []) is None
