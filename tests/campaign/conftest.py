from types import SimpleNamespace

import pytest
from campaign_toys import BOUNDS, Store, Toy

from ainerd.campaign import Campaign, CampaignOptions, _campaign, _ledger


@pytest.fixture
def technique():
    return Toy()


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setattr(
        _ledger, "save_checkpoint", lambda where, agent, state: store.checkpoints.update({agent: state})
    )
    monkeypatch.setattr(_campaign, "read_checkpoint", lambda where, agent: store.checkpoints.get(agent, {}))
    return store


@pytest.fixture
def make(technique, store):
    """Makes a campaign whose jobs are done at once, or by `submit`."""

    def make(submit=lambda job: job(), **options):
        technique_ = options.pop("technique", technique)
        options = CampaignOptions(**{"bounds": BOUNDS, "agent": "toy", "beam_size": 0.1} | options)
        return Campaign(technique_, store, options=options, jobs=SimpleNamespace(submit=submit))

    return make
