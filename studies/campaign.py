"""Campaigns in closed loop: how often ordinary physics is called new, and whether regimes are found as they are.

An agent explores samples with devices, RunEngine, Tiled, and verdicts that steer. A campaign is a sample of its own
seed. Particles that crowd, blocks that yield in avalanches, and a fluid that flows (`sim_devices.SAMPLES`) share
nothing with the bank: each has three or four regimes of ordinary physics, no correlation function is prescribed,
scattering is summed over what moves. Counted are exposures of ordinary regimes that got a p-value; what is held out of
every bank is counted apart. Intervals are 95 %, from a bootstrap over campaigns.

"As told": the instrument is what the agent's settings say. "Not as told": contrast, beam centre, distance, bad pixels
and beam differ, by `SPOILT`. "Prescribed": inclusions, grains and bands, whose correlation functions are prescribed.
"One regime": the same everywhere. Each campaign is written to ``output/studies/campaign.jsonl`` as it is done; a run
that was stopped goes on there, as long as nothing that decides was changed.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from bluesky import RunEngine
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import ainerd
import sim_devices
from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings
from studies._report import report
from studies._resumed import Row, digest_of, resumed

OWN, PRESCRIBED = ("particles", "blocks", "flow_field"), ("inclusions", "voronoi", "bands")
SAMPLES = {"as told": OWN, "not as told": OWN, "prescribed": PRESCRIBED, "one regime": ("null",)}
SMALL = TOML.with_name("small.toml")
FRAMES, EXPOSURE_S, SPEED = 250, 50.0, 100.0
ALPHA = 0.05
DRAWS = 4000
SPOILT: dict[str, Any] = {
    "contrast": 0.17,
    "noise_rms": 0.02,
    "drift": -0.1,
    "unlit_share": 0.01,
    "geometry": {"beam_center_px": (65.5, 95.0), "distance_m": 6.1, "unlisted_share": 5e-4},
}


def campaign(seed: int, exposures: int, which: tuple[str, int]) -> Row:
    """One campaign: what each exposure was, and what the agent made of it."""
    kind, i = which
    sample = SAMPLES[kind][i % len(SAMPLES[kind])]
    settings = Settings.load(SMALL)
    settings.section["alpha"] = ALPHA
    with TemporaryDirectory() as folder:
        frames = Path(folder) / "frames"
        settings.storage.directory, settings.storage.frames = Path(folder) / "tiled", [frames]
        client, close = open_tiled(settings.storage)
        try:
            instrument = simulated_instrument(
                frames,
                hardware_beside(SMALL),
                sample=sample,
                sample_seed=seed + i,
                speed=SPEED,
                seed=seed + i,
                **(SPOILT if kind == "not as told" else {}),
            )
            cam = instrument.detector.cam
            cam.num_images.put(FRAMES)
            cam.acquire_period.put(EXPOSURE_S / FRAMES)
            cam.acquire_time.put(EXPOSURE_S / FRAMES)
            agent = build_agent(
                client,
                detector=instrument.detector,
                actuators=[instrument.stage.x, instrument.stage.y],
                rheometer=instrument.rheometer,
                shutter=instrument.shutter,
                settings=settings,
            )
            agent.quiet = True
            RE = RunEngine({})
            agent.attach(RE)
            try:
                RE(agent.explore(exposures))
                if not agent.drain(600):
                    raise TimeoutError("the analysis takes longer than ten minutes")
                table = agent.results.table()
            finally:
                agent.close()
        finally:
            close()
    truth = [instrument.truth(x, y) for x, y in zip(table["sample_x"], table["sample_y"], strict=True)]
    p = [None if np.isnan(value) else float(value) for value in table["novelty_p"].astype(float)]
    return {
        "kind": kind,
        "i": i,
        "sample": sample,
        "truth": truth,
        "unknown": sorted(instrument.sample.unknown),
        "p": p,
        "regime": [int(value) for value in table["regime"].fillna(-1)],
        "status": table["status"].tolist(),
    }


def fingerprint() -> str:
    """Of the instrument, of what judges, and of the benchmark."""
    room = Path(ainerd.__file__).parent
    folders = [
        Path(sim_devices.__file__).parent,
        *(room / name for name in ("techniques", "novelty", "latent", "xpcs")),
    ]
    sources = [
        path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".safetensors")
    ]
    return digest_of([*sources, Path(__file__)])


def ordinary(row: Row) -> tuple[int, int, int]:
    """Exposures of ordinary regimes: with a p-value, flagged, and all."""
    mine = [p for p, truth in zip(row["p"], row["truth"], strict=True) if truth not in row["unknown"]]
    told = [p for p in mine if p is not None]
    return len(told), sum(p <= ALPHA for p in told), len(mine)


def with_agreement(row: Row) -> Row:
    """With the adjusted Rand index of the regimes."""
    return row | {"ARI": float(adjusted_rand_score(row["truth"], row["regime"]))}


def flagged(rows: list[Row]) -> float:
    """Share of the exposures of ordinary regimes with a p-value that is at most `ALPHA`."""
    told, called, _ = np.sum([ordinary(row) for row in rows], axis=0)
    return float(called / told) if told else np.nan


def interval(rows: list[Row], figure: Callable[[list[Row]], float]) -> NDArray[np.float64]:
    """95 % of a bootstrap over campaigns."""
    rng = np.random.default_rng(0)
    drawn = [figure([rows[k] for k in rng.integers(len(rows), size=len(rows))]) for _ in range(DRAWS)]
    return np.nanquantile(drawn, [0.025, 0.975])


def mean_agreement(rows: list[Row]) -> float:
    """Of the campaigns."""
    return float(np.mean([row["ARI"] for row in rows]))


def overview(rows: list[Row]) -> Iterator[Row]:
    """A row for each kind of campaign, and one for each sample of it."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_it = [row for row in rows if row["kind"] == kind]
        for sample in dict.fromkeys(("all", *SAMPLES[kind])):
            some = [row for row in of_it if sample in ("all", row["sample"])]
            if some:
                told, _, everything = np.sum([ordinary(row) for row in some], axis=0)
                low, high = interval(some, flagged)
                worst, best = interval(some, mean_agreement)
                met, found = ([len(set(row[of]) - {-1}) for row in some] for of in ("truth", "regime"))
                yield {
                    "campaigns of": kind,
                    "sample": sample,
                    "n": len(some),
                    "ordinary": int(everything),
                    "with p": int(told),
                    "flagged": flagged(some),
                    "from": low,
                    "to": high,
                    "ARI": mean_agreement(some),
                    "ARI from": worst,
                    "ARI to": best,
                    "below .75": sum(row["ARI"] < 0.75 for row in some),
                    "regimes met": np.mean(met),
                    "found": np.mean(found),
                    "as many": np.mean([a == b for a, b in zip(met, found, strict=True)]),
                }


