"""A RunEngine, a small instrument, and the exposure plan the tests fly."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine

from sim_devices import Geometry, SimClock, SimulatedInstrument, hidden_sample


class SetClock(SimClock):
    """A clock that is set by hand."""

    t = 0.0

    def now(self):
        return self.t


@pytest.fixture(scope="session")
def run_engine():
    engine = RunEngine({}, context_managers=[])
    yield engine
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join()
    engine.loop.close()


@pytest.fixture
def documents(run_engine):
    seen = []
    token = run_engine.subscribe(lambda name, doc: seen.append((name, doc)))
    yield seen
    run_engine.unsubscribe(token)


@pytest.fixture(scope="session")
def small():
    return Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0))


@pytest.fixture
def make_instrument(tmp_path, small):
    def make(speed, num_images):
        made = SimulatedInstrument(
            directory=tmp_path / "frames of a run", geometry=small, sample=hidden_sample(seed=3), speed=speed
        )
        made.detector.cam.num_images.put(num_images)
        made.shutter.set("open").wait(60)
        return made

    return make


@pytest.fixture
def instrument(make_instrument):
    return make_instrument(1000.0, 120)


@pytest.fixture
def fly():
    def plan(instrument):
        detector, stress = instrument.detector, instrument.rheometer.stress

        @bpp.stage_decorator([detector, instrument.rheometer])
        @bpp.monitor_during_decorator([stress])
        @bpp.run_decorator()
        def exposure():
            yield from bps.trigger_and_read([instrument.stage, instrument.rheometer], name="primary")
            yield from bps.declare_stream(detector, name="lambda750k", collect=True)
            yield from bps.kickoff(detector, wait=True)
            yield from bps.collect_while_completing([detector], [detector], flush_period=0.1, stream_name="lambda750k")

        return (yield from exposure())

    return plan
