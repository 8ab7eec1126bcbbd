import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ainerd.technique import AnalysisError, RunInfo
from ainerd_train import scorer_of
from ainerd_xpcs.dynamics import Dynamics, clock, g1_moving
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.numerics import Partition, by_brightness
from ainerd_xpcs.technique import BASELINE, RheoXPCS
from tests.small_bank import some_of_bank

ROI_MAP = np.repeat(np.arange(1, 19), 300).reshape(60, 90)


small_bank = cache(some_of_bank)


def technique(**options):
    partition = Partition.from_roi_map(ROI_MAP, q=np.full(18, 0.024), phi=np.arange(10, 360, 20))
    return RheoXPCS(partition, Encoder.load(), small_bank(), **{"contrast": 1.0 / 3} | options)


@pytest.fixture(scope="module")
def usual_scorer():
    return scorer_of(technique())


@pytest.fixture
def one_scorer(monkeypatch, usual_scorer):
    """One calibration for exposures of all statistics: each takes seconds. The statistics that were asked for."""
    asked = []
    monkeypatch.setattr(RheoXPCS, "scorer", lambda self, given: asked.append(given) or usual_scorer)
    return asked


@cache
def speckle(n_frames, photons, seed=0, tau_s=20.0):
    """Frames of three modes that relax with tau over 50 s, `photons` a pixel in all."""
    rng = np.random.default_rng(seed)
    s = clock(Dynamics(family="slow", tau_s=tau_s), np.arange(n_frames) * 50 / n_frames)
    root = np.linalg.cholesky(g1_moving(Dynamics(family="slow", tau_s=tau_s), s[:, None], s) + 1e-9 * np.eye(n_frames))
    field = (root @ rng.normal(size=(n_frames, 6 * ROI_MAP.size))).reshape(n_frames, 6, *ROI_MAP.shape)
    frames = rng.poisson((field**2).mean(1) * photons / n_frames).astype(np.uint16)
    frames.flags.writeable = False  # tests share them
    return frames


def analyse(subject, frames, n_frames="as many as there are", frame_time_s=None, parts=None, lost=0):
    """Analyse frames, of which parts come, or all in blocks of 30; some are lost at unknown places."""
    n_frames, frame_time_s = len(frames) if isinstance(n_frames, str) else n_frames, frame_time_s or 50 / len(frames)
    run = RunInfo(raw_uid="x", n_frames=n_frames, frame_shape=ROI_MAP.shape, frame_time_s=frame_time_s)
    exposure = subject.begin(run)
    flat = frames.reshape(len(frames), -1)[:, exposure.pixels]
    for start, stop in parts or [(start, start + 30) for start in range(0, len(frames), 30)]:
        exposure.push(flat[start:stop], start)
    exposure.lost(lost)
    return exposure.finish()


TEXTS = {
    "speckle", "flow_kind", "no_claim", "dynamics", "jumps_at", "strangest_in", "no_tau", "g2_model", "g2_model_or",
    "g2_errors",
}  # fmt: skip


def given(analysis):
    return {name for name, value in analysis.summary.items() if value is not None}


def test_a_known_exposure_is_described_and_not_called_novel():
    analysis = analyse(technique(), speckle(100, 200))
    assert analysis.embedding.shape == (technique().embedding_size,)
    assert analysis.novelty_p > 0.05
    for name, truth in {"tau_s": 20, "kww_exponent": 1, "contrast": 1 / 3}.items():
        assert abs(analysis.summary[name] - truth) < 3 * analysis.summary[f"{name}_err"] < 0.3 * truth
    assert analysis.summary["speckle"] == "yes" and "tau_s_above" not in given(analysis)
    bins = analysis.tables["bins"]
    assert np.mean(np.abs(bins["tau_s"] - 20) < 2 * bins["tau_s_err"]) > 0.7
    assert set(analysis.units) >= {*given(analysis), *bins, *analysis.arrays} - TEXTS
    assert analysis.summary["counts_per_pixel"] == pytest.approx(2, rel=0.02)
    seen = speckle(100, 200)[:, ROI_MAP == 7].mean(1)
    np.testing.assert_allclose(analysis.arrays["intensity"][6], seen, rtol=1e-5)
    np.testing.assert_allclose(analysis.arrays["intensity_time"], 0.5 * (np.arange(100) + 0.5))
    assert analysis.summary["no_claim"] is None


