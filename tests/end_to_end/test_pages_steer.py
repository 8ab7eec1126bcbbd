"""Requests of people on a page reach the running plan, on a real RunEngine."""

import threading

import numpy as np
import pytest
from bluesky import RunEngineInterrupted

from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import parse_command
from tests.end_to_end.sessions import Session
from tests.waiting import until

SOON_S = 60


class Person:
    """A person at the page of a campaign, not at the prompt."""

    def __init__(self, ainerd, agent):
        self._node, self._store = AgentNode(ainerd, agent), ResultStore(ainerd, agent=agent)

    def sees(self):
        """Return the state of the agent, with the next suggestion."""
        state = self._node.state()
        first = next(iter(state.get("queue") or ()), None)
        return state | {"next": first and self._store.suggestion(first)}

    def command(self, do, **more):
        if "suggestion" in more:
            about = self._store.suggestion(more["suggestion"])
            more |= {"position": about.positions, "reason": about.reason, "terms": about.terms}
        return parse_command({"do": do, "by": "Ann", **more})

    def sends(self, do, **more):
        self._node.send(self.command(do, **more))

    def presses(self, do, **more):
        """Send a command and return it with the answer of the agent."""
        return self._node.ask(self.command(do, **more), SOON_S)

    def waits_for(self, condition):
        return until(lambda: condition(self.sees()), patience_s=SOON_S)


@pytest.fixture(scope="module")
def reviewed(server, tmp_path_factory):
    """A session in which a person must take each suggestion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STEERING__REVIEW", "true")
        session = Session(tmp_path_factory.mktemp("reviewed"), server)
        yield session
        session.close()


@pytest.fixture(scope="module")
def person(reviewed):
    return Person(reviewed.client["ainerd"], reviewed.settings.name)


@pytest.fixture
def meanwhile():
    """Run functions in another thread, and raise their errors in the test."""
    done, problems = [], []

    def begin(act):
        def run():
            try:
                act()
            except BaseException as error:
                problems.append(error)

        done.append(threading.Thread(target=run))
        done[-1].start()

    yield begin
    for thread in done:
        thread.join(2 * SOON_S)
    if problems:
        raise problems[0]


@pytest.mark.fault("A person presses Ctrl-C while the campaign is held", "The plan ends as usual")
def test_a_waiting_plan_can_be_stopped(reviewed, person, meanwhile):
    before = len(reviewed.table())

    def act():
        person.waits_for(lambda state: state["health"].get("waits"))
        reviewed.RE.request_pause()

    meanwhile(act)
    with pytest.raises(RunEngineInterrupted):
        reviewed.RE(reviewed.agent.explore(1))
    reviewed.RE.stop()
    assert len(reviewed.table()) == before and person.waits_for(lambda state: not state["health"].get("waits"))


def test_boxes_points_and_names_from_a_page_reach_the_campaign(reviewed, person, meanwhile):
    agent = reviewed.agent
    assert person.presses("exclude", region={"sample_x": [0, 4]}, why="a crack")["status"] == "done"
    assert agent.excluded == [{"sample_x": (0.0, 4.0)}] and agent.suggest()["sample_x"] >= 4
    assert person.presses("name", regime=0, name="gel")["status"] == "done"
    assert person.waits_for(lambda state: state.get("names")) == {"0": "gel"}
    refused = person.presses("name", regime=77, name="gas")
    assert (refused["status"], refused["answer"]) == ("refused", "there is no regime 77")
    inside = person.presses("add", position={"sample_x": 1, "sample_y": 1})
    assert inside["status"] == "refused" and "excluded" in inside["answer"]
    assert person.presses("add", position={"sample_x": 8, "sample_y": 1})["status"] == "done"
    added = person.waits_for(lambda state: state["next"] and state["next"].positions["sample_x"] == 8 and state["next"])
    (key,) = agent.results.table().index[:1]
    assert person.presses("leave_out", result=key, name="scan 1", why="a bubble")["status"] == "done"
    assert agent.results.table(all=True).loc[key, ["regime", "left_out"]].tolist() == [-1, "Ann: a bubble"]
    text = "Ann left out scan 1: a bubble"
    last = person.waits_for(lambda state: (state.get("undo") or {}).get("text") == text and state["undo"])
    assert person.presses("undo", decision=last["id"])["answer"] == f"taken back: {text}"
    assert agent.results.table(all=True).loc[key, "regime"] >= 0 and "left_out" not in agent.results[key].metadata
    meanwhile(lambda: person.sends("take", suggestion=added.id))
    reviewed.RE(agent.explore(1))
    np.testing.assert_allclose(reviewed.table().iloc[-1][["sample_x", "sample_y"]].astype(float), [8, 1], atol=0.003)
    again = reviewed.start_agent()
    assert again.optimizer.state.names == {0: "gel"} and again.excluded == [{"sample_x": (0.0, 4.0)}]
    again.name(0, "sol")
    again.close()  # before the name was written
    person.waits_for(lambda state: state["health"]["closed"] and state["names"] == {"0": "sol"})
