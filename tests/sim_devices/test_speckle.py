"""The movies against their kernels: what is measured by brute force must be what was asked for."""

import numpy as np
import pytest
from scipy import stats
from test_hidden_sample import places
from threadpoolctl import threadpool_limits

from ainerd.dynamics import Dynamics, clock, g1_moving, g1_squared
from sim_devices import HiddenSample, SpeckleMovie
from sim_devices._speckle import low_rank, mode_weights, poisson

T, DURATION, BETA, SEEDS = 200, 50.0, 0.17, 6
TIMES = (np.arange(T) + 0.5) * DURATION / T
AZIMUTHS = np.arange(0.5, 360)  # 20 in a bin, each shown by 30 pixels
PHI = np.repeat(AZIMUTHS, 30)


@pytest.fixture(autouse=True)
def one_blas_thread():
    with threadpool_limits(1, user_api="blas"):
        yield


def movie(dynamics, *, seed, mean=2.0, phi=PHI, contrast=BETA, times=TIMES):
    source = SpeckleMovie(
        dynamics, times, phi, np.full(phi.size, mean), contrast=contrast, rng=np.random.default_rng(seed)
    )
    return np.concatenate(list(source.blocks(50)))


def two_time(frames):
    """N ΣI₁I₂ / (ΣI₁ ΣI₂), pixel by pixel."""
    counts = frames.astype(float)
    total = counts.sum(1)
    return counts.shape[1] * (counts @ counts.T) / np.outer(total, total)


@pytest.mark.parametrize("name", HiddenSample.regions)
def test_two_time_correlation_is_the_prescribed_one(name):
    """Amplitude and shape of C2 - 1 in 18 bins x 6 seeds of 600 pixels each.

    Amplitude: each bin's map is projected on beta |g1|²; the mean of the 108 projections must be 1 within 3.5 standard
    errors of their own scatter, and that error small enough that 1.05 is rejected. Shape: residuals averaged over
    10 x 10 cells must be noise: no cell beyond 5 standard errors, their rms about 1.
    """
    sample = HiddenSample(seed=3)
    drawn = sample.dynamics(*places(sample)[name], 200, DURATION, np.random.default_rng(5))
    expected = np.stack([BETA * g1_squared(drawn, TIMES, phi).mean(0) for phi in AZIMUTHS.reshape(18, 20)])
    off = ~np.eye(T, dtype=bool)
    cells = np.kron(np.arange(100).reshape(10, 10), np.ones((20, 20), int))[off]
    amplitude, residual = [], []
    for seed in range(SEEDS):
        frames = movie(drawn, seed=seed)
        for k, target in enumerate(expected):
            excess = two_time(frames[:, k * 600 : (k + 1) * 600])[off] - 1
            amplitude.append(excess @ target[off] / (target[off] @ target[off]))
            residual.append(np.bincount(cells, excess - target[off]) / np.bincount(cells))
    amplitude, residual = np.array(amplitude), np.array(residual)

    mean, error = amplitude.mean(), amplitude.std(ddof=1) / np.sqrt(amplitude.size)
    assert abs(mean - 1) < 3.5 * error
    assert abs(mean - 1.05) > 3.5 * error, "too few pixels to reject a bias of 5 %"
    z = residual.mean(0) / (residual.std(0, ddof=1) / np.sqrt(len(residual)))
    assert np.abs(z).max() < 5
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.6


def test_flow_is_seen_along_the_flow_and_not_across_it():
    drawn = Dynamics(family="flow", tau_s=1e4, static=0.5, flow_rad_s=2 * np.pi * 6 / DURATION, flow_deg=90)
    along, across = (two_time(movie(drawn, seed=1, phi=np.full(4000, phi), contrast=0.5))[0] - 1 for phi in (90.0, 0.0))
    half_a_fringe = round(T / 12)
    assert along[half_a_fringe] < 0.05 < 0.4 < across[half_a_fringe]
    assert along[2 * half_a_fringe] > 0.4


@pytest.mark.parametrize("contrast", [0.1, 0.17, 0.2, 0.5, 1.0])
def test_contrast_and_photon_noise(contrast):
    """Factorial moment 1 + beta, and variance mean + beta mean², over pixels whose fields are new in each frame."""
    drawn = Dynamics(family="fluid", tau_s=1e-3)
    mean = 1.7
    counts = movie(drawn, seed=2, contrast=contrast, mean=mean, phi=np.zeros(20000), times=TIMES[:100]).astype(float)
    error = 4 * np.sqrt((1 + contrast) / mean / counts.size)
    assert counts.mean() == pytest.approx(mean, rel=error)
    factorial = (counts * (counts - 1)).mean() / counts.mean() ** 2
    assert factorial - 1 == pytest.approx(contrast, abs=0.01)
    assert counts.var() == pytest.approx(mean + contrast * mean**2, rel=0.01)


def test_mode_weights():
    for contrast in (0.07, 0.1, 0.2, 0.34, 0.9, 1.0):
        weights = mode_weights(contrast)
        assert weights.sum() == pytest.approx(1) and (weights**2).sum() == pytest.approx(contrast)
        assert (weights >= 0).all() and weights.size == np.ceil(1 / contrast)
    for contrast in (0, 1.1):
        with pytest.raises(ValueError, match="contrast"):
            mode_weights(contrast)


@pytest.mark.parametrize("mean", [0.05, 0.7, 6.0, 50.0])
def test_poisson_sampler_against_scipy(mean):
    rng = np.random.default_rng(1)
    drawn = np.array([poisson(mean, rng) for _ in range(40000)])
    law = stats.poisson(mean)
    edges = np.unique(law.ppf([0, 0.02, 0.2, 0.4, 0.6, 0.8, 0.98]).clip(0))
    observed = np.histogram(drawn, np.r_[edges, np.inf])[0]
    chance = np.diff(np.r_[law.cdf(edges - 1), 1.0])
    assert stats.chisquare(observed, chance * drawn.size).pvalue > 1e-4


def test_factor_of_a_long_exposure_is_nearly_exact():
    """T = 2000 on 512 knots, with avalanches: g1 to 1 % away from the diagonal's immediate neighbourhood."""
    times = (np.arange(2000) + 0.5) * 0.025
    drawn = Dynamics(family="avalanche", tau_s=20, exponent=1.2, events=((11.0, 1.0), (31.3, 0.7)))
    factor = low_rank(drawn, times).astype(float)
    s = clock(drawn, times)
    error = np.abs(factor @ factor.T - g1_moving(drawn, s[:, None], s))
    assert np.diag(error).max() < 1e-6
    assert error.max() < 0.01


def test_seed_decides_every_count():
    drawn = Dynamics(family="fluid", tau_s=2)
    first, again, other = (movie(drawn, seed=seed, phi=PHI[::20]) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
