"""How long a person waits for what they ask of thousands of results.

A catalogue of synthetic results on an embedded server; every result has the metadata that the agent writes, one has
arrays. "first" is the first table of a new `ResultStore`, as in a new session; "again" is one more of the same store;
"one more" comes after another process wrote a result. The last rows are plain Tiled.

Then each question of the documentation's page of questions, once with `ResultStore` and once with Tiled alone, of the
newest `--asked` results: what is found is listed, arrays are read.
"""

import argparse
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from rich.progress import track
from tiled.client.container import Container
from tiled.queries import Key

from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import embedded_server, open_catalog
from ainerd.technique import Analysis
from studies._report import report

PARAMETERS = {
    "technique": "rheo_xpcs",
    "partition": "a" * 64,
    "n_roi": 18,
    "reducer": {"size": 256, "reduction": "area", "diagonal": "poisson", "normalization": "smoothed"},
    "encoder": "b" * 64,
    "bank": "c" * 16,
    "contrast": 0.2,
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "twenty-questions.md"
LONGEST_S = 20.0  # for the rounds of one question
DUSK = 1795111200.0  # of the night that the page asks about
UNITS = {"sample_x": "mm", "sample_y": "mm", "stress": "Pa", "tau_s": "s", "counts_per_pixel": "photons/pixel/frame"}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=5000)
    parser.add_argument("--asked", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="Keep the catalogue there, and use what is there.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded_server(arguments.directory or folder) as server:
        _, ainerd = open_catalog(server.client())
        key = seed(ainerd, arguments.results)
        rows = [measured(name, ask, arguments.rounds) for name, ask in questions(ainerd, key)]
        report("query", rows, results=len(ResultStore(ainerd)), load_average=os.getloadavg()[0])
    with tempfile.TemporaryDirectory() as folder, embedded_server(folder) as server:
        raw, ainerd = open_catalog(server.client())
        key = seed(ainerd, arguments.asked)
        add_cases(raw, ainerd, key)
        rows = list(asked(server.client(), key, arguments.rounds))
        report("query_page", rows, results=arguments.asked + 1, load_average=os.getloadavg()[0])


def questions(ainerd: Container, key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is asked; `key` is of a result with maps."""
    results, other = ainerd["results"], ResultStore(ainerd)
    yield "table, first, no snapshot yet (once)", lambda: (other.refresh(), other.table())
    yield "table, first", lambda: ResultStore(ainerd).table()
    store = ResultStore(ainerd)
    store.table()
    yield "table, again", store.table

    def one_more() -> Any:
        results.create_container(f"{uuid.uuid4()}", metadata=record(next(numbers)).metadata(), specs=["AinerdResult"])
        begun = time.perf_counter()
        assert len(store.table()) > 0
        return begun

    numbers = iter(range(10**6, 2 * 10**6))
    yield "table, one more", one_more
    yield "search: novel, near the wall", lambda: store.search(novelty_p=(None, 0.05), sample_x=(0, 1))
    yield "search: regime", lambda: store.search(regime=1)
    yield "search: words", lambda: store.search(text="pca")
    yield "similar", lambda: store.similar(key)
    yield "image", lambda: results[key].image()
    yield (
        "Tiled: novel, near the wall",
        lambda: list(results.search(Key("novelty_p") <= 0.05).search(Key("sample_x") <= 1)),
    )
    yield "Tiled: metadata of all (once)", lambda: {k: node.metadata for k, node in results.items().page_size(300)}


def asked(
    client: Container, key: str, rounds: int, who: Sequence[str] = ("Tiled", "ResultStore")
) -> Iterator[dict[str, Any]]:
    """A row for each question of the page, with times of those `who` are asked; its code is what is measured."""
    page = PAGE.read_text()
    code = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"client": client, "key": key}
    exec(re.sub(r"^key = .*\n", "", code[1], flags=re.MULTILINE), names)
    names["store"].table()
    for question, *ways in re.findall(r"^\| (….*?) \| `(.*)` \| `(.*)` \|$", page, re.MULTILINE):
        found: dict[str, Any] = {"question": question}
        for name, way in zip(("Tiled", "ResultStore"), ways, strict=True):
            if name not in who:
                continue
            took = measured(question, partial(listed, compile(way, question, "eval"), names), rounds)
            found |= {f"{name}, median (ms)": 1e3 * took["median (s)"], f"{name}, p95 (ms)": 1e3 * took["p95 (s)"]}
        yield found


def listed(question: CodeType, names: dict[str, Any]) -> None:
    """Answer it."""
    answer = eval(question, names)
    if isinstance(answer, Container):
        list(answer)


def add_cases(raw: Container, ainerd: Container, key: str) -> None:
    """What the page asks for beside ordinary results: the run and the suggestion behind one, notes, every status."""
    store = ResultStore(ainerd)
    one = store.record(key)
    if one.raw_uid not in raw:
        raw.create_container(one.raw_uid, metadata={"start": {"uid": one.raw_uid, "plan_name": "count", "scan_id": 4}})
    store.add_suggestion(SuggestionRecord(id=one.suggestion_id, positions=one.positions, reason="edge of regime 1"))
    for status, by in {"withdrawn": "ainerd", "superseded": "ainerd", "rejected": "person"}.items():
        store.add_suggestion(SuggestionRecord(id=status, positions=one.positions, reason="edge of regime 1"))
        store.set_status(status, status, "a bubble", by=by)
    store.log("measured", raw_uid=one.raw_uid)
    store.note("a bubble", raw_uid=record(4).raw_uid, scan="4")
    for number, changes in enumerate(
        (
            {"scan_id": 20, "event": 1, "start": {"plan": "count", "sample": "PEG 4"}},
            {"scan_id": 20, "event": 2, "start": {"plan": "count", "sample": "PEG 4"}, "status": "partial"},
            {"status": "failed", "reason": "the disk was full", "retake": True, "regime": None},
            {"status": "failed", "reason": "zero photons: is the shutter open?", "regime": None},
            {"status": "computing", "regime": None},
            {"novelty_p": None, "novel": None},
            {"parameters": PARAMETERS | {"contrast": 0.3}, "raw_uid": record(5).raw_uid},
        )
    ):
        more = record(2 * 10**6 + number).changed(**changes)
        ainerd["results"].create_container(more.key, metadata=more.metadata(), specs=["AinerdResult"])


def measured(name: str, ask: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Seconds of the rounds; a question that says when it began is timed from there; none goes on for `LONGEST_S`."""
    took: list[float] = []
    for _ in range(1 if "(once)" in name else rounds):
        if sum(took) > LONGEST_S:
            break
        begun = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - (answer if isinstance(answer, float) else begun))
    median, p95 = np.quantile(took, [0.5, 0.95])
    return {"question": name, "median (s)": float(median), "p95 (s)": float(p95), "rounds": len(took)}


def record(i: int) -> ResultRecord:
    """A synthetic result, the same for the same number but for its time."""
    rng = np.random.default_rng(i)
    return ResultRecord(
        status="complete",
        raw_uid=(run := str(uuid.UUID(bytes=rng.bytes(16)))),
        raw_path=f"raw/{run}",
        scan_id=i,
        run_time=DUSK + 60 * (i - 500),
        start={"sample": f"PEG {i % 9}", "user": "ada" if i % 2 else "bob", "proposal": 271, "plan": "expose"},
        suggestion_id=str(uuid.UUID(bytes=rng.bytes(16))),
        technique="rheo_xpcs",
        agent="ainerd",
        parameters=PARAMETERS,
        model={"name": "pca", "sha256": "b" * 64},
        calibration={"id": "c" * 16, "n": 300, "alpha": 0.05},
        positions={"sample_x": rng.uniform(0, 10), "sample_y": rng.uniform(0, 10)},
        n_frames=5000,
        frame_time_s=0.01,
        embedding=rng.normal(size=16),
        novelty_p=(p := rng.random()),
        novel=bool(p <= 0.05),
        regime=int(rng.integers(5)),
        atlas_version=i + 1,
        summary={
            "tau_s": rng.lognormal(),
            "counts_per_pixel": 0.05,
            "kww_exponent": 1.1,
            "contrast": 0.2,
            "shear_rate": 0.0,
            "time_since_shear": 60.0 * i,
        }
        | {f"stress_{what}": rng.uniform(80, 200) for what in ("mean", "min", "max", "last")},
        units=UNITS,
        arrays={"c2": [18, 256, 256], "latent": [18, 16], "g2": [18, 60], "g2_err": [18, 60], "tau": [60]},
        series={"stress": 500},
    )


def seed(ainerd: Container, n: int) -> str:
    """Results, one more with its maps, whose key is returned, and an atlas; what is there already counts."""
    store = ResultStore(ainerd)
    made, there = [record(i) for i in range(n)], set(store.table().index)
    missing = [r for r in made if r.key not in there]

    def write(r: ResultRecord) -> None:
        ainerd["results"].create_container(r.key, metadata=r.metadata(), specs=["AinerdResult"])

    with ThreadPoolExecutor(3) as pool:
        list(track(pool.map(write, missing), total=len(missing), description=f"writing {len(missing)} results"))
    last = record(n).changed(status="computing", arrays={}, series={})
    maps = 1 + np.random.default_rng(0).random((18, 256, 256), dtype=np.float32)
    said = Analysis(
        embedding=np.array(last.embedding, np.float32),
        novelty_p=last.novelty_p,
        arrays={"c2": maps},
        model=last.model,
        calibration=last.calibration,
    )
    stress = (np.arange(500.0), np.linspace(200, 80, 500))
    store.complete(store.begin(last), said, series={"stress": stress})
    labels = {r.key: r.regime for r in made if r.regime is not None}
    store.add_atlas(AtlasRecord(n_regimes=5, supported_range=(4, 6), labels=labels))
    return last.key


if __name__ == "__main__":
    main()
