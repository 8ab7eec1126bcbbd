"""A child of this process that is killed while it works."""

import os
import signal
import socket
import stat
import time
import warnings

SLOW_S = 60.0
CRASHED = (signal.SIGSEGV, signal.SIGABRT)


def leave_connections():
    """Close the TCP connections that a child has from its parent.

    The answer to a request of a killed child would be read by the parent, as that to its own next request.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as copy:
                    if copy.family in (socket.AF_INET, socket.AF_INET6):
                        os.dup2(null, number)
        except OSError:  # the listing's own
            continue
    os.close(null)


def killed(work, attempts=3):
    """Do some work in a child, which kills itself while it does.

    A child of a process with threads of compiled libraries may crash before it works; then another one tries.
    """
    for _ in range(attempts):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of threads: the child needs none
            child = os.fork()
        if child == 0:
            try:
                leave_connections()
                work()
            finally:
                os._exit(3)
        end = time.monotonic() + SLOW_S
        while (waited := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert waited[0] == child, f"the child is still at work after {SLOW_S} s"
        assert os.WIFSIGNALED(waited[1]), f"the child ended with status {os.waitstatus_to_exitcode(waited[1])}"
        if os.WTERMSIG(waited[1]) not in CRASHED:
            break
    assert os.WTERMSIG(waited[1]) == signal.SIGKILL
