"""IMM files, sparse or dense, as blocks of `Events`; layout as boost_corr and xpcs-eigen read it."""

import os
import struct
from collections.abc import Iterator

import numpy as np

from ainerd_xpcs.numerics._events import EventFileError, Events, joined, positions
from ainerd_xpcs.numerics._partition import Partition, Path

FRAMES = 1 << 11  # of a block
HEADER = 1024  # bytes, of a frame
_IMM = struct.Struct("<108xII36xI4xI")  # rows, columns, number of values, number of the frame
_COMPRESSION = struct.Struct("<4xi")
SPARSE = 6


def read_imm(path: Path, partition: Partition, *, block: int = FRAMES) -> Iterator[Events]:
    """Yield the frames of an IMM file, sparse or dense; its frame numbers count from that of the first frame.

    Parameters
    ----------
    path : path
    partition : Partition
        Pixels in use, of a detector with the rows and columns of the file.
    block : int
        Frames of a block, which are all that is in memory.

    Yields
    ------
    Events
        Gathered pixels of the next frames.

    Raises
    ------
    EventFileError
        If the file ends within a frame, frames go back, or a pixel does not exist.
    ValueError
        If the partition has another shape.

    Examples
    --------
    >>> header = np.zeros(256, "<i4")  # 1024 bytes
    >>> header[[1, 27, 28, 29]] = 6, 20, 30, 2  # sparse, rows, columns, bytes of a count
    >>> header[[38, 40]] = 1, 7  # one event, in frame 7
    >>> event = np.array([65], "<i4").tobytes() + np.array([3], "<u2").tobytes()  # three photons in row 2, column 5
    >>> _ = (folder / "a.imm").write_bytes(header.tobytes() + event)
    >>> (events,) = read_imm(folder / "a.imm", Partition.from_roi_map(np.ones((20, 30), int)))
    >>> events.ticks, events.pixel, events.count
    (array([0]), array([65], dtype=int32), array([3], dtype=uint32))
    """
    position, name = positions(partition), os.fspath(path)
    frames: list[Events] = []
    start, last = None, -1
    with open(path, "rb") as file:
        while header := file.read(HEADER):
            where = f"{name}, byte {file.tell() - len(header)}:"
            if len(header) < HEADER:
                raise EventFileError(f"{where} the file ends within a header")
            (compression,), (rows, columns, n, number) = _COMPRESSION.unpack_from(header), _IMM.unpack_from(header)
            if (rows, columns) != partition.shape:
                raise ValueError(f"{where} a frame of shape {(rows, columns)}, the q map has {partition.shape}")
            values = file.read(n * (6 if compression == SPARSE else 2))
            if len(values) < n * (6 if compression == SPARSE else 2):
                raise EventFileError(f"{where} the file ends within a frame of {n} values")
            start = number if start is None else start
            tick = number - start
            if tick <= last:
                raise EventFileError(f"{where} frame {number} after frame {start + last}")
            last = tick
            if compression == SPARSE:
                pixel, count = np.frombuffer(values, "<i4", n), np.frombuffer(values, "<u2", n, 4 * n)
            else:
                dense = np.frombuffer(values, "<u2")
                pixel = np.flatnonzero(dense)
                count = dense[pixel]
            if n and not 0 <= pixel.min(initial=0) <= pixel.max(initial=0) < position.size:
                raise EventFileError(f"{where} pixels {pixel.min()} to {pixel.max()}, of {position.size}")
            used = position[pixel] >= 0
            frames.append(
                Events(
                    ticks=np.array([tick]),
                    offsets=np.array([0, np.count_nonzero(used)]),
                    pixel=position[pixel[used]],
                    count=count[used].astype(np.uint32),
                    shape=(len(partition.pixels),),
                    valid=np.ones(1, bool),
                    stop=tick + 1,
                )
            )
            if len(frames) == block:
                yield joined(frames)
                frames = []
    if last < 0:
        raise EventFileError(f"{name} holds no frame")
    if frames:
        yield joined(frames)
