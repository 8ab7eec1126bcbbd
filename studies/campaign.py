"""Campaigns: how often ordinary physics is called new, and whether regimes are found as they are.

campaign    An agent explores samples in closed loop with devices, RunEngine, Tiled, and verdicts that steer. Each
            campaign is on a sample of its own seed. Particles that crowd, blocks that yield in avalanches, and a fluid
            that flows (`sim_devices.SAMPLES`) share nothing with the bank: each has three or four regimes of ordinary
            physics without a prescribed correlation function; scattering is summed over what moves. Exposures of
            ordinary regimes that got a p-value are counted; those held out of every bank are counted apart.
            "Prescribed": inclusions, grains and bands with prescribed correlation functions. "One regime": the same
            everywhere.
demo        The samples of `make demo` as a user gets them: the same instrument, settings and choice of positions, and
            each sort of sample in turn, without the page and the pictures. Exposures of known kinds that are called
            novel are counted, and regimes that are named "new" although most of their exposures are of known kinds.
recognised  Exposures until every regime of a sample is recognised, on the samples of `studies.discovery`. Each regime
            is a truth of a family of `ainerd_xpcs.dynamics`; in every second sample the rarest is of a held-out family.
            Exposures have parameters within a quarter, events at any time, an azimuth and a contrast of their own, 18
            bins of 570 pixels, and 250, 500 or 2500 photons a pixel, which the agent's regimes do not know. Maps are
            encoded, judged and grouped one by one by the agent's code; p-values and labels steer. A regime is
            recognised when most of its exposures have one label, and most exposures with that label are of it. One that
            is not within 80 exposures counts as 100. The n-th exposure of a regime is the same for every strategy.
restarted   Nights as in `campaign`, with a second session from the middle on and a third that begins when all is done:
            whether `agent.regimes()`, with its claims, and the sentences on the page are the same before and after each
            start, and whether no line of the log about regimes and claims was written again.

Intervals are 95 %, from a bootstrap over campaigns or samples. An interrupted study continues where it stopped, unless
the code that decides was changed.
"""

from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import adjusted_rand_score

import ainerd
import sim_devices
from agents.demo import campaign as as_user
from agents.rheo_xpcs import TOML
from ainerd.novelty import grouped
from ainerd.results import read_agent
from ainerd.views import kinds_of
from ainerd_xpcs.dynamics import DIRECTIONS, HELD_OUT, KNOWN, clean_exposure, draw
from ainerd_xpcs.latent.training import variant
from ainerd_xpcs.technique import Clean, Views, views
from sim_devices import SimulatedInstrument
from studies import _hidden_maps as square
from studies._session import Session, attached_session
from studies._tools import Case, Row, Study, bootstrap, digest_of, interval, report, resumed
from studies.nights import technique

OWN, PRESCRIBED = ("particles", "blocks", "flow_field"), ("inclusions", "voronoi", "bands")
SAMPLES = {"own": OWN, "prescribed": PRESCRIBED, "one regime": ("null",)}
FRAMES, EXPOSURE_S, SPEED = 250, 50.0, 100.0
ALPHA = 0.05
MOMENTS = ("in the middle", "at the end")  # of a night, at which a session ends
PHOTONS = (250.0, 500.0, 2500.0)
SCRAMBLES = 4  # of Sobol's sequence
SOURCE = Path(ainerd.__file__).parents[1]

shipped = cache(technique)
study = Study(__doc__)


@study.part
def campaign(
    campaigns: int = 20,
    prescribed: int = 20,
    one: int = 20,
    exposures: int = 10,
    seed: int = 2026,
    workers: int = 1,
    quick: bool = False,
) -> None:
    """Explore samples in closed loop; ``--quick`` takes three campaigns of five exposures."""
    if quick:
        campaigns, prescribed, one, exposures = 3, 0, 0, 5
    cases = [(kind, i) for kind, n in zip(SAMPLES, (campaigns, prescribed, one), strict=True) for i in range(n)]
    rooms = [SOURCE / name for name in ("ainerd_xpcs", "ainerd/novelty")]
    run = {"run": digest_of(Path(sim_devices.__file__).parent, *rooms, Path(__file__)), "seed": seed}
    rows = resumed("campaign", run | {"exposures": exposures}, cases, partial(in_closed_loop, seed, exposures), workers)
    parameters = {"seed": seed, "exposures": exposures, "frames": FRAMES}
    report("campaign_regimes", by_regime(rows), **parameters)
    report("campaign", overview(rows), most={"flagged": 0.15}, least={"ARI": 0.75}, **parameters)


