"""Kernels compared with analytic values, and properties that every kernel must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.dynamics import FAMILIES, Dynamics, clock, draw, g1, g1_moving, g1_squared, phase, reduced_g1_squared

families = st.sampled_from(sorted(FAMILIES))
seeds = st.integers(0, 2**32 - 1)
azimuths = st.floats(-360, 360)
plain = {"family": "fluid", "tau_s": 3.0}
T = np.linspace(0, 30, 31)
LAG = np.abs(T[:, None] - T)


def drawn(family, seed):
    return draw(family, np.random.default_rng(seed))


@settings(max_examples=100, deadline=None)
@given(families, seeds, azimuths)
def test_kernels_are_positive_definite(family, seed, phi):
    """g1 of the field and |g1|² must be covariances, or no speckle could have them."""
    dynamics, t = drawn(family, seed), np.linspace(0, 1, 50)
    field, squared = g1(dynamics, t, [phi])[0], g1_squared(dynamics, t, [phi])[0]
    assert np.allclose(field, field.conj().T)
    assert np.allclose(np.abs(field) ** 2, squared)
    assert np.linalg.eigvalsh(field).min() > -1e-9
    assert np.linalg.eigvalsh(squared).min() > -1e-9


@settings(max_examples=60, deadline=None)
@given(families, seeds, azimuths)
def test_opposite_azimuths_see_the_same(family, seed, phi):
    """Friedel: the field's correlation is conjugate at phi + 180, its square the same."""
    dynamics, t = drawn(family, seed), np.linspace(0, 1, 30)
    here, opposite = g1(dynamics, t, [phi, phi + 180])
    assert np.allclose(here, opposite.conj(), atol=1e-9)
    assert np.allclose(*g1_squared(dynamics, t, [phi, phi + 180]), atol=1e-9)


def test_stationary_kernel_is_the_stretched_exponential():
    dynamics = Dynamics(**plain, exponent=1.4, plateau=0.3)
    assert np.allclose(g1_squared(dynamics, T)[0], (0.3 + 0.7 * np.exp(-((LAG / 3) ** 1.4))) ** 2)


def test_heterodyne_fringes():
    """Without relaxation |g1|² = 1 - 2 x (1 - x) (1 - cos(phase difference)), which is 1 across the flow."""
    dynamics = Dynamics(family="flow", tau_s=1e12, static=0.3, flow_rad_s=2.0, flow_deg=90)
    along, across, against = g1_squared(dynamics, T, (90, 0, 270))
    difference = 2.0 * (T[:, None] - T)
    assert np.allclose(along, 1 - 2 * 0.3 * 0.7 * (1 - np.cos(difference)))
    assert np.allclose(across, 1)
    assert np.allclose(along, against)  # Friedel
    assert np.allclose(phase(dynamics, [10.0], [90, 150])[:, 0], [20, 10])
    assert dynamics.is_heterodyne and not Dynamics(**plain).is_heterodyne


def test_a_kernel_agrees_with_random_fields():
    """<E1 E2*> of a static field and two that turn, each with its own clock, summed over many speckles."""
    rng = np.random.default_rng(0)
    band = Dynamics(family="flow", tau_s=9.0, flow_rad_s=-0.4, flow_deg=20, plateau=0.3)
    flow = {"static": 0.4, "flow_rad_s": 1.3, "flow_deg": 60, "second": band, "second_share": 0.3}
    dynamics = Dynamics(family="banded", tau_s=4.0, anisotropy=0.5, anisotropy_deg=85, **flow)
    t, phi = np.array([0.0, 0.5, 2.0, 6.0]), 85.0

    def draw_fields(n):
        noise = rng.standard_normal((2, n, 200000))
        return (noise[0] + 1j * noise[1]) / np.sqrt(2)

    field = np.sqrt(0.4) * draw_fields(1)
    for power, part, faster in ((0.6 * 0.7, dynamics, 1.5), (0.6 * 0.3, band, 1.0)):
        s = faster * clock(part, t)
        turn = np.exp(1j * phase(part, t, phi)[0])[:, None]
        field = field + np.sqrt(power) * turn * (np.linalg.cholesky(g1_moving(part, s[:, None], s)) @ draw_fields(4))
    measured = field @ field.conj().T / field.shape[1]
    assert np.allclose(measured, g1(dynamics, t, phi)[0], atol=0.008)
    assert np.allclose(np.abs(measured) ** 2, g1_squared(dynamics, t, phi)[0], atol=0.012)


def test_reduced_map_is_the_mean_over_its_cells():
    band = Dynamics(family="flow", tau_s=20, flow_rad_s=0.2)
    for dynamics in (
        Dynamics(family="avalanche", tau_s=20, exponent=1.2, events=((21.0, 1.5),)),
        Dynamics(family="banded", tau_s=20, flow_rad_s=0.5, second=band, second_share=0.5, anisotropy=0.3),
    ):
        reduced = reduced_g1_squared(dynamics, 50.0, 8, (0.0, 90.0), oversample=64)
        t = (np.arange(2000) + 0.5) * 50 / 2000
        brute = np.stack([g1_squared(dynamics, t, [phi])[0].reshape(8, 250, 8, 250).mean((1, 3)) for phi in (0, 90)])
        assert reduced.shape == (2, 8, 8)
        assert np.allclose(reduced, brute, atol=2e-3)


@pytest.mark.parametrize(
    "changes", [{"tau_s": 0}, {"exponent": 2.1}, {"events": ((3.0, -1.0),)}, {"second": Dynamics(**plain, static=0.5)}]
)
def test_impossible_parameters_are_named(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Dynamics(**(plain | changes))
