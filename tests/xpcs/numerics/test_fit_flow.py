import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from ainerd_xpcs.dynamics import Dynamics, g1_squared
from ainerd_xpcs.numerics import fit_flow
from ainerd_xpcs.numerics._flow import FREE
from ainerd_xpcs.numerics._flow_model import Ring, _fringe, _normal, _sinc, model

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
    flow = fit_flow(tau, g2, PHI, Q)
    assert flow.kind == "velocity"
    assert flow.velocity == pytest.approx(truth["qv"] / Q, rel=0.02)
    assert flow.flow_direction == pytest.approx(truth["direction"], abs=1.0)
    assert flow.static == pytest.approx(truth["static"], abs=0.01)
    assert flow.tau == pytest.approx(truth["tau"], rel=0.02)
    assert flow.exponent == pytest.approx(truth["exponent"], rel=0.02)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("sample", SAMPLES)
def test_errors_match_the_deviations_with_noise(sample, weighted):
    truth = {"tau": 3.0, "static": 0.3, "qv": 2.0, "direction": 90.0} | sample
    tau, g2 = movie(0.005, **sample)
    g2[2, 5] = np.nan
    flow = fit_flow(tau, g2, PHI, Q, np.full(g2.shape, 0.005) if weighted else None)
    assert flow.kind == "velocity"
    assert flow.velocity == pytest.approx(truth["qv"] / Q, rel=0.05)
    assert abs(flow.velocity - truth["qv"] / Q) < 4 * flow.velocity_err < 0.1 * flow.velocity
    assert abs(flow.flow_direction - truth["direction"]) < 4 * flow.flow_direction_err
    assert abs(flow.static - truth["static"]) < 4 * flow.static_err
    assert abs(flow.tau - truth["tau"]) < 4 * flow.tau_err
    assert flow.chi2 == pytest.approx(1 if weighted else 0.005**2, rel=0.15)


def test_several_q_in_one_fit_share_the_velocity():
    tau, near = movie(0.0, qv=2.0)
    _, far = movie(0.0, qv=3.0)
    flow = fit_flow(tau, np.vstack([near, far]), np.tile(PHI, 2), np.repeat([Q, 1.5 * Q], 18))
    assert flow.kind == "velocity" and flow.velocity == pytest.approx(2.0 / Q, rel=0.01)


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
@settings(max_examples=8, deadline=None)
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
    flow = fit_flow(tau, g2, PHI, Q, np.full(g2.shape, 0.2 * noise) if is_known else None)
    assert flow.kind in ("none", "velocity", "spread", "anisotropy") and np.isfinite(flow.chi2)


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


def small_ring(half=(0.0, 0.0), correlated=False):
    """A ring of four bins of different q, with values, weights and correlated lags drawn at random."""
    rng, angle, lag = (
        np.random.default_rng(3),
        np.deg2rad([5.0, 50.0, 130.0, 200.0]),
        np.array([0.1, 0.3, 0.8, 2.0, 5.0]),
    )
    along = np.array([0.9, 1.0, 1.1, 1.0]) * np.stack([np.cos(angle), np.sin(angle)])
    mix = np.tril(rng.uniform(0.2, 1.0, (5, 5))) if correlated else None
    shape = rng.normal(1.1, 0.05, (4, 5)), rng.uniform(0.5, 2.0, (4, 5))
    return Ring(lag, angle, along[..., None] * lag, *shape, mix, half)


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
                g = np.exp(-((lag / tau) ** exponent) - (w1 * r1 + w2 * r2) ** 2 / 2)
                field = abs((1 - static) * g * np.exp(1j * (u1 * r1 + u2 * r2)) + static) ** 2
                assert shapes[b, j] == pytest.approx(field) and values[b, j] == pytest.approx(1 + contrast[b] * field)


@pytest.mark.parametrize("half", [(0.0, 0.0), (0.15, 0.1)])
def test_the_derivatives_are_those_of_differences(half):
    ring, step = small_ring(half), 1e-6
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


