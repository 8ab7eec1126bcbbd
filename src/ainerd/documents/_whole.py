"""Frames that are wanted whole, beside the pixels wanted of every frame."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from numpy.typing import NDArray

MOST_BYTES = 32 * 2**20  # of whole frames in a block


class Viewer(Protocol):
    """Whoever wants them."""

    @property
    def every(self) -> int | None:
        """Of so many frames the last is wanted; None: none of them. It may grow, to a multiple of what it was."""

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take frame `number` (from 0), (ny, nx)."""


@dataclass(frozen=True)
class Whole:
    """Which frames are wanted whole, and who takes them.

    Attributes
    ----------
    viewer : Viewer
    first : int
        Index of the frame that is the viewer's number 0.
    """

    viewer: Viewer
    first: int = 0

    @classmethod
    def of(cls, analysis: Any, first: int = 0) -> Self | None:
        """For an analysis that has a method `whole`; None for any other."""
        return cls(analysis, first) if hasattr(analysis, "whole") else None

    def moved(self, by: int) -> Self:
        """The same where indices are larger by `by`."""
        return replace(self, first=self.first + by)

    def indices(self, start: int, stop: int) -> list[int]:
        """Those of the frames start … stop - 1 that are wanted, as far as can be said before."""
        every = self.viewer.every
        if every is None:
            return []
        return list(range(start + (self.first - 1 - start) % every, stop, every))

    def block(self, size: int, frame_bytes: int) -> int:
        """Frames to read at a time, at most `size`, so that few of them are held whole."""
        return min(size, (self.viewer.every or size) * max(MOST_BYTES // frame_bytes, 1))

    def give(self, frames: dict[int, NDArray[Any]]) -> None:
        """Hand over frames by their index; `every` may have grown since they were read."""
        for index, frame in frames.items():
            if self.indices(index, index + 1):
                frame.flags.writeable = False
                self.viewer.whole(frame, index - self.first)
