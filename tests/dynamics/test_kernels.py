"""Kernels against their analytic values, and the properties every kernel must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd.dynamics import FAMILIES, Dynamics, clock, draw, g1_moving, g1_squared, phase, reduced_g1_squared

families = st.sampled_from(sorted(FAMILIES))
seeds = st.integers(0, 2**32 - 1)
durations = st.floats(0.1, 1e4)
plain = {"family": "fluid", "tau_s": 3.0}


def drawn(family, seed, duration):
    return draw(family, np.random.default_rng(seed), duration)


@settings(max_examples=60, deadline=None)
@given(families, seeds, durations)
def test_kernels_are_symmetric_bounded_and_one_on_the_diagonal(family, seed, duration):
    kernel = g1_squared(drawn(family, seed, duration), np.linspace(0, duration, 40), (0.0, 77.0, 90.0))
    assert kernel.shape == (3, 40, 40)
    assert np.allclose(kernel, kernel.swapaxes(1, 2))
    assert np.allclose(np.diagonal(kernel, axis1=1, axis2=2), 1)
    assert kernel.min() > -1e-12 and kernel.max() < 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(families, seeds, durations)
def test_kernels_are_positive_definite(family, seed, duration):
    """The moving field's g1, and |g1|², are covariances: without this no speckle could show them."""
    dynamics, t = drawn(family, seed, duration), np.linspace(0, duration, 50)
    s = clock(dynamics, t)
    assert np.linalg.eigvalsh(g1_moving(dynamics, s[:, None], s)).min() > -1e-9
    assert np.linalg.eigvalsh(g1_squared(dynamics, t, (30.0,))[0]).min() > -1e-9


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 2), st.floats(0, 0.95), seeds)
def test_any_allowed_exponent_is_positive_definite_on_any_clock(exponent, plateau, seed):
    dynamics = Dynamics(**plain, exponent=exponent, plateau=plateau)
    s = np.random.default_rng(seed).normal(0, 3, 40)
    assert np.linalg.eigvalsh(g1_moving(dynamics, s[:, None], s)).min() > -1e-9


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(set(FAMILIES) - {"echo"})), seeds, durations)
def test_clock_starts_at_zero_and_never_goes_back(family, seed, duration):
    s = clock(drawn(family, seed, duration), np.linspace(0, duration, 200))
    assert abs(s[0]) < 1e-12
    assert np.all(np.diff(s) > 0)


@pytest.mark.parametrize("ageing", [0.0, 0.5, 1.0, 1.0 + 1e-7, 1.7])
def test_clock_is_the_integral_of_the_rate(ageing):
    dynamics = Dynamics(**plain, ageing=ageing, ageing_onset_s=12.0, age_s=5.0)
    t = np.linspace(0, 50, 20001)
    rate = 1 / (3.0 * (1 + (5.0 + t) / 12.0) ** ageing)
    integral = np.r_[0, np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(t))]
    assert np.allclose(clock(dynamics, t), integral, rtol=1e-6, atol=1e-6)


def test_clock_jumps_at_avalanches_and_swings_with_the_echo():
    t = np.array([0.0, 9.999, 10.0, 20.0])
    dynamics = Dynamics(**plain, events=((10.0, 0.7), (15.0, 0.2)))
    assert np.allclose(clock(dynamics, t) - t / 3, [0, 0, 0.7, 0.9])
    swinging = Dynamics(**plain, echo=(1.1, 0.25))
    assert np.allclose(clock(swinging, [0, 1, 2, 3]) - np.arange(4) / 3, [0, 1.1, 0, -1.1])


def test_stationary_kernel_is_the_stretched_exponential():
    t = np.linspace(0, 30, 31)
    dynamics = Dynamics(**plain, exponent=1.4, plateau=0.3)
    lag = np.abs(t[:, None] - t)
    assert np.allclose(g1_squared(dynamics, t)[0], (0.3 + 0.7 * np.exp(-((lag / 3) ** 1.4))) ** 2)


def test_heterodyne_fringes():
    """Without relaxation |g1|² = 1 - 2 x (1 - x) (1 - cos(phase difference)), which is 1 across the flow."""
    t = np.linspace(0, 10, 101)
    dynamics = Dynamics(family="flow", tau_s=1e12, static=0.3, flow_rad_s=2.0, flow_deg=90)
    along, across, against = g1_squared(dynamics, t, (90, 0, 270))
    difference = 2.0 * (t[:, None] - t)
    assert np.allclose(along, 1 - 2 * 0.3 * 0.7 * (1 - np.cos(difference)))
    assert np.allclose(across, 1)
    assert np.allclose(along, against)  # Friedel
    assert np.allclose(phase(dynamics, t, [90, 150])[:, -1], [20, 10])
    assert dynamics.is_heterodyne and not Dynamics(**plain).is_heterodyne


def test_heterodyne_against_fields_drawn_at_random():
    """|<E1 E2*>|² of a static and a turning field, summed over many speckles."""
    rng = np.random.default_rng(0)
    dynamics = Dynamics(family="flow", tau_s=4.0, static=0.4, flow_rad_s=1.3, flow_deg=60)
    t, phi = np.array([0.0, 0.5, 2.0, 6.0]), 85.0
    s = clock(dynamics, t)
    root = np.linalg.cholesky(g1_moving(dynamics, s[:, None], s))
    noise = rng.standard_normal((2, 5, 200000))
    z = (noise[0] + 1j * noise[1]) / np.sqrt(2)
    turning = np.exp(1j * phase(dynamics, t, phi)[0])[:, None] * (root @ z[:4])
    field = np.sqrt(0.6) * turning + np.sqrt(0.4) * z[4]
    measured = np.abs(field @ field.conj().T / z.shape[1]) ** 2
    assert np.allclose(measured, g1_squared(dynamics, t, phi)[0], atol=0.012)


def test_reduced_map_is_the_mean_over_its_cells():
    dynamics = Dynamics(family="avalanche", tau_s=20, exponent=1.2, events=((21.0, 1.5),))
    reduced = reduced_g1_squared(dynamics, 50.0, 8, (0.0, 90.0), oversample=64)
    t = (np.arange(2000) + 0.5) * 50 / 2000
    brute = g1_squared(dynamics, t)[0].reshape(8, 250, 8, 250).mean((1, 3))
    assert reduced.shape == (2, 8, 8)
    assert np.allclose(reduced[0], brute, atol=2e-3)


@pytest.mark.parametrize(
    "changes", [{"tau_s": 0}, {"exponent": 0}, {"exponent": 2.1}, {"plateau": 1.1}, {"static": -0.1}]
)
def test_impossible_parameters_are_named(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Dynamics(**(plain | changes))
