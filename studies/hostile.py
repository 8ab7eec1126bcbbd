"""A hostile half-hour: send the agent and its server inputs that no client should send.

Hypothesis draws them from a seed: documents of runs, also by the schemas of event-model, and their metadata, files of
frames with changed bytes, requests. A worker with a real Tiled server takes the runs. Every run that a RunEngine could
have sent must have one result, and none has two; nothing outside the allowed folders is opened, by Python or by HDF5;
every refusal has a reason; and nothing is left open in the end. The exit code is 1 if any of this
does not hold.
"""

import ctypes
import gc
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import TimeoutError, get_context
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import psutil
import typer
from hypothesis import strategies as st
from tiled.client import utils
from tiled.client.container import Container

from ainerd.documents import FrameError, FrameReader, _storage
from ainerd.server import embedded_server, open_catalog
from studies._hostile_inputs import METADATA, REQUESTS, SCHEMAS, bytes_of, changes, each
from studies._hostile_runs import KINDS, Requests, Runs
from studies._tools import Study, report

SHARES = {"documents": 3, "schemas": 2, "metadata": 3, "frames": 8, "requests": 2}
IN_OPEN = 0x20  # of inotify
LOOKS, BETWEEN_S = 5, 0.3
SHAPE, N, DATASET = (6, 8), 20, "entry/data/data"
HANGS_S = 20.0
Check = Callable[[Any], str | None]

study = Study(__doc__)


@study.part
def hostile(inputs: int = 21_000, seed: int = 0, only: str = "") -> None:
    """Try `inputs`; with ``--only`` all are of one kind."""
    if only not in ("", *SHARES):
        raise typer.BadParameter(f"expected one of {', '.join(SHARES)}", param_hint="--only")
    logging.disable(logging.CRITICAL)
    utils.TILED_RETRY_ATTEMPTS = utils.TILED_RETRY_TIMEOUT = 2  # else a call waits 45 s for a server that is away
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, embedded_server(Path(name) / "tiled") as server:
        of = {only: 1} if only else SHARES
        shares = {kind: max(round(inputs * share / sum(of.values())), 1) for kind, share in of.items()}
        tried = attack(server.client(), Path(name), shares, seed)
        show(["the server: " + error for error in errors_in(server.directory / "error.log")])
    n, minutes = sum(tried[kind][0] for kind in shares), (time.monotonic() - began) / 60
    rows = [
        {"what": kind, "inputs": n, "wrong": len(wrong), "which": "; ".join(tally(wrong))[:300]}
        for kind, (n, wrong) in tried.items()
    ]
    report("hostile", rows, most={"wrong": 0}, n=n, seed=seed, minutes=minutes)
    print(f"{n} inputs; {minutes:.1f} min")


def attack(client: Container, folder: Path, shares: dict[str, int], seed: int) -> dict[str, tuple[int, list[str]]]:
    """Return inputs and errors of each kind."""
    outside, inside = folder / "outside", folder / "inside"
    outside.mkdir(), inside.mkdir()
    with h5py.File(outside / "canary.h5", "w") as file:  # of frames that must not be opened
        file[DATASET] = np.ones((N, *SHAPE), np.uint16)
    raw, ainerd = open_catalog(client.create_container("hostile"))
    has_opened, before, tried = watch(outside), held(), dict[str, tuple[int, list[str]]]()

    def attempt(kind: str, inputs: st.SearchStrategy[Any], check: Check) -> None:
        if kind in shares:
            began = time.monotonic()
            n, wrong = tried[kind] = each(inputs, shares[kind], seed, check)
            print(f"{kind}: {n} inputs, {len(wrong)} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr)
            show(wrong)

    runs = Runs(client, raw, ainerd, inside)
    attempt("documents", st.tuples(st.sampled_from(KINDS), changes()), runs.with_changes)
    attempt("schemas", st.tuples(st.sampled_from(KINDS), SCHEMAS), runs.by_schema)
    attempt("metadata", METADATA, runs.with_metadata)
    statuses, wrong = runs.close()
    wrong += [f"left open: {name}" for name in left_since(before)]
    show(wrong)
    tried["runs, in the end"] = sum(statuses.values()), wrong
    with in_a_child(inside / "changed.h5") as read:
        attempt("frames", bytes_of(frame_files(inside, outside)), read)
    requests = Requests(client, open_catalog(client.create_container("requests"))[1])
    attempt("requests", REQUESTS, requests.check)
    tried["the table of the requests"] = each(st.none(), 1, seed, requests.read_table)
    tried["opened outside the roots"] = 0, ["the canary was opened"] if has_opened() else []
    return tried


def show(wrong: list[str]) -> None:
    """Print the errors, each kind once."""
    for line in tally(wrong):
        print(f"  {line}", file=sys.stderr, flush=True)


def tally(wrong: list[str]) -> Iterator[str]:
    """Yield each error once, with its count."""
    for error, times in Counter(wrong).most_common():
        yield f"{error} ({times} times)" if times > 1 else error


def errors_in(log: Path) -> list[str]:
    """Return the last line of each traceback in the log of a server."""
    parts = log.read_text(errors="replace").split("Traceback (most recent call last):")
    return [part.strip().splitlines()[-1][:200] for part in parts[1:] if part.strip()]


def watch(folder: Path) -> Callable[[], bool]:
    """Return a function that tells whether any file in a folder was opened since, by Python or by any library."""
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if inotify < 0 or libc.inotify_add_watch(inotify, bytes(folder), IN_OPEN) < 0:
        raise OSError(ctypes.get_errno(), "no inotify")

    def has_opened() -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(inotify, 2**16))
        return False

    return has_opened


