"""Runs with Resource and Datum in a catalog of databroker, behind a Tiled server."""

import socket
import threading
import time
import warnings

import numpy as np
import pytest
import uvicorn
from tiled.client import from_uri
from tiled.config import Authentication
from tiled.server.app import build_app

from ainerd.documents import Run, documents_of
from tests.documents.test_resources import KEYS, N, series

PIXELS = np.array([3, 0, 11])  # as in `series`
KINDS = {
    "AD_EIGER2": ([{"seq_id": i} for i in (8, 9, 7)], N),
    "AD_EIGER_SLICE": ([{"seq_id": 9, "frame_num": i} for i in (0, 7, 8, 19)], 1),
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A client of the catalog, the folder of the files, and for each kind its uid and frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mongomock
        from databroker.mongo_normalized import MongoAdapter

        adapter = MongoAdapter.from_mongomock()
    folder, kept = tmp_path_factory.mktemp("eiger"), {}
    for spec, (datums, n) in KINDS.items():
        (folder / spec).mkdir()
        documents, movies = series(folder / spec, spec, datums, [N, 3, 4] if n == N else [3, 4], n=n)
        insert = adapter.get_serializer()
        for name, doc in documents:
            insert(name, doc)
        frames = [movies[each["seq_id"] - 7] for each in datums]
        if n == 1:
            frames = [movie[each["frame_num"]][None] for movie, each in zip(frames, datums, strict=True)]
        kept[spec] = documents[0][1]["uid"], np.array(frames)
    app = build_app(adapter, authentication=Authentication(single_user_api_key="secret"))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))  # handlers of other tests stay open
    place = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    client = from_uri(f"http://127.0.0.1:{place.getsockname()[1]}", api_key="secret")
    yield client, folder, kept
    client.context.http_client.close()
    server.should_exit = True
    thread.join(20)
    place.close()


def analysed(documents, folder):
    run = Run(KEYS, [folder])
    for name, doc in documents:
        run(name, doc)
    frames = np.concatenate([block.frames for block in run.blocks(PIXELS)])
    run.close()
    return run, frames


@pytest.mark.parametrize("spec", KINDS)
def test_each_event_has_its_frames_from_databroker(catalogue, spec):
    client, folder, kept = catalogue
    uid, expected = kept[spec]
    documents = list(documents_of(client[uid]))
    assert documents[-1][0] == "stop" and [name for name, _ in documents].count("stop") == 1
    run, frames = analysed(documents, folder)
    assert run.n_events == len(expected) and np.array_equal(frames.reshape(expected.shape), expected)
    assert [run.reading("x", event + 1) for event in range(run.n_events)] == [10.0 + i for i in range(run.n_events)]
