"""100,000 results in a PostgreSQL catalogue of a million nodes: what an agent, a person and a run wait for.

An agent takes `--written` runs with the simulated instrument and writes them to a Tiled server on a PostgreSQL of its
own, as docs/how-to/server.md has it. The rest are copies of these, made by SQL (`studies._filled`), which are
compared with what the agent wrote. Nothing is extrapolated. `--directory` keeps the catalogue, and uses what is there.

Of the page of questions those to `ResultStore` are asked: Tiled alone reads all of a million nodes for some of them.
`--parts` are done one after the other, and each says what it found.

Start and table are measured in processes of their own, whose peak of memory is theirs; seconds by the clock and of CPU,
because the machine may do something else as well. A run is concluded when everything is written after its last frame.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tiled.client.container import Container

from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer, build_technique
from ainerd.config import Settings
from ainerd.results import AtlasRecord, ResultStore, digest
from ainerd.server import connect, open_catalog
from studies._filled import fill
from studies._postgres import index, postgres, tiled_on
from studies._refits import megabytes
from studies._report import report
from studies._server import KEY
from studies._written import Session
from studies.query import add_cases, asked

PARTS = ("compare", "table", "questions", "start", "runs")
# What a copy has of its own.
CHANGED = {
    *"raw_uid raw_path suggestion_id scan_id run_time novelty_p novel regime atlas_version embedding tau_s".split()
}


def main() -> None:
    """Fill, compare, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--written", type=int, default=100, help="by the agent")
    parser.add_argument("--rounds", type=int, default=20, help="of each question")
    parser.add_argument("--runs", type=int, default=5, help="taken at the end")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--directory", type=Path, help="Keep the catalogue there, and use what is there.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ainerd-many-") as folder:
        where = arguments.directory or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        where.chmod(0o755)  # PostgreSQL's own user must get through
        measure(where, arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """All of it."""
    settings = Settings.load(TOML.with_name("small.toml"))
    settings.storage.directory, settings.storage.frames = folder / "agent", [folder / "frames"]
    with postgres(folder / "postgres") as where:
        with tiled_on(where, folder) as uri:
            _, ainerd = open_catalog(connect(uri, KEY))
            technique = build_technique(settings, ResultStore(ainerd))
            missing = arguments.written - len(ainerd["results"])
            if missing > 0:
                session = Session(folder, uri)
                session.explore(missing)
                session.close()
        begun = time.perf_counter()
        about = fill(where, arguments.results, technique.regime_width, technique.embedding_size)
        index(where)
        about |= {"filled in (s)": time.perf_counter() - begun, "load average": os.getloadavg()[0]}
        print(about, flush=True)
        with tiled_on(where, folder) as uri:
            client = connect(uri, KEY)
            checked, wrong = compared(client) if "compare" in arguments.parts else (0, [])
            print(f"{checked} results of the agent compared with a copy, different: {wrong or 'none'}", flush=True)
            if {"table", "start", "runs"} & {*arguments.parts}:
                rows = [*steps(folder, uri, client, settings, arguments)]
                report("many", rows, **about, compared=checked, different=wrong)
            if "questions" in arguments.parts:
                questions(client, arguments.rounds, about)
    if wrong:
        raise SystemExit(f"copies differ from what the agent wrote: {wrong}")


def questions(client: Container, rounds: int, about: dict[str, Any]) -> None:
    """Those of the page, about a copy."""
    key = client["ainerd/results"].keys()[100]
    if "withdrawn" not in client["ainerd/suggestions"]:  # else of an earlier time
        add_cases(client["raw"], client["ainerd"], key)
    rows = []
    for row in asked(client, key, rounds, ["ResultStore"]):
        rows.append(row)
        print(*row.values(), flush=True)
    report("many_page", rows, **about)


def compared(client: Container, most: int = 100) -> tuple[int, list[str]]:
    """How many results of the agent were compared with a copy, and what differs that should not."""
    store, wrong, n = ResultStore(client["ainerd"]), [], 0
    results, raw = client["ainerd/results"], client["raw"]
    written = [
        key
        for key, node in results.items()[: 2 * most]
        if "copy" not in node.metadata and node.metadata["status"] == "complete"
    ]
    copies = results.keys()[len(written) + 5 : 3 * len(written) + 5]
    made = {_kind(results[key].metadata): key for key in copies}
    for key in written[:most]:
        ours, n = results[key], n + 1
        if (like := made.get(_kind(ours.metadata))) is None:
            wrong.append(f"{key}: no copy has its names")
            continue
        other = results[like]
        known = {*ours.metadata["positions"], *CHANGED}
        if (
            ({*ours.metadata} ^ {*other.metadata}) - CHANGED - {"copy"}
            or {*ours} != {*other}
            or ours.specs != other.specs
        ):
            wrong.append(f"{key}: names")
        if [*map(str, raw[ours.metadata["raw_uid"]])] != [*map(str, raw[other.metadata["raw_uid"]])]:
            wrong.append(f"{key}: run")
        if store.record(other.item["id"]).key != other.item["id"]:
            wrong.append(f"{key}: key of its copy")
        if any(type(ours.metadata[name]) is not type(other.metadata.get(name)) for name in set(ours.metadata) - known):
            wrong.append(f"{key}: values")
    return n, wrong


def _kind(said: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
    """What a result and its copies share: names, of which one whose fit gives only a limit has another."""
    return frozenset(said["arrays"]), frozenset(said) - CHANGED - {"copy"}


def steps(folder: Path, uri: str, client: Container, settings: Settings, arguments: argparse.Namespace) -> Any:
    """Rows: what was waited for, by the clock and of CPU, and the most memory of the process."""
    ainerd = client["ainerd"]
    if "table" in arguments.parts:
        what = "table from its snapshot" if "snapshots" in ainerd else "table, no snapshot yet (once)"
        for _ in range(1 + arguments.runs):
            yield apart(what, _table, uri)
            what = "table from its snapshot"
    if not {"start", "runs"} & {*arguments.parts}:
        return
    parameters = dict(build_technique(settings, ResultStore(ainerd)).parameters)
    store = ResultStore(ainerd, agent=settings.name, digest=digest(parameters))
    labels = store.table()["regime_then"].dropna().astype(int)
    atlas = AtlasRecord(
        n_regimes=5, supported_range=(4, 6), labels=dict(zip(labels.index, labels.tolist(), strict=True))
    )
    yield here("atlas of all, written", lambda: store.add_atlas(atlas))
    yield apart("start of an agent, and its suggestion", _start, str(folder), uri)
    if "runs" in arguments.parts:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            yield from pool.submit(_runs, str(folder), uri, arguments.runs).result()


def here(what: str, do: Callable[[], Any]) -> dict[str, Any]:
    """A row for what is done in this process."""
    begun, cpu = time.perf_counter(), time.process_time()
    do()
    return {"what": what, "clock (s)": time.perf_counter() - begun, "CPU (s)": time.process_time() - cpu,
            "memory (MB)": megabytes("VmHWM"), "concluded after (s)": np.nan}  # fmt: skip


def apart(what: str, do: Callable[..., Any], *arguments: str) -> dict[str, Any]:
    """A row for what is done in a process of its own, without its imports."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        clock, cpu, peak = pool.submit(do, *arguments).result()
    print(f"{what}: {clock:.2f} s, CPU {cpu:.2f} s, {peak:.0f} MB", flush=True)
    return {"what": what, "clock (s)": clock, "CPU (s)": cpu, "memory (MB)": peak, "concluded after (s)": np.nan}


def _table(uri: str) -> tuple[float, float, float]:
    client = connect(uri, KEY)
    begun, cpu = time.perf_counter(), time.process_time()
    assert len(ResultStore(client["ainerd"]).table())
    return time.perf_counter() - begun, time.process_time() - cpu, megabytes("VmHWM")


def _start(folder: str, uri: str) -> tuple[float, float, float]:
    settings = Settings.load(TOML.with_name("small.toml"))
    settings.storage.directory, settings.storage.frames = Path(folder) / "agent", [Path(folder) / "frames"]
    client = connect(uri, KEY)
    begun, cpu = time.perf_counter(), time.process_time()
    observer = build_observer(settings, client)
    assert observer.suggest()["reason"]
    took = time.perf_counter() - begun, time.process_time() - cpu, megabytes("VmHWM")
    observer.close()
    return took


def _runs(folder: str, uri: str, n: int) -> list[dict[str, Any]]:
    """Rows of runs that an agent takes, with its suggestions; the simulated instrument is in the same process."""
    session, rows = Session(Path(folder), uri), []
    cam = session.instrument.detector.cam
    for _ in range(n):
        begun, cpu = time.perf_counter(), time.process_time()
        cam.num_images.put(64), cam.acquire_period.put(0.01), cam.acquire_time.put(0.01)
        session.RE(session.agent.explore(1))
        taken = time.perf_counter()
        session.agent.drain(600)
        rows.append(
            {
                "what": "a run",
                "clock (s)": taken - begun,
                "CPU (s)": time.process_time() - cpu,
                "memory (MB)": megabytes("VmHWM"),
                "concluded after (s)": time.perf_counter() - taken,
            }
        )
    session.close()
    return rows


if __name__ == "__main__":
    main()
