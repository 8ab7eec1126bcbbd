"""How many threads numerical libraries take.

OpenBLAS has one number of threads for the whole process, and threadpoolctl lets one thread of the program set it at a
time: the limits of the others do nothing. So the worker of an agent would get its limit or not, depending on what else
goes on. Without it small products take a multiple of their time where other processes want the cores as well (a fit of
four seconds takes minutes), and their last bits depend on the number.
"""

import os
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from functools import cache
from threading import Lock
from typing import Any

import scipy.linalg  # noqa: F401 (loads a BLAS of its own, beside numpy's)
from threadpoolctl import OpenBLASController, ThreadpoolController


class _OneThread(ContextDecorator):
    """Who comes first limits, who leaves last restores."""

    def __init__(self) -> None:
        self._lock, self._inside, self._limited = Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                with _control():
                    self._limited = _libraries().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limited is not None:
                with _control():
                    self._limited.restore_original_limits()


one_thread = _OneThread()
"""Linear algebra on one thread as long as anybody in the process is inside: ``with one_thread:``, or a decorator."""


def n_cores() -> int:
    """Cores that this process may use, which are fewer than the machine has where somebody says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _control() -> Iterator[None]:
    """Let this thread set the number, whoever did before, and others after it."""
    OpenBLASController.clear_controlling_thread(force=True)
    yield
    OpenBLASController.clear_controlling_thread()


@cache
def _libraries() -> Any:
    return ThreadpoolController()
