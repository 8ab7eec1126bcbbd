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
        "ainerd.campaign._ledger.save_checkpoint",
        lambda where, agent, state: store.checkpoints.update({agent: state}),
    )
    monkeypatch.setattr(
        "ainerd.campaign._campaign.read_checkpoint", lambda where, agent: store.checkpoints.get(agent, {})
    )
    return store


@pytest.fixture
def make(technique, store):
    """Makes a campaign whose jobs are done at once, or by `submit`."""

    def make(submit=lambda job, **_: job(), **options):
        technique_ = options.pop("technique", technique)
        steering = Steering(**{"bounds": BOUNDS, "beam_size": 0.1} | options)
        return Campaign(technique_, store, steering, submit, readings=[steering.age] if steering.age else [])

    return make
