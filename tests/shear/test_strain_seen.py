"""The strain that the sample sees, against scatterers that are moved one by one."""

import numpy as np
import pytest

from ainerd_shear import strain_seen
from ainerd_xpcs import Partition, two_time
from sim_devices import Cycled, Geometry, Oscillation, ScatteredMovie, frame_times

STEADY = Oscillation(frequency_hz=1.0, steps=((1.0, 0.1),))
PLACE = Geometry(shape=(80, 80), beam_center_px=(40.0, 40.0), q_range_inv_nm=(0.001, 0.05))
GAP_NM = 3000.0
RING = (PLACE.q_inv_nm > 0.0122) & (PLACE.q_inv_nm < 0.0148)
BINS = Partition.from_roi_map(np.where(RING, (PLACE.phi_deg - 75) % 360 // 30 + 1, 0).astype(int))


def seen(ratio, seed=0, flow_deg=90.0, dark=0, **sample):
    """The ratio of the strains if the gap of the sample is `ratio` of the gap that is given; some bins are dark."""
    rng = np.random.default_rng(seed)
    t_s = frame_times(STEADY, 3, np.arange(16) / 16, rng=rng)
    moved = Cycled(family="sheared", oscillation=STEADY, gap_nm=GAP_NM * ratio, direction_deg=90.0, **sample)
    frames = np.concatenate(list(ScatteredMovie(moved, t_s, PLACE, contrast=0.5, rng=rng).blocks()))
    counts = np.zeros((len(t_s), RING.size), np.uint16)
    counts[:, PLACE.ring] = rng.poisson(5 * frames)
    counts[:, ((BINS.roi_map > 0) & (BINS.roi_map <= dark)).ravel()] = 0
    c2 = two_time(counts.reshape(-1, *PLACE.frame_shape), BINS)
    q_flow = PLACE.q_inv_nm * np.cos(np.deg2rad(PLACE.phi_deg - flow_deg))
    return strain_seen(c2, STEADY.strain(t_s), BINS, q_flow, GAP_NM)


@pytest.mark.parametrize(("ratio", "diffusion_nm2"), [(1.0, 0.0), (0.7, 300.0)])
def test_the_ratio_is_that_of_the_gaps_also_beside_diffusion(ratio, diffusion_nm2):
    ratios = [seen(ratio, seed, diffusion_nm2=diffusion_nm2) for seed in range(4)]
    assert np.mean([each.ratio for each in ratios]) == pytest.approx(ratio, abs=0.06)
    assert max(abs(each.ratio - ratio) / each.error for each in ratios) < 3.5
    assert max(each.error for each in ratios) < 0.1


def test_bins_without_light_are_left_out():
    some = seen(1.0, dark=2)
    assert some.ratio == pytest.approx(1.0, abs=4 * some.error) and some.error < 0.1
    with pytest.raises(ValueError, match="needs 6 bins, got 4"):
        seen(1.0, dark=8)


@pytest.mark.parametrize(("ratio", "flow_deg"), [(0.001, 90.0), (30.0, 90.0), (1.0, 0.0)])
def test_speckle_that_does_not_tell_is_refused(ratio, flow_deg):
    """The sample is at rest, or loses its speckle between two frames, or the direction across the flow is given."""
    with pytest.raises(ValueError, match="does not tell the strain"):
        seen(ratio, flow_deg=flow_deg)


def test_contents_that_do_not_fit_are_refused():
    q_flow = PLACE.q_inv_nm
    with pytest.raises(ValueError, match="does not fit"):
        strain_seen(np.ones((12, 3, 3)), np.zeros(4), BINS, q_flow, GAP_NM)
    with pytest.raises(ValueError, match="has no number in 1 pixels"):
        unknown = np.where(np.arange(q_flow.size).reshape(q_flow.shape) == BINS.pixels[0], np.nan, q_flow)
        strain_seen(np.ones((12, 3, 3)), np.zeros(3), BINS, unknown, GAP_NM)
    few = Partition.from_roi_map(np.where(RING, 1 + (PLACE.phi_deg > 180), 0))
    with pytest.raises(ValueError, match="needs 6 bins, got 2"):
        strain_seen(np.ones((2, 3, 3)), np.zeros(3), few, q_flow, GAP_NM)
