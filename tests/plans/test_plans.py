"""Plans under a RunEngine, with the simulated devices."""

import threading
from concurrent.futures import Future

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted
from bluesky_adaptive.protocols import OptimizationProblem
from ophyd.sim import SynAxis, SynGauss

from ainerd.knobs import Knob
from ainerd.plans import answer_of, check_limits, explore, expose, visit
from ainerd_xpcs.technique.plans import preshear
from sim_devices import Geometry, SimulatedInstrument
from tests.explorer import Explorer
from tests.trials import trials_of


@pytest.fixture
def instrument(tmp_path):
    return made(tmp_path, speed=200)


def made(folder, speed):
    geometry = Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0))
    instrument = SimulatedInstrument(directory=folder, geometry=geometry, speed=speed)
    instrument.detector.cam.num_images.put(120)
    return instrument


def history(signal, clock):
    """Values that the signal takes from now on, each with its time on the clock."""
    seen = []
    signal.subscribe(lambda value, **_: seen.append((value, clock.now())), run=False)
    return seen


def test_preshear_holds_each_rate_for_its_time_and_stops(RE, instrument):
    rheometer, clock = instrument.rheometer, instrument.clock
    rates, dwells = history(rheometer.shear_rate_setpoint, clock), []
    RE.msg_hook = lambda msg: dwells.extend(msg.args if msg.command == "set" and msg.obj is rheometer.dwell else ())
    RE(preshear(rheometer, 30, 190, 100, 20))
    RE.msg_hook = None
    stopped = clock.now()
    assert [rate for rate, _ in rates] == [30, 100, 0] and dwells == [190, 20]
    (_, begin), (_, change), (_, end) = rates
    assert change - begin >= 190 - 1e-6 and end - change >= 20 - 1e-6  # longer on a busy machine
    age = rheometer.read()["rheometer_time_since_shear"]["value"]
    assert 0 < age <= clock.now() - end and age >= stopped - end - 1
    assert rheometer.shear_number.get() == 1


def abort_after(RE, signal, reached):
    """Abort the plan of the RunEngine soon after the signal has reached a value."""
    timer = threading.Timer(0.2, lambda: RE.abort("enough"))
    signal.subscribe(lambda value, **_: timer.start() if value == reached else None, run=False)


def test_preshear_that_is_aborted_stops_the_shear(RE, tmp_path):
    rheometer = made(tmp_path, speed=1).rheometer
    abort_after(RE, rheometer.shear_rate_setpoint, 30)
    with pytest.raises(RunEngineInterrupted):
        RE(preshear(rheometer, 30, 190))
    assert rheometer.shear_rate_setpoint.get() == 0 and rheometer.shear_number.get() == 1


@pytest.mark.parametrize("steps", [(), (30, 190, 100), (30, float("nan"))])
def test_preshear_wants_pairs(instrument, steps):
    with pytest.raises(ValueError, match="rates, each with a positive duration"):
        list(preshear(instrument.rheometer, *steps))


def frames(documents):
    (resource,) = [doc for name, doc in documents if name == "stream_resource"]
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
        return file[resource["parameters"]["dataset"]][:]


def test_the_shutter_is_open_for_the_exposure_only(RE, instrument):
    documents, states = [], history(instrument.shutter.status, instrument.clock)
    RE(expose(instrument.detector, shutter=instrument.shutter), lambda name, doc: documents.append((name, doc)))
    assert [state for state, _ in states] == ["open", "closed"]
    assert (frames(documents).sum(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("end", ["failure", "abort"])
def test_the_shutter_is_closed_whatever_ends_the_exposure(RE, tmp_path, end):
    instrument = made(tmp_path, speed=2)  # an exposure of 6 s
    states = history(instrument.shutter.status, instrument.clock)
    if end == "abort":
        abort_after(RE, instrument.shutter.status, "open")
    else:
        instrument.sample.dynamics = lambda *_, **__: 1 / 0
    with pytest.raises(RunEngineInterrupted if end == "abort" else FailedStatus):
        RE(expose(instrument.detector, shutter=instrument.shutter))
    assert [state for state, _ in states] == ["open", "closed"]


def test_a_visit_moves_runs_the_plan_before_and_exposes(RE, instrument):
    order, documents = [], []
    analysed = Future()
    analysed.set_result(None)
    stage, rheometer = instrument.stage, instrument.rheometer

    def before():
        order.append((stage.x.position, stage.y.position))
        yield from preshear(rheometer, 100, 30)

    acquire = visit(lambda uid: analysed, beside=[rheometer], shutter=instrument.shutter, before=before)
    suggestions = [{"_id": n, "sample_x": x, "sample_y": 5.5, "reason": "asked"} for n, x in [("a", 4.0), ("b", 4.5)]]
    plan = acquire(suggestions, [stage.x, stage.y], [instrument.detector])
    RE(plan, lambda name, doc: documents.append((name, doc)))
    assert [round(x, 1) for x, _ in order] == [4.0, 4.5]
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert [round(event["sample_x"], 1) for event in events] == [4.0, 4.5]
    assert [event["rheometer_shear_number"] for event in events] == [1, 2]
    assert all(0 < event["rheometer_time_since_shear"] < 200 for event in events)
    starts = [doc for name, doc in documents if name == "start"]
    assert [(start["suggestion_id"], start["reason"]) for start in starts] == [("a", "asked"), ("b", "asked")]


def test_any_plan_of_an_exposure_runs_inside_another_run(RE, instrument):
    documents, x = [], instrument.stage.x

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"plan_name": "outer"})
    def outer():
        return (yield from visit(None, acquire=bp.count)([{"_id": "a", x.name: 4.0}], [x], [instrument.rheometer]))

    RE(outer(), lambda name, doc: documents.append((name, doc)))
    starts = [doc for name, doc in documents if name == "start"]
    assert [(start["plan_name"], start.get("suggestion_id")) for start in starts] == [("outer", None), ("count", "a")]
    assert [doc["run_start"] for name, doc in documents if name == "stop"] == [starts[1]["uid"], starts[0]["uid"]]


