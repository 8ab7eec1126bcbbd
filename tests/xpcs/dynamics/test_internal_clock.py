"""The internal clock compared with closed forms, and with adaptive quadrature for combined mechanisms."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from ainerd_xpcs.dynamics import Dynamics, clock, rate_factor

plain = {"family": "fluid", "tau_s": 3.0}
T = np.linspace(0, 50, 501)


@settings(max_examples=60, deadline=None)
@given(
    ageing=st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-7, 1.7, 4.0]),
    ageing_onset_s=st.floats(0.01, 1e3),
    age_s=st.floats(0, 1e3),
    rejuvenation=st.lists(st.integers(0, 60), max_size=3).map(tuple),
    beam_speedup=st.sampled_from([0.0, 0.02, 3.0]),
    dose_s=st.floats(0, 200),
    arrest_s=st.sampled_from([0.03, 2.0, 100.0, inf]),
)
def test_the_clock_is_the_integral_of_the_rate(rejuvenation, **drawn):
    dynamics = d = Dynamics(**plain, rejuvenation=rejuvenation, **drawn)

    def rate(t, since):
        ageing = (1 + (d.age_s + t if since is None else t - since) / d.ageing_onset_s) ** -d.ageing
        return ageing * np.exp(-t / d.arrest_s) * (1 + d.beam_speedup * (d.dose_s + t)) / 3.0

    # Cut where the age begins anew, and geometrically after that, where the rate may fall fast.
    young = [0.0, *sorted(rejuvenation)]
    cuts = sorted({t for start in young for t in start + np.r_[0, np.geomspace(1e-3, 50, 25)] if t <= 50} | {50.0})
    total = 0.0
    for left, right in zip(cuts[:-1], cuts[1:], strict=True):
        since = max((start for start in rejuvenation if start <= left), default=None)
        total += quad(rate, left, right, args=(since,), epsabs=0, epsrel=1e-11)[0]
    assert clock(dynamics, [50.0])[0] == pytest.approx(total, rel=1e-9)


def test_the_clock_jumps_at_avalanches_and_oscillates_with_the_echo():
    t = np.array([0.0, 9.999, 10.0, 20.0])
    dynamics = Dynamics(**plain, events=((10.0, 0.7), (15.0, 0.2)))
    assert np.allclose(clock(dynamics, t) - t / 3, [0, 0, 0.7, 0.9])
    swinging = Dynamics(**plain, echo=(1.1, 0.25))
    assert np.allclose(clock(swinging, [0, 1, 2, 3]) - np.arange(4) / 3, [0, 1.1, 0, -1.1])


def test_the_rate_follows_the_second_harmonic_of_the_azimuth():
    dynamics = Dynamics(**plain, anisotropy=0.4, anisotropy_deg=30.0)
    np.testing.assert_allclose(rate_factor(dynamics, [30, 75, 120, 210, 255]), [1.4, 1, 0.6, 1.4, 1])
    np.testing.assert_allclose(rate_factor(Dynamics(**plain), [0, 50]), 1)
