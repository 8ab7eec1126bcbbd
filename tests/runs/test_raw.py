"""Raw runs that Tiled did not take at first."""

import json
import os
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from resource import RLIMIT_FSIZE, getrlimit, prlimit

import bluesky.plan_stubs as bps
import httpx
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.utils import RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from ophyd.sim import SynSignal, det
from tiled.client.container import Container

from ainerd.runs import Journal, Kept, RawWriter, _raw, write_run
from ainerd.server import open_catalog
from tests.waiting import until


@pytest.fixture(scope="module")
def raw(server):
    return open_catalog(server.client().create_container("raw-runs"))[0]


@pytest.fixture
def run():
    """Documents of a run of three readings."""
    documents = []
    RunEngine({})(count([det], 3), lambda name, doc: documents.append((name, dict(doc))))
    return documents


def keep(folder, documents):
    path = folder / f"{documents[0][1]['uid'][:8]}.jsonl"
    path.write_text("".join(json.dumps({"name": name, "doc": doc}) + "\n" for name, doc in documents))
    return path


@pytest.mark.fault(
    "The Tiled server is killed (-9) in the middle of a raw run", "The run is written again when the server is back"
)
def test_a_run_of_which_a_part_is_there_is_written_anew(raw, run, tmp_path):
    uid = run[0][1]["uid"]
    write = TiledWriter(raw, batch_size=1)
    for name, doc in run[:3]:  # one reading
        write(name, doc)
    assert len(raw[uid]["primary"].read()) == 1 and "stop" not in raw[uid].metadata
    keep(tmp_path, run)
    writer = RawWriter(raw, tmp_path, lambda: True)
    writer.make_up()
    assert not writer.kept() and raw[uid].metadata["stop"]["exit_status"] == "success"
    assert len(raw[uid]["primary"].read()["det"]) == 3


def test_a_run_that_is_there_stays_as_it_is(raw, run, tmp_path):
    write = TiledWriter(raw, batch_size=1)
    for name, doc in run:
        write(name, doc)
    raw[run[0][1]["uid"]].update_metadata({"note": "by a person"})
    keep(tmp_path, run)
    writer = RawWriter(raw, tmp_path, lambda: True)
    writer.make_up()
    assert not writer.kept() and raw[run[0][1]["uid"]].metadata["note"] == "by a person"


def test_a_run_stays_kept_while_tiled_does_not_answer(raw, run, tmp_path):
    path = keep(tmp_path, run)
    RawWriter(raw, tmp_path, lambda: False).make_up()
    assert path.exists() and run[0][1]["uid"] not in raw


@pytest.mark.fault("A raw run that waits for Tiled is damaged on disk", "It is set aside and named, once")
def test_a_damaged_raw_run_is_set_aside(raw, run, tmp_path, caplog):
    path = keep(tmp_path, run[:-1])
    writer = RawWriter(raw, tmp_path, lambda: True)
    writer.make_up()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [f"{path.stem}.unreadable"]
    assert "it is not a whole run" in caplog.text and not writer.kept() and run[0][1]["uid"] not in raw
    caplog.clear()
    writer.make_up()
    assert not caplog.text


def test_a_raw_run_on_a_disk_that_does_not_answer_is_written_later(raw, run, tmp_path, caplog, monkeypatch):
    path, writer = keep(tmp_path, run), RawWriter(raw, tmp_path, lambda: True)
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open", lambda *_, **options: os.read(-1, 1))  # OSError: no such file is open
        writer.make_up()
    assert "cannot be read now" in caplog.text and path.exists()
    writer.make_up()
    assert not path.exists() and run[0][1]["uid"] in raw


def test_a_run_of_a_killed_session_is_written_with_an_end(raw, run, tmp_path):
    dead = Journal(tmp_path / "journal")
    for name, doc in run[:3]:  # one reading
        dead(name, doc)
    dead.close()
    writer = RawWriter(raw, tmp_path, lambda: True)
    writer.make_up()
    node = raw[run[0][1]["uid"]]
    assert node.metadata["stop"]["reason"] == "the session was killed" and len(node["primary"].read()["det"]) == 1
    assert not writer.kept() and not writer.journal.left()


