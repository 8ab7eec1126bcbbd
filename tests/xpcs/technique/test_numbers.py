"""Numbers of an exposure: those that are not given, and those that are taken away after the fits."""

from types import SimpleNamespace

import numpy as np
import pytest

from ainerd.results import Content, LoadedResult, compare
from ainerd_xpcs.numerics import MultiTau, Partition, TwoTimeReducer, fit_curves, fit_relaxation
from ainerd_xpcs.technique import NAMES, Numbers, bin_cells, clock_of, details, named, of_run, rings, sentences
from ainerd_xpcs.technique._numbers import OF_TAU, numbers
from ainerd_xpcs.technique.panels import columns


def test_lost_frames_widen_the_errors_of_times_and_take_away_those_that_are_then_unknown():
    lag = np.unique(np.geomspace(1, 1000, 50).astype(int))
    decays = np.exp(-lag / 40), 0.5 * np.exp(-lag / 10) + 0.5 * np.exp(-lag / 200)
    y = 1 + 0.2 * np.square(decays) + np.random.default_rng(0).normal(0, 1e-3, (2, lag.size))
    fitted = named(fit_curves(lag, y, np.full(y.shape, 1e-3), share=()))
    summary = {name: (str if column.dtype.kind == "U" else float)(column[0]) for name, column in fitted.items()}
    before = Numbers({}, summary, fitted, fitted, [])
    assert before.with_lost(0.0) is before
    some, many = before.with_lost(0.1), before.with_lost(0.5)
    for table in (some.summary, {name: x[0] for name, x in some.bins.items()}):
        assert table["tau_s"] == before.summary["tau_s"] and not table["no_tau"]
        assert np.isclose(table["tau_s_err"] ** 2, summary["tau_s_err"] ** 2 + (0.1 * summary["tau_s"]) ** 2)
    assert np.isfinite(fitted["tau2_s"][1]) and np.isnan(some.bins["tau2_s"][1])
    assert "gaps look like" in some.bins["no_tau"][1]  # which change the shape of g2, as a second relaxation does
    gone = {NAMES[x] for x in ("tau", "tau_err", "exponent", "exponent_err", "plateau")}
    assert all(many.summary[name] is None and np.isnan(many.rings[name][0]) for name in gone)
    assert many.bins["no_tau"][0] == "too many frames are missing" and many.summary["contrast"] > 0


def test_a_run_has_an_exponent_over_q_or_the_reason():
    roi_map = np.repeat([1, 2, 3], 40).reshape(12, 10)
    partition = Partition.from_roi_map(roi_map, q=[0.02, 0.03, 0.04])
    for tau, reason in (
        ([9.0, 4.0, 2.25], None),
        ([9.0, 9.0, 2.25], "the relaxation times scatter about a power law by more than twice their errors"),
        ([9.0, np.nan, 2.25], "two relaxation times do not show whether there is a power law"),
    ):
        summary = of_run(rings(partition), {"tau_s": np.array(tau), "tau_s_err": np.full(3, 0.1)}, {})
        assert (summary["q_exponent"] is None) == (reason is not None) and summary["no_q_exponent"] == reason
        text = next(text for text in details(summary) if "tau" in text)
        assert text.startswith(f"no exponent of tau over q is given: {reason}" if reason else "tau goes with q")
        without = Numbers({}, summary, {}, {}, []).without_fits().summary
        assert without["q_exponent"] is without["no_q_exponent"] is without["diffusion_nm2_s"] is None


def test_a_sample_that_ages_has_no_second_relaxation_time():
    """Its g2 is a mixture of relaxation times, which two modes describe better than one does."""
    n, rng = 300, np.random.default_rng(1)
    moved = np.interp(np.arange(n), [0, 90, 120, 300], [0, 12, 13, 15])  # it becomes 12 times as slow after 90 frames
    root = np.linalg.cholesky(np.exp(-np.abs(moved[:, None] - moved)) + 1e-6 * np.eye(n))
    light = sum((root @ rng.standard_normal((n, 6000))) ** 2 for _ in range(4)) / 4
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 7), 1000).reshape(60, 100))
    correlator, reducer, counts = MultiTau(partition), TwoTimeReducer(partition, n), rng.poisson(2 * light)
    for each in (correlator, reducer):
        each.push(counts.astype(np.uint16))
    g2, ring = correlator.result(), rings(partition)[0]
    assert fit_relaxation(g2, bins=ring.bins, together=True).model[0].startswith("two")
    clock = clock_of(ring, reducer.maps(), np.full(6, counts.mean() * n), float(n))
    result = numbers(g2, partition, [ring], 1.0, [clock])
    assert result.summary["dynamics"] == "slows" and result.summary["slows_by"] > 5
    assert result.summary["tau_s"] == pytest.approx(300 / 15, rel=0.15)  # at the mean rate
    assert result.summary["tau2_s"] is None and not np.char.startswith(result.bins["g2_model"], "two").any()


