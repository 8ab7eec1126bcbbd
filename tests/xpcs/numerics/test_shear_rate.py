"""The shear rate of a steady flow, against layers that are summed here and scatterers that are moved one by one."""

from dataclasses import replace

import numpy as np
import pytest

from ainerd_xpcs import G2, MultiTau, Partition, fit_shear_rate
from sim_devices import Geometry, ScatteredMovie, SteadyShear

PLACE = Geometry(shape=(80, 80), beam_center_px=(40.0, 40.0), q_range_inv_nm=(0.0115, 0.015))
RING = (PLACE.q_inv_nm > 0.0122) & (PLACE.q_inv_nm < 0.0148)
BINS = Partition.from_roi_map(np.where(RING, (PLACE.phi_deg - 75) % 360 // 30 + 1, 0).astype(int))
Q_FLOW = PLACE.q_inv_nm * np.cos(np.deg2rad(PLACE.phi_deg - 90))
GAP_NM, FRAME_S, PARTS = 3000.0, 0.01, 16
LAG = np.r_[1:16, 16:32:2, 32:64:4]
HEIGHT = (np.arange(100) + 0.5) / 100 - 0.5


def layers(rate, tau_s=np.inf, q_flow=Q_FLOW, height=HEIGHT):
    """g2 - 1 of the bins: the layers of the gap are summed in every pixel, and no scatterer moves otherwise."""
    out = []
    for k in range(12):
        q = q_flow[BINS.roi_map == k + 1]
        turn = np.exp(1j * GAP_NM * rate * FRAME_S * q[:, None, None] * LAG[:, None] * height)
        out.append(np.mean(np.abs(turn.mean(2)) ** 2, axis=0))
    return np.array(out) * np.exp(-2 * LAG * FRAME_S / tau_s)


def curve(shape, noise=0.004, contrast=0.5, bias=0.0, n_lag=None, seed=0):
    """A G2 of these bins whose parts scatter."""
    rng = np.random.default_rng(seed)
    parts = 1 + bias + contrast * shape[:, None] + noise * rng.normal(size=(12, PARTS, LAG.size))
    parts = parts[..., :n_lag]
    n = parts.shape[-1]
    ones = np.ones(12)
    return G2(
        lag=LAG[:n].astype(float), value=parts.mean(1), error=parts.std(1) / 4, parts=parts.reshape(-1, n),
        part_roi=np.repeat(np.arange(12), PARTS), part_weight=np.full(12 * PARTS, 1 / PARTS), n_pixels=BINS.n_pixels,
        counts=ones, n_frames=100, contrast0=ones, contrast0_err=ones, parts0=np.ones(12 * PARTS),
        bias=np.full((12, n), bias),
    )  # fmt: skip


def fitted(*curves, q_flow=Q_FLOW, **options):
    return fit_shear_rate(curves, FRAME_S, BINS, q_flow, GAP_NM, **options)


def windows(sample, n_windows, seed=0, n=100):
    """Curves of the windows of a movie."""
    rng = np.random.default_rng(seed)
    movie = ScatteredMovie(sample, np.arange(n_windows * n) * FRAME_S, PLACE, contrast=0.5, rng=rng)
    counts = np.zeros((n_windows * n, RING.size), np.uint16)
    counts[:, PLACE.ring] = rng.poisson(5 * np.concatenate(list(movie.blocks())))
    out = []
    for window in np.split(counts.reshape(-1, *PLACE.frame_shape), n_windows):
        correlator = MultiTau(BINS)
        correlator.push(window)
        out.append(correlator.result())
    return out


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_the_layers_of_a_gap_without_relaxation(rate):
    """In a bin along the flow g2 - 1 first vanishes at tau = 2 pi / (q gap rate)."""
    zero = 2 * np.pi / (0.0135 * GAP_NM * rate)
    first = LAG[np.argmax(np.diff(layers(rate)[0]) > 0)] * FRAME_S
    assert first == pytest.approx(zero, rel=0.15)
    seen = fitted(curve(layers(rate), noise=0.01, bias=-0.01))
    assert seen.rate[0] == pytest.approx(rate, rel=0.01)
    assert abs(seen.rate[0] - rate) < 4 * seen.rate_err[0]
    assert seen.chi2[0] == pytest.approx(1, abs=0.3)


def test_a_rate_that_changes_is_recovered_from_frames():
    sample = SteadyShear(rates=((0.999, 0.6), (1.0, 1.8)), diffusion_nm2=18_000.0)
    seen = fitted(*windows(sample, 2))
    assert seen.reason == ("", "")
    assert (np.abs(seen.rate - [0.6, 1.8]) < 3.5 * seen.rate_err).all()
    assert (seen.rate_err < 0.1 * seen.rate).all()
    assert seen.tau == pytest.approx(1 / (18_000 * 0.0135**2), rel=0.35)


def test_speckle_that_opposite_bins_share_counts_once():
    """Friedel: bins 7 to 12 repeat the noise of bins 1 to 6, or have their own."""
    ring = Partition.from_roi_map(BINS.roi_map, phi=90 + 30.0 * np.arange(12))
    errors = []
    for seed in range(5):
        own = curve(layers(1.5), seed=seed)
        parts = own.parts.reshape(12, PARTS, -1)
        again = np.concatenate([parts[:6], parts[:6]])
        same = replace(own, value=again.mean(1), parts=again.reshape(-1, LAG.size))
        errors.append([fit_shear_rate([each], FRAME_S, ring, Q_FLOW, GAP_NM).rate_err[0] for each in (own, same)])
        errors[-1] += [fitted(each).rate_err[0] for each in (own, same)]
    of_own, of_same, own_alone, same_alone = np.mean(errors, axis=0)
    assert of_same == pytest.approx(np.sqrt(2) * same_alone, rel=0.03)
    assert of_own == pytest.approx(own_alone, rel=0.1)


def test_residuals_that_depend_on_the_azimuth_leave_no_number():
    """Opposite bins share their noise, which makes no wrong flow of a right one."""
    ring, reasons = Partition.from_roi_map(BINS.roi_map, phi=90 + 30.0 * np.arange(12)), []
    turned = PLACE.q_inv_nm * np.cos(np.deg2rad(PLACE.phi_deg - 60))
    still = HEIGHT < 0
    for seed in range(20):
        own = curve(layers(1.5), seed=seed)
        parts = np.tile(own.parts.reshape(12, PARTS, -1)[:6], (2, 1, 1))
        same = replace(own, value=parts.mean(1), parts=parts.reshape(-1, LAG.size))
        reasons += fit_shear_rate([same], FRAME_S, ring, Q_FLOW, GAP_NM).reason
    assert set(reasons) == {""}
    for shape, q_flow in ((layers(1.5), turned), (layers(1.5, height=np.where(still, 0.0, 2 * HEIGHT)), Q_FLOW)):
        seen = fit_shear_rate([curve(shape)], FRAME_S, ring, q_flow, GAP_NM)
        assert seen.reason == ("no linear profile of velocities in this direction fits g2",)
        assert np.isnan([seen.rate, seen.rate_err, seen.bound]).all()
        assert seen.chi2[0] > 1.3


def test_a_sample_at_rest_and_one_that_relaxes_first_have_a_bound():
    at_rest = windows(SteadyShear(rates=((0.0, 0.0),), diffusion_nm2=18_000.0), 1)
    seen = fitted(*at_rest, curve(layers(0.1, tau_s=0.04)))
    assert np.isnan(seen.rate).all()
    assert 0 < seen.bound[0] < 0.5
    assert 0.1 < seen.bound[1] < 5
    assert [reason[:20] for reason in seen.reason] == 2 * ["the speckle relaxes,"]


def test_a_curve_that_does_not_tell_has_a_reason():
    across = PLACE.q_inv_nm * 0.9
    seen = fitted(curve(layers(1.0), n_lag=3), curve(layers(40.0)), curve(0 * layers(1.0)))
    assert [reason.split(":")[0] for reason in seen.reason] == [
        "too few values",
        "the speckle along the flow is lost before the first lag",
        "no speckle along the vorticity",
    ]
    assert "one angle" in fitted(curve(layers(1.0, q_flow=across)), q_flow=across).reason[0]
    assert np.isnan(seen.rate).all()


def test_the_transit_of_a_beam_is_no_relaxation():
    """The field of a Gaussian beam is summed with the same field, moved by the mean velocity."""
    beam, velocity = 20_000.0, 30_000.0
    x = np.linspace(-4, 4, 4001) * beam
    field = np.exp(-2 * np.log(2) * (x / beam) ** 2)
    overlap = [(field * np.interp(x - velocity * t, x, field)).sum() for t in LAG * FRAME_S]
    left = (np.array(overlap) / np.square(field).sum()) ** 2
    assert left[-1] < 0.5
    seen = fitted(curve(layers(1.0, tau_s=1.0) * left, noise=0.001), beam_nm=beam, velocity=velocity)
    assert seen.rate[0] == pytest.approx(1.0, rel=0.01)
    assert seen.tau[0] == pytest.approx(1.0, rel=0.05)
    assert seen.exponent[0] == pytest.approx(1.0, abs=0.03)


def test_the_rate_of_scatterers_that_cross_the_beam():
    """The simulated beam is no Gaussian, but the rate does not depend on it."""
    sample = SteadyShear(rates=((0.0, 1.5),), diffusion_nm2=6000.0, velocity=20_000.0)
    crossed = windows(sample, 1)
    seen, alone = fitted(*crossed, beam_nm=11_000.0, velocity=sample.velocity), fitted(*crossed)
    for each in (seen, alone):
        assert abs(each.rate[0] - 1.5) < 3.5 * each.rate_err[0]
    assert seen.tau[0] > 1.1 * alone.tau[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_flow": np.zeros((3, 3))}, "does not fit a detector"),
        ({"q_flow": np.where(BINS.roi_map == 2, np.nan, Q_FLOW)}, f"no number in {BINS.n_pixels[1]} pixels"),
        ({"gap_nm": 0.0}, "gap_nm must be positive"),
        ({"frame_time_s": -1.0}, "frame_time_s must be positive"),
        ({"partition": Partition.from_roi_map(np.ones((80, 80), int))}, "12 bins does not fit a partition of 1"),
    ],
)
def test_contents_that_do_not_fit_are_refused(change, message):
    given = {"frame_time_s": FRAME_S, "partition": BINS, "q_flow": Q_FLOW, "gap_nm": GAP_NM}
    with pytest.raises(ValueError, match=message):
        fit_shear_rate([curve(layers(1.0))], **given | change)
