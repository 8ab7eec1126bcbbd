"""The end of an exposure whose frames are enough: Gaussian speckle whose memory from frame to frame is known."""

from dataclasses import replace

import numpy as np
import pytest

from ainerd.technique import RunInfo
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import RheoXPCS

pytestmark = pytest.mark.usefixtures("part_of_bank")

BINS, PIXELS, FRAMES, TAU = 12, 500, 1600, 6.0  # in frames
ERROR = 0.15
LOOKS = FRAMES // 8, FRAMES // 4, FRAMES // 2
STEADY = np.full(FRAMES, np.exp(-1 / TAU))


@pytest.fixture(scope="module")
def technique():
    labels = np.repeat(np.arange(1, BINS + 1), PIXELS).reshape(BINS, PIXELS)
    phi = 360 / BINS * (np.arange(BINS) + 0.5)
    return RheoXPCS(Partition.from_roi_map(labels, np.full(BINS, 0.024), phi), contrast=0.2)


def movie(kept, seed=0, level=0.5):
    """Counts (n, pixels) of fields of five modes that keep these shares from frame to frame: contrast .2."""
    rng = np.random.default_rng(seed)
    field = rng.standard_normal((10, BINS * PIXELS), dtype=np.float32)
    out = np.empty((len(kept), BINS * PIXELS), np.uint16)
    for t, share in enumerate(kept):
        field = np.float32(share) * field + np.float32(np.sqrt(1 - share**2)) * rng.standard_normal(
            field.shape, dtype=np.float32
        )
        out[t] = rng.poisson(level * np.square(field).mean(0))
    return out


def begun(technique, frames, n_all=FRAMES):
    run = RunInfo(raw_uid="a", n_frames=n_all, frame_shape=technique.partition.shape, frame_time_s=0.1)
    exposure = technique.begin(run)
    push(exposure, frames, 0)
    return exposure


def push(exposure, frames, first):
    for a in range(0, len(frames), 100):
        exposure.push(frames[a : a + 100], first + a)


def ended(technique, frames, more=40):
    """Look at an exposure, end it soon after a look finds it to be enough; return the sentence and the result."""
    exposure, at = begun(technique, frames[:0]), 0
    for stop in LOOKS:
        push(exposure, frames[at:stop], at)
        at, why = stop, exposure.enough(ERROR)
        if why is not None:
            push(exposure, frames[at : at + more], at)
            return why, exposure.finish(), at + more
    return None, None, FRAMES


@pytest.fixture(scope="module")
def steady(technique):
    frames = movie(STEADY)
    exposure = begun(technique, frames)
    return frames, exposure.finish(), *ended(technique, frames)


def test_a_steady_fluid_is_enough_before_its_end(steady, technique):
    _, whole, why, short, n = steady
    assert n < FRAMES and f"of {FRAMES} frames were enough" in why and "steady for" in why
    for result in (whole, short):  # the truth is known
        assert result.summary["tau_s"] == pytest.approx(0.1 * TAU, rel=ERROR / 2)
        assert result.summary["contrast"] == pytest.approx(0.2, rel=ERROR / 2)
    assert short.summary["tau_s_err"] <= ERROR * short.summary["tau_s"]


def test_its_p_value_is_one_whatever_its_frames_say(steady):
    *_, short, _ = steady
    assert short.novelty_p == 1.0 and not short.novel and short.summary["no_claim"] is None
    assert short.summary["nearest_known"]


def test_its_point_is_that_of_the_whole_exposure(steady, technique):
    """Nearer than half of the exposures of one regime are, and nearer than that of the same frames alone."""
    frames, whole, _, short, n = steady
    alone = begun(technique, frames[:n], n_all=n).finish()
    away = [float(np.linalg.norm(each.embedding - whole.embedding)) for each in (short, alone)]
    assert away[0] < technique.encoder.scatter / 2 and away[0] < away[1] / 2


def test_frames_after_a_look_that_complete_the_exposure_count_as_ever(steady, technique):
    frames, whole, *_ = steady
    exposure = begun(technique, frames[: FRAMES // 2])
    assert exposure.enough(ERROR) is not None
    push(exposure, frames[FRAMES // 2 :], FRAMES // 2)
    again = exposure.finish()
    assert again.novelty_p == whole.novelty_p and np.array_equal(again.embedding, whole.embedding)


def jumps(kept, when):
    """Forget everything at some frames."""
    kept = np.array(kept)
    kept[list(when)] = 0
    return kept


T = np.arange(FRAMES)
UNSTEADY = {
    "ageing": np.exp(-1 / (TAU * (1 + T / 400))),
    "slow ageing": np.exp(-1 / (TAU * (1 + T / 1200))),
    "rejuvenating": np.exp(-1 / (TAU / (1 + T / 800))),
    "a quiet sample, in which an avalanche may come": np.full(FRAMES, np.exp(-1 / 4000)),
    "avalanches in a quiet sample": jumps(np.full(FRAMES, np.exp(-1 / 4000)), [90, 500]),
    "a slow fluid, in which an avalanche may come": np.full(FRAMES, np.exp(-1 / 150)),
    "motion that stops and goes on": np.where(T // 40 % 2, np.exp(-1 / 3), np.exp(-1 / 60)),
    "a stop at the look": np.where(T < 500, np.exp(-1 / TAU), np.exp(-1 / 200)),
}


@pytest.mark.parametrize("kind", UNSTEADY)
def test_a_sample_that_may_be_unsteady_is_never_cut_short(technique, kind):
    why, *_ = ended(technique, movie(UNSTEADY[kind][: LOOKS[-1]], seed=1))
    assert why is None


def test_a_part_that_does_not_decay_takes_all_frames(technique):
    """Events in it would be seen, and may come at any time."""
    rng = np.random.default_rng(2)
    still = rng.gamma(5, 0.1, (1, BINS * PIXELS))
    fluid = movie(STEADY[: LOOKS[-1]], level=0.25)
    frames = (fluid + rng.poisson(still, fluid.shape)).astype(np.uint16)
    assert ended(technique, frames)[0] is None


def test_too_few_photons_are_not_enough(technique):
    assert ended(technique, movie(STEADY[: LOOKS[-1]], seed=3, level=0.01))[0] is None


def test_frames_that_look_strange_are_not_enough(technique, steady, monkeypatch):
    """One that may be novel is taken whole: cut short, its p-value would be 1."""
    frames, *_ = steady
    judged = technique.scorer
    for p, is_enough in ((0.11, True), (0.1, False)):
        monkeypatch.setattr(technique, "scorer", lambda given, p=p: Fixed(judged(given), p))
        assert (begun(technique, frames[: FRAMES // 2]).enough(ERROR) is not None) == is_enough


class Fixed:
    """A scorer whose p-value is always the same."""

    def __init__(self, scorer, p):
        self._scorer, self._p = scorer, p

    def explain(self, features):
        return [replace(each, p=self._p) for each in self._scorer.explain(features)]


def test_missing_frames_are_not_looked_at(technique, steady):
    frames, *_ = steady
    exposure = begun(technique, frames[:400])
    push(exposure, frames[500:800], 500)
    assert exposure.enough(ERROR) is None
