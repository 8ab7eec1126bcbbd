"""Where the direct beam may be, guessed from a frame."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RINGS_PX = 2.0  # width of the rings over which a frame is taken to be even
COARSE = 6000  # pixels that the first search looks at


def guess_beam_center(frame: ArrayLike, usable: ArrayLike | None = None) -> tuple[float, float]:
    """(row, column) about which the frame varies least with the azimuth; the centre of pixel i is at i + 0.5.

    A guess: scattering that depends on the azimuth, or a beamstop that is not masked, leads it astray. The variance of
    the square root of the counts (even for photons, whatever their number) within rings is made smallest, on a grid
    that reaches half a detector beyond the edges and then ever finer.

    Parameters
    ----------
    frame : array_like, shape (ny, nx)
        Mean counts; what is not finite is not used.
    usable : array_like of bool, shape (ny, nx), optional
        False where a pixel must not be used.

    Raises
    ------
    ValueError
        If fewer than 100 pixels are usable, or all hold the same.
    """
    counts = np.asarray(frame, dtype=float)
    good = np.isfinite(counts) & (True if usable is None else np.asarray(usable, bool))
    root = np.sqrt(np.clip(np.where(good, counts, 0), 0, None))
    if good.sum() < 100 or np.ptp(root[good]) == 0:
        raise ValueError("the frame shows no scattering from which the beam centre could be guessed")
    ny, nx = counts.shape
    step = max(1, int(np.sqrt(counts.size / COARSE)))
    row, column, reach = ny / 2, nx / 2, (float(ny), float(nx))
    while True:
        values, rows, columns = _binned(root, good, step)
        n = 21 if reach == (ny, nx) else 9
        grid = [
            (r, c)
            for r in np.linspace(row - reach[0], row + reach[0], n)
            for c in np.linspace(column - reach[1], column + reach[1], n)
        ]
        spread = [_spread(values, rows - r, columns - c, max(step, RINGS_PX)) for r, c in grid]
        row, column = grid[int(np.argmin(spread))]
        if max(reach) < 0.5:
            return float(row), float(column)
        reach = (reach[0] * 3 / (n - 1), reach[1] * 3 / (n - 1))
        step = max(1, min(step, int(max(reach) / 4)))


def _binned(
    root: NDArray[np.float64], good: NDArray[np.bool_], step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means over step × step pixels as far as they are good, and where: (n,) each."""
    ny, nx = (size // step for size in root.shape)

    def summed(of: NDArray) -> NDArray[np.float64]:
        return of[: ny * step, : nx * step].reshape(ny, step, nx, step).sum((1, 3), dtype=float)

    weight = summed(good)
    row, column = np.nonzero(weight > step * step / 2)
    values = summed(root * good)[row, column] / weight[row, column]
    if values.size > 4 * COARSE:  # nearer the end all pixels would be slow, and say no more
        kept = np.random.default_rng(0).choice(values.size, 4 * COARSE, replace=False)
        values, row, column = values[kept], row[kept], column[kept]
    return values, np.asarray((row + 0.5) * step), np.asarray((column + 0.5) * step)


def _spread(values: NDArray[np.float64], rows: NDArray, columns: NDArray, width: float) -> float:
    """Variance of the values within rings of that width about the origin, with what rings of few pixels hide."""
    ring = (np.hypot(rows, columns) / width).astype(int)
    n = np.bincount(ring)
    total = np.bincount(ring, values)
    within = np.square(values).sum() - np.sum(np.square(total)[n > 0] / n[n > 0])
    return float(within / max(values.size - np.count_nonzero(n), 1))
