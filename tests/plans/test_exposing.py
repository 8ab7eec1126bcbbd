"""The plan of an exposure: settings, values read back, and the dose entered before the shutter opens."""

import pytest
from ophyd import Signal
from ophyd.sim import NullStatus

from ainerd.dose import DoseBook, DoseError
from ainerd.knobs import Exposure, ExposureOptions
from ainerd.plans._exposing import Exposing
from ainerd.plans._shutter import Guard

OPTIONS = ExposureOptions(modes=[{"frame_time_s": (1e-3, 1.0), "frames": (100, 10000)}], flux=2.0, limit=5.0)
HERE = {"x": 1.0}


class Coarse(Signal):
    """A device that takes only some values."""

    def __init__(self, *args, real, **options):
        super().__init__(*args, **options)
        self.real = real

    def set(self, value, **options):
        self.put(self.real(value))
        return NullStatus()


def prepared(RE, chosen, frames=lambda value: value, transmission=lambda value: value, has_attenuator=True):
    """Prepare an exposure; return its values, those of the signals and of the ids that were told, and the book."""
    book, reported = DoseBook(OPTIONS, {"x": 0.1}), []
    time_s, n, beside = (
        Coarse(name=name, value=0.0, real=real) for name, real in zip("abc", (float, frames, float), strict=True)
    )
    attenuator = Coarse(name="d", value=0.0, real=transmission) if has_attenuator else None
    exposing = Exposing(book, time_s, n, (beside,), attenuator, lambda _: chosen, lambda *each: reported.append(each))
    seen = []

    def plan():
        yield from exposing.prepare({"x": 7.0})
        seen.append((yield from exposing.enter("a", [Signal(name="x", value=1.0)], Guard(None))))

    try:
        RE(plan())
    finally:
        assert reported == [("a", exposure) for exposure in seen] and len(book) == len(seen)
    return seen[0], [time_s.get(), n.get(), beside.get()], exposing


def test_the_exposure_that_the_devices_read_back_is_entered_where_the_knobs_are(RE):
    chosen = Exposure(0.01, 200, 0.5)
    real, values, exposing = prepared(RE, chosen, frames=lambda n: n + 28, transmission=lambda x: 0.9 * x)
    assert real == Exposure(0.01, 228, 0.45) and values == [0.01, 228, 0.01]
    assert exposing.book.total == exposing.book.dose_at(HERE)[0] == pytest.approx(2.0 * 0.45 * 2.28)


@pytest.mark.parametrize("driver", ["the period is at least the exposure", "the exposure is at most the period"])
@pytest.mark.parametrize(("before", "wanted"), [(0.1, 0.01), (0.01, 0.1)])
def test_a_driver_that_keeps_exposure_and_period_consistent_gets_both(RE, driver, before, wanted):
    exposure_s, n = Coarse(name="exposure", value=before, real=float), Coarse(name="n", value=0, real=int)
    period_s = Coarse(name="period", value=before, real=float)
    if driver.startswith("the period"):
        period_s.real = lambda x: max(x, exposure_s.get())
    else:
        exposure_s.real = lambda x: min(x, period_s.get())
    chosen = Exposure(wanted, 200, 1.0)
    exposing = Exposing(DoseBook(OPTIONS, {"x": 0.1}), period_s, n, (exposure_s,), None, lambda _: chosen, print)
    RE(exposing.prepare({"x": 7.0}))
    assert (period_s.get(), exposure_s.get(), n.get()) == (wanted, wanted, 200)


def test_without_an_attenuator_the_beam_is_open(RE):
    real, _, exposing = prepared(RE, Exposure(0.01, 200, 0.5), has_attenuator=False)
    assert real.transmission == 1 and exposing.book.total == pytest.approx(2.0 * 2.0)


@pytest.mark.parametrize(
    ("chosen", "frames", "error", "message"),
    [
        (Exposure(0.01, 50, 0.5), lambda n: n, ValueError, "^no mode of the detector has 50 frames of 0.01 s"),
        (Exposure(0.01, 200, 0.5), lambda n: 50, ValueError, "read back other values than were set: no mode"),
        (Exposure(0.01, 600, 0.5), lambda n: n, DoseError, "passes the limit of 5"),
    ],
)
def test_nothing_is_entered_if_the_exposure_cannot_be_taken(RE, chosen, frames, error, message):
    with pytest.raises(error, match=message):
        prepared(RE, chosen, frames)