@study.part
def demo(samples: int = 20, seed: int = 5000, workers: int = 1, quick: bool = False) -> None:
    """Run the demo on samples of consecutive seeds; ``--quick`` takes three."""
    cases = [("sample", i) for i in range(3 if quick else samples)]
    rooms = [SOURCE / name for name in ("ainerd_xpcs", "ainerd/novelty", "ainerd/campaign", "ainerd/steering")]
    parts = [Path(sim_devices.__file__).parent, Path(as_user.__file__), *rooms, Path(__file__)]
    run = {"run": digest_of(*parts), "seed": seed}
    rows = resumed("demo", run, cases, partial(in_the_demo, seed), workers)
    report("demo_regimes", by_regime(rows), seed=seed)
    report("demo_samples", map(of_sample, rows), seed=seed)
    report("demo", of_all_samples(rows), most={"measured": "at most"}, least={"measured": "at least"}, seed=seed)


@study.part
def recognised(samples: int = 324, seed: int = 2026, workers: int = 1, quick: bool = False) -> None:
    """Explore hidden maps; ``--quick`` takes nine."""
    cases = [("sample", i) for i in range(9 if quick else samples)]
    rooms = [SOURCE / name for name in ("ainerd_xpcs", "ainerd/novelty", "ainerd/steering")]
    run = {"run": digest_of(*rooms, Path(square.__file__), Path(__file__)), "seed": seed}
    rows = resumed("recognised", run, cases, partial(on_sample, seed), workers)
    parameters = {"samples": len(rows), "seed": seed}
    by_kind = square.by_group(rows, "recognised", "kind", "photons", "one held out")
    report("recognised_by_kind", by_kind, **parameters)
    report("recognised", square.by_strategy(rows, "seen", "recognised"), **parameters)


@study.part
def restarted(nights: int = 10, exposures: int = 12, seed: int = 3026, quick: bool = False) -> None:
    """Restart the session in the middle of each night and at its end; ``--quick`` takes two nights of six exposures."""
    nights, exposures = (2, 6) if quick else (nights, exposures)
    kinds = [*OWN, *PRESCRIBED, "null"]
    rows = [in_sessions(seed + i, kinds[i % len(kinds)], exposures) for i in track(range(nights), "nights")]
    same = dict.fromkeys((f"{what}, {when}" for what in ("prompt", "page", "log") for when in MOMENTS), 1)
    report("campaign_restarted", rows, least=same, exposures=exposures, frames=FRAMES)


# campaign


