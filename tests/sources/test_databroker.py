"""Runs with Resource and Datum in a catalog of databroker, behind a Tiled server."""

import threading
from queue import Queue

import numpy as np
import pytest
from databroker_server import databroker_server

from ainerd.documents import Run, documents_of
from ainerd.runs import start_documents
from ainerd.server import open_catalog
from ainerd.sources import Intake, open_source
from tests.documents.test_resources import KEYS, N, series

PIXELS = np.array([3, 0, 11])  # as in `series`
KINDS = {
    "AD_EIGER2": ([{"seq_id": i} for i in (8, 9, 7)], N),
    "AD_EIGER_SLICE": ([{"seq_id": 9, "frame_num": i} for i in (0, 7, 8, 19)], 1),
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A client of a server with such a catalog as `raw`, the serializer of the catalog, the folder of the files, and
    for each kind its uid and frames.
    """
    folder, kept = tmp_path_factory.mktemp("eiger"), {}
    with databroker_server(folder) as (client, adapter):
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
        yield client, adapter, folder, kept


def analysed(documents, folder):
    run = Run(KEYS, [folder])
    for name, doc in documents:
        run(name, doc)
    frames = np.concatenate([block.frames for block in run.blocks(PIXELS)])
    run.close()
    return run, frames


@pytest.mark.parametrize("spec", KINDS)
def test_each_event_has_its_frames_from_databroker(catalogue, spec):
    client, _, folder, kept = catalogue
    uid, expected = kept[spec]
    documents = list(documents_of(client["raw", uid]))
    assert documents[-1][0] == "stop" and [name for name, _ in documents].count("stop") == 1
    run, frames = analysed(documents, folder)
    assert run.n_events == len(expected) and np.array_equal(frames.reshape(expected.shape), expected)
    assert [run.reading("x", event + 1) for event in range(run.n_events)] == [10.0 + i for i in range(run.n_events)]


def test_the_newest_runs_of_databroker_come_first(catalogue, tmp_path):
    newest = start_documents(catalogue[0]["raw"], tmp_path, newest=2)
    assert len(newest) == 2 and newest[0]["time"] > newest[1]["time"]


def test_new_runs_of_databroker_are_followed_while_they_grow(catalogue):
    client, adapter, folder, kept = catalogue
    raw, ainerd = open_catalog(client)
    assert set(ainerd) == {"results", "suggestions", "log", "atlas"}
    insert, stop, came = adapter.get_serializer(), threading.Event(), Queue()
    (folder / "live").mkdir()
    documents, movies = series(folder / "live", "AD_EIGER2", KINDS["AD_EIGER2"][0], [N, 3, 4])
    waiting = iter(documents)

    def post(last):
        for name, doc in waiting:
            insert(name, doc)
            if name == last:
                return

    def follow():
        intake = Intake(stop, raw, None, lambda: lambda run: False, None)
        for document in open_source("tiled").documents(intake):
            came.put(document)

    def next_ones(n):
        return [came.get(timeout=60) for _ in range(n)]

    post("event")
    follower = threading.Thread(target=follow)
    follower.start()
    try:
        before = []
        while [name for name, _ in before].count("start") <= len(kept):
            before += next_ones(1)
        uids = [doc["uid"] for name, doc in before if name == "start"]
        assert uids == [*(uid for uid, _ in kept.values()), documents[0][1]["uid"]]  # oldest first
        live = [before[-1], *next_ones(3)]
        for _ in KINDS["AD_EIGER2"][0][1:]:
            post("event")
            live += next_ones(2)  # the server gives an event when the next one is there
        post("stop")
        live += next_ones(2)
        assert [name for name, _ in live[4:]] == [*["datum", "event"] * 2, "event", "stop"]
    finally:
        stop.set()
        follower.join(60)
    run, frames = analysed(live, folder)
    expected = movies[[each["seq_id"] - 7 for each in KINDS["AD_EIGER2"][0]]]
    assert came.empty() and np.array_equal(frames.reshape(expected.shape), expected)
    assert [run.reading("x", event + 1) for event in range(run.n_events)] == [10.0, 11.0, 12.0]
