"""The bank: what is kept of exposures, and how a run of theirs would look."""

import numpy as np
import pytest

from ainerd.dynamics import KNOWN, Dynamics, draw
from ainerd.dynamics._corpus import clean_exposure, noisy_runs
from ainerd.latent import Encoder, ModelError, run_embedding
from ainerd.latent._weights import write_weights
from ainerd.techniques.rheo_xpcs import Bank, measured_exposure, run_features, simulated_exposures, write_bank
from ainerd.techniques.rheo_xpcs._bank import add_systematics

RUN = {"n_frames": 500, "counts": 0.5, "n_pixels": 570}


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bank of 18 exposures, and what was put into it."""
    path = tmp_path_factory.mktemp("bank") / "small.safetensors"
    clean, families = simulated_exposures(18, seed=4)
    write_bank(path, clean, families, seed=4)
    return path, clean, families


def test_what_was_put_in_is_kept(small):
    path, clean, families = small
    bank = Bank.load(path)
    assert bank.n == 18 and bank.families == families == [*KNOWN, *KNOWN] and len(bank.id) == 12
    for number, maps in enumerate(clean):
        kept = bank._signal(np.array([number]), 1.0)[0]
        np.testing.assert_allclose(kept, maps, atol=1 / 8192 + 1e-6)


def test_the_shipped_bank_is_large_and_balanced():
    bank = Bank.load()
    assert bank.n >= 5000
    assert len({bank.families.count(family) for family in KNOWN}) == 1


@pytest.mark.parametrize(("n_roi", "by_azimuth"), [(18, True), (4, True), (9, True), (1, True), (9, False)])
def test_bank_and_run_are_described_alike(encoder, small, n_roi, by_azimuth):
    """Means over many draws of the bank's features are those of runs of all bins, seen the public way."""
    bank = Bank.load(small[0])
    told = {"by_azimuth": by_azimuth, **RUN}
    draws = np.stack([bank.features(encoder, contrast=0.2, n_roi=n_roi, seed=s, **told) for s in range(12)])
    rng = np.random.default_rng(3)
    for number in (0, 5, 6):  # alike in all directions; flow
        clean = np.float32(0.2) * small[1][number][None]
        runs = np.concatenate([noisy_runs(clean, n_roi=n_roi, rng=rng, **RUN) for _ in range(12)])
        add_systematics(runs, (0.2 + 64 / 250) / np.sqrt(570 * n_roi), rng)
        seen = np.stack([run_features(encoder, np.kron(run, np.ones((4, 4))), **told) for run in runs])
        spread = np.hypot(seen.std(0), draws[:, number].std(0)) + 0.02
        assert (np.abs(seen.mean(0) - draws[:, number].mean(0)) / spread).max() < 2
        assert draws[:, number].std(0).mean() == pytest.approx(seen.std(0).mean(), rel=0.5)


def test_features_begin_with_the_embedding(encoder):
    rng = np.random.default_rng(1)
    clean = np.float32(0.2) * clean_exposure(draw("avalanche", rng, 1.0))[None]
    maps = np.kron(noisy_runs(clean, rng=rng, **RUN)[0], np.ones((4, 4)))
    embedding = run_embedding(encoder, encoder.encode(maps))
    np.testing.assert_allclose(run_features(encoder, maps, **RUN)[:15], embedding[:15], atol=1e-4)


def test_features_depend_on_the_seed_alone(encoder, small):
    bank = Bank.load(small[0])
    one, two, other = (bank.features(encoder, seed=s, contrast=0.2, **RUN) for s in (0, 0, 1))
    assert one.shape == (18, 46) and np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)
    assert (one != other).any(1).all()


@pytest.mark.parametrize("name", ["n_frames", "counts", "contrast"])
def test_impossible_statistics_are_refused(encoder, small, name):
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        Bank.load(small[0]).features(encoder, **RUN | {"contrast": 0.2, name: 0.0})


def test_landmarks_are_embeddings_of_the_first(encoder, small):
    embeddings, names = Bank.load(small[0]).landmarks(encoder, contrast=0.2, n=9, **RUN)
    assert embeddings.shape == (9, 16) and names == list(KNOWN)
    flow, others = embeddings[KNOWN.index("flow"), -1], np.delete(embeddings[:, -1], KNOWN.index("flow"))
    assert flow > others.max()


def test_a_bad_bank_is_named(tmp_path, small):
    path, recipe = tmp_path / "mine.safetensors", {"kind": "bank", "exposure_families": ["slow"]}
    for packed, directions in ((b"", [1, 1]), (b"", [2]), (b"no zlib", [1])):
        tensors = {"g1_squared": np.frombuffer(packed, np.uint8), "directions": np.array(directions)}
        write_weights(path, tensors, recipe)
        with pytest.raises(ModelError, match="mine.safetensors: "):
            Bank.load(path)
    write_bank(path, small[1][:2], ["slow"])
    with pytest.raises(ModelError, match="mine.safetensors: 1 families"):
        Bank.load(path)
    with pytest.raises(ModelError, match="absent.safetensors"):
        Bank.load(tmp_path / "absent.safetensors")


def test_a_measured_run_becomes_what_it_was(encoder):
    """Without its noise, in its directions, and a covariance, which an exposure must be to be noised again."""
    rng = np.random.default_rng(2)
    flow = Dynamics(family="flow", tau_s=1.0, static=0.5, flow_rad_s=30.0, flow_deg=40.0)
    truth = clean_exposure(flow)
    noisy = noisy_runs(np.float32(0.3) * truth[None], rng=rng, n_frames=5000, counts=0.3, n_pixels=570)[0]
    taken = measured_exposure(encoder, np.kron(noisy, np.ones((4, 4))), contrast=0.3)
    before = (noisy[:9] - 1) / 0.3
    assert taken.shape == (9, 64, 64)
    assert np.square(taken - truth).mean() < 0.5 * np.square(before - truth).mean()
    assert np.linalg.eigvalsh(taken.astype(float)).min() > -1e-4
    with pytest.raises(ValueError, match="contrast must be positive"):
        measured_exposure(encoder, noisy, contrast=0)
