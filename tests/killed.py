"""A child of this process that is killed while it works."""

import os
import signal
import time
import warnings

SLOW_S = 60.0


def killed(work):
    """Do some work in a child, which kills itself while it does."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of threads: the child needs none
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(3)
    end = time.monotonic() + SLOW_S
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert found[0] == child and os.WIFSIGNALED(found[1]) and os.WTERMSIG(found[1]) == signal.SIGKILL
