"""Numbers of an exposure: those that are not given, and those that are taken away after the fits."""

import numpy as np

from ainerd_xpcs.numerics import MultiTau, Partition, fit_curves, fit_relaxation
from ainerd_xpcs.technique._features import rings
from ainerd_xpcs.technique._numbers import NAMES, OF_TAU, Numbers, named, numbers
from ainerd_xpcs.technique._sentences import bin_cells, details, sentences


def test_lost_frames_widen_the_errors_of_times_and_take_away_those_that_are_then_unknown():
    lag = np.unique(np.geomspace(1, 1000, 50).astype(int))
    y = 1 + 0.2 * np.exp(-2 * lag / 40) + np.random.default_rng(0).normal(0, 1e-3, (2, lag.size))
    columns = named(fit_curves(lag, y, np.full(y.shape, 1e-3)))
    summary = {name: (str if column.dtype.kind == "U" else float)(column[0]) for name, column in columns.items()}
    before = Numbers({}, summary, columns, columns, [])
    assert before.with_lost(0.0) is before
    some, many = before.with_lost(0.1), before.with_lost(0.5)
    for table in (some.summary, {name: x[0] for name, x in some.bins.items()}):
        assert table["tau_s"] == before.summary["tau_s"] and not table["no_tau"]
        assert np.isclose(table["tau_s_err"] ** 2, summary["tau_s_err"] ** 2 + (0.1 * summary["tau_s"]) ** 2)
    gone = {NAMES[x] for x in ("tau", "tau_err", "exponent", "exponent_err", "plateau")}
    assert all(many.summary[name] is None and np.isnan(many.rings[name]).all() for name in gone)
    assert (many.bins["no_tau"] == "too many frames are missing").all() and many.summary["contrast"] > 0


def test_a_sample_that_ages_has_no_second_relaxation_time():
    """Its g2 is a mixture of relaxation times, which two modes describe better than one does."""
    n, rng = 300, np.random.default_rng(1)
    moved = np.interp(np.arange(n), [0, 90, 300], [0, 12, 14])  # it becomes 14 times as slow after 90 frames
    root = np.linalg.cholesky(np.exp(-np.abs(moved[:, None] - moved)) + 1e-6 * np.eye(n))
    light = sum((root @ rng.standard_normal((n, 6000))) ** 2 for _ in range(4)) / 4
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 7), 1000).reshape(60, 100))
    correlator = MultiTau(partition)
    correlator.push(rng.poisson(2 * light).astype(np.uint16))
    g2, by_age = correlator.result(), correlator.by_age()
    ring = rings(partition)[0]
    assert fit_relaxation(g2, bins=ring.bins, together=True).model[0].startswith("two")
    found = numbers(g2, by_age, partition, [ring], 1.0)
    assert found.summary["ageing_exponent"] > 1 and found.summary["g2_model"].startswith("stretched")
    assert found.summary["tau2_s"] is None
    assert not np.char.startswith(found.bins["g2_model"], "two").any()


def test_where_no_model_describes_g2_there_is_its_reason_and_no_number_of_a_model():
    """In the numbers of the run and of each bin, in sentences and in cells of tables."""
    n, rng = 300, np.random.default_rng(2)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    root = np.linalg.cholesky((0.6 + 0.4 * np.cos(lag / 8)) * np.exp(-lag / 300) + 1e-6 * np.eye(n))  # it swings
    light = sum((root @ rng.standard_normal((n, 6000))) ** 2 for _ in range(4)) / 4
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 7), 1000).reshape(60, 100))
    correlator = MultiTau(partition)
    correlator.push(rng.poisson(2 * light).astype(np.uint16))
    found = numbers(correlator.result(), correlator.by_age(), partition, [rings(partition)[0]], 1.0)
    assert found.summary["misfit_p"] < 1e-4 and found.summary["no_tau"] == "no model fits g2"
    assert all(found.summary[name] is None for name in OF_TAU)
    refused = found.bins["no_tau"] == "no model fits g2"
    assert refused.any() and all(np.isnan(found.bins[name][refused]).all() for name in OF_TAU)
    known = {name: x for name, x in found.summary.items() if x is not None}
    text = " ".join(sentences(known))
    assert "no relaxation time is given: no model fits g2" in text and "time is " not in text.replace(
        "time is given", ""
    )
    assert details(known)[0].startswith("misfit of g2: p = ")
    for k in np.flatnonzero(refused):
        speckle, _, tau, exponent = bin_cells({name: column[k] for name, column in found.bins.items()})
        assert (speckle, tau, exponent) == ("yes", "no model fits g2", "")


def test_a_model_that_describes_g2_as_well_is_named_with_its_time():
    values = {"speckle": "yes", "tau_s": 4.0, "tau_s_err": 0.1, "g2_model": "stretched + static"}
    values |= {"g2_model_or": "stretched + baseline", "tau_s_or": 6.5, "tau_s_or_err": 0.2, "misfit_p": 0.5}
    assert sentences(values)[0] == "the relaxation time is 4 ± 0.1 s, or 6.5 ± 0.2 s: both fit as well"
    assert details(values)[0] == "model of g2: stretched + static, or as well stretched + baseline"
    assert bin_cells(values)[2] == "4 ± 0.1 or 6.5 ± 0.2"
