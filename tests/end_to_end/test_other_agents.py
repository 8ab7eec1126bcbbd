"""Several agents: on a machine without the frames, and with another configuration."""

import itertools
import os
import signal
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from tiled.client.container import Container

from ainerd.agent import build_observer
from ainerd.plans import expose
from ainerd.results import ResultStore, _writing
from ainerd.server import open_catalog
from tests.killed import killed

RUNS = 2


@pytest.fixture(scope="module")
def recorded(session):
    """Documents of some runs that the agent of the session has analysed."""
    runs = []
    for x in range(RUNS):
        runs.append([])
        session.stage.x.set(2.0 * x + 1).wait(30)
        plan = expose(session.detector, beside=[session.stage.x, session.stage.y], shutter=session.shutter)
        session.RE(plan, lambda name, doc: runs[-1].append((name, doc)))
    assert (session.table()["status"] == "complete").all()
    return runs


@pytest.fixture
def beside(session, tmp_path):
    """An empty catalog on the session's server, and agents that write there."""
    client = session.client.create_container(tmp_path.name)
    raw, ainerd = open_catalog(client)
    store, number = ResultStore(ainerd), itertools.count()
    with ExitStack() as stack:

        def agent(name="rheo_xpcs", *, frames=None, late_s=0.0, bounds=None, **analysis):
            settings = session.settings.model_copy(deep=True)
            settings.name, settings.storage.late_s = name, late_s
            settings.storage.directory = tmp_path / f"agent-{next(number)}"
            settings.storage.frames = settings.storage.frames if frames is None else [frames]
            settings.steering.bounds = bounds = bounds or settings.steering.bounds
            readings = settings.recorded.readings.items()
            settings.recorded.readings = {name: key for name, key in readings if name not in bounds}
            settings.section.update(analysis)
            observer = stack.enter_context(closing(build_observer(settings, client)))
            observer.quiet = True
            return observer

        yield raw, store, agent


def same_as_beside_the_detector(session, store, keys=None, runs=RUNS, rtol=0.0):
    """Compare results with those of the session's agent, bit for bit unless `rtol` is given.

    A busy server may refuse a result for a while. The agent keeps its run then, and writes the result later.
    """
    first, end = session.agent.results, time.monotonic() + 60
    while len(complete := store.table("complete").index) < runs and time.monotonic() < end:
        time.sleep(0.2)
    keys = complete if keys is None else keys
    return [np.allclose(store.array(key, "c2"), first.array(key, "c2"), rtol=rtol, atol=0) for key in keys] == [
        True
    ] * runs


def of_another_machine(documents):
    """Change documents to those of a detector whose disk only the Tiled server can read."""
    for name, doc in documents:
        yield (name, {**doc, "uri": doc["uri"].replace("localhost", "detector")} if name == "stream_resource" else doc)


def with_frames_inside(documents):
    """Change documents to those of a detector that writes no file."""
    (resource,) = (doc for name, doc in documents if name == "stream_resource")
    with h5py.File(urlparse(resource["uri"]).path) as file:
        movie = file[resource["parameters"]["dataset"]][:]
    for name, doc in documents:
        if name == "stream_datum":
            for i in range(doc["indices"]["start"], doc["indices"]["stop"]):
                event = {"uid": f"{doc['uid']}/{i}", "descriptor": doc["descriptor"], "seq_num": i + 1, "time": 0.0}
                key = resource["data_key"]
                yield "event", {**event, "data": {key: movie[i : i + 1]}, "timestamps": {key: 0.0}, "filled": {}}
        elif name != "stream_resource":
            yield name, doc


@pytest.mark.fault(
    "The frames are on another machine, and reach Tiled late", "They are read through Tiled, with the same bits"
)
def test_an_agent_that_does_not_see_the_files_asks_tiled(session, recorded, beside, tmp_path):
    raw, store, agent = beside
    observer = agent(frames=tmp_path, late_s=600.0)
    for write in (observer, TiledWriter(raw)):
        for name, doc in of_another_machine(recorded[0]):
            write(name, doc)
    assert observer.drain(120)
    assert same_as_beside_the_detector(session, store, runs=1)


