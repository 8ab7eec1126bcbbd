"""Announcements of novel exposures and new regimes."""

import json

import numpy as np
import pytest
from campaign_toys import ALONE, NULL, UNIFORM, outcome, seen

from ainerd.campaign import Claims
from ainerd.novelty import Border, Components
from ainerd.technique import NullRegimes

SAMPLE = "the whole sample is of one kind that the agent does not know"


def lines_of(claims, exposures, components):
    """Return what is announced, with the lines about the alarm at the end."""
    new, alarm = claims.update(exposures, components)
    return [*new, *alarm]


@pytest.fixture
def judging(technique):
    technique.null_regimes = lambda: NULL
    return technique


def texts(store):
    return [text for text, _ in store.lines]


def test_a_new_regime_is_announced_once_with_the_bound(make, judging, store):
    campaign, announced = make(), []
    campaign._announce = lambda *given: announced.append(given)
    for i, (z, p) in enumerate([(0.0, 0.6), (3.0, 0.006), (3.1, 0.001), (3.0, 0.001), (0.1, 0.4)]):
        campaign.answer(outcome(f"run {i}", x=float(i), z=z, novelty_p=p, novel=p <= 0.05))
    lines = [text for text in texts(store) if "is new:" in text or "may be new" in text]
    assert lines == [
        "regime 1 may be new, one exposure: one more exposure there can decide",
        "regime 1 is new: two exposures, p = 0.003; at most 5 % of campaigns call a regime new that is not",
    ]
    assert list(campaign.claims.discoveries) == [1]
    kinds = [(event, about.key) for event, _, about in announced]
    assert kinds[:3] == [("new", "run 1"), ("new", "run 2"), ("alarm", "run 2")]
    assert [text for _, text, _ in announced[:2]] == lines
    alarm = "the only regime that was measured twice or more is unlike all behaviour that the agent knows: either"
    assert announced[2][1].startswith(alarm)


def test_announcements_of_an_earlier_session_are_not_repeated(make, judging, store):
    for i, p in enumerate((0.0004, 0.0004)):
        store.add_result(f"old {i}", z=[3.0, 0.0], regime=1, novelty_p=p, novel=True, x=float(i), y=1.0)
    campaign = make()
    campaign.answer(outcome("again", x=2.0, z=3.0, novelty_p=0.001, novel=True, regime=1))
    assert not [text for text in texts(store) if "is new:" in text] and list(campaign.claims.discoveries) == [1]


NEW = {"a": 0.001, "b": 0.001, "c": 0.001}
KNOWN = {f"known {i}": 0.5 for i in range(4)}
CLAIMED = seen(r3=NEW, r0=KNOWN, r1=dict.fromkeys("xy", 0.6), r2=dict.fromkeys("uv", 0.6))


@pytest.mark.parametrize(
    ("then", "logged", "new"),
    [
        (CLAIMED, [], [3]),
        (seen(r7=NEW, r0=KNOWN), ["regime 3 is now called regime 7, three exposures: still new"], [7]),
        (seen(r0=KNOWN | NEW), ["regime 3 is not called new any more: it is part of regime 0, 7 exposures"], []),
        (seen(r4={"a": 0.06}, r5={"b": 0.06}, r6={"c": 0.06}, r0=KNOWN), ["regime 3 is not called new any more"], []),
        (seen(r3={"a": 0.001, "b": 0.001}, r8={"c": 0.001}, r0=KNOWN), [], [3]),  # one of three left it
        (seen(r0=KNOWN), [], [3]),  # its exposures are unassigned for the moment
    ],
)
def test_a_claim_follows_its_exposures(judging, then, logged, new):
    claims = Claims(judging)
    assert len(lines_of(claims, CLAIMED, ALONE)) == 1
    lines = [line for line in lines_of(claims, then, ALONE) if "alarm" not in line and "unlike" not in line]
    lines = [line for line in lines if not line.startswith("regime 8 may")]
    assert all(line.startswith(text) for line, text in zip(lines, logged, strict=True))
    assert list(claims.discoveries) == new
    again = Claims(judging)  # the next session
    assert again.restore(json.loads(json.dumps(claims.state()))) and again.discoveries == claims.discoveries
    assert lines_of(again, then, ALONE) == lines_of(claims, then, ALONE) == []


