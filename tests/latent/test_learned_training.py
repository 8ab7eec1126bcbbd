"""Training goes on where it stopped, and learns of no held-out mechanism."""

import numpy as np
import pytest
import torch
from scipy.ndimage import shift

from ainerd.latent import Encoder, ModelError, train_ours, train_paper
from ainerd.latent._examples import examples, speckled
from ainerd.latent._grid import from_triangle
from ainerd.latent._paper import shifted
from ainerd.latent._truths import Truths, composed


@pytest.fixture(scope="module")
def truths():
    return Truths.drawn(120, np.random.default_rng(0))


def test_no_held_out_mechanism_is_combined():
    rng = np.random.default_rng(1)
    for _ in range(500):
        dynamics = composed(rng)
        for _, part in dynamics.parts:
            assert part.echo == (0.0, 0.0) and part.arrest_s == np.inf
        assert len({part.flow_rad_s for _, part in dynamics.parts}) == 1


def test_a_pair_of_examples_is_one_truth_twice(truths):
    e = examples(truths, 100, np.random.default_rng(2))
    np.testing.assert_array_equal(e.shape[:100], e.shape[100:])
    steady = (e.noise > 0) & (e.contrast > 0.1)
    error = np.square((e.maps - 1) / e.contrast[:, None, None] - e.shape).mean((1, 2))[steady]
    assert 0.5 < np.median(error / e.noise[steady]) < 2.0


def test_speckle_averages_to_the_truth(truths):
    shape = from_triangle(truths.triangles[:1].astype(np.float32))
    many = speckled(np.repeat(shape, 800, axis=0), np.random.default_rng(3)).mean(0)
    np.testing.assert_allclose(many, shape[0], atol=0.06)


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd.latent._recipe._CHECKPOINT_EVERY", 2)
    monkeypatch.setattr("ainerd.latent._noise._STEPS", 20)
    whole = train_ours(tmp_path / "a", seed=3, truths=100, steps=3)

    def stop(stage, done, total, watched):
        if stage == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_ours(tmp_path / "b", seed=3, truths=100, steps=3, watch=stop)
    seen = []
    again = train_ours(tmp_path / "b", seed=3, truths=100, steps=3, watch=lambda *told: seen.append(told[:2]))
    assert seen == [("training", 3)]
    a, b = Encoder.load(whole), Encoder.load(again)
    maps = 1 + 0.2 * np.random.default_rng(4).random((2, 64, 64))
    np.testing.assert_allclose(a.encode(maps), b.encode(maps), rtol=1e-3, atol=1e-3)
    with pytest.raises(ModelError, match="another recipe"):
        train_ours(tmp_path / "b", seed=3, truths=100, steps=5)


def test_a_shift_wraps_around_exactly():
    maps = np.random.default_rng(5).random((3, 16, 16)).astype(np.float32)
    by = np.random.default_rng(6).integers(16, size=3)
    peer = [shift(m, (b, b), order=1, mode="grid-wrap") for m, b in zip(maps, by, strict=True)]
    np.testing.assert_allclose(shifted(maps, np.random.default_rng(6)), peer, atol=1e-6)


def test_the_paper_recipe_writes_what_can_be_loaded(tmp_path):
    file = train_paper(tmp_path, seed=1, maps=16, epochs=1)
    assert Encoder.load(file).encode(np.ones((1, 256, 256))).shape == (1, 64)
    assert set(torch.load(file, weights_only=True)) >= {"encoder.0.weight", "bottleneck.3.bias", "decoder1.21.weight"}
