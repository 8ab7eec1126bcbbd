"""Models of curves of g2 with errors alone: minima against SciPy, model choice, and forbidden numbers."""

import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from ainerd_xpcs.numerics import _family, fit_curves
from ainerd_xpcs.numerics._file_curve import FileCurve
from ainerd_xpcs.numerics._least_squares import levenberg_marquardt

LAG = np.unique(np.r_[np.arange(1, 17), (np.arange(9, 17)[:, None] * 2.0 ** np.arange(1, 7)).ravel()])
NOISE = 1e-3
RIVALS = ["stretched + baseline", "stretched + static"]


def curve(t, tau=40.0, p=1.0, b=0.2, static=0.0, base=0.0, share=1.0, tau2=1.0):
    """g2 of a field with a static share and two exponentials, written out again."""
    mixed = share * np.exp(-((t / tau) ** p)) + (1 - share) * np.exp(-t / tau2)
    return 1 + base + b * (static + (1 - static) * mixed) ** 2


def noisy(n=20, noise=NOISE, seed=0, **shape):
    y = np.random.default_rng(seed).normal(curve(LAG, **shape), noise, (n, LAG.size))
    return y, np.full(y.shape, noise)


@pytest.mark.parametrize(
    ("shape", "model"),
    [
        ({}, "stretched"),
        ({"p": 0.6}, "stretched"),
        ({"tau": 10.0, "share": 0.5, "tau2": 200.0}, "two modes"),
        ({"static": 0.5}, "stretched + static"),
        ({"base": 0.05}, "stretched + baseline"),
    ],
)
def test_the_model_is_chosen_and_pulls_are_those_of_the_errors(shape, model):
    fit = fit_curves(LAG, *noisy(**shape))
    chosen = (fit.model == model) | (fit.either == model)
    assert chosen.mean() > 0.9
    pull = ((fit.tau - shape.get("tau", 40.0)) / fit.tau_err)[fit.model == model]
    assert np.isfinite(pull).mean() > 0.9 and np.nanstd(pull) < 1.3 and abs(np.nanmean(pull)) < 0.7
    plateau = {"stretched + static": 0.25, "stretched + baseline": 0.2}.get(model, 0.0)
    assert np.nanmedian(fit.plateau) == pytest.approx(plateau, abs=0.02)


def test_a_model_needs_two_lags_more_than_it_has_parameters():
    t = np.array([1.0, 3.0, 9.0, 30.0, 100.0, 1000.0])
    y, error = curve(t, tau=10.0, p=0.6, static=0.4), np.full(6, 1e-4)
    six, five = fit_curves(t, y[None], error[None]), fit_curves(t[:5], y[None, :5], error[None, :5])
    assert six.model[0] == "stretched + static" and six.tau[0] == pytest.approx(10.0, rel=1e-3)
    assert np.isnan(five.tau[0])


def test_a_model_that_describes_the_curve_as_well_has_its_tau_beside():
    """A field with a static share looks like one with a baseline that is slower: one of both times is right."""
    y, error = noisy(base=0.01, noise=4e-3)
    fit = fit_curves(LAG, y, error)
    unsure = fit.either != ""
    assert unsure.mean() > 0.8 and set(fit.model[unsure]) | set(fit.either[unsure]) == set(RIVALS)
    other = np.isin(fit.model, RIVALS) & (fit.either != "")
    alone = {name: fit_curves(LAG, y[other], error[other], models=[name]) for name in RIVALS}
    for name in RIVALS:
        its = np.where(fit.model[other] == name, fit.tau[other], fit.tau_either[other])
        np.testing.assert_allclose(its, alone[name].tau, rtol=0.1)
    pulls = np.stack([np.abs(fit.tau - 40) / fit.tau_err, np.abs(fit.tau_either - 40) / fit.tau_either_err])
    assert (np.nanmin(pulls, axis=0) < 3).all() and (pulls > 3).any()


