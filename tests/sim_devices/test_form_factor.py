"""Scattering of dense spheres against independent results."""

import numpy as np
import pytest

from sim_devices import form_factor, structure_factor, verlet_weis

Q = np.linspace(1e-3, 0.08, 4000)


def test_sphere():
    """1 at q = 0, Guinier's law beyond, and a zero where tan x = x."""
    assert form_factor(1e-4, 250.0) == pytest.approx(1, abs=1e-4)
    assert form_factor(0.002, 250.0) == pytest.approx(np.exp(-((0.002 * 125) ** 2) / 5), abs=1e-4)
    assert form_factor(4.493409457909064 / 125, 250.0) < 1e-20


def test_spheres_do_not_overlap():
    """The pair correlation, S(q) transformed by quadrature, is 0 inside the core, in the mean and at the middle."""
    k = (np.arange(400_000) + 0.5) * 0.005  # in 1/diameter
    excess = structure_factor(k / 250.0, 250.0, 0.45) - 1
    r = np.linspace(0.3, 0.8, 40)
    density = 6 * 0.45 / np.pi
    g = 1 + (np.sin(np.outer(r, k)) @ (k * excess)) * 0.005 / (2 * np.pi**2 * density * r)
    assert np.abs(g).max() < 0.02


def test_peak_at_freezing():
    """Hansen and Verlet (Phys. Rev. 184, 151, 1969): a liquid freezes when the peak of S(q) is 2.85 high."""
    peak = verlet_weis(Q, 250.0, 0.494)
    assert peak.max() == pytest.approx(2.85, rel=0.02)
    assert Q[peak.argmax()] * 250 == pytest.approx(7.0, rel=0.01)
