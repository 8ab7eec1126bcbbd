"""The novelty scorer: the rate of false alarms in every kind, and power on held-out dynamics."""

from functools import partial

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from ainerd.dynamics import DIRECTIONS, HELD_OUT, MECHANISMS, Dynamics, clean_exposure, draw, ordinary
from ainerd.latent import Encoder
from ainerd.novelty import NoveltyScorer
from ainerd.techniques.rheo_xpcs import TERMS, Bank, Clean, add_systematics, run_features, seen_from
from tests.noisy_runs import noisy_runs

CONTRAST = 0.2
RUN = {"n_frames": 5000, "counts": 0.1, "n_pixels": 570}


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def bank():
    return Bank.load()


@pytest.fixture(scope="module")
def scorer(encoder, bank):
    return NoveltyScorer(terms=TERMS).fit(bank.features(encoder, contrast=CONTRAST, **RUN), bank.families)


def seen(encoder, families, n, seed=11, drawn=lambda family, rng: draw(family, rng)):
    """Return features of n new exposures of each family, in 18 bins."""
    rng, out, noise = np.random.default_rng(seed), {}, (CONTRAST + 64 / 500) / np.sqrt(18 * 570)
    for family in families:
        runs = []
        for _ in range(n):
            dynamics = drawn(family, rng)
            if isinstance(dynamics, Dynamics):
                clean = clean_exposure(dynamics)
            else:
                clean = seen_from([Clean.of(dynamics)], DIRECTIONS, np.full(DIRECTIONS.size, 20.0))[0]
            signal = np.float32(CONTRAST) * clean
            maps = noisy_runs(signal[None], rng=rng, **RUN)
            add_systematics(maps, noise, rng)
            runs.append(run_features(encoder, maps[0], **RUN))
        out[family] = np.stack(runs)
    return out


# Share of each family's exposures to be flagged at 0.01; `python -m studies.novelty` measures it on 250 of each.
LEAST_POWER = {"echo": 0.95, "ballistic": 0.8, "banded": 0.3}  # bands without a wall resemble one flow


def plain(tau, exponent):
    """Return |g1|², (64, 64), of a sample in equilibrium, by independent code; `tau` in units of the exposure."""
    t = (np.arange(1024) + 0.5) / 1024
    squared = np.exp(-2 * (np.abs(t[:, None] - t) / tau) ** exponent)
    return squared.reshape(64, 16, 64, 16).mean((1, 3))


def test_false_alarms_and_power(encoder, scorer):
    known = seen(encoder, sorted(MECHANISMS), 16, drawn=ordinary)
    p = scorer.p_values(np.concatenate(list(known.values())))
    assert (p <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 176)
    assert (p <= 0.01).mean() < 0.01 + 3 * np.sqrt(0.01 * 0.99 / 176)
    assert 0.4 < p.mean() < 0.6
    assert max((scorer.p_values(x) <= 0.05).mean() for x in known.values()) < 0.25  # in every kind
    for family, new in seen(encoder, sorted(HELD_OUT), 14).items():
        assert (scorer.p_values(new) <= 0.01).mean() >= LEAST_POWER[family], family


def test_ordinary_relaxation_is_not_novel_for_any_time_and_exponent(encoder, scorer):
    """Maps are drawn independently, with a contrast that differs by an eighth from the assumed one."""
    rng, shot, p = np.random.default_rng(4), 64 / 500, []
    for tau in (0.006, 0.02, 0.06, 0.15, 0.3, 2.0):
        for exponent in (0.5, 1.0, 1.5, 2.0):
            covariance = 0.175 * plain(tau, exponent) + shot * np.eye(64)
            values, vectors = np.linalg.eigh(covariance)
            pixels = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.standard_normal((3, 64, 18 * 570))
            bins = pixels.reshape(3, 64, 18, 570).transpose(0, 2, 1, 3)
            maps = 1 + bins @ bins.swapaxes(2, 3) / 570 - shot * np.eye(64)
            p.append(scorer.p_values([run_features(encoder, run, **RUN) for run in maps]))
    assert np.mean(np.array(p) <= 0.05) < 0.09
    assert (np.array(p) <= 0.05).mean(1).max() < 1