def test_runs_of_a_killed_session_are_read_one_at_a_time(raw, run, tmp_path, monkeypatch):
    dead, steps, read = Journal(tmp_path / "journal"), [], Kept.documents
    for began in range(3):
        dead("start", run[0][1] | {"uid": str(uuid.uuid4()), "time": 1.0 + began})
    dead.close()
    monkeypatch.setattr(Kept, "documents", lambda self, path: steps.append("read") or read(self, path))
    monkeypatch.setattr(_raw, "write_run", lambda raw, documents: steps.append("written"))
    RawWriter(raw, tmp_path, lambda: True).make_up()
    assert steps == ["read", "written"] * 3


def test_runs_in_a_folder_that_cannot_be_listed_now_are_written_later(raw, run, tmp_path, monkeypatch, caplog):
    path, left, is_stale = keep(tmp_path, run), Journal.left, [True]
    monkeypatch.setattr(_raw, "SOONEST_S", 0.0)
    monkeypatch.setattr(Journal, "left", lambda self: os.read(-1, 1) if is_stale and is_stale.pop() else left(self))
    writer = RawWriter(raw, tmp_path, lambda: True).attach(RunEngine({}, context_managers=[]))
    until(lambda: not path.exists())
    writer.detach()
    writer.close()
    assert run[0][1]["uid"] in raw and "cannot be listed now" in caplog.text


def test_the_next_run_makes_up_for_those_before(raw, run, tmp_path):
    keep(tmp_path, run)
    writer = RawWriter(raw, tmp_path, lambda: True)
    following = []
    RunEngine({})(count([det], 2), [writer, lambda name, doc: following.append(doc)])
    writer.close()
    assert {run[0][1]["uid"], following[0]["uid"]} <= set(raw) and not writer.kept()


@pytest.mark.fault(
    "The disks of Tiled and of the agent are full",
    "The run stays in memory, and is written once there is space, unless the session is killed before",
)
def test_a_run_that_neither_tiled_nor_the_disk_takes_is_written_later(raw, server, tmp_path, monkeypatch):
    for name in ("ATTEMPTS", "TIMEOUT"):
        monkeypatch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)  # else a call waits 45 s for the server
    pids = [os.getpid(), json.loads((server.directory / "server.json").read_text())["pid"]]
    writer, engine = RawWriter(raw, tmp_path, lambda: True), RunEngine({})
    writer.attach(engine)
    _, hard = getrlimit(RLIMIT_FSIZE)
    for pid in pids:
        prlimit(pid, RLIMIT_FSIZE, (20_000, hard))  # no file grows beyond
    try:
        (uid,) = engine(count([det], 3, md={"note": "x" * 30_000}))
        writer.detach()  # after all its documents are written, or refused
    finally:
        for pid in pids:
            prlimit(pid, RLIMIT_FSIZE, (hard, hard))
    (path,) = writer.kept()
    assert not path.exists()
    writer.close()
    assert raw[uid].metadata["stop"]["exit_status"] == "success" and len(raw[uid]["primary"].read()["det"]) == 3
    assert not writer.kept() and not list(tmp_path.glob("**/*.jsonl"))


def test_runs_on_disk_are_left_to_the_next_run(raw, run, tmp_path):
    path, writer = keep(tmp_path, run), RawWriter(raw, tmp_path, lambda: True)
    writer.close()
    assert path.exists() and run[0][1]["uid"] not in raw


