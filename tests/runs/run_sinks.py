"""A writer without Tiled, for runs in progress."""

from dataclasses import replace

from ainerd.config import Detector
from ainerd.documents import Run
from ainerd.runs import RecordedKeys, RunInProgress, Writer
from ainerd.runs._patience import Patience


class Sink:
    """A writer that keeps its arguments; `there` are results of events."""

    unit, result, _positions = Writer.unit, Writer.result, Writer._positions

    def __init__(self, technique, keys=None, roots=(), there=(), positions=()):
        self.recorded = RecordedKeys(positions=positions)
        self.technique, self.parameters = technique, technique.parameters
        self._keys, self._roots = keys or Detector(image="det"), roots
        self.begun, self.ended, self.there = [], [], dict(there)
        self.patience = Patience(lambda: True)

    def new_run(self):
        return Run(self._keys, self._roots)

    def begin(self, unit):
        self.begun.append(unit)
        unit.known = self.there.get(unit.event)
        return unit

    def write(self, unit, analysis, *, closes):
        self.ended.append((unit, analysis, closes))
        return replace(self.result(unit), status="failed" if analysis is None else analysis.status)

    def forget(self):
        pass


def fed(technique, documents, sink=None, on_begun=lambda result: None, **options):
    """Return the run after the documents, and its sink."""
    sink = sink or Sink(technique, **options)
    run = RunInProgress(sink, on_begun=on_begun)
    for name, doc in documents:
        run(name, doc)
    return run, sink
