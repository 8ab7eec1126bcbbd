"""Training gives encoders, and learns no held-out mechanism."""

import numpy as np
import torch
from sklearn.decomposition import PCA

import ainerd_train
from ainerd_train import PcaFit
from ainerd_train._network import Network
from ainerd_xpcs.dynamics import Dynamics, known_maps, reduced_g1_squared
from ainerd_xpcs.latent import Encoder, LearnedEncoder, PcaEncoder
from ainerd_xpcs.latent._weights import run_tower


def test_a_small_training_gives_an_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd_train._ours.BATCH", 50)  # a step of 160 takes seconds where bfloat16 is emulated
    monkeypatch.setattr("ainerd_train._ours._NOISE_STEPS", 20)
    stages = []
    file = ainerd_train.train_ours(tmp_path, seed=3, truths=100, steps=3, watch=lambda *args: stages.append(args[:2]))
    assert stages == [("simulating", 100), ("training", 1), ("training", 2), ("training", 3)]
    assert Encoder.load(file).encode(np.ones((2, 64, 64))).shape == (2, 64)


def test_the_seed_determines_the_run_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd_train._run._PAIRS", 2)
    first, again = (ainerd_train.train_run(tmp_path / name, truths=6, steps=3) for name in "ab")
    assert first.read_bytes() == again.read_bytes()
    maps = 1 + 0.2 * reduced_g1_squared(Dynamics(family="fluid", tau_s=0.05), 1.0, 64, np.arange(18) * 10.0)
    point = Encoder.load(first).encode_run(maps)
    assert point.shape == (16,) and np.isfinite(point).all()


def test_the_seed_determines_the_file(tmp_path):
    first = ainerd_train.train_pca(tmp_path / "a", seed=3, truths=70)
    again = ainerd_train.train_pca(tmp_path / "b", seed=3, truths=70)
    other = ainerd_train.train_pca(tmp_path / "c", seed=4, truths=70)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


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
