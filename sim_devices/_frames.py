"""Frames: photon counting, compression, and an HDF5 file that others read while it grows.

Chunks are bitshuffle-LZ4 (HDF5 filter 32008), made outside HDF5, whose lock would hold up every other thread. A chunk
is a header (bytes of the frame, big-endian u64; bytes of a block, u32), then per block of 4096 pixels the length of its
LZ4 stream (u32) and the stream, and last, raw, the pixels that do not fill a group of eight. Frames of few photons are
mostly zeros: only runs of zeros are searched for, which is faster than LZ4's own search and takes a fifth more room.
"""

import errno
import shutil
import struct
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numba as nb
import numpy as np
from event_model import compose_stream_resource
from numpy.typing import NDArray
from ophyd import Device

from sim_devices._geometry import Geometry

DEAD_TIME_S = 1e-6
SATURATION = 4095  # of a counter of 12 bits


@nb.njit(nogil=True, cache=True)
def poisson(mean, rng):  # pragma: no cover - compiled
    """Draw a Poisson number, by inversion where the mean is small, as it nearly always is."""
    if mean > 20:
        return rng.poisson(mean)
    chance = np.exp(-mean)
    left, count = rng.random() - chance, 0
    while left > 0 and count < 200:
        count += 1
        chance *= mean / count
        left -= chance
    return count


@nb.njit(nogil=True, cache=True)
def seen(photons, loss, rng):  # pragma: no cover - compiled
    """Return the counts of a pixel hit by `photons`; `loss` is the dead time over the exposure.

    The counter is non-paralysable: it is blind for the dead time after each photon that it counts. It counts
    n / (1 + (n - 1) loss) of n photons in the mean; fractions are rounded at random.
    """
    if photons > 1:
        photons = int(photons / (1 + (photons - 1) * loss) + rng.random())
    return min(photons, SATURATION)


BLOCK = 4096  # pixels of two bytes
STEP = 2  # bytes that are looked at together
FEWEST_ZEROS = 8  # bytes of a run that is worth the three it takes
ROOM = 2 * BLOCK + 2 * BLOCK // 255 + 32  # bytes that a block takes at most, its length included
_LANES = tuple((np.uint64(shift), np.uint64(mask)) for shift, mask in (
    (7, 0x00AA00AA00AA00AA),
    (14, 0x0000CCCC0000CCCC),
    (28, 0x00000000F0F0F0F0),
))  # fmt: skip
_LOW = np.uint64(0x00FF00FF00FF00FF)
_PAIRS, _HALF = np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF)


def header(n_pixels: int) -> bytes:
    """Return the header of a chunk of `n_pixels` uint16."""
    return struct.pack(">QI", 2 * n_pixels, 2 * BLOCK)


