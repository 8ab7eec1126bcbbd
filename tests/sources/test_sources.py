import json
import logging
import threading
import time
from datetime import datetime

import pytest
from bluesky import RunEngine
from bluesky.callbacks.zmq import Publisher
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det

import ainerd_streams  # noqa: F401 (before bluesky_kafka, which lets msgpack read pickle)
from ainerd.documents import RunReader
from ainerd.server import open_catalog
from ainerd.sources import Intake, open_source
from ainerd.sources._catalogue import tiled_documents
from tests.containers import new_container
from tests.sources.test_bytes import pack
from tests.tiled_servers import free_port
from tests.waiting import until


def opened(source, stop, raw=None, *, once=False):
    """Return the documents of a source; all runs of the catalog lack a result."""
    return open_source(source).documents(Intake(stop, raw, None, lambda: lambda run: False, None, once))


@pytest.fixture
def run():
    """Documents of one run."""
    documents = []
    RunEngine({})(count([det], 2), lambda name, doc: documents.append((name, doc)))
    return documents


def names(documents):
    return [name for name, _ in documents]


def plain(documents):
    """Return documents as they look after transport: lists for tuples."""
    return [(name, doc) for name, doc in json.loads(json.dumps(documents))]


@pytest.fixture
def raw(place, request):
    """The raw runs of a catalog for one test."""
    return open_catalog(new_container(place.client(), request.node.name))[0]


@pytest.mark.fault("The 0MQ socket receives garbage", "Documents before and after it arrive")
def test_documents_from_0mq_without_garbage(run, gathered, caplog):
    address = f"127.0.0.1:{free_port()}"
    got = gathered(lambda stop: opened(f"zmq://{address}", stop))
    publisher = Publisher(f"127.0.0.1:{free_port()}", serializer=pack)
    publisher._socket.bind(f"tcp://{address}")  # in place of a proxy
    until(lambda: (publisher(*run[0]), got)[1])  # a late client misses earlier documents
    got.clear()
    with caplog.at_level(logging.WARNING):
        for message in (b"nonsense", b" start \xc1", b" start " + pack([1]), b" " + bytes(10_000_000)):
            publisher._socket.send(message)
        for name, doc in run:
            publisher(name, doc)
        until(lambda: names(got)[-1:] == ["stop"])
    assert got[-len(run) :] == plain(run)
    assert len([r for r in caplog.records if "left out of 0MQ" in r.message]) == 4
    publisher.close()


def test_a_wrong_address_is_named():
    with pytest.raises(ValueError, match="0MQ address"):
        next(iter(opened("zmq://nonsense", threading.Event())))


def test_documents_from_kafka_continue_where_the_group_stopped(run):
    from bluesky_kafka import Publisher as KafkaPublisher
    from confluent_kafka import Producer

    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    servers = f"{broker.host}:{broker.port}"
    cluster.produce("beamline", b"\xc1 garbage")
    assert cluster.flush(10) == 0
    publisher = KafkaPublisher("beamline", servers, key="x", producer_config={"log_level": 0})
    for document in run:
        publisher(*document)
    publisher.flush()

    def first(n):
        stop, got = threading.Event(), []
        for document in opened(f"kafka://{servers}/beamline", stop):
            got.append(document)
            if len(got) == n:
                stop.set()
        return got

    head = first(3)
    assert names(head) == names(run[:3])
    assert names(first(len(run))) == names(run)  # a run that was interrupted comes again
    publisher("start", {**run[0][1], "uid": "another"})
    publisher.flush()
    assert first(1)[0][1]["uid"] == "another"


def test_documents_from_the_files_of_tiledwriter(run, tmp_path, caplog):
    lines = [json.dumps({"name": name, "doc": doc}) for name, doc in run]
    lines[2:2] = ["{}", '{"name": "start", "doc": {}}', "half a li"]
    (tmp_path / "1234.jsonl").write_text("\n".join(lines) + '\n{"name": "st')
    with caplog.at_level(logging.WARNING):
        got = list(opened(str(tmp_path), threading.Event()))
    assert got == plain(run)
    assert len(caplog.records) == 4


@pytest.mark.fault("An agent starts in the middle of runs", "All documents of all runs arrive")
def test_a_late_reader_misses_nothing_in_tiled(raw, gathered):
    RE = RunEngine({})
    RE.subscribe(TiledWriter(raw, batch_size=1))
    (early,) = RE(count([det], 2))
    got = gathered(lambda stop: opened("tiled", stop, raw))
    until(lambda: "stop" in names(got))
    (late,) = RE(count([det], 3))
    until(lambda: names(got).count("stop") == 2)
    assert [doc["uid"] for name, doc in got if name == "start"] == [early, late]
    assert names(got).count("event") == 5
    values = [doc["data"]["det"] for name, doc in got if name == "event"]
    assert values == [1.0] * 5