@pytest.mark.usefixtures("one_scorer")
@pytest.mark.parametrize("seed", range(3))
def test_the_noise_of_dim_pixels_is_no_baseline(one_scorer, seed):
    """Half of the pixels of each bin are dim, so levels of opposite bins differ by more than those of equal pixels."""
    dim = np.arange(ROI_MAP.size).reshape(ROI_MAP.shape) % 2
    azimuths = {"q": np.full(18, 0.024), "phi": np.arange(10.0, 360, 20)}
    halves = technique().with_partition(Partition(roi_map=ROI_MAP, static_map=2 * ROI_MAP - dim, **azimuths))
    counts = np.random.default_rng(seed).poisson(speckle(100, 400, seed) * np.where(dim, 0.05, 1.0))
    analyse(halves, counts.astype(np.uint16))
    least = pytest.approx(BASELINE * 0.2)  # of any calibration, at a contrast of 0.2
    assert one_scorer and all(given["baseline"] == least for given in one_scorer)


def test_a_gradient_in_bins_that_are_labels_is_no_baseline():
    rng, keep = np.random.default_rng(0), np.exp(-1 / 8)
    light = np.broadcast_to(np.geomspace(0.5, 2.0, 90), ROI_MAP.shape)  # its relative variance is .16 in a bin
    field, frames = rng.normal(size=(4, *ROI_MAP.shape)), np.empty((200, *ROI_MAP.shape), np.uint16)
    for frame in frames:
        frame[:] = rng.poisson(light * (field**2).mean(0))
        field = keep * field + np.sqrt(1 - keep**2) * rng.normal(size=field.shape)
    subject = technique(contrast=None)
    analysis = analyse(subject, frames)
    g2, late = analysis.arrays["g2"].mean(0), analysis.arrays["tau"] > 40 * 50 / 200
    assert abs(g2[late].mean() - 1) < 0.01
    assert g2[0] - 1 == pytest.approx(0.5 * keep**2, rel=0.05)
    assert abs(analysis.arrays["c2"][:, :64, -64:].mean() - 1) < 0.01
    # as if the bins had been cut before the first frame
    first = subject.partition.gather(frames[:90]).sum(0, dtype=float)
    cut = analyse(subject.with_partition(by_brightness(subject.partition, first)), frames)
    np.testing.assert_array_equal(cut.arrays["g2"], analysis.arrays["g2"])


@pytest.mark.usefixtures("one_scorer")
def test_denoised_maps_are_kept_beside_the_measured_ones():
    subject, plain = technique(denoiser=Encoder.load("ours")), technique()
    assert subject.parameters != plain.parameters
    s = clock(Dynamics(family="slow", tau_s=20.0), (np.arange(64) + 0.5) * 50 / 64)
    truth = 1 + g1_moving(Dynamics(family="slow", tau_s=20.0), s[:, None], s) ** 2 / 3
    analysis, without = (analyse(each, speckle(100, 60)) for each in (subject, plain))
    assert {"c2", "latent", "g2", "denoised"} <= set(analysis.arrays)
    np.testing.assert_array_equal(analysis.arrays["c2"], without.arrays["c2"])
    assert "denoised" not in without.arrays
    measured = analysis.arrays["c2"].reshape(18, 64, 4, 64, 4).mean((2, 4))
    error, before = (np.square(maps - truth).mean((1, 2)) for maps in (analysis.arrays["denoised"], measured))
    assert np.median(error / before) < 0.5
    assert set(analysis.units) >= {*analysis.arrays}


