"""Announcements of novel exposures and new regimes."""

import numpy as np
import pytest
from campaign_toys import outcome

from ainerd.campaign import Atlas, Claims
from ainerd.novelty import LOOKS
from ainerd.technique import NullRegimes

# A regime's exposures all have the p-value of the first: as dependent as can be.
UNIFORM = (np.arange(4000) + 0.5) / 4000
NULL = NullRegimes(by_look=np.tile(-np.log(UNIFORM), (LOOKS, 1)), smallest=UNIFORM)


@pytest.fixture
def judging(technique):
    technique.null_regimes = lambda: NULL
    return technique


def said(store):
    return [text for text, _ in store.lines]


def test_a_new_regime_is_announced_once_with_the_bound(make, judging, store):
    campaign = make()
    for i, (z, p) in enumerate([(0.0, 0.6), (3.0, 0.012), (3.1, 0.001), (3.0, 0.001), (0.1, 0.4)]):
        campaign.assign(found := outcome(f"run {i}", x=float(i), z=z, novelty_p=p, novel=p <= 0.05))
        campaign.absorb(found)
    lines = [text for text in said(store) if "new regime" in text or "may be new" in text]
    assert lines == [
        "regime 1 may be new, one exposure: one more there can tell",
        "new regime 1: two exposures, p = 0.004; chance of any false discovery tonight <= 0.05",
    ]
    assert list(campaign.claims.found) == [1]


def test_announcements_of_an_earlier_session_are_not_repeated(make, judging, store):
    for i, p in enumerate((0.0004, 0.0004)):
        store.add_result(f"old {i}", z=[3.0, 0.0], regime=1, novelty_p=p, novel=True, x=float(i), y=1.0)
    campaign = make()
    campaign.absorb(outcome("again", x=2.0, z=3.0, novelty_p=0.001, novel=True, regime=1))
    assert not [text for text in said(store) if "new regime" in text] and list(campaign.claims.found) == [1]


def test_a_technique_that_knows_no_null_makes_no_claims(technique):
    assert Claims(technique).update({0: [1e-6] * 4}) == [] and Claims(technique).found == {}


def test_the_exposure_that_decides_is_asked_for_once(judging):
    claims = Claims(judging)
    assert claims.update({0: [0.3]}) == []  # not novel
    assert claims.update({0: [0.02]}) == ["regime 0 may be new, one exposure: one more there can tell"]
    assert claims.update({0: [0.02]}) == []
    (new,) = claims.update({0: [0.02, 0.001]})
    assert new.startswith("new regime 0: two exposures") and claims.update({0: [0.02, 0.001, 0.001]}) == []
    assert claims.update({1: [0.03] + [0.5] * 5}) == []  # six exposures: what is known once stays quiet


def test_a_novel_run_gets_its_own_regime_or_the_log_explains_it(make, store):
    campaign = make()
    for i, z in enumerate((-0.4, -0.35, -0.38)):
        found = outcome(f"known {i}", x=float(i), z=z, novel=False, novelty_p=0.5)
        campaign.assign(found)
        campaign.absorb(found)
    for key, z in (("far", 0.4), ("near", -0.3)):  # the toy's points alone would call both the same regime
        found = outcome(key, z=z, novel=True, novelty_p=0.01)
        campaign.assign(found)
        campaign.absorb(found)
    labels = store.atlases[-1].labels
    assert labels["far"] != labels["known 0"] == labels["near"]
    apart, close = [text for text in said(store) if "p = 0.01" in text][:2]
    assert apart.endswith("(novel)") and close.endswith("(novel, but its point is one of the regime)")


def test_the_number_of_a_dead_regime_is_not_given_again(technique, store):
    atlas = Atlas(technique, store, ("x", "y"), [outcome("a", z=0.0, regime=0), outcome("b", z=3.0, regime=7)])
    assert atlas.add(outcome("c", z=6.0)) == 8
    alone = Atlas(technique, store, ("x", "y"), [outcome("a", z=0.0, regime=0)])
    store.add_atlas(type("R", (), {"labels": {}, "changed": lambda self, **k: type("S", (), k)})())
    assert alone.add(outcome("d", z=9.0)) == 1
