"""An agent beside the one at the detector, on a machine without the frames."""

from contextlib import closing

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter

from ainerd.agent import build_observer
from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import open_catalog


@pytest.mark.fault(
    "The frames are on another machine, and reach Tiled late", "They are read through Tiled, with the same bits"
)
def test_an_agent_that_does_not_see_the_files_asks_tiled(session, tmp_path):
    documents, settings = [], session.settings.model_copy(deep=True)
    plan = expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter)
    session.RE(plan, lambda *document: documents.append(document))
    client = session.client.create_container(tmp_path.name)
    raw, ainerd = open_catalog(client)
    settings.storage.directory, settings.storage.frames, settings.storage.late_s = tmp_path / "a", [tmp_path], 600.0
    with closing(build_observer(settings, client)) as observer:
        observer.quiet = True
        for write in (observer, TiledWriter(raw)):
            for name, doc in documents:
                if name == "stream_resource":  # of a detector whose disk only the Tiled server can read
                    doc = {**doc, "uri": doc["uri"].replace("localhost", "detector")}
                write(name, doc)
        assert observer.drain(120)
    beside_the_detector, elsewhere = session.table().index, ResultStore(ainerd).table("complete").index
    there = session.agent.results.array(beside_the_detector[0], "c2")
    assert np.array_equal(ResultStore(ainerd).array(elsewhere[0], "c2"), there)
