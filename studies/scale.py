"""What grows with the number of results, and what a run of 100,000 frames takes on one process and on several.

Results: synthetic, of the agent's own parameters, with embeddings about five centres, in a real Tiled server. The first
is written as the agent writes it, the others are copies of its row with other numbers, put into the server's SQLite at
once; the arrays of results, which no question here touches, are not there. A question that would take longer than
`--limit` at the next size is not asked there: what stands in its place is extrapolated, and marked with a ~.

Runs: frames of 128 × 192 pixels with 0.02 photons each, four rings of 18 sectors; each worker is a process of its own
and reads the whole file for its part of the pixels.
"""

import argparse
import json
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import Detector
from rich.progress import track
from tiled.client.container import Container
from tiled.queries import Key

from agents.rheo_xpcs import TOML
from ainerd.agent import build_technique
from ainerd.config import Settings
from ainerd.results import AtlasRecord, ResultStore, result_key
from ainerd.server import embedded_server, open_catalog
from ainerd.steering import Explorer
from ainerd.technique import Regimes
from ainerd.techniques.rheo_xpcs import RheoXPCS
from ainerd.xpcs import Partition, TwoTimeReducer, split
from studies._refits import against_exact, megabytes, refits
from studies._report import report
from studies.query import record

REGIMES = 5


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that one question may take")
    parser.add_argument("--frames", type=int, default=100_000, help="of the huge run; 0 for none")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--campaigns", type=int, default=20, help="of 6,000 results, regrouped exactly; 0 for none")
    arguments = parser.parse_args()
    report("scale_refit", list(refits(arguments.results)), load_average=os.getloadavg()[0])
    if arguments.campaigns:
        report("scale_regimes", list(against_exact(6000, arguments.campaigns)))
    with tempfile.TemporaryDirectory() as folder, embedded_server(folder) as server:
        report("scale", grown(server.client(), Path(folder), arguments.results, arguments.limit))
    if arguments.frames:
        with tempfile.TemporaryDirectory() as folder:
            report("scale_run", list(shared(Path(folder), arguments.frames, arguments.workers)))


def grown(client: Container, folder: Path, sizes: list[int], limit: float) -> list[dict[str, Any]]:
    """A row for each question, a column for each size."""
    settings = Settings.load(TOML.with_name("small.toml"))
    _, ainerd = open_catalog(client)
    technique = build_technique(settings, ResultStore(ainerd))
    rows: dict[str, dict[str, Any]] = {}
    took: dict[str, list[tuple[int, float]]] = {}
    there = 0
    for n in sizes:
        fill(ainerd, folder / "catalog.db", technique, settings.name, there, n)
        there = n
        for name, ask in questions(ainerd, folder / "catalog.db", technique, settings, n):
            row, known = rows.setdefault(name, {"what": name}), took.setdefault(name, [])
            expected = extrapolated(known, n)
            if expected > limit:
                row[f"n = {n:,}"] = f"~{expected:.3g}"
                continue
            begun = time.perf_counter()
            answer = ask()
            figure = answer if isinstance(answer, float) else time.perf_counter() - begun
            known.append((n, figure))
            row[f"n = {n:,}"] = f"{figure:.3g}"
            print(f"{n:>9,}  {name}: {figure:.3g}", flush=True)
    for name, row in rows.items():
        known = took[name]
        for n in sizes:
            row.setdefault(f"n = {n:,}", "–")
        row["grows as"] = f"n^{power(known):.1f}" if len(known) > 1 else ""
    return list(rows.values())


def power(known: list[tuple[int, float]]) -> float:
    """Exponent between the last two figures."""
    (n, x), (m, y) = known[-2:]
    return float(np.log(y / x) / np.log(m / n))


def extrapolated(known: list[tuple[int, float]], n: int) -> float:
    """What is to be expected at `n`: by the power seen last, or linear after the first."""
    if not known:
        return 0.0
    m, y = known[-1]
    return y * (n / m) ** (max(power(known), 0.0) if len(known) > 1 else 1.0)


