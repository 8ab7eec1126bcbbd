"""What a trajectory with a transition is made of, and how probable such a trajectory is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXPONENTS = (0.25, 0.5, 0.66, 0.8, 1.0, 1.5)  # 2 beta
WIDTHS = (0.012, 0.025, 0.04, 0.07, 0.13)  # of critical scattering, as a share of the range
SHAPES = ("none", "cusp", "lorentzian", "cusp, narrow below", "lorentzian, narrow below")
# Of a trajectory that spans 1: what the curves leave at best, and, where they leave no more, sd of the heights of a
# constant, a slope, an order parameter and critical scattering that are expected.
NOISE, HEIGHTS = 0.01, (3.0, 1.0, 2.0, 1.0)
LEAST = -1e300  # log evidence where there is none


def curves(
    t: NDArray[np.float64],
    grid: NDArray[np.float64],
    within: tuple[float, float],
    shape: str,
    exponents: Sequence[float] = EXPONENTS,
    widths: Sequence[float] = WIDTHS,
) -> NDArray[np.float64]:
    """What a trajectory is a sum of at `t`, for a transition at each of `grid`, each exponent and each width.

    A constant, a slope, the order parameter, which is 1 at the lower end of `within`, and critical scattering, which is
    1 at the transition: (len(exponents) * len(widths) * g, n, 4), or a column less for the shape "none".
    """
    low, span = within[0], within[1] - within[0]
    line = np.broadcast_to(np.stack([np.ones(t.size), (t - low) / span - 0.5])[:, None], (2, grid.size, t.size))
    columns = []
    for exponent in exponents:
        order = np.clip(1 - t / grid[:, None], 0, None) ** exponent
        order /= np.maximum(1 - low / grid[:, None], 1e-12) ** exponent
        for width in widths if shape != "none" else (1.0,):
            far = (t - grid[:, None]) / (width * span)
            far = np.where(far < 0, 2 * far, far) if "narrow" in shape else far
            peak = 1 / (1 + np.abs(far)) if "cusp" in shape else 1 / (1 + far**2)
            columns.append(np.stack([*line, order, *([] if shape == "none" else [peak])], axis=-1))
    return np.concatenate(columns)


def scaled(means: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trajectories (k, n) around 0 that span 1, as columns (n, k), and what curves leave of each at best, (k,)."""
    span = np.maximum(np.ptp(means, axis=1), 1e-9)
    y = (means - means.mean(axis=1, keepdims=True)) / span[:, None]
    return y.T, np.hypot(NOISE, np.median(errors, axis=1) / span)


def weighed(
    x: NDArray[np.float64], y: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """How probable models (m, n, p) are of trajectories `y` (n, k): log evidence (m, k), over the number of models.

    Then heights (m, p, k), the sum of squares that is left (m, k), and the inverse (m, p, p) of the normal equations.
    The prior of heights is Gaussian, that of the noise an inverse gamma of two degrees of freedom around `noise` (k,).
    Of many models those with a negative order parameter or critical scattering are out.
    """
    n, p = x.shape[1:]
    prior = (NOISE / np.array(HEIGHTS[:p])) ** 2
    across = x.transpose(0, 2, 1)
    gram = across @ x + np.diag(prior)
    inverse, right = np.linalg.inv(gram), across @ y
    heights = inverse @ right
    left = np.maximum(np.sum(y**2, axis=0) - np.sum(heights * right, axis=1), 0) + 2 * noise**2
    occam = 0.5 * (np.linalg.slogdet(gram)[1] - np.log(prior).sum()) + np.log(len(x))
    logs = -occam[:, None] - 0.5 * (n + 2) * np.log(left)
    if len(x) > 1:
        logs[(heights[:, 2:] < 0).any(axis=1)] = -np.inf
    return logs, heights, left, inverse
