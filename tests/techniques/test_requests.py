"""Requests that the agent needs for a result that it measured itself, by method and path."""

import re
import time
from collections import Counter

import bluesky.plans as bp
import pytest

pytestmark = pytest.mark.usefixtures("installed_toy")

N, EVERY_S = 4, 5.0  # of exposures; seconds between two signs of life


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
    most = {
        "POST ainerd/results": N,  # computing
        "GET ainerd/results/*": N,  # whether it is complete already
        "PUT ainerd/results/*": N,  # complete
        "PATCH ainerd/results/*": N,  # its regime
        "POST ainerd/atlas": N,
        "POST ainerd/suggestions": 2 * N,  # when the exposure begins, and anew if the result changes the choice
        "GET ainerd/suggestions/*": N,  # whether a person decided on one that is replaced
        "POST ainerd/changes/*": 3 * N + 1,  # proposed, proposed anew, handed out; claimed
        "PUT ainerd/suggestions/*": 3 * N,  # accepted, measured, superseded
        "POST ainerd/log": N + 2,  # with claims
        "GET ainerd/results": 1,  # the axes of the latent space, once there are enough results
    }
    assert {name: n for name, n in counted.items() if n > most.get(name, 0)} == {}