def held() -> set[str]:
    """Return the names of the threads of this process, and its open files; sockets of Tiled's client come and go."""
    gc.collect()
    return {thread.name for thread in threading.enumerate()} | {file.path for file in psutil.Process().open_files()}


def left_since(before: set[str]) -> list[str]:
    """Return threads and open files that are new in each of several looks."""
    names = held() - before
    for _ in range(LOOKS):
        if names:
            time.sleep(BETWEEN_S)
            names &= held()
    return sorted(names)


def frame_files(folder: Path, outside: Path) -> list[bytes]:
    """Return files of all layouts, two of which lead out of the folder."""
    frames = np.random.default_rng(0).poisson(1, (N, *SHAPE)).astype(np.uint16)
    packed = {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4")}

    def virtual(file: h5py.File, source: str) -> None:
        layout = h5py.VirtualLayout(frames.shape, "u2")
        layout[:] = h5py.VirtualSource(source, DATASET, frames.shape)
        file.create_group("entry/data")
        file.create_virtual_dataset(DATASET, layout)

    def put(file: h5py.File, **options: Any) -> None:
        file.create_dataset(DATASET, data=frames, **options)

    def link(file: h5py.File, target: str) -> None:
        file[DATASET] = h5py.ExternalLink(target, DATASET)

    canary = str(outside / "canary.h5")
    made: dict[str, tuple[str | None, Callable[[h5py.File], Any]]] = {
        "plain.h5": (None, put),
        "packed.h5": ("latest", lambda file: put(file, **packed)),
        "older.h5": (None, lambda file: put(file, **packed)),
        "gzip.h5": ("latest", lambda file: put(file, chunks=(4, 3, 8), compression="gzip")),
        "virtual.h5": ("latest", lambda file: virtual(file, "plain.h5")),
        "link.h5": (None, lambda file: link(file, "plain.h5")),
        "out.h5": ("latest", lambda file: virtual(file, canary)),
        "away.h5": (None, lambda file: link(file, canary)),
    }
    for name, (version, fill) in made.items():
        with h5py.File(folder / name, "w", libver=version) as file:
            fill(file)
    return [(folder / name).read_bytes() for name in made]


@contextmanager
def in_a_child(path: Path) -> Iterator[Check]:
    """Yield a function that reads a file of frames in a child process, which HDF5 may crash or hang."""

    def start() -> Any:
        pool = get_context("spawn").Pool(1, silence)
        pool.apply(read_frames, (path, b""))  # imports
        return pool

    def check(file: bytes) -> str | None:
        nonlocal pool
        try:
            pool.apply_async(read_frames, (path, file)).get(HANGS_S)
        except TimeoutError:
            pool.terminate()
            pool = start()
            return "a file of frames: HDF5 hangs, or crashes the process"
        return None

    pool = start()
    yield check
    pool.terminate()


def silence() -> None:
    """Suppress the output of HDF5, and do not wait for writers: no process writes these files."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _storage.ATTEMPTS = 14  # 16 µs


def read_frames(path: Path, file: bytes) -> None:
    """Read a file like that of a run; any error but a reason is raised."""
    path.write_bytes(file)
    with suppress(FrameError):
        reader = FrameReader(path, DATASET, np.array([0, 5, 47]), SHAPE, roots=[path.parent])
        try:
            for _ in reader.blocks(0, N):
                pass
        finally:
            reader.close()


if __name__ == "__main__":
    study()
