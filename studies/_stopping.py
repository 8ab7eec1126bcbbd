"""The bound on missed regions when the agent proposes to stop, compared with regions that were missed.

A campaign explores a sample of one regime with one to four knobs until the agent proposes to stop. Then balls of the
stated radius are drawn anywhere, also near the limits, by code that shares nothing with the bound; one is missed if no
exposure lies in it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd.knobs import Knob
from ainerd.novelty import find_regimes
from ainerd.steering import POLICIES
from studies._tools import Case, Row
from tests.explorer import Explorer

REGIONS = 20_000
LENGTHS = {1: (0.01, 0.05), 2: (0.06, 0.15), 3: (0.15, 0.25), 4: (0.25, 0.4)}  # radius, of the range, by knobs
WAYS = ("new_regimes", "sobol")
MOST = 600


def cases(each: int) -> list[Case]:
    """Return the cases, `each` of every number of knobs and policy."""
    kinds = [f"{d} {way}" for d in LENGTHS for way in WAYS]
    return [(kind, i) for i in range(each) for kind in kinds]


def campaign(seed: int, case: Case) -> Row:
    """Return when a campaign stopped, and the regions that it missed."""
    kind, i = case
    d, policy = int(kind.split()[0]), kind.split()[1]
    rng = np.random.default_rng([seed, i, d, 17])
    radius = float(rng.uniform(*LENGTHS[d]))
    knobs = {f"knob{k}": Knob(range=(0, 1), length=radius) for k in range(d)}
    known = Explorer(
        dict.fromkeys(knobs, (0.0, 1.0)),
        knobs=knobs,
        policy=POLICIES[policy],
        labeler=lambda z: find_regimes(z, width=1.0).labels,
        seed=i,
    )
    way, point = list[NDArray[np.float64]](), dict(zip(knobs, rng.random(d).tolist(), strict=True))
    why, stops = "", False
    while not stops and len(way) < MOST:
        way.append(np.array([point[name] for name in knobs]))
        known.ingest([{**point, "_id": str(len(way)), "embedding": rng.normal(0, 0.1, 2).astype(np.float32)}])
        stops, why = known.should_stop()
        (point,) = known.suggest()
        known.waiting.clear()
    shown = np.array(way) / radius
    surely = float(why.split("of radius ")[-1].split()[0].rstrip(";")) if stops else None
    return {
        "kind": kind,
        "stopped": len(way) if stops else None,
        "missed": share_missed(shown, 1 / radius, rng),
        "missed, surely": None if surely is None else share_missed(shown, 1 / radius, rng, surely),
    }


def share_missed(way: NDArray[np.float64], width: float, rng: np.random.Generator, radius: float = 1.0) -> float:
    """Return the share of random balls of this radius that no position (n, d) hits."""
    d, missed = way.shape[1], 0
    for _ in range(REGIONS // 1000):
        apart = way[None] - width * rng.random((1000, 1, d))
        missed += int((np.square(apart).sum(2) > radius**2).all(1).sum())
    return missed / REGIONS


def honest(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield for each kind of campaign how many regions were missed, and after how many exposures it stopped."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        some = [row for row in rows if row["kind"] == kind]
        ended = [row for row in some if row["stopped"] is not None]
        d, policy = kind.split()
        yield {
            "knobs": int(d),
            "policy": policy,
            "campaigns": len(some),
            "stopped": len(ended),
            "missed, mean": np.mean([row["missed"] for row in ended]) if ended else np.nan,
            "most": max((row["missed"] for row in ended), default=np.nan),
            "larger than is said": sum(row["missed, surely"] > 0 for row in ended),
            "exposures": np.mean([row["stopped"] for row in ended]) if ended else np.nan,
        }
