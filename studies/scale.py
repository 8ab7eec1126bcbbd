"""What grows with the number of results and the length of a run, and how long a person waits for answers.

scale    Questions of a person and work of an agent on synthetic results in an embedded server, at 1,000, 10,000 and
         100,000 results; the refit of the regimes beside the exact tree; a run of 100,000 frames on several processes.
many     100,000 results in PostgreSQL, a catalogue of a million nodes. An agent takes runs with the simulated
         instrument, the rest are copies of these, made by SQL and compared with what the agent wrote. Start and table
         are measured in processes of their own. A run is concluded when everything is written after its last frame.
query    Questions to `ResultStore` and to Tiled alone: "first" is the first table of a new session, "again" one more,
         "one more" comes after another process wrote a result. Then each question of docs/how-to/twenty-questions.md.
reading  Frames per second from an HDF5 file to gathered pixels and to maps, by `FrameReader` and by h5py. The ways take
         turns; the best time counts.
"""

import json
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from rich.progress import track
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.agent import build_observer, build_technique
from ainerd.config import Settings
from ainerd.results import AtlasRecord, ResultStore, digest
from ainerd.server import connect, embedded_server, open_catalog
from ainerd.steering import Explorer
from ainerd.technique import Regimes
from ainerd.techniques.rheo_xpcs import RheoXPCS
from studies._catalogue import REGIMES, add_cases, fill, own_records, record, seed, write
from studies._movies import parallel, read
from studies._postgres import KEY, copy_runs, index, postgres, tiled_on
from studies._refits import against_exact, refits
from studies._session import Session, settings_in
from studies._tools import Row, Study, memory_mb, report

SIZES = (1000, 10_000, 100_000)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "twenty-questions.md"
LONGEST_S = 20.0  # for the rounds of one question
# Metadata that a copy has of its own.
CHANGED = {
    *"raw_uid raw_path suggestion_id scan_id run_time novelty_p novel regime atlas_version embedding tau_s".split()
}

study = Study(__doc__)


@study.part
def scale(results: int = SIZES[-1], frames: int = 100_000, workers: int = 4, campaigns: int = 20) -> None:
    """Measure growth; without the long run at 0 `frames`, without the exact trees at 0 `campaigns`."""
    sizes = [n for n in SIZES if n < results] + [results]
    report("scale_refit", refits(sizes))
    if campaigns:
        report("scale_regimes", against_exact(6000, campaigns))
    report("scale", grown(sizes))
    if frames:
        report("scale_run", parallel(frames, [n for n in (1, 2, 4, 8) if n <= workers]))


@study.part
def many(
    results: int = 100_000,
    written: int = 100,
    rounds: int = 20,
    runs: int = 5,
    only: str = "",
    directory: Path | None = None,
) -> None:
    """Measure on PostgreSQL with `written` results of the agent; ``--only`` compare, table, questions, start or runs.

    ``--directory`` keeps the catalogue, and uses the one that is there.
    """
    with tempfile.TemporaryDirectory(prefix="ainerd-many-") as name:
        folder = directory or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # PostgreSQL's own user must get through
        settings = settings_in(folder)
        with postgres(folder / "postgres") as where:
            with tiled_on(where, folder) as uri:
                client = connect(uri, KEY)
                _, ainerd = open_catalog(client)
                technique = build_technique(settings, ResultStore(ainerd))
                if (missing := written - len(ainerd["results"])) > 0:
                    with closing(attached(folder, uri)) as session:
                        session.explore(missing)
            began = time.perf_counter()
            catalogue = copy_runs(where, results, technique.regime_width, technique.embedding_size)
            index(where)
            catalogue["filled in (s)"] = time.perf_counter() - began
            print(catalogue, flush=True)
            with tiled_on(where, folder) as uri:
                client, wrong = connect(uri, KEY), list[str]()
                if only in ("", "compare"):
                    checked, wrong = compared(client)
                    print(f"{checked} results of the agent compared with a copy, different: {wrong or 'none'}")
                if rows := list(steps(folder, uri, client, settings, runs, only)):
                    report("many", rows, **catalogue, different=wrong)
                if only in ("", "questions"):
                    key = client["ainerd/results"].keys()[100]
                    if "withdrawn" not in client["ainerd/suggestions"]:  # else of an earlier time
                        add_cases(client["raw"], client["ainerd"], key)
                    report("many_page", asked(client, key, rounds, ["ResultStore"]), **catalogue)
        if wrong:
            raise SystemExit(f"copies differ from what the agent wrote: {wrong}")


