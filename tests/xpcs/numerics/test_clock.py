"""The clock of a sample, from maps of Gaussian speckle with photon noise."""

import numpy as np
import pytest

from ainerd_xpcs.numerics import fit_clock, rate_offset

T, N, BINS = 256, 32, 9
TIME = (np.arange(T) + 0.5) / T


def maps_of(clock, seed, *, exponent=1.0, share=0.0, photons=0.5, pixels=900, modes=4, n=N):
    """Return maps, pixels, and shot noise of Poisson counts of Gaussian speckle with the clock (T,)."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.exp(-(np.abs(clock[:, None] - clock) ** exponent)) + 1e-6 * np.eye(T))
    x = np.broadcast_to(share, T)[:, None]
    still = rng.normal(size=(1, 2 * modes * pixels))
    fields = np.sqrt(1 - x) * (root @ rng.normal(size=(T, 2 * modes * pixels))) + np.sqrt(x) * still
    counts = rng.poisson(photons * (fields**2).reshape(T, 2 * modes, pixels).mean(1))
    cells = counts.reshape(n, T // n, pixels).sum(1)
    mean = cells.mean(1)
    relative = cells / mean[:, None] - 1
    groups = np.array_split(np.arange(pixels), BINS)
    maps = np.array([relative[:, g] @ relative[:, g].T / len(g) for g in groups])
    return maps, np.array([len(g) for g in groups]), 1 / mean


def aged(mu):
    """Return a clock of rate ~ (age + .1)^-mu, ten relaxation times long."""
    rate = (TIME + 0.1) ** -mu
    return 10 * np.cumsum(rate) / rate.sum()


def test_a_steady_sample_has_tau_and_errors():
    pulls, words = [], []
    for seed in range(16):
        maps, pixels, shot = maps_of(TIME / 0.15, seed, n=64)
        clock = fit_clock(maps, pixels, shot, duration=30.0)
        words.append(clock.word)
        pulls.append(((clock.tau - 4.5) / clock.tau_err, (clock.exponent - 1) / clock.exponent_err))
        assert clock.tau_err < 0.2 * clock.tau and clock.advance == pytest.approx(30 / clock.tau)
        assert clock.contrast == pytest.approx(0.25, rel=0.2) and not clock.events
        assert np.isnan(clock.slows_by) and np.isnan(clock.ageing_exponent) and np.isnan(clock.rate_period)
    assert words.count("steady") >= 15
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 1) and np.all(np.std(pulls, axis=0) < 1.5)


@pytest.mark.parametrize(("mu", "word"), [(0.8, "slows"), (-0.8, "speeds up")])
def test_the_sign_of_the_change_of_the_rate_decides_the_word(mu, word):
    pulls = []
    for seed in range(4):
        clock = fit_clock(*maps_of(aged(mu), seed))
        assert clock.word == word and (clock.slows_by > 1) == (mu > 0)
        pulls.append((clock.ageing_exponent - mu) / clock.ageing_exponent_err)
        true = mu * np.log(11)
        assert abs(np.log(clock.slows_by) - true) < 4 * clock.slows_by_err / clock.slows_by
        off = np.abs(np.log(clock.rate * np.gradient(TIME, aged(mu))[4::8][:-1]))
        assert (off < 3 * np.log(clock.rate_high / clock.rate)).mean() > 0.8
    assert np.abs(pulls).max() < 4


def test_jumps_have_times_and_sizes():
    at = np.array([0.31, 0.72])
    clock = fit_clock(*maps_of(TIME / 0.5 + 0.8 * (TIME[:, None] > at).sum(1), 3, n=64), duration=100.0)
    assert clock.word == "jumps" and len(clock.events) == 2
    for event, time in zip(clock.events, at, strict=True):
        assert abs(event.time - 100 * time) < 100 / 64 and 0.4 < event.size < 1.6 and not event.complete
    assert abs(clock.tau - 50) < 3 * clock.tau_err


def test_a_jump_of_a_sample_at_rest_has_no_tau():
    clock = fit_clock(*maps_of(6.0 * (TIME > 0.43), 0, n=64))
    assert clock.word == "jumps" and np.isnan(clock.tau) and np.isnan(clock.ageing_exponent)
    (event,) = clock.events
    assert event.complete and event.size < 6 and abs(event.time - 0.43) < 2 / 64


def test_bursts_have_no_tau_and_no_ageing():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        clock = np.zeros(T)
        np.add.at(clock, rng.integers(1, T, 25), 0.05 + 0.1 * rng.pareto(1.5, 25))
        fit = fit_clock(*maps_of(np.cumsum(clock), seed, n=64))
        assert fit.word in ("in bursts", "varies", "not described")
        assert np.isnan(fit.tau) and np.isnan(fit.ageing_exponent) and not fit.events


def test_an_oscillating_rate_has_its_period():
    clock = 10 * (TIME + 0.8 * 0.2 / 2 / np.pi * np.sin(2 * np.pi * TIME / 0.2))
    fit = fit_clock(*maps_of(clock, 1, n=64), duration=50.0)
    assert fit.word == "oscillates" and abs(fit.rate_period - 10) < 4 * fit.rate_period_err + 0.1
    assert abs(fit.tau - 5) < 4 * fit.tau_err


def test_what_has_no_clock_is_not_described():
    period = 0.2
    strain = 1.2 * np.sin(2 * np.pi * TIME / period)
    echoes = np.exp(-2 * (strain[:, None] - strain) ** 2)[4::8, 4::8]
    maps, pixels, shot = maps_of(TIME * 0.5, 0)
    for bad in (
        fit_clock(maps * echoes, pixels, shot),
        fit_clock(*maps_of(TIME * 10, 0, share=0.85 * np.clip((TIME - 0.2) / 0.6, 0, 1))),
        fit_clock(np.random.default_rng(0).normal(0, 1e-3, maps.shape), pixels, shot),
        fit_clock(np.full(maps.shape, np.nan), pixels, shot),
    ):
        assert bad.word == "not described" and np.isnan(bad.tau) and not bad.events


def test_a_short_exposure_has_no_tau_and_no_trend():
    for seed in range(3):
        clock = fit_clock(*maps_of(TIME / 4, seed))
        assert clock.word == "steady" and np.isnan(clock.tau) and np.isnan(clock.slows_by)


def test_the_clock_follows_a_record_of_stress():
    for shift in (-0.05, 0.03):
        pulse = np.exp(-0.5 * ((TIME - 0.5) / 0.03) ** 2)
        late = np.exp(-0.5 * ((TIME - 0.5 - shift) / 0.03) ** 2)
        clock = fit_clock(*maps_of(np.cumsum(4 * (1 + 8 * late)) / T, 2, n=64), duration=10.0)
        offset, error, gain = rate_offset(clock, 10 * TIME, pulse)
        assert gain > 8 and 0 < error < 0.2 and abs(offset - 10 * shift) < 4 * error
    nothing = fit_clock(np.zeros((2, N, N)), [5, 5], 1.0)
    assert np.isnan(rate_offset(nothing, TIME, pulse)).all() and np.isnan(rate_offset(clock, TIME, -pulse)).all()


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit the pixels of 2 bins"):
        fit_clock(np.zeros((3, 32, 32)), [1, 2], 1.0)
    with pytest.raises(ValueError, match="duration must be positive"):
        fit_clock(np.zeros((1, 32, 32)), [1], 1.0, duration=0.0)
