"""Campaigns: how often ordinary physics is called new, and whether regimes are found as they are.

campaign    An agent explores samples in closed loop with devices, RunEngine, Tiled, and verdicts that steer. Each
            campaign is on a sample of its own seed. Particles that crowd, blocks that yield in avalanches, and a fluid
            that flows (`sim_devices.SAMPLES`) share nothing with the bank: each has three or four regimes of ordinary
            physics without a prescribed correlation function; scattering is summed over what moves. Exposures of
            ordinary regimes that got a p-value are counted; those held out of every bank are counted apart. "As told":
            the instrument is as the agent's settings describe it. "Not as told": it differs by `SPOILT`. "Prescribed":
            inclusions, grains and bands with prescribed correlation functions. "One regime": the same everywhere.
recognised  Exposures until every regime of a sample is recognised, on the samples of `studies.discovery`. Each regime
            is a truth of one family of `ainerd.dynamics`; in every second sample the rarest is of a held-out family.
            Exposures have parameters within a quarter, events at any time, an azimuth and a contrast of their own, 18
            bins of 570 pixels, and 250, 500 or 2500 photons a pixel, which the agent's regimes do not know. Maps are
            encoded, judged and grouped one by one by the agent's code; p-values and labels steer. A regime is
            recognised when most of its exposures have one label, and most exposures with that label are of it. One that
            is not within 80 exposures counts as 100. The n-th exposure of a regime is the same for every strategy.

Intervals are 95 %, from a bootstrap over campaigns or samples. An interrupted study continues where it stopped, unless
the code that decides was changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import ainerd
import sim_devices
from ainerd.dynamics import DIRECTIONS, HELD_OUT, KNOWN, clean_exposure, draw
from ainerd.latent.training import variant
from ainerd.novelty import grouped
from ainerd.server import embedded_server
from ainerd.techniques.rheo_xpcs import Clean, Views, views
from studies._hidden_maps import EXPOSURES, MISSED, hidden_map
from studies._session import Session
from studies._strategies import (
    BASELINES,
    OURS,
    RHO,
    SMALLEST,
    SOBOL,
    WIDTH_MM,
    Positions,
    explorer,
    ratio,
    values,
)
from studies._tools import Case, Row, Study, bootstrap, digest_of, report, resumed
from studies.nights import technique

OWN, PRESCRIBED = ("particles", "blocks", "flow_field"), ("inclusions", "voronoi", "bands")
SAMPLES = {"as told": OWN, "not as told": OWN, "prescribed": PRESCRIBED, "one regime": ("null",)}
FRAMES, EXPOSURE_S, SPEED = 250, 50.0, 100.0
ALPHA = 0.05
SPOILT: dict[str, Any] = {
    "contrast": 0.17,
    "noise_rms": 0.02,
    "drift": -0.1,
    "unlit_share": 0.01,
    "geometry": {"beam_center_px": (65.5, 95.0), "distance_m": 6.1, "unlisted_share": 5e-4},
}
PHOTONS = (250.0, 500.0, 2500.0)
TARGETS = {"Sobol": 0.85, "R2": 0.92, "random": None}
ROOM, HERE = Path(ainerd.__file__).parent, Path(__file__).parent

shipped = cache(technique)
study = Study(__doc__)


@study.part
def campaign(
    campaigns: int = 20,
    spoilt: int = 6,
    prescribed: int = 20,
    one: int = 20,
    exposures: int = 10,
    seed: int = 2026,
    workers: int = 1,
    quick: bool = False,
) -> None:
    """Explore samples in closed loop; ``--quick`` takes three campaigns of five exposures."""
    if quick:
        campaigns, spoilt, prescribed, one, exposures = 3, 0, 0, 0, 5
    cases = [(kind, i) for kind, n in zip(SAMPLES, (campaigns, spoilt, prescribed, one), strict=True) for i in range(n)]
    rooms = [ROOM / name for name in ("techniques", "novelty", "latent", "xpcs")]
    run = {"run": digest_of(Path(sim_devices.__file__).parent, *rooms, Path(__file__)), "seed": seed}
    rows = resumed("campaign", run | {"exposures": exposures}, cases, partial(in_closed_loop, seed, exposures), workers)
    rows = [row | {"ARI": float(adjusted_rand_score(row["truth"], row["regime"]))} for row in rows]
    parameters = {"seed": seed, "exposures": exposures, "frames": FRAMES, "spoilt": SPOILT}
    report("campaign_regimes", by_regime(rows), **parameters)
    report("campaign", overview(rows), **parameters)


@study.part
def recognised(samples: int = 324, seed: int = 2026, workers: int = 1, quick: bool = False) -> None:
    """Explore hidden maps; ``--quick`` takes nine."""
    cases = [("sample", i) for i in range(9 if quick else samples)]
    rooms = [ROOM / name for name in ("techniques/rheo_xpcs", "novelty", "latent", "steering", "dynamics")]
    run = {"run": digest_of(*rooms, HERE / "_hidden_maps.py", HERE / "_strategies.py", Path(__file__)), "seed": seed}
    rows = resumed("recognised", run, cases, partial(on_sample, seed), workers)
    parameters = {"samples": len(rows), "seed": seed, "rho": RHO, "smallest radius": SMALLEST}
    report("recognised", by_strategy(rows), **parameters)
    report("recognised_by_kind", by_kind(rows), **parameters)


# campaign


def in_closed_loop(seed: int, exposures: int, case: Case) -> Row:
    """Return what each exposure of a campaign was, and what the agent made of it."""
    kind, i = case
    sample, number = SAMPLES[kind][i % len(SAMPLES[kind])], seed + i
    spoilt = SPOILT if kind == "not as told" else {}
    with (
        TemporaryDirectory() as name,
        embedded_server(folder := Path(name) / "tiled", readable_storage=[folder.parent / "frames"]) as server,
        closing(
            Session(
                folder.parent, server.client(), section={"alpha": ALPHA}, sample=sample, sample_seed=number,
                speed=SPEED, seed=number, **spoilt,
            )
        ) as session,
    ):  # fmt: skip
        session.frames(FRAMES, EXPOSURE_S)
        session.agent.attach(session.RE)
        session.explore(exposures)
        table = session.agent.results.table()
    p = [None if np.isnan(value) else float(value) for value in table["novelty_p"].astype(float)]
    return {
        "kind": kind,
        "i": i,
        "sample": sample,
        "truth": [session.instrument.truth(x, y) for x, y in zip(table["sample_x"], table["sample_y"], strict=True)],
        "unknown": sorted(session.instrument.sample.unknown),
        "p": p,
        "regime": [int(value) for value in table["regime"].fillna(-1)],
        "status": table["status"].tolist(),
    }


def ordinary(row: Row) -> tuple[int, int, int]:
    """Return the number of exposures of ordinary regimes that are flagged, that have a p-value, and of all."""
    mine = [p for p, truth in zip(row["p"], row["truth"], strict=True) if truth not in row["unknown"]]
    judged = [p for p in mine if p is not None]
    return sum(p <= ALPHA for p in judged), len(judged), len(mine)


def overview(rows: list[Row]) -> Iterator[Row]:
    """Yield a row for each kind of campaign, and one for each sample of it."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for sample in dict.fromkeys(("all", *SAMPLES[kind])):
            some = [row for row in rows if row["kind"] == kind and sample in ("all", row["sample"])]
            if some:
                flagged, judged, everything = np.array([ordinary(row) for row in some]).T
                agreement = np.array([row["ARI"] for row in some])
                with np.errstate(divide="ignore", invalid="ignore"):
                    low, high = bootstrap(np.divide, flagged, judged)
                worst, best = bootstrap(np.asarray, agreement)
                met, found = ([len(set(row[of]) - {-1}) for row in some] for of in ("truth", "regime"))
                yield {
                    "campaigns of": kind,
                    "sample": sample,
                    "n": len(some),
                    "ordinary": int(everything.sum()),
                    "with p": int(judged.sum()),
                    "flagged": flagged.sum() / judged.sum() if judged.sum() else np.nan,
                    "from": low,
                    "to": high,
                    "ARI": agreement.mean(),
                    "ARI from": worst,
                    "ARI to": best,
                    "below .75": int((agreement < 0.75).sum()),
                    "regimes met": np.mean(met),
                    "found": np.mean(found),
                    "as many": np.mean([a == b for a, b in zip(met, found, strict=True)]),
                }


