"""A writer without Tiled, for runs in progress, and documents of a detector that flies."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
from event_model import compose_run, compose_stream_resource

from ainerd.config import Detector
from ainerd.runs import RecordedKeys, RunInProgress, Writer


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


def flown(folder, sums, *, exposures, num=None, readings=True):
    """Documents of a detector that flies some times in a run, after x is read each time; all frames in one file."""
    path = folder / "frames.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.array([[[x, 0, 0], [0, 0, 0]] for x in sums], float)
    bundle = compose_run()
    yield "start", bundle.start_doc
    x = bundle.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "sim"}})
    yield "descriptor", x.descriptor_doc
    image = {"dtype": "array", "shape": [1, 2, 3], "source": "sim", "external": "STREAM:"}
    configuration = {"det": {"data": {"num": num}, "timestamps": {}, "data_keys": {}}} if num else {}
    det = bundle.compose_descriptor(
        name="det", data_keys={"det": image}, configuration=configuration, object_keys={"det": ["det"]}
    )
    yield "descriptor", det.descriptor_doc
    resource = compose_stream_resource(
        mimetype="application/x-hdf5", uri=f"file://localhost{path}", data_key="det", parameters={"dataset": "data"}
    )
    yield "stream_resource", {**resource.stream_resource_doc, "run_start": bundle.start_doc["uid"]}
    each = len(sums) // exposures
    for i in range(exposures):
        yield "event", x.compose_event(data={"x": 10.0 + i}, timestamps={"x": 99.0 + i}, time=100.0 + i)
        for first in range(i * each, (i + 1) * each):
            datum = {"uid": f"d{first}", "stream_resource": resource.stream_resource_doc["uid"]}
            datum |= {"descriptor": det.descriptor_doc["uid"], "indices": {"start": first, "stop": first + 1}}
            yield "stream_datum", datum | {"seq_nums": {"start": first + 1, "stop": first + 2}}
    yield "stop", bundle.compose_stop()
