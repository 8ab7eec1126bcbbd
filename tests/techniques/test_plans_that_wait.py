"""Plans of the toy that wait: for a person, and for a release."""

import threading

import bluesky.plans as bp
import pytest

from tests.waiting import until

pytestmark = pytest.mark.usefixtures("installed_toy")
SOON_S = 60


@pytest.fixture
def b(beamline):
    b = beamline(agent={"acquire": bp.count})
    b.agent.quiet = True
    return b


class Clock:
    """A clock that stands still; it notes when it was read."""

    def __init__(self):
        self.now, self.read = 0.0, threading.Event()

    def monotonic(self):
        self.read.set()
        return self.now


def test_a_hold_does_not_use_up_the_time_to_take_a_suggestion(b, monkeypatch):
    state, clock, seen = b.agent._state, Clock(), []
    monkeypatch.setattr(b.agent, "review", True)
    monkeypatch.setattr("ainerd.agent._agent.time", clock)
    b.agent.hold("lunch")

    def act():
        until(lambda: state.waits and "lunch" in state.waits)
        clock.now += 7200.0  # the limit is an hour
        clock.read.clear()
        clock.read.wait(SOON_S)
        b.agent.release()
        until(lambda: state.waits and "person who takes" in state.waits)
        seen.append(b.RE.state)
        clock.now += 7200.0

    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    with pytest.raises(RuntimeError, match="nobody took the suggestion in 3600 s"):
        b.RE(b.agent.explore(1))
    acting.join(SOON_S)
    assert seen == ["running"]
