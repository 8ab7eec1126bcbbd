"""A bound on regions that no exposure hit, for regions of a stated size."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from ainerd.steering._window import Window

Floats = NDArray[np.float64]

CENTRES = 11  # the chance comes from 2 to this power of centres
SEED = 0


def missed(window: "Window", positions: Floats, radius: float) -> float:
    """Return an upper limit of the chance that no exposure hits a region.

    The region is a ball of this radius. Its centre may lie anywhere in the window where it is not excluded, also near
    the limits, where part of it lies outside. For any number of knobs the chance is a mean over quasi-random centres,
    plus two standard errors. Knobs that lie apart have no extent: a region has one value of such a knob.

    Parameters
    ----------
    window : Window
    positions : ndarray, shape (n, d)
        Of the exposures, in lengths.
    radius : float
    """
    if not len(positions):
        return 1.0
    centres = _centres(window)
    if not len(centres):
        return 0.0
    share = float((cKDTree(positions).query(centres)[0] > radius).mean())
    return min(share + 2 * float(np.sqrt(share * (1 - share) / len(centres))), 1.0)


def surely_hit(window: "Window", positions: Floats) -> float:
    """Return the radius from which each ball in which a region may lie was hit, wherever its centre lies.

    The centre of a ball is in the cell of a node, so that it is no farther from the nearest exposure than the node, and
    half the diagonal of the cell.
    """
    nodes = window.nodes[window.allowed]
    if not len(positions) or not len(nodes):
        return np.inf if len(nodes) else 0.0
    radius = float(cKDTree(positions).query(nodes)[0].max() + float(np.linalg.norm(window.cell)) / 2)
    if radius == 0:  # each value of all knobs was visited
        return 0.0
    last = 10.0 ** (np.floor(np.log10(radius)) - 1)  # it is shown with two digits, and must not be rounded down
    return float(last * np.ceil(radius / last))


@lru_cache(8)
def _centres(window: "Window") -> Floats:
    """Return centres (n, d) anywhere in a window where it is not excluded."""
    from scipy.stats import qmc  # here, because it takes long to import

    centres = window.spread(qmc.Sobol(len(window.low), seed=SEED).random_base2(CENTRES))
    return centres[window.free(centres)]
