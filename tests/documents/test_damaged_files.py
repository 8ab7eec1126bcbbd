"""HDF5 files that were cut short or changed are refused, while HDF5 alone would never return."""

import fcntl
import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest

from ainerd import hdf5_files
from ainerd.documents import FrameError, FrameReader, MissingFrames
from ainerd.hdf5_files import check_heaps

SHAPE, N = (3, 4), 6
LOOK = 16 * 2**20  # bytes that are searched at either end of a file
GLOBAL_HEAP = b"GCOL\x01\0\0\0"


@pytest.fixture
def movie():
    return np.random.default_rng(0).poisson(1.0, (N, *SHAPE)).astype(np.uint16)


@pytest.fixture
def master(tmp_path, movie):
    """A virtual dataset of the frames in another file, as its bytes."""
    with h5py.File(tmp_path / "data.h5", "w", libver="latest") as file:
        file["d"] = movie
    layout = h5py.VirtualLayout((N, *SHAPE), "u2")
    layout[:] = h5py.VirtualSource("data.h5", "d", (N, *SHAPE))
    with h5py.File(tmp_path / "master.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("d", layout)
    return tmp_path / "master.h5"


def read(path):
    reader = FrameReader(path, "d", np.arange(12), SHAPE)
    try:
        return np.concatenate(list(reader.blocks(0, N)))
    finally:
        reader.close()


@pytest.mark.fault(
    "A virtual dataset's list of sources is truncated or zero",
    "The result is failed at once; HDF5 alone would block Python and the RunEngine forever",
)
def test_a_virtual_dataset_cut_short_is_refused(master, movie):
    assert np.array_equal(read(master), movie.reshape(N, -1))
    whole = master.read_bytes()
    begin = whole.index(GLOBAL_HEAP)
    for end in (begin + 9, begin + 20, begin + 58, len(whole) - 1):
        master.write_bytes(whole[:end])
        with pytest.raises(FrameError, match="cut short|truncated"):
            read(master)
    for size in (0, 8, 2**63, 2**64 - 16):  # of the first object
        damaged = bytearray(whole)
        damaged[begin + 24 : begin + 32] = size.to_bytes(8, "little")
        if size == 0:
            damaged[begin + 16] = 0  # free room, of no size
        master.write_bytes(damaged)
        with pytest.raises(FrameError):
            read(master)


@pytest.mark.fault(
    "One byte of a virtual dataset's list of sources has changed",
    "The result is failed, because the checksum is tested first; HDF5 alone may end the process",
)
@pytest.mark.parametrize("version", ["latest", "earliest"])
def test_a_changed_source_list_is_refused(tmp_path, master, movie, version):
    layout = h5py.VirtualLayout((N, *SHAPE), "u2")
    for i in range(N):
        layout[i] = h5py.VirtualSource("data.h5", "d", (N, *SHAPE))[i]
    with h5py.File(master, "w", libver=version) as file:
        file.create_virtual_dataset("d", layout)
    assert np.array_equal(read(master), movie.reshape(N, -1))
    whole = master.read_bytes()
    begin = whole.index(GLOBAL_HEAP) + 32
    end = begin + int.from_bytes(whole[begin - 8 : begin], "little")
    for at in range(begin, end):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        master.write_bytes(damaged)
        with pytest.raises(OSError, match="list of sources of a virtual dataset in it is damaged"):
            check_heaps(master)
        if at % 40 == 0:
            with pytest.raises(FrameError, match="list of sources"):
                read(master)


def test_heaps_at_either_end_of_a_long_file_are_checked(tmp_path, master):
    heap = master.read_bytes()
    heap = heap[heap.index(GLOBAL_HEAP) :]
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(3 * LOOK)
        for at in (0, LOOK - 4, 3 * LOOK - len(heap)):
            file.seek(at)
            file.write(heap)
    check_heaps(path)
    path.write_bytes(heap + bytes(2 * LOOK) + heap[:-1])
    with pytest.raises(OSError, match="cut short"):
        check_heaps(path)


def test_heaps_with_lengths_of_four_bytes_are_checked(tmp_path):
    one = (1).to_bytes(2, "little") + bytes(6) + (5).to_bytes(4, "little") + bytes(4) + b"abcde\0\0\0"
    free = bytes(8) + (40).to_bytes(4, "little") + bytes(4)
    heap = (GLOBAL_HEAP + (80).to_bytes(4, "little") + bytes(4) + one + free).ljust(80, b"\0")
    path = tmp_path / "short"
    path.write_bytes(heap)
    check_heaps(path)
    path.write_bytes(heap[:79])
    with pytest.raises(OSError, match="cut short"):
        check_heaps(path)


@pytest.mark.fault("Bytes of a file of frames have changed", "The result is failed; every error of HDF5 is caught")
def test_any_error_of_hdf5_becomes_a_frame_error(tmp_path, movie):
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file["entry/data"] = movie
    whole = path.read_bytes()
    for damage in ({8: 128}, {13: 136}, dict.fromkeys(range(96, 101), 255)):  # a RuntimeError of h5py each
        changed = bytearray(whole)
        for at, byte in damage.items():
            changed[at] = byte
        path.write_bytes(changed)
        with pytest.raises(FrameError, match="cannot open"):
            FrameReader(path, "entry/data", np.arange(12), SHAPE).close()


@pytest.mark.fault("One thread opens files of frames while another uses HDF5", "Only one thread at a time is in HDF5")
def test_no_other_thread_is_in_hdf5_while_a_file_is_opened(tmp_path, movie, monkeypatch):
    waited, set_attempts = [], hdf5_files._set_attempts

    def slowly(*given):
        other = threading.Thread(target=lambda: h5py.h5p.create(h5py.h5p.FILE_ACCESS))
        other.start()
        other.join(0.2)
        waited.append(other)
        assert other.is_alive()
        return set_attempts(*given)

    monkeypatch.setattr(hdf5_files, "_set_attempts", slowly)
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        file["d"] = movie
        file.swmr_mode = True
        assert np.array_equal(read(tmp_path / "m.h5"), movie.reshape(N, -1))
    assert waited
    for other in waited:
        other.join(10)
        assert not other.is_alive()


def test_a_heap_that_is_not_written_yet_is_late(master, movie):
    """While its writer has the file open, or has just changed it."""
    whole = master.read_bytes()
    master.write_bytes(whole[: whole.index(GLOBAL_HEAP) + 20])
    with master.open("r+b") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(MissingFrames, match="is being written: a global heap"):
            read(master)
    with pytest.raises(FrameError, match="cut short") as error:
        read(master)
    assert not isinstance(error.value, MissingFrames)
    master.write_bytes(whole)
    assert np.array_equal(read(master), movie.reshape(N, -1))


def test_a_file_that_its_writer_cuts_short_meanwhile_does_not_end_the_process(master):
    """In a process of its own, which a bus error would end."""
    cut = """
import os, sys
from ainerd import hdf5_files

class Look:  # the number of bytes to read; the file is cut short when it is used
    def __index__(self):
        os.truncate(sys.argv[1], 0)
        return 2**24
    def __rsub__(self, size):
        return size - 2**24
    def __sub__(self, size):
        return 2**24 - size
    def __lt__(self, size):
        return 2**24 < size

hdf5_files.LOOK = Look()
hdf5_files.check_heaps(sys.argv[1])
"""
    assert subprocess.run([sys.executable, "-c", cut, str(master)], check=False).returncode == 0
    assert master.stat().st_size == 0