def questions(
    ainerd: Container, catalog: Path, technique: RheoXPCS, settings: Settings, n: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is asked, and what an agent does for each run; an answer that is a float is the figure itself."""
    results, store = ainerd["results"], ResultStore(ainerd)
    yield "catalogue (kB a result)", lambda: catalog.stat().st_size / n / 1e3
    yield "table, no snapshot (s)", lambda: (store.refresh(), store.table())
    yield "table, new session (s)", lambda: ResultStore(ainerd).table()
    store.table()
    yield "table, again (s)", store.table
    yield "search: novel, near the wall (s)", lambda: store.search(novelty_p=(None, 0.05), sample_x=(0, 1))
    yield "similar (s)", lambda: store.similar(store.table().index[0])
    yield (
        "Tiled alone: novel, near the wall (s)",
        lambda: len(results.search(Key("novelty_p") <= 0.05).search(Key("sample_x") <= 1)),
    )
    yield "a run begins: its result (s)", lambda: store.begin(made_anew(technique, settings.name))
    points = store.embeddings()
    labels = store.table()["regime"].reindex(points.index).fillna(-1).to_numpy(int)
    fitted: list[Regimes] = []
    yield "refit of the regimes (s)", lambda: fitted.append(technique.regimes(points.to_numpy(), labels))
    if fitted:
        yield "label of a run like a known regime (s)", lambda: fitted[0].predict(points.to_numpy()[:1])
    atlas = AtlasRecord(
        n_regimes=REGIMES, supported_range=(4, 6), labels=dict(zip(points.index, labels.tolist(), strict=True))
    )
    yield "atlas, written (s)", lambda: store.add_atlas(atlas)
    yield "atlas, read by a new session (s)", lambda: ResultStore(ainerd).newest_atlas()
    yield "atlas (MB)", lambda: len(json.dumps(atlas.metadata())) / 1e6
    yield "explorer: takes them up, suggests (s)", lambda: explored(store, technique, settings)


def explored(store: ResultStore, technique: RheoXPCS, settings: Settings) -> None:
    """What a start of the agent does with what it remembers, beside its refit."""
    table, points = store.table("complete"), store.embeddings()
    label = {z.tobytes(): int(k) for z, k in zip(points.to_numpy(), table["regime"].reindex(points.index), strict=True)}
    explorer = Explorer(
        settings.steering.bounds,
        labeler=lambda found: np.array([label.get(z.tobytes(), -1) for z in found]),
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


def made_anew(technique: RheoXPCS, agent: str) -> Any:
    """The record of a run that nobody has analysed."""
    return record(0).changed(
        status="computing", raw_uid=str(uuid.uuid4()), agent=agent, parameters=dict(technique.parameters), arrays={},
        series={}, supersedes=None,
    )  # fmt: skip


def fill(ainerd: Container, catalog: Path, technique: RheoXPCS, agent: str, first: int, last: int) -> None:
    """Results number first to last - 1; all but number 0 are copies of its row."""
    rng = np.random.default_rng([first, 1])
    size, width = technique.embedding_size, technique.regime_width
    centres = 10 * width * np.random.default_rng(0).standard_normal((REGIMES, size)) / np.sqrt(size)
    parameters = dict(technique.parameters)
    if first == 0:
        zero = record(0).changed(agent=agent, parameters=parameters, regime=0, embedding=centres[0])
        ainerd["results"].create_container(zero.key, metadata=zero.metadata(), specs=["AinerdResult"])
        first = 1
    with sqlite3.connect(catalog) as rows:
        (parent, family, said, specs) = rows.execute(
            "SELECT parent, structure_family, metadata, specs FROM nodes WHERE specs LIKE '%AinerdResult\"%' LIMIT 1"
        ).fetchone()
        zero = json.loads(said)

        def row(i: int) -> tuple[str, str]:
            uid, p, regime = str(uuid.UUID(bytes=rng.bytes(16))), rng.random(), i % REGIMES
            x, y = rng.uniform(0, 10, 2)
            changed = {
                "raw_uid": uid,
                "suggestion_id": str(uuid.UUID(bytes=rng.bytes(16))),
                "scan_id": i,
                "run_time": 1.79e9 + 60 * i,
                "sample_x": x,
                "sample_y": y,
                "embedding": (centres[regime] + 0.2 * width * rng.standard_normal(size) / np.sqrt(size)).tolist(),
                "novelty_p": p,
                "novel": p <= 0.05,
                "regime": regime,
                "atlas_version": i + 1,
                "tau_s": rng.lognormal(),
                "time_since_shear": 60.0 * i,
            }
            return result_key(uid, parameters), json.dumps(zero | changed)

        rows.executemany(
            "INSERT INTO nodes (parent, key, structure_family, metadata, specs) VALUES (?, ?, ?, ?, ?)",
            (
                (parent, key, family, said, specs)
                for key, said in map(row, track(range(first, last), description=f"{last:,} results"))
            ),
        )
    rows.close()


def shared(folder: Path, n_frames: int, numbers: list[int]) -> Iterator[dict[str, Any]]:
    """The maps of one run by one worker and by several, each a fresh process: seconds, and the peak of the largest."""
    from distributed import Client, LocalCluster

    path, where = folder / "run.h5", rings()
    first_bin = split(where, where.n_roi)[0]
    write_run(path, where.shape, n_frames)
    whole = None
    for n in numbers:
        with (
            LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR") as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            parts = split(where, n)
            client.run(maps_of, first_bin, path, 512)  # imports, compiles
            begun = time.perf_counter()
            found = client.gather(client.map(partial(maps_of, path=path, n_frames=n_frames), parts, pure=False))
            took = time.perf_counter() - begun
        maps = np.concatenate([part for part, _ in found])
        whole = maps if whole is None else whole
        yield {
            "workers": n,
            "T": n_frames,
            "bins": where.n_roi,
            "pixels": len(where.pixels),
            "wall (s)": took,
            "most memory of a worker (MB)": max(peak for _, peak in found),
            "same bits": str(np.array_equal(maps, whole)),
        }


def maps_of(part: Partition, path: Path, n_frames: int) -> tuple[NDArray, float]:
    """Maps of a part's bins, and what they took above what the process had, in MB."""
    from ainerd.documents import FrameReader

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = megabytes("VmRSS")
    reader = FrameReader(path, "entry/data/data", part.pixels, part.shape, swmr=False)
    reducer = TwoTimeReducer(part, n_frames)
    for block in reader.blocks(0, n_frames):
        reducer.push(block)
    reader.close()
    maps = reducer.maps()
    return maps, megabytes("VmHWM") - before


def rings() -> Partition:
    """Four rings of 18 sectors on 128 × 192 pixels."""
    return Partition.annular(
        detector=Detector(pixel1=55e-6, pixel2=55e-6, max_shape=(128, 192)),
        beam_center_px=(64.0, 96.0),
        distance_m=6.0,
        energy_keV=11.0,
        q_range_inv_nm=(0.005, 0.031),
        n_q=4,
        n_phi=18,
    )


def write_run(path: Path, shape: tuple[int, int], n_frames: int, distinct: int = 2000) -> None:
    """A movie of `n_frames`, of `distinct` ones again and again, a chunk each, as a detector writes them."""
    distinct = min(distinct, n_frames)
    counts = np.random.default_rng(0).poisson(0.02, (distinct, *shape)).astype(np.uint16)
    with h5py.File(path, "w", libver="latest") as file:
        frames = file.create_dataset(
            "entry/data/data", (n_frames, *shape), np.uint16, chunks=(1, *shape), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        frames[:distinct] = counts
        chunks = [frames.id.read_direct_chunk((t, 0, 0))[1] for t in range(distinct)]
        for t in track(range(distinct, n_frames), description=f"{n_frames:,} frames"):
            frames.id.write_direct_chunk((t, 0, 0), chunks[t % distinct])


if __name__ == "__main__":
    main()