def test_fringes_are_the_mean_over_the_width_of_a_bin():
    """Of the cosine over azimuth and q, with the weight that faster relaxation leaves to larger q."""
    ring = small_ring((0.12, 0.08))
    off, far = (np.linspace(-w, w, 201) for w in ring.half)
    u1, u2 = 0.6, -0.5
    for z in (0.0, 1.0):
        fringe, _, _ = _fringe(np.array(u1), np.array(u2), np.full(ring.value.shape, z), ring)
        for b, angle in enumerate(ring.angle):
            q = np.hypot(*ring.reach[:, b, 0]) / ring.lag[0]
            at, scale = (x.ravel() for x in np.meshgrid(angle + off, 1 + far))
            phase = q * scale * (u1 * np.cos(at) + u2 * np.sin(at)) * ring.lag[:, None]
            weight = np.exp(-z * (scale**2 - 1))
            assert fringe[b] == pytest.approx((np.cos(phase) * weight).sum(1) / weight.sum(), abs=3e-3)


@pytest.mark.parametrize("kind", FREE)
def test_the_normal_equations_are_those_of_the_whitened_derivatives(kind):
    ring, free = small_ring((0.1, 0.05), correlated=True), FREE[kind]
    chi2, normal, gradient = _normal(POINTS, ring, free)
    y, slopes, by_contrast = model(POINTS, ring, free)
    for k in range(2):
        jacobian = np.concatenate([slopes[k], np.eye(4)[:, :, None] * by_contrast[k]]) * ring.weight @ ring.mix.T
        residual = ((y[k] - ring.value) * ring.weight) @ ring.mix.T
        flat = jacobian.reshape(len(jacobian), -1)
        assert chi2[k] == pytest.approx((residual**2).sum()) and normal[k] == pytest.approx(flat @ flat.T)
        assert gradient[k] == pytest.approx(flat @ residual.ravel())


def test_errors_and_criterion_are_those_of_least_squares():
    tau, g2 = movie(0.003)
    flow = fit_flow(tau, g2, PHI, Q, error := np.full(g2.shape, 0.003))

    def residual(x):
        log_tau, exponent, static, u1, u2 = x[:5]
        along = u1 * np.cos(np.deg2rad(PHI)) + u2 * np.sin(np.deg2rad(PHI))
        g = np.exp(-((tau / np.exp(log_tau)) ** exponent))
        field = ((1 - static) * g) ** 2 + static**2 + 2 * static * (1 - static) * g * np.cos(along[:, None] * tau)
        return ((1 + x[5:, None] * field - g2) / error).ravel()

    best = least_squares(residual, [np.log(3.0), 1.0, 0.3, 0.0, 2.0, *18 * [0.2]])
    covariance = np.linalg.inv(best.jac.T @ best.jac)
    speed, sd = np.hypot(*best.x[3:5]) / Q, np.sqrt(np.diag(covariance))
    along = best.x[3:5] / np.hypot(*best.x[3:5])
    assert flow.velocity == pytest.approx(speed, rel=1e-3)
    assert flow.velocity_err == pytest.approx(np.sqrt(along @ covariance[3:5, 3:5] @ along) / Q, rel=0.01)
    across = np.array([-along[1], along[0]])
    turn = np.sqrt(across @ covariance[3:5, 3:5] @ across) / np.hypot(*best.x[3:5])
    assert flow.flow_direction_err == pytest.approx(np.rad2deg(turn), rel=0.01)
    assert (flow.static, flow.static_err) == pytest.approx((best.x[2], sd[2]), rel=0.01)
    assert (flow.tau, flow.tau_err) == pytest.approx((np.exp(best.x[0]), np.exp(best.x[0]) * sd[0]), rel=0.01)
    assert (flow.exponent, flow.contrast) == pytest.approx((best.x[1], best.x[5:].mean()), rel=1e-3)
    assert flow.chi2 == pytest.approx(2 * best.cost / (g2.size - 23), rel=1e-4)
    still = least_squares(lambda x: residual(np.r_[x[:3], 0, 0, x[3:]]), [np.log(3.0), 1.0, 0.3, *18 * [0.2]])
    gain = 2 * still.cost - 2 * best.cost - 2 * np.log(g2.size)
    assert flow.flow_bic <= gain * (1 + 1e-4) and flow.flow_bic > 0.3 * gain  # an anisotropy describes a part of it
    assert flow.flow_p < 1e-6
