"""The shear rate of runs in steady shear, against the truth of scatterers that are moved one by one."""

import re
import tracemalloc
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ainerd.technique import RunInfo
from ainerd_xpcs.numerics import Events, MultiTau, Partition, Screened, fit_shear_rate
from ainerd_xpcs.numerics._shear_rate import WRONG_FLOW
from ainerd_xpcs.technique import RheoXPCS, ShearRateSettings, judge, new_figure, panels, sentences
from ainerd_xpcs.technique._features import rings
from ainerd_xpcs.technique._shear_windows import NUMBERS, UNITS, WHY, ShearWindows
from sim_devices import Geometry, ScatteredMovie, SteadyShear

PLACE = Geometry(shape=(40, 80), beam_center_px=(0.0, 40.0), q_range_inv_nm=(0.0115, 0.015))
BINS = {
    "shape": [40, 80], "beam_center_px": [0.0, 40.0], "distance_m": 8.0, "energy_keV": 11.0,
    "q_range_inv_nm": [0.0118, 0.0148], "n_phi": 6, "phi_range_deg": [0.0, 180.0],
}  # fmt: skip
SHEAR = {"gap_um": 3.0, "direction_deg": 90.0, "window_s": 1.0}
FRAME_S, N = 0.01, 230  # two windows, and less than a half of a third one
STEP = ((0.999, 0.8), (1.0, 2.0))  # time in s and rate in 1/s
ROOT = Path(__file__).resolve().parents[3]


@cache
def movie(rates=STEP):
    rng, t_s = np.random.default_rng(1), np.arange(N) * FRAME_S
    counts = np.zeros((N, PLACE.q_inv_nm.size), np.uint16)
    sample = SteadyShear(rates=rates, diffusion_nm2=18_000.0)
    blocks = ScatteredMovie(sample, t_s, PLACE, contrast=0.5, rng=rng).blocks()
    counts[:, PLACE.ring] = rng.poisson(5 * np.concatenate(list(blocks)))
    return counts.reshape(N, *PLACE.frame_shape)


@pytest.fixture(autouse=True)
def no_bank(monkeypatch):
    """Without a calibration, which takes seconds."""
    monkeypatch.setattr("ainerd_xpcs.technique._exposure.prepare", lambda *args: None)
    monkeypatch.setattr(
        "ainerd_xpcs.technique._exposure.judge",
        lambda technique, maps, photons, contrasts, size, doubt, cells: judge(
            technique, maps, photons, contrasts, size, doubt or "no bank", cells
        ),
    )


def technique(shear=SHEAR, **bins):
    section = {"partition": BINS | bins} | ({"shear_rate": shear} if shear else {})
    return RheoXPCS.from_settings(section, ROOT)


def analysed(subject, frames, size=40, as_events=False, lost=0):
    run = RunInfo(raw_uid="x", n_frames=len(frames), frame_shape=PLACE.frame_shape, frame_time_s=FRAME_S)
    exposure = subject.begin(run)
    for first in range(0, len(frames), size):
        some = frames[first : first + size]
        if as_events:
            exposure.push(Events.of(some, first), None)
        else:
            exposure.push(subject.partition.gather(some), first)
    exposure.lost(lost)
    return exposure.finish()


def sentence_of(summary):
    """The sentence about the shear rate."""
    known = {name: value for name, value in summary.items() if value is not None}
    (sentence,) = (text for text in sentences(known) if "shear rate" in text)
    return sentence


def test_a_rate_that_changes_is_recovered_by_an_analysis():
    subject = technique()
    result = analysed(subject, movie())
    table = result.tables["shear_rate"]
    assert table["time"] == pytest.approx([0.5, 1.5])
    rate, error = (table[name] for name in NUMBERS[:2])
    assert (np.abs(rate - [0.8, 2.0]) < 3.5 * error).all()
    assert (error < 0.1 * rate).all()
    assert table[WHY].tolist() == ["", ""]
    summary = result.summary
    assert summary["shear_rate_1_s"] == pytest.approx(rate.mean())
    assert summary["shear_rate_1_s_err"] == pytest.approx(np.hypot(*error) / 2)
    assert result.units["shear_rate_1_s"] == "1/s"
    assert sentence_of(summary).startswith("the shear rate is 1.")

    q_flow, seen = PLACE.q_inv_nm * np.cos(np.deg2rad(PLACE.phi_deg - 90)), []
    for window in np.split(movie()[:200], 2):  # the same, with q of each pixel
        correlator = MultiTau(subject.partition)
        correlator.push(window)
        seen.append(correlator.result())
    exact = fit_shear_rate(seen, FRAME_S, subject.partition, q_flow, 3000.0)
    assert rate == pytest.approx(exact.rate, rel=0.01)
    assert error == pytest.approx(exact.rate_err, rel=0.1)


def test_the_figure_of_a_result_shows_the_rates():
    table = pd.DataFrame(analysed(technique(), movie()).tables["shear_rate"])
    result = SimpleNamespace(
        metadata={"arrays": [], "series": [], "tables": ["shear_rate"]},
        items=lambda: {"shear_rate": SimpleNamespace(read=lambda: table)}.items(),
    )
    figure = new_figure(4, 4)
    panels.plot(result, figure)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "shear rate (1/s)"
    assert np.array_equal(axes.lines[0].get_xydata(), table[["time", "shear_rate_1_s"]])


def test_blocks_and_events_give_the_same_rates():
    some, whole, events = (
        analysed(technique(), movie(), size, as_events).tables["shear_rate"]
        for size, as_events in ((37, False), (N, False), (60, True))
    )
    for name in ("time", *NUMBERS):
        np.testing.assert_allclose(some[name], whole[name], rtol=1e-6)
        np.testing.assert_allclose(events[name], whole[name], rtol=1e-4)