def in_sessions(seed: int, sample: str, exposures: int) -> Row:
    """Return whether the sessions of a night and the page use the same words."""
    row: Row = {"sample": sample, "seed": seed}
    options = {"sample": sample, "sample_seed": seed, "speed": SPEED, "seed": seed}
    with TemporaryDirectory() as folder, attached_session(Path(folder), **options) as session:
        session.frames(FRAMES, EXPOSURE_S)
        for moment in MOMENTS:
            session.explore(exposures // 2)
            words, lines = session.agent.regimes(), claimed(session)
            session.close()  # writes the last state, which the page shows
            page = on_page(session)
            session.start_agent()
            session.agent.attach(session.RE)
            row[f"prompt, {moment}"] = session.agent.regimes() == words
            row[f"page, {moment}"] = page == words[len(words) - len(page) :]
            row[f"log, {moment}"] = claimed(session) == lines
        row |= {"results": len(session.agent.results.table()), "words": "; ".join(words)}
    return row


def claimed(session: Session) -> list[str]:
    """Return the lines of the log about regimes and claims."""
    return [text for text in session.agent.log()["text"] if "regime" in text and "scan" not in text]


def on_page(session: Session) -> list[str]:
    """Return the sentences about regimes on the page of the campaign."""
    http, path = session.client.context.http_client, "/".join(session.client["ainerd"].path_parts)
    base = str(session.client.context.api_uri).rstrip("/").removesuffix("/api/v1")
    answer = http.get(f"{base}/custom/ainerd/campaign/{path}").raise_for_status()
    return list(answer.json()["regimes"]["sentences"])


def in_closed_loop(seed: int, exposures: int, case: Case) -> Row:
    """Return what each exposure of a campaign was, and what the agent made of it."""
    kind, i = case
    sample, number = SAMPLES[kind][i % len(SAMPLES[kind])], seed + i
    options = {"sample": sample, "sample_seed": number, "speed": SPEED, "seed": number}
    with TemporaryDirectory() as folder, attached_session(Path(folder), **options) as session:
        session.frames(FRAMES, EXPOSURE_S)
        session.explore(exposures)
        return judged(kind, sample, session.instrument, session.agent.results.table())


def in_the_demo(seed: int, case: Case) -> Row:
    """Run a demo; return the true regime, the p-value and the assigned regime of each exposure."""
    number = seed + case[1]
    sample = as_user.SAMPLES[number % len(as_user.SAMPLES)]
    options = {"toml": TOML, "sample": sample, "sample_seed": number, "speed": as_user.SPEED}
    with TemporaryDirectory() as folder, attached_session(Path(folder), **options) as session:
        for positions, n_frames, seconds in as_user.RUNS_MOVED if sample in as_user.MOVED else as_user.RUNS:
            session.frames(n_frames, n_frames * seconds)
            session.RE(session.agent.explore(positions))
        while not session.agent.drain():
            pass
        session.close()  # writes the last state
        table = session.agent.results.table("complete")
        state = read_agent(session.client["ainerd"], session.agent.name)
    new, groups = map(int, state["novelty"]["discoveries"]), state["regimes"]["components"]
    return judged("demo", sample, session.instrument, table) | {"names": kinds_of(table, [*new], groups)}


def judged(kind: str, sample: str, instrument: SimulatedInstrument, table: pd.DataFrame) -> Row:
    """Return the truth of each exposure, its p-value and regime, and their agreement."""
    truth = [instrument.truth(x, y) for x, y in zip(table["sample_x"], table["sample_y"], strict=True)]
    regime = [int(value) for value in table["regime"].fillna(-1)]
    return {
        "kind": kind,
        "sample": sample,
        "truth": truth,
        "unknown": sorted(instrument.sample.unknown),
        "p": [None if np.isnan(value) else float(value) for value in table["novelty_p"].astype(float)],
        "regime": regime,
        "ARI": float(adjusted_rand_score(truth, regime)),
    }


def of_sample(row: Row) -> Row:
    """Count the flagged exposures of a demo, and its known regimes that are named new."""
    known, unknown = {*row["truth"]} - {*row["unknown"]}, row["unknown"]
    new = [int(number) for number, name in row["names"].items() if name.startswith("new")]
    of = {number: [t for t, k in zip(row["truth"], row["regime"], strict=True) if k == number] for number in new}
    wrong = [number for number, truth in of.items() if sum(t in known for t in truth) > len(truth) / 2]
    names = ("known called novel", "known with p", "new called novel", "new with p")
    counts = dict(zip(names, (*flagged(row, known), *flagged(row, unknown)), strict=True))
    return {"sample": row["sample"], **counts, "known regimes named new": len(wrong), "ARI": row["ARI"]}


def of_all_samples(rows: list[Row]) -> Iterator[Row]:
    """Yield the figures of all demos, each with its target."""
    each = pd.DataFrame(map(of_sample, rows))
    for of, limit in (("known", ALPHA), ("new", np.nan)):
        hits, n = each[f"{of} called novel"].to_numpy(float), each[f"{of} with p"].to_numpy(float)
        low, high = bootstrap(lambda a, b: a / np.maximum(b, 1e-9), hits, n)
        share = f"{hits.sum() / max(n.sum(), 1):.3f} {interval(int(hits.sum()), int(n.sum()))}"
        text = f"{share}, by sample [{low:.3f}, {high:.3f}]"
        yield {"what": f"{of} called novel, of {n.sum():.0f}", "measured": text, "at least": np.nan, "at most": limit}
    low, high = bootstrap(np.asarray, each["ARI"].to_numpy())
    text = f"{each['ARI'].mean():.3f} [{low:.3f}, {high:.3f}]"
    yield {"what": "ARI", "measured": text, "at least": 0.95, "at most": np.nan}
    wrong = int((each["known regimes named new"] > 0).sum())
    text = f"{wrong} of {len(each)}"
    yield {"what": "samples with a known regime named new", "measured": text, "at least": np.nan, "at most": 1.0}


def flagged(row: Row, regimes: Iterable[str]) -> tuple[int, int]:
    """Return the number of exposures of these regimes that are flagged, and that have a p-value."""
    p = [p for p, truth in zip(row["p"], row["truth"], strict=True) if truth in regimes and p is not None]
    return sum(value <= ALPHA for value in p), len(p)


def overview(rows: list[Row]) -> Iterator[Row]:
    """Yield a row for each kind of campaign, and one for each sample of it: ordinary exposures, and agreement."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for sample in dict.fromkeys(("all", *SAMPLES[kind])):
            some = [row for row in rows if row["kind"] == kind and sample in ("all", row["sample"])]
            if some:
                hits, judged = np.array([flagged(row, {*row["truth"]} - {*row["unknown"]}) for row in some]).T
                agreement = np.array([row["ARI"] for row in some])
                with np.errstate(divide="ignore", invalid="ignore"):
                    low, high = bootstrap(np.divide, hits, judged)
                worst, best = bootstrap(np.asarray, agreement)
                met, found = ([len(set(row[of]) - {-1}) for row in some] for of in ("truth", "regime"))
                yield {
                    "campaigns of": kind,
                    "sample": sample,
                    "n": len(some),
                    "with p": int(judged.sum()),
                    "flagged": f"{hits.sum() / max(judged.sum(), 1):.3f} [{low:.3f}, {high:.3f}]",
                    "ARI": f"{agreement.mean():.3f} [{worst:.3f}, {best:.3f}]",
                    "below .75": int((agreement < 0.75).sum()),
                    "as many regimes as met": np.equal(met, found).mean(),
                }


def by_regime(rows: list[Row]) -> Iterator[Row]:
    """Yield how often each regime was flagged; those held out of the bank should be."""
    for kind, name in dict.fromkeys((row["kind"], truth) for row in rows for truth in row["truth"]):
        mine = [row for row in rows if row["kind"] == kind and name in row["truth"]]
        hits, judged = np.sum([flagged(row, [name]) for row in mine], axis=0)
        yield {
            "campaigns of": kind,
            "regime": name,
            "held out": "yes" if any(name in row["unknown"] for row in mine) else "no",
            "with p": int(judged),
            "flagged": hits / max(judged, 1),
        }


# recognised


class Sample:
    """A hidden map, with as many exposures as a strategy may take of each of its regimes."""

    def __init__(self, i: int, seed: int) -> None:
        rng = np.random.default_rng([seed, i, 7])
        self.hidden = square.hidden_map(i, seed)
        self.photons = PHOTONS[i // 2 % len(PHOTONS)]
        families = list(rng.choice(KNOWN, self.hidden.n_regimes, replace=False))
        if i % 2:
            rarest = int(np.bincount(self.hidden.regions.ravel()).argmin())
            families[rarest] = str(rng.choice(sorted(HELD_OUT)))
        self.families = [str(family) for family in families]
        self.exposures = [self._exposures(family, rng) for family in self.families]

    def _exposures(self, family: str, rng: np.random.Generator) -> Views:
        truth, clean = draw(family, rng), []
        for _ in range(square.EXPOSURES):
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
        self.seen = self.recognised = square.MISSED

    def measure(self, position: NDArray[np.float64]) -> Row:
        """Take the next exposure, at (2,), and return its point for an explorer."""
        k, of, n = int(self._sample.hidden.regime(position[None])[0]), shipped(), self._sample.hidden.n_regimes
        exposures, number = self._sample.exposures[k], self._truth.count(k)
        self._truth.append(k)
        self._z.append(exposures.z[number, 0])
        self._p.append(float(exposures.p[number, 0]))
        before, novel = np.append(self.labels, -1), (np.array(self._p) <= of.alpha).astype(int)
        now, _ = grouped(of.regimes, np.stack(self._z), before, novel, width=of.regime_width, highest=self._highest)
        self.labels = now.labels
        self._highest = max(self._highest, int(self.labels.max()))
        if len(set(self._truth)) == n:
            self.seen = min(self.seen, len(self._truth))
            if all_recognised(np.array(self._truth), self.labels, n):
                self.recognised = min(self.recognised, len(self._truth))
        return square.place(position) | {"embedding": self._z[-1], "novelty_p": self._p[-1]}


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


def score(sample: Sample, way: square.Positions | None) -> Row:
    """Return the exposures until all regimes are seen and recognised along `way`, or on the way of the explorer."""
    walk, of = Walk(sample), shipped()
    if way is None:
        known = square.explorer(of.regime_width, labeler=lambda embeddings: walk.labels, alpha=of.alpha)
        steps: Iterable[Any] = square.suggested(known, sample.hidden.start, walk.measure)
    else:
        steps = map(walk.measure, way)
    for _ in steps:
        if walk.recognised < square.MISSED:
            break
    return {"seen": walk.seen, "recognised": walk.recognised, "missed": walk.recognised == square.MISSED}


def on_sample(seed: int, case: Case) -> Row:
    """Return the scores of every strategy on one sample."""
    sample = Sample(case[1], seed)
    ways = {**square.sequences(sample.hidden.start, SCRAMBLES), square.OURS: None}
    return {
        "kind": sample.hidden.kind,
        "photons": sample.photons,
        "one held out": not HELD_OUT.isdisjoint(sample.families),
        "scores": {name: score(sample, way) for name, way in ways.items()},
    }


if __name__ == "__main__":
    study()