@study.part
def query(results: int = 5000, asked_of: int = 1000, rounds: int = 7, directory: Path | None = None) -> None:
    """Ask questions of `results`, and those of the page of `asked_of`; ``--directory`` keeps the catalogue."""
    with tempfile.TemporaryDirectory() as name, embedded_server(directory or name) as server:
        _, ainerd = open_catalog(server.client())
        key = seed(server, ainerd, results)
        rows = [measured(name, ask, rounds) for name, ask in questions(ainerd, key)]
        report("query", rows, results=len(ResultStore(ainerd)))
    with tempfile.TemporaryDirectory() as name, embedded_server(name) as server:
        raw, ainerd = open_catalog(server.client())
        key = seed(server, ainerd, asked_of)
        add_cases(raw, ainerd, key)
        report("query_page", asked(server.client(), key, rounds), results=asked_of + 1)


@study.part
def reading(frames: int = 1000, level: float = 0.05, rounds: int = 3) -> None:
    """Read files with `level` photons per pixel and frame in the ring."""
    with tempfile.TemporaryDirectory() as folder:
        report("reading", read(Path(folder), frames, level, rounds), frames=frames, level=level, rounds=rounds)


# questions


def questions(ainerd: Container, key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the questions; `key` is of a result with maps."""
    results, other = ainerd["results"], ResultStore(ainerd)
    yield "table, first, no snapshot yet (once)", lambda: (other.refresh(), other.table())
    yield "table, first", lambda: ResultStore(ainerd).table()
    store = ResultStore(ainerd)
    store.table()
    yield "table, again", store.table
    numbers = iter(range(10**6, 2 * 10**6))

    def one_more() -> float:
        write(ainerd, [record(next(numbers))])
        began = time.perf_counter()
        assert len(store.table()) > 0
        return began

    yield "table, one more", one_more
    yield "search: novel, near the wall", lambda: store.search(novelty_p=(None, 0.05), sample_x=(0, 1))
    yield "search: regime", lambda: store.search(regime=1)
    yield "search: words", lambda: store.search(text="pca")
    yield "similar", lambda: store.similar(key)
    yield "image", lambda: results[key].image()

    def near_the_wall() -> Container:  # anew: a client keeps its length
        return results.search(Key("novelty_p") <= 0.05).search(Key("sample_x") <= 1)

    yield "Tiled: novel, near the wall", lambda: list(near_the_wall())
    yield "Tiled: novel, near the wall, how many", lambda: len(near_the_wall())
    yield "Tiled: metadata of all (once)", lambda: {k: node.metadata for k, node in results.items().page_size(300)}


def measured(name: str, ask: Callable[[], Any], rounds: int) -> Row:
    """Return the times of the rounds; if `ask` returns when it began, time counts from there."""
    took: list[float] = []
    for _ in range(1 if "(once)" in name else rounds):
        if sum(took) > LONGEST_S:
            break
        began = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - (answer if isinstance(answer, float) else began))
    median, p95 = np.quantile(took, [0.5, 0.95])
    return {"question": name, "median (s)": float(median), "p95 (s)": float(p95), "rounds": len(took)}


def asked(client: Container, key: str, rounds: int, who: Sequence[str] = ("Tiled", "ResultStore")) -> Iterator[Row]:
    """Yield the times of each question of the page, asked by the page's own code."""
    page = PAGE.read_text()
    code = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"client": client, "key": key}
    exec(re.sub(r"^key = .*\n", "", code[1], flags=re.MULTILINE), names)
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
    found = eval(question, names)
    if isinstance(found, Container):
        list(found)


