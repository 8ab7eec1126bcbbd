import numpy as np
import pytest

from ainerd_xpcs.numerics import Events, Partition, TwoTimeReducer, reduction_operator, two_time
from tests.weighted import full_map


def reduce(frames, partition, valid=None, **options):
    reducer = TwoTimeReducer(partition, len(frames), **options)
    keep = np.ones(len(frames), bool) if valid is None else valid
    for start in range(0, len(frames), 7):
        reducer.push(frames[start : start + 7], valid=keep[start : start + 7])
    return reducer.maps()


def test_the_full_map_is_its_formula(frames, partition):
    spoilt, valid = frames.copy(), np.ones(60, bool)
    valid[[3, 20, 21]] = False
    spoilt[40] = 0
    spoilt[50, partition.roi_map == 2] = 0
    maps = two_time(spoilt, partition, valid=valid, dtype="float64")
    np.testing.assert_allclose(maps, full_map(spoilt, partition, valid), rtol=0, atol=1e-12)


def test_a_flickering_beam_changes_nothing():
    """The same speckle, in many photons, under a steady and a flickering beam; each pair of cells sees one speckle."""
    rng = np.random.default_rng(4)
    partition = Partition.from_roi_map(np.ones((40, 50), int))
    speckle = np.repeat(rng.gamma(4, 0.25, (12, 2000)), 5, axis=0)
    for flicker in (0.01, 0.1, 0.5):
        beam = 1000 * (1 + flicker * rng.uniform(-1.7, 1.7, 60))
        steady, flickering = (
            reduce(speckle * level, partition, size=12, dtype="float64")[:, ~np.eye(12, dtype=bool)]
            for level in (1000.0, beam[:, None])
        )
        assert np.abs(flickering - steady).max() < 1e-12


@pytest.mark.parametrize("photons", [0.57, 10.0])
def test_sparse_frames_have_the_noise_of_their_photons(photons):
    """Without speckle the variance of an element is n_pixels over the photons of both rows, however few a frame has."""
    n_pixels, n_roi = 300, 60
    frames = np.random.default_rng(6).poisson(photons / n_pixels, (320, n_roi, n_pixels)).astype(np.uint8)
    partition = Partition.from_roi_map(np.repeat(np.arange(n_roi) + 1, n_pixels).reshape(n_roi, n_pixels))
    maps = reduce(frames, partition, size=8, dtype="float64")
    rows = frames.reshape(8, 40, n_roi, n_pixels).sum((1, 3)).T.astype(float)
    expected = n_pixels / (rows[:, :, None] * rows[:, None])
    upper = np.triu_indices(8, 1)
    excess = (np.square(maps - 1) / expected)[:, *upper]
    assert abs(excess.mean() - 1) < 4 * excess.std() / np.sqrt(excess.size)
    below = np.diagonal(maps, axis1=1, axis2=2) - 1
    assert abs((below * rows).mean() + 1) < 4 * (below * rows).std() / np.sqrt(below.size)  # N (N - 1) pairs, not N²


def test_a_static_pattern_shows_its_contrast_on_the_diagonal_too():
    rng = np.random.default_rng(3)
    n, beta = 200_000, 0.25
    pattern = rng.gamma(1 / beta, beta, n)  # relative variance beta
    frames = rng.poisson(0.3 * pattern, (40, n)).astype(np.uint16)
    partition = Partition.from_roi_map(np.ones((500, 400), int))
    c2 = two_time(frames, partition, size=10)[0] - 1
    # standard error of one element: about 1 / (mean count per cell × sqrt(n))
    assert np.abs(c2 - beta).max() < 5 / (0.3 * 4 * np.sqrt(n)) + 5 * beta * np.sqrt(2 / n * 3)


@pytest.mark.parametrize(
    ("frames_in", "message"),
    [
        (np.full((1, 24, 20), np.nan), "NaN"),
        (np.full((1, 24, 20), -3), "negative"),
        (np.repeat([-2.0, -1.0], 240).reshape(1, 24, 20), "frames hold -1 and -2: -1 and -2 mark gaps"),
        (np.full((1, 24, 20), 2**53 + 2), r"a count of 9.01e\+15, and none above 2\^53 is exact"),
        (np.zeros((1, 20, 24)), "do not fit"),
        (np.zeros((61, 24, 20), np.uint16), "were announced"),
    ],
)
def test_bad_frames_are_refused_with_a_reason(partition, frames_in, message):
    reducer = TwoTimeReducer(partition, 60)
    with pytest.raises(ValueError, match=message):
        reducer.push(frames_in)


def test_a_run_without_photons_is_refused(partition):
    reducer = TwoTimeReducer(partition, 4, size=4)
    reducer.push(np.zeros((4, 24, 20), np.uint16))
    with pytest.raises(ValueError, match="no valid frame"):
        reducer.maps()


@pytest.mark.parametrize(
    ("n_frames", "options", "message"),
    [
        (60, {"dtype": "int8"}, "dtype"),
        (1, {}, "a map needs at least 2 frames, got 1"),
        (60, {"size": 0}, "size must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_named(partition, n_frames, options, message):
    with pytest.raises(ValueError, match=message):
        TwoTimeReducer(partition, n_frames, **options)
    with pytest.raises(ValueError, match="no reduction 'cubic'"):
        reduction_operator("cubic", 60, 7)


@pytest.mark.parametrize("kind", [np.asarray, Events.of])
@pytest.mark.parametrize("n_frames", [96, None])
def test_a_static_ring_without_light_does_not_lower_the_baseline(kind, n_frames):
    """The shadow of a beamstop that no mask covers."""
    rng, static = np.random.default_rng(0), np.repeat([[1, 2, 3, 4]], 12, axis=0).repeat(6, axis=1)
    frames = rng.poisson(2 * rng.exponential(size=(96, 12, 24))).astype(np.uint16) * (static > 1)
    maps = []
    for used in (static > 0, static > 1):
        reducer = TwoTimeReducer(Partition.from_roi_map(used.astype(int), static_map=static), n_frames, size=24)
        reducer.push(kind(frames))
        maps.append(reducer.maps())
    np.testing.assert_allclose(*maps, rtol=1e-5)
