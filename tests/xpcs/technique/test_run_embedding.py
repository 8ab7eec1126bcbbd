"""Variables that change the embedding of a run, and variables that do not."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import Dynamics, clean_exposure
from ainerd_xpcs.latent import Encoder, run_embedding
from tests.noisy_runs import noisy_runs

AVALANCHE = Dynamics(family="avalanche", tau_s=5.0, events=((0.3, 1.5),))
FLUID = Dynamics(family="fluid", tau_s=0.05)
FLOW = Dynamics(family="flow", tau_s=1.0, static=0.5, flow_rad_s=40.0, flow_deg=90.0)


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load("pca")


def run(dynamics, *, contrast=0.2, seed=0, n_pixels=570):
    """Maps (18, 64, 64) of a run of 500 frames."""
    clean = contrast * clean_exposure(dynamics)[None]
    return noisy_runs(clean, n_pixels=n_pixels, n_frames=500, counts=0.5, rng=np.random.default_rng(seed))[0]


def embedding(encoder, dynamics, **options):
    return run_embedding(encoder, encoder.encode(run(dynamics, **options)))


def apart(a, b):
    return float(np.linalg.norm(a - b))


def test_second_harmonic_is_that_of_a_fourier_transform(encoder):
    z = encoder.encode(run(FLOW))
    maps = encoder.decode(z, size=64)
    power = np.square(np.abs(np.fft.fft(maps, axis=0) / 18)).mean((1, 2))
    plateau = np.trace(maps.mean(0) - 1) / 64
    assert run_embedding(encoder, z)[-1] == pytest.approx(
        np.log1p(np.sqrt(power[2] - power[1]) / plateau / 0.03), rel=1e-4
    )


def test_decay_is_the_mean_along_diagonals(encoder):
    z = encoder.encode(run(FLUID))
    c = encoder.decode(z, size=64).mean(0) - 1
    decay = run_embedding(encoder, z)[:8]
    plateau = np.diag(c).mean()
    assert decay[0] == pytest.approx(np.diag(c, 1).mean() / plateau, rel=1e-3)
    both = np.concatenate([np.diag(c, 3), np.diag(c, 4)])
    assert decay[2] == pytest.approx(both.mean() / plateau, rel=1e-3, abs=1e-4)