@pytest.mark.fault(
    "Tiled refuses a raw run for good",
    "It delays no other; it is kept, named, and tried again in the next session",
)
def test_a_run_that_tiled_refuses_delays_no_other(raw, tmp_path, caplog, monkeypatch):
    create, engine, refusals = Container.create_container, RunEngine({}), []
    is_over = threading.Event()

    def refuse(self, key=None, **options):
        if key == uids[0]:
            refusals.append(key)
            assert len(refusals) > 1 or is_over.wait(60)  # as Tiled's client, which tries for 45 s
            request = httpx.Request("POST", self.uri)
            raise httpx.HTTPStatusError("too long", request=request, response=httpx.Response(422, request=request))
        return create(self, key, **options)

    uids = []
    engine.subscribe(lambda name, doc: uids.append(doc["uid"]), "start")
    monkeypatch.setattr(Container, "create_container", refuse)
    writer = RawWriter(raw, tmp_path, lambda: True).attach(engine)
    for _ in range(3):
        engine(count([det], 1))
    until(lambda: all(uid in raw and raw[uid].metadata.get("stop") for uid in uids[1:]))
    assert not writer.kept()  # the first run is still being tried
    is_over.set()
    writer.detach()
    (path,) = writer.kept()
    assert uids[0] in path.name and caplog.text.count("cannot be written in this session") == 1 and len(refusals) == 2
    writer.make_up()
    assert len(refusals) == 2
    writer.close()
    monkeypatch.undo()
    again = RawWriter(raw, tmp_path, lambda: True)
    again.make_up()
    assert uids[0] in raw and not again.kept()


