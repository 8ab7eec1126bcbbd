"""A worker, its store and its campaign."""

from dataclasses import replace
from unittest.mock import MagicMock

import pytest

from ainerd.config import Detector
from ainerd.jobs import Jobs
from ainerd.results import Gone, ResultStore
from ainerd.runs import Worker, Writer


@pytest.fixture
def keys():
    return Detector(image="det")


class Campaign:
    """Gives every result regime 3, and remembers what it learned."""

    def __init__(self):
        self.absorbed = []

    def answer(self, outcome):
        self.absorbed.append(outcome)
        return replace(outcome, regime=3)


@pytest.fixture
def campaign():
    return Campaign()


@pytest.fixture
def worker_on(campaign, keys):
    """Starts workers, and closes them at the end."""
    started = []

    def start(technique, store, folder, wanted, *, raw=None):
        jobs = Jobs()
        writer = Writer(technique, store, keys, wanted, (folder,), "me", raw)
        worker = Worker(jobs, writer, answer=campaign.answer)
        worker.jobs, worker.writer = jobs, writer  # for the tests
        jobs.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def store():
    """Remembers records by key."""
    store, records = MagicMock(spec=ResultStore), {}
    store.records = records
    store.status.side_effect = lambda key: records[key].status if key in records else None
    store.record.side_effect = records.__getitem__

    def take(record):
        there = records.get(record.key)
        if there is not None and there.status in ("complete", "partial", "growing"):
            return there.status
        records[record.key] = record
        return None

    def complete(key, analysis, *, status, series, **about):
        about |= {"novelty_p": analysis.novelty_p, "novel": analysis.novel}
        records[key] = records[key].changed(status=status, embedding=analysis.embedding.tolist(), reason=None, **about)
        return records[key]

    def fail(key, reason, *, status="failed", **about):
        if key not in records:
            raise Gone(key)
        records[key] = records[key].changed(status=status, reason=reason, **about)
        return records[key]

    def close(key):
        records[key] = records[key].changed(status="complete")
        return True

    store.take.side_effect = store.begin.side_effect = take
    store.answers.return_value = True
    store.complete.side_effect, store.fail.side_effect, store.close.side_effect = complete, fail, close
    return store
