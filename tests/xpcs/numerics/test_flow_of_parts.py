"""Fits of flow with errors from parts, on complex Gaussian fields simulated here."""

import numpy as np
import pytest
from scipy.stats import kstest

from ainerd_xpcs.numerics import fit_flow

N_FRAMES, PIXELS, PARTS = 256, 48, 12
LAGS = np.r_[np.arange(1, 16), np.concatenate([np.arange(8, 16) * 2**level for level in (1, 2, 3)])]


def fields(rng, rates, *, q_v=0.0, static=0.0):
    """Intensities (2 * PIXELS, T) of mean one; `rates` (T,) are decay rates of the field."""
    keep = np.exp(-rates)
    noise = rng.normal(size=(2, 2 * PIXELS, N_FRAMES))
    noise = (noise[0] + 1j * noise[1]) / np.sqrt(2)
    field = np.empty_like(noise)
    field[:, 0] = noise[:, 0]
    for t in range(1, N_FRAMES):
        field[:, t] = keep[t] * field[:, t - 1] + np.sqrt(1 - keep[t] ** 2) * noise[:, t]
    still = rng.normal(size=(2, 2 * PIXELS, 1))
    still = (still[0] + 1j * still[1]) / np.sqrt(2)
    field = np.sqrt(1 - static) * field * np.exp(1j * q_v * np.arange(N_FRAMES)) + np.sqrt(static) * still
    return np.abs(field) ** 2


def parts_of(intensity, rng, photons=2.0):
    """Products d d' by part, (PARTS, T, T), less one; a mean of two pixels halves the contrast."""
    counts = rng.poisson(photons * intensity.reshape(PIXELS, 2, -1).mean(1))
    d = counts / counts.mean(0) - 1
    return np.stack([e.T @ e / len(e) for e in np.split(d, PARTS)])


def ring(seed, phi, *, tau=40.0, direction=0.0, q_v=0.0, **sample):
    """Return g2, parts, and the bin of each part, for bins at `phi`."""
    rng = np.random.default_rng(seed)
    rates = np.full(N_FRAMES, 1 / tau)
    c2 = np.array(
        [parts_of(fields(rng, rates, q_v=q_v * np.cos(np.deg2rad(x - direction)), **sample), rng) for x in phi]
    )
    parts = 1 + np.array([np.diagonal(c2, lag, 2, 3).mean(-1) for lag in LAGS]).transpose(1, 2, 0)
    return parts.mean(1), parts.reshape(-1, len(LAGS)), np.repeat(np.arange(len(phi)), PARTS)


def correlated(rng, n_roi, contrast=0.2, noise=0.01):
    """Return g2, parts, and the bin of each part, for a relaxation with correlated noise."""
    curve = 1 + contrast * np.exp(-2 * LAGS / 20)
    walk = np.cumsum(rng.normal(size=(n_roi * PARTS, len(LAGS))), axis=1) / np.sqrt(len(LAGS))
    parts = curve + noise * (walk + rng.normal(size=(n_roi * PARTS, 1)) + 0.3 * rng.normal(size=walk.shape))
    return parts.reshape(n_roi, PARTS, -1).mean(1), parts, np.repeat(np.arange(n_roi), PARTS)


FULL, QUARTER = np.arange(10.0, 360, 20), np.arange(5.0, 90, 10)


@pytest.mark.parametrize(("phi", "direction"), [(FULL, 30.0), (FULL, 175.0), (QUARTER, 60.0)])
def test_a_flow_is_found_with_its_errors(phi, direction):
    value, parts, roi = ring(3, phi, q_v=0.12, direction=direction, static=0.4)
    flow = fit_flow(LAGS, value, phi, 0.02, parts=parts, part_roi=roi)
    assert flow.kind == "velocity" and flow.flow_p < 1e-4 and flow.flow_bic > 10
    assert flow.velocity == pytest.approx(6.0, rel=0.06)
    assert abs(flow.velocity - 6.0) < 3.5 * flow.velocity_err < 0.1 * 6.0 * 3.5
    off = (flow.flow_direction - direction + 90) % 180 - 90
    assert abs(off) < 3.5 * flow.flow_direction_err < 3.5 * 6
    assert np.isnan(flow.anisotropy) and np.isnan(flow.velocity_spread)
    in_seconds = fit_flow(0.01 * LAGS, value, phi, 0.02, parts=parts, part_roi=roi)
    assert in_seconds.velocity == pytest.approx(100 * flow.velocity, rel=1e-3)


def test_p_values_of_equal_bins_are_uniform():
    rng = np.random.default_rng(0)
    p = []
    for n_roi, phi in [(18, FULL), (9, QUARTER)] * 100:
        value, parts, roi = correlated(rng, n_roi)
        p.append(fit_flow(LAGS, value, phi, 0.02, parts=parts, part_roi=roi).flow_p)
    assert kstest(p, "uniform").pvalue > 0.001
    assert np.mean(np.array(p) < 0.05) < 0.11


