"""Objects that a worker keeps in memory, and those that it leaves behind."""

import gc
import os
import threading

import pytest
from run_parts import Toy, flown, movie, scan

from ainerd.jobs import Jobs
from ainerd.runs import RecordedKeys
from tests.waiting import until


@pytest.fixture
def work(store, worker_on, tmp_path):
    return worker_on(Toy(), store, tmp_path, RecordedKeys(positions=("x",)))


def fails(error):
    """A function that raises an error."""

    def raises(*arguments, **options):
        raise error

    return raises


@pytest.fixture
def before():
    """Threads that earlier tests left."""
    return set(threading.enumerate())


@pytest.mark.fault("The agent is closed while runs continue", "None of its threads and files stays open")
def test_a_run_that_does_not_end_leaves_nothing(before, work, tmp_path):
    for name, doc in list(flown(tmp_path, [1] * 60, exposures=1))[:-1]:
        work(name, doc)
    assert work.jobs.drain() and work.progress == (60, None)
    work.close()
    gc.collect()
    files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert str(tmp_path / "frames.h5") not in files
    ours = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("ainerd-")]
    until(lambda: not any(thread.is_alive() for thread in ours), "the end of the threads", patience_s=20)


@pytest.mark.fault(
    "The start document of a run arrives twice before its end", "A plan that waits for the run gets its result"
)
def test_the_future_of_a_run_that_comes_twice_is_resolved(work, store):
    (start, *others) = list(scan(movie(1, 2)))
    work(*start)
    first = work.outcomes(start[1]["uid"])
    for document in (start, *others):
        work(*document)
    (outcome,) = first.result(30)
    assert outcome.status == "complete" and store.complete.call_count == 1


def test_each_listener_gets_each_outcome_even_if_one_fails(store, worker_on, tmp_path, caplog):
    work, events = worker_on(Toy(unit="event"), store, tmp_path, RecordedKeys(positions=("x",))), []
    work.on_outcome(fails(ValueError("no display")))
    work.on_outcome(lambda outcome: events.append(outcome.event))
    for document in scan(movie(1, 2, 3), num_points=3):
        work(*document)
    assert work.jobs.drain() and events == [1, 2, 3] and work.concluded == 1
    assert caplog.text.count("error in a listener to run") == 3


def test_health_tells_the_runs_that_wait_the_last_one_and_the_lag(work, caplog):
    release, lags, runs = threading.Event(), [], [list(scan(movie(1, 2), num_points=2)) for _ in range(2)]
    work.on_outcome(lambda outcome: lags.append(work.health()["lag_s"]))
    uids = [documents[0][1]["uid"] for documents in runs]
    with pytest.raises(KeyError):
        work.outcomes(uids[0])
    work.jobs.submit(release.wait)
    for name, doc in (*runs[0], *runs[1][:-1]):
        work(name, doc)
    assert (work.backlog, work.concluded, work.current, work.progress) == (1, 0, None, None)
    release.set()
    assert work.jobs.drain()
    health = work.health()
    assert 10 < health.pop("peak_memory_mb") < 1e5
    assert health == {
        "worker": "alive", "backlog": 0, "lag_s": 0.0, "concluded": 1, "last_run": uids[0],
    }  # fmt: skip
    assert work.current.run.uid == uids[1] and work.progress == (2, 2) and 0 < lags[0] < 600
    end = runs[1][-1]
    lost = "descriptor", {**runs[1][1][1], "run_start": "nobody"}
    for document in (end, end, lost, lost):
        work(*document)
    assert work.jobs.drain() and (work.backlog, work.concluded, work.progress) == (0, 2, None)
    assert caplog.text.count("left out: a descriptor document that refers to 'nobody', which has not arrived") == 1
    work("stop", {"run_start": uids[0]})
    assert work.jobs.drain() and work.backlog == 0


def test_an_invalid_start_document_does_not_end_the_worker(work):
    work("start", {"uid": []})
    assert work.jobs.drain() and work.health()["worker"] == "alive"


def test_writes_come_before_documents_and_those_for_a_waiting_script_before_all():
    jobs, done = Jobs(), []
    for n in (1, 2):
        jobs.submit(lambda n=n: done.append(f"document {n}"))
        jobs.write(lambda n=n: done.append(f"record {n}"))
        jobs.write(lambda n=n: done.append(f"answer {n}"), first=True)
    jobs.start()
    assert jobs.drain()
    assert done == [f"{kind} {n}" for kind in ("answer", "record", "document") for n in (1, 2)]
    jobs.close()
    assert not jobs.is_alive


def test_at_the_end_a_step_that_takes_long_is_left():
    jobs, go_on = Jobs(), threading.Event()
    jobs.submit(go_on.wait)
    jobs.start()
    jobs.close(is_slow=lambda: True)
    assert jobs.is_alive
    go_on.set()
    jobs.close()
    assert not jobs.is_alive


def test_an_error_of_a_job_reaches_who_waits_for_it_and_the_next_job_is_done():
    jobs, idle, also = Jobs(), threading.Event(), threading.Event()
    failed, following = jobs.submit(fails(SystemExit("a job"))), jobs.submit(lambda: 7)
    assert jobs.backlog == 2 and not jobs.is_alive and not jobs.drain(0.01)
    jobs.when_idle(idle.set)
    jobs.when_idle(also.set)
    jobs.start()
    assert following.result(30) == 7 and idle.wait(30) and also.wait(30)
    with pytest.raises(SystemExit, match="a job"):
        failed.result(0)
    assert jobs.drain() and jobs.backlog == 0 and jobs.is_alive
    jobs.close()
    assert not jobs.is_alive


def test_a_long_job_lets_those_first_for_which_somebody_waits():
    jobs, done, asked = Jobs("ainerd-test"), [], threading.Event()

    def long():
        done.append("begun")
        assert asked.wait(10)
        jobs.do_first()
        done.append("ended")

    jobs.submit(long)
    jobs.start()
    later = jobs.write(lambda: done.append("write"))
    jobs.write(lambda: done.append("command"), first=True)
    asked.set()
    later.result(10)
    jobs.close()
    assert done == ["begun", "command", "ended", "write"]