# scale


def grown(sizes: list[int]) -> list[Row]:
    """Return a row for each question or step of an agent, with a column for each number of results."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, embedded_server(name) as server:
        settings = settings_in(Path(name))
        _, ainerd = open_catalog(server.client())
        technique, present = build_technique(settings, ResultStore(ainerd)), 0
        for n in sizes:
            fill(server, ainerd, own_records(technique, settings.name, present, n), n - present)
            present = n
            kilobytes = (server.directory / "catalog.db").stat().st_size / n / 1e3
            figures = {"catalogue (kB a result)": kilobytes}
            for what, do in (*questions(ainerd, ainerd["results"].keys()[0]), *work(ainerd, technique, settings)):
                if what != "image":  # no result has maps
                    figures[f"{what} (s)"] = measured(what, do, 1)["median (s)"]
                    print(f"{n:>9,}  {what}: {figures[f'{what} (s)']:.3g}", flush=True)
            atlas = ResultStore(ainerd).newest_atlas()
            assert atlas is not None
            figures["atlas (MB)"] = len(json.dumps(atlas.metadata())) / 1e6
            for what, figure in figures.items():
                rows.setdefault(what, {"what": what})[f"n = {n:,}"] = figure
    for row in rows.values():
        *_, x, y = [np.nan, *list(row.values())[1:]]
        row["grows as"] = f"n^{np.log(y / x) / np.log(sizes[-1] / sizes[-2]):.1f}" if len(sizes) > 1 else ""
    return list(rows.values())


def work(ainerd: Container, technique: RheoXPCS, settings: Settings) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the steps of an agent for each run."""
    store = ResultStore(ainerd)
    points = store.embeddings()
    labels = store.table()["regime"].reindex(points.index).fillna(-1).to_numpy(int)
    new = record(0).changed(
        status="computing", raw_uid=str(uuid.uuid4()), agent=settings.name, parameters=dict(technique.parameters),
        arrays={}, series={}, supersedes=None,
    )  # fmt: skip
    yield "a run begins: its result", lambda: store.begin(new)
    fitted: list[Regimes] = []
    yield "refit of the regimes", lambda: fitted.append(technique.regimes(points.to_numpy(), labels))
    yield "label of a run like a known regime", lambda: fitted[0].predict(points.to_numpy()[:1])
    atlas = AtlasRecord(
        n_regimes=REGIMES, supported_range=(4, 6), labels=dict(zip(points.index, labels.tolist(), strict=True))
    )
    yield "atlas, written", lambda: store.add_atlas(atlas)
    yield "atlas, read by a new session", lambda: ResultStore(ainerd).newest_atlas()
    yield "explorer: takes them up, suggests", lambda: explored(store, technique, settings)


def explored(store: ResultStore, technique: RheoXPCS, settings: Settings) -> None:
    """Restore an explorer from the results, as an agent does when it starts, beside its refit."""
    table, points = store.table("complete"), store.embeddings()
    label = {z.tobytes(): int(k) for z, k in zip(points.to_numpy(), table["regime"].reindex(points.index), strict=True)}
    explorer = Explorer(
        settings.steering.bounds,
        labeler=lambda embeddings: np.array([label.get(z.tobytes(), -1) for z in embeddings]),
        noise=technique.regime_width,
        smallest_feature=settings.steering.smallest_feature,
        beam_size=settings.steering.beam_size,
        dose_limit=10**6,  # so that a sample of 10 mm has room for all
        alpha=technique.alpha,
    )
    where = table.loc[points.index, list(settings.steering.bounds)].to_dict("records")
    explorer.ingest(
        [{"_id": key, "embedding": z, **x} for key, z, x in zip(points.index, points.to_numpy(), where, strict=True)]
    )
    assert explorer.suggest(1)


# many


def attached(folder: Path, uri: str) -> Session:
    """Return a session on a server, with its agent attached."""
    session = Session(folder, connect(uri, KEY))
    session.frames(64, 0.64)
    session.agent.attach(session.RE)
    return session


