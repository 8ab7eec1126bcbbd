"""Numbered events of an agent in Tiled."""

import pytest

from ainerd.results import AgentNode


@pytest.fixture
def node(store):
    return AgentNode(store.container, "dragonfly")


def numbers(node, after=0):
    return [number for number, _ in node.changes(after)]


def test_an_event_gets_a_free_number_only(node):
    assert numbers(node) == [] and node.append(1, {"id": "a"}) is None
    assert node.append(1, {"id": "b"}) == {"id": "a"}
    assert node.changes(0) == [(1, {"id": "a"})] and node.changes(1) == []


@pytest.mark.fault(
    "A program deletes an event of a campaign, or writes one with nonsense for a number, or one far ahead",
    "All later events are read, in the order of their numbers",
)
def test_events_are_read_by_their_numbers(node, store, monkeypatch):
    monkeypatch.setattr("ainerd.results._agents.KEYS", 25)  # that are read in one request
    n = 28
    for number in (3, 1, 2, *range(4, n + 1)):
        node.append(number, {"id": str(number)})
    events = store.container["changes"].values().first()
    for key in ("nonsense", "99999999", "-1"):
        events.create_container(key, metadata={"id": key})
    assert numbers(node) == [*range(1, n + 1)] and numbers(node, n - 2) == [n - 1, n]
    events.delete_contents("00000002", external_only=False)
    assert numbers(node) == [1, *range(3, n + 1)] and numbers(node, 1)[0] == 3
