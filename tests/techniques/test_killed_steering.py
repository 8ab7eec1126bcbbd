"""kill -9 of a session that steers, at each step."""

import os
import signal

import bluesky.plans as bp
import pytest
from ophyd import Signal
from ophyd.sim import SynAxis

from ainerd.results import ResultStore
from tests.killed import SLOW_S, killed

pytestmark = pytest.mark.usefixtures("installed_toy")

# the method that is replaced in the child, and whether the child dies before its call or after
STEPS = {
    "suggestion written": (ResultStore, "add_suggestion", False),
    "motor moving": (SynAxis, "set", False),
    "result told": (ResultStore, "label", True),
    "log": (ResultStore, "log", True),
}


class Shutter(Signal):
    """A server that stays when its session is gone."""

    def __init__(self, path):
        super().__init__(name="shutter", value="close")
        self.path = path

    def put(self, value, **options):
        super().put(value, **options)
        self.path.write_text(value)


@pytest.fixture
def session(beamline, tmp_path):
    """Make beamlines of one catalog and one folder, one for each session."""

    def make():
        acquire = {"acquire": lambda *args, **more: bp.count(*args, **more)}
        made = beamline(agent={**acquire, "shutter": Shutter(tmp_path / "shutter")})
        made.agent.quiet = True
        return made

    return make


def killed_at(make, owner, name, before):
    """A session that is killed when its plan comes to a function."""

    def explores():
        b, original = make(), getattr(owner, name)
        b.agent.drain()  # suggestions of an earlier session are settled

        def dying(*arguments, **options):
            if not before:
                original(*arguments, **options)
            if owner is SynAxis:
                b.agent.drain()  # the worker has written its result
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, dying)
        b.RE(b.agent.explore(1))
        b.agent.drain(SLOW_S)

    killed(explores)


@pytest.mark.fault(
    "A steering session is killed (-9): suggestion written, motor moving, result not delivered, log line missing",
    "The next start closes the suggestion, closes the shutter before it moves, and logs both",
)
@pytest.mark.timeout(300)
def test_a_session_killed_while_steering_leaves_nothing_open(session, tmp_path):
    for step in STEPS.values():  # each session is the next start for the one before
        killed_at(session, *step)
    b, seen = session(), []
    b.agent.catch_up(1000)  # more than Tiled gives at once
    table, store = b.table(), b.agent.results
    assert len(table) == 2 and (table["status"] == "complete").all() and table["raw_uid"].is_unique
    suggestions = store.suggestions()
    measured = suggestions.index.isin(table["suggestion_id"])
    assert suggestions["status"][measured].tolist() == ["measured"] * 2
    assert set(suggestions["raw_uid"][measured]) == set(table["raw_uid"])
    waiting = suggestions.index.isin([each.id for each in b.agent.optimizer.state.waiting])  # chosen by this session
    rest = suggestions[~measured & ~waiting & (suggestions["status"] != "superseded")]  # by results, before the kills
    assert len(suggestions) >= 4 and len(rest) >= 2 and rest["status"].isin(["withdrawn", "failed"]).all()
    assert rest["status_reason"].str.contains("its session had ended|the exposure was not finished").all()

    (tmp_path / "shutter").write_text("open")  # as one that was killed during an exposure leaves it
    move = b.x.set
    b.x.set = lambda *position: (seen.append((tmp_path / "shutter").read_text()), move(*position))[1]
    b.RE(b.agent.explore(1))
    assert seen == ["close"] and len(b.table()) == 3
    b.agent.detach()
    lines = store.logbook()
    logged = lines[lines["text"].str.contains(" at ", regex=False)]["result"].dropna()
    assert sorted(logged) == sorted(b.table().index)  # each once