def test_speckle_that_single_frames_do_not_show_is_enough():
    one = Partition.from_roi_map(np.where(ROI_MAP <= 6, 1, 0), q=np.full(1, 0.024))
    analysis = analyse(RheoXPCS(one, Encoder.load(), small_bank()), speckle(100, 2, seed=20))
    assert analysis.summary["speckle"] == "yes" and analysis.summary["contrast0"] is None  # too few photons
    assert 0 < analysis.novelty_p <= 1 and analysis.summary["no_claim"] is None


def test_settings_that_change_the_numbers_change_the_parameters():
    base = technique().parameters
    assert technique().parameters == base
    assert technique(contrast=0.2).parameters != base
    assert technique(of_maps=True).parameters != base
    assert technique(alpha=0.01).parameters == base  # the p-value is the same


def test_an_exposure_calibrates_with_its_first_frames_and_in_the_middle(one_scorer):
    at, frames = [], speckle(1000, 2000).reshape(1000, -1)
    exposure = technique().begin(RunInfo(raw_uid="x", n_frames=1000, frame_shape=ROI_MAP.shape, frame_time_s=0.05))
    for n_pushed in range(20, 1001, 20):
        exposure.push(frames[n_pushed - 20 : n_pushed, exposure.pixels], n_pushed - 20)
        at += [n_pushed] * (len(one_scorer) - len(at))
    exposure.finish()
    assert at == pytest.approx((100, 500), abs=100) and len(one_scorer) == 3
    assert all(given == one_scorer[-1] for given in one_scorer)


@pytest.fixture(scope="module")
def movie():
    return speckle(100, 200)


def test_each_of_several_rings_has_its_numbers_and_the_run_one_verdict(movie):
    partition = Partition.from_roi_map(ROI_MAP, q=np.repeat([0.02, 0.03], 9), phi=np.tile(np.arange(20, 380, 40), 2))
    analysis = analyse(RheoXPCS(partition, Encoder.load(), small_bank(), contrast=1 / 3), movie)
    rings = analysis.tables["rings"]
    assert analysis.embedding.shape == (16,) and rings["q"] == pytest.approx([0.02, 0.03])
    assert np.all(np.abs(rings["tau_s"] - 20) < 3 * rings["tau_s_err"])
    assert analysis.novelty_p == pytest.approx(min(1.0, 2 * rings["novelty_p"].min()))
    assert analysis.summary["tau_s"] == rings["tau_s"][1] and analysis.summary["q"] == rings["q"][1]
    second = Partition.from_roi_map(np.maximum(ROI_MAP - 9, 0), q=np.full(9, 0.03), phi=np.arange(20, 380, 40))
    alone = analyse(RheoXPCS(second, Encoder.load(), small_bank(), contrast=1 / 3), movie)
    np.testing.assert_array_equal(analysis.arrays["clock"], alone.arrays["clock"])


def test_bins_of_no_known_azimuth_weigh_by_their_pixels(movie):
    unequal = np.where(ROI_MAP > 9, 2, 1)
    unequal[40:] = 3
    analysis = analyse(RheoXPCS(Partition.from_roi_map(unequal), Encoder.load(), small_bank(), contrast=1 / 3), movie)
    assert analysis.novelty_p > 0.05
    whole = analyse(RheoXPCS(Partition.from_roi_map(ROI_MAP * 0 + 1), Encoder.load(), small_bank()), movie)
    assert np.linalg.norm(analysis.embedding - whole.embedding) < Encoder.load().scatter


def test_the_contrast_of_a_run_is_found_in_it(movie):
    analysis = analyse(technique(contrast=None), movie)
    assert analysis.novelty_p > 0.05
    flat = np.random.default_rng(0).poisson(2.0, movie.shape).astype(np.uint16)
    analysis = analyse(technique(contrast=None), flat)
    assert analysis.novelty_p is None and "no speckle was found" in analysis.summary["no_claim"]
    assert analysis.summary["speckle"] == "no" and "tau_s" not in given(analysis)


