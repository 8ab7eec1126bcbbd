"""Residuals that are ranked on their own, and merged with the rank under the densities."""

import numpy as np
import pytest

from ainerd.novelty import NoveltyScorer

TERMS, RESIDUALS = {"all": slice(0, 3)}, {"one": slice(3, 4), "several": slice(4, 6)}


def runs(rng, n):
    """Return features of two kinds: those of two residuals are correlated."""
    kinds = rng.choice(["a", "b"], n)
    b = (kinds == "b")[:, None]
    several = rng.normal(size=(n, 2)) @ [[1, 0.9], [0, 0.4]] + 5 * b
    return np.hstack([rng.normal(size=(n, 3)) + 10 * b, rng.normal(size=(n, 1)), several]), kinds


@pytest.fixture(scope="module")
def scorer():
    rng = np.random.default_rng(0)
    return NoveltyScorer(terms=TERMS, residuals=RESIDUALS, n_components=1).fit(*runs(rng, 2000))


def test_p_values_of_known_runs_are_uniform_in_each_kind(scorer):
    x, kinds = runs(np.random.default_rng(1), 4000)
    p = scorer.p_values(x)
    for kind in "ab":
        for alpha in (0.01, 0.05, 0.2, 0.5):
            share = (p[kinds == kind] <= alpha).mean()
            assert share == pytest.approx(alpha, abs=4.5 * np.sqrt(alpha / 2000) + 0.01), (kind, alpha)


def test_one_residual_alone_makes_a_run_novel(scorer):
    x = np.zeros((4, 6))
    x[1, 3], x[2, 4:], x[3, 3] = 6, (2.5, -2.5), -6  # off the line of the two columns; a small statistic is ordinary
    p, verdicts = scorer.p_values(x), scorer.explain(x)
    assert (p[[1, 2]] < 0.01).all() and (p[[0, 3]] > 0.2).all()
    assert [verdict.strangest_term for verdict in verdicts[1:3]] == ["one", "several"]
    np.testing.assert_array_equal([verdict.p for verdict in verdicts], p)


def test_known_runs_may_lack_residuals_and_few_with_them_do_not_count():
    rng = np.random.default_rng(2)
    x, kinds = runs(rng, 2000)
    new, _ = runs(rng, 20)
    new[:, 3] = 30
    alone = NoveltyScorer(terms=TERMS, n_components=1).fit(x[:, :3], kinds)
    for n, flagged in ((1200, 1.0), (900, None)):
        some = x.copy()
        some[n:, 3:] = np.nan
        scorer = NoveltyScorer(terms=TERMS, residuals=RESIDUALS, n_components=1).fit(some, kinds)
        assert scorer.n_calibration_ == 2000
        if flagged is None:
            np.testing.assert_array_equal(scorer.p_values(new), alone.p_values(new[:, :3]))
        else:
            assert (scorer.p_values(new) <= 0.01).all() and not (alone.p_values(new[:, :3]) <= 0.01).all()


def test_a_restored_scorer_merges_alike(scorer):
    new, _ = runs(np.random.default_rng(3), 30)
    again = NoveltyScorer.restored(scorer.state(), ["a", "b"], TERMS, RESIDUALS)
    assert again.n_features_in_ == 6 and again.explain(new) == scorer.explain(new)


def test_a_residual_without_weight_does_not_count():
    rng = np.random.default_rng(5)
    x, kinds = runs(rng, 1200)
    new, _ = runs(rng, 20)
    new[:, 3] = 30
    options = {"terms": TERMS, "residuals": RESIDUALS, "n_components": 1}
    for weight, flagged in ((1.0, 20), (0.0, 0)):
        scorer = NoveltyScorer(weights={"one": weight}, **options).fit(x, kinds)
        assert (scorer.p_values(new) <= 0.002).sum() == flagged
