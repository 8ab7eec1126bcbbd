"""Files that a detector keeps open with SWMR, or opens again for each block of frames, in this process or another.

The other process runs only this file.
"""

import argparse
import contextlib
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin

DATASET = "entry/data/data"
KINDS = ("open with SWMR", "opened again", "opened again with SWMR")
_LENGTH = struct.Struct("<q")


class WrittenFile:
    """A file of frames; `seconds` holds how long each call of `append` opened, wrote, and closed or flushed it.

    Parameters
    ----------
    directory : Path
    shape : (int, int)
        Of a frame.
    kind : str
        One of `KINDS`. Without SWMR the file has h5py's default format, and HDF5 locks it while it is open.
    """

    def __init__(self, directory: Path, shape: tuple[int, int], kind: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory.resolve() / f"written_{uuid.uuid4().hex}.h5"
        self._kind, self.seconds = kind, list[float]()
        self._format = {} if kind == "opened again" else {"libver": "latest"}
        self._file = h5py.File(self.path, "w", **self._format)
        options = {"maxshape": (None, *shape), "chunks": (1, *shape), **hdf5plugin.Bitshuffle(cname="lz4")}
        self._file.create_dataset(DATASET, (0, *shape), "<u2", **options)
        if kind == "open with SWMR":
            self._file.swmr_mode = True
        else:
            self._file.close()

    def append(self, chunks: Sequence[bytes], *_: Any) -> None:
        """Write compressed frames; readers see them when this returns."""
        began = time.perf_counter()
        again = self._kind != "open with SWMR"
        with h5py.File(self.path, "a", **self._format) if again else contextlib.nullcontext(self._file) as file:
            if self._kind == "opened again with SWMR":
                file.swmr_mode = True
            data = file[DATASET]
            first = len(data)
            data.resize(first + len(chunks), axis=0)
            for frame, chunk in enumerate(chunks, first):
                data.id.write_direct_chunk((frame, 0, 0), chunk)
            data.flush()
        self.seconds.append(time.perf_counter() - began)

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()


class WrittenElsewhere:
    """A `WrittenFile` of another process; an error there is raised here."""

    def __init__(self, directory: Path, shape: tuple[int, int], kind: str) -> None:
        self.seconds = list[float]()
        command = [sys.executable, "-P", __file__, str(directory), *map(str, shape), kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.path = Path(self._answer())

    def append(self, chunks: Sequence[bytes], *_: Any) -> None:
        """Write compressed frames; readers see them when this returns."""
        assert self._process.stdin is not None
        lengths = [len(chunks), *map(len, chunks)]
        self._process.stdin.write(b"".join([*map(_LENGTH.pack, lengths), *chunks]))
        self._process.stdin.flush()
        self.seconds.append(float(self._answer()))

    def close(self) -> None:
        """Let the process close the file, and end."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        kind, _, answer = self._process.stdout.readline().decode().strip().partition(" ")
        if kind != "done":
            raise OSError(answer or "the writer has ended")
        return answer


def _serve(file: WrittenFile) -> None:
    print("done", file.path, flush=True)
    while head := sys.stdin.buffer.read(_LENGTH.size):
        lengths = [_LENGTH.unpack(sys.stdin.buffer.read(_LENGTH.size))[0] for _ in range(_LENGTH.unpack(head)[0])]
        chunks = [sys.stdin.buffer.read(length) for length in lengths]
        try:
            file.append(chunks)
        except OSError as error:
            print("failed", str(error).replace("\n", " "), flush=True)
        else:
            print("done", file.seconds[-1], flush=True)
    file.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("shape", type=int, nargs=2)
    parser.add_argument("kind", choices=KINDS)
    given = parser.parse_args()
    _serve(WrittenFile(given.directory, tuple(given.shape), given.kind))
