"""A flat field: counts times a factor of each pixel, without the shot noise of the counts themselves."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import Events, MultiTau, Partition, TwoTimeReducer
from tests.weighted import along_diagonals, full_map

FLAT = np.random.default_rng(7).uniform(0.6, 1.7, 600)


@pytest.fixture
def partition():
    labels = np.repeat([1, 2], 300).reshape(20, 30)
    return Partition.from_roi_map(labels, static_map=np.tile(np.repeat([1, 2], 15), (20, 1)))


@pytest.fixture
def frames():
    """Speckle of contrast 1 that relaxes within 60 frames, seen by pixels whose efficiency is 1 / FLAT."""
    rng, n = np.random.default_rng(3), 60
    age = np.arange(n)
    root = np.linalg.cholesky(np.exp(-np.abs(age[:, None] - age) / 8) + 1e-9 * np.eye(n))
    field = (root @ rng.normal(size=(n, 1200))).reshape(n, 2, 600)
    return rng.poisson(2 * (field**2).mean(1) / FLAT).astype(np.uint16).reshape(n, 20, 30)


def of_pixels(partition):
    return FLAT[partition.pixels]


def reduced(partition, frames, **options):
    reducer = TwoTimeReducer(partition, len(frames), dtype="float64", **options)
    for first in range(0, len(frames), 13):
        reducer.push(frames[first : first + 13])
    return reducer


def test_a_map_is_that_of_the_multiplied_counts(partition, frames):
    """C2(t, t) = <f² n (n - 1)> of the counts n, each divided by the profile and the mean of the frame."""
    maps = reduced(partition, frames, size=60, flat=of_pixels(partition)).maps()
    np.testing.assert_allclose(maps, full_map(frames, partition, flat=FLAT.reshape(20, 30)), rtol=1e-5)


def test_g2_is_that_of_the_multiplied_counts(partition, frames):
    live = MultiTau(partition, of_pixels(partition))
    live.push(frames)
    flat = FLAT.reshape(20, 30)
    wanted = along_diagonals(full_map(frames, partition, flat=flat), frames * flat, partition, range(1, 16))
    assert np.abs(live.result().value[:, :15] - wanted).max() < 1e-5


def test_the_contrast_is_that_of_the_light_and_not_of_the_pixels(partition):
    """Speckle that changes from frame to frame has contrast .5; so has it with pixels that count unequally."""
    rng = np.random.default_rng(1)
    light = rng.gamma(2.0, 1.0, (400, 600))
    counts = rng.poisson(light / FLAT).astype(np.uint16).reshape(400, 20, 30)
    plain, flat = MultiTau(partition), MultiTau(partition, of_pixels(partition))
    plain.push(counts), flat.push(counts)
    assert flat.result().contrast0.mean() == pytest.approx(0.5, abs=0.01)
    assert plain.result().contrast0.mean() > 0.6
    assert np.abs(flat.result().value[:, 4:] - 1).max() < 0.01 < np.abs(plain.result().value[:, 4:] - 1).min()


def test_a_pixel_that_is_left_out_is_as_if_masked(partition, frames):
    out = np.array([3, 4, 100, 330])
    labels = partition.roi_map.copy().ravel()
    labels[partition.pixels[out]] = 0
    masked = Partition.from_roi_map(labels.reshape(20, 30), static_map=partition.static_map)
    reducer = TwoTimeReducer(partition, 60, size=12, flat=of_pixels(partition))
    live = MultiTau(partition, of_pixels(partition))
    for part in (reducer, live):
        part.leave_out(out)
        part.push(frames)
    wanted = MultiTau(masked, of_pixels(masked))
    wanted.push(frames)
    np.testing.assert_allclose(live.result().value, wanted.result().value, rtol=1e-4)
    maps = reduced(masked, frames, size=12, flat=of_pixels(masked)).maps()
    np.testing.assert_allclose(reducer.maps(), maps, rtol=1e-5)


def test_pixels_that_are_found_late_take_their_noise_with_them(partition, frames):
    """A tenth of the pixels; their noise alone is .05 of the diagonal."""
    out = np.arange(0, 300, 10)
    late = TwoTimeReducer(partition, 60, size=12, flat=of_pixels(partition))
    late.push(frames)
    late.leave_out(out)
    first = TwoTimeReducer(partition, 60, size=12, flat=of_pixels(partition))
    first.leave_out(out)
    first.push(frames)
    away = np.diagonal(late.maps()[0] - first.maps()[0])
    assert abs(away.mean()) < 0.01


@pytest.mark.parametrize(
    ("flat", "why"),
    [
        (np.ones(3), r"flat has shape \(3,\), expected a factor for each of 600 pixels"),
        (np.zeros(600), "flat must be above 0 and finite"),
        (np.full(600, np.nan), "flat must be above 0 and finite"),
    ],
)
def test_impossible_factors_are_refused(partition, flat, why):
    with pytest.raises(ValueError, match=why):
        MultiTau(partition, flat)
    with pytest.raises(ValueError, match=why):
        TwoTimeReducer(partition, 10, flat=flat)


def test_events_take_no_flat_field(partition):
    events = Events.of(np.ones((4, 20, 30), np.uint16))
    for part in (TwoTimeReducer(partition, 4, flat=of_pixels(partition)), MultiTau(partition, of_pixels(partition))):
        with pytest.raises(ValueError, match="a flat field is multiplied with dense frames, not with events"):
            part.push(events)
