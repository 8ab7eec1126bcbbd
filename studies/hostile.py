"""A hostile half-hour: send the agent and its server inputs that no client should send.

Hypothesis draws them from a seed: documents of runs and their metadata, files of frames and weights with changed bytes,
settings, requests. A worker with a real Tiled server takes the runs. Every run that a RunEngine could have sent must
have one result, and none has two; nothing outside the allowed folders is opened, by Python or by HDF5; whatever is
refused is refused with a reason; and nothing is left open in the end. Then 5,000 small runs show what memory does. The
exit code is 1 if any of this does not hold.
"""

import ctypes
import gc
import logging
import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tiled.client import utils
from tiled.client.container import Container

from ainerd.server import embedded_server, open_catalog
from studies._hostile_files import hostile_frames, hostile_settings, hostile_weights, put_canary, tally
from studies._hostile_runs import Requests, Runs, errors_in, hostile_documents, hostile_metadata, tiny_runs
from studies._tools import Row, Study, report

SHARES = {"documents": 3, "metadata": 3, "frames": 8, "weights": 4, "settings": 3, "requests": 2}
GROWS = 1.03  # allowed memory of the last quarter of the small runs over that of the second
_OPENED, _FROM_PYTHON = 0x20, "open"  # IN_OPEN of inotify; the audit event
LOOKS, BETWEEN_S = 5, 0.3

study = Study(__doc__)


@study.part
def hostile(inputs: int = 21_000, tiny: int = 5000, seed: int = 0, quick: bool = False, only: str = "") -> None:
    """Try `inputs` and `tiny` runs; ``--quick`` a tenth; ``--only`` one kind, as many of it."""
    part = 10 if quick else 1
    logging.disable(logging.CRITICAL)
    utils.TILED_RETRY_ATTEMPTS = utils.TILED_RETRY_TIMEOUT = 2  # else a call waits 45 s for a server that is away
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, embedded_server(Path(name) / "tiled") as server:
        shares = {kind: max(round(inputs // part * share / sum(SHARES.values())), 1) for kind, share in SHARES.items()}
        shares = {kind: n for kind, n in shares.items() if only in ("", kind)}
        rows, growth = attack(server.client(), Path(name), shares, seed, tiny // part)
        show(errors_in(server.directory / "error.log"))
    n = sum(row["inputs"] for row in rows if row["what"] in SHARES)
    minutes = (time.monotonic() - began) / 60
    report("hostile", rows, n=n, seed=seed, memory_ratio=growth, minutes=minutes)
    print(f"{n} inputs; memory, last quarter over second: {growth:.3f}; {minutes:.1f} min")
    sys.exit(any(row["wrong"] for row in rows) or growth > GROWS)


def attack(client: Container, folder: Path, shares: dict[str, int], seed: int, tiny: int) -> tuple[list[Row], float]:
    """Return a row for each kind of input, and the growth of memory over the small runs (NaN without them)."""
    outside, inside = folder / "outside", folder / "inside"
    outside.mkdir(), inside.mkdir()
    put_canary(outside)
    _, ainerd = open_catalog(client.create_container("hostile"))
    watch, before, tried = Watch(outside), held(), dict[str, tuple[int, list[str]]]()

    def attempt(kind: str, send: Callable[[int], tuple[int, list[str]]]) -> None:
        if kind in shares:
            began = time.monotonic()
            n, wrong = tried[kind] = send(shares[kind])
            print(f"{kind}: {n} inputs, {len(wrong)} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr)
            show(wrong)

    runs = Runs(client, ainerd, inside)
    attempt("documents", lambda n: hostile_documents(runs, n, seed))
    attempt("metadata", lambda n: hostile_metadata(runs, n, seed))
    used = tiny_runs(runs, tiny)
    statuses, wrong = runs.close()
    wrong += [f"left open: {name}" for name in left_since(before)]
    show(wrong)
    tried["runs, in the end"] = sum(statuses.values()), wrong
    attempt("frames", lambda n: hostile_frames(inside, outside, n, seed))
    attempt("weights", lambda n: hostile_weights(inside, n, seed))
    attempt("settings", lambda n: hostile_settings(inside, n, seed))
    requests = Requests(client, open_catalog(client.create_container("requests"))[1])
    attempt("requests", lambda n: requests.hostile(n, seed))
    if "requests" in tried:
        tried["requests"][1].extend(requests.close())
    opened = watch.close()
    tried["opened outside the roots"] = len(opened), [f"{name} was opened" for name in sorted(opened)]
    quarters = [np.mean(part) for part in np.array_split(used, 4)] if tiny else [np.nan] * 4
    rows = [
        {"what": kind, "inputs": n, "wrong": len(wrong), "which": "; ".join(tally(wrong))[:300]}
        for kind, (n, wrong) in tried.items()
    ]
    return rows, float(quarters[3] / quarters[1])


def show(wrong: list[str]) -> None:
    """Print what is wrong, each kind once."""
    for line in tally(wrong):
        print(f"  {line}", file=sys.stderr, flush=True)


class Watch:
    """Record every file that is opened in a folder: by Python with an audit hook, by any library with inotify.

    HDF5 opens files without Python. A hook cannot be removed: after `close` it stays, and records nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.opened: set[str] = set()
        self._folder: str | None = f"{folder.resolve()}/"
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._inotify < 0 or libc.inotify_add_watch(self._inotify, bytes(folder), _OPENED) < 0:
            raise OSError(ctypes.get_errno(), "no inotify")
        sys.addaudithook(self._record)

    def close(self) -> set[str]:
        """Return the names of the files that were opened."""
        self._folder = None
        try:
            events = os.read(self._inotify, 2**20)
        except BlockingIOError:
            events = b""
        os.close(self._inotify)
        at = 0
        while at < len(events):
            length = struct.unpack_from("iIII", events, at)[3]
            self.opened.add(os.fsdecode(events[at + 16 : at + 16 + length].rstrip(b"\0")))
            at += 16 + length
        return self.opened

    def _record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None or event != _FROM_PYTHON or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        name = os.fsdecode(arguments[0])
        if os.path.abspath(name).startswith(self._folder):
            self.opened.add(name)


def held() -> tuple[set[str], set[str]]:
    """Return the names of the threads of this process, and its open files; sockets of Tiled's client come and go."""
    gc.collect()
    return {thread.name for thread in threading.enumerate()}, set(_files())


def left_since(before: tuple[set[str], set[str]]) -> list[str]:
    """Return threads and open files that are new in each of several looks."""
    names: set[str] | None = None
    for _ in range(LOOKS):
        new = {name for then, now in zip(before, held(), strict=True) for name in now - then}
        names = new if names is None else names & new
        if not names:
            break
        time.sleep(BETWEEN_S)
    return sorted(names or ())


def _files() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # of the folder itself
            if not (name := os.readlink(link)).startswith("socket:"):
                yield name


if __name__ == "__main__":
    study()
