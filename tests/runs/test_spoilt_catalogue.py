"""A catalogue that refuses writes, is corrupted, deleted, and restored from a copy that is older than the results."""

import sqlite3
import time
from contextlib import closing

import pytest
from tiled_process import KEY, start_server

from ainerd.results import ResultStore
from ainerd.runs import RecordedKeys
from ainerd.server import connect, open_catalog

SLOW_S = 240.0
# As SQLite answers for a file that may only be read: an OperationalError, which Tiled does not expect.
READ_ONLY = """
CREATE TRIGGER no_more BEFORE INSERT ON nodes BEGIN SELECT readonly(); END;
CREATE TRIGGER no_change BEFORE UPDATE ON nodes BEGIN SELECT readonly(); END;
"""


@pytest.fixture
def spoiled(tmp_path, monkeypatch):
    """A server of its own: its client, the file of its catalogue, and a function that starts it again."""
    for name in ("ATTEMPTS", "TIMEOUT"):
        monkeypatch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)  # else a call waits 45 s for the server
    server, port = start_server(tmp_path)
    servers = [server]
    client = connect(f"http://127.0.0.1:{port}", KEY)

    def again():
        servers[-1].kill()
        servers[-1].wait()
        servers.append(start_server(tmp_path, port)[0])

    yield client, tmp_path / "tiled" / "catalog.db", again
    client.context.http_client.close()
    servers[-1].kill()
    servers[-1].wait()


@pytest.mark.fault(
    "The catalog refuses writes, is corrupted, is deleted, and is replaced by an older copy",
    "Runs wait on disk, with a log line each; then every run has one result; a replay adds those that the copy lacks",
)
@pytest.mark.timeout(300)
def test_a_broken_catalogue_costs_no_run(spoiled, toy, worker_on, scanned, movies, tmp_path, caplog):
    client, catalogue, again = spoiled
    _, ainerd = open_catalog(client)
    wanted = RecordedKeys(positions=("x",), series={}, readings={}, units={"x": "mm"})
    worker = worker_on(toy(), ResultStore(ainerd, agent="me"), tmp_path, wanted)
    runs = {name: list(scanned(movies(i, 1))) for i, name in enumerate("abcdef")}

    def take(name):
        for document in runs[name]:
            worker(*document)
        assert worker.jobs.drain(SLOW_S)

    def kept():
        return [path.stem.partition("-")[2] for path in sorted((tmp_path / "spool").glob("*.jsonl"))]

    uids = {name: documents[0][1]["uid"] for name, documents in runs.items()}
    take("a")
    with closing(sqlite3.connect(catalogue)) as there, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        there.backup(copy)
    take("b")
    assert not kept()
    with closing(sqlite3.connect(catalogue)) as there:
        there.executescript(READ_ONLY)
    take("c")
    worker.jobs.submit(worker.analyse_kept)  # it answers, and refuses again: the run keeps its place
    assert worker.jobs.drain(SLOW_S) and kept() == [uids["c"]]
    with open(catalogue, "r+b") as file:
        file.write(b"\xff" * catalogue.stat().st_size)
    take("d")
    for path in catalogue.parent.glob("catalog.db*"):
        path.unlink()
    take("e")
    assert kept() == [uids[name] for name in "cde"]
    assert caplog.text.count("the run is kept until it does") >= 3

    (tmp_path / "copy.db").rename(catalogue)
    again()
    take("f")
    end = time.monotonic() + SLOW_S
    while kept() and time.monotonic() < end:
        time.sleep(0.2)  # a server that has just come may be slow to answer
    store = ResultStore(ainerd)
    assert sorted(store.table()["raw_uid"]) == sorted(uids[name] for name in "acdef")
    for name in "abc":  # a replay
        take(name)
    worker.close()
    table = store.table()
    assert sorted(table["raw_uid"]) == sorted(uids.values()) and (table["status"] == "complete").all()
    made = {row.raw_uid: store.array(row.Index, "sums").tolist() for row in table.itertuples()}
    assert made == {uids[name]: [i, 1] for i, name in enumerate("abcdef")}
    assert not kept()
