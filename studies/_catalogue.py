"""Synthetic results of rheo-XPCS, written into the catalogue of an embedded server.

All results have the metadata that the agent writes, and none has arrays but those of `add_with_maps`.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from rich.progress import track
from tiled.client.container import Container

from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import EmbeddedServer
from ainerd.technique import Analysis
from ainerd_xpcs.technique import RheoXPCS

REGIMES = 5
PARAMETERS = {
    "technique": "rheo_xpcs",
    "partition": "a" * 64,
    "n_roi": 18,
    "reducer": {"size": 256, "reduction": "area", "diagonal": "poisson", "normalization": "smoothed"},
    "encoder": "b" * 64,
    "bank": "c" * 16,
    "contrast": 0.2,
}
DUSK = 1795111200.0  # of the night that the page of questions names
UNITS = {"sample_x": "mm", "sample_y": "mm", "stress": "Pa", "tau_s": "s", "counts_per_pixel": "photons/pixel/frame"}


def record(i: int) -> ResultRecord:
    """Return a complete synthetic result: the same for the same number, but for its time of creation."""
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
        regime=int(rng.integers(REGIMES)),
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


def own_records(technique: RheoXPCS, agent: str, first: int, last: int) -> Iterator[ResultRecord]:
    """Yield results that an agent takes for its own, with embeddings about `REGIMES` centres."""
    size, width = technique.embedding_size, technique.regime_width
    centres = 10 * width * np.random.default_rng(0).standard_normal((REGIMES, size)) / np.sqrt(size)
    for i in range(first, last):
        scatter = 0.2 * width * np.random.default_rng([i, 1]).standard_normal(size) / np.sqrt(size)
        one = record(i)
        x, y = one.positions.values()
        yield one.changed(
            agent=agent,
            positions={"sample_x": 0.9 * x, "sample_y": y},  # a strip of the sample is left to measure
            parameters=dict(technique.parameters),
            regime=i % REGIMES,
            embedding=centres[i % REGIMES] + scatter,
        )


def write(ainerd: Container, records: Iterable[ResultRecord]) -> None:
    """Write results one by one through Tiled."""
    for r in records:
        ainerd["results"].create_container(r.key, metadata=r.metadata(), specs=["AinerdResult"])


def fill(server: EmbeddedServer, ainerd: Container, records: Iterable[ResultRecord], n: int) -> None:
    """Write `n` results: the first through Tiled if there is none yet, the others into the server's SQLite at once."""
    records = iter(records)
    if not len(ainerd["results"]):
        write(ainerd, [next(records)])
    with sqlite3.connect(server.directory / "catalog.db") as database:
        parent, family, specs = database.execute(
            "SELECT parent, structure_family, specs FROM nodes WHERE specs LIKE '%AinerdResult\"%' LIMIT 1"
        ).fetchone()
        database.executemany(
            "INSERT INTO nodes (parent, key, structure_family, metadata, specs) VALUES (?, ?, ?, ?, ?)",
            (
                (parent, r.key, family, json.dumps(r.metadata()), specs)
                for r in track(records, f"{n:,} results", total=n)
            ),
        )
    database.close()


def add_with_maps(store: ResultStore, i: int, **changes: Any) -> str:
    """Write a result with maps, as the agent writes it, and return its key."""
    rng = np.random.default_rng(i)
    last = record(i).changed(status="computing", arrays={}, series={}, supersedes=None, **changes)
    analysis = Analysis(
        embedding=rng.normal(size=np.size(last.embedding)).astype(np.float32),
        novelty_p=rng.random(),
        arrays={
            "c2": 1 + rng.random((18, 256, 256), dtype=np.float32),
            "denoised": 1 + rng.random((18, 64, 64), dtype=np.float32),
            "g2": 1 + rng.random((18, 60)),
            "tau": 0.01 * np.arange(1, 61),
        },
        dims={"c2": ("roi", "t1", "t2"), "g2": ("roi", "tau"), "tau": ("tau",)},
        model=last.model,
        calibration=last.calibration,
    )
    key = store.begin(last)
    store.complete(key, analysis, series={"stress": (np.arange(500.0), np.linspace(200, 80, 500))})
    return key


def add_new(ainerd: Container, i: int, technique: RheoXPCS, agent: str) -> str:
    """Write a result with maps of a run that was just taken."""
    return add_with_maps(
        ResultStore(ainerd),
        i,
        raw_uid=str(uuid.uuid4()),
        agent=agent,
        parameters=dict(technique.parameters),
        embedding=np.zeros(technique.embedding_size),
        run_time=time.time(),
    )


def seed(server: EmbeddedServer, ainerd: Container, n: int) -> str:
    """Write `n` results, one more with maps, and an atlas; return the key of the one with maps."""
    records = [record(i) for i in range(n)]
    fill(server, ainerd, records, n)
    labels = {r.key: r.regime for r in records if r.regime is not None}
    ResultStore(ainerd).add_atlas(AtlasRecord(n_regimes=REGIMES, supported_range=(4, 6), labels=labels))
    return add_with_maps(ResultStore(ainerd), n)


def add_cases(raw: Container, ainerd: Container, key: str) -> None:
    """Add nodes for the page of questions: run and suggestion of a result, notes, and results of every status."""
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
    scan = {"raw_uid": record(20).raw_uid, "scan_id": 20, "start": {"plan": "count", "sample": "PEG 4"}}
    cases: list[dict[str, Any]] = [
        scan | {"event": 1},
        scan | {"event": 2, "status": "partial"},
        {"status": "failed", "reason": "the disk was full", "retake": True, "regime": None},
        {"status": "failed", "reason": "zero photons: is the shutter open?", "regime": None},
        {"status": "computing", "regime": None},
        {"novelty_p": None, "novel": None},
        {"parameters": PARAMETERS | {"contrast": 0.3}, "raw_uid": record(5).raw_uid},
    ]
    write(ainerd, (record(2 * 10**6 + number).changed(**changes) for number, changes in enumerate(cases)))
