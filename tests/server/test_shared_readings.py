"""Readings of a campaign that pages share, without a server."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from ainerd.server.pages import _campaign

READING_S = 0.05


class Catalog:
    """Stands for the catalog of a server."""


@pytest.fixture
def ask(monkeypatch):
    """Return a function that sends requests, each an agent and a pause before it, and returns when readings began."""
    begun = []

    async def read(reader, agent):
        begun.append(time.monotonic())
        await asyncio.sleep(READING_S)
        return SimpleNamespace(began=begun[-1], took_s=READING_S, agent=agent)

    async def request(reader, agent, pause_s):
        await asyncio.sleep(pause_s)
        came = time.monotonic()
        view = await _campaign._read_once(reader, agent)
        assert view.agent == agent and view.began >= came

    async def send(requests, sees_all):
        caller = SimpleNamespace(sees_all=sees_all, uuid=None)
        reader = SimpleNamespace(node=SimpleNamespace(context=Catalog()), caller=caller, path="ainerd")
        await asyncio.gather(*(request(reader, agent, pause_s) for agent, pause_s in requests))

    def run(*requests, sees_all=True):
        begun.clear()
        asyncio.run(send(requests, sees_all))
        return [*begun]

    monkeypatch.setattr(_campaign, "_read", read)
    return run


def test_requests_that_wait_share_a_reading_that_begins_after_each_of_them(ask):
    first, second = ask(*(("a", i * READING_S / 10) for i in range(8)))
    assert second - first >= _campaign.PAUSE * READING_S


def test_a_single_page_does_not_wait_between_two_readings(ask):
    first, second = ask(("a", 0), ("a", READING_S / 2))
    assert second - first < 2 * READING_S


def test_a_reading_is_of_one_agent(ask):
    assert len(ask(("a", 0), ("b", 0))) == 2


def test_callers_who_may_see_different_nodes_share_no_reading(ask):
    assert len(ask(("a", 0), ("a", 0), sees_all=False)) == 2
