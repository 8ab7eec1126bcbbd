"""The table is exact through a kill of the server, while several processes write, and after thousands of changes."""

import json
import os
import signal
import threading
import time

import pytest

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer, open_catalog


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
