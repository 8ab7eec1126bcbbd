"""Files of a Rigaku detector in its zero-deadtime mode: only pixels that counted, as 64-bit words.

A word is a pixel of a frame, little-endian: bits 63 to 40 are the frame, which wraps after 2²⁴, 36 to 16 the pixel, and
11 to 0 the count. The detector of 3M pixels writes a file for each of its six modules.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path as FilePath
from typing import Any

import h5py
import numba as nb
import numpy as np
from numpy.typing import NDArray
from ophyd import Component

from sim_devices._basics import Quantity
from sim_devices._frames import frames_dataset
from sim_devices._lambda750k import Lambda750k
from sim_devices._lambda_cam import LambdaCam, readout

MODULE = (512, 1024)
GAP = (70, 52)
OF_3M = tuple(n * size + (n - 1) * gap for n, size, gap in zip((3, 2), MODULE, GAP, strict=True))
PLACES = (5, 0, 4, 1, 3, 2)  # file number of the module in each place, three rows of two
SECOND_HALF = 1 << 20  # added to the pixels of modules whose numbers begin there
BRIGHTEST = 4.0  # speckle is cut there, in means

Path = str | PathLike[str]


def rigaku_words(frame: NDArray, pixel: NDArray, count: NDArray) -> NDArray[np.uint64]:
    """Return the words of events, which have to be sorted by frame."""
    frame, pixel, count = (np.asarray(x).astype(np.uint64) for x in (frame, pixel, count))
    return (frame & 0xFFFFFF) << np.uint64(40) | pixel << np.uint64(16) | count & np.uint64(0xFFF)


def write_rigaku(path: Path, frames: NDArray, *, first: int = 0, order: str = "rows", offset: int = 0) -> None:
    """Append dense frames to the file of one module.

    Parameters
    ----------
    path : path
        ``NAME.bin``, or ``NAME.bin.00n`` of six.
    frames : ndarray of int, shape (b, ny, nx)
        Counts; at most 4095.
    first : int
        Number of the first of them in the run.
    order : {"rows", "columns"}
        How pixels are numbered.
    offset : int
        Number of the first pixel: 0, or 2²⁰ of some modules of 3M.
    """
    with open(path, "ab") as file:
        _words(frames, first + np.arange(len(frames)), order, offset).tofile(file)


def write_rigaku_3m(path: Path, frames: NDArray, *, first: int = 0) -> None:
    """Append dense frames, (b, 1676, 2100), to the six files ``path.000`` to ``path.005``.

    The pixels of files .003 to .005 are numbered from 2²⁰. Counts in the gaps are left out.
    """
    for name, module, offset in _modules(path, frames):
        write_rigaku(name, module, first=first, offset=offset)


def _words(frames: NDArray, numbers: NDArray, order: str = "rows", offset: int = 0) -> NDArray[np.uint64]:
    """Return the words of dense frames of one module, (b, 512, 1024), with these numbers, (b,)."""
    flat = (frames if order == "rows" else frames.transpose(0, 2, 1)).reshape(len(frames), -1)
    frame, pixel = np.nonzero(flat)
    return rigaku_words(numbers[frame], offset + pixel, flat[frame, pixel]).astype("<u8", copy=False)


def _modules(path: Path, frames: NDArray) -> Iterator[tuple[str, NDArray, int]]:
    """Yield the file of each module of 3M, its part of the frames, and the number of its first pixel."""
    for place, number in enumerate(PLACES):
        y, x = (i * (size + gap) for i, size, gap in zip(divmod(place, 2), MODULE, GAP, strict=True))
        module = frames[:, y : y + MODULE[0], x : x + MODULE[1]]
        yield f"{path}.{number:03d}", module, SECOND_HALF if number > 2 else 0


def sparse_speckle(
    n_frames: int, photons: float, *, shape: tuple[int, int] = MODULE, tau: float = 500.0, modes: float = 2.0,
    speckle_px: int = 2, seed: int = 0, block: int = 500,
) -> Iterator[NDArray[np.uint64]]:  # fmt: skip
    """Yield the words of frames of fluctuating speckle, in blocks, much faster than dense frames are drawn.

    Parameters
    ----------
    n_frames : int
    photons : float
        Mean count of a pixel and frame.
    shape : (int, int)
    tau : float
        Time in frames after which the contrast has fallen to 1/e: the intensities of speckles are redrawn at random.
    modes : float
        One over the contrast.
    speckle_px : int
        Side of a speckle, a square.
    seed : int
    block : int
        Frames in a block.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape) // speckle_px
    speckle = (y * -(-shape[1] // speckle_px) + x).ravel()
    intensity = np.minimum(rng.gamma(modes, 1 / modes, speckle.max() + 1), BRIGHTEST)
    for first in range(0, n_frames, block):
        n = min(block, n_frames - first)
        room = int(n * photons * speckle.size * 1.5) + 1000
        words = np.empty(room, np.uint64)
        k = _draw(rng, first, n, photons, -np.expm1(-1 / tau), modes, speckle, intensity, words)
        yield words[:k]


def write_words(path: Path, words: Iterable[NDArray[np.uint64]]) -> None:
    """Write words to a new file."""
    with open(path, "wb") as file:
        for some in words:
            some.astype("<u8", copy=False).tofile(file)


class RigakuFile:
    """The files of a detector of 500k or 3M, written from chunks of dense frames.

    Parameters
    ----------
    path : Path
        Name of the only file, or of the six without their numbers.
    shape : (int, int)
        Rows and columns of the frames: those of a module, or of the detector of 3M.
    grows : bool
        Whether the files grow with each block of frames; otherwise they are written as an acquisition ends.
    """

    def __init__(self, path: FilePath, shape: tuple[int, int], *, grows: bool) -> None:
        if shape not in (MODULE, OF_3M):
            raise ValueError(f"a Rigaku has frames of {MODULE} or {OF_3M} pixels, not {shape}")
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [path] if shape == MODULE else [path.with_name(f"{path.name}.{number:03d}") for number in range(6)]
        self.path, self._stem, self._is_module, self._grows = names[0], path, shape == MODULE, grows
        self._files = {str(name): name.open("wb", buffering=0) for name in names}
        self._memory = h5py.File(path.name, "w", driver="core", backing_store=False)
        self._frames = frames_dataset(self._memory, shape)
        self._held: list[tuple[str, NDArray[np.uint64]]] = []  # file and words
        self._n_taken = self.n_frames = 0  # up to the last one that came, and that is written

    def append(self, chunks: Sequence[bytes], time_s: NDArray[np.float64], numbers: NDArray[np.int64]) -> None:
        """Take compressed frames; `numbers` count from 1."""
        self._frames.resize(len(chunks), axis=0)
        for i, chunk in enumerate(chunks):
            self._frames.id.write_direct_chunk((i, 0, 0), chunk)
        frames, own = self._frames[()], str(self._stem)
        parts = [(own, frames, 0)] if self._is_module else _modules(own, frames)
        self._held += [(name, _words(part, numbers - 1, offset=offset)) for name, part, offset in parts]
        self._n_taken = int(numbers[-1]) if len(numbers) else self._n_taken
        if self._grows:
            self.finish()

    def finish(self) -> None:
        """Write the frames that are held."""
        for name, words in self._held:
            self._files[name].write(words.tobytes())
        self._held.clear()
        self.n_frames = self._n_taken

    def cut(self, n_frames: int) -> None:
        """Keep only the first frames."""
        self._held.clear()
        self._n_taken = self.n_frames = n_frames
        for name, file in self._files.items():
            words = np.fromfile(name, "<u8")
            file.seek(file.truncate(words[: np.searchsorted(words >> np.uint64(40), n_frames)].nbytes))

    def close(self) -> None:
        """Close the files; frames that are held are lost, as those of an acquisition that was stopped."""
        self._memory.close()
        for file in self._files.values():
            file.close()


class RigakuCam(LambdaCam):
    """Settings of a camera of 50 kHz, with the names of areaDetector."""

    acquire_period = Component(Quantity, value=20e-6, units="s", limits=(20e-6, 3600), kind="config")
    acquire_time = Component(Quantity, value=20e-6, units="s", limits=(1e-6, 3600), kind="config")
    manufacturer = readout("Rigaku", kind="config")
    model = readout("XSPA (simulated)", kind="config")


class Rigaku(Lambda750k):
    """A Rigaku detector in its zero-deadtime mode: the frames of `Lambda750k` as files of events.

    It flies, or is triggered. Documents name the file as ``application/x-rigaku``, of six the first.

    Parameters
    ----------
    geometry : Geometry
        Of frames of (512, 1024) or (1676, 2100) pixels.
    grows : bool
        Whether files grow while the detector counts, and documents announce their frames; otherwise files are complete
        at once after each acquisition.
    **options
        Those of `Lambda750k`.
    """

    cam = Component(RigakuCam, "cam1:", kind="config")
    mimetype = "application/x-rigaku"

    def __init__(self, prefix: str = "", *, grows: bool = False, **options: Any) -> None:
        self.grows = grows
        super().__init__(prefix, **options)

    def _new_file(self) -> RigakuFile:
        path = self._directory.resolve() / f"{self.name}_{uuid.uuid4().hex}.bin"
        return RigakuFile(path, self.geometry.frame_shape, grows=self.grows)

    def _acquire(self, file: RigakuFile) -> None:
        super()._acquire(file)
        file.finish()

    def get_index(self) -> int:
        """Return the number of indices whose frames are in the files."""
        return 0 if self._file is None else self._file.n_frames // (self._frames_per_index or 1)


@nb.njit(nogil=True, cache=True)
def _draw(rng, first, n, photons, redrawn, modes, speckle, intensity, out):  # pragma: no cover - compiled
    """Write the words of `n` frames and return their number. Photons are drawn at the brightest level and thinned."""
    seen = np.zeros(speckle.size, np.int64)
    k = 0
    for t in range(first, first + n):
        for _ in range(rng.poisson(redrawn * intensity.size)):
            intensity[rng.integers(0, intensity.size)] = min(rng.gamma(modes, 1.0) / modes, BRIGHTEST)
        begin = k
        for _ in range(rng.poisson(photons * speckle.size * BRIGHTEST)):
            p = rng.integers(0, speckle.size)
            if rng.random() * BRIGHTEST < intensity[speckle[p]]:
                if seen[p] == 0:
                    out[k] = p
                    k += 1
                seen[p] += 1
        out[begin:k].sort()
        for e in range(begin, k):
            p = out[e]
            out[e] = np.uint64(t & 0xFFFFFF) << np.uint64(40) | np.uint64(p) << np.uint64(16) | np.uint64(seen[p])
            seen[p] = 0
    return k
