"""X-TEC as a technique: the checks of every technique, bad input, and any order of runs."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from ainerd.technique import AnalysisError
from ainerd.testing import ExampleRun, Feed, analyse, check_technique
from ainerd_xtec import XTEC, Trajectories
from ainerd_xtec.panels import columns, sentences
from sim_devices import Transition
from tests.xtec.ramps import TEMPERATURES, ramp

RUN = ramp()
SECTION = {"clusters": 3, "unit": "K"}
SMALL = [ramp(seed, np.linspace(30, 180, 6), 48) for seed in range(2)]


def test_it_passes_the_checks_of_a_technique():
    check_technique(XTEC(**SECTION), SMALL, section=SECTION)


def same_bits(one, two):
    assert one.embedding.tobytes() == two.embedding.tobytes() and one.summary == two.summary
    for name, array in one.arrays.items():
        assert array.tobytes() == two.arrays[name].tobytes(), name
    for name, table in one.tables.items():
        assert all(np.array_equal(a, two.tables[name][c], equal_nan=a.dtype.kind == "f") for c, a in table.items())


def test_the_monitor_corrects_for_the_beam():
    beam = np.where(np.arange(len(TEMPERATURES)) % 2, 1.0, 0.8)
    steady, by_monitor, plain = (
        mean_trajectory(analyse(XTEC(clusters=3, cut=30.0, **options), run))
        for options, run in (
            ({}, ramp(3)),
            ({"monitor": ["i0"]}, ramp(3, exposures=beam)),
            ({}, ramp(3, exposures=beam)),
        )
    )
    assert np.abs(by_monitor - steady).max() < 0.03 < 0.08 < np.abs(plain - steady).max()


def test_the_sign_of_a_monitor_is_that_of_its_wiring_and_a_dead_one_is_named():
    run, technique = (
        ramp(3, exposures=np.linspace(0.8, 1, len(TEMPERATURES))),
        XTEC(clusters=3, cut=30.0, monitor=["i0"]),
    )
    i0 = np.asarray(run.readings["i0"])
    turned = replace(run, readings={**run.readings, "i0": -i0})
    same_bits(analyse(technique, run), analyse(technique, turned))
    with pytest.raises(AnalysisError, match=r"the monitor i0 reads 0 in all frames: take it out of xtec\.monitor"):
        analyse(technique, replace(run, readings={**run.readings, "i0": 0 * i0}))


def mean_trajectory(analysis):
    """Return the mean trajectory of all kept pixels."""
    pixels = analysis.tables["cluster"]["pixels"]
    return pixels @ analysis.arrays["trajectories"] / pixels.sum()


def test_repeated_temperatures_are_summed_and_half_a_ramp_is_analyzed():
    run = ramp(4)
    frames = np.concatenate([run.frames, run.frames])
    twice = replace(run, frames=frames, readings={"temperature": np.tile(TEMPERATURES, 2)})
    once, two = analyse(XTEC(clusters=3), run), analyse(XTEC(clusters=3), twice)
    assert np.array_equal(once.arrays["labels"], two.arrays["labels"]) and two.summary["temperatures"] == len(
        TEMPERATURES
    )
    half = analyse(XTEC(clusters=3), ramp(4, TEMPERATURES[:5]))
    assert (half.summary["temperatures"], half.summary["highest"]) == (5, TEMPERATURES[4])


def test_a_direction_selects_one_branch():
    there, back = ramp(5), ramp(6, TEMPERATURES[-2::-1])
    run = replace(
        there,
        frames=np.concatenate([there.frames, back.frames]),
        readings={"temperature": np.concatenate([TEMPERATURES, TEMPERATURES[-2::-1]])},
    )
    heating = analyse(XTEC(clusters=3, direction="heating"), run)
    same_bits(replace(heating, summary={}), replace(analyse(XTEC(clusters=3), there), summary={}))
    assert heating.summary["frames_left_out"] == len(TEMPERATURES) - 1
    assert not analyse(XTEC(clusters=3, direction="cooling"), back).summary.get("frames_left_out")


def test_a_temperature_recorded_during_a_run_is_interpolated():
    class Monitored:
        def value(self, key, unit=""):
            return TEMPERATURES[0]

        def of_frames(self, key, unit=""):
            return np.full(len(TEMPERATURES), TEMPERATURES[0])

        def series(self, key, unit=""):
            return np.array([1.7e9 + 0.5 + np.arange(len(TEMPERATURES)), TEMPERATURES])

    for frame_time_s in (1.0, None):
        feed = Feed(XTEC(clusters=3), RUN, frame_time_s=frame_time_s, readings=Monitored()).push()
        if frame_time_s is None:
            with pytest.raises(AnalysisError, match="changed during a run"):
                feed.finish()
        else:
            np.testing.assert_allclose(feed.finish().arrays["temperature"], TEMPERATURES)


POISSON = np.random.default_rng(0).poisson(5.0, RUN.frames.shape).astype(np.uint16)
STEP, ROW = np.ogrid[: len(TEMPERATURES), : RUN.frames.shape[1]]
MISSED = ROW % (len(TEMPERATURES) - 2) == STEP - 1  # each row at one temperature
BAD = {
    "no pixel is measured at all": ({"frames": np.where(MISSED[:, :, None], 0, RUN.frames)}, "hold 0 where they were"),
    "no temperature": ({"readings": {}}, "was not read"),
    "one temperature": ({"readings": {"temperature": 80.0}}, r"frames at 1 temperature\(s\) \(80 K\)"),
    "all zero": ({"frames": np.zeros_like(RUN.frames)}, "no pixel has a mean intensity above 0"),
    "saturated": ({"frames": np.full_like(RUN.frames, 65535)}, "no pixel has"),
}


def test_a_ramp_of_the_other_direction_has_no_frames():
    with pytest.raises(AnalysisError, match=r"frames at 0 temperature\(s\) \(none K\)"):
        analyse(XTEC(direction="cooling"), RUN)


@pytest.mark.parametrize(("changes", "why"), BAD.values(), ids=BAD)
def test_bad_input_gives_a_reason(changes, why):
    with pytest.raises(AnalysisError, match=why):
        analyse(XTEC(), replace(RUN, **changes))


@pytest.mark.parametrize("options", [{}, {"cut": "kl"}, {"clusters": 1}], ids=str)
def test_background_shows_no_transition_with_any_cut(options):
    analysis = analyse(XTEC(**{"cut": "none", **options}), replace(RUN, frames=POISSON))
    assert analysis.summary["transitions"] == 0 and "transition" not in analysis.tables
    noise = analysis.summary["noise_clusters"]
    assert noise == (0 if options.get("clusters") == 1 else analysis.summary["clusters"])
    sentence = " ".join(sentences(analysis.summary))
    assert "no significant transition" in sentence and ("noise" in sentence) == bool(noise)
    assert set(analysis.tables["cluster"]["guess"]) == {"noise" if noise else "background"}


def six_peaks(background):
    """Temperatures, and mean counts of three Bragg peaks and three that vanish at 100 K."""
    t, (row, column) = np.linspace(30, 180, 24), np.mgrid[:32, :48]
    order, mean = np.sqrt(np.clip(1 - t / 100, 0, None)), np.full((24, 32, 48), float(background))
    for k in range(6):
        peak = np.exp(-((row - 8 - 16 * (k // 3)) ** 2 + (column - 8 - 16 * (k % 3)) ** 2) / 4)
        mean += (400 * order if k % 2 else np.full(24, 300.0))[:, None, None] * peak
    return t, mean


@pytest.mark.parametrize(("gap", "background"), [(slice(5), 2), (slice(5, 9), 0)])
def test_0_of_voxels_that_were_not_measured_makes_no_transition(gap, background):
    """One half of the frame is not measured at some temperatures."""
    t, mean = six_peaks(background)
    frames = np.random.default_rng(0).poisson(mean).astype("f4")
    if not background:  # 0 of a peak that vanished is data
        whole = analyse(XTEC(), ExampleRun(frames=frames, readings={"temperature": t}))
        assert whole.summary["pixels_unmeasured"] == 0
    frames[gap, :16] = 0
    summary = analyse(XTEC(), ExampleRun(frames=frames, readings={"temperature": t})).summary
    assert summary["transitions"] == 1 and summary["transition_1"] == pytest.approx(100, abs=5)
    assert 100 < summary["pixels_unmeasured"] <= 16 * 48
    assert f"{summary['pixels_unmeasured']} pixels are left out: they hold 0" in " ".join(sentences(summary))


def test_negative_voxels_are_data_and_marked_pixels_are_counted():
    """Without the background the voxels of peaks that vanished scatter around 0."""
    rng, (t, mean), column = np.random.default_rng(0), six_peaks(2.0), np.arange(48)
    counts, empty = rng.poisson(mean), rng.poisson(2.0, mean.shape)
    subtracted = counts - empty
    gaps = np.where(np.abs(column - 20) < 2, -1, subtracted)  # between modules
    in_counts = np.where(np.abs(column - 20) < 2, -1, counts)
    in_counts[3, 0, 0] = -2  # marked in one frame
    for frames, marked in ((subtracted, 0), (gaps, 96), (in_counts, 97)):
        run = ExampleRun(frames=frames.astype("f4"), readings={"temperature": t})
        summary = analyse(XTEC(), run).summary
        assert summary["transitions"] == 1 and summary["transition_1"] == pytest.approx(100, abs=2)
        assert summary["pixels_marked"] == marked
        assert (f"{marked} pixels are left out: negative" in " ".join(sentences(summary))) == bool(marked)
    with pytest.raises(AnalysisError, match='scale = "log" needs counts'):
        analyse(XTEC(scale="log"), replace(run, frames=subtracted.astype("f4")))


def test_one_frame_and_frames_of_another_shape():
    feed = Feed(XTEC(clusters=3), RUN)
    with pytest.raises(AnalysisError, match="frames at 1 temperature"):
        feed.push(1).finish()
    feed.push().finish()
    other = ExampleRun(frames=np.zeros((3, 5, 7), np.uint16), readings={"temperature": 1.0})
    with pytest.raises(AnalysisError, match="5 × 7 pixels in a series of 64 × 64"):
        feed.next_run(other)


def test_a_temperature_without_beam_counts_as_not_measured():
    t = np.linspace(30, 180, 16)
    whole = ramp(7, temperatures=t, n=128)
    gone = whole.frames.copy()
    gone[8] = np.random.default_rng(0).poisson(0.2 * gone[8])
    analysis = analyse(XTEC(clusters=4), replace(whole, frames=gone))
    rest = np.delete(np.arange(16), 8)
    without = analyse(XTEC(clusters=4), replace(whole, frames=whole.frames[rest], readings={"temperature": t[rest]}))
    assert analysis.summary["frames_left_out"] == 1
    assert np.array_equal(analysis.tables["transition"]["at"], without.tables["transition"]["at"])


def test_frames_beyond_the_memory_go_to_disk_and_change_no_bit(monkeypatch):
    whole = analyse(XTEC(clusters=3), RUN, block=3)
    monkeypatch.setattr("ainerd_xtec._ramp.MEMORY", 1e3)
    same_bits(whole, analyse(XTEC(clusters=3), RUN, block=3))


def test_expansion_is_followed():
    moving = ramp(7, n=128, expansion_per_k=4e-4)  # 0.06 of 64 px: almost 4 px at the edge
    followed, still = (analyse(XTEC(clusters=4), each) for each in (moving, ramp(7, n=128)))
    summary, kept = followed.summary, still.arrays["labels"] >= 0
    assert summary["followed"] == "yes" and (followed.arrays["labels"][kept] >= 0).mean() > 0.9
    assert summary["expansion_px"] == pytest.approx(4e-4 * 150 * 64 * 2**0.5, abs=0.08)
    assert summary["expansion_px_err"] < 0.05
    assert "peaks move by 5.4" in " ".join(sentences(summary))


def test_nine_spots_that_stand_still_are_not_followed():
    """A detector of 72 × 72 pixels, as small as one that X-TEC was given; the spots only fade."""
    rng, t, (y, x) = np.random.default_rng(0), 40 + 4.0 * np.arange(30), np.mgrid[:72, :72]
    places, fades = 24 * np.indices((3, 3)).reshape(2, -1).T + rng.uniform(8, 16, 2), rng.uniform(5e-4, 4e-3, 9)
    frames = np.full((30, 72, 72), 3.0)
    for (row, column), height, fade in zip(places, rng.uniform(20, 200, 9), fades, strict=True):
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 3)
        frames += height * np.exp(-fade * t)[:, None, None] * spot
    summary = analyse(XTEC(), ExampleRun(frames=rng.poisson(frames), readings={"temperature": t})).summary
    assert summary["followed"] == "no: peaks do not move by more than their errors"
    assert summary["expansion_px"] < 5 * summary["expansion_px_err"] < 1
    assert summary["transitions"] == 0


def test_a_peak_unlike_all_others_is_novel():
    plain, odd = (analyse(XTEC(clusters=4), ramp(8, n=128, odd_peak=at)) for at in (None, 150.0))
    assert not plain.novel
    assert odd.novel and odd.summary["odd_patches"] == 1
    assert abs(odd.summary["oddest_row"] - 0.3 * 128) < 3 and abs(odd.summary["oddest_column"] - 0.7 * 128) < 3


def test_with_few_patches_there_is_no_verdict():
    analysis = analyse(XTEC(clusters=3), RUN)
    assert analysis.novelty_p is None and analysis.calibration["n"] == 0 and analysis.summary["odd_patches"] == 0


def test_the_next_temperature_halves_the_gap_with_the_transition():
    technique, t = XTEC(), np.array([30.0, 60.0, 80.0, 105.0, 130.0, 180.0])
    curve = 2 * np.clip(1 - t / 92.0, 0, None) ** 0.66 + 0.5 / (1 + np.abs(t - 92.0) / 6)
    technique.known = Trajectories(t, np.stack([curve, 1 - 0.003 * t]), np.full((2, t.size), 0.005))
    (asked,) = technique.optimizer({"temperature": (30.0, 180.0)}).suggest(1)
    assert asked == {"temperature": 92.5, "reason": "trajectories bend most between 80 and 105 K"}


def test_without_a_ramp_temperatures_are_even_and_then_halve_the_widest_gap():
    asked = XTEC().optimizer({"temperature": (30.0, 180.0)}).suggest(6)
    assert [point["temperature"] for point in asked] == [30, 80, 130, 180, 55, 105]


def test_ramps_of_one_crystal_are_one_regime_whatever_their_steps_range_and_counts():
    """Two ramps of a crystal with transitions at 82 and 131 K, and one of another crystal."""
    one = analyse(XTEC(), ramp(2, np.linspace(30, 180, 24), 96))
    for crystal, n in (({}, 1), ({"transitions": (Transition(82.0), Transition(110.0, 0.5))}, 2)):
        other = analyse(XTEC(), ramp(2, np.linspace(45, 172, 18), 96, exposures=np.full(18, 3.0), **crystal))
        assert XTEC().regimes(np.stack([one.embedding, other.embedding])).n_regimes == n


def test_digits_and_labels_suit_the_ramped_quantity():
    """A ramp of strain, in fractions."""
    summary = {"transition_1": 0.0213, "transition_1_low": 0.0201, "transition_1_high": 0.0222, "clusters": 14}
    assert columns(summary, {"transition_1": "1"})["transitions"] == "0.0213 (0.0201–0.0222)"
    summary |= {"pixels": 420, "temperatures": 30, "transitions": 1}
    assert "a transition at 0.0213, between 0.0201 and 0.0222 (90 %)" in sentences(summary)


def test_the_sketch_shows_the_cut():
    frame, figure = np.random.default_rng(0).gamma(2.0, 2.0, (30, 40)), Figure()
    XTEC(cut=8.0).sketch(figure, frame)
    assert figure.axes[0].get_title() == f"{np.sum(frame > 8)} pixels kept"
    with pytest.raises(ValueError, match=r"xtec.mask is of \(2, 40\)"):
        XTEC(mask=np.zeros((2, 40), bool)).sketch(Figure(), frame)
