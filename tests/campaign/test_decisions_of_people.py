"""People name regimes, leave spoilt exposures out, and take decisions back."""

import numpy as np
import pytest
from campaign_toys import NULL, outcome, seen, usable

from ainerd.campaign import Claims
from ainerd.novelty import Components
from ainerd.results.commands import Exclude, LeaveOut, Name, SetBounds, SetExcluded, Undo

ANN = {"by": "Ann"}
SPOILT = LeaveOut(result="c", name="scan 12", why="a bubble", **ANN)


def lines(store):
    return [text for text, _ in store.lines]


def measured(make, store, **options):
    """A campaign with two exposures of one regime and one of another, far from them."""
    campaign = make(**options)
    for key, x, z in (("a", 1.0, 0.0), ("b", 2.0, 0.1), ("c", 8.0, 3.0)):
        campaign.answer(outcome(key, x=x, z=z, novelty_p=0.5))
        store.add_result(key, z=[z, 0.0], x=x, y=5.0, regime=campaign.exposures.regime(key))  # for later sessions
    return campaign


def unexplored(campaign, x, y):
    belief = campaign.map()
    i, j = (np.abs(axis - at).argmin() for axis, at in zip(belief.axes.values(), (x, y), strict=True))
    return belief.unexplored[j, i]


def test_a_name_is_used_by_the_log_the_advice_and_the_reasons_and_survives_refits(make, store):
    campaign = measured(make, store)
    regime = campaign.exposures.regime("c")
    campaign.apply(Name(regime=regime, name="gel", **ANN))
    assert lines(store)[-1] == f"Ann calls regime {regime} 'gel'" and store.by[-1] == "Ann"
    assert store.atlases[-1].names == {"toy": {str(regime): "gel"}}
    for key, x, z in (("d", 7.0, 3.1), ("e", 3.0, 6.0), ("f", 9.0, 2.9), ("again", 1.0, 3.0)):
        campaign.answer(outcome(key, x=x, z=z, novelty_p=0.5))
    assert campaign.exposures.regime("f") == regime and store.atlases[-1].names == {"toy": {str(regime): "gel"}}
    assert any(f"(9.00, 5.00): regime {regime} (gel), p = 0.5" in line for line in lines(store))
    assert campaign.advice.startswith(f"the spot at (1.00, 5.00) was regime 0, now it is regime {regime} (gel)")
    campaign.apply(Exclude(region={"x": (0.0, 7.5)}, **ANN))
    assert f"regime {regime} (gel)" in campaign.peek().reason
    campaign.apply(Name(regime=regime, name="glass", by="Bob"))
    assert f"regime {regime} (glass)" in campaign.peek().reason  # that of the suggestion that waits


def test_a_result_that_is_left_out_leaves_regimes_references_and_coverage(make, store):
    campaign = measured(make, store)
    before = unexplored(campaign, 8.0, 5.0)
    assert "undo" in campaign.apply(SPOILT).text
    assert usable(campaign) == {"a", "b"} and campaign.atlas.labels == {0}
    assert store.atlases[-1].labels == {"a": 0, "b": 0, "c": -1}
    assert store.atlases[-1].left_out == {"c": "Ann: a bubble"} == {"c": store.labels["c"]["left_out"]}
    assert lines(store)[-1] == "Ann left out scan 12: a bubble"
    assert before < 0.05 < unexplored(campaign, 8.0, 5.0)
    new = outcome("d", x=8.0, y=5.0, z=3.0)
    campaign.answer(new)
    assert campaign.atlas.before("d", campaign.state.window, 0.1) is None  # it is not compared with the spoilt one
    assert usable(make()) == {"a", "b"}  # in the next session too


def test_the_spot_of_a_result_that_is_left_out_has_its_dose(make, store):
    campaign = measured(make, store, dose_limit=1, bounds={"x": (0.0, 10.0), "y": (5.0, 5.0001)})
    campaign.apply(SPOILT)
    for _ in range(30):
        (point,) = campaign.suggest()
        assert abs(point["x"] - 8.0) > 0.099
        campaign.answer(outcome(point["_id"] + "r", trial_id=point["_id"], x=point["x"], y=point["y"]))


