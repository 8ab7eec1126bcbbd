"""The server tells an agent of a command as soon as it is written."""

import asyncio
import threading
import time
from unittest.mock import AsyncMock

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ainerd.results import AgentNode, commands
from ainerd.results._agents import NO_BELL_S
from ainerd.server import bell, open_catalog
from ainerd.server.pages import _commands


@pytest.fixture
def place(server):
    return server.client().create_container(f"bell-{time.time_ns()}")


@pytest.fixture
def node(place):
    node = AgentNode(open_catalog(place)[1], "far")
    node.write_state({"bounds": {"x": [0.0, 1.0]}})
    assert node.await_command(0.0)  # from now on the server counts
    return node


def waited(node, do, wait_s=20.0):
    """Wait for a command, which `do` leaves from another thread; return the time in s."""
    began, thread = time.monotonic(), threading.Timer(0.2, do)
    thread.start()
    assert node.await_command(wait_s)
    thread.join()
    return time.monotonic() - began


def test_a_command_of_a_program_or_a_page_ends_the_wait(node, place, server):
    path = "/".join((*place.path_parts, "ainerd"))
    page, key = f"{server.uri.removesuffix('/api/v1')}/custom/ainerd/command/{path}", server.api_key
    sent = {"do": "hold", "agent": "far", "who": "Ann"}
    for leave in (
        lambda: AgentNode(place["ainerd"], "far").send(commands.Hold(by="Ann")),
        lambda: httpx.post(page, json=sent, headers={"authorization": f"Apikey {key}"}).raise_for_status(),
        node.ring,
    ):
        assert waited(node, leave) < 10.0


def test_without_a_command_the_wait_ends_and_the_state_does_not_end_it(node):
    assert waited(node, lambda: node.update_state({"held": None}), wait_s=1.0) >= 1.0


def test_a_server_that_may_have_other_processes_answers_after_a_second():
    app = FastAPI()
    app.include_router(_commands.router)
    app.dependency_overrides[_commands.Caller] = lambda: AsyncMock()
    with TestClient(app) as client:
        cursor = client.get("/asked/agents/aa").json()["cursor"]
        began = time.monotonic()
        assert client.get("/asked/agents/aa", params={"after": cursor, "wait_s": 20}).json() == {"cursor": cursor}
        assert 0.9 < time.monotonic() - began < 10.0


def test_a_command_between_two_waits_is_not_missed(node):
    node.send(commands.Hold(by="Ann"))
    assert waited(node, lambda: None) < 10.0


def test_a_server_without_bells_is_asked_again_later(node, monkeypatch):
    monkeypatch.setattr(AgentNode, "_bell", f"{node._bell}-nobody")
    assert not node.await_command(20.0) and node._no_bell_until > time.monotonic() + NO_BELL_S / 2
    monkeypatch.undo()
    assert not node.await_command(20.0)
    node._no_bell_until = 0.0
    assert node.await_command(0.0)


def test_readers_ring_no_bell_and_take_none_away(node, place, server):
    path = "/".join((*place.path_parts, "ainerd", "agents", node._key))
    base = server.uri.removesuffix("/api/v1")
    with httpx.Client(headers={"authorization": f"Apikey {server.api_key}"}, trust_env=False) as http:
        refused = http.post(f"{server.uri}/metadata/{path}", json={"metadata": 7})
        assert refused.is_error and waited(node, lambda: None, wait_s=0.5) >= 0.5
        for spelling in (path, path.replace("/agents", "//agents"), f"/{path}/"):
            answer = http.get(f"{base}/custom/ainerd/asked/{spelling}", params={"wait_s": 0})
            assert answer.json() == {"cursor": node._cursor}
        assert http.get(f"{base}/custom/ainerd/asked/{path.rpartition('/agents')[0]}").status_code == 404


def test_bells_without_listeners_give_way(monkeypatch):
    monkeypatch.setattr(bell, "MOST_BELLS", 2)

    async def listen():
        one = asyncio.create_task(bell.rung("agents/a", "", 20.0))
        await asyncio.sleep(0)
        cursors = [await bell.rung(f"agents/b{i}", "", 0.0) for i in range(5)]
        bell.ring("/agents/a")
        assert await one and len(set(cursors)) == 5

        process = await bell.rung("agents/a", "", 0.0)
        assert await bell.rung("agents/a", "of another process-7", 0.01) == process

    asyncio.run(listen())
