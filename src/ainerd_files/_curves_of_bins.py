"""Curves of g2 of bins, read from a file or a result, with the numbers that their Poisson errors need."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import CurveFit, Partition, fit_curves

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """g2 of bins, with the numbers that its Poisson errors need.

    A lag of n frames at level k of multi-tau is a mean over pairs of sums over 2**k frames; the pairs of a run of T
    frames hold ``n_pixels * mean_counts**2 * (T - n) * 2**k * n_files`` pairs of photons.

    Attributes
    ----------
    layout : str
        Name of the file's layout.
    tau_s : ndarray, shape (n,)
        Lags in seconds, positive and increasing.
    g2, error : ndarray, shape (n_roi, n)
        g2 and its standard error, NaN if the file has none.
    q, phi : ndarray, shape (n_roi,)
        In 1/nm and degrees; NaN if the file does not have them.
    numbers : ndarray of int, shape (n_roi,)
        Number of each bin, by which people know it: that of the file's map, or from 1.
    n_pixels, mean_counts : ndarray, shape (n_roi,)
        Pixels of each bin, and photons per pixel and correlated frame; NaN if the file does not have them.
    frame_time_s : float
        Seconds from one correlated frame to the next: lags are whole multiples of it. NaN if unknown.
    n_frames : int or None
        Correlated frames of each file that was averaged; None if unknown.
    n_files : int
        Number of files that were averaged; 1 unless the file lists them.
    partition : Partition or None
        The bins on the detector, if the file has as many bins as curves.
    no_partition : str
        Why there is no partition.
    """

    layout: str
    tau_s: Curve
    g2: Curve
    error: Curve
    q: Curve
    phi: Curve
    numbers: NDArray[np.int64]
    n_pixels: Curve
    mean_counts: Curve
    frame_time_s: float = np.nan
    n_frames: int | None = None
    n_files: int = 1
    partition: Partition | None = None
    no_partition: str = ""

    def only(self, rows: NDArray[np.int64]) -> "Curves":
        """Return some of the curves, without a partition."""
        names = ("g2", "error", "q", "phi", "numbers", "n_pixels", "mean_counts")
        return replace(self, partition=None, **{name: getattr(self, name)[rows] for name in names})

    def fit(self, **options: Any) -> CurveFit:
        """Fit them with the Poisson errors that their numbers of photons allow, and options of `fit_curves`."""
        step = self.frame_time_s if self.frame_time_s > 0 else None
        return fit_curves(
            self.tau_s, self.g2, self.error, counts=self.mean_counts, n_pixels=self.n_pixels,
            n_frames=self.n_frames, n_files=self.n_files, frame_time=step, **{"one_model": True, **options},
        )  # fmt: skip
