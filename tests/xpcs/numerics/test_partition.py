import numpy as np
import pytest
from pyFAI.detectors import Detector

from ainerd_xpcs.numerics import Partition

ANNULUS = {
    "detector": "lambda750k",
    "beam_center_px": (258.0, 778.0),
    "distance_m": 8.0,
    "energy_keV": 11.0,
    "q_range_inv_nm": (0.019, 0.029),
}


@pytest.fixture(scope="module")
def lambda_partition():
    return Partition.annular(**ANNULUS)


def test_a_pixel_in_each_direction_lies_in_the_bin_of_its_azimuth(lambda_partition):
    # 62 pixels from the centre is 0.0237 1/nm; azimuth 0 points along the columns, 90 along the rows
    for phi in np.arange(10, 360, 20):
        row = int(258 + 62 * np.sin(np.deg2rad(phi)))
        col = int(778 + 62 * np.cos(np.deg2rad(phi)))
        assert lambda_partition.roi_map[row, col] in (phi // 20 + 1, 0)
    assert lambda_partition.roi_map[258 + 62, 778 + 6] == 5
    assert lambda_partition.roi_map[258 + 6, 778 + 62] == 1


def test_q_of_a_pixel_agrees_with_pyfai(lambda_partition):
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    ai = AzimuthalIntegrator(
        dist=8.0, poni1=258.0 * 55e-6, poni2=778.0 * 55e-6, detector="lambda750k", wavelength=1.12713e-10
    )
    q = ai.center_array(unit="q_nm^-1")
    used = lambda_partition.roi_map > 0
    assert 0.01899 < q[used].min() < 0.0192 and 0.0288 < q[used].max() < 0.02901
    inside = (q > 0.0192) & (q < 0.0288) & (ai.detector.mask == 0)
    assert used[inside].mean() > 0.95  # all but the borders of the gaps


def test_friedel_partners_have_the_same_pixels(lambda_partition):
    assert np.array_equal(lambda_partition.n_pixels[:9], lambda_partition.n_pixels[9:])


def test_gaps_and_their_borders_are_masked(lambda_partition):
    assert not lambda_partition.roi_map[255:261].any()
    assert not lambda_partition.roi_map[:, 775:781].any()


def test_rings_and_sectors_are_numbered_ring_by_ring():
    p = Partition.annular(**ANNULUS | {"n_q": 2, "n_phi": 4})
    assert p.n_roi == 8
    assert p.q[3] < p.q[4]
    assert list(p.phi[:4]) == [45, 135, 225, 315]


def test_pixels_are_ordered_bin_by_bin_and_ring_by_ring(partition):
    roi = partition.roi_map.ravel()[partition.pixels]
    assert np.all(np.diff(roi) >= 0)
    for j, (a, b) in enumerate(zip(partition.static_edges[:-1], partition.static_edges[1:], strict=True)):
        assert np.all(roi[a:b] == partition.static_roi[j] + 1)
        assert np.all(partition.static_map.ravel()[partition.pixels[a:b]] == partition.static_label[j])


def test_masked_pixels_are_in_no_bin():
    mask = np.zeros((516, 1556), bool)
    mask[:258] = True
    half = Partition.annular(**ANNULUS, mask=mask)
    assert half.n_roi == 9 and not half.roi_map[:258].any() and half.phi.tolist() == list(range(10, 180, 20))
    assert half.left_out[:, 1].tolist() == list(range(190, 360, 20))
    small = Detector(pixel1=55e-6, pixel2=55e-6, max_shape=(128, 192))
    arguments = ANNULUS | {"detector": small, "beam_center_px": (64.0, 96.0), "distance_m": 5.0}
    p = Partition.annular(**arguments, n_phi=2, mask=np.arange(128 * 192).reshape(128, 192) % 2 == 0)
    assert np.all(p.pixels % 2 == 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_range_inv_nm": (0.03, 0.02)}, "growing numbers"),
        ({"detector": "nonesuch"}, "nonesuch"),
        ({"distance_m": -1.0}, "positive"),
        ({"n_phi": 0}, "at least 1"),
        ({"mask": np.zeros((3, 3), bool)}, r"mask has shape \(3, 3\)"),
        (
            {"q_range_inv_nm": (9.0, 10.0)},
            "no pixel lies in the rings: q runs .* requested were 9 to 10; is distance_m",
        ),
    ],
)
def test_bad_geometry_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Partition.annular(**ANNULUS | change)


@pytest.mark.parametrize(
    ("roi_map", "message"),
    [
        (np.zeros((4, 4), int), "no pixels"),
        (np.full((4, 4), 1.5), "integers"),
        (np.full((4, 4), -1), "negative"),
    ],
)
def test_bad_labels_are_named(roi_map, message):
    with pytest.raises(ValueError, match=message):
        Partition.from_roi_map(roi_map)


def test_frames_of_another_shape_are_refused(partition):
    with pytest.raises(ValueError, match="do not fit this partition"):
        partition.gather(np.zeros((3, 5, 5)))