@pytest.mark.usefixtures("one_scorer")
def test_a_static_sample_has_a_bound_and_faults_of_the_run_are_left_out(movie):
    still = np.random.default_rng(1).poisson(np.repeat(movie[:1] + 0.3, 100, axis=0)).astype(np.uint16)
    clean = analyse(technique(), still)
    assert "tau_s" not in given(clean) and clean.summary["tau_s_above"] > 50
    spoilt = still.copy()
    spoilt[20:50, 3, 4] = 65535
    spoilt[60:63] = 0
    analysis = analyse(technique(), spoilt)
    assert analysis.summary["pixels_left_out"] == 1 and analysis.summary["frames_left_out"] == 3
    table = analysis.tables["left_out"]
    assert list(zip(table["index"].tolist(), table["n"].tolist(), strict=True)) == [
        (3 * ROI_MAP.shape[1] + 4, 1), (60, 3),
    ]  # fmt: skip
    np.testing.assert_allclose(analysis.arrays["g2"], clean.arrays["g2"], atol=0.02)
    assert np.isnan(analysis.arrays["c2"]).any() and np.isfinite(analysis.embedding).all()


def test_too_many_bad_pixels_are_no_matter_of_single_pixels(movie):
    spoilt = movie.copy()
    spoilt[:, :2] = 65535
    with pytest.raises(AnalysisError, match="100 of 100 frames more than 1% of the pixels"):
        analyse(technique(), spoilt)


@pytest.mark.skipif("AINERD_REFERENCE_DATA" not in os.environ, reason="AINERD_REFERENCE_DATA is not set")
def test_an_encoder_that_cannot_be_calibrated_is_refused():
    published = Path(os.environ["AINERD_REFERENCE_DATA"]) / "published_autoencoder_state_dict.pth"
    with pytest.raises(ValueError, match="cannot be calibrated"):
        RheoXPCS(Partition.from_roi_map(ROI_MAP), Encoder.load(published), small_bank(), contrast=0.2)


def test_too_few_frames_are_refused():
    with pytest.raises(AnalysisError, match="at least 64"):
        technique().begin(RunInfo(raw_uid="x", n_frames=63, frame_shape=ROI_MAP.shape, frame_time_s=1.0))


@pytest.mark.usefixtures("one_scorer")
@pytest.mark.parametrize("n_frames", [200, None])
def test_an_exposure_that_ends_early_or_is_open_ended_is_that_of_the_frames_that_came(n_frames):
    subject, frames = technique(contrast=None), speckle(200, 400, tau_s=5.0)[:140]
    partial, whole = analyse(subject, frames, n_frames, 0.25), analyse(subject, frames, frame_time_s=0.25)
    assert (partial.status, whole.status) == ("complete" if n_frames is None else "partial", "complete")
    assert partial.summary["tau_s"] == pytest.approx(whole.summary["tau_s"], rel=1e-6)
    assert partial.summary["counts_per_pixel"] == whole.summary["counts_per_pixel"]
    stopped = n_frames and "the exposure was stopped after 140 of 200 frames"
    assert partial.summary.get("no_claim") == stopped and (partial.novelty_p is None) == bool(stopped)
    for name in ("g2", "tau"):
        np.testing.assert_allclose(partial.arrays[name], whole.arrays[name], rtol=1e-5)
    difference = partial.arrays["c2"] - whole.arrays["c2"]
    assert np.sqrt(np.square(difference).mean()) < 0.2 * np.sqrt(np.square(whole.arrays["c2"] - 1).mean())


def test_an_exposure_that_was_stopped_calibrates_nothing(one_scorer):
    """A calibration takes a minute, for which the next run would wait."""
    analysis = analyse(technique(contrast=None), speckle(140, 400, tau_s=5.0), 2000, 0.25)
    assert analysis.summary["no_claim"] == "the exposure was stopped after 140 of 2000 frames" and not one_scorer


