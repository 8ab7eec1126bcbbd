"""Scatterers in a steady shear flow, against theory."""

import numpy as np
import pytest

from sim_devices import SteadyShear

BOX = 20_000.0


def paths(sample, t_s):
    return np.stack(list(sample.positions(np.asarray(t_s, dtype=float), BOX, np.random.default_rng(0))))


def test_layers_move_apart_by_the_integral_of_the_rate():
    sample = SteadyShear(rates=((1.0, 0.2), (3.0, 0.6)), velocity=100.0)
    moved = np.diff(paths(sample, np.arange(0, 4.01, 0.5))[[0, -1]], axis=0)[0]
    assert np.abs(moved[:, 0]).max() < 1e-9  # the flow is along the rows
    strain = 0.2 + 0.8 + 0.6
    assert moved[:, 1].std() == pytest.approx(strain * 3000 / np.sqrt(12), rel=0.03)
    assert np.ptp(moved[:, 1]) == pytest.approx(strain * 3000, rel=0.01)
    assert moved[:, 1].mean() == pytest.approx(400, abs=80)
    assert sample.rate([0.0, 2.0, 9.0]) == pytest.approx([0.2, 0.4, 0.6])


def test_diffusion_of_each_second():
    moved = np.diff(paths(SteadyShear(rates=((0.0, 0.0),), diffusion_nm2=50.0), [0, 1, 10.0])[[0, -1]], axis=0)
    assert moved.var() == pytest.approx(2 * 50 * 10, rel=0.05)
