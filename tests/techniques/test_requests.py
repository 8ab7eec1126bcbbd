"""Requests that the agent needs for a result that it measured itself, by method and path."""

import re
import time
from collections import Counter

import bluesky.plans as bp
import pytest

from ainerd.agent._state import EVERY_S

pytestmark = pytest.mark.usefixtures("installed_toy")

N = 4


def asked(client, what):
    """Record requests of the agent, without those for raw runs, which are TiledWriter's."""
    requests = []
    hooks = client.context.http_client.event_hooks
    hooks["request"].append(requests.append)
    try:
        what()
    finally:
        hooks["request"].remove(requests.append)
    return [request for request in requests if "/raw" not in request.url.path]


def named(request):
    path = re.sub(r".*/ainerd(?=/|$)", "ainerd", request.url.path)
    return f"{request.method} {re.sub(r'[0-9a-f]{8}[0-9a-f-]{8,}|[0-9]{20}.*|[0-9]{6}', '*', path)}"


def test_a_result_costs_few_requests(beamline):
    b = beamline(agent={"acquire": bp.count})
    b.agent.quiet = True  # else each line asks how many results there are
    b.RE(b.agent.explore(2))
    assert b.agent.drain()

    def explore():
        b.RE(b.agent.explore(N))
        assert b.agent.drain()

    began = time.monotonic()
    counted = Counter(map(named, asked(b.client, explore)))
    by_clock = int((time.monotonic() - began) / EVERY_S) + 1
    state = {name: counted.pop(name) for name in list(counted) if "agents" in name}  # for pages, in a thread of its own
    # one for a position, its exposure and its result, unless the campaign is busy, and signs of life
    assert state.get("PUT ainerd/agents/*", 0) <= 3 * N + by_clock
    for look in ("GET ainerd", "GET ainerd/changes/*"):  # whether another session steers: by the clock
        counted.pop(look, None)
    assert counted.pop("GET ainerd/results", 0) <= 1  # the axes of the latent space, once there are enough results
    claims = counted["POST ainerd/log"] - N  # a line for each, and an event for all
    counted["POST ainerd/log"] = N
    assert 0 <= claims <= 2
    n_replaced = counted["POST ainerd/suggestions"] - N  # if the result changes the choice
    assert 0 <= n_replaced <= N and counted.pop("GET ainerd/suggestions/*", 0) <= n_replaced  # whether a person decided
    assert counted == {
        "POST ainerd/results": N,  # computing
        "GET ainerd/results/*": N,  # whether it is complete already
        "PUT ainerd/results/*": N,  # complete
        "PATCH ainerd/results/*": N,  # its regime
        "POST ainerd/suggestions": N + n_replaced,  # proposed when the exposure begins, or anew with its result
        "POST ainerd/changes/*": 2 * N + n_replaced + min(claims, 1),  # proposed, handed out; claimed
        "PUT ainerd/suggestions/*": 2 * N + n_replaced,  # accepted, measured; superseded
        "POST ainerd/atlas": N,
        "POST ainerd/log": N,
    }
