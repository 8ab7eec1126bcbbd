"""Files with changed bytes: frames, weights, settings."""

import json
import os
import select
import signal
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from hypothesis import strategies as st

from agents.rheo_xpcs import TOML
from ainerd.config import Settings, SettingsError
from ainerd.documents import FrameError, FrameReader, _storage
from ainerd.latent import ModelError, kind_of, read_weights, write_weights
from studies._hostile_inputs import PLAIN, as_json, bytes_of, changed, changes, each

SHAPE, N, DATASET = (6, 8), 20, "entry/data/data"
HANGS_S, TOGETHER = 20.0, 200  # files that one child reads


def frame_files(folder: Path, outside: Path) -> list[bytes]:
    """Return files of all layouts, two of which lead out of the folder."""
    frames = np.random.default_rng(0).poisson(1, (N, *SHAPE)).astype(np.uint16)
    packed = {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4")}

    def virtual(file: h5py.File, source: str) -> None:
        layout = h5py.VirtualLayout(frames.shape, "u2")
        layout[:] = h5py.VirtualSource(source, DATASET, frames.shape)
        file.create_group("entry/data")
        file.create_virtual_dataset(DATASET, layout)

    def link(file: h5py.File, target: Path | str) -> None:
        file[DATASET] = h5py.ExternalLink(str(target), DATASET)

    made: dict[str, tuple[str | None, Callable[[h5py.File], Any]]] = {
        "plain.h5": (None, lambda file: file.create_dataset(DATASET, data=frames)),
        "packed.h5": ("latest", lambda file: file.create_dataset(DATASET, data=frames, **packed)),
        "older.h5": (None, lambda file: file.create_dataset(DATASET, data=frames, **packed)),
        "gzip.h5": (
            "latest",
            lambda file: file.create_dataset(DATASET, data=frames, chunks=(4, 3, 8), compression="gzip"),
        ),
        "virtual.h5": ("latest", lambda file: virtual(file, "plain.h5")),
        "link.h5": (None, lambda file: link(file, "plain.h5")),
        "out.h5": ("latest", lambda file: virtual(file, str(outside / "canary.h5"))),
        "away.h5": (None, lambda file: link(file, outside / "canary.h5")),
    }
    files = []
    for name, (version, fill) in made.items():
        with h5py.File(folder / name, "w", libver=version) as file:
            fill(file)
        files.append((folder / name).read_bytes())
    return files


def put_canary(outside: Path) -> None:
    """Write a file of frames that must not be opened."""
    with h5py.File(outside / "canary.h5", "w") as file:
        file[DATASET] = np.ones((N, *SHAPE), np.uint16)


def read_frames(path: Path, file: bytes) -> str | None:
    """Read a file like that of a run, and return any error that is not a reason."""
    path.write_bytes(file)
    try:
        reader = FrameReader(path, DATASET, np.array([0, 5, 47]), SHAPE, swmr=len(file) % 2 == 0, roots=[path.parent])
        try:
            for _ in reader.blocks(0, N):
                pass
        finally:
            reader.close()
    except FrameError:
        return None
    except Exception as error:
        return f"a file of frames: {type(error).__name__}: {str(error)[:100]}"
    return None


def hostile_frames(folder: Path, outside: Path, n: int, number: int) -> tuple[int, list[str]]:
    """Read files of frames with changed bytes, in children, which HDF5 may crash or hang."""
    _storage.ATTEMPTS = 14  # 16 µs: no process writes these files
    inputs = bytes_of(frame_files(folder, outside))
    path = folder / "changed.h5"
    drawn: list[bytes] = []
    each(inputs, n, number, lambda file: drawn.append(file))
    wrong: list[str] = []
    read_frames(path, drawn[0])  # compiles for all children
    at = 0
    while at < len(drawn):
        at, errors = _in_a_child(drawn, at, path)
        wrong += errors
    return len(drawn), wrong


def _in_a_child(files: list[bytes], first: int, path: Path) -> tuple[int, list[str]]:
    """Read some files in a child process, and return the number of the next file and the errors."""
    ours, theirs = os.pipe()
    child = os.fork()
    last = min(first + TOGETHER, len(files))
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for number in range(first, last):
            os.write(theirs, f"{number}\n".encode())
            if (error := read_frames(path, files[number])) is not None:
                os.write(theirs, f"! {error}\n".encode())
        os._exit(0)
    os.close(theirs)
    text, hangs = b"", False
    while not hangs:
        if not select.select([ours], [], [], HANGS_S)[0]:
            os.kill(child, signal.SIGKILL)
            hangs = True
        elif part := os.read(ours, 2**16):
            text += part
        else:
            break
    os.close(ours)
    status = os.waitpid(child, 0)[1]
    lines = text.decode().splitlines()
    wrong = [line[2:] for line in lines if line.startswith("! ")]
    reached = max(int(line) for line in lines if not line.startswith("! "))
    if hangs:
        return reached + 1, [*wrong, f"a file of frames: HDF5 hangs (number {reached})"]
    if os.WIFSIGNALED(status):
        return reached + 1, [*wrong, f"a file of frames: HDF5 crashes the process (number {reached})"]
    return last, wrong


def hostile_weights(folder: Path, n: int, number: int) -> tuple[int, list[str]]:
    """Read weight files with changed bytes, or another header."""
    path = folder / "weights.safetensors"
    write_weights(path, {"mean": np.zeros(4), "components": np.ones((2, 4), np.float32)}, {"kind": "pca", "note": "x"})
    file = path.read_bytes()
    length = int.from_bytes(file[:8], "little")
    head, rest = json.loads(file[8 : 8 + length]), file[8 + length :]

    def with_head(what: list[Any]) -> bytes:
        text = as_json(changed([head], what)[0] if what else head)
        return len(text).to_bytes(8, "little") + text + rest

    recipes = st.one_of(PLAIN, st.just(None)).map(lambda value: [("set", 0, 1, as_json(value).decode())])
    heads = st.one_of(changes(), recipes).map(
        lambda what: with_head([w for w in what if w[0] in ("set", "drop", "add")])
    )

    def check(file: bytes) -> str | None:
        path.write_bytes(file)
        try:
            kind_of(path)
            read_weights(path, "pca", {"mean": 1, "components": 2})
        except ModelError:
            return None
        except Exception as error:
            return f"weights: {type(error).__name__}: {str(error)[:100]}"
        return None

    return each(st.one_of(bytes_of([file], head=300), heads), n, number, check)


def hostile_settings(folder: Path, n: int, number: int) -> tuple[int, list[str]]:
    """Load settings with other values, and TOML with changed bytes."""
    text = TOML.with_name("small.toml").read_bytes()
    path, table = folder / "agent.toml", tomllib.loads(text.decode())
    dates = st.sampled_from(
        [tomllib.loads(f"x = {x}")["x"] for x in ("2026-11-21", "07:32:00", "inf", "-nan", "0x7f", "[1, [2]]")]
    )
    tables = changes(st.one_of(PLAIN, dates)).map(lambda what: [w for w in what if w[0] in ("set", "drop", "add")])

    def check(drawn: bytes | list[Any]) -> str | None:
        try:
            if isinstance(drawn, bytes):
                path.write_bytes(drawn)
                Settings.load(path)
            else:
                Settings.of(changed([table], drawn)[0], folder)
        except SettingsError:
            return None
        except Exception as error:
            return f"settings: {type(error).__name__}: {str(error)[:100]}"
        return None

    return each(st.one_of(bytes_of([text], head=len(text)), tables), n, number, check)


def tally(wrong: list[str]) -> Iterator[str]:
    """Yield each kind of error once, with its count."""
    for error, times in Counter(error.partition(" (number")[0] for error in wrong).most_common():
        yield f"{error} ({times} times)" if times > 1 else error
