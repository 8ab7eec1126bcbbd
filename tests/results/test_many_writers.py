"""The table is exact while others write."""

import threading

from ainerd.results import ResultStore


def statuses(table):
    """Return the status of each row; fail if a key comes twice."""
    assert table.index.is_unique
    return table["status"].to_dict()


def test_no_row_is_lost_or_doubled_while_others_write(server, ainerd, record, analysis):
    """Two agents write; a reader asks all the time, as a page does. A row that was there stays, and none goes back."""
    order = ["computing", "complete"]
    final, reader = {}, ResultStore(ainerd)

    def write(agent):
        store = ResultStore(ainerd, agent=agent)
        for _ in range(8):
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
    assert statuses(reader.table()) == final and n_readings > 2