def send_both(agents, recorded):
    """Send all runs to two agents of one process, to the second without a file: HDF5 would open it once for both."""
    inside = [list(with_frames_inside(documents)) for documents in recorded]
    for both in zip(recorded, inside, strict=True):
        for observer, documents in zip(agents, both, strict=True):
            for name, doc in documents:
                observer(name, doc)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def between_two_arrays():
    """Let this process end after three arrays; the server takes no files."""
    write, left = Container.write_array, [3]

    def write_and_die(self, array, **more):
        write(self, array, **more)
        left[0] -= 1
        left[0] or die()

    _writing.ResultFiles, Container.write_array = no_files, write_and_die


def no_files(*_):
    """Let a store write nodes."""


def inside_a_file():
    """Let this process end when half of a file is written."""
    write = Path.write_bytes

    def write_half(path, content):
        if len(content) < 10_000:
            return write(path, content)
        write(path, content[: len(content) // 2])
        die()

    Path.write_bytes = write_half


@pytest.mark.fault(
    "The agent is killed (-9) while it writes a result: between two arrays, and inside a file",
    "The next agent writes the result again",
)
def test_an_agent_that_is_killed_while_it_writes(session, recorded, beside):
    _, store, agent = beside
    agent(monitor=["beam"]).close()  # the first session writes arrays of its own

    def works(breaks):
        breaks()
        child = agent(monitor=["beam"])
        for name, doc in recorded[0]:
            child(name, doc)
        child.drain(120)

    for breaks in (between_two_arrays, inside_a_file):
        killed(partial(works, breaks))
        assert store.table()["status"].tolist() == ["computing"]
    observer = agent(monitor=["beam"])
    for name, doc in recorded[0]:
        observer(name, doc)
    assert observer.drain(120)
    (result,) = store.table("complete").index
    assert len(store.table()) == 1 and {"c2", "latent", "g2", "saxs"} <= set(store.record(result).arrays)
    off = np.abs(np.subtract.outer(range(256), range(256))) > 8  # but for the diagonal the maps are the same
    beside_the_detector = session.agent.results
    (same,) = [k for k, row in session.table().iterrows() if row["raw_uid"] == store.record(result).raw_uid]
    np.testing.assert_allclose(
        store.array(result, "c2")[:, off], beside_the_detector.array(same, "c2")[:, off], rtol=1e-6
    )


@pytest.mark.fault("Two agents with different parameters use one catalog", "Each run has one result of each, unmixed")
def test_agents_of_different_configurations_do_not_mix(session, recorded, beside):
    _, store, agent = beside
    agents = [agent(), agent("other", monitor=["beam"])]
    send_both(agents, recorded[:1])
    assert all(observer.drain(120) for observer in agents)
    table = store.table()
    assert table["reason"].isna().all(), table["reason"].tolist()
    assert (table["status"] == "complete").all() and table["superseded_by"].isna().all()
    mine, other = (table[table["agent"] == name] for name in ("rheo_xpcs", "other"))
    assert len(mine) == len(other) == 1 and set(mine["raw_uid"]) == set(other["raw_uid"])
    assert same_as_beside_the_detector(session, store, mine.index, runs=1, rtol=1e-5)
    for of_mine, of_other in zip(mine.index, other.index, strict=True):
        assert "incident" not in store.record(of_mine).parameters
        assert store.record(of_other).parameters["incident"] == ["beam"]
    assert set(store.newest_atlas().labels) == set(table.index)  # whoever wrote last
    alone = session.agent.results.embeddings(mine["digest"].iloc[0])
    together = store.embeddings(mine["digest"].iloc[0])
    assert set(together.index) == set(mine.index)
    np.testing.assert_allclose(together.loc[mine.index], alone.loc[mine.index], atol=1e-5)
    for observer in agents:
        assert observer.drain(120)
        assert store.next_suggestion(observer.name).id == observer.suggest()["_id"]
