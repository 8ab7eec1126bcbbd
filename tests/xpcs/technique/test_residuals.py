"""What the models of ordinary dynamics leave of maps: the noise of theirs, much of others."""

import numpy as np
import pytest

from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import RESIDUALS, run_features, sectors_of
from studies import _exposures as synthetic

PIXELS = 570
SEEN = synthetic.Instrument(0.2, 250.0, (PIXELS,) * 18)


def described(kind, n=4, **options):
    """Return beats (n,), columns of time (n, 4) and bins (n,) of exposures of a kind."""
    rng = np.random.default_rng([1, *kind.encode()])
    draw, isotropic = {**synthetic.PLAIN, **synthetic.SEEN}[kind], kind not in synthetic.AZIMUTHAL
    runs = [synthetic.maps(draw(rng), SEEN, rng, isotropic=isotropic, **options) for _ in range(n)]
    of_run = {"n_frames": 1.0, "counts": SEEN.photons, "n_pixels": float(PIXELS)}
    x = np.array([run_features(Encoder.load(), run.repeat(4, 1).repeat(4, 2), **of_run) for run in runs])
    return x[:, RESIDUALS["beats"]][:, 0], x[:, RESIDUALS["time"]], x[:, RESIDUALS["bins"]][:, 0]


@pytest.mark.parametrize("kind", ["relaxation", "ageing", "cooperative", "flow past rest", "sheared", "turned"])
def test_ordinary_dynamics_leave_the_noise_alone(kind):
    """Chi squared is one within 5 standard errors of 567 degrees of freedom; the clock leaves a few errors."""
    beats, time, bins = described(kind)
    assert np.abs(beats).max() < 0.3 and np.abs(bins).max() < 0.3
    if kind in ("relaxation", "ageing"):
        assert np.abs(time).max() < 1.2


def test_bands_and_a_roll_leave_more_and_have_no_common_clock():
    for kind in ("bands with profiles", "convection"):
        beats, time, _ = described(kind)
        assert np.median(beats) > 0.25 and not time[beats > 0.4].any(), kind


def test_a_cage_on_another_clock_leaves_more():
    assert np.median(np.abs(described("two steps")[1]).max(1)) > 1.2


def test_half_a_ring_shows_in_opposite_bins_alone():
    beats, _, bins = described("half a ring", halves=True)
    assert bins.min() > 0.5 and np.abs(beats).max() < 0.3


def test_without_azimuth_there_are_neither_beats_nor_opposite_bins():
    run = synthetic.maps(synthetic.plain(0.3, 1.0), SEEN, np.random.default_rng(5), isotropic=True)
    options = {"n_frames": 1.0, "counts": 250.0, "n_pixels": float(PIXELS), "by_azimuth": False}
    x = run_features(Encoder.load(), run.repeat(4, 1).repeat(4, 2), **options)
    assert x[RESIDUALS["beats"]] == x[RESIDUALS["bins"]] == 0 and x[RESIDUALS["time"]].any()
    assert len(sectors_of([PIXELS] * 18, None, False).phi_deg) == 1
