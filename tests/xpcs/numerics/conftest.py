import numpy as np
import pytest

from ainerd_xpcs.numerics import Partition

RING = {"detector": "lambda750k", "beam_center_px": (258.0, 778.0), "distance_m": 8.0, "energy_keV": 11.0}
RING["q_range_inv_nm"] = 0.019, 0.029


@pytest.fixture(scope="module")
def partition():
    """Six bins of unequal size with three static rings, on a detector of 24 × 20 pixels."""
    rng = np.random.default_rng(0)
    roi_map = rng.integers(0, 7, (24, 20))
    return Partition.from_roi_map(roi_map, static_map=rng.integers(1, 4, (24, 20)))


@pytest.fixture(scope="module")
def frames(partition):
    """60 frames of slowly relaxing speckle under a flickering beam."""
    rng = np.random.default_rng(1)
    field = np.cumsum(rng.normal(size=(60, 2, *partition.shape)), axis=0) / 5 + rng.normal(size=(2, *partition.shape))
    beam = 1 + 0.2 * np.sin(np.arange(60))
    return rng.poisson((field**2).sum(1) * beam[:, None, None]).astype(np.uint16)
