"""The novelty scorer: the rate of false alarms in every kind, and power on held-out dynamics."""

import numpy as np
import pytest

from ainerd.novelty import NoveltyScorer
from ainerd_xpcs.dynamics import DIRECTIONS, HELD_OUT, MECHANISMS, Dynamics, clean_exposure, draw, ordinary
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import (
    RANKED,
    RESIDUALS,
    TERMS,
    WEIGHTS,
    Bank,
    Clean,
    add_systematics,
    run_features,
    seen_from,
)
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
    features = bank.features(encoder, contrast=CONTRAST, n_ranked=RANKED, **RUN)
    return NoveltyScorer(terms=TERMS, residuals=RESIDUALS, weights=WEIGHTS).fit(features, bank.families)


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
LEAST_POWER = {"echo": 0.95, "ballistic": 0.3, "banded": 0.3}  # bands without a wall resemble one flow


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


def test_either_term_alone_makes_a_run_novel():
    rng = np.random.default_rng(3)
    terms = {"embedding": slice(0, 16), "structure": slice(16, 20)}
    scorer = NoveltyScorer(terms=terms).fit(rng.normal(size=(300, 20)))
    odd = np.zeros((4, 20))
    odd[0, 0], odd[1, 18], odd[3, 0] = 12, 12, 40
    p = scorer.p_values(odd)
    assert (p[[0, 1, 3]] < 0.02).all() and p[2] > 0.3
    assert [verdict.strangest_term for verdict in scorer.explain(odd[:2])] == ["embedding", "structure"]


@pytest.mark.parametrize("terms", [{"b": slice(2, 4), "a": slice(0, 2)}, {"a": slice(0, 3)}])
def test_terms_that_are_not_all_columns_in_order_are_refused(terms):
    features = np.random.default_rng(0).normal(size=(60, 4))
    with pytest.raises(ValueError, match="terms must be all of the 4 columns, in order"):
        NoveltyScorer(terms=terms, n_components=1).fit(features)


def test_a_term_without_differences_is_named():
    features = np.column_stack([np.random.default_rng(0).normal(size=60), np.ones(60)])
    with pytest.raises(ValueError, match="the columns of term 'flat' are the same in all runs: leave them out"):
        NoveltyScorer(terms={"decay": slice(0, 1), "flat": slice(1, 2)}, n_components=1).fit(features)


def test_too_few_runs_are_refused():
    scorer = NoveltyScorer(n_components=2)
    with pytest.raises(ValueError, match="10 runs of kind 'known' are too few"):
        scorer.fit(np.zeros((10, 4)))
    with pytest.raises(ValueError, match=r"one a run, \(50,\)"):
        scorer.fit(np.ones((50, 4)), ["odd"])
    with pytest.raises(ValueError, match="not finite"):
        scorer.fit(np.full((50, 4), np.nan))
    scorer.fit(np.random.default_rng(0).normal(size=(50, 4)))
    with pytest.raises(ValueError, match=r"\(n, 4\), got \(1, 3\)"):
        scorer.p_values(np.zeros((1, 3)))
