"""Growth with the number of results, and the time that a person waits for answers and frames take to maps.

many     100,000 results in PostgreSQL, each with a run, a suggestion and log lines like those of a run that an agent
         took. Start and runs are measured in processes of their own. A run is concluded when everything is
         written after its last frame.
query    Questions to `ResultStore` and to Tiled alone.
         Then each question of docs/how-to/query-results.md.
storing  CPU time to write a result with maps, in a file or with each array as a node.
reading  Frames per second from an HDF5 file to maps, by `FrameReader`, by h5py, and by `FrameReader` with hdf5plugin's
         filter, which unpacks whole chunks, in turn; the best time counts.
"""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd
import psutil
from rich.progress import track
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent import build_observer, build_technique
from ainerd.results import AtlasRecord, ResultStore
from ainerd.server import connect, embedded_server, open_catalog
from studies._catalogue import REGIMES, add_cases, add_with_maps, own_records, seed
from studies._movies import read
from studies._postgres import KEY, fill_postgres, make_indexes, tiled_on_postgres
from studies._session import Session, settings_in
from studies._tools import Row, Study, memory_mb, report, seconds

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "query-results.md"
LONGEST_S = 20.0  # for the rounds of one question
MOST_MS = 80.0  # of CPU time of a session for a result

study = Study(__doc__)


@study.part
def many(results: int = 100_000, rounds: int = 20, runs: int = 5) -> None:
    """Measure on PostgreSQL, with `rounds` of each question, and `runs` of the agent."""
    with tempfile.TemporaryDirectory(prefix="ainerd-many-") as name:
        folder = Path(name)
        with tiled_on_postgres(folder) as uri:
            client = connect(uri, KEY)
            raw, ainerd = open_catalog(client)
            with closing(attached(folder, uri)) as session:
                session.explore(1)
            settings, store = settings_in(folder), ResultStore(ainerd)
            technique, model = build_technique(settings, store), store.record(ainerd["results"].keys()[0])
            began = time.perf_counter()
            catalogue = fill_postgres(model, own_records(technique, settings.name, 0, results))
            make_indexes()
            catalogue["filled in (s)"] = time.perf_counter() - began
            store.add_atlas(atlas_of(store.table(all=True)["regime_then"]))
            rows = in_process(start_agent, uri, folder) + in_process(take_runs, uri, folder, runs)
            report("many", rows, results=results, **catalogue)
            add_cases(raw, ainerd, key := add_with_maps(store, results))
            report(
                "many_page",
                asked(client, key, rounds, ["ResultStore"]),
                most={"ResultStore, median (ms)": 500.0},
                results=results,
                **catalogue,
            )


@study.part
def query(results: int = 1000, rounds: int = 7) -> None:
    """Ask questions of `results`, and those of the page."""
    with tempfile.TemporaryDirectory() as name, embedded_server(name) as server:
        raw, ainerd = open_catalog(server.client())
        key = seed(server, ainerd, results)
        report("query", [measured(name, ask, rounds) for name, ask in questions(ainerd, key)], results=results + 1)
        add_cases(raw, ainerd, key)
        bar = {"ResultStore, median (ms)": 500.0}
        report("query_page", asked(server.client(), key, rounds), most=bar, results=results + 1)


@study.part
def storing(results: int = 40) -> None:
    """Write `results` in files and as many as nodes; 80 ms of this process are the most for a file."""
    rows, first = list[Row](), 1
    with tempfile.TemporaryDirectory() as name, embedded_server(name) as server:
        _, ainerd = open_catalog(server.client())
        child = psutil.Process(json.loads((server.directory / "server.json").read_text())["pid"])
        for place, folder in {"a file": server.directory / "results", "nodes": None}.items():
            store = ResultStore(ainerd, folder=folder)
            add_with_maps(store, first)  # the first looks whether the server reads files
            here, there = time.process_time(), sum(child.cpu_times()[:2])
            for i in range(first + 1, first + 1 + results):
                add_with_maps(store, i)
            here, there = time.process_time() - here, sum(child.cpu_times()[:2]) - there
            rows.append({"in": place, "session (ms)": 1e3 * here / results, "server (ms)": 1e3 * there / results})
            first += results + 1
    wrong = ["a file takes more than 80 ms of the session"] if rows[0]["session (ms)"] > MOST_MS else []
    report("storing", rows, wrong=wrong, results=results)


