"""The movies against their kernels: correlations computed by brute force must be the given ones."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ainerd_xpcs.dynamics import Dynamics, clock, g1_moving, g1_squared
from ainerd_xpcs.numerics import MultiTau, Partition, fit_flow, fit_relaxation
from sim_devices import SpeckleMovie
from sim_devices._speckle import BLOCK, Grain, Process

T, DURATION, BETA, SEEDS = 200, 50.0, 0.17, 3
TIMES = (np.arange(T) + 0.5) * DURATION / T
AZIMUTHS = np.arange(0.5, 360)  # 20 in a bin, each shown by 20 pixels
PHI = np.repeat(AZIMUTHS, 20)
TURN = 2 * np.pi / DURATION
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
    "banded": Dynamics(
        family="banded",
        tau_s=30,
        flow_rad_s=2 * TURN,
        second=Dynamics(family="flow", tau_s=60, flow_rad_s=7 * TURN),
        second_share=0.4,
    ),
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


@pytest.mark.parametrize("contrast", [0.1, 0.17, 1.0])
def test_contrast(contrast):
    """Mean 1 and variance beta, over pixels whose fields are new in each frame; with speckles of a size as without."""
    drawn, side = Dynamics(family="fluid", tau_s=1e-3), 140
    grain = Grain(np.arange(side**2), (side, side), (1.2, 0.8))
    for size in (None, grain):
        seen = movie(drawn, seed=2, contrast=contrast, phi=np.zeros(side**2), times=TIMES[:50], grain=size)
        assert seen.mean() == pytest.approx(1, abs=0.005)
        assert seen.var() == pytest.approx(contrast, rel=0.02)


@pytest.mark.parametrize("size", [(0.8, 0.8), (1.6, 1.1), (3.0, 2.0)])
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


def covariance(process):
    """Return the actual g1 of the process, (T, T)."""
    near = np.zeros((len(process.far), len(process.far)))
    for number, follow in enumerate(process.near):
        before = slice(max(number - 1, 0) * BLOCK, number * BLOCK)
        now = slice(number * BLOCK, number * BLOCK + len(follow))
        recall, fresh = follow[:, : before.stop - before.start].astype(float), follow[:, BLOCK:].astype(float)
        near[now, : now.start] = recall @ near[before, : now.start]
        near[: now.start, now] = near[now, : now.start].T
        near[now, now] = recall @ near[before, before] @ recall.T + fresh @ fresh.T
    far = process.far.astype(float)
    return far @ far.T + near


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("tau", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("frames", [500])
def test_correlation_of_the_fields_is_g1(exponent, tau, frames):
    """Computed, not drawn: g1 at all pairs of frames, next neighbours too, of a clock that slows down and jumps."""
    times = (np.arange(frames) + 0.5) * DURATION / frames
    drawn = Dynamics(
        family="any", tau_s=tau, exponent=exponent, plateau=0.2, ageing=0.5, events=((11.0, 1.0), (31.3, 0.7))
    )
    s = clock(drawn, times)
    error = np.abs(covariance(Process(drawn, s)) - g1_moving(drawn, s[:, None], s))
    assert error.max() < 0.003
    assert np.sqrt((error**2).mean()) < 3e-4


@pytest.fixture(scope="module")
def ring():
    """Eighteen bins of 400 pixels, as the analysis has them, and the azimuth of each pixel."""
    partition = Partition.from_roi_map(
        np.repeat(np.arange(1, 19), 400).reshape(18, 400), q=np.full(18, 0.024), phi=np.arange(10, 360, 20)
    )
    return partition, np.repeat(np.arange(18), 400) * 20 + np.tile(np.linspace(0, 20, 400), 18)


@pytest.mark.parametrize("exponent, tau", [(0.5, 1.0), (1.0, 1.5), (1.7, 3.0)])
def test_fit_of_g2_returns_the_relaxation_time(ring, exponent, tau):
    """Half a photon a pixel, 500 frames: within 5 %."""
    drawn, times = Dynamics(family="any", tau_s=tau, exponent=exponent), np.arange(500) / 10
    counts = np.random.default_rng(3).poisson(movie(drawn, seed=3, phi=ring[1], contrast=0.2, times=times) / 2)
    live = MultiTau(ring[0])
    live.push(counts)
    seen = live.result()
    fit = fit_relaxation(seen, 0.1, together=True)
    assert fit.tau[0] == pytest.approx(tau, rel=0.05)
    assert fit.contrast[0] == pytest.approx(0.2, rel=0.1)


def test_fit_of_fringes_returns_velocity_and_direction(ring):
    """Half a photon a pixel, 500 frames: within 5 %, and 3 degrees."""
    drawn = Dynamics(family="flow", tau_s=40, static=0.45, flow_rad_s=6.5 * TURN, flow_deg=110)
    times = np.arange(500) / 10
    counts = np.random.default_rng(3).poisson(movie(drawn, seed=3, phi=ring[1], contrast=0.2, times=times) / 2)
    live = MultiTau(ring[0])
    live.push(counts)
    seen = live.result()
    use = seen.lag < 250
    parts = {"parts": seen.parts[:, use], "part_roi": seen.part_roi, "part_weight": seen.part_weight}
    fit = fit_flow(seen.lag[use] / 10, seen.value[:, use], ring[0].phi, ring[0].q, **parts)
    assert fit.kind == "velocity" and fit.velocity * 0.024 == pytest.approx(drawn.flow_rad_s, rel=0.05)
    assert fit.flow_direction == pytest.approx(110, abs=3)