def test_a_claim_of_many_exposures_stays_small_and_follows_them(judging):
    """PostgreSQL refuses a checkpoint with more than a megabyte of texts."""
    claims, one = Claims(judging), Components(((0,),))
    many = {f"many {i}": 0.001 for i in range(5000)}
    lines = lines_of(claims, seen(r0=many), one)
    assert any(line.startswith(f"{SAMPLE}: 5000 exposures") for line in lines)
    assert len(json.dumps(claims.state())) < 10_000
    most, rest = seen(r4=dict([*many.items()][:3500])), seen(r0=dict([*many.items()][3500:]))
    lines_of(claims, most | rest, ALONE)
    assert claims.of_sample is not None and claims.of_sample.regime == 4


def test_two_claims_that_merge_are_one_discovery_and_the_later_one_goes(judging):
    claims = Claims(judging)
    more = {"d": 0.001, "e": 0.001}
    both = seen(r1=NEW, r4=more)
    assert sum("is new: " in line for line in lines_of(claims, both, ALONE)) == 2
    merged = seen(r4=NEW | more)
    logged = ["regime 1 is part of regime 4, five exposures: they are one discovery, not two"]
    assert lines_of(claims, merged, ALONE) == logged
    assert list(claims.discoveries) == [4] and sum(claim.stands for claim in claims.claims) == 1
    assert lines_of(claims, merged, ALONE) == []


def test_the_alarm_is_raised_by_half_of_the_regimes_and_ends(judging):
    claims = Claims(judging)
    lines = lines_of(claims, seen(r0=NEW, r1=[0.5, 0.5], r2=[0.5]), ALONE)  # a regime of one exposure does not count
    assert lines[1:] == [claims.alarm] and "1 of the 2 regimes that were measured twice or more is" in claims.alarm
    (ended,) = lines_of(claims, seen(r0=NEW, r1=[0.5, 0.5], r2=[0.5, 0.4]), ALONE)
    assert ended.startswith("the alarm has ended: 1 of the 3 regimes") and claims.alarm == ""
    assert lines_of(Claims(judging), seen(r0=[0.5] * 6, r1=[0.4] * 6), ALONE) == []  # an alarm implies a claim


WIDE = Border(2.0, 5.0, (3, 2))
ONE_KIND = Components(((0,), (1, 4)), {(0, 1): Border(9.0, 5.0, (4, 3)), (0, 4): WIDE, (1, 4): WIDE})


def test_regimes_without_a_gap_are_one_discovery(judging):
    claims, both = Claims(judging), seen(r0=KNOWN | {"k": 0.5, "l": 0.5}, r1=NEW, r4={"d": 0.001, "e": 0.001})
    lines = lines_of(claims, both, ONE_KIND)
    assert [line[:12] for line in lines] == ["regime 1 is ", "1 of the 2 r"] and list(claims.discoveries) == [1]
    apart = Claims(judging)
    assert len(lines_of(apart, both, ALONE)) == 3 and list(apart.discoveries) == [1, 4]
    assert lines_of(apart, both, ONE_KIND) == ["regime 4 has no gap to regime 1: they are one discovery, not two"]
    assert list(apart.discoveries) == [1]


def test_a_sample_of_one_new_kind_is_claimed_and_taken_back(judging):
    claims, pieces = Claims(judging), {"a": 0.02, "b": 0.02}
    one = Components(((0, 1),), {(0, 1): WIDE})
    assert not [line for line in lines_of(claims, seen(r0=pieces), Components(((0,),))) if SAMPLE in line]
    both = seen(r0=pieces, r1={"c": 0.02, "d": 0.02})
    claim, alarm = lines_of(claims, both, one)
    assert claim == f"{SAMPLE}: four exposures, p = 0.02; at most 5 % of campaigns call a regime new that is not"
    assert "the sample is" in alarm and lines_of(claims, both, one) == [] and claims.discoveries == {}
    again = Claims(judging)
    assert again.restore(json.loads(json.dumps(claims.state()))) and again.of_sample == claims.of_sample
    many = both | seen(r1={"c": 0.02, "d": 0.02} | {f"more {i}": 0.5 for i in range(5)})
    assert lines_of(claims, many, one)[0] == f"withdrawn: {SAMPLE}" and claims.of_sample is None and not claims.alarm


def test_half_of_a_sample_is_not_all_of_it(judging):
    halves = seen(r0=[0.5] * 4, r1=[0.02] * 4)
    assert not [line for line in lines_of(Claims(judging), halves, Components(((0,), (1,)))) if SAMPLE in line]


