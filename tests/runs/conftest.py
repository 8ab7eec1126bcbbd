"""A technique that takes anything, and documents of runs with frames in their events."""

from dataclasses import dataclass, field, replace
from unittest.mock import MagicMock

import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.jobs import Jobs
from ainerd.results import Gone, ResultStore
from ainerd.runs import Worker, Writer
from ainerd.technique import Analysis, AnalysisError, Regimes, RunAnalysis, Technique
from tests.documents.flights import NUMBER, Flight, held

SHAPE = (2, 3)
KEYS = Detector(image="det")


class Sums(RunAnalysis):
    """The sum of each frame; refuses frames whose sum is 666."""

    def __init__(self, technique, info):
        self.technique, self.info, self.sums, self.seen = technique, info, [], []
        self.runs = [info.raw_uid]
        self.pixels = np.arange(6)

    def push(self, block, first):
        self.sums.extend(block.sum(axis=1).tolist())
        self.seen.append(len(self.info.readings.of_frames("temperature")))
        if 666 in self.sums:
            raise AnalysisError("the number of the beast")

    def finish(self):
        if not self.sums:
            raise AnalysisError("no frames")
        temperature = self.info.readings.of_frames("temperature")
        return Analysis(
            embedding=np.array([len(self.sums), np.mean(self.sums)], np.float32),
            novelty_p=self.technique.p,
            arrays={"sums": np.array(self.sums), "temperature": temperature},
            calibration={"alpha": 0.05},
        )


class Growing(Sums):
    """The same of a series."""

    def next_run(self, info):
        self.runs.append(info.raw_uid)


@dataclass
class Toy(Technique):
    unit: object = "run"
    p: float | None = None
    name: str = "toy"
    alpha: float = 0.05
    embedding_size: int = 2
    regime_width: float = 1.0
    made: list = field(default_factory=list)
    analysis: type = Sums

    @property
    def parameters(self):
        return {"technique": self.name}

    def begin(self, run):
        if run.frame_shape != SHAPE:
            raise AnalysisError(f"frames of {run.frame_shape}")
        self.made.append(self.analysis(self, run))
        return self.made[-1]

    def regimes(self, embeddings, previous=None):
        return Regimes(
            labels=np.zeros(len(embeddings), int), n_regimes=1, supported_range=(1, 1), predict=lambda z: z[:, 0] * 0
        )


@pytest.fixture
def toy():
    return Toy


@pytest.fixture
def growing():
    return Growing


@pytest.fixture
def keys():
    return KEYS


def scan(frames, *, status="success", temperatures=None, **start):
    """Documents of a scan with a frame in each event, the motor x, and a temperature beside."""
    made = Flight(scan_id=1, **start)
    primary = made.stream("primary", {"det": held(*np.shape(frames)[1:]), "x": NUMBER, "temperature": NUMBER})
    for i, frame in enumerate(frames):
        temperature = (temperatures or range(300, 999))[i]
        made.event(primary, time=100.0 + i, det=np.asarray(frame), x=10.0 + i, temperature=temperature)
    return made.stop(exit_status=status)


@pytest.fixture
def scanned():
    return scan


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


def movie(*sums):
    """Frames with these sums."""
    frames = np.zeros((len(sums), *SHAPE))
    frames[:, 0, 0] = sums
    return frames


@pytest.fixture
def movies():
    return movie


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
