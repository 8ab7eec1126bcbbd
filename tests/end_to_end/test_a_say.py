"""A person and the agent steer together; commands are remembered after a restart."""

import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.plans import expose
from ainerd.processes import whereabouts


def place(suggestion):
    return suggestion["sample_x"], suggestion["sample_y"]


def test_an_accepted_suggestion_is_measured_by_hand(session):
    accepted, stage = session.agent.accept(), session.stage
    for axis, x in zip((stage.x, stage.y), place(accepted), strict=True):
        axis.move(x, wait=True)
    md = {"suggestion_id": accepted["_id"]}
    session.RE(expose(session.detector, beside=[stage.x, stage.y], shutter=session.shutter, md=md))
    row = session.table().iloc[-1]
    suggestions = session.agent.results.suggestions().loc[accepted["_id"]]
    assert suggestions["status"] == "measured" and suggestions["raw_uid"] == row["raw_uid"]
    assert session.agent.suggest()["_id"] != accepted["_id"]


def test_points_of_a_person_are_measured_in_order(session):
    before, accepted = len(session.table()), session.agent.accept()
    session.RE(session.agent.sample({"sample_x": 8.5, "sample_y": 1.5, "reason": "a scratch"}, accepted))
    rows = session.table().iloc[before:]
    np.testing.assert_allclose(rows[["sample_x", "sample_y"]], [(8.5, 1.5), place(accepted)], atol=0.003)
    suggestions = session.agent.results.suggestions().loc[rows["suggestion_id"]]
    assert suggestions["reason"].iloc[0] == "a scratch" and (suggestions["status"] == "measured").all()


def test_excluded_regions_and_new_bounds_hold_after_a_restart(session):
    agent = session.agent
    agent.exclude("a crack in the window", sample_x=(0, 6))
    agent.bounds = {"sample_x": (0.0, 10.0), "sample_y": (0.0, 9.0)}
    rejected = agent.suggest()
    agent.reject("a bubble")
    assert agent.drain()
    again = session.start_agent()
    assert again.bounds["sample_y"] == (0.0, 9.0)
    for _ in range(3):
        x, y = place(again.suggest())
        assert x >= 6 and y <= 9
        assert np.hypot(x - rejected["sample_x"], y - rejected["sample_y"]) > 0.1  # a spot; those beside it may come
        again.reject("only asking")
    text = " ".join(again.log()["text"])
    assert f"{whereabouts()['user']} excluded sample_x 0 to 6: a crack in the window" in text
    assert "set the bounds to" in text and "rejected" in text


@pytest.mark.fault("No position is left to suggest", "The agent reports it and continues to watch")
def test_without_a_position_left_the_agent_keeps_watching(session):
    agent, before = session.agent, len(session.table())
    with pytest.raises(ValueError, match="position"):
        agent.exclude("all of it", sample_x=(0, 10))
    assert agent.status()["next"] == {} and "position" in agent.status()["why"]
    session.RE(expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter))
    assert session.table()["status"].tolist()[before:] == ["complete"]
    agent.excluded = [{"sample_x": (0.0, 6.0)}]
    assert agent.suggest()["sample_x"] >= 6


def test_mistakes_at_the_prompt_raise_clear_errors(session):
    agent, other = session.agent, RunEngine({})
    for message, mistake in {
        "excluded region": lambda: agent.add(3.0, 3.0),
        "a position has 2 numbers (sample_x, sample_y), got 1": lambda: agent.add(3.0),
        "sample_x = 'a' is not a number": lambda: agent.add("a", 2),
        "sample_x = 11 lies outside": lambda: agent.sample((11, 2)),
        "needs points": lambda: agent.sample(),
        "sample_z": lambda: agent.exclude(sample_z=(1, 2)),
        "the wrong way round": lambda: agent.exclude(sample_x=(3, 2)),
        "needs limits of sample_x or sample_y, got none": lambda: agent.exclude("a crack"),
        "explore needs a positive number of positions, got '3'": lambda: agent.explore("3"),
        "agent.detach() first": lambda: agent.attach(other),
        "no run 'nothing' in Tiled": lambda: agent.analyse("nothing"),
        "bounds need two limits for each of": lambda: setattr(agent, "bounds", {"x": (0, 1)}),
    }.items():
        with pytest.raises((ValueError, KeyError, RuntimeError)) as error:
            mistake()
        assert message in str(error.value).replace("\\'", "'"), error.value
