"""Records of a screen: frames that are ready, pixels and frames that are left out, and a run that is spoilt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._partition import Array

if TYPE_CHECKING:
    from ainerd_xpcs.numerics._multitau import MultiTau
    from ainerd_xpcs.numerics._two_time import TwoTimeReducer


class SpoiltRunError(ValueError):
    """More of a run is spoilt than can be left out; the message gives the numbers.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(2.0, (64, 20, 20)).astype(np.uint16)
    >>> frames[20:] = frames[19]  # the detector repeats a frame
    >>> screen = Screen(Partition.from_roi_map(np.ones((20, 20), int)), 64)
    >>> [*screen.push(frames), *screen.flush()]
    Traceback (most recent call last):
        ...
    ainerd_xpcs.numerics._screened.SpoiltRunError: 44 of 64 frames are copies of earlier ones
    """


@dataclass(frozen=True)
class Screened:
    """The next frames of a run that are ready to be correlated.

    Attributes
    ----------
    frames : ndarray, shape (b, n_pixels), or Events
        Gathered counts.
    valid : ndarray of bool, shape (b,)
        False for frames to leave out.
    leave_out : ndarray of int
        Positions, in ``partition.pixels``, of the pixels found bad since the block before.
    first : int
        Index of the first of the dense frames in the run. Indices that are skipped are those of missing frames.

    Examples
    --------
    >>> partition = Partition.from_roi_map(np.ones((20, 20), int))
    >>> screen, correlator = Screen(partition, 64), MultiTau(partition)
    >>> for frames in np.random.default_rng(0).poisson(2.0, (2, 32, 20, 20)).astype(np.uint16):
    ...     for ready in screen.push(frames):
    ...         ready.to(correlator)
    >>> for ready in screen.flush():
    ...     ready.to(correlator)
    >>> correlator.result().n_frames
    64
    """

    frames: Array | Events
    valid: NDArray[np.bool_]
    leave_out: NDArray[np.int64]
    first: int = 0

    def to(self, *correlators: "TwoTimeReducer | MultiTau") -> None:
        """Leave the bad pixels out of the correlators, then push the frames."""
        for correlator in correlators:
            if self.leave_out.size:
                correlator.leave_out(self.leave_out)
            if isinstance(self.frames, Events):
                correlator.push(self.frames)
            elif len(self.frames):
                correlator.push(self.frames, first=self.first, valid=self.valid)


@dataclass(frozen=True)
class LeftOut:
    """Pixels and frames that a screen has left out, by reason.

    Attributes
    ----------
    pixels : dict of str to ndarray of int
        Flat detector indices: "saturated" (the top of the detector's range), "impossible" (a count too high for speckle
        of this mean), "hot", "dead", "died" (in a row, column or tile that counts nothing, always or for some time),
        "flickering" (in a row, column or tile whose share in the counts varies from frame to frame).
    frames : dict of str to ndarray of int
        Indices in the run, from 0: "invalid" (marked as not valid), "dark", "overflow" (more than 1 % of the pixels
        saturated or impossible), "displaced", "copy" (equal to an earlier frame).
    missing : ndarray of int, shape (m, 2)
        First index and number of the frames of each gap.
    moved : ndarray of int
        Frames from which on the pattern has changed for good; later frames are not left out.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(2.0, (64, 20, 20)).astype(np.uint16)
    >>> frames[:, 0, 7], frames[30], frames[41] = 900, 0, frames[40]  # a hot pixel, a dark frame, a copy
    >>> screen = Screen(Partition.from_roi_map(np.ones((20, 20), int)), 64)
    >>> _ = screen.push(frames), screen.flush()
    >>> left_out = screen.left_out
    >>> left_out.pixels["impossible"], left_out.frames["dark"], left_out.frames["copy"]
    (array([7]), array([30]), array([41]))
    """

    pixels: dict[str, NDArray[np.int64]]
    frames: dict[str, NDArray[np.int64]]
    missing: NDArray[np.int64]
    moved: NDArray[np.int64]

    @property
    def n_pixels(self) -> int:
        """Number of pixels left out."""
        return sum(map(len, self.pixels.values()))

    @property
    def n_frames(self) -> int:
        """Number of frames left out, with missing ones."""
        return sum(map(len, self.frames.values())) + self.n_missing

    @property
    def n_missing(self) -> int:
        """Number of missing frames."""
        return int(self.missing[:, 1].sum())
