import numpy as np
import pytest

from ainerd.campaign import _atlas
from ainerd.campaign._atlas import Atlas
from ainerd.latent import Encoder
from ainerd.results import AtlasRecord, ResultStore
from ainerd.runs._outcome import Outcome
from ainerd.server import embedded_server, open_catalog
from ainerd.techniques.rheo_xpcs import Bank, RheoXPCS
from ainerd.xpcs import Partition

ROI_MAP = np.repeat(np.arange(1, 19), 300).reshape(60, 90)


@pytest.fixture(scope="module")
def technique():
    partition = Partition.from_roi_map(ROI_MAP, q=np.full(18, 0.024), phi=np.arange(10, 360, 20))
    return RheoXPCS(partition, Encoder.load(), Bank.load(), contrast=1 / 3)


@pytest.fixture
def store(tmp_path):
    with embedded_server(tmp_path) as server:
        yield ResultStore(open_catalog(server.client())[1])


def outcome(technique, name, axis, seed):
    """A run of the regime along an axis of the latent space."""
    z = np.random.default_rng(seed).normal(0, 0.02 * technique.regime_width, technique.embedding_size)
    z[axis] += 10 * technique.regime_width
    return Outcome(
        raw_uid=name, key=name, trial_id=name, status="complete", positions={}, embedding=z.astype(np.float32)
    )


def test_when_there_are_many_a_run_like_a_known_regime_takes_its_label(technique, store, monkeypatch):
    monkeypatch.setattr(_atlas, "MANY", 8)
    monkeypatch.setattr(_atlas, "GROWTH", 1.5)
    atlas = Atlas(technique, store)

    def add(i, axis):
        return atlas.add(outcome(technique, f"run {i}", axis, i)), atlas.keep()

    assert [add(i, i % 2) for i in range(8)] == [(i % 2, i + 1) for i in range(8)]  # each run a refit
    assert [add(i, i % 2) for i in range(8, 12)] == [(i % 2, 8) for i in range(8, 12)]
    assert len(store.newest_atlas().labels) == 8 and atlas.regimes.n_regimes == 2

    assert add(12, 0) == (0, 9)  # half as many more
    assert add(13, 2) == (2, 10)  # like none
    assert store.newest_atlas().labels == {f"run {i}": 2 if i == 13 else i % 2 for i in range(14)}
    assert add(14, 0) == (0, 10)

    swapped = {key: {0: 5, 1: 6, 2: 7}[label] for key, label in store.newest_atlas().labels.items()}
    ResultStore(store.container).add_atlas(AtlasRecord(n_regimes=3, supported_range=(3, 3), labels=swapped))
    assert add(15, 1) == (6, 12)  # another agent's numbers, and what it does not know
    assert store.newest_atlas().labels == swapped | {"run 14": 5, "run 15": 6}
    assert add(16, 0) == (5, 12)

    ResultStore(store.container).add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"elsewhere": 0}))
    assert add(17, 0) == (5, 12)  # another agent's atlas, which changes nothing here