@pytest.mark.parametrize("n", [3, None])
def test_exploring_records_each_step_also_the_last_one(RE, n):
    x, steps, documents = SynAxis(name="x"), [], []

    class Optimizer(Explorer):
        def should_stop(self):
            steps.append("asked")
            return steps.count("before") == 4, ""

    def before():
        steps.append("before")
        yield from bps.null()

    def measured(uid, suggestions):
        return [{"_id": suggestion["_id"], "embedding": np.zeros(2)} for suggestion in suggestions]

    explorer = Optimizer({"x": (0.0, 10.0)})
    detector = SynGauss("detector", x, "x", 0, 1)
    problem = OptimizationProblem(explorer, [x], [detector], measured, visit(None, acquire=bp.count))
    RE(explore(problem, n, before), lambda name, doc: documents.append((name, doc)))
    assert steps == (["before"] * 3 if n else ["before", "asked"] * 4)
    (start,) = [doc for name, doc in documents if doc.get("plan_name") == "explore"]
    (stream,) = [doc["uid"] for name, doc in documents if name == "descriptor" and doc["run_start"] == start["uid"]]
    events = [doc["data"] for name, doc in documents if name == "event" and doc["descriptor"] == stream]
    assert len(events) == (n or 4) and start["iterations"] == n
    taken = [doc["suggestion_id"] for name, doc in documents if name == "start" and "suggestion_id" in doc]
    assert taken == [*trials_of(explorer.exposures)]  # each was measured, in this order


def test_a_device_of_ophyd_async_is_not_asked_before_there_is_a_runengine(monkeypatch):
    monkeypatch.setattr("ainerd.plans._limits.get_bluesky_event_loop", lambda: None)

    async def answer():
        return 1.0

    with pytest.raises(RuntimeError, match="make the RunEngine before the agent"):
        answer_of(answer())  # and no warning of a coroutine that was never awaited
    assert answer_of(2.0) == 2.0


def test_limits_of_motors_of_ophyd_async_are_checked(RE):
    core, sim = pytest.importorskip("ophyd_async.core"), pytest.importorskip("ophyd_async.sim")

    class Limited(sim.SimMotor):
        async def check_value(self, value):
            if abs(value) > 5:
                raise ValueError(f"{value:g} is beyond 5")

    with core.init_devices():
        x, y = Limited(name="x"), Limited(name="y")
    check_limits([x, y], {"x": 1.0, "y": -5.0})
    refusal = "y = 6 is not within the limits of the actuator: 6 is beyond 5"
    with pytest.raises(ValueError, match=refusal):
        check_limits([x, y], {"x": 1.0, "y": 6.0})


def test_a_slow_knob_with_noise_moves_first_settles_once_and_never_goes_back(RE):
    x, oven = SynAxis(name="x"), SynAxis(name="oven", value=300.0, readback_func=lambda kelvin: kelvin + 0.02)
    detector = SynGauss("detector", x, "x", 0, 1)
    of_oven = Knob(range=(300, 400), length=20.0, settle_s=0.01, direction="up")
    knobs = {"x": Knob(range=(0, 10), length=1.0), "oven": of_oven}
    measure = visit(None, acquire=bp.count, knobs=knobs)
    moves = []
    RE.msg_hook = lambda msg: moves.append((msg.command, getattr(msg.obj, "name", ""), *msg.args[:1]))

    def go(**position):
        del moves[:]
        RE(measure([{"_id": "a", **position}], [x, oven], [detector]))
        return [move for move in moves if move[0] in ("set", "sleep")]  # in this order

    assert go(x=2.0, oven=320.0) == [("set", "oven", 320.0), ("sleep", "", 0.01), ("set", "x", 2.0)]
    again = go(x=3.0, oven=320.0)
    assert again[-1] == ("set", "x", 3.0) and "sleep" not in [command for command, *_ in again]
    with pytest.raises(ValueError, match="oven = 310 lies behind 320.02, and it only goes up"):
        go(x=4.0, oven=310.0)
    RE.msg_hook = None
    assert x.position == 3.0  # nothing moved
