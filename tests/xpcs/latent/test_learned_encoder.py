"""The shipped learned encoder: contents of its latent vectors, and denoising that makes no map worse."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import HELD_OUT, KNOWN, draw, noisy, reduced_g1_squared
from ainerd_xpcs.latent import Encoder

CONDITION = {"n_pixels": 570, "n_frames": 5000}


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load("ours")


def truths(families, n, seed):
    rng = np.random.default_rng(seed)
    drawn = [draw(family, rng) for family in families for _ in range(n)]
    return np.concatenate([reduced_g1_squared(d, 1.0, 64, [d.flow_deg]) for d in drawn]).astype(np.float32)


def test_a_latent_vector_holds_contrast_and_offset(encoder):
    clean = truths(["slow"], 6, 1)
    contrast = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.35], np.float32)[:, None, None]
    maps = 1 + contrast * clean
    z, moved = encoder.encode(maps), encoder.encode(maps + 0.02)
    assert z.shape == (6, 64) and z.dtype == np.float32
    np.testing.assert_allclose(z[:, 0] / 20, contrast.ravel(), rtol=0.15)
    assert np.abs(encoder.decode(moved, size=64) - maps - 0.02).mean() < 0.03
    assert np.abs(z[:, 2:32] - encoder.encode(1 + 0.5 * contrast * clean)[:, 2:32]).mean() < 0.3


@pytest.mark.parametrize(("families", "counts"), [(KNOWN, 0.05), (KNOWN, 0.5), (sorted(HELD_OUT), 0.05)])
def test_denoising_makes_maps_better(encoder, families, counts):
    clean = 1 + 0.2 * truths(families, 60 // len(families), 3)
    maps = noisy(clean - 1, counts=counts, rng=np.random.default_rng(4), **CONDITION)[:, 0]
    before, after = (
        np.square(m - clean).mean((1, 2)).reshape(len(families), -1) for m in (maps, encoder.denoise(maps, size=64))
    )
    assert (after.mean(1) < before.mean(1)).all() and after.mean() < 0.7 * before.mean()
    assert (after < 1.6 * before).all()


def test_unknown_dynamics_are_returned_unchanged(encoder):
    stripes = 1 + 0.2 * np.sign(np.sin(np.arange(64)[:, None] * 0.7) * np.sin(np.arange(64) * 0.7))[None]
    held, clean = encoder.decode(encoder.encode(stripes), size=64), encoder.denoise(stripes, size=64)
    assert np.square(clean - stripes).mean() < 0.2 * np.square(held - stripes).mean()


def test_noise_alone_stays_flat(encoder):
    maps = noisy(np.zeros((60, 64, 64)), counts=0.05, rng=np.random.default_rng(6), **CONDITION)[:, 0]
    clean = encoder.denoise(maps, size=64)
    assert np.square(clean - 1).mean() < 0.05 * np.square(maps - 1).mean()