def test_a_ring_without_light_has_no_numbers_and_takes_none_of_the_others():
    n, rng = 128, np.random.default_rng(4)
    root = np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 10))
    light = sum((root @ rng.standard_normal((n, 1600))) ** 2 for _ in range(2)) / 2
    q = [0.01, 0.02, 0.03, 0.03]  # three rings, the last of two bins, which are dark
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 5), 400).reshape(40, 40), q=q)
    frames = rng.poisson(2 * light).astype(np.uint16).reshape(n, 40, 40) * (partition.roi_map < 3)
    correlator = MultiTau(partition)
    correlator.push(frames)
    result = numbers(correlator.result(), partition, rings(partition), 1.0, [None, None, None])
    assert np.isnan(result.rings["tau_s"]).tolist() == [False, False, True]
    assert result.rings["no_tau"][2] == "no speckle"


def test_a_g2_that_no_model_describes_has_a_reason_and_no_number_of_a_model():
    """In the numbers of the run and of each bin, in sentences and in cells of tables."""
    n, rng = 300, np.random.default_rng(2)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    root = np.linalg.cholesky((0.6 + 0.4 * np.cos(lag / 8)) * np.exp(-lag / 300) + 1e-6 * np.eye(n))  # it swings
    light = sum((root @ rng.standard_normal((n, 6000))) ** 2 for _ in range(4)) / 4
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 7), 1000).reshape(60, 100))
    correlator = MultiTau(partition)
    correlator.push(rng.poisson(2 * light).astype(np.uint16))
    result = numbers(correlator.result(), partition, [rings(partition)[0]], 1.0, [None])
    assert result.summary["misfit_p"] < 1e-4 and result.summary["no_tau"] == "no model fits g2"
    assert all(result.summary[name] is None for name in OF_TAU)
    refused = result.bins["no_tau"] == "no model fits g2"
    assert refused.any() and all(np.isnan(result.bins[name][refused]).all() for name in OF_TAU)
    known = {name: x for name, x in result.summary.items() if x is not None}
    text = " ".join(sentences(known))
    assert "no relaxation time is given: no model fits g2" in text and "time is " not in text.replace("time is g", "")
    assert details(known)[0].startswith("misfit of g2: p = ")
    cells = bin_cells({name: column[refused.argmax()] for name, column in result.bins.items()})
    assert (cells[0], cells[3]) == ("yes", "") and cells[2].startswith("no model fits g2; half at ")
    fine = np.linspace(1, n, 100_000)
    decay = (0.6 + 0.4 * np.cos(fine / 8)) ** 2 * np.exp(-fine / 150)
    first = decay[np.searchsorted(fine, [1, 2, 3])].mean()
    fallen = fine[(decay < first / 2).argmax()]
    assert abs(known["tau_half_s"] - fallen) < 3 * known["tau_half_s_err"] < 0.3 * fallen
    assert f"the correlation g2 - 1 falls to half of its first value at {known['tau_half_s']:.3g}" in text


def test_a_model_that_describes_g2_as_well_is_named_with_its_time():
    values = {"speckle": "yes", "tau_s": 4.0, "tau_s_err": 0.1, "g2_model": "stretched + static"}
    values |= {"g2_model_or": "stretched + baseline", "tau_s_or": 6.5, "tau_s_or_err": 0.2, "misfit_p": 0.5}
    both = "the relaxation time is 4.00 ± 0.10 s or 6.50 ± 0.20 s: the data do not decide between two models"
    assert sentences(values)[0] == both
    static = values | {"plateau": 0.45, "static_share": 0.67}  # of the contrast, and of the field
    assert sentences(static)[-1] == "45 % of the contrast does not decay"
    assert details(static)[-1] == "static share 0.67"
    assert "stretched + baseline fits as well, with the relaxation time 6.50 ± 0.20 s" in details(values)[1]
    assert bin_cells(values)[2] == columns(values, {})["tau (s)"] == "4.00 ± 0.10 or 6.50 ± 0.20"


