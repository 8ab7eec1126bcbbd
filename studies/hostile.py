"""A hostile half-hour: what the agent and its server do with inputs that nobody should send.

Hypothesis draws them from a seed: documents of runs and their metadata, files of frames and weights with changed bytes,
settings, requests. A worker with a real Tiled server takes the runs. Every run that a RunEngine could have sent must
have one result, none has two; nothing outside the allowed folders is opened, by Python or by HDF5; whatever is refused
is refused with a reason; and nothing is left open in the end. Then 5,000 small runs show what memory does.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from tiled.client import utils
from tiled.client.container import Container

from ainerd.server import embedded_server, open_catalog
from studies._hostile_files import hostile_frames, hostile_settings, hostile_weights, put_canary, tally
from studies._hostile_requests import Requests, errors_in
from studies._hostile_runs import Runs, hostile_documents, hostile_metadata, tiny_runs
from studies._report import report
from studies._watched import Watched, held, left_since, memory

SHARES = {"documents": 3, "metadata": 3, "frames": 8, "weights": 4, "settings": 3, "requests": 2}
GROWS = 1.03  # memory of the last quarter of the small runs over that of the second


def hostile(
    client: Container,
    folder: Path,
    n: int,
    seed: int,
    *,
    n_tiny: int = 0,
    apart: bool = True,
    only: Collection[str] = (),
) -> tuple[list[dict[str, Any]], float]:
    """A row for each kind of input, or for `only` some; how much memory the small runs took (NaN without them)."""
    outside, inside = folder / "outside", folder / "inside"
    outside.mkdir(), inside.mkdir()
    put_canary(outside)
    share = {
        name: max(round(n * part / sum(SHARES.values())), 1) if name in (only or SHARES) else 0
        for name, part in SHARES.items()
    }
    found: dict[str, tuple[int, list[str]]] = {}
    _, ainerd = open_catalog(client.create_container("hostile"))
    watched = Watched(outside)
    before = held()
    runs = Runs(client, ainerd, inside)
    for name, ask in (("documents", hostile_documents), ("metadata", hostile_metadata)):
        if share[name]:
            found[name] = _timed(name, lambda ask=ask, name=name: ask(runs, share[name], seed))
    used = tiny_runs(runs, n_tiny, memory)
    statuses, wrong = runs.close()
    found["runs, in the end"] = sum(statuses.values()), wrong
    wrong += [f"left open: {name}" for name in left_since(before)]
    _say(wrong)
    files = {
        "frames": lambda n: hostile_frames(inside, outside, n, seed, apart=apart),
        "weights": lambda n: hostile_weights(inside, n, seed),
        "settings": lambda n: hostile_settings(inside, n, seed),
    }
    for name, try_files in files.items():
        if share[name]:
            found[name] = _timed(name, lambda name=name, try_files=try_files: try_files(share[name]))
    if share["requests"]:
        _, other = open_catalog(client.create_container("requests"))
        requests = Requests(client, other)
        n_sent, wrong = _timed("requests", lambda: requests.hostile(share["requests"], seed))
        found["requests"] = n_sent, wrong + requests.close()
    opened = watched.close()
    found["opened outside the roots"] = len(opened), [f"{name} was opened" for name in sorted(opened)]
    quarters = np.array_split(used, 4) if n_tiny else []
    growth = float(np.mean(quarters[3]) / np.mean(quarters[1])) if quarters else float("nan")
    rows = [{"what": name, "inputs": n, "wrong": len(wrong), "which": "; ".join(tally(wrong))[:300]}
            for name, (n, wrong) in found.items()]  # fmt: skip
    return rows, growth


def _timed(name: str, ask: Any) -> tuple[int, list[str]]:
    began = time.monotonic()
    n, wrong = ask()
    print(f"{name}: {n} inputs, {len(wrong)} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    _say(wrong)
    return n, wrong


def _say(wrong: list[str]) -> None:
    for line in tally(wrong):
        print(f"  {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Try, print, write; exit code 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=21_000)
    parser.add_argument("--tiny", type=int, default=5000, help="small runs, of which memory is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--only", nargs="+", default=(), choices=[*SHARES], help="some kinds of input, as many of each")
    arguments = parser.parse_args()
    part = 10 if arguments.quick else 1
    logging.disable(logging.CRITICAL)
    utils.TILED_RETRY_ATTEMPTS = utils.TILED_RETRY_TIMEOUT = 2  # else a call waits 45 s for a server that is away
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder) / "tiled") as server:
        rows, growth = hostile(
            server.client(), Path(folder), arguments.inputs // part, arguments.seed, n_tiny=arguments.tiny // part,
            only=arguments.only,
        )  # fmt: skip
        _say(errors_in(server.directory / "error.log"))
    n_inputs = sum(row["inputs"] for row in rows if row["what"] in SHARES)
    about = {"n": n_inputs, "seed": arguments.seed, "memory_ratio": growth, "minutes": (time.monotonic() - began) / 60}
    report("hostile", rows, **about)
    print(f"{n_inputs} inputs; memory, last quarter over second: {growth:.3f}; {about['minutes']:.1f} min")
    sys.exit(any(row["wrong"] for row in rows) or growth > GROWS)


if __name__ == "__main__":
    main()