@pytest.mark.parametrize(
    ("shape", "noise", "left_over", "model"),
    [
        ({"static": 0.35}, 2e-3, 0.003, "stretched + static"),  # a rest of .025
        ({"base": 0.002}, 1.1e-3, 0.003, "stretched + baseline"),
        ({"base": 0.02}, 2e-3, 0.03, "stretched + baseline"),
    ],
)
def test_curves_of_one_material_have_one_model(shape, noise, left_over, model):
    """Noise does not choose between a static share and a baseline, although each curve allows both."""
    fit = fit_curves(LAG, *noisy(20, noise=noise, **shape), left_over=left_over)
    assert set(fit.model) == {model} and (fit.either != "").mean() > 0.8
    assert ((np.abs(fit.tau - 40) / fit.tau_err) < 2).mean() > 0.85


def test_a_large_baseline_has_its_tau_beside_that_of_a_static_share():
    """A g2 that ends at 1.15, as files of others do: the size of the rest alone excludes neither."""
    fit = fit_curves(LAG, *noisy(20, noise=2e-3, base=0.15))
    assert set(fit.model) == {"stretched + static"} and set(fit.either) == {"stretched + baseline"}
    assert (np.abs(fit.tau_either - 40) < 3 * fit.tau_either_err).all() and (fit.tau < 30).all()


def test_two_modes_have_their_numbers():
    fit = fit_curves(LAG, *noisy(tau=10.0, share=0.5, tau2=200.0))
    for name, truth in (("tau2", 200.0), ("share", 0.5), ("contrast", 0.2)):
        pull = (getattr(fit, name) - truth) / getattr(fit, f"{name}_err")
        assert np.isfinite(pull).mean() > 0.9 and 0.6 < np.nanstd(pull) < 1.4
    np.testing.assert_allclose(fit.curve(0, LAG), curve(LAG, 10.0, share=0.5, tau2=200.0), atol=3 * NOISE)


