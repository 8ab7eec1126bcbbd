"""Against h5py with hdf5plugin's filter, which decodes whole frames."""

import os
import struct

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainerd.documents import FrameError, FrameReader, Whole
from ainerd.documents._bslz4 import BitshuffleLZ4
from tests.documents.test_whole_frames import Sees

SHAPE = (61, 83)  # 5063 pixels: blocks of 4096 and of 960, and 7 raw pixels
N = SHAPE[0] * SHAPE[1]


def write(path, frames, *, nelems=0, cname="lz4", **options):
    with h5py.File(path, "w", libver="latest") as file:
        compression = hdf5plugin.Bitshuffle(nelems=nelems, cname=cname)
        file.create_dataset("d", data=frames, chunks=(1, *frames.shape[1:]), **compression, **options)
    return path


def read(path, pixels, shape=SHAPE):
    with h5py.File(path) as file:
        n = len(file["d"])
    reader = FrameReader(path, "d", pixels, shape)
    return reader.read(0, n)


def truth(path, pixels):
    with h5py.File(path) as file:
        frames = file["d"][()]
    return frames.reshape(len(frames), -1)[:, pixels]


def is_decoded_here(path):
    with h5py.File(path) as file:
        return BitshuffleLZ4.fits(file["d"])


def counts(dtype, shape=SHAPE, n=4):
    rng = np.random.default_rng(0)
    frames = rng.poisson(0.3, (n, *shape)).astype(dtype)
    frames[1] = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)  # every bit in use
    frames[2] = 0
    return frames


@pytest.mark.parametrize("nelems", [0, 8, 4000])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_selected_pixels_match_the_whole_frame(tmp_path, dtype, nelems):
    path = write(tmp_path / "f.h5", counts(dtype), nelems=nelems)
    pixels = np.random.default_rng(1).permutation(N)[:700]
    pixels = np.r_[pixels, N - 1, N - 8, 0, 4096, 4095, pixels[:3]]  # the raw tail, two blocks, and some twice
    assert is_decoded_here(path)
    values = read(path, pixels)
    assert values.dtype == dtype and np.array_equal(values, truth(path, pixels))


@pytest.mark.parametrize(("dtype", "cname"), [("i4", "lz4"), (">u2", "lz4"), ("u8", "lz4"), ("u2", "zstd")])
def test_other_filters_are_left_to_hdf5(tmp_path, dtype, cname):
    path = write(tmp_path / "f.h5", counts("u1").astype(dtype), cname=cname)
    pixels = np.array([N - 1, 7, 1000])
    assert not is_decoded_here(path)
    assert np.array_equal(read(path, pixels), truth(path, pixels))


def test_frames_written_without_the_filter_or_not_at_all(tmp_path):
    path, pixels = tmp_path / "f.h5", np.array([N - 1, 7, 1000])
    frames = counts("u2")
    write(path, frames, maxshape=(None, *SHAPE), fillvalue=9)
    with h5py.File(path, "a") as file:
        data = file["d"]
        data.resize(7, 0)
        data.id.write_direct_chunk((5, 0, 0), frames[1].tobytes(), filter_mask=1)
    os.utime(path, (1e9, 1e9))  # nobody writes it any more
    values = read(path, pixels)
    expected = truth(path, pixels)
    expected[[4, 6]] = 0  # nobody wrote them: h5py gives the fill value
    assert np.array_equal(values, expected)
    assert np.array_equal(values[5], frames[1].ravel()[pixels])


def test_only_blocks_with_selected_pixels_are_decompressed(tmp_path):
    path = write(tmp_path / "f.h5", counts("u2"))
    pixels = np.arange(4096, N)
    whole = read(path, pixels)
    replace_chunk(path, lambda chunk: chunk[:16] + b"\xff" * 40 + chunk[56:])
    assert np.array_equal(read(path, pixels), whole)
    with pytest.raises(FrameError, match="frame 1 of .*damaged"):
        read(path, np.array([0]))


def replace_chunk(path, change):
    with h5py.File(path, "a") as file:
        data = file["d"].id
        _, chunk = data.read_direct_chunk((1, 0, 0))
        data.write_direct_chunk((1, 0, 0), change(chunk))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda chunk: chunk[:5], "5 bytes is too short"),
        (lambda chunk: chunk[:-1], "blocks are damaged"),
        (lambda chunk: struct.pack(">Q", 8) + chunk[8:], "header says 8 bytes"),
        (lambda chunk: chunk[:8] + struct.pack(">I", 0) + chunk[12:], "in blocks of 0"),
    ],
)
def test_a_damaged_chunk_is_named(tmp_path, change, message):
    path = write(tmp_path / "f.h5", counts("u2"))
    replace_chunk(path, change)
    with pytest.raises(FrameError, match=f"frame 1 of .*f.h5 cannot be read: .*{message}"):
        read(path, np.arange(N))
    reader, sees = FrameReader(path, "d", np.array([0]), SHAPE), Sees(1)
    with pytest.raises(FrameError, match=f"frame 1 of .*f.h5 cannot be read: .*{message}"):
        sees.take(reader.blocks(0, 4, whole=Whole(sees)))  # the filter of hdf5plugin crashes at some of them


@pytest.fixture(scope="module")
def chunk(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("whole") / "f.h5", counts("u2"))
    with h5py.File(path) as file:
        return file["d"].id.read_direct_chunk((0, 0, 0))[1]


@given(
    length=st.integers(0, 10_000),
    bytes_=st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 255)), max_size=8),
    head=st.none() | st.binary(min_size=16, max_size=16),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_chunk_is_decoded_or_refused(chunk, length, bytes_, head):
    damaged = bytearray(chunk[:length])
    for at, byte in bytes_:
        damaged[at % max(len(damaged), 1) : at % max(len(damaged), 1) + 1] = bytes([byte])
    if head is not None:
        damaged[8:24] = head
    out = np.zeros(N + 2, np.uint16)
    try:
        BitshuffleLZ4(np.dtype("u2"), N, np.arange(N)).decode(bytes(damaged), out[1:-1])
    except ValueError:
        pass
    assert out[0] == out[-1] == 0
