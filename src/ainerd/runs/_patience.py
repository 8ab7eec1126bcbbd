"""Writes that wait in memory while Tiled does not take them."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import httpx

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks whether Tiled answers
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # before a write is repeated at which a server failed that answers
T = TypeVar("T")


class Patience:
    """Repeats a write until Tiled takes it.

    It waits as long as Tiled does not answer. A write at which the server fails is repeated after `PAUSES_S`. One that
    it refuses is not repeated.

    Parameters
    ----------
    answers : callable
        Returns quickly whether Tiled answers.
    """

    def __init__(self, answers: Callable[[], bool]) -> None:
        self._answers, self._ends = answers, threading.Event()

    def __call__(self, write: Callable[[], T]) -> T:
        """Return the result of a write. Raise the error of Tiled if waiting does not help, or after `end`."""
        pauses, is_logged = list(PAUSES_S), False
        while True:
            if self._ends.is_set() and not self._answers():
                raise httpx.ConnectError("Tiled does not answer")
            try:
                return write()
            except httpx.HTTPError as error:
                is_refused = isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error
                if is_refused or self._ends.is_set():
                    raise
                if not is_logged:
                    logger.warning("Tiled does not take a result, which waits in memory: %s", error)
                    is_logged = True
                if self._answers():
                    if not pauses:
                        raise
                    self._ends.wait(pauses.pop(0))
            while not self._ends.is_set() and not self._answers():
                self._ends.wait(LOOK_S)

    def end(self) -> None:
        """Wait no longer, because the session ends."""
        self._ends.set()
