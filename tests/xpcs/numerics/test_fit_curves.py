"""Models of curves of g2 with errors alone: minima against SciPy, model choice, and forbidden numbers."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from ainerd_xpcs.numerics import _family, fit_curves

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
        ({"base": 0.01}, "stretched + baseline"),
    ],
)
def test_the_model_is_chosen_and_pulls_are_those_of_the_errors(shape, model):
    fit = fit_curves(LAG, *noisy(**shape))
    chosen = (fit.model == model) | (fit.either == model)
    assert chosen.mean() > 0.9
    pull = ((fit.tau - shape.get("tau", 40.0)) / fit.tau_err)[fit.model == model]
    assert np.isfinite(pull).mean() > 0.9 and np.nanstd(pull) < 1.3 and abs(np.nanmean(pull)) < 0.7
    base = shape.get("base", 0.0)
    plateau = shape.get("static", 0.0) ** 2 + base / (0.2 + base)
    assert np.nanmedian(fit.plateau) == pytest.approx(plateau, abs=0.02)
    assert not plateau or 0.6 < np.sqrt(np.nanmean(((fit.plateau - plateau) / fit.plateau_err) ** 2)) < 2


@pytest.mark.parametrize(("model", "rest"), [("stretched", {}), ("stretched + static", {"static": 0.3})])
def test_a_fit_has_the_minimum_and_the_covariance_of_scipy(model, rest):
    mix = 1e-3 * (np.eye(LAG.size) + 0.3 * np.eye(LAG.size, k=1))  # the noise of neighbouring lags is correlated
    y = curve(LAG, p=0.8, **rest) + np.random.default_rng(0).normal(size=(1, LAG.size)) @ mix.T
    curves = _family.Curves.of(LAG, y, (mix @ mix.T)[None])
    fit = _family.fit(curves, model, _family.start_of(curves))
    free = [_family.NAMES.index(name) for name in _family.MODELS[model]]

    def residual(x):
        b, log_tau, *others = x
        p, static = others if rest else (others[0], 0.0)
        return np.linalg.solve(mix, curve(LAG, np.exp(log_tau), p, b, static) - y[0])

    best = least_squares(residual, fit.x[0, free] * 1.02 + 1e-4, x_scale="jac", xtol=1e-12, ftol=1e-12)
    assert fit.x[0, free] == pytest.approx(best.x, rel=2e-3, abs=2e-4)
    assert fit.chi2[0] == pytest.approx(2 * best.cost, rel=1e-5)
    covariance = np.linalg.inv(best.jac.T @ best.jac)
    assert fit.covariance[0][np.ix_(free, free)] == pytest.approx(covariance, rel=0.02, abs=1e-9)


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


REFUSED = {"no speckle": {"b": 0.0}, "does not decay": {"tau": 1e6}, "faster than the lags": {"tau": 0.9}}


@pytest.mark.parametrize("why", REFUSED)
def test_a_number_that_the_lags_do_not_show_has_a_reason(why):
    fit = fit_curves(LAG, *noisy(**REFUSED[why]))
    assert np.isnan(fit.tau).all() and np.isnan(fit.exponent).all() and (fit.no_tau == why).mean() > 0.85
    if why == "does not decay":
        assert np.nanmin(fit.tau_above) > 300 and np.isnan(fit.tau_below).all()


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


@pytest.mark.parametrize("p", [1.0, 1.5])
def test_limits_beside_a_part_that_does_not_decay_allow_for_it(p):
    """A decay within three lags has no shape, so that each curve gets a limit."""
    g2, error = noisy(10, tau=2.6, p=p, static=0.25, b=0.21)
    below = fit_curves(LAG, g2, error, share=()).tau_below
    assert np.isfinite(below).all() and (below > 2.6).all()


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


@pytest.mark.parametrize(
    ("options", "message"), [({"models": ["three"]}, "there is no 'three'"), ({"error": np.ones(3)}, "do not fit g2")]
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_curves(LAG, noisy(1)[0], **options)
