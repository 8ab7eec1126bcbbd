"""Exposures whose frames come at any times: the right lags in g2."""

from functools import cache

import numpy as np
import pytest

from ainerd.technique import RunInfo
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import RheoXPCS
from tests.small_bank import some_of_bank

ROI_MAP = np.repeat(np.arange(1, 19), 300).reshape(60, 90)
TAU = 400.0  # ticks
TWO_RATES = np.concatenate([np.arange(300), 300 + 40 * np.arange(300)])
RULER = np.array([0, 1, 4, 13, 28, 33, 47, 54, 64, 70, 72])  # Golomb's: all 55 differences occur once
LOGARITHMIC = np.unique(np.geomspace(1, 10**8, 200).astype(int)) - 1
TICK_S = 0.02


@cache
def technique():
    partition = Partition.from_roi_map(ROI_MAP, q=np.full(18, 0.024), phi=np.arange(10, 360, 20))
    return RheoXPCS(partition, Encoder.load(), some_of_bank(), contrast=1 / 3)


def movie(ticks, photons=3.0):
    """Counts, (n, n_pixels), of three modes whose field correlates as exp(-lag / TAU): a Markov chain at any times."""
    rng = np.random.default_rng(1)
    field, frames = rng.normal(size=(6, ROI_MAP.size)), []
    for gap in np.diff(ticks, prepend=ticks[0]):
        kept = np.exp(-gap / TAU)
        field = kept * field + np.sqrt(1 - kept**2) * rng.normal(size=field.shape)
        frames.append(rng.poisson(photons * (field**2).mean(0)))
    return np.array(frames, np.uint16)


def analysed(ticks, **info):
    about = {"raw_uid": "x", "n_frames": None, "frame_shape": ROI_MAP.shape, "frame_time_s": TICK_S, "has_ticks": True}
    exposure, frames = technique().begin(RunInfo(**about | info)), movie(ticks)
    begins = np.append(np.flatnonzero(np.diff(ticks, prepend=-2) != 1), len(ticks))
    for a, b in zip(begins, begins[1:], strict=False):
        exposure.push(frames[a:b], int(ticks[a]))
    return exposure.finish()


@pytest.mark.parametrize("ticks", [TWO_RATES, LOGARITHMIC], ids=["two rates", "logarithmic"])
def test_lags_and_the_axis_of_times_are_those_of_the_ticks(ticks):
    analysis = analysed(ticks)
    lag, g2, error = analysis.arrays["tau"] / TICK_S, analysis.arrays["g2"].mean(0), analysis.arrays["g2_err"]
    use = np.isfinite(g2) & (lag < ticks[-1] / 4)
    truth = 1 + np.exp(-2 * lag / TAU) / 3
    level = np.maximum(np.sqrt(np.nansum(error**2, 0)) / 18, 1e-3)
    assert use.sum() > 20 and np.sqrt(np.mean(((g2 - truth) / level)[use] ** 2)) < 3
    assert f"{len(ticks)} frames came in {ticks[-1] + 1} ticks" in analysis.summary["no_claim"]
    assert analysis.novelty_p is None and abs(np.log(analysis.summary["tau_s"] / (TAU * TICK_S))) < 0.2


def test_eleven_frames_of_a_ruler_have_all_lags():
    analysis = analysed(RULER)
    lag = np.rint(analysis.arrays["tau"] / TICK_S)
    assert analysis.novelty_p is None
    exact = lag <= 15
    differences = np.abs(RULER[:, None] - RULER)
    assert np.array_equal(np.isfinite(analysis.arrays["g2"][0][exact]), np.isin(lag[exact], differences))
    known = np.isfinite(analysis.arrays["g2"]).all(0)
    difference = analysis.arrays["g2"].mean(0) - 1 - np.exp(-2 * lag / TAU) / 3
    assert np.abs(difference[known]).max() < 0.05


def test_equidistant_frames_with_ticks_are_those_without():
    ticks = np.arange(150)
    one, other = analysed(ticks), analysed(ticks, has_ticks=False)
    assert one.arrays.keys() == other.arrays.keys() and one.novelty_p == other.novelty_p is not None
    for name in ("c2", "g2", "latent"):
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])
