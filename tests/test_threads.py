import threading

import numpy as np  # noqa: F401 (its BLAS is one of those)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ainerd.threads import one_thread


def blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    """Libraries that the test's own thread controls, as another part of a program may do."""
    with threadpool_limits(2, "blas"):
        yield


def test_the_first_exit_does_not_lift_the_limit_of_others():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with one_thread:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10) and blas() == {1}
    with one_thread:
        leave.set()
        thread.join()
        assert blas() == {1}
    assert blas() == {2}


def test_it_restores_after_an_error_and_decorates_recursive_functions():
    @one_thread
    def count_down(n):
        assert blas() == {1}
        return count_down(n - 1) if n else 1 / n

    with pytest.raises(ZeroDivisionError):
        count_down(3)
    assert blas() == {2}
