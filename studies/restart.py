"""How soon an agent is ready again that finds its results in Tiled.

The results are synthetic, of the agent's own parameters, with embeddings scattered about those of known exposures; the
server is a process of its own. Ready means built, with its regimes and its map of the sample, and with a suggestion.
The imports and the connection come before.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from tiled.client.container import Container

from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer, build_technique
from ainerd.config import Settings
from ainerd.results import AtlasRecord, ResultRecord, ResultStore
from ainerd.server import connect, open_catalog
from studies._report import report
from studies._server import KEY, server_of
from studies.query import record

REGIMES = 5


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for n in arguments.results:
        with tempfile.TemporaryDirectory() as folder, catalogue(Path(folder), n) as (settings, uri):
            took = [ready(settings, uri) for _ in range(arguments.rounds)]
        rows.append({"results": n, "median (s)": float(np.median(took)), "worst (s)": max(took)})
    report("restart", rows)


@contextmanager
def catalogue(folder: Path, n: int) -> Iterator[tuple[Settings, str]]:
    """A server with so many results of the agent with these settings."""
    settings = Settings.load(TOML.with_name("small.toml"))
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    with server_of(folder) as uri:
        _, ainerd = open_catalog(connect(uri, KEY))
        write(settings, ainerd, n)
        yield settings, uri


def write(settings: Settings, ainerd: Container, n: int) -> None:
    """Results that the agent takes for its own, and an atlas of them."""
    technique, rng = build_technique(settings, ResultStore(ainerd)), np.random.default_rng(0)
    landmarks = technique.landmarks()
    kinds = rng.choice(np.unique(landmarks.names), REGIMES, replace=False)
    centres = np.stack([landmarks.embeddings[np.array(landmarks.names) == kind].mean(0) for kind in kinds])

    def result(i: int) -> ResultRecord:
        regime = i % REGIMES
        scatter = 0.2 * technique.regime_width * np.random.default_rng(i).standard_normal(technique.embedding_size)
        x, y = np.random.default_rng(i).uniform(0, 10, 2)
        return record(i).changed(
            agent=settings.name,
            parameters=dict(technique.parameters),
            embedding=centres[regime] + scatter,
            positions=dict(zip(settings.steering.bounds, (x, y), strict=True)),
            regime=regime,
        )

    made = [result(i) for i in range(n)]

    def create(r: ResultRecord) -> None:
        ainerd["results"].create_container(r.key, metadata=r.metadata(), specs=["AinerdResult"])

    with ThreadPoolExecutor(3) as pool:
        list(track(pool.map(create, made), total=n, description=f"writing {n} results"))
    labels = {r.key: int(r.regime or 0) for r in made}
    ResultStore(ainerd).add_atlas(AtlasRecord(n_regimes=REGIMES, supported_range=(REGIMES, REGIMES), labels=labels))


def ready(settings: Settings, uri: str) -> float:
    """Seconds from the connected client to a suggestion."""
    client: Any = connect(uri, KEY)
    begun = time.perf_counter()
    observer = build_observer(settings, client)
    assert observer.suggest()["reason"]
    took = time.perf_counter() - begun
    observer.close()
    return took


if __name__ == "__main__":
    main()
