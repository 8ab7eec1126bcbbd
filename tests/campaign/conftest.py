import pytest
from campaign_toys import BOUNDS, Store, Toy

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
    return store


@pytest.fixture
def make(technique, store):
    """Makes a campaign whose jobs are done at once, or by `submit`."""

    def make(submit=lambda job, **_: job(), **options):
        technique_ = options.pop("technique", technique)
        steering = Steering(**{"bounds": BOUNDS, "beam_size": 0.1} | options)
        return Campaign(technique_, store, steering, submit, readings=[steering.age] if steering.age else [])

    return make