REFUSED = {
    "no speckle": {"b": 0.0},
    "does not decay": {"tau": 1e6},
    "faster than the lags": {"tau": 0.9},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_number_that_the_lags_do_not_show_has_a_reason(why):
    fit = fit_curves(LAG, *noisy(**REFUSED[why]))
    assert np.isnan(fit.tau).all() and np.isnan(fit.exponent).all() and (fit.no_tau == why).mean() > 0.85
    if why == "does not decay":
        assert np.nanmin(fit.tau_above) > 300 and np.isnan(fit.tau_below).all()


def test_a_decay_within_four_lags_has_limits_that_hold_unless_its_exponent_is_known():
    few = fit_curves(LAG, *noisy(24, noise=0.004, tau=2.6), share=())
    assert np.isnan(few.tau).all() and np.isfinite(few.tau_below).all()
    assert (few.tau_below < 2.6).sum() <= 2 and np.isnan(few.tau_above).all()
    assert np.median(few.tau_below) < 4.0
    slow = curve(LAG, tau=40.0)[None] + np.random.default_rng(1).normal(0, 1e-3, (3, LAG.size))
    fast = curve(LAG, tau=2.6)[None] + np.random.default_rng(2).normal(0, 1e-3, (3, LAG.size))
    known = fit_curves(LAG, np.concatenate([slow, fast]), np.full((6, LAG.size), 1e-3), share=["exponent"])
    assert known.tau[3:] == pytest.approx(2.6, rel=0.1)


def test_a_curve_that_has_fallen_below_half_has_the_time_or_its_limits_and_is_not_slow():
    """As in a published gel: g2 - 1 falls over many decades of lags, from .087 to .025."""
    lag = np.geomspace(1, 1e6, 60)
    truth = 0.025 + 0.062 * np.exp(-2 * (lag / 3e4) ** 0.25)
    error = np.full((12, lag.size), 0.01)
    y = 1 + truth + np.random.default_rng(0).normal(0, error)
    fit = fit_curves(lag, y, error)
    first, last = (y - 1)[:, :8].mean(1), (y - 1)[:, -8:].mean(1)
    below = (first / 2 - last) / (0.01 * np.sqrt(1.25 / 8)) > 3.5
    given = np.isfinite([fit.tau, fit.tau_half, fit.tau_half_above, fit.tau_half_below]).any(0)
    assert np.nanmax(fit.tau_half_err / fit.tau_half, initial=0) < 0.6  # otherwise there are limits
    assert below.sum() > 5 and given[below].all() and not (fit.no_tau[below] == "slower than the lags").any()


def test_a_curve_that_no_model_describes_has_no_numbers():
    y, error = noisy(b=0.2)
    y += 0.1 * np.exp(-((np.log(LAG / 250) / 0.3) ** 2))  # an echo
    fit = fit_curves(LAG, y, error)
    assert (fit.no_tau == "no model fits g2").all() and (fit.misfit_p < 1e-4).all()
    of_model = ("tau", "exponent", "contrast", "plateau", "static")
    numbers = [x for x in vars(fit) if x.startswith(of_model) and not x.startswith("tau_half")]
    assert all(np.isnan(getattr(fit, name)).all() for name in numbers)
    assert np.isfinite(fit.tau_half).all() and np.isfinite(fit.left).all()


def test_errors_of_zero_leave_alone_and_errors_too_small_are_enlarged():
    y, error = noisy()
    y[:, 5], error[:, 5] = 0.0, 0.0
    y[:, -3:], error[:, -3:] = 0.0, np.nan
    fit = fit_curves(LAG, y, error)
    assert np.all(np.abs(fit.tau - 40) < 4 * fit.tau_err) and (fit.errors == "errors of the file").mean() > 0.8
    small = fit_curves(LAG, *noisy(), counts=None)
    tiny = fit_curves(LAG, noisy()[0], error=np.full(y.shape, NOISE / 30))
    np.testing.assert_allclose(tiny.tau, small.tau, rtol=0.02)
    assert 0.8 < np.median(tiny.tau_err / small.tau_err) < 1.3
    assert all("scatter between neighbouring lags" in text for text in tiny.errors)
    none = fit_curves(LAG, noisy()[0])
    assert 0.8 < np.median(none.tau_err / small.tau_err) < 1.3


def test_lags_that_scatter_as_their_errors_are_independent_and_smooth_ones_get_the_noise_of_speckle():
    rng, pairs = np.random.default_rng(0), np.maximum(5000 - LAG, 1)
    x = np.array([0.2, np.log(40.0), 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    about = (500.0, np.nan, pairs, np.ones(len(LAG)), 5000, "of the file")
    true, error = curve(LAG), np.full(len(LAG), NOISE)
    scattered, smooth = (
        FileCurve(LAG, true + noise, error, *about) for noise in (rng.normal(0, 5 * NOISE, len(LAG)), 0)
    )
    assert not scattered.correlate(x)
    np.testing.assert_array_equal(scattered.covariance, np.diag(scattered.error**2))
    assert smooth.correlate(x) and not smooth.correlate(x)  # the second time it is the same g1
    apart = smooth.covariance - np.diag(np.diag(smooth.covariance))
    assert np.abs(apart).max() > 0 and np.linalg.eigvalsh(smooth.covariance).min() > 0
    assert smooth.correlate(np.r_[0.2, np.log(10.0), x[2:]])


def test_times_are_in_the_unit_of_the_lags():
    y, error = noisy(4, p=0.8, noise=5e-3)
    frames, seconds = (fit_curves(unit * LAG, y, error, models=["stretched"], frame_time=unit) for unit in (1.0, 1e-3))
    for name, unit in (("tau", 1e-3), ("tau_err", 1e-3), ("exponent", 1.0), ("contrast", 1.0)):
        np.testing.assert_allclose(getattr(seconds, name), unit * getattr(frames, name), rtol=1e-6)


def test_photons_set_the_least_error():
    rng, pairs = np.random.default_rng(3), 500 * (5000 - LAG) * 2 ** np.maximum(np.ceil(np.log2(LAG / 8)), 0)
    error = np.sqrt(curve(LAG) / pairs) / 0.02  # of .02 photons per pixel and frame
    y = rng.normal(curve(LAG), error, (20, LAG.size))
    fit = fit_curves(LAG, y, np.tile(error / 30, (20, 1)), counts=0.02, n_pixels=500, n_frames=5000)
    known = np.isfinite(fit.tau)
    assert known.mean() > 0.8 and np.all(np.abs(fit.tau - 40)[known] < 4 * fit.tau_err[known])
    assert all("photon counting" in text for text in fit.errors)


def test_few_pixels_have_no_numbers():
    fit = fit_curves(LAG, *noisy(2), n_pixels=[5, 6], counts=1.0, n_frames=1000)
    assert fit.no_tau[0] == "too few pixels" and np.isnan(fit.contrast[0])
    assert fit.no_tau[1] != "too few pixels"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["three"]}, "there is no 'three'"),
        ({"error": np.ones(3)}, "do not fit g2"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_curves(LAG, noisy(1)[0], **options)


# contrast, log tau, exponent, static, baseline, share, log ratio, exponent2
POINTS = np.array([
    [0.2, 3.0, 0.8, 0.1, 0.01, 0.6, 1.5, 1.3], [0.4, 2.0, 1.6, 0.4, -0.02, 0.3, 2.0, 0.7],
    [0.3, 4.0, 1.0, 0.2, 0.0, 0.9, 1.2, 1.0],
])  # fmt: skip
ALONE = np.array([[0.2, 3.0, 0.8, 0.1, 0.01, 1.0, 1.5, 1.0]])  # without a slow mode


@pytest.mark.parametrize("x", [POINTS, ALONE])
def test_the_curves_are_their_formula_and_the_slopes_those_of_differences(x):
    for row, values in zip(x, _family.curve(LAG, x), strict=True):
        b, log_tau, p, s, c, f, d, p2 = row
        g = f * np.exp(-((LAG / np.exp(log_tau)) ** p)) + (1 - f) * np.exp(-((LAG / np.exp(log_tau + d)) ** p2))
        assert values == pytest.approx(1 + c + b * (s + (1 - s) * g) ** 2)
        whole = _family.field(np.array([-LAG, LAG]), row)
        assert whole == pytest.approx(np.array([s + (1 - s) * g] * 2), abs=1e-7)
    names, step = [name for name in _family.NAMES if x is POINTS or name not in ("share", "ratio", "exponent2")], 1e-6
    _, slopes = _family.slopes(LAG, x, names)
    for name, values in zip(names, slopes.swapaxes(0, 1), strict=True):
        at = x[:, _family.NAMES.index(name)]
        more, less = (_family.curve(LAG, _family.changed(x, **{name: at + by})) for by in (step, -step))
        assert values == pytest.approx((more - less) / (2 * step), rel=1e-4, abs=1e-8), name


def drawn_curves(k=3, seed=0, **shape):
    """Curves with correlated noise, and their covariance; one lag of the second has no value."""
    rng, n = np.random.default_rng(seed), LAG.size
    mix = 1e-3 * (np.eye(n) + 0.3 * np.eye(n, k=1))
    y = curve(LAG, p=0.8, **shape) + rng.normal(size=(k, n)) @ mix.T
    covariance = np.array([mix @ mix.T] * k)
    y[1, 4] = np.nan
    return _family.Curves.of(LAG, y, covariance), y, covariance


def test_whitening_makes_the_noise_of_the_lags_independent():
    curves, y, covariance = drawn_curves()
    use = np.isfinite(y)
    assert curves.n.tolist() == [LAG.size, LAG.size - 1, LAG.size] and curves.value[1, 4] == 1
    for w, c, some in zip(curves.whitening, covariance, use, strict=True):
        assert w[np.ix_(some, some)] @ c[np.ix_(some, some)] @ w[np.ix_(some, some)].T == pytest.approx(
            np.eye(some.sum())
        )
        assert not w[~some].any() and not w[:, ~some].any()
    assert curves[np.array([2, 1])].n.tolist() == [LAG.size, LAG.size - 1]


@pytest.mark.parametrize("model", ["stretched", "stretched + static", "stretched + baseline"])
def test_a_fit_has_the_minimum_the_covariance_and_the_evidence_of_its_curve(model):
    rest = {"stretched + static": {"static": 0.3}, "stretched + baseline": {"base": 0.02}}.get(model, {})
    curves, _, _ = drawn_curves(**rest)
    fit = _family.fit(curves, model, _family.start_of(curves))
    free = _family.MODELS[model]
    columns = [_family.NAMES.index(name) for name in free]
    for k in range(3):

        def residual(x, k=k):
            whole = np.array([*_family.NEUTRAL.values()])
            whole[columns] = x
            return curves.whitening[k] @ (_family.curve(LAG, whole[None])[0] - curves.value[k])

        best = least_squares(residual, fit.x[k, columns] * 1.02 + 1e-4, x_scale="jac", xtol=1e-12, ftol=1e-12)
        assert fit.x[k, columns] == pytest.approx(best.x, rel=2e-3, abs=2e-4)
        assert fit.chi2[k] == pytest.approx(2 * best.cost, rel=1e-5)
        matrix = best.jac.T @ best.jac
        assert fit.covariance[k][np.ix_(columns, columns)] == pytest.approx(np.linalg.inv(matrix), rel=0.02, abs=1e-9)
        width = np.array([{"baseline": 0.05}.get(name, _family.WIDTHS[name]) for name in free])
        shrunk = np.linalg.slogdet(np.eye(len(free)) + matrix * np.outer(width, width) / (2 * np.pi))[1]
        beyond = 2 * np.pi * (fit["baseline"][k] / 0.05) ** 2
        assert fit.evidence[k] == pytest.approx(-(2 * best.cost + beyond + shrunk) / 2, rel=1e-3)
    assert not fit.edge.any()
    assert fit.error("tau") == pytest.approx(np.sqrt(fit.covariance[:, 1, 1]))


def test_tau_may_be_fixed_and_ranges_narrowed():
    curves, _, _ = drawn_curves()
    held = np.log([20.0, 40.0, 60.0])
    fixed = _family.fit(curves, "stretched", _family.start_of(curves), log_tau=held)
    assert fixed["tau"].tolist() == held.tolist() and not fixed.error("tau").any()
    free = _family.fit(curves, "stretched", _family.start_of(curves))
    assert (fixed.chi2 >= free.chi2).all() and fixed.chi2[2] > free.chi2[2] + 10
    narrow = _family.fit(curves, "stretched", _family.start_of(curves), {"exponent": (1.2, 2.0)})
    assert narrow["exponent"] == pytest.approx(1.2, abs=1e-6) and narrow.edge.all()


def test_a_bounded_minimum_is_that_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(6, 4, 3)), 3 * rng.normal(size=(6, 4))
    low, high = np.array([0.5, -1.0, -1.0]), np.array([0.5, 1.0, 1.0])  # the first parameter cannot move
    seen = []

    def normal(x, which):
        seen.append(which)
        residual = np.einsum("kij,kj->ki", a[which], x) - b[which]
        return (residual**2).sum(1), a[which].transpose(0, 2, 1) @ a[which], np.einsum("kij,ki->kj", a[which], residual)

    x, cost, finished = levenberg_marquardt(np.clip(np.zeros((6, 3)), low, high), low, high, normal)
    assert finished.all()
    for k in range(6):
        best = lsq_linear(a[k], b[k], (low - 1e-9, high + 1e-9))
        assert x[k] == pytest.approx(best.x, abs=1e-4) and cost[k] == pytest.approx(2 * best.cost, rel=1e-5)
    assert len(seen[-1]) < 6  # those that finished are left alone
