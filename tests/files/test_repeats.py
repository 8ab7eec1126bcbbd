"""The mean of repeats of g2: weights, errors, exclusions, and trends; against formulas and planted faults."""

import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

from ainerd_files import Trend, average_repeats, log_tau_shifts
from ainerd_xpcs.numerics import fit_curves

LAG = np.geomspace(1, 1000, 40)
NOISE = 0.005


def curve(tau=30.0, contrast=0.2):
    return 1 + contrast * np.exp(-2 * LAG / np.asarray(tau, dtype=float)[..., None])


def repeats(m, k=3, seed=0, noise=NOISE, tau=30.0, together=0.0):
    """g2 of m repeats and k bins, (m, k, n), with independent noise and noise that all lags of a bin share."""
    rng = np.random.default_rng(seed)
    taus = np.broadcast_to(np.asarray(tau, dtype=float).reshape(-1, 1), (m, k))
    shared = together * rng.normal(size=(m, k, 1)) * np.exp(-LAG / 20)
    return curve(taus) + shared + noise * rng.normal(size=(m, k, LAG.size))


@pytest.mark.parametrize("own", [None, NOISE / 30])
@pytest.mark.parametrize("m", [2, 10])
def test_the_error_is_the_deviation_from_the_truth(m, own):
    pulls = []
    for seed in range(10):
        g2 = repeats(m, seed=seed)
        mean = average_repeats(LAG, g2, None if own is None else np.full_like(g2, own))
        assert mean.kept.mean() > 0.97
        pulls.append((mean.g2 - curve()) / mean.error)
    assert 0.75 < np.std(pulls) < 1.2
    if own is not None:
        assert mean.chi2 == pytest.approx((NOISE / own) ** 2, rel=0.35)


@pytest.mark.parametrize("together", [0.0, 0.01])
@pytest.mark.parametrize(("m", "k"), [(5, 18), (20, 3)])
def test_good_repeats_are_kept(m, k, together):
    kept = [average_repeats(LAG, repeats(m, k, seed, together=together)).kept for seed in range(10)]
    assert np.mean(kept) >= 0.97


def test_one_wrong_bin_is_enough():
    g2 = repeats(12, 4)
    g2[7, 2, :10] += 0.03
    mean = average_repeats(LAG, g2)
    assert np.flatnonzero(~mean.kept).tolist() == [7] and mean.reasons[7].startswith("g2 of bin 3 at lags of 1 to ")
    numbered = average_repeats(LAG, g2, numbers=[2, 5, 7, 9], unit="s")
    assert numbered.reasons[7].startswith("g2 of bin 7 at lags of 1 to ")


def test_no_repeat_of_few_is_left_out_but_chi_square_shows_it():
    g2 = repeats(4)
    g2[1] += 0.1
    mean = average_repeats(LAG, g2, np.full_like(g2, NOISE))
    assert mean.kept.all() and (mean.chi2 > 50).all() and (mean.error > 0.02).all()


def test_lags_without_a_value_are_left_out():
    g2 = repeats(6)
    g2[0, 1, 5] = g2[:, 2, 7] = np.nan
    g2[3, :, 3:] = np.nan
    mean = average_repeats(LAG, g2, np.full_like(g2, NOISE))
    assert mean.reasons[3] == "it has no g2 at most lags" and mean.kept.sum() == 5
    assert mean.g2[1, 5] == pytest.approx(g2[[1, 2, 4, 5], 1, 5].mean())
    assert np.isnan(mean.g2[2, 7]) and np.isfinite(np.delete(mean.g2[2], 7)).all()
    with pytest.raises(ValueError, match="two repeats or more"):
        average_repeats(LAG, g2[:1])


def test_the_shift_of_tau_is_found_in_each_repeat():
    tau = np.array([20.0, 25, 30, 35, 90])
    g2 = repeats(5, tau=tau)
    fit = fit_curves(LAG, g2[2], np.full((3, 40), NOISE))
    shifts = log_tau_shifts(LAG, g2, fit)
    np.testing.assert_allclose(np.exp(shifts - shifts[2]), tau / 30, rtol=0.03)
    flat = fit_curves(LAG, np.ones((3, 40)) + 1e-3 * (LAG % 2))
    assert np.isnan(log_tau_shifts(LAG, np.ones((5, 3, 40)), flat)).all()


