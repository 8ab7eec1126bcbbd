"""The end of a session, and its memory."""

import ctypes
import subprocess
import sys

import pytest

AT_EXIT = """
from concurrent.futures import ThreadPoolExecutor
from ainerd.processes import call_before_exit
call_before_exit(lambda text: print(ThreadPoolExecutor(1).submit(str.upper, text).result()), "late")
"""


def test_a_function_is_called_at_the_end_while_threads_can_be_started():
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("LATE\n", 0), done.stderr


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_freed_memory_between_blocks_in_use_is_given_back():
    code = """
from pathlib import Path
from ainerd.processes import release_memory
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [bytearray(60_000) for _ in range(2000)]
blocks = blocks[::20]
before = resident()
release_memory()
print(before - resident() > 80e6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True\n", done.stderr
