"""Echoes of cyclic shear, against scatterers that are moved one by one and against plain sums."""

import numpy as np
import pytest

from ainerd_shear import Echoes, fit_training
from ainerd_xpcs import Partition, two_time
from sim_devices import Cycled, Geometry, Oscillation, frame_times
from tests.shear.cycled import counted

STEADY = Oscillation(frequency_hz=1.0, steps=((1.0, 0.1),))
PLACE = Geometry(shape=(32, 32), beam_center_px=(16.0, -46.0), q_range_inv_nm=(0.001, 0.05))
Q = PLACE.q_inv_nm.ravel()
ORDER = np.argsort(Q)


def partition(n_bins=4):
    """Bins of neighbouring q."""
    labels = np.empty(Q.size, int)
    labels[ORDER] = np.arange(Q.size) * n_bins // Q.size + 1
    q = [np.sqrt(np.mean(Q[labels == k + 1] ** 2)) for k in range(n_bins)]
    return Partition.from_roi_map(labels.reshape(PLACE.frame_shape), q=q)


def movie(phases, n_cycles=60, seed=0, jitter=0.0, **sample):
    """Counts, and the phase of each frame."""
    rng = np.random.default_rng(seed)
    t_s = frame_times(STEADY, n_cycles, phases, jitter=jitter, rng=rng)
    moved = Cycled(family="cycled", oscillation=STEADY, **sample)
    return counted(moved, t_s, rng, PLACE).reshape(-1, *PLACE.frame_shape), STEADY.cycle(t_s)


def echoes(frames, phase, phases, n_bins=4, **options):
    correlator = Echoes(partition(n_bins), phases, **options)
    correlator.push(frames, phase)
    correlator.end()
    return correlator.result()


def test_affine_motion_returns_after_whole_cycles():
    phases = (0.0, 0.25, 0.5, 0.75)
    curves = echoes(*movie(phases), phases)
    assert np.abs((curves.height - 1) / curves.height_err).mean() < 1.6
    assert curves.height == pytest.approx(1, abs=0.03)
    assert set(curves.decay.no_tau) == {"does not decay"}
    assert np.isnan(curves.velocity).all()
    assert (curves.velocity_below < 1).all()
    assert curves.n_cycles == 60


def test_diffusion_decays_as_theory_says_at_each_q():
    curves = echoes(*movie((0.25,), n_cycles=150, diffusion_nm2=150.0), (0.25,))
    q = partition().q
    truth = np.exp(-2 * np.outer(q**2 * 150, curves.lag[:8]))
    assert np.abs((curves.height[:, :8] - truth) / curves.height_err[:, :8]).mean() < 1.8
    assert np.abs((curves.decay.tau - 1 / (150 * q**2)) / curves.decay.tau_err).max() < 3.5
    assert curves.decay.exponent == pytest.approx(1, abs=0.2)
    assert curves.velocity == pytest.approx(150 * q, rel=0.3)  # 1 / (q tau) = D q
    assert np.abs((curves.velocity - 150 * q) / curves.velocity_err).max() < 3.5


def test_a_share_that_returns_for_good():
    curves = echoes(*movie((0.25,), n_cycles=300, jumping=0.1, returning=0.6), (0.25,))
    known = np.isfinite(curves.decay.static)
    assert known.sum() >= 3
    assert np.abs((curves.decay.static - 0.6) / curves.decay.static_err)[known].max() < 3.5
    assert curves.decay.plateau[known] == pytest.approx(0.36, abs=0.12)


def test_blocks_of_any_size_give_the_same_as_all_frames_at_once():
    frames, phase = movie(np.arange(16) / 16, n_cycles=12)
    whole, parts = (Echoes(partition(), (0.0, 0.5), within=0.07) for _ in range(2))
    whole.push(frames, phase)
    for first in range(0, len(frames), 5):
        parts.push(frames[first : first + 5], phase[first : first + 5])
    whole.end()
    parts.end()
    for name in ("height", "c2"):
        np.testing.assert_allclose(getattr(parts.result(), name), getattr(whole.result(), name), rtol=1e-6)
    assert whole.result().off_phase == pytest.approx(np.sqrt(2 / 3) / 16)  # three frames: -1/16, 0 and 1/16 away


def test_the_map_is_that_of_sums_over_windows():
    frames, phase = movie((0.2, 0.25, 0.3), n_cycles=20, diffusion_nm2=150.0)
    curves = echoes(frames, phase, (0.25,), within=0.06)
    sums = frames.reshape(20, 3, -1).sum(1)
    for k, c2 in enumerate(curves.c2):
        mine = sums[:, (partition().roi_map == k + 1).ravel()].astype(float)
        d = mine / mine.mean(1, keepdims=True)
        plain = d @ d.T / d.shape[1]
        apart = ~np.eye(20, dtype=bool)
        np.testing.assert_allclose(c2[apart], plain[apart], rtol=1e-5)
    assert curves.cycles_a_row == 1
    start, error = curves.from_cycle(1)
    assert len(start) == 19
    assert np.isfinite(error).all()


def test_the_map_of_many_cycles_has_as_many_rows_as_allowed():
    """Rows are sums of four cycles; two of the 102 cycles are in a row that is not complete."""
    frames, phase = movie((0.25, 0.75), n_cycles=102, diffusion_nm2=20.0)
    curves = echoes(frames, phase, (0.25, 0.75), size=32)
    assert curves.cycles_a_row == 4
    sums = frames.reshape(102, 2, *PLACE.frame_shape)[:100].reshape(25, 4, 2, *PLACE.frame_shape).sum(1)
    each = [two_time(sums[:, i], partition()) for i in range(2)]
    np.testing.assert_allclose(curves.c2, np.mean(each, axis=0), rtol=1e-5)


