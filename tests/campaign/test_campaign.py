import numpy as np
import pandas as pd
import pytest
from bluesky_adaptive import protocols
from campaign_toys import BOUNDS, on, outcome, usable

from ainerd.results.commands import Add, Exclude, Reject, Release, SetBounds
from tests.trials import trials_of


def trials(campaign):
    """The exposures at known positions, by suggestion."""
    return {id: each for id, each in trials_of(campaign.exposures).items() if np.isfinite([each["x"], each["y"]]).all()}


def of(suggestion, key="result", **about):
    """The outcome of a suggestion."""
    return outcome(key, suggestion["x"], suggestion["y"], trial_id=suggestion["_id"], **about)


def test_it_has_all_protocols_of_bluesky_adaptive(make):
    campaign = make()
    for name in "Optimizer CanRegisterSuggestions TrialFaultAware SupportsStoppingCriteria Checkpointable".split():
        assert isinstance(campaign, getattr(protocols, name)), name


def test_a_suggestion_is_proposed_accepted_and_measured(make, store):
    campaign = make()
    ready = campaign.peek().point
    assert campaign.peek().point == ready and store.status(ready["_id"]) == ("proposed", "toy")
    (accepted,) = campaign.suggest(1)
    assert accepted == ready and store.status(ready["_id"]) == ("accepted", "toy")
    campaign.answer(of(accepted, novelty_p=0.5, novel=False))
    record = store.saved[ready["_id"]]
    assert (record.status, record.status_by, record.raw_uid) == ("measured", "toy", "run of result")
    assert campaign.peek().point["_id"] != ready["_id"]
    assert [*trials(campaign)] == [ready["_id"]]


def test_a_plan_that_did_not_wait_does_not_fail_a_position(make):
    campaign = make()
    (accepted,) = campaign.suggest(1)
    campaign.ingest([{"_id": accepted["_id"], "embedding": np.full(2, np.nan), "novelty_p": np.nan}])
    assert not trials(campaign)


def test_an_exposure_that_was_not_finished_has_failed(make, store):
    campaign = make()
    (accepted,) = campaign.suggest(1)
    campaign.register_failures([accepted])
    assert store.saved[accepted["_id"]].status_reason == "the exposure was not finished"
    (failed,) = campaign.state.failed.values()
    assert campaign.peek().position != failed == {name: accepted[name] for name in BOUNDS}


def test_a_run_that_does_not_say_where_it_was_is_at_its_suggestion(make):
    campaign = make()
    (accepted,) = campaign.suggest(1)
    campaign.answer(of(accepted, positions={}))
    assert trials(campaign)[accepted["_id"]]["x"] == accepted["x"]
    campaign.answer(outcome("by hand", positions={"x": 3.0}))
    campaign.answer(outcome("by hand too", positions={"x": 3.0, "y": np.nan}))
    assert len(trials(campaign)) == 1  # nobody knows where


def test_a_recalled_result_is_learned_once_and_not_logged(make, store):
    campaign = make()
    (accepted,) = campaign.suggest(1)
    for _ in range(2):
        campaign.answer(of(accepted, "theirs", z=3.0, regime=7, is_recalled=True))
    assert store.lines == [] and store.status(accepted["_id"]) == ("measured", "toy")
    assert campaign.atlas.regimes.n_regimes == 1 and [*trials(campaign)] == [accepted["_id"]]


def test_the_verdict_comes_with_the_result(make):
    campaign = make()
    for key, p, novel in (("a", 0.04, False), ("b", 0.2, True), ("c", 0.01, None)):
        campaign.answer(outcome(key, novelty_p=p, novel=novel))
    assert [key for key, _, _ in campaign.get_best_points()] == ["c", "b"]  # without a verdict alpha decides


def test_regimes_are_assigned_with_their_version(make, store):
    campaign = make()
    without = {"own_p": None, "own_regimes": None}
    assert [campaign.answer(outcome(key, z=z)).regime for key, z in (("a", 0.0), ("b", 3.0))] == [0, 1]
    assert store.labels["a"] == {"regime": 0, "atlas_version": 1, **without}
    assert store.labels["b"] == {"regime": 1, "atlas_version": 2, **without}
    assert store.atlases[-1].labels == {"a": 0, "b": 1}


def test_another_agents_result_is_learned_and_its_label_left_to_that_agent(make, store):
    campaign = make()
    campaign.answer(outcome("mine"))
    campaign.answer(outcome("theirs", z=3.0, regime=7, is_of_another=True, is_recalled=True))
    assert campaign.atlas.regimes.n_regimes == 2 and campaign.exposures.regime("theirs") == 7
    campaign.answer(outcome("next", z=3.0))
    assert store.atlases[-1].labels == {"mine": 0, "next": 7}


