"""Movies of scatterers under cyclic shear, for the tests."""

import numpy as np

from ainerd_xpcs.numerics import Partition
from sim_devices import Geometry, ScatteredMovie

PLACE = Geometry(shape=(32, 32), beam_center_px=(16.0, -42.0), q_range_inv_nm=(0.001, 0.05))
LABELS = 1 + np.arange(32)[:, None] // 8 + 4 * (np.arange(32) // 16)
PARTITION = Partition.from_roi_map(LABELS, q=np.full(8, np.sqrt(np.mean(PLACE.q_inv_nm**2))))


def counted(sample, t_s, rng, place=PLACE):
    """Frames with five photons a pixel, (frames, pixels)."""
    counts = np.zeros((len(t_s), place.q_inv_nm.size), np.uint16)
    blocks = ScatteredMovie(sample, t_s, place, contrast=0.5, rng=rng).blocks()
    counts[:, place.ring] = rng.poisson(5 * np.concatenate(list(blocks)))
    return counts
