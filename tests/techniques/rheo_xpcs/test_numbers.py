"""Numbers of an exposure: those that are not given, and those that are taken away after the fits."""

import numpy as np

from ainerd.techniques.rheo_xpcs._features import rings
from ainerd.techniques.rheo_xpcs._numbers import NAMES, Numbers, named, numbers
from ainerd.xpcs import MultiTau, Partition, fit_curves, fit_relaxation


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
    assert found.summary["tau_s"] > 0 and found.summary["tau2_s"] is None
    assert not np.char.startswith(found.bins["g2_model"], "two").any()