def test_only_the_settings_add_a_shear_rate():
    """Digest and numbers of a run without the section are pinned elsewhere; with it, all others stay."""
    with_shear, without = (analysed(technique(shear), movie()) for shear in (SHEAR, None))
    more = {name: value for name, value in with_shear.summary.items() if name not in (*NUMBERS, WHY)}
    assert more == without.summary
    assert with_shear.tables.keys() - without.tables.keys() == {"shear_rate"}
    assert all(np.array_equal(x, without.arrays[name], equal_nan=True) for name, x in with_shear.arrays.items())
    assert "shear_rate" not in technique(None).parameters
    assert technique().parameters["shear_rate"] == SHEAR | {"version": 3}


def test_a_sample_at_rest_has_a_bound_and_a_reason():
    result = analysed(technique(), movie(((0.0, 0.0),)))
    table, summary = result.tables["shear_rate"], result.summary
    assert np.isnan(table["shear_rate_1_s"]).all()
    assert "shear_rate_1_s" not in summary
    assert summary["shear_rate_1_s_below"] == table["shear_rate_1_s_below"].max()
    assert 0 < summary["shear_rate_1_s_below"] < 0.6
    assert summary[WHY].startswith("the speckle relaxes, or the window ends")
    assert sentence_of(summary).startswith("the shear rate is below 0.")


@pytest.mark.parametrize("wrong", [0.0, 45.0])
def test_a_wrong_direction_gives_a_reason_and_no_number(wrong):
    result = analysed(technique(SHEAR | {"direction_deg": wrong}), movie())
    table = result.tables["shear_rate"]
    assert np.isnan(table["shear_rate_1_s"]).all()
    assert table[WHY][1] == WRONG_FLOW  # in the first window the shear is slow
    assert np.isnan([table[name][1] for name in NUMBERS]).all()
    assert table["chi2"][1] > 1.5
    assert not set(NUMBERS) & {*result.summary}
    assert WRONG_FLOW in sentence_of(result.summary)


@pytest.mark.parametrize(
    ("shear", "bins", "reason"),
    [
        ({"window_s": 0.05}, {}, "a window of 0.05 s holds 5 frames"),
        ({"window_s": 6.0}, {}, "shorter than half a window"),
        ({}, {"n_phi": 2}, "needs three bins or more"),
        ({"direction_deg": 90.0, "window_s": 2.0}, {"phi_range_deg": [70.0, 110.0], "n_phi": 4}, "at one angle"),
    ],
)
def test_a_run_that_does_not_tell_has_a_reason(shear, bins, reason):
    result = analysed(technique(SHEAR | shear, **bins), movie())
    assert reason in result.summary[WHY]
    assert not set(NUMBERS) & {*result.summary}
    assert sentence_of(result.summary) == f"no shear rate is given: {result.summary[WHY]}"


def test_frames_that_may_be_lost_widen_the_error():
    """Also that of the mean: the same share may be lost in each window."""
    results = [analysed(technique(), movie(), lost=lost) for lost in (0, 23)]
    for sure, unsure in (
        [result.tables["shear_rate"] for result in results],
        [result.summary for result in results],
    ):
        wider = np.hypot(sure["shear_rate_1_s_err"], 0.1 * sure["shear_rate_1_s"])
        assert unsure["shear_rate_1_s_err"] == pytest.approx(wider)


def windows(n_frames):
    bins = Partition.from_roi_map(np.repeat([[1, 2, 3]], 8, 0).repeat(8, 1), q=3 * [0.01], phi=[0.0, 60.0, 120.0])
    settings = ShearRateSettings(gap_um=3.0, direction_deg=0.0, window_s=n_frames * FRAME_S)
    return ShearWindows(settings, bins, rings(bins)[0], FRAME_S)


def block(first, frames, leave_out=()):
    return Screened(frames, np.ones(len(frames), bool), np.array(leave_out, np.int64), first)


def test_windows_without_frames_are_left_out_and_dark_ones_have_a_reason():
    frames = np.random.default_rng(0).poisson(2.0, (64, 192)).astype(np.uint16)
    run = windows(16)
    run.push(block(0, frames[:16]))
    run.push(block(48, 0 * frames[:16]))
    run.push(block(80, frames[:10], [3, 100]))
    table = run.finish(None, 0.0)[0]["shear_rate"]
    assert table["time"] == pytest.approx([0.08, 0.56, 0.85])
    assert (table[WHY] != "").all()
    assert "too few values" in table[WHY][1]


def test_a_doubt_about_the_frames_takes_the_rate_away():
    run = windows(16)
    run.push(block(0, np.random.default_rng(0).poisson(2.0, (32, 192)).astype(np.uint16)))
    assert run.finish("the frames are not in order", 0.0) == ({}, {WHY: "the frames are not in order"})


def test_memory_does_not_grow_with_windows():
    frames = np.random.default_rng(0).poisson(2.0, (64, 192)).astype(np.uint16)
    run, used = windows(64), {}
    run.push(block(0, frames))
    tracemalloc.start()
    for k in range(1, 9):
        run.push(block(64 * k, frames))
        used[k] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used[8] - used[3] < 2**16


def test_numbers_of_steady_shear_are_on_the_page():
    page = (ROOT / "docs/reference/results.md").read_text().split("### Steady shear")[1].split("\n### ")[0]
    assert {*UNITS, WHY} <= set(re.findall(r"`(\w+)`", page))


@pytest.mark.parametrize("missing", SHEAR)
def test_a_section_that_is_not_complete_is_refused(missing):
    some = {name: value for name, value in SHEAR.items() if name != missing}
    with pytest.raises(ValueError, match=f"rheo_xpcs.shear_rate.{missing}"):
        technique(some)