def by_regime(rows: list[Row]) -> Iterator[Row]:
    """Yield how often each regime was flagged; those held out of the bank should be."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_it = [row for row in rows if row["kind"] == kind]
        for name in dict.fromkeys(truth for row in of_it for truth in row["truth"]):
            p = [p for row in of_it for p, truth in zip(row["p"], row["truth"], strict=True) if truth == name]
            judged = [value for value in p if value is not None]
            yield {
                "campaigns of": kind,
                "regime": name,
                "held out": "yes" if any(name in row["unknown"] for row in of_it) else "no",
                "exposures": len(p),
                "with p": len(judged),
                "flagged": float(np.mean([value <= ALPHA for value in judged])) if judged else np.nan,
            }


# recognised


class Sample:
    """A hidden map, with `EXPOSURES` exposures of each of its regimes."""

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
        truth, clean = draw(family, rng), []
        for _ in range(EXPOSURES):
            azimuth = rng.uniform(0, 360)
            clean.append(Clean.at_directions(clean_exposure(variant(truth, rng), DIRECTIONS + azimuth)))
        return views(shipped(), clean, each=1, seed=int(rng.integers(2**31)), photons=self.photons)


class Walk:
    """Exposures of a sample one by one, judged and grouped by the agent's code."""

    def __init__(self, sample: Sample) -> None:
        self._sample, self._highest = sample, -1
        self._z: list[NDArray[np.float32]] = []
        self._p: list[float] = []
        self._truth: list[int] = []
        self.labels = np.empty(0, dtype=np.int64)
        self.seen = self.recognised = MISSED

    @property
    def is_over(self) -> bool:
        """Whether all regimes are recognised, or beam time has run out."""
        return self.recognised < MISSED or len(self._truth) == EXPOSURES

    def measure(self, position: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
        """Take the next exposure, at (2,), and return its embedding and p-value."""
        k, of, n = int(self._sample.hidden.regime(position[None])[0]), shipped(), self._sample.hidden.n_regimes
        exposures, number = self._sample.exposures[k], self._truth.count(k)
        z, p = exposures.z[number, 0], float(exposures.p[number, 0])
        self._truth.append(k)
        self._z.append(z)
        self._p.append(p)
        before, novel = np.append(self.labels, -1), (np.array(self._p) <= of.alpha).astype(int)
        now = grouped(of.regimes, np.stack(self._z), before, novel, width=of.regime_width, highest=self._highest)
        self.labels = now.regimes.labels
        self._highest = max(self._highest, int(self.labels.max()))
        if len(set(self._truth)) == n:
            self.seen = min(self.seen, len(self._truth))
            if all_recognised(np.array(self._truth), self.labels, n):
                self.recognised = min(self.recognised, len(self._truth))
        return z, p

    def row(self) -> Row:
        """Return the exposures until all regimes were seen, and recognised."""
        return {"seen": self.seen, "recognised": self.recognised}


def all_recognised(truth: NDArray[np.int64], labels: NDArray[np.int64], n: int) -> bool:
    """Return whether each of n regimes has a label of its own."""
    for k in range(n):
        names, counts = np.unique(labels[(truth == k) & (labels >= 0)], return_counts=True)
        if not names.size:
            return False
        name = names[counts.argmax()]
        if (labels[truth == k] == name).mean() <= 0.5 or (truth[labels == name] == k).mean() <= 0.5:
            return False
    return True


def along(sample: Sample, way: Positions) -> Row:
    """Follow a sequence of positions."""
    walk = Walk(sample)
    for position in way:
        walk.measure(position)
        if walk.is_over:
            break
    return walk.row()


def steered(sample: Sample) -> Row:
    """Follow the agent's explorer, which gets embeddings, p-values and labels."""
    walk, here = Walk(sample), sample.hidden.start
    steering = explorer(shipped().regime_width, labeler=lambda embeddings: walk.labels, alpha=shipped().alpha)
    while True:
        z, p = walk.measure(here)
        if walk.is_over:
            return walk.row()
        x, y = WIDTH_MM * here
        steering.ingest([{"sample_x": x, "sample_y": y, "embedding": z, "novelty_p": p}])
        (suggestion,) = steering.suggest()
        steering.withdraw(suggestion["_id"])
        here = np.array([suggestion["sample_x"], suggestion["sample_y"]]) / WIDTH_MM


def on_sample(seed: int, case: Case) -> Row:
    """Return the scores of every strategy on one sample."""
    sample = Sample(case[1], seed)
    scores = {name: along(sample, BASELINES[name](sample.hidden)) for name in (*SOBOL, "R2", "random")}
    described = {"kind": sample.hidden.kind, "photons": sample.photons, "families": sample.families}
    return described | {"scores": scores | {OURS: steered(sample)}}


def by_strategy(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each strategy, with ours compared to it."""
    for name in (*TARGETS, OURS):
        runs = SOBOL if name == "Sobol" else [name]
        row: Row = {"strategy": name, **{what: values(rows, name, what).mean() for what in ("seen", "recognised")}}
        row["missed"] = np.mean([[r["scores"][run]["recognised"] == MISSED for r in rows] for run in runs])
        for what in ("seen", "recognised"):
            row[f"ours / its, {what}"] = ratio(values(rows, OURS, what), values(rows, name, what))
        yield row | {"asked": f"≤ {TARGETS[name]}" if TARGETS.get(name) else ""}


def by_kind(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the exposures until all are recognised, by generator, by photons, and by whether one regime is held out."""
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    groups |= {f"{photons:.0f} photons": [r for r in rows if r["photons"] == photons] for photons in PHOTONS}
    groups["one held out"] = [row for row in rows if not HELD_OUT.isdisjoint(row["families"])]
    groups["none held out"] = [row for row in rows if HELD_OUT.isdisjoint(row["families"])]
    for name, some in groups.items():
        if some:
            of_each = {strategy: values(some, strategy, "recognised").mean() for strategy in (*TARGETS, OURS)}
            yield {"samples": name, "n": len(some), **of_each}


if __name__ == "__main__":
    study()