def test_when_there_are_many_a_run_like_a_known_regime_takes_its_label(make, store):
    for i in range(998):
        store.add_result(f"old {i}", [3.0 * (i % 2), 0.0], regime=i % 2)
    campaign, new = make(), iter(range(99))

    def refits(*z):
        before = len(store.atlases)
        labels = [campaign.answer(outcome(f"run {next(new)}", z=each)).regime for each in z]
        return labels, len(store.atlases) - before

    assert refits(0.0, 3.0) == ([0, 1], 2)  # up to a thousand, each run is a refit
    assert refits(*[0.0, 3.0] * 10) == ([0, 1] * 10, 0)
    assert refits(0.0) == ([0], 1)  # a fiftieth more
    assert refits(6.0) == ([2], 1)  # like none


def test_an_agent_that_starts_again_restores_its_state(make, store):
    campaign = make()
    campaign.apply(Exclude(region={"x": (0.0, 6.0)}, why="a crack"))
    campaign.apply(SetBounds(bounds={"x": (0.0, 10.0), "y": (0.0, 9.0)}))
    rejected = campaign.peek().point
    campaign.apply(on(Reject, rejected, why="a bubble"))
    position = {"x": 8.0, "y": 2.0}
    store.add_result("a", [0, 0], suggestion_id="s", novelty_p=0.01, novel=True, regime=4, **position)
    store.add_result("b", [3, 0], regime=2, novelty_p=np.nan, novel=pd.NA, x=9.0, y=7.0)
    store.add_result("lost", [3, 0], x=9.0)
    store.add_result("dark", reason="too dark", x=7.0, y=7.0)

    again = make()
    assert again.state.window.bounds["y"] == (0.0, 9.0) and again.state.window.excluded == [{"x": (0.0, 6.0)}]
    known = trials(again)
    assert known["s"]["novel"] and not known["b"]["novel"]
    assert known["dark"]["failed"] and "lost" not in known
    assert [each["x"] for each in again.state.failed.values()] == [rejected["x"]]
    assert again.atlas.regimes.n_regimes == 2 and again.answer(outcome("c", z=3.0)).regime == 2
    before = [*trials(again).items()]
    again.answer(outcome("a", **position, trial_id="s", is_recalled=True))  # it comes again
    assert [*trials(again).items()][: len(before)] == before


def test_a_persons_point_survives_a_kill_and_is_withdrawn_with_its_session(make, store):
    added = make().apply(Add(position={"x": 8.0, "y": 2.0}, why="a scratch")).suggestion.point
    again = make()
    assert again.peek().point == added
    again.end()
    third = make()
    assert third.peek().point["_id"] != added["_id"] and store.status(added["_id"]) == ("withdrawn", "toy")


@pytest.mark.parametrize(
    "changed", [{"window": {"bounds": {"x": (-500.0, 500.0), "y": (0.0, 10.0)}, "excluded": []}}, {"failed": 7}]
)
def test_a_state_that_a_program_wrote_widens_nothing_and_stops_no_session(make, store, changed, caplog):
    campaign = make()
    campaign.apply(SetBounds(bounds={"x": (2.0, 8.0), "y": (0.0, 10.0)}))
    for _ in range(100):  # after so many changes the state is saved
        campaign.apply(Release())
    store.checkpoints["toy"]["state"] |= changed
    again = make()
    assert "the saved state is left out" in caplog.text
    assert again.state.window.bounds["x"] == (2.0, 8.0)  # from the events
    assert {*again.peek().position} == {"x", "y"}


def test_open_suggestions_of_a_killed_session_are_closed(make, store):
    killed = make()
    a, b, c = (each["_id"] for each in killed.suggest(3))
    d = killed.peek().point["_id"]
    store.add_result("of a", z=[0.0, 0.0], suggestion_id=a, **killed.state.handed_out[a].suggestion.position)
    store.add_result("of b", suggestion_id=b, reason="too dark", x=1.0, y=1.0)
    make()
    gone = "its session had ended"
    assert [(store.saved[id].status, store.saved[id].status_reason) for id in (a, b, c, d)] == [
        ("measured", None), ("failed", "too dark"), ("failed", f"{gone}: not measured"), ("withdrawn", gone)
    ]  # fmt: skip
    ((line, ids),) = store.lines  # of the last result, which had none
    assert "no result, too dark" in line and ids["result"] == "of b"
    make()
    assert len(store.lines) == 1


@pytest.mark.fault("A motor reports that it is done, but stands elsewhere", "The suggestion fails with a sentence")
def test_a_suggestion_that_was_measured_elsewhere_has_not_been_measured(make, store):
    campaign = make()
    for i, (off, status) in enumerate({0.0: "measured", 0.01: "measured", 3.3: "failed"}.items()):
        (taken,) = campaign.suggest()
        x = taken["x"] + (off if taken["x"] < 5 else -off)
        campaign.answer(outcome(f"{i}", x=x, y=taken["y"], trial_id=taken["_id"]))
        record = store.saved[taken["_id"]]
        assert record.status == status, off
    assert record.status_reason.startswith(f"the motors stood at ({x:.2f}, {taken['y']:.2f}) when (")
    assert record.status_reason in [text for text, _ in store.lines]
    assert not campaign.state.window.excluded and usable(campaign) == {"0", "1", "2"}  # the result counts
