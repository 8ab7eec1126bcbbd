"""Numbers that are taken away after the fits."""

import numpy as np

from ainerd.techniques.rheo_xpcs._numbers import NAMES, Numbers, named
from ainerd.xpcs import fit_curves


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
