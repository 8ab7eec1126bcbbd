"""A writer without Tiled, for the states of runs."""

from dataclasses import replace

from ainerd.config import Detector
from ainerd.documents import Run
from ainerd.runs import RecordedKeys, RunState
from ainerd.runs._patience import Patience
from ainerd.technique import Outcome


class Sink:
    """A writer that keeps its arguments; `there` are outcomes of events that have results."""

    def __init__(self, technique, keys=None, roots=(), there=(), positions=()):
        self.recorded = RecordedKeys(positions=positions)
        self.technique, self.parameters = technique, technique.parameters
        self._keys, self._roots = keys or Detector(image="det"), roots
        self.begun, self.ended, self.there = [], [], dict(there)
        self.patience = Patience(lambda: True)

    def new_run(self):
        return Run(self._keys, self._roots)

    def begin(self, subject):
        self.begun.append(subject)
        return self.there.get(subject.event, subject)

    def outcome(self, run, key, event=None):
        readings = {name: run.reading(name, event) for name in self.recorded.positions}
        positions = {name: x for name, x in readings.items() if x is not None}
        return Outcome(raw_uid=run.uid, key=key, trial_id="", status="complete", positions=positions)

    def complete(self, subject, outcome, analysis, *, closes):
        self.ended.append((subject, analysis, closes))
        return replace(outcome, status=analysis.status)

    def fail(self, subject, outcome, *, closes):
        self.ended.append((subject, None, closes))
        return replace(outcome, status="failed")

    def remember(self, subject, *, closes):
        pass


def fed(technique, documents, sink=None, on_begun=lambda outcome: None, **options):
    """Return the state after the documents, and its sink."""
    sink = sink or Sink(technique, **options)
    state = RunState(sink, on_begun=on_begun)
    for name, doc in documents:
        state(name, doc)
    return state, sink
