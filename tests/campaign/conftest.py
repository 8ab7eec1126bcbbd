import uuid

import pytest
from campaign_toys import BOUNDS, Jobs, Store, Toy

from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.server import open_catalog


@pytest.fixture
def client(server):
    """A catalog of its own on the server."""
    client = server.client().create_container(f"campaign-{uuid.uuid4().hex}")
    open_catalog(client)
    return client


@pytest.fixture
def technique():
    return Toy()


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr("ainerd.campaign._journal.AgentNode", lambda store, agent: store)
    return Store()


@pytest.fixture
def make(technique, store):
    """Makes a campaign that writes at once, or by `submit`; it steers, unless it is to read."""

    def make(submit=lambda job, **_: job(), *, steers=True, **options):
        technique_ = options.pop("technique", technique)
        steering = Steering(**({} if "knobs" in options else {"bounds": BOUNDS}) | {"beam_size": 0.1} | options)
        campaign = Campaign(technique_, store, steering, Jobs(), Jobs(submit))
        if steers:
            campaign.take_over()
        return campaign

    return make
