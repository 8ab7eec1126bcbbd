from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ainerd_xpcs.dynamics import Dynamics, g1_squared
from ainerd_xpcs.numerics import fit_flow
from ainerd_xpcs.numerics._flow import Kind
from ainerd_xpcs.numerics._flow_model import Ring, _fringe, _profile, _sinc, model

PHI = np.arange(10.0, 360, 20)
Q = 0.024


@pytest.mark.fault("A fluid decays before the first lag, and its bins differ by chance", "The fit of the flow finishes")
@settings(max_examples=8, deadline=None)
@example(16, 0.0002, 0.7, 0.0, 17.94, 0.005, 10)
@example(40, 0.0009, 0.5, 0.0, 0.46, 0.248, 64)
@example(8, 0.0005, 0.5, 0.9, 1.67, 3.151, 31)
@given(
    n_lag=st.sampled_from([8, 16, 40]),
    of_run=st.floats(1e-4, 10),
    exponent=st.floats(0.4, 2.0),
    static=st.sampled_from([0.0, 0.3, 0.9]),
    fringes=st.floats(0.01, 1000),
    noise=st.floats(0.001, 3.0),
    seed=st.integers(0, 99),
)
def test_whatever_bins_show_a_fit_comes_to_an_end(n_lag, of_run, exponent, static, fringes, noise, seed):
    """The fit also ends if a start leads to complete decay before the first lag, where g2 depends on nothing."""
    tau = np.geomspace(0.5, 500, n_lag)
    dynamics = Dynamics(
        family="flow", tau_s=500 * of_run, exponent=exponent, static=static, flow_rad_s=fringes / 500, flow_deg=0.0
    )
    g2 = 1 + 0.2 * g1_squared(dynamics, np.r_[0, tau], PHI)[:, 0, 1:]
    rng, roi = np.random.default_rng(seed), np.repeat(np.arange(18), 8)
    parts = (g2 + 0.2 * noise * rng.standard_normal(g2.shape))[roi] + 0.01 * noise * rng.standard_normal((144, n_lag))
    flow = fit_flow(tau, parts.reshape(18, 8, -1).mean(1), PHI, Q, parts=parts, part_roi=roi)
    assert flow.kind in get_args(Kind) and np.isfinite(flow.flow_bic)


def small_ring(half=0.0, correlated=False, q_spread=0.0):
    """A ring of four bins of different q, with values, weights and correlated lags drawn at random."""
    rng, angle, lag = (
        np.random.default_rng(3),
        np.deg2rad([5.0, 50.0, 130.0, 200.0]),
        np.array([0.1, 0.3, 0.8, 2.0, 5.0]),
    )
    along = np.array([0.9, 1.0, 1.1, 1.0]) * np.stack([np.cos(angle), np.sin(angle)])
    mix = np.tril(rng.uniform(0.2, 1.0, (5, 5))) if correlated else np.eye(5)
    shape = rng.normal(1.1, 0.05, (4, 5)), rng.uniform(0.5, 2.0, (4, 5))
    return Ring(lag, angle, along[..., None] * lag, *shape, mix, half, np.full(5, q_spread))


# log tau, exponent, static, flow, spread, anisotropy, and the contrast of four bins
POINTS = np.array([
    [0.3, 1.2, 0.3, 0.5, -0.8, 0.0, 0.0, 0.0, 0.0, 0.2, 0.3, 0.1, 0.25],
    [-0.2, 0.7, 0.4, 0.2, 0.3, 0.3, 0.2, 0.2, -0.1, 0.2, 0.1, 0.3, 0.15],
])  # fmt: skip


def test_the_model_is_its_formula():
    ring = small_ring()
    y, _, shape = model(POINTS, ring, [])
    for x, values, shapes in zip(POINTS, y, shape, strict=True):
        (log_tau, exponent, static, u1, u2, w1, w2, a1, a2), contrast = x[:9], x[9:]
        for b, angle in enumerate(ring.angle):
            for j, lag in enumerate(ring.lag):
                r1, r2 = ring.reach[:, b, j]
                tau = np.exp(log_tau - a1 * np.cos(2 * angle) - a2 * np.sin(2 * angle))
                g = np.exp(-((lag / tau) ** exponent)) * np.sinc(np.sqrt(3) * (w1 * r1 + w2 * r2) / np.pi)
                field = abs((1 - static) * g * np.exp(1j * (u1 * r1 + u2 * r2)) + static) ** 2
                assert shapes[b, j] == pytest.approx(field, rel=1e-4)
                assert values[b, j] == pytest.approx(1 + contrast[b] * field, rel=1e-4)


@pytest.mark.parametrize(("half", "q_spread"), [(0.0, 0.0), (0.15, 0.1)])
def test_the_derivatives_are_those_of_differences(half, q_spread):
    ring, step = small_ring(half, q_spread=q_spread), 1e-6
    _, slopes, by_contrast = model(POINTS, ring, [*range(9)])
    for i in range(13):
        more, less = POINTS.copy(), POINTS.copy()
        more[:, i] += step
        less[:, i] -= step
        difference = (model(more, ring, [])[0] - model(less, ring, [])[0]) / (2 * step)
        derivative = slopes[:, i] if i < 9 else np.eye(4)[i - 9][None, :, None] * by_contrast
        assert derivative == pytest.approx(difference, rel=1e-5, abs=1e-8), i
    x = np.array([-1.2, -4e-4, 0.0, 5e-4, 0.3, 4.0])
    value, slope = _sinc(x)
    assert value == pytest.approx(np.sinc(x / np.pi))
    assert slope == pytest.approx((np.sinc((x + step) / np.pi) - np.sinc((x - step) / np.pi)) / (2 * step), abs=1e-7)


def test_fringes_and_profiles_are_the_mean_over_a_bin():
    ring, off = small_ring(0.12, q_spread=0.08), np.linspace(-0.12, 0.12, 101)
    u1, u2, qs = np.array(0.6), np.array(-0.5), np.linspace(0.92, 1.08, 41)[:, None]
    fringe, _ = _fringe(u1, u2, ring)
    (one, _), (two, _) = _profile(u1, u2, ring)
    for b, angle in enumerate(ring.angle):
        q = np.hypot(*ring.reach[:, b, 0]) / ring.lag[0]
        phase = (q * qs * (u1 * np.cos(angle + off) + u2 * np.sin(angle + off))) * ring.lag[:, None, None]
        sinc = np.sinc(np.sqrt(3) * phase / np.pi)
        for seen, true in ((fringe, np.cos(phase)), (one, sinc), (two, sinc**2)):
            assert seen[b] == pytest.approx(true.mean((1, 2)), abs=4e-3)