def compared(client: Container, most: int = 100) -> tuple[int, list[str]]:
    """Return how many results of the agent were compared with a copy, and what differs that should not."""
    store, wrong = ResultStore(client["ainerd"]), []
    results, raw = client["ainerd/results"], client["raw"]
    written = [
        key
        for key, node in results.items()[: 2 * most]
        if "copy" not in node.metadata and node.metadata["status"] == "complete"
    ]
    copies = results.keys()[len(written) + 5 : 3 * len(written) + 5]
    made = {kind_of(results[key].metadata): key for key in copies}
    for key in written[:most]:
        ours = results[key]
        if (like := made.get(kind_of(ours.metadata))) is None:
            wrong.append(f"{key}: no copy has its names")
            continue
        other, own = results[like], {*ours.metadata["positions"], *CHANGED}
        names = ({*ours.metadata} ^ {*other.metadata}) - CHANGED - {"copy"}
        differs = {
            "names": names or {*ours} != {*other} or ours.specs != other.specs,
            "run": [*map(str, raw[ours.metadata["raw_uid"]])] != [*map(str, raw[other.metadata["raw_uid"]])],
            "key of its copy": store.record(other.item["id"]).key != other.item["id"],
            "values": any(type(ours.metadata[x]) is not type(other.metadata.get(x)) for x in {*ours.metadata} - own),
        }
        wrong += [f"{key}: {what}" for what, is_different in differs.items() if is_different]
    return len(written[:most]), wrong


def kind_of(metadata: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
    """Return the names that a result and its copies share; one whose fit gives only a limit has another name."""
    return frozenset(metadata["arrays"]), frozenset(metadata) - CHANGED - {"copy"}


def steps(folder: Path, uri: str, client: Container, settings: Settings, runs: int, only: str) -> Iterator[Row]:
    """Yield times by the clock, CPU times, and the peak of memory of each step."""
    ainerd = client["ainerd"]
    if only in ("", "table"):
        for i in range(1 + runs):
            has_snapshot = i > 0 or "snapshots" in ainerd
            what = "table from its snapshot" if has_snapshot else "table, no snapshot yet (once)"
            yield from in_process(read_table, what, uri)
    if only in ("", "start"):
        parameters = dict(build_technique(settings, ResultStore(ainerd)).parameters)
        store = ResultStore(ainerd, agent=settings.name, digest=digest(parameters))
        labels = store.table()["regime_then"].dropna().astype(int)
        atlas = AtlasRecord(
            n_regimes=REGIMES, supported_range=(4, 6), labels=dict(zip(labels.index, labels.tolist(), strict=True))
        )
        yield timed("atlas of all, written", lambda: store.add_atlas(atlas))
        yield from in_process(start_agent, "start of an agent, and its suggestion", str(folder), uri)
    if only in ("", "runs"):
        yield from in_process(take_runs, "a run", str(folder), uri, runs)


def in_process(do: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    """Return the rows of `do`, called in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        rows = pool.submit(do, *arguments).result()
    print(*rows, sep="\n", flush=True)
    return rows


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


def read_table(what: str, uri: str) -> list[Row]:
    """Read the table in a new session."""
    client = connect(uri, KEY)
    return [timed(what, lambda: ResultStore(client["ainerd"]).table())]


def start_agent(what: str, folder: str, uri: str) -> list[Row]:
    """Start an agent, and ask for its suggestion."""
    client, observers = connect(uri, KEY), []

    def start() -> None:
        observers.append(build_observer(settings_in(Path(folder)), client))
        assert observers[0].suggest()["reason"]

    row = timed(what, start)
    observers[0].close()
    return [row]


def take_runs(what: str, folder: str, uri: str, n: int) -> list[Row]:
    """Take runs with an agent and its suggestions; the simulated instrument is in the same process."""
    with closing(attached(Path(folder), uri)) as session:
        return [
            timed(what, lambda: session.RE(session.agent.explore(1)), lambda: session.agent.drain(600))
            for _ in track(range(n), "runs")
        ]


if __name__ == "__main__":
    study()