@study.part
def reading(frames: int = 1000, level: float = 0.05, rounds: int = 3) -> None:
    """Read files with `level` photons per pixel and frame in the ring."""
    with tempfile.TemporaryDirectory() as folder:
        rows = read(Path(folder), frames, level, rounds)
        report(
            "reading",
            rows,
            least={"reader / h5py": 1.0, "reader / whole chunks": 1.5},
            frames=frames,
            level=level,
            rounds=rounds,
        )


def questions(ainerd: Container, key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the questions; `key` is of any complete result."""
    store = ResultStore(ainerd)
    yield "table, new session", lambda: ResultStore(ainerd).table()
    store.table(all=True)
    yield "table, again", store.table
    yield "search: novel, near the wall", lambda: store.search(novelty_p=(None, 0.05), sample_x=(0, 1))
    yield "similar", lambda: store.similar(key)
    yield (
        "the same search by Tiled alone, how many",  # anew: a client keeps its length
        lambda: len(ainerd["results"].search(Key("novelty_p") <= 0.05).search(Key("sample_x") <= 1)),
    )


def measured(name: str, ask: Callable[[], Any], rounds: int) -> Row:
    """Return the times of the rounds."""
    took: list[float] = []
    for _ in range(rounds):
        if sum(took) <= LONGEST_S:
            took.append(seconds(ask))
    median, p95 = np.quantile(took, [0.5, 0.95])
    return {"question": name, "median (s)": float(median), "p95 (s)": float(p95), "rounds": len(took)}


def asked(client: Container, key: str, rounds: int, who: Sequence[str] = ("Tiled", "ResultStore")) -> Iterator[Row]:
    """Yield the times of each question of the page, asked by the page's own code."""
    page = PAGE.read_text().split("## Questions, ready to copy")[1]
    code = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"client": client, "key": key, "taken_back": "withdrawn"}
    exec(re.sub(r"^(key|taken_back) = .*\n", "", code[1], flags=re.MULTILINE), names)
    names["store"].table()
    for question, *ways in re.findall(r"^\| (….*?) \| `(.*)` \| `(.*)` \|$", page, re.MULTILINE):
        row: Row = {"question": question}
        for name, way in zip(("Tiled", "ResultStore"), ways, strict=True):
            if name in who:
                took = measured(question, partial(answer, compile(way, question, "eval"), names), rounds)
                row |= {f"{name}, median (ms)": 1e3 * took["median (s)"], f"{name}, p95 (ms)": 1e3 * took["p95 (s)"]}
        yield row


def answer(question: CodeType, names: dict[str, Any]) -> None:
    """Evaluate a question; nodes that it finds are listed."""
    value = eval(question, names)
    if isinstance(value, Container):
        list(value)


def atlas_of(labels: pd.Series) -> AtlasRecord:
    """Return an atlas with these regimes of results."""
    regimes = labels.dropna().astype(int).to_dict()
    return AtlasRecord(n_regimes=REGIMES, supported_range=(4, 6), labels=regimes)


def attached(folder: Path, uri: str) -> Session:
    """Return a session on a server, with its agent attached."""
    session = Session(folder, connect(uri, KEY))
    session.frames(64, 0.64)
    session.agent.attach(session.RE)
    return session


def in_process(do: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    """Return the rows of `do`, called in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(do, *arguments).result()


def timed(what: str, do: Callable[[], Any], conclude: Callable[[], Any] | None = None) -> Row:
    """Return the times of a step in this process; `conclude` waits for its work in the background."""
    began, cpu = time.perf_counter(), time.process_time()
    do()
    done = time.perf_counter()
    if conclude is not None:
        conclude()
    return {
        "what": what,
        "clock (s)": done - began,
        "CPU (s)": time.process_time() - cpu,
        "memory (MB)": memory_mb("VmHWM"),
        "concluded after (s)": time.perf_counter() - done if conclude else np.nan,
    }


def start_agent(uri: str, folder: Path) -> list[Row]:
    """Start an agent, and ask for its suggestion."""
    client = connect(uri, KEY)
    with ExitStack() as stack:

        def start() -> None:
            observer = stack.enter_context(closing(build_observer(settings_in(folder), client)))
            assert observer.suggest()["reason"]

        return [timed("start of an agent, and its suggestion", start)]


def take_runs(uri: str, folder: Path, n: int) -> list[Row]:
    """Take runs with an agent and its suggestions; the simulated instrument is in the same process."""
    with closing(attached(folder, uri)) as session:
        session.RE.md["scan_id"] = 10**6  # no number of a synthetic run
        return [
            timed("a run", lambda: session.RE(session.agent.explore(1)), lambda: session.agent.drain(600))
            for _ in track(range(n), "runs")
        ]


if __name__ == "__main__":
    study()