def test_runs_before_a_date_are_left_out(raw, run):
    began, writer = datetime(2026, 5, 1, 8).timestamp(), TiledWriter(raw, batch_size=1)  # local time
    for uid, at in (("before", began - 60), ("after", began + 60)):
        writer("start", {**run[0][1], "uid": uid, "time": at})
        writer("stop", {**run[-1][1], "run_start": uid})
    for date, uids in (("2026-05-01T08:00", ["after"]), ("2026-05-01", ["before", "after"])):
        documents = opened(f"tiled:{date}", threading.Event(), raw, once=True)
        assert [doc["uid"] for name, doc in documents if name == "start"] == uids


@pytest.mark.fault(
    "The RunEngine dies in the middle of a run", "The run is ended after a time limit, with a result and the reason"
)
def test_a_run_abandoned_by_its_engine_is_ended(raw, run):
    writer, reader, got = TiledWriter(raw, batch_size=1), RunReader(), []
    for document in run[:-1]:
        writer(*document)
    for patience_s in (600.0, 600.0, 0.0):
        got.append([*reader.follow(raw[run[0][1]["uid"]], abandoned_s=patience_s)])
    assert names(got[0]) == ["start", "descriptor"] and names(got[1]) == [] and names(got[2])[-1] == "stop"
    stop = got[2][-1][1]
    assert stop["exit_status"] == "fail" and "no stop document" in stop["reason"] and reader.is_over


def test_a_run_that_waits_for_beam_goes_on_until_a_later_one_has_ended(raw, run):
    RE, writer = RunEngine({}), TiledWriter(raw, batch_size=1)
    RE.subscribe(TiledWriter(raw, batch_size=1))
    (before,), later, stops = RE(count([det], 1)), [], []
    for name, doc in run[:-1]:
        writer(name, doc | {"time": time.time()})

    class Looks:
        n = 0

        def is_set(self):
            return len(stops) == 3 or self.n == 20

        def wait(self, pause_s):
            self.n += 1
            if self.n == 3:
                later.extend(RE(count([det], 1)))

    for name, doc in tiled_documents(raw, Looks(), patience_s=0.0):
        if name == "stop":
            stops.append(doc["run_start"])
    assert stops == [before, *later, run[0][1]["uid"]]


@pytest.mark.fault(
    "The raw runs contain nodes that are not runs", "They are left out and named once; all runs are analysed"
)
def test_foreign_nodes_end_nothing(raw, gathered, caplog):
    since = time.time()
    at = {"time": since + 0.1, "uid": "x"}
    stop = {"uid": "x", "run_start": "x", "time": since, "exit_status": "success"}
    RE = RunEngine({})
    RE.subscribe(TiledWriter(raw, batch_size=1))
    raw.create_container("nothing")
    raw.create_container("no-uid", metadata={"start": {"time": since + 0.1}})
    raw.create_container("no-mapping", metadata={"start": at | {"uid": "text"}, "stop": 5})
    raw.write_array([1.0, 2.0], key="plain-array", metadata={"start": at | {"uid": "array"}, "stop": stop})
    odd = raw.create_container("odd-streams", metadata={"start": at, "stop": stop})
    odd.create_container("without-keys")
    odd.write_array([1.0], key="preview")
    (uid,) = RE(count([det], 2))
    raw[uid].write_array([[1.0]], key="preview")
    got = gathered(lambda stop: opened("tiled", stop, raw))
    until(lambda: ("stop", uid) in [(name, doc.get("run_start")) for name, doc in got])
    of_run = [name for name, doc in got if uid in (doc.get("uid"), doc.get("run_start"))]
    assert of_run == ["start", "descriptor", "stop"] and names(got).count("event") == 2
    foreign = ("no-uid", "no-mapping", "plain-array")
    until(lambda: all(f"{key} is left out" in caplog.text for key in foreign))
    (later,) = RE(count([det], 2))
    until(lambda: ("stop", later) in [(name, doc.get("run_start")) for name, doc in got])  # they are looked at again
    for key in foreign:
        assert caplog.text.count(f"{key} is left out") == 1
    assert not [name for name, doc in got if name == "stop" and doc["run_start"] in ("text", "array")]


def test_a_run_that_can_no_longer_be_read_is_ended(raw, gathered, run, caplog):
    uid = run[0][1]["uid"]
    TiledWriter(raw, batch_size=1)(*run[0])
    got = gathered(lambda stop: opened("tiled", stop, raw))
    until(lambda: "start" in names(got))
    raw[uid].update_metadata({"stop": 5})
    until(lambda: "stop" in names(got))
    (last,) = (doc for name, doc in got if name == "stop")
    assert (last["run_start"], last["exit_status"]) == (uid, "fail") and "cannot be read" in last["reason"]
    assert caplog.text.count(f"{uid} is left out") == 1