def test_a_kind_that_differs_from_the_session_is_logged_at_its_second_exposure(technique):
    far = {(0, 1): Border(8.6, 5.0, (5, 2))}
    claims = Claims(technique)  # it needs no simulated regimes; without them no regime is called new
    assert lines_of(claims, seen(r0=[1e-6] * 5, r1=[0.5]), Components(((0,), (1,)), far)) == []
    logged = [
        "regime 1 differs from the rest of the session: two exposures; "
        "the distance to regime 0 is 9 times the spread within a regime"
    ]
    two = seen(r0=[0.5] * 5, r1=[0.5, 0.5])
    assert lines_of(claims, two, Components(((0,), (1,)), far)) == logged
    assert lines_of(claims, two, Components(((0,), (1,)), far)) == []
    near = Components(((0,), (1,)), {(0, 1): Border(6.0, 5.0, (5, 2))})  # a gap, but not a wide one
    assert lines_of(Claims(technique), two, near) == []
    (back,) = lines_of(claims, two, Components(((0, 1),), {(0, 1): WIDE}))
    assert back == "withdrawn: regime 1 differs from the rest of the session; the gap has closed"


def measure(campaign, i, z, p):
    exposure = outcome(f"run {i}", x=0.1 + i % 9, y=0.1 + i // 9, z=z, novelty_p=p, novel=p <= 0.05)
    return campaign.answer(exposure).own_p


def test_a_new_sample_is_judged_against_itself(make, technique, store):
    rng = np.random.default_rng(0)
    own = np.sort(np.abs(rng.standard_normal((14, 999))), axis=1)
    technique.null_regimes = lambda: NullRegimes(by_look=NULL.by_look, smallest=UNIFORM, whole=UNIFORM, own=own)
    campaign = make()
    own_p = [measure(campaign, i, 0.01 * rng.normal(), 0.006) for i in range(8)]
    assert own_p[:5] == [None] * 5 and min(own_p[5:]) > 0.01  # five earlier exposures are needed
    assert [line for line in texts(store) if "from now on" in line] == [
        "from now on p compares an exposure with earlier exposures of this session, because this sample is new"
    ]
    assert campaign.get_best_points() == []  # nothing differs from the session
    assert measure(campaign, 8, 3.0, 0.5) <= 0.01
    ((key, _, values),) = campaign.get_best_points()
    assert key == "run 8" and values["novelty_p"] <= 0.01  # by the bank it is ordinary
    again = make()
    assert again.exposures.own_level is not None and again.claims.of_sample is not None


def test_an_exposure_without_a_p_value_counts_in_no_claim(make, judging, store):
    campaign = make()
    for i, z in enumerate([0.0, 0.0, 3.0, 3.0]):
        campaign.answer(outcome(f"run {i}", x=float(i), z=z))
    assert campaign.claims.claims == [] and not campaign.claims.alarm


def test_claims_of_other_parameters_are_not_continued(judging):
    claims = Claims(judging)
    lines_of(claims, CLAIMED, ALONE)
    judging.parameters = {"toy": 2}
    assert not Claims(judging).restore(claims.state())


def test_a_novel_run_gets_its_own_regime_or_the_log_explains_it(make, store):
    campaign = make()
    for i, z in enumerate((-0.4, -0.35, -0.38)):
        campaign.answer(outcome(f"known {i}", x=float(i), z=z, novel=False, novelty_p=0.5))
    for key, z in (("far", 0.4), ("near", -0.3)):  # the toy's points alone would call both the same regime
        campaign.answer(outcome(key, z=z, novel=True, novelty_p=0.01))
    labels = store.atlases[-1].labels
    assert labels["far"] != labels["known 0"] == labels["near"]
    apart, close = [text for text in texts(store) if "p = 0.01" in text][:2]
    assert apart.endswith("(novel)") and close.endswith("(novel, but close to the others of its regime)")


def test_claims_that_another_program_wrote_do_not_keep_an_agent_from_its_start(make, store, caplog):
    campaign = make()
    claims = {**campaign.claims.state(), "claims": [{"founders": ["a"], "regime": 1, "odd": 1}]}
    store.append(len(store.records) + 1, {"kind": "claimed", "claims": claims})
    again = make()
    assert again.peek() and again.claims.claims == [] and "what earlier sessions called new is left out" in caplog.text
