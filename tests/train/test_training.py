"""Training gives encoders, and learns no held-out mechanism."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import ainerd_train
from ainerd_train import PcaFit, _ours
from ainerd_train._network import Network
from ainerd_train._simulated import Truths, composed, examples, speckled
from ainerd_train._textures import TEXTURES
from ainerd_xpcs.dynamics import Dynamics, known_maps, reduced_g1_squared
from ainerd_xpcs.latent import Encoder, LearnedEncoder, PcaEncoder, from_triangle
from ainerd_xpcs.latent._weights import run_tower

SMALL_BATCH = 50  # truths in a step: a step of 160 takes seconds where bfloat16 is emulated


@pytest.fixture
def cheap(monkeypatch):
    """Make steps small, and compute the basis of given truths once."""
    compute, computed = _ours._basis, {}

    def basis(truths, seed):
        key = (truths.triangles.tobytes(), seed)
        if key not in computed:
            computed[key] = compute(truths, seed)
        return tuple(array.copy() for array in computed[key])

    monkeypatch.setattr(_ours, "_basis", basis)
    monkeypatch.setattr(_ours, "BATCH", SMALL_BATCH)
    monkeypatch.setattr(_ours, "_NOISE_STEPS", 20)


@pytest.fixture(scope="module")
def truths():
    return Truths.draw(120, np.random.default_rng(0))


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


def test_a_small_training_gives_an_encoder(tmp_path, cheap):
    stages = []
    file = ainerd_train.train_ours(tmp_path, seed=3, truths=100, steps=3, watch=lambda *args: stages.append(args[:2]))
    assert stages == [("simulating", 100), ("training", 1), ("training", 2), ("training", 3)]
    assert Encoder.load(file).encode(np.ones((2, 64, 64))).shape == (2, 64)


@pytest.mark.parametrize("name", list(TEXTURES))
def test_textures_keep_maps_symmetric(name):
    maps = TEXTURES[name](np.ones((3, 64, 64), np.float32), 0.02, np.random.default_rng(4))
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
    np.testing.assert_allclose(maps, maps.swapaxes(1, 2), atol=1e-5)


def test_the_seed_determines_the_run_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd_train._run._PAIRS", 2)
    first, again = (ainerd_train.train_run(tmp_path / name, truths=6, steps=3) for name in "ab")
    assert first.read_bytes() == again.read_bytes()
    maps = 1 + 0.2 * reduced_g1_squared(Dynamics(family="fluid", tau_s=0.05), 1.0, 64, np.arange(18) * 10.0)
    point = Encoder.load(first).encode_run(maps)
    assert point.shape == (16,) and np.isfinite(point).all()


def test_training_that_is_interrupted_gives_the_threads_back(tmp_path):
    def stops(stage, done, total, watched):
        if stage == "training":
            raise KeyboardInterrupt

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(KeyboardInterrupt):
            ainerd_train.train_run(tmp_path, truths=2, steps=2, watch=stops)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_seed_determines_the_file(tmp_path):
    seen = []
    first = ainerd_train.train_pca(tmp_path / "a", seed=3, truths=70, watch=lambda *args: seen.append(args[1]))
    again = ainerd_train.train_pca(tmp_path / "b", seed=3, truths=70)
    other = ainerd_train.train_pca(tmp_path / "c", seed=4, truths=70)
    assert seen[-1] == 70
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    encoder = Encoder.load(first)
    assert encoder.n_latent == 16
    gram = encoder.components @ encoder.components.T
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-5)


def test_the_fit_is_that_of_scikit_learn():
    maps = 1 + 0.2 * known_maps(300, np.random.default_rng(1))
    fit = PcaFit()
    for block in np.array_split(maps, 7):
        fit.push(block)
    mean, components = fit.finish(4)
    weight = np.where(np.eye(64, dtype=bool), 1, np.sqrt(2))[np.triu_indices(64)]
    x = np.array([(m[np.triu_indices(64)] - 1) * weight for m in maps])
    peer = PCA(4, svd_solver="full").fit(x)
    np.testing.assert_allclose(mean, peer.mean_, atol=1e-6)
    np.testing.assert_allclose(np.abs((components * peer.components_).sum(1)), 1, atol=1e-4)
    ours = PcaEncoder(mean, components)
    z = ours.encode(maps)
    np.testing.assert_allclose(np.abs(z), np.abs(peer.transform(x)), atol=2e-3)
    kept = peer.inverse_transform(peer.transform(x))
    left = np.square(maps - ours.decode(z, size=64)).sum((1, 2))
    np.testing.assert_allclose(left, np.square(x - kept).sum(1), rtol=1e-2, atol=1e-4)


def test_numpy_and_torch_compute_the_same():
    torch.manual_seed(0)
    network = Network(564, 400, 9, 8)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    network.encode(torch.randn(300, 564) * 3)  # fits the whitening
    network.eval()
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((2080, 400)))[0].T
    tensors = {"basis": basis, "mean": np.zeros(2080), "spread": np.ones(400), "detail": basis[:32]}
    ours = LearnedEncoder(network.exported() | tensors)
    x = rng.standard_normal((5, 564)).astype(np.float32)
    with torch.inference_mode():
        z, level = network.encode(torch.from_numpy(x))
        coefficients = network.decode(z).numpy()
    np.testing.assert_allclose(run_tower(ours._t, "encoder", x), np.hstack([z, level]), atol=2e-4)
    np.testing.assert_allclose(ours._shape(z.numpy()) @ basis.T, coefficients, rtol=1e-3, atol=1e-3)
