"""The end of a session, and its memory."""

import ctypes
import subprocess
import sys

import h5py
import numpy as np
import pytest

AT_EXIT = """
import sys
from pathlib import Path
import h5py, hdf5plugin, numpy as np
from ainerd.documents import FrameReader
from ainerd.processes import call_before_exit
def late():
    print(np.concatenate([*FrameReader(Path(sys.argv[1]), "d", np.arange(3), (3, 4)).blocks(0, 120)]).sum())
call_before_exit(late)
"""


def test_a_function_is_called_at_the_end_while_frames_can_be_read(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", data=np.ones((120, 3, 4), "u2"), chunks=(1, 3, 4))
    command = [sys.executable, "-c", AT_EXIT, tmp_path / "f.h5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("360\n", 0), done.stderr


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
