"""Rings for any beam position, compared with pyFAI, and messages for mistakes in the geometry."""

import numpy as np
import pytest
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from ainerd_xpcs.numerics import Partition
from tests.xpcs.numerics.conftest import RING

PIXEL = 75e-6
PLAIN = Detector(pixel1=PIXEL, pixel2=PIXEL, max_shape=(180, 240))
GEOMETRY = {"detector": PLAIN, "distance_m": 5.0, "energy_keV": 12.0}


def pyfai_q_phi(row, column, detector=PLAIN, distance=5.0, energy=12.0):
    poni1, poni2, wavelength = row * detector.pixel1, column * detector.pixel2, 12.398419843320026e-10 / energy
    ai = AzimuthalIntegrator(dist=distance, poni1=poni1, poni2=poni2, detector=detector, wavelength=wavelength)
    return ai.center_array(unit="q_nm^-1"), np.rad2deg(ai.center_array(unit="chi_rad")) % 360


@pytest.mark.parametrize("beam", [(90.0, 120.0), (0.0, 0.0), (3.2, 200.7), (-30.3, -25.1)])
@pytest.mark.parametrize("sectors", [(0.0, 360.0), (-40.0, 40.0), (100.0, 460.0)])
def test_bins_agree_with_pyfai(beam, sectors):
    edges, n_phi = [0.03, 0.05, 0.09, 0.16], 5
    q, phi = pyfai_q_phi(*beam)
    turned = (phi - sectors[0]) % 360
    ring = np.digitize(q, edges) - 1
    sector = np.floor(turned / (sectors[1] - sectors[0]) * n_phi)
    wanted = np.where((ring >= 0) & (ring < 3) & (sector < n_phi), ring * n_phi + sector + 1, 0).astype(int)
    arguments = {**GEOMETRY, "beam_center_px": beam, "q_range_inv_nm": edges, "n_phi": n_phi, "phi_range_deg": sectors}
    if not wanted.any():
        with pytest.raises(ValueError, match="no pixel lies in the rings from .* and phi from "):
            Partition.annular(**arguments)
        return
    bins = Partition.annular(**arguments)
    there = np.unique(wanted[wanted > 0])
    renumbered = np.where(wanted > 0, np.searchsorted(there, wanted) + 1, 0)
    assert (renumbered != bins.roi_map).sum() <= 2
    assert bins.n_roi + bins.n_left_out == 15 and bins.n_roi == there.size
    width = (sectors[1] - sectors[0]) / n_phi
    for k in range(1, bins.n_roi + 1):
        inside = bins.roi_map == k
        i_q = (there[k - 1] - 1) // n_phi
        assert bins.q[k - 1] == pytest.approx((edges[i_q] + edges[i_q + 1]) / 2)
        away = (phi[inside] - bins.phi[k - 1] + 180) % 360 - 180
        assert np.abs(away).max() <= width / 2 + 1e-6
    assert 0 <= bins.phi.min() and bins.phi.max() < 360


def test_a_pixel_at_the_start_of_the_first_sector_is_kept():
    # straight along the columns the rows are 0 away: the azimuth is 0, or a rounding error less
    odd = Detector(pixel1=PIXEL, pixel2=PIXEL, max_shape=(181, 241))
    geometry = {**GEOMETRY, "detector": odd, "beam_center_px": (90.5, 120.5), "q_range_inv_nm": (0.03, 0.08)}
    whole = Partition.annular(**geometry, n_phi=1)
    for begin in (0.0, 90.0, -1e-13):
        turned = Partition.annular(**geometry, n_phi=8, phi_range_deg=(begin, begin + 360))
        assert turned.n_pixels.sum() == whole.n_pixels.sum()


@pytest.mark.parametrize("wrong", [{"beam_center_px": (778.0, 258.0)}, {"energy_keV": 11000.0}])
def test_a_ring_beside_the_detector_is_asked_about(wrong):
    with pytest.raises(ValueError, match="no pixel lies in the rings .* q runs .* 1/nm on this detector") as error:
        Partition.annular(**RING | wrong)
    assert "is distance_m in metres, energy_keV in keV, q in 1/nm, beam_center_px (row, column)?" in str(error.value)


def test_inverted_and_transposed_masks_are_refused():
    bad = np.zeros((516, 1556), bool)
    bad[::20, ::30] = True
    assert Partition.annular(**RING, mask=bad).n_roi == 18
    with pytest.raises(ValueError, match=r"mask takes away 99.8% of the detector and 9\d.\d% .* is it inverted\?"):
        Partition.annular(**RING, mask=~bad)
    with pytest.raises(ValueError, match=r"is it inverted\?"):
        Partition.annular(**RING).without(~bad)
    with pytest.raises(ValueError, match=r"mask has shape \(1556, 516\), .*\(516, 1556\): it is transposed"):
        Partition.annular(**RING, mask=bad.T)
    with pytest.raises(ValueError, match="mask must be of booleans, or of 0 and 1, got float64"):
        Partition.annular(**RING, mask=bad * 1.0)
    ring = np.zeros_like(bad)
    ring[150:370, 650:900] = True
    with pytest.raises(ValueError, match="no pixel is left in the bins: mask covers all"):
        Partition.annular(**RING, mask=ring)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_range_inv_nm": [0.02, 0.01]}, "growing numbers"),
        ({"q_range_inv_nm": [0.01, 0.02, 0.03], "n_q": 2}, "n_q goes with two limits"),
        ({"phi_range_deg": (40.0, -40.0)}, r"begin < end.*across 0 it is \(-40, 40\)"),
        ({"phi_range_deg": (0.0, 400.0)}, "360 degrees apart at most"),
    ],
)
def test_contradictory_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Partition.annular(**RING | change)
