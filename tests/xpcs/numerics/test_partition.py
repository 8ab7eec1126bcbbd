import numpy as np
import pytest

from ainerd_xpcs.numerics import Partition
from tests.xpcs.numerics.conftest import RING


def test_gaps_and_their_borders_are_masked():
    lambda_partition = Partition.annular(**RING)
    assert np.array_equal(lambda_partition.n_pixels[:9], lambda_partition.n_pixels[9:])  # of opposite bins
    assert not lambda_partition.roi_map[255:261].any()
    assert not lambda_partition.roi_map[:, 775:781].any()


def test_pixels_are_ordered_bin_by_bin_and_ring_by_ring(partition):
    roi = partition.roi_map.ravel()[partition.pixels]
    assert np.all(np.diff(roi) >= 0)
    for j, (a, b) in enumerate(zip(partition.static_edges[:-1], partition.static_edges[1:], strict=True)):
        assert np.all(roi[a:b] == partition.static_roi[j] + 1)
        assert np.ptp(partition.static_map.ravel()[partition.pixels[a:b]]) == 0


@pytest.mark.parametrize(("value", "message"), [(0, "no pixels"), (1.5, "integers"), (-1, "negative")])
def test_bad_labels_are_named(value, message):
    with pytest.raises(ValueError, match=message):
        Partition.from_roi_map(np.full((4, 4), value))


def test_frames_of_another_shape_are_refused(partition):
    with pytest.raises(ValueError, match="do not fit this partition"):
        partition.gather(np.zeros((3, 5, 5)))
