"""From the counts of the ring's pixels to compressed frames in an HDF5 file that others read while it grows."""

import uuid
from collections.abc import Sequence
from pathlib import Path

import h5py
import hdf5plugin
import numba as nb
import numpy as np
from numpy.typing import NDArray

from sim_devices._bslz4 import BLOCK, compress, header, shuffle
from sim_devices._geometry import Geometry
from sim_devices._speckle import poisson

DATASET = "entry/data/data"
VARIANTS = 16


@nb.njit(nogil=True, cache=True)
def _draw(mean, rng, out):  # pragma: no cover - compiled
    for v in range(out.shape[0]):
        for i in range(mean.size):
            out[v, i] = poisson(mean[i], rng)


@nb.njit(nogil=True, cache=True)
def _shuffle_blocks(counts, choice, around, block, place, size, out):  # pragma: no cover - compiled
    """Lay `counts` (b, P) over chosen backgrounds `around` (variants, R, BLOCK); shuffle to `out` (b, R, 2 BLOCK)."""
    pixels = np.empty(around.shape[1:], np.uint16)
    for t in range(counts.shape[0]):
        for r in range(size.size):
            pixels[r] = around[choice[t, r], r]
        for p in range(place.size):
            pixels[block[p], place[p]] = counts[t, p]
        for r in range(size.size):
            shuffle(pixels[r, : size[r]], out[t, r])


class FrameEncoder:
    """Turns the ring's counts into whole frames, each a bitshuffle-LZ4 chunk.

    Outside the ring there is no speckle, only photons: each frame takes each block of 4096 pixels at random from a few
    drawn and compressed beforehand. No frame comes twice, and only blocks with pixels of the ring are compressed
    frame by frame.

    Parameters
    ----------
    geometry : Geometry
    level : float
        Photons per pixel and frame in the ring.
    rng : numpy.random.Generator

    Attributes
    ----------
    ring : ndarray of int, shape (P,)
        Flat indices of the pixels whose counts are given to `encode`.
    mean : ndarray, shape (P,)
        Photons expected in them per frame.
    """

    def __init__(self, geometry: Geometry, level: float, rng: np.random.Generator) -> None:
        mean = level * geometry.profile.ravel()
        whole = mean.size // 8 * 8
        n_blocks = -(-whole // BLOCK)
        self.ring = geometry.ring[geometry.ring < whole]
        self.mean = mean[self.ring]
        self._used, self._block = np.unique(self.ring // BLOCK, return_inverse=True)
        self._place = self.ring % BLOCK
        self._size = np.minimum(BLOCK, whole - self._used * BLOCK)

        drawn = np.empty((VARIANTS, mean.size), np.uint16)
        _draw(mean, rng, drawn)
        padded = np.zeros((VARIANTS, n_blocks * BLOCK), np.uint16)
        padded[:, :whole] = drawn[:, :whole]
        self._around = padded.reshape(VARIANTS, n_blocks, BLOCK)[:, self._used]
        self._header = header(mean.size)
        self._tails = [row[whole:].astype("<u2").tobytes() for row in drawn]
        self._pool = [[b""] * VARIANTS for _ in range(n_blocks)]
        for block in set(range(n_blocks)) - set(self._used.tolist()):
            for variant, pixels in enumerate(drawn[:, block * BLOCK : min((block + 1) * BLOCK, whole)]):
                shuffled = np.empty(2 * pixels.size, np.uint8)
                shuffle(pixels, shuffled)
                self._pool[block][variant] = compress(shuffled)

    def encode(self, counts: NDArray[np.uint16], rng: np.random.Generator) -> list[bytes]:
        """One chunk per frame, from the counts (b, P) of the ring's pixels."""
        choice = rng.integers(VARIANTS, size=(len(counts), len(self._pool) + 1), dtype=np.uint8)
        shuffled = np.empty((len(counts), self._used.size, 2 * BLOCK), np.uint8)
        _shuffle_blocks(counts, choice[:, self._used], self._around, self._block, self._place, self._size, shuffled)
        used, sizes = self._used.tolist(), (2 * self._size).tolist()
        chunks = []
        for ring_blocks, (*picks, tail) in zip(shuffled, choice.tolist(), strict=True):
            parts = [variants[pick] for variants, pick in zip(self._pool, picks, strict=True)]
            for number, block, size in zip(used, ring_blocks, sizes, strict=True):
                parts[number] = compress(block[:size])
            chunks.append(b"".join((self._header, *parts, self._tails[tail])))
        return chunks


class FrameFile:
    """One HDF5 file of frames, open to readers (SWMR) from the start; its name cannot be guessed.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    name : str
        How the file's name begins.
    frame_shape : (int, int)
    """

    def __init__(self, directory: Path, name: str, frame_shape: tuple[int, int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory.resolve() / f"{name}_{uuid.uuid4().hex}.h5"
        self._file = h5py.File(self.path, "w", libver="latest")
        self._data = self._file.create_dataset(
            DATASET,
            shape=(0, *frame_shape),
            maxshape=(None, *frame_shape),
            chunks=(1, *frame_shape),
            dtype="<u2",
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        self._file.swmr_mode = True

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write frames that are compressed already; readers have them when this returns."""
        start = len(self._data)
        self._data.resize(start + len(chunks), axis=0)
        for frame, chunk in enumerate(chunks, start):
            self._data.id.write_direct_chunk((frame, 0, 0), chunk)
        self._data.flush()

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()
