"""Processes that share the pixels of one run: each correlates its own, and all exchange sums over their pixels.

Every process runs the same program on the events of its pixels. Where a number of the whole detector decides, such as
the photons of a bin in a frame, the processes add theirs up, so that all of them decide alike. Sums of whole numbers
do not depend on the number of processes.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array

DATA, ERROR = b"d", b"e"
N_NUMBERS = 5  # of an order


class Do(IntEnum):
    """An order of the first process to the others, with its numbers."""

    READ = 0  # frames: first, end, interval of whole frames, number of their origin
    WHOLE = 1  # give the whole frames of these
    REACH = 2  # look whether the files reach a frame: the end
    CHECK = 3  # look whether the files are complete: number of frames
    PUSH = 4  # correlate the frames that were read: number of the first, of all or -1, and 1 for a new exposure
    FINISH = 5  # correlate the frames that the screen holds, and give all sums to the first process


class TeamError(ValueError):
    """A process of a team has ended or has failed; the message names it, and the reason if it gave one."""


class Team:
    """The other processes of a run, which hold its other pixels. The default team has none.

    Attributes
    ----------
    own : ndarray of int64 or None
        Positions in ``partition.pixels`` of the pixels of this process, increasing; None if it has all.

    Examples
    --------
    >>> Team().total(np.array([3, 4]))
    array([3, 4])
    """

    own: NDArray[np.int64] | None = None

    def total(self, values: Array) -> Array:
        """Return the sum over all processes, of arrays of one shape and type."""
        return values

    def union(self, pixels: NDArray[np.int64], n_pixels: int) -> NDArray[np.int64]:
        """Return the pixels, of `n_pixels`, that any process gives."""
        return pixels

    def collected(self, values: Array) -> list[Array]:
        """Return the arrays of all processes, flat, at the first of them; at the others, none."""
        return [values.ravel()]

    def order(self, what: Do, *numbers: int) -> None:
        """Give an order to the other processes, before this one does the same."""


ALONE = Team()


class _Members(Team):
    def __init__(self, own: NDArray[np.int64]) -> None:
        self.own = own

    def union(self, pixels: NDArray[np.int64], n_pixels: int) -> NDArray[np.int64]:
        mask = np.zeros(n_pixels, np.uint8)
        mask[pixels] = 1
        return np.flatnonzero(self.total(mask))


class First(_Members):
    """The process that adds up, and has the result in the end.

    Parameters
    ----------
    own : ndarray of int64
        See `Team`.
    others : sequence of Connection
        To each of the other processes.
    endings : sequence of callables
        Each returns the name of one of them and how it ended.
    """

    def __init__(
        self, own: NDArray[np.int64], others: Sequence[Connection], endings: Sequence[Callable[[], str]]
    ) -> None:
        super().__init__(own)
        self._others, self._endings = others, endings

    def total(self, values: Array) -> Array:
        out = np.array(values)
        for number in range(len(self._others)):
            values = self._received(number, out.dtype)
            if values.size != out.size:
                raise TeamError(f"{self._endings[number]()}: it is out of step")
            out += values.reshape(out.shape)
        for number, other in enumerate(self._others):
            try:
                other.send_bytes(_bytes(out))
            except OSError:
                raise TeamError(self._endings[number]()) from None
        return out

    def collected(self, values: Array) -> list[Array]:
        return [values.ravel(), *(self._received(number, values.dtype) for number in range(len(self._others)))]

    def order(self, what: Do, *numbers: int) -> None:
        self.total(np.array([what, *numbers, *[0] * (N_NUMBERS - 1 - len(numbers))], np.int64))

    def _received(self, number: int, dtype: np.dtype[Any]) -> Array:
        try:
            kind = self._others[number].recv_bytes()
            data = self._others[number].recv_bytes()
        except (EOFError, OSError):
            raise TeamError(self._endings[number]()) from None
        if kind == ERROR:
            raise TeamError(data.decode())
        return np.frombuffer(data, dtype)


class Other(_Members):
    """Each of the other processes. `total` raises EOFError if the first one has ended."""

    def __init__(self, own: NDArray[np.int64], first: Connection) -> None:
        super().__init__(own)
        self._first = first

    def total(self, values: Array) -> Array:
        self._send(values)
        values = np.asarray(values)
        return np.frombuffer(self._first.recv_bytes(), values.dtype).reshape(values.shape).copy()

    def collected(self, values: Array) -> list[Array]:
        self._send(values)
        return []

    def next_order(self) -> list[int]:
        """Wait for an order of the first process, and return its numbers."""
        return [int(x) for x in self.total(np.zeros(N_NUMBERS, np.int64))]

    def fail(self, message: str) -> None:
        """Make `total` and `collected` of the first process raise TeamError."""
        with suppress(OSError):  # it may have ended too
            self._first.send_bytes(ERROR)
            self._first.send_bytes(message.encode())

    def _send(self, values: Array) -> None:
        self._first.send_bytes(DATA)
        self._first.send_bytes(_bytes(values))


def _bytes(values: Array) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B") if np.size(values) else memoryview(b"")
