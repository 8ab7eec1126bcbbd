"""The movies against their kernels: correlations computed by brute force must be the given ones."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ainerd_xpcs.dynamics import Dynamics, g1_squared
from sim_devices import Grain, SpeckleMovie

T, DURATION, BETA, SEEDS = 200, 50.0, 0.17, 3
TIMES = (np.arange(T) + 0.5) * DURATION / T
AZIMUTHS = np.arange(0.5, 360)  # 20 in a bin, each shown by 20 pixels
PHI = np.repeat(AZIMUTHS, 20)
TURN = 2 * np.pi / DURATION
BAND = Dynamics(family="flow", tau_s=60, flow_rad_s=7 * TURN)
REGIMES = {
    "stretched": Dynamics(family="fluid", tau_s=2, exponent=0.5),
    "ageing, rejuvenated": Dynamics(
        family="ageing", tau_s=1.5, ageing=1.1, ageing_onset_s=7, age_s=5, rejuvenation=(30.0,)
    ),
    "avalanche": Dynamics(family="avalanche", tau_s=100, exponent=1.2, events=((11.1, 1.0), (31.3, 0.7))),
    "arrested, anisotropic": Dynamics(
        family="arrested", tau_s=5, plateau=0.7, exponent=1.5, anisotropy=0.5, anisotropy_deg=30
    ),
    "flow": Dynamics(family="flow", tau_s=40, static=0.45, flow_rad_s=5 * TURN, flow_deg=70),
    "banded": Dynamics(family="banded", tau_s=30, flow_rad_s=2 * TURN, second=BAND, second_share=0.4),
    "echo": Dynamics(family="echo", tau_s=100, exponent=2, echo=(1.2, 0.1)),
    "ballistic": Dynamics(family="ballistic", tau_s=2, exponent=2, arrest_s=9),
}


@pytest.fixture(autouse=True)
def one_blas_thread():
    with threadpool_limits(1, user_api="blas"):
        yield


def movie(dynamics, *, seed, phi=PHI, contrast=BETA, times=TIMES, **of_pixels):
    source = SpeckleMovie(dynamics, times, phi, contrast=contrast, rng=np.random.default_rng(seed), **of_pixels)
    return np.concatenate(list(source.blocks()))


def two_time(frames):
    """N ΣI₁I₂ / (ΣI₁ ΣI₂), pixel by pixel."""
    total = frames.sum(1, dtype=float)
    return frames.shape[1] * (frames @ frames.T) / np.outer(total, total)


@pytest.mark.parametrize("name", REGIMES)
def test_two_time_correlation_is_the_prescribed_one(name):
    """Amplitude and shape of C2 - 1 in 18 bins x 3 seeds of 400 pixels each.

    Amplitude: each bin's map is projected on beta |g1|²; the mean of the 54 projections must be 1 within 3.5 standard
    errors of their own scatter, and that error small enough that 1.05 is rejected. Shape: residuals averaged over
    10 x 10 cells must be noise: no cell beyond 5 standard errors, their rms no larger than 1.8.
    """
    expected = np.stack([BETA * g1_squared(REGIMES[name], TIMES, phi).mean(0) for phi in AZIMUTHS.reshape(18, 20)])
    cells = np.kron(np.arange(100).reshape(10, 10), np.ones((20, 20), int)).ravel()
    amplitude, residual = [], []
    for seed in range(SEEDS):
        frames = movie(REGIMES[name], seed=seed)
        for k, target in enumerate(expected):
            excess = two_time(frames[:, k * 400 : (k + 1) * 400]) - 1
            amplitude.append((excess * target).sum() / (target * target).sum())
            residual.append(np.bincount(cells, (excess - target).ravel()) / np.bincount(cells))
    amplitude, residual = np.array(amplitude), np.array(residual)

    mean, error = amplitude.mean(), amplitude.std(ddof=1) / np.sqrt(amplitude.size)
    assert abs(mean - 1) < 3.5 * error
    assert abs(mean - 1.05) > 3.5 * error, "too few pixels to reject a bias of 5 %"
    z = residual.mean(0) / (residual.std(0, ddof=1) / np.sqrt(len(residual)))
    assert np.abs(z).max() < 5
    assert np.sqrt(np.mean(z**2)) < 1.8  # how far below 1 depends on how alike the cells of one seed are


def test_a_flow_loses_its_fringes_where_q_differs():
    """Beyond a turn of q·v t the fringes of q ± 20 % are out of step: C2 - 1 is the mean of those of each q."""
    flow, ratios = REGIMES["flow"], np.linspace(0.8, 1.2, 9)
    along = np.full(PHI.size, flow.flow_deg)
    frames = movie(flow, seed=0, phi=along, q_ratio=np.resize(ratios, PHI.size))
    of_each = [g1_squared(replace(flow, flow_rad_s=flow.flow_rad_s * q), TIMES, along[:1])[0] for q in ratios]
    seen, expected, sharp = two_time(frames) - 1, BETA * np.mean(of_each, axis=0), BETA * of_each[4]
    lags = np.arange(1, len(TIMES) // 2)
    seen, expected, sharp = (np.array([np.diagonal(c2, lag).mean() for lag in lags]) for c2 in (seen, expected, sharp))
    np.testing.assert_allclose(seen, expected, atol=0.06 * BETA)
    assert abs(sharp - expected).max() > 0.25 * BETA


@pytest.mark.parametrize("contrast", [0.17, 1.0])
def test_contrast(contrast):
    """Mean 1 and variance beta, over pixels whose fields are new in each frame; with speckles of a size as without."""
    drawn, side = Dynamics(family="fluid", tau_s=1e-3), 140
    grain = Grain(np.arange(side**2), (side, side), (1.2, 0.8))
    for size in (None, grain):
        seen = movie(drawn, seed=2, contrast=contrast, phi=np.zeros(side**2), times=TIMES[:50], grain=size)
        assert seen.mean() == pytest.approx(1, abs=0.005)
        assert seen.var() == pytest.approx(contrast, rel=0.02)


@pytest.mark.parametrize("size", [(0.8, 0.8), (3.0, 2.0)])
def test_speckles_have_the_stated_size(size):
    """Intensities a pixel apart correlate as exp(-4 ln 2 / size²) of the contrast, and further ones as a Gaussian."""
    side = 128
    pixels = np.flatnonzero(np.hypot(*(np.mgrid[:side, :side] - 63.5)) < 60)  # no speckle in the corners
    grain = Grain(pixels, (side, side), size)
    drawn = Dynamics(family="fluid", tau_s=1e-3)
    frames = np.full((100, side * side), np.nan)
    frames[:, pixels] = movie(
        drawn, seed=1, contrast=0.25, phi=np.zeros(pixels.size), times=np.arange(100.0), grain=grain
    )
    excess = frames.reshape(100, side, side) - 1
    for axis, width in zip((1, 2), size, strict=True):
        for lag in (1, 2, 3):
            wanted = np.exp(-4 * np.log(2) * (lag / width) ** 2)
            near, far = np.take(excess, range(side - lag), axis), np.take(excess, range(lag, side), axis)
            assert np.nanmean(near * far) / 0.25 == pytest.approx(wanted, abs=0.02)
