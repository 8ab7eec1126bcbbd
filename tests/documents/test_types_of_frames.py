"""Frames of every type that HDF5 holds: the numbers of little-endian uint16, or one line."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from ainerd.documents import FrameError, FrameReader, Whole
from tests.documents.test_whole_frames import Sees

SHAPE = (5, 6)
FRAMES = np.random.default_rng(0).integers(0, 2, (8, *SHAPE)) * np.arange(1, 9)[:, None, None]  # at most 8
FEW = FRAMES % 2  # for types of one bit
PIXELS = np.array([7, 0, 29])
PACKED = {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4")}


def check(path, frames=FRAMES):
    """Compare pixels and whole frames with those of a file of little-endian uint16."""
    plain = path.with_name("plain.h5")
    with h5py.File(plain, "w") as file:
        file.create_dataset("d", data=frames.astype("<u2"), chunks=(1, *SHAPE))
    got = []
    for each in (plain, path):
        sees, reader = Sees(4), FrameReader(each, "d", PIXELS, SHAPE)
        blocks = sees.take(reader.blocks(0, len(frames), whole=Whole(sees)))
        assert blocks.dtype.isnative and blocks.dtype.kind in "iuf" and blocks.dtype.itemsize in (1, 2, 4, 8)
        assert blocks.dtype != np.float16 and [*sees.seen] == [3, 7]
        got.append((blocks, np.array([*sees.seen.values()])))
    assert np.array_equal(got[0][0], frames.reshape(len(frames), -1)[:, PIXELS])
    assert all(map(np.array_equal, *got))


@pytest.mark.parametrize("options", [{}, {"chunks": (1, *SHAPE)}, PACKED], ids=["contiguous", "chunks", "packed"])
@pytest.mark.parametrize(
    "dtype", [*(f"{order}{kind}" for order in "<>" for kind in "u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8".split()), "g", "bool"]
)
def test_each_type_of_numpy(tmp_path, dtype, options):
    frames = FEW if dtype == "bool" else FRAMES
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as file:
        file.create_dataset("d", data=frames.astype(dtype), **options)
    check(tmp_path / "f.h5", frames)


def of_bits(base, precision, offset=0):
    kind = base.copy()
    kind.set_precision(precision)
    kind.set_offset(offset)
    return kind


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    "kind",
    [of_bits(h5t.STD_U16LE, 12), of_bits(h5t.STD_U16LE, 12, 4), of_bits(h5t.STD_I32BE, 20, 7)],
    ids=["12 bits", "12 upper bits", "20 bits of big-endian"],
)
def test_types_that_numpy_does_not_have(tmp_path, kind, is_chunked):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        create = h5p.create(h5p.DATASET_CREATE)
        if is_chunked:
            create.set_chunk((1, *SHAPE))
        made = h5d.create(file.id, b"d", kind, h5s.create_simple(FRAMES.shape), create)
        made.write(h5s.ALL, h5s.ALL, FRAMES.astype("i8"))
    check(tmp_path / "f.h5")


@pytest.mark.parametrize("options", [{"scaleoffset": 0}, {"fletcher32": True, "shuffle": True}, {"compression": "lzf"}])
def test_filters_of_hdf5(tmp_path, options):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", data=FRAMES.astype(">i4"), chunks=(1, *SHAPE), **options)
    check(tmp_path / "f.h5")


@pytest.mark.fault(
    "Frames have a type that holds no counts, such as complex numbers", "The result is failed, and names the type"
)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("c8", "type complex64, which are no counts"),
        ([("a", "u2")], r"type \[\('a', '<u2'\)\], which are no counts"),
        (h5py.vlen_dtype("u2"), "type object, which are no counts"),
    ],
)
def test_types_without_counts_are_named(tmp_path, kind, message):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", FRAMES.shape, kind)
    with pytest.raises(FrameError, match=message):
        FrameReader(tmp_path / "f.h5", "d", PIXELS, SHAPE)
