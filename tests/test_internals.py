"""Private parts of other packages that ainerd uses: they exist, and behave as ainerd needs."""

import ctypes
import subprocess
import sys
import threading
from importlib.metadata import version

import h5py
import lz4.block
import pytest

from ainerd import hdf5_files

AT_EXIT = """
from concurrent.futures import ThreadPoolExecutor
from ainerd.processes import call_before_exit
call_before_exit(lambda text: print(ThreadPoolExecutor(1).submit(str.upper, text).result()), "late")
"""


def test_the_versions_are_those_that_were_checked():
    installed = {package: version(package) for package in hdf5_files.CHECKED}
    assert installed == hdf5_files.CHECKED, f"read {hdf5_files.__file__} against the new versions, and write them there"


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


def test_the_lock_of_h5py_keeps_other_threads_out_of_hdf5():
    other = threading.Thread(target=lambda: h5py.h5p.create(h5py.h5p.FILE_ACCESS))
    with hdf5_files.hdf5_lock:
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(10)
    assert not other.is_alive()


def test_lz4_is_called_without_python():
    text = b"speckle " * 100
    packed = lz4.block.compress(text, store_size=False)
    unpacked = ctypes.create_string_buffer(len(text))
    assert hdf5_files.lz4_decompress(packed, unpacked, len(packed), len(text)) == len(text)
    assert unpacked.raw == text
