"""Speckles have a size: the fields of neighbouring pixels are alike."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

SMALL = 0.01  # of the middle tap: smaller ones are left out


class Grain:
    """How the field of each pixel is put together from independent ones.

    A speckle is Gaussian: the intensities of pixels a distance d apart correlate as exp(-4 ln 2 (d / size)²), with the
    size, the full width at half maximum, in rows and in columns. A beam of width w seen at a distance L has speckles of
    about wavelength × L / w: 0.8 pixels of 55 µm for 20 µm, 8 m and 11 keV.

    Parameters
    ----------
    pixels : ndarray of int, shape (P,)
        Flat indices, growing.
    frame_shape : (int, int)
    size_px : (float, float)
        In rows and in columns; 0: pixels are independent.

    Attributes
    ----------
    pixel : ndarray of int32, shape (P, n)
        Positions in `pixels` of each pixel's neighbours, itself first.
    weight : ndarray of float32, shape (P, n)
        Their squares sum to 1 in each row, so that intensity and contrast stay as they are; 0 where no neighbour is
        among the pixels.
    """

    def __init__(self, pixels: NDArray[np.int64], frame_shape: tuple[int, int], size_px: tuple[float, float]) -> None:
        of_rows, of_columns = (_taps(size) for size in size_px)
        taps = of_rows[:, None] * of_columns
        row, column = np.nonzero(taps >= SMALL)
        outwards = np.argsort(-taps[row, column], kind="stable")
        row, column = row[outwards], column[outwards]
        down, right = row - len(of_rows) // 2, column - len(of_columns) // 2

        y, x = np.unravel_index(pixels, frame_shape)
        y, x = y[:, None] + down, x[:, None] + right
        inside = (y >= 0) & (y < frame_shape[0]) & (x >= 0) & (x < frame_shape[1])
        flat = np.where(inside, y * frame_shape[1] + x, pixels[:, None])
        place = np.searchsorted(pixels, flat).clip(max=len(pixels) - 1)
        there = inside & (pixels[place] == flat)
        weight = np.where(there, taps[row, column], 0.0)
        self.pixel = np.where(there, place, np.arange(len(pixels))[:, None]).astype(np.int32)
        self.weight = (weight / np.linalg.norm(weight, axis=1, keepdims=True)).astype(np.float32)


def _taps(size: float) -> NDArray[np.float64]:
    """Gaussian taps, 1 in the middle, whose correlation with themselves a pixel on is that of the field."""
    wanted = np.exp(-2 * np.log(2) / size**2) if size > 0 else 0.0
    reach = np.arange(-int(2 * size + 1), int(2 * size + 1) + 1)

    def excess(log_fall: float) -> float:
        taps = np.exp(-np.exp(log_fall) * reach**2)
        return float(taps[1:] @ taps[:-1] / (taps @ taps) - wanted)

    if wanted < SMALL:
        return np.ones(1)
    taps = np.exp(-np.exp(brentq(excess, -8, 3)) * reach**2)
    return taps[taps >= SMALL]
