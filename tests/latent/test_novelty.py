"""The novelty claim: false alarms as many as it says, and power on dynamics it was never shown."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.base import clone

from ainerd.dynamics import HELD_OUT, draw
from ainerd.latent import Bank, Encoder, ModelError, NoveltyScorer, run_features
from ainerd.latent._corpus import clean_exposure, known_exposures, noisy
from ainerd.latent._embedding import exposure_features
from ainerd.latent._weights import write_weights

CONTRAST = 0.2


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def bank():
    return Bank.load()


def runs(encoder, clean, rng, condition):
    """Features of exposures (n, 1 or 18, 64, 64)."""
    draws = 18 if clean.shape[1] == 1 else 1
    maps = noisy(CONTRAST * clean.reshape(-1, 64, 64), rng=rng, draws=draws, **condition)
    return exposure_features(encoder, maps.reshape(len(clean), 18, 64, 64), **condition)


@pytest.mark.parametrize(("n_frames", "counts", "n_pixels"), [(500, 0.5, 570), (5000, 0.05, 570), (500, 0.5, 150)])
def test_false_alarms_and_power(encoder, bank, n_frames, counts, n_pixels):
    condition = {"n_frames": n_frames, "counts": counts, "n_pixels": n_pixels}
    scorer = NoveltyScorer().fit(bank.features(encoder, contrast=CONTRAST, **condition))
    rng = np.random.default_rng(11)
    n = 300
    known = scorer.p_values(runs(encoder, known_exposures(n, rng)[0][:, None], rng, condition))
    for alpha in (0.05, 0.01):
        error = np.sqrt(alpha * (1 - alpha) * (1 / n + 1 / scorer.n_calibration_))
        assert (known <= alpha).mean() == pytest.approx(alpha, abs=3 * error)
    for family in sorted(HELD_OUT):
        clean = np.stack([np.broadcast_to(clean_exposure(draw(family, rng, 1.0)), (18, 64, 64)) for _ in range(40)])
        novel = scorer.p_values(runs(encoder, clean, rng, condition))
        assert (novel <= 0.05).mean() >= 0.8, family


def test_bank_and_run_are_described_alike(encoder, bank):
    """A bank exposure noised at 256 px through the public way lies where the bank says."""
    condition = {"n_frames": 5000, "counts": 0.5, "n_pixels": 2000}
    features = bank.features(encoder, contrast=CONTRAST, **condition)
    clean = np.zeros((64, 64))
    clean[np.triu_indices(64)] = bank._triangles[0]
    clean = np.maximum(clean, clean.T)[None].astype(np.float32)
    maps = noisy(CONTRAST * clean, rng=np.random.default_rng(1), draws=18, **condition)[0]
    run = run_features(encoder, np.kron(maps, np.ones((4, 4))), **condition)
    np.testing.assert_allclose(run, features[0], atol=0.15)
    assert np.square(features - run).sum(1).argmin() == 0


def test_bank_features_depend_on_the_seed_alone(encoder, bank):
    condition = {"n_frames": 500, "counts": 0.5, "n_pixels": 570, "contrast": CONTRAST, "n_roi": 4}
    one, two, other = (bank.features(encoder, seed=s, **condition) for s in (0, 0, 1))
    assert one.shape == (bank.n, 17) and np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert len(bank.id) == 12 and bank.n == len(bank.families) >= 300


@pytest.mark.parametrize("name", ["n_frames", "counts", "contrast"])
def test_impossible_statistics_are_refused(encoder, bank, name):
    condition = {"n_frames": 500, "counts": 0.5, "n_pixels": 570, "contrast": 0.2} | {name: 0.0}
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        bank.features(encoder, **condition)


def test_a_bad_bank_is_named(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, {"g1_squared": np.zeros((2, 2080))}, {"kind": "bank", "exposure_families": ["slow"]})
    with pytest.raises(ModelError, match="mine.safetensors: 1 families"):
        Bank.load(path)
    with pytest.raises(ModelError, match="absent.safetensors"):
        Bank.load(tmp_path / "absent.safetensors")


def test_p_values_are_full_conformal():
    rng = np.random.default_rng(0)
    features, new = rng.normal(size=(200, 5)), rng.normal(size=(50, 5)) * 1.5
    scorer = NoveltyScorer(n_components=2).fit(features)

    def strangeness(x):
        return np.column_stack([-scorer.density_.score_samples(scorer.scaler_.transform(x[:, :-1])), x[:, -1]])

    held = strangeness(np.array_split(features[np.random.default_rng(0).permutation(200)], 2)[1])
    for x, p in zip(strangeness(new), scorer.p_values(new), strict=True):
        both = np.vstack([held, x])
        strangest = np.minimum(*(rankdata(-column, method="max") for column in both.T))
        assert p == pytest.approx((strangest <= strangest[-1]).mean())


def test_p_values_are_uniform_on_what_is_familiar():
    rng = np.random.default_rng(2)
    p = np.concatenate(
        [NoveltyScorer().fit(rng.normal(size=(400, 4))).p_values(rng.normal(size=(100, 4))) for _ in range(10)]
    )
    for alpha in (0.05, 0.2, 0.5):
        assert (p <= alpha).mean() == pytest.approx(alpha, abs=3 * np.sqrt(alpha * (1 - alpha) * 1.5 / 1000))


def test_either_term_alone_makes_a_run_novel():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(300, 4))
    scorer = NoveltyScorer().fit(features)
    odd = np.array([[9.0, 0, 0, 0], [0, 0, 0, 9.0], [0, 0, 0, 0], [30.0, 0, 0, 0]])
    p, score = scorer.p_values(odd), scorer.score_samples(odd)
    assert (p[[0, 1, 3]] < 0.02).all() and p[2] > 0.3
    assert score[2] > score[0] > score[3] and score[2] > score[1]


def test_it_is_an_estimator():
    scorer = NoveltyScorer(n_components=3)
    assert clone(scorer).get_params() == scorer.get_params()
    with pytest.raises(ValueError, match="10 runs are too few"):
        scorer.fit(np.zeros((10, 4)))
    with pytest.raises(ValueError, match="not finite"):
        scorer.fit(np.full((50, 4), np.nan))
    scorer.fit(np.random.default_rng(0).normal(size=(50, 4)))
    with pytest.raises(ValueError, match=r"\(n, 4\), got \(1, 3\)"):
        scorer.p_values(np.zeros((1, 3)))
