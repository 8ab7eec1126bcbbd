"""What a worker holds on to, and what it leaves behind."""

import gc
import os
import threading
from types import SimpleNamespace

import h5py
import httpx
import numpy as np
import pytest
from event_model import compose_run, pack_event_page

from ainerd.runs import Wanted, Worker, _delivery, _worker
from ainerd.runs._delivery import _n_bytes


class Store:
    """Has no results, and takes all."""

    def __init__(self):
        self.done = []

    def take(self, record):
        return None

    def expect(self, key, layouts):
        pass

    def fail(self, key, reason, **about):
        self.done.append(key)
        return True

    def complete(self, key, analysis, **about):
        self.done.append(key)
        return True

    def answers(self):
        return True


@pytest.fixture
def work(toy, keys, tmp_path):
    """A worker, which is closed in the end."""
    listener = SimpleNamespace(assign=lambda outcome: {"regime": 0, "atlas_version": 1}, absorb=lambda outcome: None)
    wanted = Wanted(positions=("x",), series={}, readings={}, units={})
    worker = Worker(
        toy(), Store(), keys=keys, wanted=wanted, roots=[tmp_path], listener=listener, agent="me",
        spool=tmp_path / "spool",
    )  # fmt: skip
    yield worker
    worker.close()


def flying(folder):
    """Documents of a run whose frames are in a file, without its end."""
    with h5py.File(folder / "frames.h5", "w", libver="latest") as file:
        file["entry/data/data"] = np.ones((100, 2, 3), np.uint16)
    bundle = compose_run()
    yield "start", bundle.start_doc
    image = {"dtype": "array", "shape": [2, 3], "source": "sim", "external": "STREAM:"}
    descriptor = bundle.compose_descriptor(name="primary", data_keys={"det": image})
    yield "descriptor", descriptor.descriptor_doc
    resource = bundle.compose_stream_resource(
        mimetype="application/x-hdf5", uri=f"file://localhost{folder}/frames.h5", data_key="det",
        parameters={"dataset": "entry/data/data"},
    )  # fmt: skip
    yield "stream_resource", resource.stream_resource_doc
    datum = resource.compose_stream_datum(indices={"start": 0, "stop": 60})
    yield "stream_datum", {**datum, "descriptor": descriptor.descriptor_doc["uid"]}


@pytest.fixture
def before():
    """Threads that other tests left."""
    return set(threading.enumerate())


@pytest.mark.fault("the agent is closed while runs go on", "no thread and no file of theirs stays open")
def test_a_run_that_does_not_end_leaves_nothing(before, work, tmp_path):
    for name, doc in flying(tmp_path):
        work(name, doc)
    assert work.drain() and work.progress == (60, None)
    assert any(thread.name.startswith("ainerd-frames") for thread in set(threading.enumerate()) - before)
    work.close()
    gc.collect()
    opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd.isdigit()
              and os.path.islink(f"/proc/self/fd/{fd}")]  # fmt: skip
    assert str(tmp_path / "frames.h5") not in opened
    assert not any(thread.name.startswith("ainerd-") for thread in set(threading.enumerate()) - before)


@pytest.mark.fault("the start of a run comes twice before its end", "whoever waits for the run gets its result")
def test_who_waits_for_a_run_that_comes_twice_has_it(work, scanned, movies):
    (start, *others) = list(scanned(movies(1, 2)))
    work(*start)
    first = work.outcomes(start[1]["uid"])
    for document in (start, *others):
        work(*document)
    (outcome,) = first.result(30)
    assert outcome.status == "complete" and len(work._writer.store.done) == 1


def test_outcomes_of_long_ago_are_forgotten(work, scanned, movies, monkeypatch):
    monkeypatch.setattr(_worker, "MOST_FUTURES", 3)
    for _ in range(6):
        for document in scanned(movies(1, 2)):
            work(*document)
        assert work.drain()
    assert len(work._futures) == 3 and len(work._writer.store.done) == 6


def test_frames_in_pages_of_events_count_as_memory(work, scanned, movies, monkeypatch):
    kept = []
    forget = _delivery.Delivery._remember
    monkeypatch.setattr(_delivery, "MOST_BYTES", 3 * movies(1).nbytes)
    monkeypatch.setattr(
        _delivery.Delivery, "_remember", lambda self, *doc: (forget(self, *doc), kept.append(len(self._documents)))
    )
    for document in scanned(movies(1, 2, 3, 4)):
        work(*document)
    assert work.drain() and kept[-1] == 0
    page = pack_event_page(*(doc for name, doc in scanned(movies(1, 2)) if name == "event"))
    assert sum(map(_n_bytes, page["data"].values())) == 2 * movies(1).nbytes + 4 * 32


@pytest.mark.parametrize("doc", [{}, {"uid": []}, {"uid": {}}])
def test_a_start_that_is_none_ends_nothing(work, doc):
    work("start", doc)
    assert work.drain() and work.health()["worker"] == "alive"


@pytest.mark.fault("a document is too deep to be looked at", "left out, a line in the log; the worker goes on")
def test_a_document_too_deep_to_be_shown_ends_nothing(work, scanned, movies, caplog):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    work("start", {"uid": deep, "time": deep})
    work("stop", {"uid": "1", "time": deep, "run_start": "nobody", "exit_status": "success"})
    for document in scanned(movies(1, 2)):
        work(*document)
    assert work.drain() and len(work._writer.store.done) == 1
    assert "left out: start document: RecursionError" in caplog.text


@pytest.mark.fault("documents of a run that is kept make no sense", "it has a failed result once Tiled is back")
def test_a_kept_run_with_two_bad_documents_is_concluded(work, scanned, movies):
    spool = work._spool
    documents = [(name, dict(doc)) for name, doc in scanned(movies(1, 2, 3))]
    for _, doc in documents[2:4]:
        doc["descriptor"] = "nobody's"
    spool.keep("a", documents)
    work.submit(work._write_kept)
    assert work.drain() and not spool.runs() and work.concluded == 1


@pytest.mark.fault("a run that breaks event-model's schema comes while Tiled is away", "it has the same result later")
def test_a_kept_run_is_not_held_against_the_schema(work, scanned, movies):
    documents = list(scanned(movies(1, 2, 3)))
    documents[0][1].update(time=1j, sample=["a"])
    work._spool.keep("a", documents)
    work.submit(work._write_kept)
    assert work.drain() and not work._spool.runs() and len(work._writer.store.done) == 1


@pytest.mark.fault(
    "Tiled answers and takes nothing, while there is no room for another file", "a run that waits on disk stays there"
)
def test_a_kept_run_that_is_refused_again_keeps_its_place(work, scanned, movies, monkeypatch):
    monkeypatch.setattr("ainerd.runs._spool.MOST", 2)  # no third file is written
    store, spool = work._writer.store, work._spool
    for uid in "ab":
        spool.keep(uid, list(scanned(movies(1, 2))))
    before = spool.runs()

    def refuse(record):
        raise httpx.ConnectError("no")

    monkeypatch.setattr(store, "take", refuse)
    for _ in range(3):
        work.submit(work._write_kept)
    assert work.drain() and spool.runs() == before and not store.done
    monkeypatch.undo()
    work.submit(work._write_kept)
    assert work.drain() and not spool.runs() and len(store.done) == 2