def test_results_while_the_cycles_run_do_not_change_the_last_one():
    frames, phase = movie((0.25,), n_cycles=75, diffusion_nm2=20.0)
    watched = Echoes(partition(), (0.25,), size=16)
    for number, (frame, at) in enumerate(zip(frames, phase, strict=True)):
        watched.push(frame[None], [at])
        if number > 2 and number % 3 == 0:
            watched.result()
    watched.end()
    np.testing.assert_allclose(watched.result().c2, echoes(frames, phase, (0.25,), size=16).c2, rtol=1e-5)


def test_a_cycle_without_frames_leaves_a_gap():
    frames, phase = movie((0.25,), n_cycles=60, diffusion_nm2=150.0)
    keep = np.r_[0:20, 30:60]
    curves = echoes(frames[keep], phase[keep], (0.25,))
    whole = echoes(frames, phase, (0.25,))
    assert curves.n_cycles == 50
    assert np.isnan(curves.c2[:, 25]).all()
    np.testing.assert_allclose(curves.c2[:, 40, 50], whole.c2[:, 40, 50], rtol=1e-5)


def test_frames_off_their_phase_lower_the_echo():
    """A phase off by .04 at zero strain: mean sinc² of q times half the difference of displacements."""
    curves = []
    for jitter in (0.0, 0.04):
        frames, phase = movie((0.0,), jitter=jitter, direction_deg=0.0)
        curves.append(echoes(frames, phase, (0.0,), within=0.2))
    at = 0.1 * 3000 * np.sin(2 * np.pi * phase)
    late = np.concatenate([at[lag:] - at[:-lag] for lag in range(1, 11)])
    expected = [np.mean(np.sinc(q * late / 2 / np.pi) ** 2) for q in partition().q]
    assert curves[0].height[:, :10] == pytest.approx(1, abs=0.03)
    assert curves[1].height[:, :10].mean(1) == pytest.approx(expected, abs=0.06)
    assert curves[1].off_phase == pytest.approx(0.04, rel=0.2)


@pytest.mark.parametrize(("phases", "within"), [((0.0, 0.03), 0.02), ((1.2,), 0.02), ((0.0,), 0.0)])
def test_windows_that_cannot_be_are_refused(phases, within):
    with pytest.raises(ValueError, match="windows"):
        Echoes(partition(), phases, within=within)


def test_phases_that_do_not_fit_are_refused():
    frames = np.ones((3, *PLACE.frame_shape), int)
    with pytest.raises(ValueError, match="increase"):
        Echoes(partition()).push(frames, [0.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="3 frames"):
        Echoes(partition()).push(frames, [0.0, 1.0])
    with pytest.raises(ValueError, match="at least 2 cycles"):
        Echoes(partition()).result()


def maps_of_training(mu, n=96, noise=0.004, seed=0):
    """C2 of diffusion that wears off as number^-mu, at q² D = 0.2 in the first cycle."""
    number = 1 + np.arange(n)
    worn = number ** (1 - mu) / (1 - mu)
    echo = 0.3 * np.exp(-2 * 0.2 * np.abs(np.subtract.outer(worn, worn)))
    return 1 + echo + np.random.default_rng(seed).normal(0, noise, (12, n, n))


@pytest.mark.parametrize("mu", [0.3, 0.6])
def test_training_is_measured(mu):
    maps = maps_of_training(mu)
    training, dark = fit_training(maps), fit_training(np.append(maps, np.full_like(maps[:1], np.nan), axis=0))
    assert (dark.exponent_err, dark.p) == (training.exponent_err, training.p)
    assert training.exponent == pytest.approx(mu, abs=0.06)
    first, later = training.tau[np.isfinite(training.tau)][[0, -1]]
    assert later > 1.5 * first


def test_errors_of_the_exponent_are_those_of_its_scatter():
    laws = [fit_training(maps_of_training(0.6, n=64, noise=0.03, seed=seed)) for seed in range(24)]
    exponent, error = np.array([(each.exponent, each.exponent_err) for each in laws]).T
    assert exponent.mean() == pytest.approx(0.6, abs=0.02)
    assert 0.8 < np.median(error) / exponent.std() < 1.5


def test_without_training_there_is_no_exponent():
    laws = [fit_training(maps_of_training(0.0, seed=seed)) for seed in range(8)]
    assert sum(np.isfinite(each.exponent) for each in laws) <= 1
    for each in laws:
        assert each.tau[np.isfinite(each.tau)] == pytest.approx(5, rel=0.1)
    with pytest.raises(ValueError, match="8 bins"):
        fit_training(maps_of_training(0.3)[:2])


def test_training_of_a_sample_that_was_sheared_before():
    later = fit_training(maps_of_training(0.5, n=160)[:, 32:, 32:], cycles_before=32)
    assert later.exponent == pytest.approx(0.5, abs=0.12)
    assert later.number.min() > 32


def test_a_gradient_of_the_intensity_inside_a_bin_looks_like_a_share_that_returns():
    rng, profile = np.random.default_rng(0), np.linspace(0.7, 1.3, 4000)
    bright = rng.exponential(size=(40, 4000)) * profile  # another speckle in each cycle, of contrast 1
    correlator = Echoes(Partition.from_roi_map(np.ones((40, 100), int)))
    correlator.push(rng.poisson(20 * bright).reshape(40, 40, 100).astype(np.uint16), np.arange(40.0))
    correlator.end()
    constant = profile.var() / (1 + 2 * profile.var())  # over the variance of the product
    assert correlator.result().height[0, :20] == pytest.approx(constant, abs=0.01)
