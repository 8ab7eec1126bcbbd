import pytest
from campaign_toys import BOUNDS, Jobs, Store, Toy

from ainerd.campaign import Campaign
from ainerd.config import Steering


@pytest.fixture
def technique():
    return Toy()


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setattr(
        "ainerd.results.AgentNode.save_checkpoint",
        lambda node, state: store.checkpoints.update({node._agent: state}),
    )
    monkeypatch.setattr("ainerd.results.AgentNode.checkpoint", lambda node: store.checkpoints.get(node._agent, {}))
    monkeypatch.setattr("ainerd.results.AgentNode.append", lambda node, number, event: store.append(number, event))
    monkeypatch.setattr("ainerd.results.AgentNode.changes", lambda node, after: store.changes_after(after))
    monkeypatch.setattr("ainerd.results.AgentNode.update_state", lambda _, state: store.shown.update(state))
    monkeypatch.setattr("ainerd.results.AgentNode.answer", lambda _, *answer: store.node.answer(*answer))
    return store


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
