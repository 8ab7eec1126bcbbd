"""Sessions of one agent: one steers and writes, the others read, and no decision disappears."""

from contextlib import contextmanager

import pytest
from campaign_toys import Node, outcome, usable

from ainerd.agent import CommandReader
from ainerd.knobs import Knob
from ainerd.results import Away, Refused
from ainerd.results.commands import Add, Exclude, Hold, Release, SetBounds, command_metadata

FEW = {name: Knob(range=(0, 10), values=(0, 5, 10), length=1.0) for name in ("x", "y")}
NARROW = {"x": (0.0, 9.0), "y": (0.0, 10.0)}


@contextmanager
def away(store, what):
    """Tiled is away from a write on: the first one of the kind `what` gets no answer."""

    def gone(*_, **__):
        raise Away("no route")

    setattr(store, what, gone)
    store.answers = lambda: False
    yield
    delattr(store, what)
    del store.answers


def test_a_session_that_does_not_steer_reads_everything_and_writes_nothing(make, store):
    steers, reads = make(), make(steers=False)
    steers.answer(outcome("a", z=3.0, novelty_p=0.5))
    store.add_result("a", [3.0, 0.0], regime=0, x=5.0, y=5.0, novelty_p=0.5)
    steers.apply(Hold(why="tea"))
    reads.look()
    assert reads.state.held.why == "tea" and usable(reads) == {"a"} and reads.atlas.labels == {0}
    assert reads.peek() == steers.peek()
    n_events, n_lines = len(store.records), len(store.lines)
    for act in (reads.suggest, lambda: reads.apply(Release()), lambda: reads.register_suggestions([{"x": 1, "y": 1}])):
        with pytest.raises(RuntimeError, match=r"another session steers: .* agent.take_over\(\) steers from here"):
            act()
    assert reads.answer(outcome("b")).regime == -1
    reads.begun("s"), reads.register_failures([]), reads.end(), reads.journal.catch_up()
    assert (len(store.records), len(store.lines)) == (n_events, n_lines)


@pytest.mark.fault(
    "A session is silent for 30 s, and another one takes over", "The first one notices, writes nothing more and reads"
)
@pytest.mark.parametrize("looks", [False, True])
def test_a_session_that_was_silent_writes_nothing_more(make, store, looks):
    jobs = []
    old = make(submit=lambda job, **_: jobs.append(job))
    old.peek(), old.apply(Add(position={"x": 2.0, "y": 1.0}, id="kept"))
    while jobs:
        jobs.pop(0)()
    new = make()
    assert [each.id for each in new.state.waiting] == ["kept"]
    if looks:
        old.look()
        assert not old.steers
    else:
        old.apply(Hold(why="late"))  # it has not noticed yet
    before = len(store.records), len(store.lines), dict(store.saved)
    while jobs:
        jobs.pop(0)()
    assert not old.steers and old.state.held is None
    assert (len(store.records), len(store.lines), store.saved) == before
    new.apply(Hold(why="tea"))
    old.look()
    assert old.state.held.why == "tea"


def test_of_two_sessions_that_begin_at_once_one_steers(make, store):
    one, other = make(steers=False), make(steers=False)
    other._read = lambda: []  # it has read before the first one began
    one.take_over()
    with pytest.raises(RuntimeError, match="another session has just begun to steer"):
        other.take_over()
    assert one.steers and not other.steers and len(store.records) == 1


@pytest.mark.fault("Tiled goes away while people decide", "They are obeyed at once; the events are written later")
def test_events_are_written_when_tiled_is_back(make, store):
    campaign = make(knobs=FEW)
    with away(store, "append"):
        assert campaign.apply(Hold(why="tea")).status == "done" and campaign.state.held.why == "tea"
        campaign.apply(SetBounds(bounds=NARROW))
        assert campaign.journal.is_behind
    campaign.checkpoint()
    assert not campaign.journal.is_behind
    again = make(knobs=FEW)
    assert again.state.held.why == "tea" and again.state.window.bounds == NARROW


@pytest.mark.fault(
    "Tiled goes away between an event and its effects", "They are written when it is back, each line of the log once"
)
def test_effects_are_written_when_tiled_is_back(make, store):
    one, wanted = make(knobs=FEW), Add(position={"x": 5.0, "y": 5.0}, id="mine")
    with away(store, "log"):
        assert one.apply(wanted).status == "done" and "mine" in store.saved
        assert one.apply(Hold(why="tea")).status == "done" and not store.lines
    one.journal.catch_up()
    texts = [text for text, _ in store.lines]
    assert store.saved["mine"].status == "proposed" and len(texts) == 2 and any("wants" in text for text in texts)
    later = make(knobs=FEW)
    assert len(store.lines) == 2 and later.state.held.why == "tea"


@pytest.mark.fault(
    "A session is killed between an event and its effects", "The next session writes them, each line of the log once"
)
def test_the_next_session_writes_the_effects_that_a_killed_one_did_not(make, store, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._journal.SAVE_EVERY", 1)
    killed = make(knobs=FEW)
    store.checkpoints.clear()
    with away(store, "add_suggestion"):
        killed.apply(Add(position={"x": 5.0, "y": 5.0}, id="mine"))
    assert not store.checkpoints  # no state is saved before the effects of its events
    later = make(knobs=FEW)
    assert store.saved["mine"].status == "proposed" and later.state.get("mine") and store.checkpoints
    make(knobs=FEW)
    assert sum("wants" in text for text, _ in store.lines) == 1


@pytest.mark.fault(
    "Tiled refuses the event of a command for good, such as one that is too large",
    "The command is refused with this reason; all later events are written",
)
def test_an_event_that_tiled_refuses_for_good_stops_no_other(make, store, caplog):
    one, node = make(knobs=FEW), Node(store)
    reading = CommandReader(store, node, one, lambda: None)
    large, box = Exclude(region={"x": (0.0, 1.0)}, id="large"), Exclude(region={"x": (8.0, 9.0)}, id="box")
    node.add("large", command_metadata(large, "toy"))
    append = store.append

    def refuses(number, event):
        if event.get("command", {}).get("id") == "large":
            raise Refused("no", 413)
        return append(number, event)

    store.append = refuses
    reading.look()
    assert one.state.window.excluded == [] and "does not accept it" in caplog.text
    reading.look()
    assert node.answers["large"][0] == "refused" and "Tiled does not accept" in node.answers["large"][1]
    assert one.apply(box).status == "done" and not one.journal.is_behind
    for session in (one, make(knobs=FEW)):
        assert session.state.window.excluded == [{"x": (8.0, 9.0)}]


def test_an_event_whose_answer_was_lost_is_written_once(make, store):
    one, append = make(knobs=FEW), store.append

    def lost(number, event):
        append(number, event)
        raise Away("no answer")

    store.append = lost
    one.apply(Hold(why="tea"))
    store.append = append
    assert one.journal.is_behind
    one.look()
    one.apply(Release())
    assert one.steers and not one.journal.is_behind
    assert [event["command"]["do"] for event in store.records if event["kind"] == "asked"] == ["hold", "release"]
    assert make(knobs=FEW).state.held is None
