"""Agents beside the one at the detector: on a machine without the frames, and with another configuration."""

from contextlib import ExitStack, closing

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter

from ainerd.agent import build_observer
from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import open_catalog


@pytest.fixture(scope="module")
def recorded(session):
    """Documents of a run that the agent of the session has analysed."""
    documents = []
    plan = expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter)
    session.RE(plan, lambda name, doc: documents.append((name, doc)))
    assert session.table()["status"].tolist() == ["complete"]
    return documents


@pytest.fixture
def beside(session, tmp_path):
    """An empty catalog on the session's server, and agents that write there."""
    client = session.client.create_container(tmp_path.name)
    raw, ainerd = open_catalog(client)
    with ExitStack() as stack:

        def agent(name="rheo_xpcs", *, frames=None, late_s=0.0, **analysis):
            settings = session.settings.model_copy(deep=True)
            settings.name, settings.storage.late_s, settings.storage.directory = name, late_s, tmp_path / name
            settings.storage.frames = settings.storage.frames if frames is None else [frames]
            settings.section.update(analysis)
            observer = stack.enter_context(closing(build_observer(settings, client)))
            observer.quiet = True
            return observer

        yield raw, ResultStore(ainerd), agent


def same_as_beside_the_detector(session, store, key, rtol=0.0):
    """Compare C2 with that of the session's agent, bit for bit unless `rtol` is given."""
    return np.allclose(store.array(key, "c2"), session.agent.results.array(key, "c2"), rtol=rtol, atol=0)


@pytest.mark.fault(
    "The frames are on another machine, and reach Tiled late", "They are read through Tiled, with the same bits"
)
def test_an_agent_that_does_not_see_the_files_asks_tiled(session, recorded, beside, tmp_path):
    raw, store, agent = beside
    observer = agent(frames=tmp_path, late_s=600.0)
    for write in (observer, TiledWriter(raw)):
        for name, doc in recorded:
            if name == "stream_resource":  # of a detector whose disk only the Tiled server can read
                doc = {**doc, "uri": doc["uri"].replace("localhost", "detector")}
            write(name, doc)
    assert observer.drain(120)
    (key,) = store.table("complete").index
    assert same_as_beside_the_detector(session, store, key)


@pytest.mark.fault("Two agents with different parameters use one catalog", "Each run has one result of each, unmixed")
def test_agents_of_different_configurations_do_not_mix(session, recorded, beside):
    _, store, agent = beside
    agents = [agent(), agent("other", monitor=["beam"])]
    for observer in agents:
        for name, doc in recorded:
            observer(name, doc)
        assert observer.drain(120)
    table = store.table(all=True)
    assert table["status"].tolist() == ["complete"] * 2 and table["superseded_by"].isna().all()
    ((mine,), (other,)) = (table.index[table["agent"] == each.results.agent] for each in agents)
    assert table["raw_uid"].nunique() == 1 and same_as_beside_the_detector(session, store, mine, rtol=1e-5)
    assert "incident" not in store.record(mine).parameters
    assert store.record(other).parameters["incident"] == ["beam"]
    assert set(store.newest_atlas().labels) == {mine, other}  # whoever wrote last
    digest = table.loc[mine, "digest"]
    alone, together = session.agent.results.embeddings(digest), store.embeddings(digest)
    np.testing.assert_allclose(together.loc[[mine]], alone.loc[[mine]], atol=1e-5)
    assert together.index.tolist() == [mine]
    for observer in agents:
        assert observer.drain(120)
        assert store.next_suggestion(observer.results.agent).id == observer.suggest()["_id"]
