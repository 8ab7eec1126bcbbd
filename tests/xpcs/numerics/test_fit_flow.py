import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ainerd_xpcs.dynamics import Dynamics, g1_squared
from ainerd_xpcs.numerics import fit_flow

PHI = np.arange(10.0, 360, 20)
Q = 0.024


@pytest.mark.fault("A fluid decays before the first lag, and its bins differ by chance", "The fit of the flow finishes")
@settings(max_examples=8, deadline=None)
@example(16, 0.0002, 0.7, 0.0, 17.94, 0.005, 10)
@example(40, 0.0009, 0.5, 0.0, 0.46, 0.248, 64)
@example(8, 0.0005, 0.5, 0.9, 1.67, 3.151, 31)
@given(
    n_lag=st.sampled_from([8, 16, 40]), of_run=st.floats(1e-4, 10), exponent=st.floats(0.4, 2.0),
    static=st.sampled_from([0.0, 0.3, 0.9]), fringes=st.floats(0.01, 1000), noise=st.floats(0.001, 3.0),
    seed=st.integers(0, 99),
)  # fmt: skip
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
    assert flow.kind in ("none", "velocity", "spread", "anisotropy", "unknown") and np.isfinite(flow.flow_bic)
