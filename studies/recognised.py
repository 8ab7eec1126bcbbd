"""Exposures until every regime of a sample is recognised, by what the agent itself makes of each exposure.

Samples are those of `studies.discovery`: regions from nine generators, none of which the policy's prior is. Each
regime is a truth of one family of `ainerd.dynamics`; in every second sample the rarest is of a held-out one. An
exposure has parameters within a quarter, events at any time, an azimuth and a contrast of its own, 18 bins of 570
pixels, and 250, 500 or 2500 photons a pixel, which the agent's regimes are not told. Maps are encoded, judged and
grouped one by one by the agent's code; p-values and labels steer. A regime is recognised when most of its exposures
have one label, and most exposures with that label are of it. One that is not within 80 exposures counts as 100. The
n-th exposure of a regime is the same for every strategy. Intervals are 95 %, from a bootstrap over samples, paired.

Each sample is written to ``output/studies/recognised.jsonl`` as it is done; a run that was stopped goes on there,
as long as nothing that decides was changed.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import ainerd
from ainerd.dynamics import DIRECTIONS, HELD_OUT, KNOWN, clean_exposure, draw
from ainerd.latent.training import variant
from ainerd.novelty import grouped
from ainerd.steering import Explorer
from ainerd.techniques.rheo_xpcs._clean import Clean
from ainerd.techniques.rheo_xpcs._null import Views, views
from studies._discovery_tables import resampled
from studies._hidden_maps import EXPOSURES, MISSED, hidden_map
from studies._report import report
from studies._resumed import Row, digest_of, resumed
from studies._strategies import BASELINES, EXPOSURE_S, RHO, SMALLEST, WIDTH_MM, Positions
from studies.nights import technique

PHOTONS = (250.0, 500.0, 2500.0)
OURS = "ours"
SOBOL = tuple(name for name in BASELINES if name.startswith("Sobol"))
COMPARED = {"Sobol": SOBOL, "R2": ("R2",), "random": ("random",)}
TARGETS = {"Sobol": 0.85, "R2": 0.92}

shipped = cache(technique)


class Sample:
    """A hidden map, and the exposures of each of its regimes: `EXPOSURES` of each."""

    def __init__(self, i: int, seed: int) -> None:
        rng = np.random.default_rng([seed, i, 7])
        self.hidden = hidden_map(i, seed)
        self.photons = PHOTONS[i // 2 % len(PHOTONS)]
        families = list(rng.choice(KNOWN, self.hidden.n_regimes, replace=False))
        if i % 2:
            rarest = int(np.bincount(self.hidden.regions.ravel()).argmin())
            families[rarest] = str(rng.choice(sorted(HELD_OUT)))
        self.families = [str(family) for family in families]
        self.exposures = [self._exposures(family, rng) for family in self.families]

    def _exposures(self, family: str, rng: np.random.Generator) -> Views:
        truth, clean = draw(family, rng, 1.0), []
        for _ in range(EXPOSURES):
            azimuth = rng.uniform(0, 360)
            clean.append(Clean.at_directions(clean_exposure(variant(truth, rng), DIRECTIONS + azimuth)))
        return views(shipped(), clean, each=1, seed=int(rng.integers(2**31)), photons=self.photons)


class Walk:
    """Exposures of a sample one by one, and what the agent's code makes of them."""

    def __init__(self, sample: Sample) -> None:
        self._sample, self._highest = sample, -1
        self._z: list[NDArray[np.float32]] = []
        self._p: list[float] = []
        self._truth: list[int] = []
        self.labels = np.empty(0, dtype=np.int64)
        self.seen = self.recognised = MISSED

    @property
    def is_over(self) -> bool:
        """Whether all regimes are recognised, or beam time is."""
        return self.recognised < MISSED or len(self._truth) == EXPOSURES

    def measure(self, position: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
        """Embedding and p-value of the next exposure, at (2,)."""
        k, of, n = int(self._sample.hidden.regime(position[None])[0]), shipped(), self._sample.hidden.n_regimes
        found, number = self._sample.exposures[k], self._truth.count(k)
        z, p = found.z[number, 0], float(found.p[number, 0])
        self._truth.append(k)
        self._z.append(z)
        self._p.append(p)
        before, novel = np.append(self.labels, -1), (np.array(self._p) <= of.alpha).astype(int)
        now = grouped(of.regimes, np.stack(self._z), before, novel, width=of.regime_width, highest=self._highest)
        self.labels = now.regimes.labels
        self._highest = max(self._highest, int(self.labels.max()))
        if len(set(self._truth)) == n:
            self.seen = min(self.seen, len(self._truth))
            if recognised(np.array(self._truth), self.labels, n):
                self.recognised = min(self.recognised, len(self._truth))
        return z, p

    def row(self) -> Row:
        """Exposures until all regimes were seen, and recognised."""
        return {"seen": self.seen, "recognised": self.recognised}


def recognised(truth: NDArray[np.int64], labels: NDArray[np.int64], n: int) -> bool:
    """Whether each of n regimes has a label of its own."""
    for k in range(n):
        names, counts = np.unique(labels[(truth == k) & (labels >= 0)], return_counts=True)
        if not names.size:
            return False
        name = names[counts.argmax()]
        if (labels[truth == k] == name).mean() <= 0.5 or (truth[labels == name] == k).mean() <= 0.5:
            return False
    return True


def along(sample: Sample, way: Positions) -> Row:
    """A sequence that looks at nothing."""
    walk = Walk(sample)
    for position in way:
        walk.measure(position)
        if walk.is_over:
            break
    return walk.row()


def steered(sample: Sample) -> Row:
    """The agent's explorer, told embeddings, p-values and labels."""
    walk, here = Walk(sample), sample.hidden.start
    explorer = Explorer(
        {"sample_x": (0.0, WIDTH_MM), "sample_y": (0.0, WIDTH_MM)},
        labeler=lambda embeddings: walk.labels,
        noise=shipped().regime_width,
        alpha=shipped().alpha,
        travel_time=lambda a, b: np.linalg.norm(b - a, axis=1) / WIDTH_MM * RHO * EXPOSURE_S,
        exposure_s=EXPOSURE_S,
        smallest_feature=SMALLEST * WIDTH_MM,
    )
    while True:
        z, p = walk.measure(here)
        if walk.is_over:
            return walk.row()
        x, y = WIDTH_MM * here
        explorer.ingest([{"sample_x": x, "sample_y": y, "embedding": z, "novelty_p": p}])
        (suggestion,) = explorer.suggest()
        explorer.withdraw(suggestion["_id"])
        here = np.array([suggestion["sample_x"], suggestion["sample_y"]]) / WIDTH_MM


def on_sample(seed: int, case: tuple[str, int]) -> Row:
    """Scores of every strategy on one sample."""
    sample = Sample(case[1], seed)
    scores = {name: along(sample, BASELINES[name](sample.hidden)) for names in COMPARED.values() for name in names}
    about = {"kind": sample.hidden.kind, "photons": sample.photons, "families": sample.families}
    return about | {"scores": scores | {OURS: steered(sample)}}


def values(rows: Sequence[Row], names: Sequence[str], what: str) -> NDArray[np.float64]:
    """One number a sample; of several sequences the mean."""
    return np.mean([[row["scores"][name][what] for row in rows] for name in names], axis=0)


def overview(rows: Sequence[Row]) -> Iterator[Row]:
    """A row for each strategy, and ours against it."""
    ours = {what: values(rows, [OURS], what) for what in ("seen", "recognised")}
    for name, names in {**COMPARED, OURS: (OURS,)}.items():
        its = {what: values(rows, names, what) for what in ours}
        row: Row = {"strategy": name, "seen": its["seen"].mean(), "recognised": its["recognised"].mean()}
        row["missed"] = np.mean([[r["scores"][n]["recognised"] == MISSED for r in rows] for n in names])
        for what in ours:
            low, high = resampled(np.divide, ours[what], its[what])
            row[f"ours / its, {what}"] = f"{ours[what].mean() / its[what].mean():.3f} [{low:.3f}, {high:.3f}]"
        yield row | {"asked": f"≤ {TARGETS[name]}" if name in TARGETS else ""}


def by_kind(rows: Sequence[Row]) -> Iterator[Row]:
    """Exposures until all are recognised, by generator, counts, and whether one regime is held out."""
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    groups |= {f"{photons:.0f} photons": [r for r in rows if r["photons"] == photons] for photons in PHOTONS}
    held = [not HELD_OUT.isdisjoint(row["families"]) for row in rows]
    for is_held, name in ((True, "one held out"), (False, "none held out")):
        groups[name] = [row for row, has in zip(rows, held, strict=True) if has == is_held]
    for name, some in groups.items():
        if some:
            strategies = {**COMPARED, OURS: (OURS,)}.items()
            yield {"samples": name, "n": len(some)} | {s: values(some, n, "recognised").mean() for s, n in strategies}


def fingerprint() -> str:
    """Of what encodes, judges, groups and steers, and of the benchmark."""
    room, here = Path(ainerd.__file__).parent, Path(__file__).parent
    folders = [room / name for name in ("techniques/rheo_xpcs", "novelty", "latent", "steering", "dynamics")]
    sources = [p for folder in folders for p in sorted(folder.rglob("*")) if p.suffix in (".py", ".safetensors")]
    return digest_of([*sources, *(here / name for name in ("_hidden_maps.py", "_strategies.py", "recognised.py"))])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=324)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="nine samples")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples = 9
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    cases, run = [("sample", i) for i in range(arguments.samples)], {"run": fingerprint(), "seed": arguments.seed}
    pool = ProcessPoolExecutor(arguments.workers, initializer=partial(threadpool_limits, 1))
    rows = resumed("recognised", run, cases, partial(on_sample, arguments.seed), pool)
    about = {"samples": len(rows), "seed": arguments.seed, "rho": RHO, "smallest radius": SMALLEST}
    report("recognised", list(overview(rows)), **about)
    report("recognised_by_kind", list(by_kind(rows)), **about)


if __name__ == "__main__":
    main()