@pytest.mark.parametrize(
    "command, why",
    [
        (LeaveOut(result="nothing", why="so"), "there is no result 'nothing' with numbers"),
        (LeaveOut(result="dark", why="so"), "there is no result 'dark' with numbers"),
        (LeaveOut(result="a"), "give a reason"),
        (Undo(), "there is no decision to take back"),
    ],
)
def test_a_command_that_cannot_be_obeyed_is_refused(make, store, command, why):
    campaign = measured(make, store)
    campaign.answer(outcome("dark", z=None))
    answer = campaign.apply(command)
    assert (answer.status, answer.text) == ("refused", why)


def test_undo_takes_back_the_last_decision_of_any_kind(make, store):
    campaign = measured(make, store)
    regime, first = campaign.exposures.regime("c"), campaign.state
    decisions = [
        Exclude(region={"x": (0.0, 1.0)}, why="a crack", **ANN), Name(regime=regime, name="gel", by="Bob"), SPOILT,
        SetBounds(bounds={"x": (0.0, 9.0), "y": (0.0, 9.0)}, **ANN), SetExcluded(regions=[], **ANN),
    ]  # fmt: skip
    for command in decisions:
        assert campaign.apply(command).status == "done"
    assert campaign.apply(LeaveOut(result="c", why="again")).text == "it is left out already"
    told = [line for line, by in zip(lines(store), store.by, strict=True) if by]
    stale = campaign.apply(Undo(decision=SPOILT.id, by="Cy"))
    assert stale.status == "refused" and stale.text.endswith("Ann allowed all regions")
    again = make()  # a later session takes them back
    for line in reversed(told):
        assert again.apply(Undo(by="Cy")).text == f"taken back: {line}"
        assert lines(store)[-1] == f"Cy took back: {line}"
    now = again.state
    assert (now.window.bounds, now.window.excluded) == (first.window.bounds, first.window.excluded)
    assert now.names == now.left_out == {} and again.apply(Undo()).status == "refused"
    assert len(again.atlas.labels) == 2 and usable(again) == {"a", "b", "c"}
    assert store.atlases[-1].left_out == {} and store.labels["c"]["left_out"] is None


def test_a_regime_that_comes_back_has_its_number_and_its_name(make, store):
    campaign = measured(make, store)
    regime = campaign.exposures.regime("c")
    campaign.apply(Name(regime=regime, name="gel", **ANN))
    campaign.apply(SPOILT)
    campaign.answer(outcome("d", x=5.0, z=9.0))  # another new regime does not take the number
    assert campaign.exposures.regime("d") != regime
    campaign.apply(Undo(**ANN))
    assert campaign.exposures.regime("c") == regime and campaign.state.names == {regime: "gel"}


def test_a_claim_falls_with_its_exposures_and_comes_back_with_them(technique):
    technique.null_regimes = lambda: NULL
    exposures = seen(r0=[0.5] * 9, r1={"a": 0.001, "b": 0.001})
    groups = Components(((0,), (1,)))
    claims = Claims(technique)
    assert any("regime 1 is new" in line for line in claims.update(exposures, groups)[0])
    left = {key: of for key, of in exposures.items() if key not in ("a", "b")}
    claims.names = {1: "gel"}
    (line,) = claims.update(left, Components(((0,),)), {"a", "b"})[0]
    assert line == "withdrawn: regime 1 (gel) is new; its exposures are left out" and claims.discoveries == {}
    assert claims.update(exposures, groups)[0] == ["again: regime 1 (gel) is new"] and [*claims.discoveries] == [1]


def test_a_decision_that_cannot_be_taken_back_stays_the_last_one(make, store):
    make().apply(SetBounds(bounds={"x": (2.0, 8.0), "y": (0.0, 10.0)}, **ANN))
    later = make(bounds={"x": (3.0, 9.0), "y": (0.0, 10.0)})
    decisions = later.state.decisions
    assert decisions and later.apply(Undo()).status == "refused" and later.state.decisions == decisions
