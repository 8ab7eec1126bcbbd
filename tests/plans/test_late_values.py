"""Values of a monitored signal that come at the end of a run, from the thread of its device."""

import threading

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from ophyd import Signal
from ophyd.sim import SynAxis, SynGauss

from ainerd.plans import visit


@pytest.mark.fault(
    "A device passes a value of a monitored signal on while its run ends, as on a busy machine",
    "No event comes after the stop document, to which TiledWriter would answer with a KeyError",
)
def test_no_event_of_a_monitored_signal_comes_after_the_end_of_its_run(RE):
    motor, stress, documents = SynAxis(name="motor"), Signal(name="stress", value=0.0), []
    detector = SynGauss("det", motor, "motor", center=0, Imax=1)
    is_passed_on, has_ended = threading.Event(), threading.Event()

    def slow(value, **_):
        if value == 2.0:
            is_passed_on.set()
            has_ended.wait(30)

    stress.subscribe(slow, run=False)  # before Bluesky's
    device = threading.Thread(target=stress.put, args=(2.0,))

    def acquire(devices, md):
        def inner():
            yield from bps.trigger_and_read(devices)
            stress.put(1.0)
            device.start()
            is_passed_on.wait(30)

        return (yield from bpp.run_wrapper(inner(), md=md))

    def take(name, doc):
        documents.append((name, doc))
        if name == "stop":
            has_ended.set()

    measure = visit(None, acquire=acquire, monitored=[stress])
    RE(measure([{"_id": "1", "motor": 3.0}], [motor], [detector]), take)
    token = RE.subscribe(take)
    device.join()
    RE.unsubscribe(token)
    (stream,) = [d for name, d in documents if name == "descriptor" and d["name"] == "stress_monitor"]
    values = [d["data"]["stress"] for name, d in documents if name == "event" and d["descriptor"] == stream["uid"]]
    assert documents[-1][0] == "stop" and values in ([1.0], [0.0, 1.0])
    assert documents[-1][1]["num_events"]["stress_monitor"] == len(values)
