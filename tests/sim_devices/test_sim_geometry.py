import numpy as np
import pytest

from sim_devices import Geometry


def test_q_and_phi_by_hand():
    geometry = Geometry(shape=(400, 400), beam_center_px=(200.0, 200.0))
    angle = np.arctan(100.5 * 55e-6 / 8.0)
    expected = 4 * np.pi / (1.2398419843 / 11.0) * np.sin(angle / 2)
    # Just off the axes, half a pixel to the side.
    assert geometry.q_inv_nm[200, 300] == pytest.approx(expected, rel=2e-5)
    assert geometry.phi_deg[200, 300] == pytest.approx(0.285, abs=1e-3)
    assert geometry.phi_deg[300, 200] == pytest.approx(89.715, abs=1e-3)
    assert geometry.phi_deg[199, 99] == pytest.approx(180.285, abs=1e-3)


def test_lambda_gaps_are_dead_with_their_borders():
    geometry = Geometry()
    dead = geometry.dead
    assert dead.shape == (516, 1556)
    assert np.flatnonzero(dead.all(axis=1)).tolist() == list(range(255, 261))
    columns = [start + k for start in (255, 515, 775, 1035, 1295) for k in range(6)]
    assert np.flatnonzero(dead.all(axis=0)).tolist() == columns
    assert not dead.ravel()[geometry.ring].any()
    assert dead[258, 750] and not dead[262, 747]  # the beamstop's edge at 30 pixels


def test_ring_covers_the_analysed_range_and_a_pixel_more():
    geometry = Geometry()
    inside = (geometry.q_inv_nm >= 0.019) & (geometry.q_inv_nm <= 0.029) & ~geometry.dead
    assert set(np.flatnonzero(inside)) < set(geometry.ring)
    q = geometry.q_inv_nm.ravel()[geometry.ring]
    assert 0.0185 < q.min() < 0.019 and 0.029 < q.max() < 0.0295


def test_profile_is_flat_to_ten_per_cent_across_the_ring():
    geometry = Geometry()
    inside = (geometry.q_inv_nm >= 0.019) & (geometry.q_inv_nm <= 0.029) & ~geometry.dead
    assert geometry.profile[inside].min() == pytest.approx(0.905, abs=0.01)
    assert geometry.profile[inside].max() == pytest.approx(1.105, abs=0.01)
    assert geometry.profile[0, 0] == pytest.approx(0.1, abs=0.01)


def test_bad_geometry_says_what_to_do():
    with pytest.raises(ValueError, match="no detector 'lambda751k'"):
        Geometry(detector="lambda751k")
    with pytest.raises(ValueError, match="check beam_center_px"):
        Geometry(shape=(64, 64), beam_center_px=(2000.0, 32.0))