def test_the_verdict_names_the_nearest_kind_and_the_strangest_term(encoder, scorer):
    kinds = {"fluid": "stationary", "avalanche": "intermittent", "arrested": "arrested"}
    for family, features in seen(encoder, list(kinds), 10, seed=5).items():
        verdicts = scorer.explain(features)
        assert sum(verdict.nearest == kinds[family] for verdict in verdicts) >= 6
        np.testing.assert_array_equal([verdict.p for verdict in verdicts], scorer.p_values(features))
    verdict = scorer.explain(seen(encoder, ["echo"], 1)["echo"])[0]
    assert verdict.p < 0.01 and verdict.nearest in MECHANISMS
    assert verdict.excess[verdict.strangest_term] == max(verdict.excess.values()) > 3


def in_three_kinds(rng, n, d=5):
    """Return features of kinds of very different width."""
    kinds = rng.choice(["narrow", "middle", "wide"], n)
    width = np.array([{"narrow": 0.1, "middle": 1.0, "wide": 5.0}[kind] for kind in kinds])[:, None]
    centre = np.array([{"narrow": 0.0, "middle": 30.0, "wide": -60.0}[kind] for kind in kinds])[:, None]
    return centre + width * rng.normal(size=(n, d)), kinds


def test_the_rate_of_false_alarms_is_the_same_in_every_kind():
    rng = np.random.default_rng(2)
    p, kinds = [], []
    for _ in range(5):
        scorer = NoveltyScorer(n_components=1).fit(*in_three_kinds(rng, 600))
        new, of = in_three_kinds(rng, 600)
        p.append(scorer.p_values(new))
        kinds.append(of)
    p, kinds = np.concatenate(p), np.concatenate(kinds)
    for kind in ("narrow", "middle", "wide"):
        for alpha in (0.05, 0.2, 0.5):
            n = (kinds == kind).sum()
            assert (p[kinds == kind] <= alpha).mean() == pytest.approx(alpha, abs=4 * np.sqrt(alpha / n))


def test_p_values_are_cross_conformal():
    """Compare with ranks counted by hand, for one kind, one term, and whitening that keeps the order."""
    rng = np.random.default_rng(0)
    features, new = rng.normal(size=(90, 3)), rng.normal(size=(20, 3)) * 1.5
    scorer = NoveltyScorer(n_components=1, regularisation=1e-9, folds=2).fit(features)
    folds = np.random.default_rng(0).permutation(90) % 2
    stranger = np.zeros(len(new))
    for held in range(2):
        density = GaussianMixture(1, reg_covar=1e-9).fit(features[folds != held])
        calibration = -density.score_samples(features[folds == held])
        stranger += (calibration[None] >= -density.score_samples(new)[:, None]).sum(1)
    np.testing.assert_allclose(scorer.p_values(new), (1 + stranger) / 91)


def test_either_term_alone_makes_a_run_novel():
    rng = np.random.default_rng(3)
    terms = {"embedding": slice(0, 16), "structure": slice(16, 20)}
    scorer = NoveltyScorer(terms=terms).fit(rng.normal(size=(300, 20)))
    odd = np.zeros((4, 20))
    odd[0, 0], odd[1, 18], odd[3, 0] = 12, 12, 40
    p = scorer.p_values(odd)
    assert (p[[0, 1, 3]] < 0.02).all() and p[2] > 0.3
    assert [verdict.strangest_term for verdict in scorer.explain(odd[:2])] == ["embedding", "structure"]


def test_too_few_runs_are_refused():
    scorer = NoveltyScorer(n_components=2)
    with pytest.raises(ValueError, match="10 runs of kind 'known' are too few"):
        scorer.fit(np.zeros((10, 4)))
    with pytest.raises(ValueError, match="3 runs of kind 'odd' are too few"):
        scorer.fit(np.ones((50, 4)), ["odd"] * 3 + ["even"] * 47)
    with pytest.raises(ValueError, match=r"one a run, \(50,\)"):
        scorer.fit(np.ones((50, 4)), ["odd"])
    with pytest.raises(ValueError, match="not finite"):
        scorer.fit(np.full((50, 4), np.nan))
    scorer.fit(np.random.default_rng(0).normal(size=(50, 4)))
    with pytest.raises(ValueError, match=r"\(n, 4\), got \(1, 3\)"):
        scorer.p_values(np.zeros((1, 3)))


def test_an_unconverged_density_gives_no_warning(monkeypatch):
    monkeypatch.setattr("sklearn.mixture.GaussianMixture", partial(GaussianMixture, max_iter=1))
    runs = np.random.default_rng(0).normal(size=(200, 3))
    assert (
        0.02 < (NoveltyScorer().fit(runs).p_values(np.random.default_rng(1).normal(size=(500, 3))) <= 0.1).mean() < 0.2
    )
