"""Follow peaks that thermal expansion moves, and undo the motion.

A Gaussian window finds the center of each peak in each image. The motion is a cubic in temperature, fitted to all of
them by least squares with the error of each center; its own error is that of fits without one peak each (jackknife).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
PEAKS, FEWEST = 60, 6  # brightest peaks that are followed, and the fewest for a fit
REACH = 5  # pixels around a peak
WIDE = 2 * REACH + 1
WINDOW = 1.7  # sd in pixels
PLACES = np.indices((WIDE, WIDE)).reshape(2, -1).T  # offsets of pixels around a peak
FADED = 0.3  # share of its counts below which a peak is not used
STEP_PX, EXACT_PX = 0.5, 0.1  # motion expected from one image to the next, and errors of centers besides noise
FEWEST_SEEN = 2  # images in which a peak must be seen
DEGREE, ROUNDS = 3, 5  # of the motion in temperature; of its fit: peaks that fit badly count less in the next one
SURE, MOVED_PX, LEFT = 5.0, 1.0, 0.2  # followed: beyond so many errors and pixels, if less than this share is left


@dataclass(frozen=True)
class Moves:
    """Motion of places of the first image: (row, column) + shift + stretch × distance from the middle.

    Attributes
    ----------
    moved : ndarray, shape (n, 3)
        Shift of rows, shift of columns, stretch.
    farthest_px, error_px : float
        Largest motion of any place of the detector between two images, and its standard error.
    left : float
        Share of the squared motion of each peak that the motion of the others does not explain.
    shape : (int, int)
    """

    moved: Floats
    farthest_px: float
    error_px: float
    left: float
    shape: tuple[int, ...]

    @property
    def alike(self) -> bool:
        """Whether one motion is that of all peaks: within its errors, or as it explains theirs."""
        return self.farthest_px <= SURE * self.error_px or self.left < LEFT

    @property
    def reason(self) -> str:
        """Why the motion is not undone; empty if it is."""
        if not self.alike:
            return "peaks do not move alike"
        if self.farthest_px <= SURE * self.error_px:
            return "peaks do not move by more than their errors"
        return "" if self.farthest_px > MOVED_PX else "not more than a pixel"

    def undone(self, image: Floats, number: int) -> Floats:
        """Return image `number` with its peaks at their places in the first one; NaN beyond its edges."""
        middle, (*shift, stretch) = np.array(self.shape) / 2 - 0.5, self.moved[number]
        where = {"matrix": np.full(2, 1 + stretch), "offset": shift - stretch * middle}
        blank = ~np.isfinite(image)
        moved = ndimage.affine_transform(np.where(blank, 0, image), **where, order=3, mode="nearest")
        grown = ndimage.affine_transform(blank.astype(float), **where, order=1, cval=1.0)
        return np.where(grown > 0, np.nan, np.maximum(moved, min(np.nanmin(image, initial=0), 0)))


def followed(images: Iterable[Floats], t: Floats) -> Moves | None:
    """Return the motion of peaks through images (ny, nx) at temperatures (n,), where NaN pixels are ignored.

    Return None if too few peaks can be followed.
    """
    move = np.zeros(3)
    offs: list[Floats] = []
    weights: list[Floats] = []
    for image in map(np.nan_to_num, images):
        if not offs:
            if min(image.shape) < WIDE + 2:
                return None
            at, first, _ = _centred(image, _peaks(image))
            far = at - np.array(image.shape) / 2 + 0.5
            design = np.concatenate([np.tile(np.eye(2), (len(at), 1, 1)), far[:, :, None]], axis=2)
            prior = np.diag([1, 1, np.square(image.shape).max() / 4]) / STEP_PX**2
        center, counts, error = _centred(image, at + design @ move)
        off, weight = center - at, (counts > np.maximum(FADED * first, 1e-9)) / error**2
        for _ in range(3):  # peaks that do not move like most others are left out
            away = np.linalg.norm(off - design @ move, axis=1)
            near = away < max(STEP_PX, 3 * float(np.median(away[weight > 0]))) if weight.any() else weight > 0
            across = np.swapaxes(design, 1, 2) * (near * weight / (1 + EXACT_PX**2 * weight))[:, None, None]
            right = prior @ move + (across @ off[..., None]).sum(0)[:, 0]
            move = np.linalg.solve(prior + (across @ design).sum(0), right)
        offs.append(off)
        weights.append(weight)
    return _fitted(np.stack(offs, 1), np.stack(weights, 1), design, t, image.shape)


def _fitted(off: Floats, weight: Floats, design: Floats, t: Floats, shape: tuple[int, ...]) -> Moves | None:
    """Fit the motion to offsets (m, n, 2) of peaks with weights (m, n); `design` (m, 2, 3) is that of an image."""
    seen = np.count_nonzero(weight, axis=1)
    enough = seen >= FEWEST_SEEN
    if enough.sum() < FEWEST:
        return None
    off, weight, design, seen = off[enough], weight[enough], design[enough], seen[enough]
    powers = ((t - t[0]) / (t[-1] - t[0]))[:, None] ** np.arange(1, DEGREE + 1)
    x, share = np.einsum("id,pak->piadk", powers, design), weight / weight.sum(1, keepdims=True)
    x = x.reshape(*off.shape, -1)
    x -= np.einsum("pi,piak->pak", share, x)[:, None]  # the place of a peak in the first image has an error, too
    off = off - np.einsum("pi,pia->pa", share, off)[:, None]
    normal, right = np.einsum("pi,piak,pial->pkl", weight, x, x), np.einsum("pi,piak,pia->pk", weight, x, off)
    worse = np.ones(len(off))  # chi square of each peak
    for _ in range(ROUNDS):
        a, b = normal / worse[:, None, None], right / worse[:, None]
        best = np.linalg.pinv(a.sum(0), hermitian=True) @ b.sum(0)
        worse = np.maximum(np.einsum("pi,pia->p", weight, (off - x @ best) ** 2) / (2 * seen - 2), 1)
    without = (np.linalg.pinv(a.sum(0) - a, hermitian=True) @ (b.sum(0) - b)[..., None])[..., 0]
    squares = ((off**2).sum(2), ((off - np.einsum("piak,pk->pia", x, without)) ** 2).sum(2))
    still, left = (float(np.sum(weight / worse[:, None] * each)) for each in squares)
    corners = (np.indices((2, 2)).reshape(2, -1).T - 0.5) * shape
    at_corners = np.concatenate([np.tile(np.eye(2), (4, 1, 1)), corners[:, :, None]], axis=2)

    def moves(fits: Floats) -> Floats:
        """Return the motion at each temperature (..., n, 3) of fits (..., k)."""
        return np.asarray(powers @ fits.reshape(*fits.shape[:-1], DEGREE, 3))

    def paths(fits: Floats) -> Floats:
        """Return the motion of the corners (..., 4, n, 2)."""
        return np.asarray(np.einsum("cad,...id->...cia", at_corners, moves(fits)))

    path = paths(best)
    apart = np.linalg.norm(path[:, :, None] - path[:, None], axis=-1)
    corner, i, j = np.unravel_index(apart.argmax(), apart.shape)
    way = path[corner, i] - path[corner, j]
    each = paths(without)
    along = (each[:, corner, i] - each[:, corner, j]) @ way / max(float(np.linalg.norm(way)), 1e-12)
    error = float(np.sqrt(len(along) - 1) * along.std())
    return Moves(moves(best), float(apart.max()), error, left / max(still, 1e-300), shape)


def _peaks(image: Floats) -> Floats:
    """Return the brightest local maxima, (n, 2), except at the edge and of single pixels."""
    smooth, edge = ndimage.gaussian_filter(image, 1.0), REACH + 1
    top = (smooth == ndimage.maximum_filter(smooth, WIDE)) & (smooth > np.median(smooth))
    at = np.argwhere(top[edge:-edge, edge:-edge]) + edge
    windows = _windows(image, at - REACH)
    counts = np.maximum(windows - np.median(windows, axis=1, keepdims=True), 0).sum(axis=1)
    at = at[windows.max(axis=1) <= 0.6 * counts]
    return np.asarray(at[np.argsort(-smooth[tuple(at.T)], kind="stable")[:PEAKS]], dtype=float)


def _centred(image: Floats, at: Floats) -> tuple[Floats, Floats, Floats]:
    """Return centers of peaks near places, their counts in the window, and errors; 0 and infinity outside the image."""
    at, counts, error = at.copy(), np.zeros(len(at)), np.full(len(at), np.inf)
    for _ in range(4):
        corner = np.rint(at).astype(int) - REACH
        some = np.flatnonzero(((corner >= 0) & (corner <= np.array(image.shape) - WIDE)).all(axis=1))
        pixels = _windows(image, corner[some])
        away = corner[some, None] + PLACES - at[some, None]
        window = np.exp(-np.square(away).sum(-1) / (2 * WINDOW**2))
        above = window * (pixels - np.median(pixels, axis=1, keepdims=True))
        counts[:], error[:] = 0, np.inf
        counts[some] = np.maximum(above.sum(axis=1), 1e-9)
        step = 2 * np.einsum("pi,pia->pa", above, away) / counts[some, None]
        noise = np.einsum("pi,pia->p", window**2 * np.maximum(pixels, 1), away**2) / 2
        error[some] = 2 * np.sqrt(noise) / counts[some]
        at[some] += np.clip(step, -1, 1)
    return at, counts, error


def _windows(image: Floats, corner: NDArray[np.int64]) -> Floats:
    """Return the pixels of windows at corners (n, 2), (n, WIDE²)."""
    return np.asarray(sliding_window_view(image, (WIDE, WIDE))[tuple(corner.T)].reshape(len(corner), WIDE**2))
