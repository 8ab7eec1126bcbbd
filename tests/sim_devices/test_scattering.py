"""Speckle of scatterers that are moved one by one, against theory."""

import numpy as np
import pytest

from sim_devices import Blocks, Crowd, FlowField, Geometry, ScatteredMovie

GEOMETRY = Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0), distance_m=6.0)
T = 120
TIMES = (np.arange(T) + 0.5) * 0.4
LAGS = (1, 3, 8, 20, 50)
Q, PHI = (values.ravel()[GEOMETRY.ring] for values in (GEOMETRY.q_inv_nm, GEOMETRY.phi_deg))


def movie(motion, *, seed=0, contrast=0.2, **options):
    rng = np.random.default_rng(seed)
    source = ScatteredMovie(motion, TIMES, GEOMETRY, contrast=contrast, rng=rng, **options)
    return np.concatenate(list(source.blocks()))


def decay(frames, where=slice(None)):
    """g2 - 1 at the lags, over its value at no lag, in the mean over time."""
    some = frames[:, where]
    two_time = some @ some.T / some.shape[1] / np.outer(some.mean(1), some.mean(1)) - 1
    return np.array([np.diagonal(two_time, lag).mean() for lag in LAGS]) / np.diagonal(two_time).mean()


def seconds(lags=LAGS):
    return 0.4 * np.array(lags)


@pytest.mark.parametrize("contrast", [0.1, 1.0])
def test_contrast_and_mean_are_as_requested(contrast):
    frames = movie(FlowField(family="fast", diffusion_nm2_s=1e5), contrast=contrast)
    assert frames.mean() == pytest.approx(1, abs=0.02)
    assert (frames.var(1) / frames.mean(1) ** 2).mean() == pytest.approx(contrast, rel=0.03)


def test_free_particles_decorrelate_by_brownian_motion():
    free = 600.0
    expected = [np.mean(np.exp(-2 * free * Q**2 * t)) for t in seconds()]
    for motion in (
        FlowField(family="still", diffusion_nm2_s=free),
        Crowd(family="dilute", fraction=0.0, diffusion_nm2_s=free),
    ):
        assert decay(movie(motion, seed=1)) == pytest.approx(expected, abs=0.025)


def test_two_velocities_beat_along_their_direction():
    """Two-point heterodyne: x² + (1 - x)² + 2 x (1 - x) cos(q v t cos(phi - phi_v))."""
    flow = FlowField(family="slipping", diffusion_nm2_s=0.0, velocity_nm_s=30.0, sticking=0.4, direction_deg=50.0)
    frames = np.concatenate([movie(flow, seed=seed) for seed in range(3)], axis=1)
    for azimuth in (50.0, 90.0, 140.0):
        near = np.abs((PHI - azimuth + 90) % 180 - 90) < 8
        phase = np.multiply.outer(seconds(), Q * 30.0 * np.cos(np.deg2rad(PHI - 50.0)))[:, near]
        expected = (0.4**2 + 0.6**2 + 2 * 0.4 * 0.6 * np.cos(phase)).mean(1)
        assert decay(frames, np.tile(near, 3)) == pytest.approx(expected, abs=0.09)


def test_shear_decorrelates_by_doppler_shifts():
    """Velocities spread evenly over the gap: sinc² of half the phase between the plates."""
    flow = FlowField(family="sheared", diffusion_nm2_s=0.0, shear_nm_s=50.0, direction_deg=0.0)
    frames = movie(flow, seed=2)
    for azimuth in (0.0, 60.0):
        near = np.abs((PHI - azimuth + 90) % 180 - 90) < 8
        phase = np.multiply.outer(seconds(), Q * 50.0 * np.cos(np.deg2rad(PHI)))[:, near]
        assert decay(frames, near) == pytest.approx((np.sinc(phase / 2 / np.pi) ** 2).mean(1), abs=0.06)


def test_avalanches_have_all_sizes():
    """Up to the size of the system a power law, not far from that of the mean field, 3/2 (Dahmen et al., 2009)."""
    when, _, _ = Blocks(family="blocks", strained_in_s=1.0).events(30.0, np.random.default_rng(0))
    size = np.unique(when, return_counts=True)[1]
    octaves = np.bincount(np.floor(np.log2(size)).astype(int))[:6]  # 1, 2 and 3, 4 to 7, ... 32 to 63
    assert size.max() > 100 and octaves.min() > 50
    assert 1 - np.polyfit(np.arange(6), np.log2(octaves), 1)[0] == pytest.approx(1.5, abs=0.25)