def test_a_trend_agrees_with_regression_and_survives_an_outlier():
    rng = np.random.default_rng(0)
    dose = np.linspace(3, 8, 60)
    x = 0.02 * dose + 0.01 * rng.normal(size=60)
    trend, line = Trend.of(dose, x), linregress(dose, x)
    assert trend.change == pytest.approx(5 * line.slope, rel=0.1) and trend.low < 0.1 < trend.high and trend.is_sure()
    x[10] = 1e3
    assert Trend.of(dose, x).change == pytest.approx(trend.change, rel=0.1)
    assert np.isnan(Trend.of(dose[:4], x[:4]).p) and not Trend.of(dose[:4], x[:4]).is_sure()


def test_trends_without_damage_are_rare():
    rng = np.random.default_rng(0)
    assert np.mean([Trend.of(np.arange(20), rng.normal(size=20)).is_sure() for _ in range(300)]) < 0.025


@pytest.mark.parametrize("share", [0.995, 1.005])
@pytest.mark.parametrize(("m", "k", "side"), [(11, 1, -1), (101, 1, 1), (11, 2, 1)])
def test_a_repeat_is_left_out_at_the_limit_of_its_scatters(m, k, side, share):
    """All lags of a repeat are off by the same; the median of the distances from the median is known."""
    half = m // 2
    off = 1e-3 * np.arange(-half, half + 1)
    scale = 1.4826 * m / (m - 0.8) * 1e-3 * round(m / 4 + 0.01)
    freedom = 0.37 * (m - 1) * k  # of the scatter of bins, which is that of all of them together
    limit = max(4.5, student.isf(0.01 / 2 / (4 * (k + 1)), freedom))
    off[0 if side < 0 else -1] = side * share * limit * scale
    g2 = np.broadcast_to((curve()[None] + off[:, None])[:, None], (m, k, 40))
    mean = average_repeats(LAG, g2)
    assert mean.kept.all() == (share < 1)
    if share > 1:
        (reason,) = filter(None, mean.reasons)
        to = "below" if side < 0 else "above"
        where = f"times the scatter {to} the median of {m} repeats; the limit is {limit:.1f}"
        assert reason.startswith(f"g2{' of bin 1' * (k > 1)} at lags of 1 to ") and reason.endswith(where)


def smoothed(rows):
    """Means over eleven neighbouring lags."""
    return np.array([[row[max(i - 5, 0) : i + 6].mean() for i in range(row.size)] for row in rows])


def test_unequal_errors_and_weights_enter_as_they_should():
    rng = np.random.default_rng(4)
    error, w = rng.uniform(0.5, 2, (2, 4, 2, 40))
    g2 = 1 + error * rng.normal(size=error.shape)
    mean = average_repeats(LAG, g2, error, weight=w)
    average = (w * g2).sum(0) / w.sum(0)
    theory = (w**2 * error**2).sum(0) / w.sum(0) ** 2
    expected = (error**2 * (1 - 2 * w / w.sum(0)) + theory).sum(0)
    assert mean.g2 == pytest.approx(average)
    assert mean.chi2 == pytest.approx(((g2 - average) ** 2).sum((0, 2)) / expected.sum(1))
    scatter = (w * (g2 - average) ** 2).sum(0) / w.sum(0) / 3
    ratio = np.maximum(smoothed(scatter / theory), 1)
    assert mean.error == pytest.approx(np.sqrt(ratio * theory))
    assert mean.errors == "of the repeats, at least of the scatter between them"
    assert average_repeats(LAG, g2).errors == "of the scatter between repeats"
    alone = average_repeats(LAG, g2, weight=w)
    ratio = smoothed(scatter * w.sum(0))
    assert alone.error == pytest.approx(np.sqrt(ratio / w.sum(0))) and np.isnan(alone.chi2).all()


def test_a_trend_is_that_of_its_slope_over_the_whole_dose():
    dose, x = np.array([2.0, 4, 6, 8, 12]), np.array([1.0, 2, 3, 4, 6])
    trend = Trend.of([*dose, np.nan, 3.0], [*x, 1.0, np.nan])
    assert (trend.change, trend.low, trend.high) == pytest.approx((5, 5, 5)) and trend.p == pytest.approx(2 / 120)
    assert not trend.is_sure() and Trend(p=0.0099).is_sure() and not Trend(p=0.0099).is_sure(2)
    assert Trend.of(dose, np.ones(5)) == Trend(change=0.0, low=0.0, high=0.0, p=1.0)
    assert np.isnan(Trend.of(np.ones(5), x).p)
