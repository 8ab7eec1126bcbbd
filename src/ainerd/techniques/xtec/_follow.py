"""Peaks that thermal expansion moves: how far, and images in which they stay."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

PEAKS, FEWEST = 60, 6  # brightest peaks that are looked at, and how many must be found again
REACH = 5  # pixels around a peak
WIDE = 2 * REACH + 1
FADED = 0.3  # of the counts a peak had: with fewer it is not followed on
MOVED_PX = 1.0


@dataclass(frozen=True)
class Moves:
    """Where a place of the first image lies in each: (row, column) + shift + stretch × distance from the middle.

    Attributes
    ----------
    shift : ndarray, shape (n, 2)
    stretch : ndarray, shape (n,)
    shape : (int, int)
    """

    shift: NDArray[np.float64]
    stretch: NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def farthest_px(self) -> float:
        """How far any place of the detector moved between two images."""
        corners = np.array([(y, x) for y in (0, self.shape[0]) for x in (0, self.shape[1])]) - np.array(self.shape) / 2
        at = self.shift[:, None] + self.stretch[:, None, None] * corners
        return float(np.linalg.norm(at[:, None] - at[None], axis=-1).max())

    def undone(self, image: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Image `number` with its peaks where the first one has them; NaN beyond its edges."""
        middle, stretch = np.array(self.shape) / 2 - 0.5, 1 + self.stretch[number]
        where = {"matrix": np.full(2, stretch), "offset": middle - stretch * middle + self.shift[number]}
        blank = ~np.isfinite(image)
        moved = ndimage.affine_transform(np.where(blank, 0, image), **where, order=3, mode="nearest")
        grown = ndimage.affine_transform(blank.astype(float), **where, order=1, cval=1.0)
        return np.where(grown > 0, np.nan, np.maximum(moved, 0))


def followed(images: Iterable[NDArray[np.float64]]) -> Moves | None:
    """How peaks move through images (ny, nx), from each to the next; NaN are pixels that do not count.

    None where too few peaks could be followed.
    """
    moves = [np.zeros(3)]
    for number, image in enumerate(images):
        image = np.where(np.isfinite(image), image, 0.0)
        if not number:
            middle = np.array(image.shape) / 2 - 0.5
            at, height = _centred(image, _peaks(image))
        shift, stretch = moves[-1][:2], moves[-1][2]
        found, now = _centred(image, at + shift + stretch * (at - middle))
        seen = now > np.maximum(FADED * height, 1e-9)
        move = _fitted(at - middle, found - at, seen)
        if move is None:
            return None
        moves.append(move)
        at, height = at[seen], height[seen]
    shifts = np.array(moves[1:])
    return Moves(shifts[:, :2], shifts[:, 2], image.shape)


def _fitted(at: NDArray[np.float64], moved: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Shift and stretch, (3,), of places (n, 2) from the middle, without those that move unlike the others."""
    good = good.copy()
    design = np.concatenate([np.tile(np.eye(2), (len(at), 1, 1)), at[:, :, None]], axis=2)
    for _ in range(3):
        if good.sum() < FEWEST:
            return None
        move = np.linalg.lstsq(design[good].reshape(-1, 3), moved[good].ravel(), rcond=None)[0]
        off = np.linalg.norm(moved - design @ move, axis=1)
        good &= off < max(0.5, 3 * float(np.median(off[good])))
    return np.asarray(move, np.float64)


def _peaks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightest local maxima, (n, 2); not at the edge, and not a single pixel."""
    smooth, edge = ndimage.gaussian_filter(image, 1.0), REACH + 1
    top = (smooth == ndimage.maximum_filter(smooth, WIDE)) & (smooth > np.median(smooth))
    at = np.argwhere(top[edge:-edge, edge:-edge]) + edge
    if not len(at):
        return np.zeros((0, 2))
    windows = sliding_window_view(image, (WIDE, WIDE))[tuple(at.T - REACH)]
    counts = np.maximum(windows - np.median(windows, axis=(1, 2), keepdims=True), 0).sum(axis=(1, 2))
    at = at[image[tuple(at.T)] <= 0.6 * counts]
    return at[np.argsort(-smooth[tuple(at.T)], kind="stable")[:PEAKS]].astype(float)


def _centred(image: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids of what is above the background around places, and its counts; 0 for one that leaves the image."""
    at, height = at.copy(), np.ones(len(at))
    if not len(at):
        return at, height
    windows, axis = sliding_window_view(image, (WIDE, WIDE)), np.arange(WIDE)
    for _ in range(3):
        corner = np.rint(at).astype(int) - REACH
        height[((corner < 0) | (corner >= windows.shape[:2])).any(axis=1)] = 0
        some = np.flatnonzero(height)
        window = windows[tuple(corner[some].T)]
        above = np.maximum(window - np.quantile(window, 0.6, axis=(1, 2), keepdims=True), 0)
        height[some] = above.sum(axis=(1, 2))
        some, above = some[height[some] > 0], above[height[some] > 0]
        centre = np.stack([above.sum(axis=2) @ axis, above.sum(axis=1) @ axis], axis=1)
        at[some] = corner[some] + centre / height[some, None]
    return at, height
