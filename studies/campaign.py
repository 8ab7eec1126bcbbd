"""The samples of `make demo` as a user gets them: how often ordinary physics is called new, and regimes against truth.

Instrument, settings and choice of positions are those of the demo, with each sort of sample in turn, without the page
and the pictures. Particles that crowd, blocks that yield in avalanches, and a fluid that flows (`sim_devices.SAMPLES`)
share nothing with the bank; the correlation functions of inclusions, grains and bands are prescribed. Exposures of
known kinds that are called novel are counted, and regimes that are named "new" although most of their exposures are of
known kinds. Intervals are 95 %, from a bootstrap over samples. An interrupted study continues where it stopped, unless
the code that decides was changed.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import ainerd
import sim_devices
from agents.demo import campaign as as_user
from agents.rheo_xpcs import TOML
from ainerd.results import AgentNode
from studies._session import attached_session
from studies._tools import Case, Row, Study, bootstrap, digest_of, interval, report, resumed

ALPHA = 0.05
SOURCE = Path(ainerd.__file__).parents[1]

study = Study(__doc__)


@study.part
def campaign(samples: int = 20, seed: int = 5000, workers: int = 1) -> None:
    """Run the demo on samples of consecutive seeds."""
    cases = [("sample", i) for i in range(samples)]
    rooms = [SOURCE / name for name in ("ainerd_xpcs", "ainerd/novelty", "ainerd/campaign", "ainerd/steering")]
    parts = [Path(sim_devices.__file__).parent, Path(as_user.__file__), *rooms, Path(__file__)]
    run = {"run": digest_of(*parts), "seed": seed}
    rows = resumed("campaign", run, cases, partial(in_the_demo, seed), workers)
    report("campaign_samples", map(of_sample, rows), seed=seed)
    report("campaign", of_all_samples(rows), most={"measured": "at most"}, least={"measured": "at least"}, seed=seed)


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
        state = AgentNode(session.client["ainerd"], session.agent.results.agent).state()
    truth = [session.instrument.truth(x, y) for x, y in zip(table["sample_x"], table["sample_y"], strict=True)]
    regime = [int(value) for value in table["regime"].fillna(-1)]
    return {
        "sample": sample,
        "names": state["kinds"],
        "truth": truth,
        "unknown": sorted(session.instrument.sample.unknown),
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


if __name__ == "__main__":
    study()
