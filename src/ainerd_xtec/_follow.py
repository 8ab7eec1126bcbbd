"""Follow peaks that thermal expansion moves, and undo the motion."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

PEAKS, FEWEST = 60, 6  # brightest peaks that are followed, and the fewest for a fit
REACH = 5  # pixels around a peak
WIDE = 2 * REACH + 1
PLACES = np.indices((WIDE, WIDE)).reshape(2, -1).T  # offsets of pixels around a peak
FADED = 0.3  # share of its counts below which a peak is dropped
MOVED_PX = 1.0


@dataclass(frozen=True)
class Moves:
    """Motion of places of the first image: (row, column) + shift + stretch × distance from the middle.

    Attributes
    ----------
    moved : ndarray, shape (n, 3)
        Shift of rows, shift of columns, stretch.
    shape : (int, int)
    """

    moved: NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def farthest_px(self) -> float:
        """Largest motion of any place of the detector between two images."""
        corners = np.array([(y, x) for y in (0, self.shape[0]) for x in (0, self.shape[1])]) - np.array(self.shape) / 2
        at = self.moved[:, None, :2] + self.moved[:, None, 2:] * corners
        return float(np.linalg.norm(at[:, None] - at[None], axis=-1).max())

    def undone(self, image: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Return image `number` with its peaks at their places in the first one; NaN beyond its edges."""
        middle, (*shift, stretch) = np.array(self.shape) / 2 - 0.5, self.moved[number]
        where = {"matrix": np.full(2, 1 + stretch), "offset": shift - stretch * middle}
        blank = ~np.isfinite(image)
        moved = ndimage.affine_transform(np.where(blank, 0, image), **where, order=3, mode="nearest")
        grown = ndimage.affine_transform(blank.astype(float), **where, order=1, cval=1.0)
        return np.where(grown > 0, np.nan, np.maximum(moved, 0))


def followed(images: Iterable[NDArray[np.float64]]) -> Moves | None:
    """Return the motion of peaks through images (ny, nx), where NaN pixels are ignored.

    Return None if too few peaks can be followed.
    """
    moves: list[NDArray[np.float64]] = []
    for image in map(np.nan_to_num, images):
        if not moves:
            if min(image.shape) < WIDE + 2:
                return None
            at, height = _centred(image, _peaks(image))
            far = at - np.array(image.shape) / 2 + 0.5
            design = np.concatenate([np.tile(np.eye(2), (len(at), 1, 1)), far[:, :, None]], axis=2)
        positions, now = _centred(image, at + design @ (moves[-1] if moves else np.zeros(3)))
        seen = now > np.maximum(FADED * height, 1e-9)
        at, height, design = at[seen], height[seen], design[seen]
        move = _fitted(design, positions[seen] - at)
        if move is None:
            return None
        moves.append(move)
    return Moves(np.array(moves), image.shape)


def _fitted(design: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Fit shift and stretch, (3,), to the motion `moved` (n, 2) of peaks, ignoring outliers."""
    good = np.ones(len(moved), bool)
    for _ in range(3):
        if good.sum() < FEWEST:
            return None
        move = np.linalg.lstsq(design[good].reshape(-1, 3), moved[good].ravel(), rcond=None)[0]
        off = np.linalg.norm(moved - design @ move, axis=1)
        good &= off < max(0.5, 3 * float(np.median(off[good])))
    return np.asarray(move, np.float64)


def _peaks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the brightest local maxima, (n, 2), except at the edge and of single pixels."""
    smooth, edge = ndimage.gaussian_filter(image, 1.0), REACH + 1
    top = (smooth == ndimage.maximum_filter(smooth, WIDE)) & (smooth > np.median(smooth))
    at = np.argwhere(top[edge:-edge, edge:-edge]) + edge
    windows = _windows(image, at - REACH)
    counts = np.maximum(windows - np.median(windows, axis=1, keepdims=True), 0).sum(axis=1)
    at = at[image[tuple(at.T)] <= 0.6 * counts]
    return np.asarray(at[np.argsort(-smooth[tuple(at.T)], kind="stable")[:PEAKS]], dtype=float)


def _centred(image: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centroids of counts above the background around places, and the counts, 0 outside the image."""
    at, height = at.copy(), np.ones(len(at))
    for _ in range(3):
        corner = np.rint(at).astype(int) - REACH
        height[((corner < 0) | (corner > np.array(image.shape) - WIDE)).any(axis=1)] = 0
        some = np.flatnonzero(height)
        window = _windows(image, corner[some])
        above = np.maximum(window - np.quantile(window, 0.6, axis=1, keepdims=True), 0)
        height[some] = above.sum(axis=1)
        some, above = some[height[some] > 0], above[height[some] > 0]
        at[some] = corner[some] + above @ PLACES / height[some, None]
    return at, height


def _windows(image: NDArray[np.float64], corner: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the pixels of windows at corners (n, 2), (n, WIDE²)."""
    return np.asarray(sliding_window_view(image, (WIDE, WIDE))[tuple(corner.T)].reshape(len(corner), WIDE**2))
