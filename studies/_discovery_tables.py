"""Tables of `studies.discovery`, from its rows: one a hidden sample."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies._hidden_maps import EXPOSURES, MISSED, NOISE
from studies._report import interval
from studies._strategies import BASELINES, LIMITS, LOOKS, OURS, SMALLEST

Row = dict[str, Any]
COMPARED = ("raster", "Sobol", *(name for name in BASELINES if name != "raster" and not name.startswith("Sobol")))
TOLD_N = next(iter(LIMITS))


def values(maps: Sequence[Row], strategy: str, what: str) -> NDArray[np.float64]:
    """One number a sample; of Sobol the mean over its scrambles."""
    return np.mean([[row["scores"][run][what] for row in maps] for run in _runs(strategy)], axis=0)


def resampled(statistic: Callable[..., NDArray], *paired: NDArray[np.float64]) -> NDArray[np.float64]:
    """95 % interval of a statistic of the means of paired numbers."""
    draws = np.random.default_rng(0).integers(0, len(paired[0]), (4000, len(paired[0])))
    return np.percentile(statistic(*(numbers[draws].mean(1) for numbers in paired)), [2.5, 97.5])


def overview(maps: Sequence[Row]) -> Iterator[Row]:
    """A row for each strategy, and ours against it."""
    ours = {what: values(maps, OURS, what) for what in ("exposures", "beam time", "ARI 40")}
    for name in (*COMPARED, OURS, *LIMITS):
        seen = np.array([[row["scores"][run]["exposures"] for row in maps] for run in _runs(name)])
        n, beam_time = values(maps, name, "exposures"), values(maps, name, "beam time")
        row: Row = {
            "strategy": name,
            "exposures": n.mean(),
            "median": float(np.median(seen)),
            "missed": (seen == MISSED).mean(),
            "seen by 20/40/60/80": " ".join(f"{(seen <= at).mean():.2f}" for at in LOOKS),
            "travel": values(maps, name, "travel").mean(),
            "beam time": beam_time.mean(),
            "ours / its exposures": _ratio(ours["exposures"], n),
            "ours / its beam time": _ratio(ours["beam time"], beam_time),
            "ARI at 20/40/60/80": "",
            "ours − its ARI at 40": "",
        }
        if name not in LIMITS:
            quality = values(maps, name, "ARI 40")
            low, high = resampled(np.subtract, ours["ARI 40"], quality)
            row["ARI at 20/40/60/80"] = " ".join(f"{values(maps, name, f'ARI {at}').mean():.2f}" for at in LOOKS)
            row["ours − its ARI at 40"] = f"{(ours['ARI 40'] - quality).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        yield row


def by_kind(maps: Sequence[Row]) -> Iterator[Row]:
    """Exposures of ours and of others, and the map at 40, by generator, noise and drift."""
    kinds = dict.fromkeys(row["kind"] for row in maps)
    groups = {kind: [row for row in maps if row["kind"] == kind] for kind in kinds}
    groups |= {f"noise {level}": [row for row in maps if row["noise"] == level] for level in NOISE}
    groups |= {"drifting": [row for row in maps if row["drifts"]]}
    for name, some in groups.items():
        if some:
            n = {f"{s}: exposures": values(some, s, "exposures").mean() for s in (OURS, "Sobol", "R2", TOLD_N)}
            quality = {f"{s}: ARI at 40": values(some, s, "ARI 40").mean() for s in (OURS, "R2")}
            yield {"samples": name, "n": len(some)} | n | quality


def subset(maps: Sequence[Row]) -> Iterator[Row]:
    """The samples on which gpCAM ran."""
    for name in ("gpCAM", "GP max-variance", "Sobol", "R2", OURS):
        means = {what: values(maps, name, what).mean() for what in ("exposures", "beam time", "ARI 40")}
        yield {"strategy": name, **means}


def targets(maps: Sequence[Row], nulls: Sequence[Row], times: Sequence[Row]) -> Iterator[Row]:
    """Each figure that is promised, with its interval, and what an even covering told the number of points gets."""
    for what, most in (
        ("exposures", {"Sobol": 0.78, "R2": 0.95, "raster": 0.58}),
        ("beam time", {"Sobol": 0.60, "R2": 0.70}),
    ):
        ours, told = values(maps, OURS, what), values(maps, TOLD_N, what)
        for name, target in most.items():
            its = values(maps, name, what)
            low, high = resampled(np.divide, ours, its)
            reached = ours.mean() <= target * its.mean() and (high < 1 or name != "Sobol")
            yield _line(f"{what}, of those of {name}", f"≤ {target:.2f}", ours.mean() / its.mean(), reached) | {
                "95 %": f"{low:.2f} to {high:.2f}",
                "told n": f"{told.mean() / its.mean():.2f}",
            }
    best = max(COMPARED, key=lambda name: values(maps, name, "ARI 40").mean())
    ours, its = values(maps, OURS, "ARI 40"), values(maps, best, "ARI 40")
    low, high = resampled(np.subtract, ours, its)
    yield _line(f"map ARI at 40 exposures, above that of {best}", "low > −0.02", (ours - its).mean(), low > -0.02) | {
        "95 %": f"{low:+.3f} to {high:+.3f}"
    }
    stopped = [row for row in maps if row["stop"] is not None]
    shares = {
        f"nothing of radius ≥ {SMALLEST} missed at the stop ({len(stopped)} of {len(maps)} stop by {EXPOSURES}, "
        f"at {np.mean([row['stop'] for row in stopped]):.0f})": ([not row["missed large"] for row in stopped], 0.95, 1),
        "two regimes reported of one": ([row["regimes"] > 1 for row in nulls], 0.05, -1),
    }
    for what, (hits, target, sign) in shares.items():
        share = float(np.mean(hits))
        reached = sign * share >= sign * target
        sure = interval(sum(hits), len(hits))
        yield _line(what, f"{'≥' if sign > 0 else '≤'} {target:.2f}", share, reached) | {"95 %": sure}
    for row in times:
        if limit := {200: 0.05, 2000: 1.0}.get(row["points"]):
            took = row["decision (s)"]
            yield _line(f"a decision with {row['points']} points, s", f"≤ {limit:g}", took, took <= limit)


def _line(what: str, target: str, measured: float, reached: bool) -> Row:
    return {
        "what": what,
        "target": target,
        "measured": float(measured),
        "95 %": "",
        "told n": "",
        "reached": "yes" if reached else "no",
    }


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    low, high = resampled(np.divide, a, b)
    return f"{a.mean() / b.mean():.2f} [{low:.2f}, {high:.2f}]"


def _runs(strategy: str) -> list[str]:
    return [name for name in BASELINES if name.startswith("Sobol")] if strategy == "Sobol" else [strategy]