@pytest.mark.parametrize(("status", "is_passing"), [(401, True), (403, True), (404, True), (409, True), (422, False)])
def test_a_run_is_tried_again_unless_tiled_refuses_the_run_itself(raw, run, tmp_path, monkeypatch, status, is_passing):
    def refuse(self, *args, **options):
        request = httpx.Request("POST", self.uri)
        raise httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))

    keep(tmp_path, run)
    writer = RawWriter(raw, tmp_path, lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(Container, "create_container", refuse)
        writer.make_up()
    writer.make_up()
    assert (run[0][1]["uid"] in raw) == is_passing == (not writer.kept())


def test_runs_that_wait_for_tiled_share_a_few_threads(raw, tmp_path, monkeypatch):
    create, engine, uids, answers = Container.create_container, RunEngine({}), [], threading.Event()

    def create_late(self, key=None, **options):
        assert answers.wait(60)
        return create(self, key, **options)

    engine.subscribe(lambda name, doc: uids.append(doc["uid"]), "start")
    monkeypatch.setattr(Container, "create_container", create_late)
    writer = RawWriter(raw, tmp_path, lambda: True).attach(engine)
    for _ in range(2 * _raw.MOST_THREADS):
        engine(count([det], 1))
    assert [each.name for each in threading.enumerate()].count("ainerd-raw-runs") == _raw.MOST_THREADS
    answers.set()
    writer.detach()
    assert all(raw[uid].metadata["stop"]["exit_status"] == "success" for uid in uids) and not writer.kept()
    writer.close()


@pytest.mark.fault("The disk of the journal does not answer", "Neither the RunEngine nor the raw runs wait for it")
def test_the_run_engine_does_not_wait_for_a_disk_that_hangs(raw, tmp_path, monkeypatch):
    answers, fsync, engine = threading.Event(), os.fsync, RunEngine({})

    def hang(descriptor):
        assert answers.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    writer = RawWriter(raw, tmp_path, lambda: True).attach(engine)
    uids = engine(count([det], 3)) + engine(count([det], 1))
    until(lambda: all(uid in raw and raw[uid].metadata.get("stop") for uid in uids))
    answers.set()
    writer.detach()
    writer.close()
    assert not list(tmp_path.rglob("*.jsonl"))


class Camera(SynSignal):
    """Twelve pixels in each event, as a device of ophyd gives them: TiledWriter puts them into its table."""

    def __init__(self):
        super().__init__(name="camera", func=lambda: np.arange(12, dtype=np.uint16).reshape(3, 4))


@pytest.mark.fault(
    "A device gives small arrays of two dimensions, which TiledWriter cannot write", "The raw run is in Tiled"
)
def test_small_arrays_in_events_are_in_the_raw_run(raw, tmp_path):
    documents, writer = [], RawWriter(raw, tmp_path, lambda: True)
    RunEngine({})(count([Camera()], 2), [writer, lambda name, doc: documents.append((name, doc))])
    writer.close()
    column = raw[documents[0][1]["uid"]]["primary"]["camera"].read()  # as texts, which is how Tiled reads nested lists
    assert [[int(x) for x in re.findall(r"\d+", text)] for text in column] == [list(range(12))] * 2
    assert not writer.kept() and isinstance(documents[2][1]["data"]["camera"], np.ndarray)


def test_a_plan_goes_on_if_a_writer_is_attached_while_it_is_paused(raw, tmp_path):
    writer, engine, exits = RawWriter(raw, tmp_path, lambda: True), RunEngine({}, context_managers=[]), []
    engine.subscribe(lambda name, doc: exits.append(doc["exit_status"]), "stop")

    def pausing(detectors):
        yield from bps.checkpoint()
        yield from bps.pause()
        yield from bps.trigger_and_read(detectors)

    with pytest.raises(RunEngineInterrupted):
        engine(count([det], 1, per_shot=pausing))
    writer.attach(engine)
    engine.resume()
    (uid,) = engine(count([det], 1))
    writer.detach()
    assert exits == ["success", "success"] and raw[uid].metadata["stop"]["exit_status"] == "success"
    writer.close()


def test_agents_of_one_catalog_write_a_run_once_until_the_last_one_ends(raw, tmp_path):
    engine, uids = RunEngine({}), []
    engine.subscribe(lambda name, doc: uids.append(doc["uid"]), "start")
    writers = [RawWriter(raw, tmp_path / name, lambda: True).attach(engine) for name in "ab"]
    assert writers[0] is writers[1]
    for writer in writers:
        writer.close()  # in use
        engine(count([det], 1))
        writer.detach()
    engine(count([det], 1))
    assert [uid in raw for uid in uids] == [True, True, False]
    assert not writers[0].journal.left() and not list(tmp_path.rglob("*.jsonl"))
    later = RawWriter(raw, tmp_path / "later", lambda: True)
    assert later.attach(engine) is later
    engine(count([det], 1))
    later.detach()
    assert uids[-1] in raw
    for writer in (writers[0], later):
        writer.close()


def test_two_sessions_that_write_the_same_run_leave_out_no_frames(raw, tmp_path, monkeypatch):
    bundle = compose_run()
    key = {"dtype": "number", "shape": [], "source": "sim"}
    primary = bundle.compose_descriptor(name="primary", data_keys={"x": key})
    file = bundle.compose_resource(spec="AD_HDF5", root="/", resource_path="frames.h5", resource_kwargs={})
    documents = [
        ("start", bundle.start_doc),
        ("descriptor", primary.descriptor_doc),
        ("resource", file.resource_doc),
        ("event", primary.compose_event(data={"x": 1.0}, timestamps={"x": 1.0})),
        ("stop", bundle.compose_stop()),
    ]
    both, begin, first = threading.Barrier(2), _raw._writer_of_run, threading.local()

    def begin_together(*options):
        if not hasattr(first, "has_begun"):
            first.has_begun = both.wait(60)
        return begin(*options)

    monkeypatch.setattr(_raw, "_writer_of_run", begin_together)

    def write():
        try:
            write_run(raw, documents)
        except httpx.HTTPStatusError as error:
            return error.response.status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = {written.result() for written in [pool.submit(write) for _ in range(2)]}
    write_run(raw, documents)  # the one that failed tries again
    node = raw[documents[0][1]["uid"]]
    assert statuses <= {None, 404, 409} and node.metadata["stop"] and "notes" not in node.metadata
