import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ainerd.dynamics import Dynamics, g1_squared
from ainerd.xpcs import fit_flow

PHI = np.arange(10.0, 360, 20)
LAGS = np.r_[np.arange(1, 16), np.concatenate([np.arange(8, 16) * 2**level for level in range(1, 7)])]
Q = 0.024


def movie(noise, *, tau=3.0, exponent=1.0, static=0.3, qv=2.0, direction=90.0):
    dynamics = Dynamics(family="flow", tau_s=tau, exponent=exponent, static=static, flow_rad_s=qv, flow_deg=direction)
    t = np.r_[0, LAGS] * 0.01
    g2 = 1 + 0.2 * g1_squared(dynamics, t, PHI)[:, 0, 1:]
    return t[1:], g2 + np.random.default_rng(0).normal(0, 1, g2.shape) * noise


SAMPLES = [
    {},
    {"exponent": 1.5, "qv": 5.0, "direction": 40.0},
    {"tau": 1.0, "exponent": 0.7, "static": 0.5, "qv": 10.0, "direction": 170.0},
    {"tau": 0.3, "qv": 20.0, "direction": 60.0},
    {"tau": 2.0, "static": 0.8, "qv": 12.0, "direction": 33.0},
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_velocity_direction_and_relaxation_are_recovered(sample):
    truth = {"tau": 3.0, "exponent": 1.0, "static": 0.3, "qv": 2.0, "direction": 90.0} | sample
    tau, g2 = movie(0.0, **sample)
    found = fit_flow(tau, g2, PHI, Q)
    assert found.kind == "velocity"
    assert found.velocity == pytest.approx(truth["qv"] / Q, rel=0.02)
    assert found.flow_direction == pytest.approx(truth["direction"], abs=1.0)
    assert found.static == pytest.approx(truth["static"], abs=0.01)
    assert found.tau == pytest.approx(truth["tau"], rel=0.02)
    assert found.exponent == pytest.approx(truth["exponent"], rel=0.02)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("sample", SAMPLES)
def test_errors_match_the_deviations_with_noise(sample, weighted):
    truth = {"tau": 3.0, "static": 0.3, "qv": 2.0, "direction": 90.0} | sample
    tau, g2 = movie(0.005, **sample)
    g2[2, 5] = np.nan
    found = fit_flow(tau, g2, PHI, Q, np.full(g2.shape, 0.005) if weighted else None)
    assert found.kind == "velocity"
    assert found.velocity == pytest.approx(truth["qv"] / Q, rel=0.05)
    assert abs(found.velocity - truth["qv"] / Q) < 4 * found.velocity_err < 0.1 * found.velocity
    assert abs(found.flow_direction - truth["direction"]) < 4 * found.flow_direction_err
    assert abs(found.static - truth["static"]) < 4 * found.static_err
    assert abs(found.tau - truth["tau"]) < 4 * found.tau_err
    assert found.chi2 == pytest.approx(1 if weighted else 0.005**2, rel=0.15)


def test_several_q_in_one_fit_share_the_velocity():
    tau, near = movie(0.0, qv=2.0)
    _, far = movie(0.0, qv=3.0)
    found = fit_flow(tau, np.vstack([near, far]), np.tile(PHI, 2), np.repeat([Q, 1.5 * Q], 18))
    assert found.kind == "velocity" and found.velocity == pytest.approx(2.0 / Q, rel=0.01)


@pytest.mark.parametrize("tau", [0.1, 3.0, 30.0])
def test_no_flow_is_reported_as_none(tau):
    assert fit_flow(*movie(0.005, static=0.0, tau=tau), PHI, Q).kind == "none"


def test_data_that_cannot_be_fitted_give_kind_none():
    tau, g2 = movie(0.0)
    nothing = fit_flow(tau, np.full_like(g2, np.nan), PHI, Q)
    assert nothing.kind == "none" and np.isnan(nothing.velocity)
    flat = fit_flow(tau, 1 + np.random.default_rng(1).normal(0, 0.005, g2.shape), PHI, Q)
    assert flat.kind == "none"


@pytest.mark.fault("A fluid decays before the first lag, and its bins differ by chance", "The fit of the flow finishes")
@settings(max_examples=20, deadline=None)
@example(16, 0.0002, 0.7, 0.0, 17.94, 0.005, True, 10)
@example(40, 0.0009, 0.5, 0.0, 0.46, 0.248, False, 64)
@example(8, 0.0005, 0.5, 0.9, 1.67, 3.151, False, 31)
@given(
    n_lag=st.sampled_from([8, 16, 40]),
    of_run=st.floats(1e-4, 10),
    exponent=st.floats(0.4, 2.0),
    static=st.sampled_from([0.0, 0.3, 0.9]),
    fringes=st.floats(0.01, 1000),
    noise=st.floats(0.001, 3.0),
    is_known=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_bins_show_a_fit_comes_to_an_end(n_lag, of_run, exponent, static, fringes, noise, is_known, seed):
    """The fit also ends if a start leads to complete decay before the first lag, where g2 depends on nothing."""
    tau = np.geomspace(0.5, 500, n_lag)
    dynamics = Dynamics(
        family="flow", tau_s=500 * of_run, exponent=exponent, static=static, flow_rad_s=fringes / 500, flow_deg=0.0
    )
    g2 = 1 + 0.2 * g1_squared(dynamics, np.r_[0, tau], PHI)[:, 0, 1:]
    g2 += 0.2 * noise * np.random.default_rng(seed).standard_normal(g2.shape)
    found = fit_flow(tau, g2, PHI, Q, np.full(g2.shape, 0.2 * noise) if is_known else None)
    assert found.kind in ("none", "velocity", "spread", "anisotropy") and np.isfinite(found.chi2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phi": PHI[:4]}, "does not fit"),
        ({"q": -1.0}, "q must be positive"),
        ({"error": np.ones(3)}, "errors of shape"),
    ],
)
def test_inconsistent_arguments_are_named(change, message):
    tau, g2 = movie(0.0)
    with pytest.raises(ValueError, match=message):
        fit_flow(**({"tau": tau, "g2": g2, "phi": PHI, "q": Q} | change))
