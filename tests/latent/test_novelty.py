"""The novelty claim: false alarms as many as it says, and power on dynamics it was never shown."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.base import clone

from ainerd.dynamics import HELD_OUT, draw
from ainerd.latent import Bank, Encoder, ModelError, NoveltyScorer, run_features
from ainerd.latent._corpus import clean_exposure, known_exposures, noisy_runs
from ainerd.latent._embedding import exposure_features
from ainerd.latent._weights import write_weights

CONTRAST = 0.2


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def bank():
    return Bank.load()


@pytest.fixture(scope="module")
def fresh():
    """Exposures that no one has seen: 300 known ones, and 40 of each family held out, as (d, 64, 64) maps."""
    rng = np.random.default_rng(11)
    known = {"known": [clean_exposure(dynamics) for dynamics in known_exposures(300, rng)]}
    return known | {f: [clean_exposure(draw(f, rng, 1.0)) for _ in range(40)] for f in sorted(HELD_OUT)}


def runs(encoder, exposures, condition):
    """Features of exposures seen in 18 bins."""
    rng = np.random.default_rng(12)
    maps = (noisy_runs(CONTRAST * clean[None], rng=rng, **condition) for clean in exposures)
    return np.concatenate([exposure_features(encoder, run, **condition) for run in maps])


# Share of each family's exposures that must be flagged at 0.05. Measured on 300 exposures at 0.1 photons per pixel and
# frame, at 0.05 and at 0.01: echo 1.00 and 1.00, ballistic .53 and .02, banded .45 and .00. Sixteen components hold
# little of what tells two velocities from one, or motion that dies out from ageing.
LEAST_POWER = {"echo": 0.95, "ballistic": 0.25, "banded": 0.15}


@pytest.mark.parametrize(("n_frames", "counts", "n_pixels"), [(5000, 0.1, 570), (500, 0.5, 150)])
def test_false_alarms_and_power(encoder, bank, fresh, n_frames, counts, n_pixels):
    condition = {"n_frames": n_frames, "counts": counts, "n_pixels": n_pixels}
    scorer = NoveltyScorer().fit(bank.features(encoder, contrast=CONTRAST, **condition))
    p = {family: scorer.p_values(runs(encoder, exposures, condition)) for family, exposures in fresh.items()}
    assert 0.03 <= (p["known"] <= 0.05).mean() <= 0.07
    assert (p["known"] <= 0.01).mean() < 0.02
    for family, least in LEAST_POWER.items():
        assert (p[family] <= 0.05).mean() >= least, family
    assert (p["echo"] <= 0.01).mean() >= 0.95


@pytest.mark.parametrize("directions", [1, 9])
def test_bank_and_run_are_described_alike(encoder, bank, directions):
    """A bank exposure noised at 256 px through the public way lies where the bank says."""
    condition = {"n_frames": 5000, "counts": 0.5, "n_pixels": 2000}
    features = bank.features(encoder, contrast=CONTRAST, **condition)
    number = next(i for i, held in enumerate(bank._clean) if len(held) == directions)
    clean = np.zeros((1, directions, 64, 64), dtype=np.float32)
    rows, cols = np.triu_indices(64)
    clean[0][:, rows, cols] = clean[0][:, cols, rows] = bank._clean[number]
    maps = noisy_runs(CONTRAST * clean, rng=np.random.default_rng(1), **condition)[0]
    run = run_features(encoder, np.kron(maps, np.ones((4, 4))), **condition)
    np.testing.assert_allclose(run, features[number], atol=0.15)
    distance = np.square(features - run).sum(1)
    assert (distance < distance[number]).sum() < 3  # no more than a neighbour or two of the same kind


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
    path, recipe = tmp_path / "mine.safetensors", {"kind": "bank", "exposure_families": ["slow"]}
    for rows, directions in ((2, [1]), (2, [2]), (2, [1, 1])):
        write_weights(path, {"g1_squared": np.zeros((rows, 2080)), "directions": np.array(directions)}, recipe)
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
