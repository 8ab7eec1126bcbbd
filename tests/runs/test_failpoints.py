"""kill -9 at each step from the documents of a run to its result."""

import os
import signal

import pytest
from run_parts import Sums, Toy, movie, scan

from ainerd.results import ResultStore
from ainerd.runs import RecordedKeys
from ainerd.server import open_catalog
from tests.killed import killed

SLOW_S = 60.0
# The function at which the child is killed, and whether before or after it.
STEPS = {
    "result requested": (ResultStore, "take", True),
    "result begun": (ResultStore, "take", False),
    "frames pushed": (Sums, "push", False),
    "analysis done": (Sums, "finish", False),
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
def worker_of(worker_on):
    """Starts a worker on some folder."""
    wanted = RecordedKeys(positions=("x",), series={"warmth": "temperature"}, readings={}, units={"x": "mm"})
    return lambda store, folder: worker_on(Toy(), store, folder, wanted)


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
def test_a_session_killed_at_any_step_leaves_one_result(campaign, worker_of, catalogue, tmp_path):
    uids = []
    for step, (owner, name, before) in STEPS.items():
        folder = tmp_path / step.replace(" ", "-")
        folder.mkdir()
        documents = [(kind, dict(doc)) for kind, doc in scan(movie(1, 2, 3), num_points=3)]

        def work(folder=folder, documents=documents):
            worker = worker_of(catalogue(), folder)
            for document in documents:
                worker(*document)
            worker.jobs.drain(SLOW_S)

        killed_at(work, campaign if owner == "campaign" else owner, name, before)
        worker = worker_of(catalogue(), folder)
        for document in documents:  # from Tiled
            worker(*document)
        assert worker.jobs.drain(SLOW_S)
        worker.close()
        uids.append(documents[0][1]["uid"])
    table = catalogue().table(all=True)
    assert sorted(table["raw_uid"]) == sorted(uids) and (table["status"] == "complete").all()
