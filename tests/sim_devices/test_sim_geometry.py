import numpy as np
import pytest

from sim_devices import Geometry


@pytest.fixture(scope="module")
def worn():
    return Geometry(bad_share=4e-4, bad_seed=3)


def test_q_and_phi_by_hand():
    geometry = Geometry(shape=(400, 400), beam_center_px=(200.0, 200.0))
    angle = np.arctan(100.5 * 55e-6 / 8.0)
    expected = 4 * np.pi / (1.2398419843 / 11.0) * np.sin(angle / 2)
    # Just off the axes, half a pixel to the side.
    assert geometry.q_inv_nm[200, 300] == pytest.approx(expected, rel=2e-5)
    assert geometry.phi_deg[200, 300] == pytest.approx(0.285, abs=1e-3)
    assert geometry.phi_deg[300, 200] == pytest.approx(89.715, abs=1e-3)
    assert geometry.phi_deg[199, 99] == pytest.approx(180.285, abs=1e-3)


def test_lambda_gaps_are_bad_with_their_borders():
    geometry = Geometry()
    bad = geometry.bad_pixels
    assert bad.shape == (516, 1556)
    assert np.flatnonzero(bad.all(axis=1)).tolist() == list(range(255, 261))
    columns = [start + k for start in (255, 515, 775, 1035, 1295) for k in range(6)]
    assert np.flatnonzero(bad.all(axis=0)).tolist() == columns
    assert not bad.ravel()[geometry.ring].any()
    assert bad[258, 750] and not bad[262, 747]  # the beamstop's edge at 30 pixels


def test_ring_covers_the_analysed_range_and_a_pixel_more():
    geometry = Geometry()
    inside = (geometry.q_inv_nm >= 0.019) & (geometry.q_inv_nm <= 0.029) & ~geometry.bad_pixels
    assert set(np.flatnonzero(inside)) < set(geometry.ring)
    q = geometry.q_inv_nm.ravel()[geometry.ring]
    assert 0.0185 < q.min() < 0.019 and 0.029 < q.max() < 0.0295


def test_a_few_pixels_in_ten_thousand_are_dead_or_hot(worn):
    mask, sound = worn.pixel_mask, Geometry().pixel_mask
    for bit in (1, 3):
        assert np.mean(mask >> bit & 1) == pytest.approx(2e-4, rel=0.3)
        assert not (sound >> bit & 1).any()
    assert np.array_equal(worn.bad_pixels, mask > 0)
    assert np.array_equal(worn.hot_hz > 0, mask == 1 << 3)
    assert worn.hot_hz[mask == 8].min() > 100 and worn.hot_hz.max() < 1e5
    assert not worn.profile[mask > 0].any() and not worn.bad_pixels.ravel()[worn.ring].any()
    # Gaps and beamstop are where they were, and the seed decides the rest.
    assert np.array_equal(mask & 0x101, sound)
    assert np.array_equal(mask, Geometry(bad_share=4e-4, bad_seed=3).pixel_mask)
    assert not np.array_equal(mask, Geometry(bad_share=4e-4, bad_seed=4).pixel_mask)
