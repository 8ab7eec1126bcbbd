"""The table is exact through a kill of the server, while several processes write, and after thousands of changes."""

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, open_catalog

MANY = 5000


def statuses(table):
    """Return the status of each row; fail if a key comes twice."""
    assert table.index.is_unique
    return table["status"].to_dict()


@pytest.mark.fault(
    "The Tiled server is killed while a client holds a table", "The client reads on from its last result"
)
def test_a_table_is_read_on_after_a_kill_of_the_server(tmp_path, record, analysis):
    with EmbeddedServer.start(tmp_path) as server:
        _, ainerd = open_catalog(server.client())
        reader, writer = ResultStore(ainerd), ResultStore(ainerd, folder=tmp_path / "results")
        done, begun = writer.begin(record()), writer.begin(record())
        writer.complete(done, analysis(only=["tau"]))
        assert statuses(reader.table()) == {done: "complete", begun: "computing"}
        os.kill(json.loads((tmp_path / "server.json").read_text())["pid"], signal.SIGKILL)
        for is_up in (False, True):  # the session starts the server again
            deadline = time.monotonic() + 40
            while writer.answers() is not is_up:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        writer.complete(begun, analysis(only=["tau"]))
        new = writer.begin(record())
        assert statuses(reader.table()) == {done: "complete", begun: "complete", new: "computing"}


def test_no_row_is_lost_or_doubled_while_others_write(server, ainerd, record, analysis):
    """Two agents write; a reader asks all the time, as a page does. A row that was there stays, and none goes back."""
    order = ["computing", "complete"]
    final, reader = {}, ResultStore(ainerd)

    def write(agent):
        store = ResultStore(ainerd, agent=agent)
        for _ in range(15):
            key = store.begin(record(agent=agent))
            store.complete(key, analysis(only=["tau"]))
            final[key] = "complete"

    agents = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for agent in agents:
        agent.start()
    known, n_readings = {}, 0
    while any(agent.is_alive() for agent in agents):
        now = statuses(reader.table())
        assert all(order.index(now[key]) >= order.index(status) for key, status in known.items())
        known, n_readings = now, n_readings + 1
    assert statuses(reader.table()) == final and n_readings > 5


def test_thousands_of_failures_at_once_are_read(server, ainerd, record):
    """More changes than one answer holds, all of the same second."""
    store = ResultStore(ainerd)
    first = store.begin(record())
    store.fail(first, "dark")
    assert statuses(store.table()) == {first: "failed"}
    node = "parent, structure_family, specs, time_created, time_updated"
    with closing(sqlite3.connect(server.directory / "catalog.db", timeout=30)) as catalog, catalog:
        (text,) = catalog.execute("SELECT metadata FROM nodes WHERE key = ?", (first,)).fetchone()
        copies = [(f"{i:032x}", json.dumps(json.loads(text) | {"raw_uid": f"run {i}"}), first) for i in range(MANY)]
        insert = f"INSERT INTO nodes (key, metadata, {node}) SELECT ?, ?, {node} FROM nodes WHERE key = ?"
        catalog.executemany(insert, copies)
    table = store.table()
    assert statuses(table) == {first: "failed"} | {key: "failed" for key, *_ in copies}
    assert set(table["raw_uid"]) >= {"run 0", f"run {MANY - 1}"}
