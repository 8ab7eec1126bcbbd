"""The noise of maps of known frames, from the maps alone."""

import numpy as np
import pytest

from ainerd_files import MapNoise, Neighbours

T, BINS, PIXELS, MODES = 256, 4, 600, 5


def fields(rng, tau, n, events=()):
    """Complex fields (T, n) with the memory `tau`, in rows, half of which is lost in each event."""
    out = np.empty((T, n), complex)
    out[0] = rng.normal(size=(n, 2)) @ [1, 1j]
    for t in range(1, T):
        keep = np.exp(-1 / tau) * (0.5 if t in events else 1)
        out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * (rng.normal(size=(n, 2)) @ [1, 1j])
    return out


def stored(rng, *, tau=30.0, photons=2.0, speckle_px=1, events=()):
    """The maps of bins with the shot noise on their diagonals, contrast 1 / MODES; photons are per pixel and frame."""
    maps = []
    for _ in range(BINS):
        light = np.mean([np.abs(fields(rng, tau, PIXELS // speckle_px, events)) ** 2 / 2 for _ in range(MODES)], axis=0)
        counts = rng.poisson(photons * np.repeat(light, speckle_px, axis=1)).astype(float)
        mean = counts.mean(1)
        maps.append(counts @ counts.T / mean / mean[:, None] / PIXELS)
    return np.array(maps)


@pytest.fixture(scope="module")
def known():
    return stored(np.random.default_rng(4), photons=0.2)


def small(maps):
    """Means over 64 × 64 cells, without the diagonal."""
    out = maps.copy()
    for c2 in out:
        beside = np.pad(c2.diagonal(1), 1, mode="edge")
        np.fill_diagonal(c2, (beside[1:] + beside[:-1]) / 2)
    return out.reshape(len(maps), 64, T // 64, 64, T // 64).mean((2, 4))


def noise_of(maps, **options):
    return MapNoise.of([Neighbours.of(c2) for c2 in maps], small(maps), **options)


@pytest.mark.parametrize(("photons", "tau"), [(0.2, 30.0), (2.0, 2000.0), (40.0, 8.0)])
def test_pixels_counts_and_contrast_are_found(photons, tau):
    noise = noise_of(stored(np.random.default_rng(0), photons=photons, tau=tau), pixels=PIXELS)
    assert noise.n_pixels == pytest.approx(PIXELS, rel=0.15) and noise.speckle_px == 1
    assert noise.shot == pytest.approx(1 / photons, rel=0.05 if photons < 40 else 0.3)
    assert abs(noise.contrast - 1 / MODES) < 3 * noise.contrast_err and noise.contrast_err < 0.1


def test_larger_speckle_is_found():
    maps = stored(np.random.default_rng(1), photons=40.0, speckle_px=2)
    noise = noise_of(maps, pairs=[(0, 2), (1, 3)])
    assert 1.5 < noise.speckle_px < 3 and noise.speckles == pytest.approx(PIXELS / 2, rel=0.25)
    assert noise.shot_of_speckles(4) < noise.shot / 4  # shot noise is that of all pixels


def test_events_do_not_look_like_noise():
    maps = stored(np.random.default_rng(2), photons=40.0, tau=1e5, events=range(9, T, 29))
    noise = noise_of(maps, pixels=PIXELS)
    assert noise.speckles == pytest.approx(PIXELS, rel=0.25) and noise.shot == pytest.approx(1 / 40, rel=0.1)


def test_without_light_or_speckle_there_is_no_noise():
    rng = np.random.default_rng(3)
    flat = rng.poisson(2.0, (T, PIXELS)).astype(float)
    mean = flat.mean(1)
    assert noise_of((flat @ flat.T / mean / mean[:, None] / PIXELS)[None]) is None
    dark = np.full((T, T), np.nan)
    with pytest.raises(ValueError, match="does not hold the shot noise"):
        MapNoise.of([Neighbours.of(dark)], np.ones((1, 64, 64)))


def smoothed(c2):
    """The mean over each element and its eight neighbours."""
    padded = np.pad(c2, 1, mode="edge")
    return np.mean([padded[i : i + T, j : j + T] for i in range(3) for j in range(3)], axis=0)


@pytest.mark.parametrize("change", ["few rows", "replaced", "removed", "interpolated"])
def test_maps_whose_noise_is_not_theirs_are_refused(change, known):
    maps, photons = known.copy(), 0.2
    reduced = small(maps)
    if change == "few rows":
        maps = maps[:, :200, :200]
    if change == "replaced":
        for c2 in maps:
            np.fill_diagonal(c2, np.append(c2.diagonal(1), c2[-1, -2]))
    if change == "removed":
        maps -= np.eye(T) / photons
    if change == "interpolated":
        maps = maps[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(ValueError, match="stored"):
        MapNoise.of([Neighbours.of(c2) for c2 in maps], reduced, pixels=PIXELS)


def test_smoothed_maps_are_refused():
    maps = np.array([smoothed(c2) for c2 in stored(np.random.default_rng(4), photons=0.1)])
    with pytest.raises(ValueError, match="smoothed"):
        noise_of(maps, pairs=[(0, 2), (1, 3)], pixels=PIXELS)