def test_an_exposure_that_ends_too_early_says_why():
    with pytest.raises(AnalysisError, match=r"63 frames: a map needs at least 64"):
        analyse(technique(contrast=None), speckle(63, 60), 100)


@pytest.mark.parametrize(("first", "are_missing"), [(94, False), (50, True)])
def test_six_dark_or_missing_frames_in_a_row_make_no_claim(movie, first, are_missing):
    """The bank has no such hole, so the same exposure would be called novel."""
    frames = movie.copy()
    frames[first : first + 6] = 0
    analysis = analyse(technique(), frames, parts=((0, first), (first + 6, 100)) if are_missing else None)
    assert analysis.novelty_p is None and abs(analysis.summary["tau_s"] - 20) < 3 * analysis.summary["tau_s_err"]
    assert "rows of the map hold no valid frame" in analysis.summary["no_claim"]


def test_bins_without_photons_are_named_and_leave_the_numbers_of_the_others(movie):
    analysis = analyse(technique(), movie * ~np.isin(ROI_MAP, [5, 14]))
    assert "no photon in bins 5, 14: take" in analysis.summary["no_claim"] and analysis.novelty_p is None
    assert abs(analysis.summary["tau_s"] - 20) < 3 * analysis.summary["tau_s_err"]
    of_bins = analysis.tables["bins"]["contrast0"]
    assert np.isnan(of_bins[[4, 13]]).all()
    assert analysis.summary["contrast0"] == pytest.approx(np.nanmean(of_bins), rel=0.02)


FITTED = {"tau_s", "kww_exponent", "contrast"}
CONTRASTS = {"contrast", "contrast_err", "contrast0", "contrast0_err"}


def test_counts_with_a_ceiling_leave_relaxation_times_but_neither_contrast_nor_verdict():
    analysis = analyse(technique(), np.minimum(speckle(400, 200, tau_s=5.0), 2))
    assert "counts end at 2" in analysis.summary["no_claim"] and analysis.novelty_p is None
    assert not CONTRASTS & given(analysis) and analysis.summary["speckle"] == "yes"
    assert abs(analysis.summary["tau_s"] - 5) < 3 * analysis.summary["tau_s_err"] < 1.5
    bins = analysis.tables["bins"]
    assert np.isnan([bins[name] for name in CONTRASTS]).all() and np.isfinite(bins["tau_s"]).all()


@pytest.mark.usefixtures("one_scorer")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda x: x.reshape(-1, 2, *ROI_MAP.shape)[:, ::-1].reshape(x.shape), "swapped"),
        (lambda x: np.concatenate([x[:200], np.roll(x[200:], (2, -3), (1, 2))]), "moved by 2 rows and -3 columns"),
    ],
)
def test_frames_that_are_not_those_of_the_sample_leave_g2_alone(change, why):
    frames = speckle(400, 2000, tau_s=2.0 if why == "swapped" else 20.0)
    clean, analysis = (analyse(technique(), x) for x in (frames, change(frames)))
    assert clean.summary["no_claim"] is None and FITTED <= given(clean)
    assert why in analysis.summary["no_claim"] and analysis.novelty_p is None
    assert not (FITTED | CONTRASTS) & given(analysis) and np.isfinite(analysis.arrays["g2"][:, :20]).all()
    assert all(np.isnan(analysis.tables["bins"][name]).all() for name in FITTED)
    assert np.isfinite(analysis.arrays["c2"]).all() and np.isfinite(analysis.embedding).all()


@pytest.mark.usefixtures("one_scorer")
def test_frames_that_never_came_widen_the_errors_of_relaxation_times():
    one, other = (analyse(technique(), speckle(180, 900), 200, 0.25, lost=lost) for lost in (0, 20))
    wanted = np.hypot(one.summary["tau_s_err"], one.summary["tau_s"] * 20 / 180)
    assert other.summary["tau_s_err"] == pytest.approx(wanted)
    assert other.summary["tau_s"] == one.summary["tau_s"] and other.summary["contrast"] == one.summary["contrast"]
