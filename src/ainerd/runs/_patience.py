"""Requests of the analysis, which are repeated while Tiled is away."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from ainerd.results import FORBIDDEN, Away

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks whether Tiled answers
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # before a write is repeated at which a server failed that answers
T = TypeVar("T")


class Patience:
    """Repeats a write, or a read of frames, until Tiled takes it.

    It waits as long as Tiled does not answer. If Tiled answers and does not take the write, it is repeated after
    `PAUSES_S`. A write that Tiled refuses, or that the key does not allow, is not repeated.

    Parameters
    ----------
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, answers: Callable[[], bool]) -> None:
        self._answers, self._ends = answers, threading.Event()

    def __call__(self, write: Callable[[], T]) -> T:
        """Return the result of a write. Raise the error of Tiled if waiting does not help, or after `end`."""
        pauses = [*PAUSES_S]
        while True:
            if self._ends.is_set() and not self._answers():
                raise Away("Tiled does not answer")
            try:
                return write()
            except Away as error:
                answers = self._answers()
                if self._ends.is_set() or (answers and (not pauses or error.status in FORBIDDEN)):
                    raise
                if len(pauses) == len(PAUSES_S):
                    logger.warning("Tiled does not answer, or takes no result; the analysis waits: %s", error)
            if answers:
                self._ends.wait(pauses.pop(0))
            while not self._ends.is_set() and not self._answers():
                self._ends.wait(LOOK_S)

    def end(self) -> None:
        """Wait no longer, because the session ends."""
        self._ends.set()