def test_unequal_contrast_is_not_motion():
    value, parts, roi = correlated(np.random.default_rng(1), 18)
    unequal = 1 + 0.4 * np.cos(2 * np.deg2rad(FULL - 20))
    stretched = 1 + (parts - 1) * unequal[roi, None]
    flow = fit_flow(LAGS, 1 + (value - 1) * unequal[:, None], FULL, 0.02, parts=stretched, part_roi=roi)
    assert flow.kind == "none" and np.isnan(flow.velocity) and np.isnan(flow.anisotropy)


def angled(kind, size, direction, seed=0):
    """Return bins whose curves differ with azimuth, with noise."""
    angle = np.deg2rad(FULL - direction)[:, None]
    if kind == "spread":
        curve = 0.2 * np.exp(-2 * LAGS / 40) * np.sinc(np.sqrt(3) / np.pi * size * LAGS * np.cos(angle)) ** 2
    else:
        curve = 0.2 * np.exp(-2 * LAGS / (20 * np.exp(-size * np.cos(2 * angle))))
    value, parts, roi = correlated(np.random.default_rng(seed), 18, contrast=0.0)
    return value + curve, parts + curve[roi], roi


def test_a_spread_of_velocities_is_distinguished_from_a_flow():
    direction = 130.0
    value, parts, roi = angled("spread", 0.06, direction)
    flow = fit_flow(LAGS, value, FULL, 0.02, parts=parts, part_roi=roi)
    assert flow.kind == "spread" and np.isnan(flow.velocity) and flow.flow_misfit_p > 0.01
    assert abs(flow.velocity_spread - 3.0) < 4 * flow.velocity_spread_err < 1.2
    assert abs((flow.flow_direction - direction + 90) % 180 - 90) < 4 * flow.flow_direction_err < 20


GAP = (np.arange(200) + 0.5) / 200


@pytest.mark.parametrize(
    "profile",
    [np.where(GAP < 0.3, 3 * GAP, 0.9 + (GAP - 0.3) / 7), 4 * GAP * (1 - GAP), np.where(GAP < 0.5, GAP / 2, 1.0)],
    ids=["90 % of the shear in 30 % of the gap", "Poiseuille", "a sheared band and a plug"],
)
def test_a_profile_that_no_model_has_gets_a_direction_and_no_velocity(profile):
    turned = np.exp(0.3j * LAGS[:, None] * np.cos(np.deg2rad(FULL - 40))[:, None, None] * profile).mean(-1)
    curve = 0.2 * np.exp(-2 * LAGS / 60) * np.abs(turned) ** 2
    value, parts, roi = correlated(np.random.default_rng(0), 18, contrast=0.0)
    flow = fit_flow(LAGS, value + curve, FULL, 0.02, parts=parts + curve[roi], part_roi=roi)
    assert flow.kind == "unknown" and flow.flow_p < 1e-4 and flow.flow_misfit_p < 0.01
    assert np.isnan([flow.velocity, flow.velocity_spread, flow.anisotropy]).all()
    assert abs((flow.flow_direction - 40 + 90) % 180 - 90) < 4 * flow.flow_direction_err < 20


def test_an_anisotropic_relaxation_is_not_a_flow():
    direction = 5.0
    value, parts, roi = angled("anisotropy", 0.4, direction)
    flow = fit_flow(LAGS, value, FULL, 0.02, parts=parts, part_roi=roi)
    assert (
        flow.kind == "anisotropy"
        and flow.flow_misfit_p > 0.01
        and flow.anisotropy_p < 1e-4
        and np.isnan(flow.velocity_spread)
    )
    assert abs(flow.anisotropy - 0.4) < 4 * flow.anisotropy_err < 0.3
    assert abs((flow.anisotropy_direction - direction + 90) % 180 - 90) < 4 * flow.anisotropy_direction_err < 20


def test_wide_bins_lower_the_fringes():
    fine, q = np.linspace(-0.5, 0.5, 41)[:, None, None, None], np.linspace(0.9, 1.1, 41)[:, None, None]
    phi = np.deg2rad(FULL + 20 * fine[..., 0])[..., None]
    g = np.exp(-LAGS / 40)
    curve = 0.2 * (0.36 * g * g + 0.16 + 0.48 * g * np.cos(0.15 * q * LAGS * np.cos(phi - 0.7))).mean((0, 1))
    roi = np.repeat(np.arange(18), PARTS)
    parts = 1 + curve[roi] + np.random.default_rng(0).normal(0, 3e-4, (len(roi), len(LAGS)))
    value = parts.reshape(18, PARTS, -1).mean(1)
    flow = fit_flow(LAGS, value, FULL, 0.02, parts=parts, part_roi=roi, phi_width=20.0, q_spread=0.1)
    assert flow.velocity == pytest.approx(7.5, rel=2e-3)


def test_parts_that_do_not_fit_are_named():
    value, parts, roi = correlated(np.random.default_rng(2), 18)
    with pytest.raises(ValueError, match="does not fit"):
        fit_flow(LAGS, value, FULL[:4], 0.02, parts=parts, part_roi=roi)
    with pytest.raises(ValueError, match="q must be positive"):
        fit_flow(LAGS, value, FULL, -1.0, parts=parts, part_roi=roi)
    with pytest.raises(ValueError, match="between 0 and 17"):
        fit_flow(LAGS, value, FULL, 0.02, parts=parts, part_roi=roi + 1)
