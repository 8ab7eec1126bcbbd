"""Limit on the threads of numerical libraries.

OpenBLAS has one number of threads for the whole process, and threadpoolctl lets only one thread of the program set it
at a time: limits of other threads do nothing, so an agent's worker would get its limit only by chance. Without a limit
small products take many times longer while other processes use the cores (a fit of four seconds takes minutes), and
their last bits depend on the number of threads.
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
    """Limits the threads at the first entry, and restores them at the last exit."""

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
"""Run linear algebra on one thread while any thread of the process is inside: ``with one_thread:``, or a decorator."""


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _control() -> Iterator[None]:
    """Let this thread set the number of threads, and other threads afterwards."""
    OpenBLASController.clear_controlling_thread(force=True)
    yield
    OpenBLASController.clear_controlling_thread()


@cache
def _libraries() -> Any:
    return ThreadpoolController()
