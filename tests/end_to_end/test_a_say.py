"""A person and the agent steer together; commands are remembered after a restart."""

import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.plans import expose
from ainerd.processes import whereabouts
from ainerd.results import AgentNode


def place(suggestion):
    return suggestion["sample_x"], suggestion["sample_y"]


@pytest.fixture(scope="module")
def started(session):
    session.RE(session.agent.explore(1))
    return session


def test_an_accepted_suggestion_is_measured_by_hand(started):
    accepted = started.agent.accept()
    started.stage.x.move(accepted["sample_x"], wait=True)
    started.stage.y.move(accepted["sample_y"], wait=True)
    started.RE(
        expose(
            started.detector,
            beside=[started.stage.x, started.stage.y],
            shutter=started.shutter,
            md={"suggestion_id": accepted["_id"]},
        )
    )
    row = started.table().iloc[-1]
    suggestions = started.agent.results.suggestions().loc[accepted["_id"]]
    assert suggestions["status"] == "measured" and suggestions["raw_uid"] == row["raw_uid"]
    assert started.agent.suggest()["_id"] != accepted["_id"]


def test_points_of_a_person_are_measured_in_order(started):
    before = len(started.table())
    accepted = started.agent.accept()
    started.RE(started.agent.sample((2.0, 8.0), {"sample_x": 8.5, "sample_y": 1.5, "reason": "a scratch"}, accepted))
    rows = started.table().iloc[before:]
    expected = [(2.0, 8.0), (8.5, 1.5), place(accepted)]
    np.testing.assert_allclose(rows[["sample_x", "sample_y"]], expected, atol=0.003)
    suggestions = started.agent.results.suggestions()
    assert suggestions.loc[rows["suggestion_id"], "reason"].iloc[1] == "a scratch"
    assert (suggestions.loc[rows["suggestion_id"], "status"] == "measured").all()
    with pytest.raises(ValueError, match="sample_x = 11 lies outside"):
        started.agent.sample((11, 2))
    with pytest.raises(ValueError, match="needs points"):
        started.agent.sample()
    with pytest.raises(ValueError, match="a position has sample_x, sample_y, got sample_x"):
        started.agent.sample({"sample_x": 2.0, "y": 3.0})


def test_excluded_regions_and_new_bounds_hold_after_a_restart(started):
    agent = started.agent
    with pytest.raises(ValueError, match="sample_z"):
        agent.exclude(sample_z=(0, 1))
    agent.exclude("a crack in the window", sample_x=(0, 6))
    agent.bounds = {"sample_x": (0.0, 10.0), "sample_y": (0.0, 9.0)}
    rejected = agent.suggest()
    agent.reject("a bubble")
    assert agent.drain()
    again = started.start_agent()
    assert again.bounds["sample_y"] == (0.0, 9.0)
    for _ in range(3):
        x, y = place(again.suggest())
        assert x >= 6 and y <= 9
        assert np.hypot(x - rejected["sample_x"], y - rejected["sample_y"]) > 0.1  # a spot; those beside it may come
        again.reject("only asking")
    text = " ".join(again.log()["text"])
    assert f"{whereabouts()['user']} excluded sample_x 0 to 6: a crack in the window" in text
    assert "set the bounds to sample_x 0 to 10, sample_y 0 to 9" in text and "rejected" in text
    with pytest.raises(ValueError, match="excluded region"):
        again.add(3.0, 3.0)


@pytest.mark.fault("No position is left to suggest", "The agent reports it and continues to watch")
def test_without_a_position_left_the_agent_keeps_watching(started):
    agent = started.agent
    with pytest.raises(ValueError, match="position"):
        agent.exclude("all of it", sample_x=(0, 10))
    assert agent.status()["next"] == {} and "position" in agent.status()["why"]
    before = len(started.table())
    started.RE(expose(started.detector, beside=[started.stage.x, started.stage.y], shutter=started.shutter))
    table = started.table()
    assert len(table) == before + 1 and table["status"].iloc[-1] == "complete"
    agent.plot()
    assert {"sample_x": (0, 10)} in agent.excluded
    agent.excluded = [{"sample_x": (0.0, 6.0)}]
    assert agent.suggest()["sample_x"] >= 6


def test_new_bounds_in_the_settings_override_those_of_a_person_and_runs_are_analysed_by_uid(started):
    asked = [event for _, event in AgentNode(started.client["ainerd"], "rheo_xpcs").changes(0) if "command" in event]
    (bounds,) = (event["command"]["bounds"] for event in asked if event["command"]["do"] == "set_bounds")
    assert bounds["sample_y"] == [0.0, 9.0]
    started.settings.steering.bounds["sample_y"] = (0.0, 9.5)
    agent = started.start_agent(contrast=0.21)
    assert agent.bounds["sample_y"] == (0.0, 9.5)
    agent.detach()
    run = started.table()["raw_uid"].iloc[0]
    assert agent.analyse(run) == 1
    assert (started.table()["raw_uid"] == run).sum() == 2
    with pytest.raises(KeyError, match="no run 'nothing'"):
        agent.analyse("nothing")


@pytest.mark.fault("Every exposure fails while nobody watches", "The plan ends after five, with the reason")
def test_a_campaign_without_results_ends_by_itself(started):
    started.settings.name = "another"
    agent = started.start_agent(contrast=0.22)  # knows nothing
    started.expect(1)
    before = len(started.table())
    started.RE(agent.explore())
    assert len(started.table()) == before + 5
    assert "the last 5 exposures gave no result" in agent.status()["explored"]
    assert agent.log()["text"].str.contains("explored: the last 5").any()
    started.expect(100)


def test_mistakes_at_the_prompt_raise_clear_errors(started):
    agent, other = started.agent, RunEngine({})
    for message, mistake in {
        "lies outside its bounds": lambda: agent.add(11, 2),
        "a position has 2 numbers (sample_x, sample_y), got 1": lambda: agent.add(3.0),
        "sample_z": lambda: agent.exclude(sample_z=(1, 2)),
        "the wrong way round": lambda: agent.exclude(sample_x=(3, 2)),
        "explore needs a positive number of positions, got 0": lambda: agent.explore(0),
        "explore needs a positive number of positions, got '3'": lambda: agent.explore("3"),
        "agent.detach() first": lambda: agent.attach(other),
        "no result 'x'": lambda: agent.explain("x"),
        "no run 'nothing' in Tiled": lambda: agent.analyse("nothing"),
        "bounds need two limits for each of sample_x, sample_y, and for no other: got x": lambda: setattr(
            agent, "bounds", {"x": (0, 1)}
        ),
        "bounds: Input should be a valid dictionary": lambda: setattr(agent, "bounds", (0, 1)),
        "sample_x = 'a' is not a number": lambda: agent.add("a", 2),
        "region.sample_x: needs two limits, (low, high), got 3": lambda: agent.exclude(sample_x=3),
        "an excluded region needs limits of sample_x or sample_y, got none": lambda: agent.exclude("a crack"),
    }.items():
        with pytest.raises((ValueError, KeyError, RuntimeError, TypeError)) as error:
            mistake()
        assert message in str(error.value).replace("\\'", "'"), error.value