def test_a_run_whose_bins_differ_has_the_range_of_its_bins():
    rings = [SimpleNamespace(bins=np.arange(3), q=0.02)]
    together = {"tau_s": np.array([0.095]), "tau_s_err": np.array([0.001]), "bins_alike_p": np.array([1e-9])}
    together |= {"no_tau": np.array([""]), "tau_half_s": np.array([0.04])}
    bins = {"tau_s": np.array([0.2, 0.108, 0.067]), "tau_s_err": np.array([0.002, 0.001, 0.001])}
    values = {name: value for name, value in of_run(rings, together, bins).items() if value is not None}
    between = "their relaxation times lie between 0.066 and 0.202 s"
    assert sentences(values) == [f"the bins differ: {between}, see the table bins"]
    assert columns(values, {}) == {"tau (s)": "0.066 to 0.202"}
    alike = of_run(rings, together | {"bins_alike_p": np.array([0.4])}, bins)
    assert (alike["tau_s"], alike["tau_half_s"]) == (0.095, 0.04)


def test_numbers_without_a_model_stand_beside_the_reason_or_the_limits():
    half = {"tau_half_s": 0.3, "tau_half_s_err": 0.02}
    for row, cell in (
        ({"no_tau": "no model fits g2", **half}, "no model fits g2; half at 0.300 ± 0.020"),
        ({"no_tau": "slower than the lags", "tau_s_above": 5.0, **half}, "> 5; half at 0.300 ± 0.020"),
        ({"no_tau": "does not decay", "tau_s_above": 5.0, "tau_half_s_above": 9.0}, "> 5"),
        ({"no_tau": "no model fits g2", "tau_half_s_above": 9.0}, "no model fits g2; half at > 9"),
    ):
        assert bin_cells({"speckle": "yes", **row})[2] == cell
    assert columns({"no_tau": "no model fits g2", **half}, {}) == {"tau (s)": "half at 0.300 ± 0.020"}
    values = {"no_tau": "no model fits g2", "tau_half_s_above": 1.0, "tau_half_s_below": 2.0}
    falls = "the correlation g2 - 1 falls to half of its first value"
    assert sentences(values) == ["no relaxation time is given: no model fits g2", f"{falls} between 1 and 2 s"]
    del values["tau_half_s_below"]
    assert sentences(values)[-1] == f"{falls} after more than 1 s"


def test_results_are_compared_on_one_scale_with_their_times():
    rng, lag = np.random.default_rng(0), np.geomspace(0.1, 10, 12)
    about = {"technique": "rheo_xpcs", "n_frames": 100, "frame_time_s": 0.1, "tables": {}, "contrast": 0.2}
    results = [
        LoadedResult(
            f"k{scan}",
            about | {"scan_id": scan} | ({"tau_s": tau, "tau_s_err": 0.1} if tau else {"tau_s_above": 30.0}),
            {
                "c2": Content(1 + scale * rng.random((3, 16, 16)), ("roi", "t1", "t2")),
                "g2": Content(1 + 0.2 * np.exp(-2 * lag / (tau or 99)) * np.ones((3, 1)), ("roi", "tau")),
                "tau": Content(lag, ("tau",)),
            },
        )
        for scan, tau, scale in ((9, 1.0, 0.1), (12, 3.0, 0.3), (15, None, 0.2))
    ]
    figure = compare(results)
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in maps] == ["scan 9", "scan 12", "scan 15"]
    assert len({axes.images[0].get_clim() for axes in maps}) == 1
    (curves,) = (axes for axes in figure.axes if axes.get_legend())
    texts = sorted(text.get_text() for text in curves.get_legend().get_texts())
    assert texts == ["scan 12: τ = 3.00 ± 0.10 s", "scan 15: > 30", "scan 9: τ = 1.00 ± 0.10 s"]
    with pytest.raises(ValueError, match="no run cannot be drawn together"):
        compare([])


def test_a_bin_without_speckle_has_no_contrast():
    row = {"speckle": "no", "contrast": -1.0, "contrast_err": 0.2, "tau_s": np.nan}
    assert bin_cells(row) == ("no", "", "", "")
    assert bin_cells({**row, "speckle": "yes", "contrast": 0.25}) == ("yes", "0.25 ± 0.20", "", "")


def test_a_flow_whose_profile_no_model_has_is_told_with_its_direction():
    values = {"flow_kind": "unknown", "flow_p": 1e-9, "flow_bic": 300.0, "flow_misfit_p": 2e-6}
    directed = values | {"flow_direction_deg": 30.0, "flow_direction_deg_err": 2.0}
    assert sentences(directed) == ["it flows along 30.0 ± 2.0 degrees or the opposite; the profile is not determined"]
    assert sentences(values) == ["it flows; the profile is not determined"]
    assert sentences(values | {"flow_bic": -40.0})[0].startswith("its motion is fastest;")
    assert details(directed) == ["flow: p = 1e-09; misfit of its models: p = 2e-06"]
