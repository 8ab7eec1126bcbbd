"""A technique that takes anything, a writer without Tiled, and documents of runs."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import h5py
import numpy as np

from ainerd.config import Detector
from ainerd.runs import RecordedKeys, RunInProgress, Writer
from ainerd.technique import Analysis, AnalysisError, Regimes, RunAnalysis, Technique
from tests.documents.flights import NUMBER, Flight, held, image, sent_to

SHAPE = (2, 3)


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
        labels = np.zeros(len(embeddings), int)
        return Regimes(labels=labels, n_regimes=1, supported_range=(1, 1), predict=lambda z: z[:, 0] * 0)


class Sink(Writer):
    """Keeps its arguments; `there` are results of events."""

    def __init__(self, technique, keys=None, roots=(), there=(), positions=()):
        store, recorded = SimpleNamespace(answers=lambda: True), RecordedKeys(positions=positions)
        super().__init__(technique, store, keys or Detector(image="det"), recorded, roots, "me")
        self.begun, self.ended, self.there = [], [], dict(there)

    def begin(self, unit):
        self.begun.append(unit)
        unit.known = self.there.get(unit.event)
        return unit

    def write(self, unit, analysis, *, closes):
        self.ended.append((unit, analysis, closes))
        return replace(self.result(unit), status="failed" if analysis is None else analysis.status)

    def forget(self):
        pass


def fed(technique, documents, sink=None, on_begun=lambda result: None, late_s=0.0, **options):
    """Return the run after the documents, and its sink."""
    sink = sink or Sink(technique, **options)
    return sent_to(RunInProgress(sink, on_begun=on_begun, late_s=late_s), documents), sink


def written(folder, sums):
    """Write frames with these sums to a file, and return its path."""
    with h5py.File(folder / "frames.h5", "w") as file:
        file["d"] = np.array([[[x, 0, 0], [0, 0, 0]] for x in sums], float)
    return folder / "frames.h5"


def flown(folder, sums, *, exposures, num=None):
    """Documents of a detector that flies some times in a run, after x is read each time; all frames in one file."""
    run, each = Flight(), len(sums) // exposures
    x = run.stream("primary", {"x": NUMBER})
    det = run.stream("det", {"det": image(1, 2, 3)}, **({"num": num} if num else {}))
    file = run.file(written(folder, sums))
    for i in range(exposures):
        run.event(x, time=100.0 + i, x=10.0 + i)
        for first in range(i * each, (i + 1) * each):
            run.frames(file, det, first, first + 1)
    return run.stop()


def scan(frames, *, status="success", temperatures=None, **start):
    """Documents of a scan with a frame in each event, the motor x, and a temperature beside."""
    made = Flight(scan_id=1, **start)
    primary = made.stream("primary", {"det": held(*np.shape(frames)[1:]), "x": NUMBER, "temperature": NUMBER})
    for i, frame in enumerate(frames):
        temperature = (temperatures or range(300, 999))[i]
        made.event(primary, time=100.0 + i, det=np.asarray(frame), x=10.0 + i, temperature=temperature)
    return made.stop(exit_status=status)


def movie(*sums):
    """Frames with these sums."""
    frames = np.zeros((len(sums), *SHAPE))
    frames[:, 0, 0] = sums
    return frames
