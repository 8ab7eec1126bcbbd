"""kill -9 at each step from the documents of a run to its result, and runs that an earlier version left on disk."""

import os
import signal
from pathlib import Path

import pytest

from ainerd.results import ResultStore
from ainerd.runs import Journal, RecordedKeys, Spool
from ainerd.server import open_catalog
from tests.journals import left_in
from tests.killed import killed

SLOW_S = 60.0
# The function at which the child is killed, and whether before or after it.
STEPS = {
    "result requested": (ResultStore, "take", True),
    "result begun": (ResultStore, "take", False),
    "frames pushed": ("analysis", "push", False),
    "analysis done": ("analysis", "finish", False),
    "result complete": (ResultStore, "complete", False),
    "campaign informed": ("campaign", "answer", False),
}


@pytest.fixture
def catalogue(server, tmp_path):
    """Gives the store of results to whatever process asks."""
    name = tmp_path.name
    open_catalog(server.client().create_container(name))
    return lambda: ResultStore(server.client()[name, "ainerd"], agent="me")


@pytest.fixture
def worker_of(toy, worker_on):
    """Starts a worker on some folder."""
    wanted = RecordedKeys(positions=("x",), series={"warmth": "temperature"}, readings={}, units={"x": "mm"})
    return lambda store, folder: worker_on(toy(), store, folder, wanted)


def killed_at(work, owner, name, before):
    """Do some work in a child process that is killed when it comes to a function."""

    def dying_work():
        original = getattr(owner, name)

        def dying(*arguments, **options):
            if not before:
                original(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, dying)
        work()

    killed(dying_work)


@pytest.mark.fault(
    "The session is killed (-9) at each step from the start of a run to its result",
    "The next session continues: the run has one complete result",
)
def test_a_session_killed_at_any_step_leaves_one_result(toy, campaign, worker_of, catalogue, tmp_path, scanned, movies):
    uids = []
    for step, (owner, name, before) in STEPS.items():
        folder = tmp_path / step.replace(" ", "-")
        folder.mkdir()
        documents = [(kind, dict(doc)) for kind, doc in scanned(movies(1, 2, 3), num_points=3)]

        def work(folder=folder, documents=documents):
            journal, worker = Journal(folder), worker_of(catalogue(), folder)
            for document in documents:
                journal(*document)
            for document in documents:
                worker(*document)
            worker.jobs.drain(SLOW_S)

        if isinstance(owner, str):
            owner = {"analysis": toy().analysis, "campaign": campaign}[owner]
        killed_at(work, owner, name, before)
        worker = worker_of(catalogue(), folder)
        ((_, left),) = left_in(folder)
        for document in left:
            worker(*document)
        assert worker.jobs.drain(SLOW_S)
        worker.close()
        uids.append(documents[0][1]["uid"])
    table = catalogue().table()
    assert sorted(table["raw_uid"]) == sorted(uids) and (table["status"] == "complete").all()


@pytest.mark.fault(
    "The agent is killed (-9) while it spools a run", "The half-written file is ignored; the journal has the run"
)
def test_half_a_kept_run_does_not_count(worker_of, catalogue, tmp_path, scanned, movies):
    documents = list(scanned(movies(1, 2)))
    keep = Spool(tmp_path / "spool", lambda: False)
    killed_at(lambda: keep.keep("a", documents), Path, "rename", True)
    assert [path.suffix for path in (tmp_path / "spool").iterdir()] == [".part"]
    worker = worker_of(catalogue(), tmp_path)
    worker.jobs.submit(worker.analyse_kept)
    assert worker.jobs.drain(SLOW_S)
    worker.close()
    assert len(catalogue().table()) == 0


# A run as the first version kept it.
OLDER = """\
{"name": "start", "doc": {"uid": "7b0a1c2e-4f55-4c0e-9b61-0d5a3a1f7c11", \
"time": 1763600000.5, "scan_id": 7, "num_points": 2}}
{"name": "descriptor", "doc": {"uid": "d1", "run_start": "7b0a1c2e-4f55-4c0e-9b61-0d5a3a1f7c11", "time": 1763600001.0, \
"name": "primary", "data_keys": {"det": {"dtype": "array", "shape": [2, 3], "source": "sim"}, \
"x": {"dtype": "number", "shape": [], "source": "sim"}}, "configuration": {}, "hints": {}, "object_keys": {}}}
{"name": "event_page", "doc": {"descriptor": "d1", "uid": ["e1"], "seq_num": [1], "time": [1763600002.0], \
"data": {"det": [[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], "x": [4.5]}, \
"timestamps": {"det": [1763600002.0], "x": [1763600002.0]}, "filled": {}}}
{"name": "event_page", "doc": {"descriptor": "d1", "uid": ["e2"], "seq_num": [2], "time": [1763600003.0], \
"data": {"det": [[[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], "x": [4.5]}, \
"timestamps": {"det": [1763600003.0], "x": [1763600003.0]}, "filled": {}}}
{"name": "stop", "doc": {"uid": "s1", "run_start": "7b0a1c2e-4f55-4c0e-9b61-0d5a3a1f7c11", "time": 1763600004.0, \
"exit_status": "success", "reason": "", "num_events": {"primary": 2}}}
"""


@pytest.mark.fault("ainerd is upgraded while runs wait on disk", "They are analysed as usual")
def test_runs_kept_by_an_earlier_version_are_analysed(worker_of, catalogue, tmp_path):
    (tmp_path / "spool").mkdir()
    uid = "7b0a1c2e-4f55-4c0e-9b61-0d5a3a1f7c11"
    (tmp_path / "spool" / f"01763600004123456789-{uid}.jsonl").write_text(OLDER)
    worker = worker_of(catalogue(), tmp_path)
    worker.jobs.submit(worker.analyse_kept)
    assert worker.jobs.drain(SLOW_S) and not list((tmp_path / "spool").iterdir())
    worker.close()
    (row,) = catalogue().table().to_dict("records")
    assert (row["raw_uid"], row["status"], row["scan_id"], row["x"]) == (uid, "complete", 7, 4.5)
    assert row["n_frames"] == 2


@pytest.mark.fault("Two RunEngines send their documents through one proxy", "Each run has its own result")
def test_documents_of_two_engines_in_turn_are_two_runs(worker_of, catalogue, tmp_path, scanned, movies):
    worker = worker_of(catalogue(), tmp_path)
    both = [list(scanned(movies(*sums), num_points=3)) for sums in ((1, 2, 3), (4, 5, 6))]
    for documents in zip(*both, strict=True):
        for document in documents:
            worker(*document)
    assert worker.jobs.drain(SLOW_S)
    worker.close()
    store = catalogue()
    table = store.table()
    assert sorted(table["raw_uid"]) == sorted(docs[0][1]["uid"] for docs in both)
    assert (table["status"] == "complete").all()
    assert sorted(store.array(key, "sums").tolist() for key in table.index) == [[1, 2, 3], [4, 5, 6]]
