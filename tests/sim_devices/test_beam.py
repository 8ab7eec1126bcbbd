"""Source, attenuator, shutter, and the dose that the spots of the sample get."""

import bluesky.plan_stubs as bps
import numpy as np
import pytest

from sim_devices import Attenuator, Shutter, SimClock


@pytest.fixture
def clock():
    return SimClock(100)


@pytest.fixture
def attenuator(clock):
    return Attenuator(name="attenuator", clock=clock, energy_keV=11.0)


def test_the_foils_that_come_nearest_are_put_in(attenuator, run_engine):
    assert attenuator.transmission.get() == 1.0
    lengths = {40.0: 1, 80.0: 2, 160.0: 4, 320.0: 8}  # µm: bit
    for foils in range(16):
        # mass attenuation of silicon at 11 keV, between the values of NIST at 10 and 15 keV: 25.6 cm²/g
        silicon_cm = sum(1e-4 * length for length, bit in lengths.items() if foils & bit)
        expected = np.exp(-25.6 * 2.33 * silicon_cm)
        run_engine(bps.mv(attenuator, 1.05 * expected if foils else 1.0))
        assert attenuator.foils.get() == foils
        assert attenuator.transmission.get() == pytest.approx(expected, rel=0.03)
    run_engine(bps.mv(attenuator, 1e-6))
    assert attenuator.setpoint.get() == 1e-6 and attenuator.transmission.get() > 0.02  # all foils, and no more


def test_shutter_under_a_run_engine(clock, run_engine):
    shutter = Shutter(name="shutter", clock=clock)
    assert shutter.status.get() == "closed"
    for word, status in (("open", "open"), ("open", "open"), ("close", "closed")):
        run_engine(bps.mv(shutter, word))
        assert shutter.read()["shutter_status"]["value"] == status
    with pytest.raises(ValueError, match='shutter takes "open" or "close", got \'Open\''):
        shutter.set("Open")
