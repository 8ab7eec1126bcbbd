"""A writer without Tiled, for runs in progress, and documents of a detector that flies."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np

from ainerd.config import Detector
from ainerd.runs import RecordedKeys, RunInProgress, Writer
from tests.documents.flights import NUMBER, Flight, image


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
    run = RunInProgress(sink, on_begun=on_begun, late_s=late_s)
    for name, doc in documents:
        run(name, doc)
    return run, sink


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
