"""Numbered events of an agent in Tiled."""

import pytest

from ainerd.results import AgentNode
from ainerd.results._nodes import KEYS, create_node


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
def test_events_are_read_by_their_numbers(node, store):
    created = [3, 1, 2, *range(4, 8)]
    for number in created:
        node.append(number, {"id": str(number)})
    events = store.container["changes", next(iter(store.container["changes"]))]
    for key in ("nonsense", "99999999", "-1"):
        create_node(events, key, {"id": key}, None)
    assert numbers(node) == [*range(1, 8)] and numbers(node, 5) == [6, 7]
    events.delete_contents("00000002", external_only=False)
    assert numbers(node) == [1, *range(3, 8)] and numbers(node, 5) == [6, 7] and numbers(node, 1)[0] == 3


def test_many_events_take_a_few_requests(node, store):
    n = KEYS + 5
    for number in range(1, n + 1):
        node.append(number, {"id": str(number)})
    hooks, seen = store.container.context.http_client.event_hooks, []
    hooks["request"].append(seen.append)
    assert numbers(node) == [*range(1, n + 1)] and len(seen) == 2
    seen.clear()
    assert numbers(node, n - 1) == [n] and len(seen) == 1
    hooks["request"].remove(seen.append)
