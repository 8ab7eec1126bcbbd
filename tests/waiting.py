"""Wait for another thread or process."""

import time

LONGEST_S = 0.5  # between two questions


def until(condition, what="it", patience_s=120.0):
    """Return the value of a condition once it is true.

    It is asked more and more rarely, as each answer may take a request: a server that is asked ten times a second
    answers nobody else.
    """
    end, pause_s = time.monotonic() + patience_s, 0.05
    while not (value := condition()):
        assert time.monotonic() < end, f"not in {patience_s:g} s: {what}"
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_S)
    return value