def by_regime(rows: list[Row]) -> Iterator[Row]:
    """How often each regime was flagged: what is held out, of right."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_it = [row for row in rows if row["kind"] == kind]
        for name in dict.fromkeys(truth for row in of_it for truth in row["truth"]):
            pairs = [pair for row in of_it for pair in zip(row["p"], row["truth"], strict=True) if pair[1] == name]
            told = [p for p, _ in pairs if p is not None]
            yield {
                "campaigns of": kind,
                "regime": name,
                "held out": "yes" if any(name in row["unknown"] for row in of_it) else "no",
                "exposures": len(pairs),
                "with p": len(told),
                "flagged": float(np.mean([p <= ALPHA for p in told])) if told else np.nan,
            }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=20, help="campaigns as told")
    parser.add_argument("--spoilt", type=int, default=6, help="campaigns with an instrument that is not as told")
    parser.add_argument("--prescribed", type=int, default=20, help="campaigns with prescribed correlation functions")
    parser.add_argument("--one", type=int, default=20, help="campaigns on samples of one regime")
    parser.add_argument("--exposures", type=int, default=10, help="of each campaign")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="three campaigns of five exposures")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.campaigns, arguments.spoilt, arguments.prescribed, arguments.one, arguments.exposures = 3, 0, 0, 0, 5
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    counts = (arguments.campaigns, arguments.spoilt, arguments.prescribed, arguments.one)
    wanted = [(kind, i) for kind, n in zip(SAMPLES, counts, strict=True) for i in range(n)]
    run = {"run": fingerprint(), "seed": arguments.seed, "exposures": arguments.exposures}
    measure = partial(campaign, arguments.seed, arguments.exposures)
    rows = resumed("campaign", run, wanted, measure, ProcessPoolExecutor(arguments.workers))
    about = {"seed": arguments.seed, "exposures": arguments.exposures, "frames": FRAMES, "spoilt": SPOILT}
    rows = list(map(with_agreement, rows))
    report("campaign_regimes", list(by_regime(rows)), **about)
    report("campaign", list(overview(rows)), **about)


if __name__ == "__main__":
    main()
