"""What a ramp says: clusters, transitions, and what each cluster may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis
from ainerd.techniques.xtec._clusters import Clusters, find_clusters
from ainerd.techniques.xtec._cut import Cut, rescale
from ainerd.techniques.xtec._follow import MOVED_PX, Moves
from ainerd.techniques.xtec._odd import odd_patches
from ainerd.techniques.xtec._smooth import averages, patches, smoothing
from ainerd.techniques.xtec._transitions import Profile, Transition, profile, transitions

if TYPE_CHECKING:
    from ainerd.techniques.xtec._technique import XTEC

RESAMPLES = 40
QUANTILES = (np.arange(15) + 0.5) / 15  # of all change, at which the embedding has the temperature
MOST_NAMED = 4  # transitions in the summary
BRIGHT = 3.0  # times the cut: Bragg peaks rather than background


@dataclass(frozen=True)
class Ramped:
    """Intensities of a ramp at its temperatures (n,): of kept pixels (m, n), and what was kept of (ny, nx)."""

    temperatures: NDArray[np.float64]
    trajectories: NDArray[np.float32]
    keep: NDArray[np.bool_]
    mean: NDArray[np.float64]
    cut: Cut
    moves: Moves | None
    left_out: int


@dataclass(frozen=True)
class Known:
    """What steering sees of a ramp: temperatures (n,), means and errors of clusters (k, n), transitions."""

    temperatures: NDArray[np.float64]
    means: NDArray[np.float64]
    transitions: Sequence[Transition]


def said(technique: "XTEC", ramp: Ramped) -> Analysis:
    """The result of a ramp."""
    settings, t, x = technique.settings, ramp.temperatures, ramp.trajectories
    patch = patches(ramp.keep)
    raw, size = averages(x, patch, patch.max() + 1)
    rescale(x, settings.scale)
    found = _clusters(technique, ramp, x, raw, patch)
    k = found.mixture.k
    means, n_pixels = averages(x, found.labels, k)
    spread = np.stack([x[found.labels == i].std(axis=0, dtype=np.float64) for i in range(k)])
    profiles = [profile(t, _resampled(x, found.labels == i, patch, (settings.seed, i))) for i in range(k)]
    shared = transitions(t, profiles)
    brightness = np.array([np.median(ramp.mean[ramp.keep][found.labels == i]) for i in range(k)])
    level = np.exp(ramp.cut.level) if np.isfinite(ramp.cut.level) else np.median(ramp.mean[ramp.keep])
    guesses = [_guess(p, bright > BRIGHT * level) for p, bright in zip(profiles, brightness, strict=True)]
    of_patches = rescale(raw.astype(np.float32), settings.scale).astype(np.float64)
    odd = odd_patches(of_patches, size, raw.mean(axis=1))
    novelty_p = float(min(1.0, np.nanmin(odd) * np.isfinite(odd).sum())) if np.isfinite(odd).any() else None
    technique.known = Known(t, means, shared)
    labels = np.full(ramp.keep.shape, -1, np.int16)
    labels[ramp.keep] = found.labels
    which = [next((s for s in shared if i in s.clusters), None) for i in range(k)]
    rows, columns = np.nonzero(ramp.keep)
    oddest = patch == int(np.nanargmin(odd)) if np.isfinite(odd).any() else np.zeros(patch.size, bool)
    summary: dict[str, Any] = {
        "clusters": k,
        "stability": "stable" if found.stable else "unstable",
        "starts_agree": found.starts,
        "halves_agree": found.halves,
        "bic_clusters": int(found.tried["clusters"][np.nan_to_num(found.tried["bic"], nan=np.inf).argmin()]),
        "log_likelihood": found.mixture.score,
        "pixels": int(ramp.keep.sum()),
        "cut_counts": float(level),
        "cut_plausible": "yes" if ramp.cut.plausible else "no",
        "temperatures": t.size,
        "lowest": float(t[0]),
        "highest": float(t[-1]),
        "direction": settings.direction,
        "frames_left_out": ramp.left_out,
        "transitions": len(shared),
        **_moved(ramp.moves),
        "odd_patches": int(np.sum(odd * np.isfinite(odd).sum() <= settings.alpha)),
        "oddest_row": float(rows[oddest].mean()) if oddest.any() else None,
        "oddest_column": float(columns[oddest].mean()) if oddest.any() else None,
    }
    for number, s in enumerate(sorted(sorted(shared, key=lambda s: s.misfit)[:MOST_NAMED], key=lambda s: s.at), 1):
        summary |= {
            f"transition_{number}": s.at,
            f"transition_{number}_low": s.low,
            f"transition_{number}_high": s.high,
        }
    numbers = [name for name, value in summary.items() if isinstance(value, int | float)]
    in_unit = {name for name in numbers if name.startswith("transition_") or name in ("lowest", "highest")}
    pixels = {"expansion_px", "oddest_row", "oddest_column"}
    units = {n: settings.unit if n in in_unit else "px" if n in pixels else "1" for n in numbers}
    return Analysis(
        embedding=_embedding(t, means),
        novelty_p=novelty_p,
        arrays={
            "labels": labels,
            "trajectories": means.astype(np.float32),
            "trajectories_sd": spread.astype(np.float32),
            "temperature": t,
            "mean_frame": ramp.mean.astype(np.float32),
        },
        dims={
            "labels": ("row", "column"),
            "trajectories": ("cluster", "step"),
            "trajectories_sd": ("cluster", "step"),
            "temperature": ("step",),
            "mean_frame": ("row", "column"),
        },
        tables={
            "cluster": {
                "pixels": n_pixels,
                "counts": brightness,
                "guess": np.array(guesses),
                "transition": np.array([np.nan if s is None else s.at for s in which]),
                "misfit": np.array([np.nan if p is None else p.misfit for p in profiles]),
            },
            "tried": found.tried,
        }
        | ({"transition": _table(shared)} if shared else {}),
        summary=summary,
        units=units | {"temperature": settings.unit, "transition": settings.unit, "trajectories": "1", "counts": "1"},
        calibration={"id": "own-patches", "n": int(np.isfinite(odd).sum()), "alpha": settings.alpha},
    )


def _clusters(
    technique: "XTEC", ramp: Ramped, x: NDArray[np.float32], raw: NDArray[np.float64], patch: NDArray[np.int64]
) -> Clusters:
    settings = technique.settings
    how: dict[str, Any] = {"k": settings.clusters, "most": settings.most_clusters, "seed": settings.seed}
    if settings.smooth == "patches":
        found = find_clusters(rescale(raw.astype(np.float32), settings.scale), **how)
        return Clusters(found.mixture, found.labels[patch], found.starts, found.halves, found.tried)
    smooth = None
    if settings.smooth != "none":
        cell = settings.cell if settings.smooth == "cells" else None
        smooth = smoothing(np.argwhere(ramp.keep), settings.length, cell)
    return find_clusters(x, **how, smooth=smooth)


def _resampled(
    x: NDArray[np.float32], which: NDArray[np.bool_], patch: NDArray[np.int64], seed: tuple[int, int]
) -> NDArray[np.float64]:
    """Mean trajectory of some pixels, then those of resampled patches, (1 + RESAMPLES, n_temperatures)."""
    of, place = np.unique(patch[which], return_inverse=True)
    means, size = averages(x[which], place, len(of))
    drawn = np.random.default_rng(seed).multinomial(len(of), np.full(len(of), 1 / len(of)), RESAMPLES)
    weights = np.concatenate([np.ones((1, len(of))), drawn]) * size
    return (weights @ means) / weights.sum(axis=1, keepdims=True)


def _guess(of: Profile | None, bright: bool) -> str:
    if of is not None and of.evident:
        return "order parameter" if of.order > 0.5 else "critical scattering"
    return "Bragg" if bright else "background"


def _moved(moves: Moves | None) -> dict[str, Any]:
    if moves is None:
        return {"followed": "not asked for"}
    if not moves.known:
        return {"followed": "no: too few peaks could be followed"}
    far = moves.farthest_px
    return {"expansion_px": far, "followed": "yes" if far > MOVED_PX else "no: not more than a pixel"}


def _embedding(t: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float32]:
    """Temperatures by which shares of all change of the trajectories have happened, over the root of their number.

    A distance is then the rms shift in temperature.
    """
    change = np.abs(np.diff(means, axis=1)).sum(axis=0) + 1e-9
    at = np.interp(QUANTILES, np.append(0, np.cumsum(change)) / change.sum(), t)
    return (at / np.sqrt(at.size)).astype(np.float32)


def _table(shared: Sequence[Transition]) -> dict[str, NDArray]:
    columns = {name: np.array([getattr(s, name) for s in shared]) for name in ("at", "low", "high", "misfit")}
    return columns | {"clusters": np.array([", ".join(map(str, s.clusters)) for s in shared])}
