"""A bound on regions that no exposure hit, for regions of a stated size and shape."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtri

if TYPE_CHECKING:
    from ainerd.steering._window import Window

Floats = NDArray[np.float64]

CENTRES = 11  # the chance comes from 2 to this power of centres
SEED = 0


def missed(window: "Window", positions: Floats, radius: float, elongation: float = 1.0) -> float:
    """Return an upper limit of the chance that no exposure hits a region.

    The region is an ellipsoid that is `elongation` times as long as wide, with the volume of a ball of this radius, in
    any direction. Its centre may lie anywhere in the window where it is not excluded, also near the limits, where part
    of it lies outside. For any number of knobs the chance is a mean over quasi-random centres, plus two standard
    errors. Knobs that lie apart have no extent: a region has one value of such a knob.

    Parameters
    ----------
    window : Window
    positions : ndarray, shape (n, d)
        Of the exposures, in lengths.
    radius, elongation : float
    """
    if not len(positions):
        return 1.0
    centres, directions = _regions(window)
    if not len(centres):
        return 0.0
    tree, n_free = cKDTree(positions), int((~window.is_apart).sum())
    wide = radius if n_free < 2 else radius * elongation ** (-1 / n_free)
    long = wide if n_free < 2 else wide * elongation
    nearest = tree.query(centres)[0]
    hit = nearest <= wide
    for i in np.flatnonzero((nearest > wide) & (nearest <= long)):
        apart = positions[tree.query_ball_point(centres[i], long)] - centres[i]
        along = np.square(apart @ directions[i])
        hit[i] = ((np.square(apart).sum(1) - along) / wide**2 + along / long**2 <= 1).any()
    share = float((~hit).mean())
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
def _regions(window: "Window") -> tuple[Floats, Floats]:
    """Return centres (n, d) anywhere in a window where it is not excluded, and directions (n, d) of unit length."""
    from scipy.stats import qmc  # here, because it takes long to import

    d = len(window.low)
    unit = qmc.Sobol(2 * d, seed=SEED).random_base2(CENTRES)
    centres = window.spread(unit[:, :d])
    free = window.free(centres)
    normal = np.where(window.is_apart, 0.0, ndtri(np.clip(unit[free, d:], 1e-9, 1 - 1e-9)))
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return centres[free], normal / np.where(length > 0, length, 1.0)