@nb.njit(nogil=True, cache=True)
def _transpose(bits):  # pragma: no cover - compiled
    """Transpose the 8 × 8 bits of a 64-bit word (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in _LANES:
        swap = (bits ^ (bits >> shift)) & mask
        bits = bits ^ swap ^ (swap << shift)
    return bits


@nb.njit(nogil=True, cache=True)
def _low_bytes(words, out):  # pragma: no cover - compiled
    """Transpose the low bytes of every eight pixels into a word, (n,), from words of four pixels, (2 n,)."""
    for group in range(out.size):
        first, second = words[2 * group] & _LOW, words[2 * group + 1] & _LOW
        first, second = (first | (first >> np.uint64(8))) & _PAIRS, (second | (second >> np.uint64(8))) & _PAIRS
        first, second = (first | (first >> np.uint64(16))) & _HALF, (second | (second >> np.uint64(16))) & _HALF
        out[group] = _transpose(first | (second << np.uint64(32)))


@nb.njit(nogil=True, cache=True)
def shuffle(words, out, scratch):  # pragma: no cover - compiled
    """Sort the bits of pixels, four uint16 in each of `words` (2 n,) uint64, into 16 planes of n bytes.

    Write only the lowest planes, up to the highest bit, to `out`, and return their bytes. `scratch` (n,) uint64 is
    overwritten, and so are `words` where a pixel is above 255.
    """
    plane = words.size // 2
    every = np.uint64(0)
    for word in words:
        every |= word
    every |= every >> np.uint64(32)
    every = (every | (every >> np.uint64(16))) & np.uint64(0xFFFF)
    planes = 0
    while every >> np.uint64(planes):
        planes += 1
    for first in range(0, planes, 8):
        _low_bytes(words, scratch)
        for k in range(min(planes - first, 8)):
            into, shift = out[(first + k) * plane : (first + k + 1) * plane], np.uint64(8 * k)
            for group in range(plane):
                into[group] = np.uint8((scratch[group] >> shift) & np.uint64(255))
        if planes > 8:
            for k in range(words.size):
                words[k] >>= np.uint64(8)
    return planes * plane


@nb.njit(nogil=True, cache=True)
def _length(rest, out, at):  # pragma: no cover - compiled
    """Write the part of a length that does not fit into its token."""
    if rest < 0:
        return at
    while rest >= 255:
        out[at] = 255
        at += 1
        rest -= 255
    out[at] = rest
    return at + 1


@nb.njit(nogil=True, cache=True)
def _sequence(literals, zeros, out, at):  # pragma: no cover - compiled
    """Write some literal bytes, then zeros as a match with the last of them; the last sequence has no match."""
    n = literals.size
    out[at] = min(n, 15) << 4 | (min(zeros - 4, 15) if zeros else 0)
    at = _length(n - 15, out, at + 1)
    for k in range(n):
        out[at + k] = literals[k]
    at += n
    if zeros:
        out[at], out[at + 1] = 1, 0
        at = _length(zeros - 4 - 15, out, at + 2)
    return at


@nb.njit(nogil=True, cache=True)
def compress(shuffled, used, out, at):  # pragma: no cover - compiled
    """Write a block with its length into `out` at `at`, and return its end.

    Only the first `used` bytes of `shuffled` (n,) uint8, n a multiple of 16, are read; the others are set to 0.
    LZ4 wants the last five bytes of a block not to be a match, and the last match to begin twelve before the end.
    """
    start, done, i = at, 0, 0
    shuffled[used:] = 0
    words, last = shuffled.view(np.uint16), -(-used // STEP)
    end = words.size - 3
    at += 4
    while i * STEP < shuffled.size - 12:
        if i < last and words[i] != 0:
            i += 1
            continue
        stop = i + 1
        while stop < last and words[stop] == 0:
            stop += 1
        stop = end if stop >= last else min(stop, end)
        if (stop - i) * STEP >= FEWEST_ZEROS:
            at = _sequence(shuffled[done * STEP : i * STEP + 1], (stop - i) * STEP - 1, out, at)
            done = stop
        i = stop
    at = _sequence(shuffled[done * STEP :], 0, out, at)
    for k in range(4):
        out[start + k] = (at - start - 4) >> (24 - 8 * k) & 255
    return at


WHOLE = 2**32
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NOTICED = 1e-3  # counts lost in a pixel, below which background is not gone through for losses


class FrameMaker:
    """Turns intensities of the ring's pixels into whole frames, each a bitshuffle-LZ4 chunk.

    The ring has speckle, the other pixels photons without speckle; each pixel of each frame is drawn independently. A
    lost frame is a frame of zeros.

    Parameters
    ----------
    geometry : Geometry

    Attributes
    ----------
    ring : ndarray of int, shape (P,)
        Flat indices of the pixels whose intensities are given to `count`.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.ring = geometry.ring
        mean, hot = geometry.profile.ravel(), geometry.hot_hz.ravel()
        self._mean, self._n_pixels = mean[self.ring].astype(np.float32), mean.size
        n_blocks = -(-mean.size // BLOCK)
        elsewhere = np.zeros(n_blocks * BLOCK)
        elsewhere[: mean.size] = mean
        elsewhere[self.ring] = 0
        elsewhere = elsewhere.reshape(n_blocks, BLOCK)
        self._background = elsewhere.sum(1)
        self._chance, self._other = np.zeros(elsewhere.shape, np.uint32), np.zeros(elsewhere.shape, np.uint16)
        for block in np.flatnonzero(self._background):
            _alias(elsewhere[block], self._chance[block], self._other[block])
        hot_pixels = np.flatnonzero(hot)
        self._hot, self._hot_hz = _by_block(hot_pixels, n_blocks), hot[hot_pixels]
        self._speckled = _by_block(self.ring, n_blocks)
        self._header = header(mean.size)

    def count(
        self,
        intensity: NDArray[np.float32],
        level: NDArray[np.float64],
        exposure_s: float,
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """Draw the counts of the ring's pixels, (b, P).

        Parameters
        ----------
        intensity : ndarray, shape (b, P)
            Intensity of the speckle, 1 in the mean.
        level : ndarray, shape (b,)
            Photons per pixel in the ring, in each frame; 0 where the frame is lost.
        exposure_s : float
        rng : numpy.random.Generator
        """
        counts = np.empty(intensity.shape, np.uint16)
        _count(intensity, self._mean, level, DEAD_TIME_S / exposure_s, rng, counts)
        return counts

    def encode(
        self,
        counts: NDArray[np.uint16],
        level: NDArray[np.float64],
        exposure_s: float,
        rng: np.random.Generator,
        *,
        lost: NDArray[np.bool_] | None = None,
    ) -> list[bytes]:
        """Return one chunk per frame, from the counts (b, P) of the ring's pixels.

        Parameters
        ----------
        counts, level, exposure_s, rng
            As for `count`.
        lost : ndarray of bool, shape (b,), optional
            Frames that are zeros in any case.
        """
        n = len(counts)
        out, ends = np.empty(n * self._background.size * ROOM, np.uint8), np.empty(n, np.int64)
        _encode(
            counts, np.zeros(n, bool) if lost is None else lost, self._n_pixels, *self._speckled, self._background,
            level, self._chance, self._other, *self._hot, self._hot_hz * exposure_s, DEAD_TIME_S / exposure_s, rng,
            rng.integers(2**64, size=n, dtype=np.uint64), out, ends,
        )  # fmt: skip
        starts = np.r_[0, ends[:-1]].tolist()
        return [self._header + out[a:b].tobytes() for a, b in zip(starts, ends.tolist(), strict=True)]


def _by_block(pixels: NDArray[np.int64], n_blocks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the pixels of each block begin, and the positions of all pixels in their blocks."""
    return np.searchsorted(pixels, np.arange(n_blocks + 1) * BLOCK), pixels % BLOCK


@nb.njit(nogil=True, cache=True)
def _count(intensity, mean, level, loss, rng, out):  # pragma: no cover - compiled
    for t in range(intensity.shape[0]):
        for p in range(intensity.shape[1]):
            out[t, p] = seen(poisson(level[t] * mean[p] * intensity[t, p], rng), loss, rng)


@nb.njit(nogil=True, cache=True)
def _alias(weight, chance, other):  # pragma: no cover - compiled
    """Return tables to draw from `weight` (BLOCK,) with one number (Vose, IEEE Trans. Softw. Eng. 17, 972, 1991).

    A pixel is kept if a random number below `WHOLE` is below its `chance`, and otherwise is the `other` one.
    """
    share = weight * (weight.size / weight.sum())
    poor, rich = np.flatnonzero(share < 1), np.flatnonzero(share >= 1)
    n_poor, n_rich = poor.size, rich.size
    stack = np.empty(weight.size, np.int64)
    stack[:n_poor] = poor
    chance[:] = WHOLE - 1
    while n_poor and n_rich:
        n_poor -= 1
        takes, gives = stack[n_poor], rich[n_rich - 1]
        chance[takes], other[takes] = np.uint32(share[takes] * (WHOLE - 1)), gives
        share[gives] -= 1 - share[takes]
        if share[gives] < 1:
            n_rich -= 1
            stack[n_poor] = gives
            n_poor += 1


@nb.njit(nogil=True, cache=True)
def _mixed(state):  # pragma: no cover - compiled
    """Return a random word from a counter that grows by `GOLDEN` (Steele et al., SIGPLAN Not. 49, 453, 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@nb.njit(nogil=True, cache=True)
def _encode(
    counts, lost, n_pixels, edge, place, background, level, chance, other, hot_edge, hot_place, hot, loss, rng, seed,
    out, ends,
):  # fmt: skip  # pragma: no cover - compiled
    words, scratch = np.empty(BLOCK // 4, np.uint64), np.empty(BLOCK // 8, np.uint64)
    pixels, shuffled, at = words.view(np.uint16), np.empty(2 * BLOCK, np.uint8), 0
    for t in range(counts.shape[0]):
        state = seed[t]
        for block in range(background.size):
            size = min(BLOCK, n_pixels - block * BLOCK)
            words[:] = 0
            if not lost[t]:
                kept, instead = chance[block], other[block]
                for _ in range(rng.poisson(background[block] * level[t])):
                    state += GOLDEN
                    drawn = _mixed(state)
                    pixel = drawn % np.uint64(BLOCK)
                    fallback = np.uint64(instead[pixel])
                    pixels[pixel if drawn >> np.uint64(32) < kept[pixel] else fallback] += np.uint16(1)
                most = np.int64(0)
                for pixel in range(BLOCK):
                    most = max(most, np.int64(pixels[pixel]))
                if most * most * loss > NOTICED:
                    for pixel in range(size):
                        pixels[pixel] = seen(np.int64(pixels[pixel]), loss, rng)
                for k in range(hot_edge[block], hot_edge[block + 1]):
                    pixels[hot_place[k]] = seen(poisson(hot[k], rng), loss, rng)
                for k in range(edge[block], edge[block + 1]):
                    pixels[place[k]] = counts[t, k]
            whole = size // 8 * 8
            if whole:
                used = shuffle(words[: whole // 4], shuffled, scratch[: whole // 8])
                at = compress(shuffled[: 2 * whole], used, out, at)
            for pixel in range(whole, size):
                out[at], out[at + 1] = pixels[pixel] & 255, pixels[pixel] >> 8
                at += 2
        ends[t] = at


DATASET = "entry/data/data"
NUMBERS = "entry/instrument/NDAttributes/NDArrayUniqueId"


ROOM_B = 4_000_000  # bytes that HDF5 may need to close a file


def check_room(folder: Path, n_bytes: int = 0) -> None:
    """Raise OSError if a folder has no room for so many bytes of frames.

    HDF5 2.0 ends the process if it cannot close a file (``docs/upstream/hdf5_close.py``), so some room is kept.
    """
    if shutil.disk_usage(folder).free < ROOM_B + n_bytes:
        raise OSError(errno.ENOSPC, "the disk is full: no frame is written any more", str(folder))


def new_file(directory: Path, name: str, shape: tuple[int, int]) -> tuple[h5py.File, Path]:
    """Return a new HDF5 file without frames yet, and its path; its name begins with `name` and cannot be guessed."""
    directory.mkdir(parents=True, exist_ok=True)
    check_room(directory)
    path = directory.resolve() / f"{name}_{uuid.uuid4().hex}.h5"
    file = h5py.File(path, "w", libver="latest")
    frames_dataset(file, shape)
    return file, path


def frames_dataset(file: h5py.File, shape: tuple[int, int], name: str = DATASET) -> h5py.Dataset:
    """Make the dataset of the frames, of the chunks that `FrameMaker` makes, in a file."""
    options = hdf5plugin.Bitshuffle(cname="lz4")
    return file.create_dataset(name, (0, *shape), "<u2", maxshape=(None, *shape), chunks=(1, *shape), **options)


class FrameFile:
    """One HDF5 file of frames, open to readers (SWMR) from the start; its name cannot be guessed.

    Beside ``entry/data/data`` it holds, in ``entry/instrument/NDAttributes`` as areaDetector's file writer does,
    ``NDArrayTimeStamp`` (when the exposure of each frame began, in seconds) and ``NDArrayUniqueId`` (its number, from
    1); and in ``entry/instrument/detector``, as NXdetector does, ``pixel_mask`` and ``saturation_value``. A frame that
    can be read always has its time.

    Parameters
    ----------
    directory : Path
        Folder, made if it does not exist.
    name : str
        Beginning of the file's name.
    pixel_mask : ndarray of uint32, shape (ny, nx)
    """

    def __init__(self, directory: Path, name: str, pixel_mask: NDArray[np.uint32]) -> None:
        self._file, self.path = new_file(directory, name, pixel_mask.shape)
        self._data = self._file[DATASET]
        attributes = self._file.create_group("entry/instrument/NDAttributes")
        self._time, self._id = (
            attributes.create_dataset(name, shape=(0,), maxshape=(None,), chunks=(1024,), dtype=dtype)
            for name, dtype in (("NDArrayTimeStamp", "<f8"), ("NDArrayUniqueId", "<i4"))
        )
        detector = self._file.create_group("entry/instrument/detector")
        detector.create_dataset("pixel_mask", data=pixel_mask, compression="gzip")
        detector["saturation_value"] = SATURATION
        self._file.swmr_mode = True

    def append(
        self, chunks: Sequence[bytes], time_s: NDArray[np.float64], numbers: NDArray[np.int64] | None = None
    ) -> None:
        """Write compressed frames, their times and their numbers; readers see them when this returns.

        Without `numbers` the frames are numbered as they come. On a full disk OSError is raised.
        """
        check_room(self.path.parent, sum(map(len, chunks)))
        start = len(self._data)
        stop = start + len(chunks)
        numbers = np.arange(start, stop) + 1 if numbers is None else numbers
        for dataset, values in ((self._time, time_s), (self._id, numbers)):
            dataset.resize(stop, axis=0)
            dataset[start:] = values
            dataset.flush()
        self._data.resize(stop, axis=0)
        for frame, chunk in enumerate(chunks, start):
            self._data.id.write_direct_chunk((frame, 0, 0), chunk)
        self._data.flush()

    def cut(self, n_frames: int) -> None:
        """Keep only the first frames."""
        for dataset in (self._data, self._time, self._id):
            dataset.resize(n_frames, axis=0)

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()


class StreamingDetector(Device):
    """A detector whose frames are in a file; documents name the indices whose frames can be read."""

    _written = _reported = 0  # frames, and indices in documents
    _frames_per_index: int | None = None
    mimetype = "application/x-hdf5"
    names_numbers = False  # whether documents name the dataset of the numbers of frames

    @property
    def image_key(self) -> str:
        """Name of the frames in documents."""
        return f"{self.name}_image"

    def restart(self, path: Path, *chunk_shape: int) -> None:
        """Name the frames of a new file from now on; `chunk_shape` is that of the array as Tiled stacks it."""
        self._written = self._reported = 0
        self._stream, self._compose_datums = (path, chunk_shape), None

    def describe_image(self, *shape: int) -> dict[str, dict[str, Any]]:
        """Describe an index: frames, rows, columns; and the numbers of frames, if documents name them."""
        key = {"source": f"SIM:{self.name}", "dtype": "array", "external": "STREAM:"}
        described = {self.image_key: {**key, "dtype_numpy": "<u2", "shape": [*shape]}}
        if self.names_numbers:
            described[f"{self.name}_frame_number"] = {**key, "dtype_numpy": "<i4", "shape": [shape[0]]}
        return described

    def get_index(self) -> int:
        """Return the number of indices whose frames can be read."""
        return self._written // (self._frames_per_index or 1)

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        """Yield stream resources, once per staging, and stream datums for the new indices below `index`."""
        stop = self.get_index() if index is None else min(index, self.get_index())
        if stop <= self._reported:
            return
        if self._compose_datums is None:
            path, chunk_shape = self._stream
            streams = [(self.image_key, DATASET, chunk_shape)]
            if self.names_numbers:
                streams.append((f"{self.name}_frame_number", NUMBERS, (1024,)))
            self._compose_datums = []
            for key, dataset, shape in streams:
                resource, compose = compose_stream_resource(
                    mimetype=self.mimetype,
                    uri=f"file://localhost{path}",  # not percent-encoded: Tiled takes the path as it stands
                    data_key=key,
                    parameters={"dataset": dataset, "swmr": True, "chunk_shape": [*shape]},
                )
                self._compose_datums.append(compose)
                yield "stream_resource", resource
        for compose in self._compose_datums:
            yield "stream_datum", compose(indices={"start": self._reported, "stop": stop})
        self._reported = stop
