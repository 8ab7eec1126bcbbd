"""Peaks that thermal expansion moves: how far, and images in which they stay."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

PEAKS, FEWEST = 60, 6  # brightest peaks that are looked at, and how many must be found again
REACH = 5  # pixels around a peak
MOVED_PX = 1.0


@dataclass(frozen=True)
class Moves:
    """Where a place of the first image lies in each: (row, column) + shift + stretch × distance from the middle.

    Attributes
    ----------
    shift : ndarray, shape (n, 2)
    stretch : ndarray, shape (n,)
    known : bool
        Whether enough peaks could be followed from each image to the next.
    shape : (int, int)
    """

    shift: NDArray[np.float64]
    stretch: NDArray[np.float64]
    known: bool
    shape: tuple[int, int]

    @property
    def farthest_px(self) -> float:
        """How far any place of the detector moved between two images."""
        corners = np.array([(y, x) for y in (0, self.shape[0]) for x in (0, self.shape[1])]) - np.array(self.shape) / 2
        at = self.shift[:, None] + self.stretch[:, None, None] * corners
        return float(np.linalg.norm(at[:, None] - at[None], axis=-1).max())

    def undone(self, image: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Image `number` with its peaks where the first one has them; NaN beyond its edges."""
        middle, stretch = np.array(self.shape) / 2 - 0.5, 1 + self.stretch[number]
        offset = middle - stretch * middle + self.shift[number]
        blank = ~np.isfinite(image)
        moved = ndimage.affine_transform(
            np.where(blank, 0, image), np.full(2, stretch), offset, order=3, mode="nearest"
        )
        grown = ndimage.affine_transform(blank.astype(float), np.full(2, stretch), offset, order=1, cval=1.0)
        return np.where(grown > 0, np.nan, np.maximum(moved, 0))


def followed(images: Iterable[NDArray[np.float64]]) -> Moves:
    """How peaks move through images (ny, nx), from each to the next; NaN are pixels that do not count."""
    places: list[NDArray[np.float64]] = []
    reference, height = np.zeros((0, 2)), np.zeros(0)
    shape, known = (0, 0), True
    for image in images:
        image = np.where(np.isfinite(image), image, 0.0)
        shape = image.shape
        middle = np.array(shape) / 2 - 0.5
        if not places:
            reference, height = _centred(image, _peaks(image))
            reference, height = reference[height > 0], height[height > 0]
            places.append(np.zeros(3))
        if len(reference) < FEWEST:
            known = False
            break
        guess = reference + places[-1][:2] + places[-1][2] * (reference - middle)
        found, now = _centred(image, guess)
        good = now > 0.3 * height
        for _ in range(3):
            if good.sum() < FEWEST:
                known = False
                break
            design = np.zeros((2 * good.sum(), 3))
            design[0::2, 0], design[1::2, 1] = 1, 1
            design[:, 2] = (reference[good] - middle).ravel()
            move = np.linalg.lstsq(design, (found - reference)[good].ravel(), rcond=None)[0]
            off = np.linalg.norm(found - reference - move[:2] - move[2] * (reference - middle), axis=1)
            good &= off < max(0.5, 3 * float(np.median(off[good])))
        if not known:
            break
        places.append(np.asarray(move, np.float64))
        reference, height = reference[now > 0.3 * height], height[now > 0.3 * height]
    moves = np.array(places[1:] if known else [np.zeros(3)])
    return Moves(moves[:, :2], moves[:, 2], known and len(moves) > 0, shape)


def _peaks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightest local maxima, (n, 2); not at the edge, and not a single pixel."""
    smooth = ndimage.gaussian_filter(image, 1.0)
    top = (smooth == ndimage.maximum_filter(smooth, 2 * REACH + 1)) & (smooth > np.median(smooth))
    rows, columns = np.nonzero(top)
    inside = (
        (np.minimum(rows, columns) > REACH)
        & (rows < image.shape[0] - REACH - 1)
        & (columns < image.shape[1] - REACH - 1)
    )
    rows, columns = rows[inside], columns[inside]
    single = image[rows, columns] > 0.6 * np.array(
        [
            np.maximum(w - np.median(w), 0).sum()
            for w in (_window(image, y, x) for y, x in zip(rows, columns, strict=True))
        ]
    )
    rows, columns = rows[~single], columns[~single]
    best = np.argsort(-smooth[rows, columns], kind="stable")[:PEAKS]
    return np.stack([rows[best], columns[best]], axis=1).astype(float)


def _centred(image: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids of what is above the background around places, and its counts; 0 for one that leaves the image."""
    at, height = at.copy(), np.zeros(len(at))
    for i, place in enumerate(at):
        for _ in range(3):
            y, x = np.rint(place).astype(int)
            if min(y, x) < REACH or y >= image.shape[0] - REACH or x >= image.shape[1] - REACH:
                height[i] = 0
                break
            window = _window(image, y, x)
            above = np.maximum(window - np.quantile(window, 0.6), 0)
            height[i] = above.sum()
            if not height[i]:
                break
            place = np.array([y, x]) - REACH + np.array(ndimage.center_of_mass(above))
        at[i] = place
    return at, height


def _window(image: NDArray[np.float64], y: int, x: int) -> NDArray[np.float64]:
    return image[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1]
