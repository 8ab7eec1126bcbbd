"""What a ramp says: clusters, transitions, and what each cluster may be."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, is_novel
from ainerd.techniques.xtec._clusters import find_clusters
from ainerd.techniques.xtec._cut import Cut, rescale
from ainerd.techniques.xtec._follow import MOVED_PX, Moves
from ainerd.techniques.xtec._patches import averages, odd_patches, patches
from ainerd.techniques.xtec._settings import XTECSettings
from ainerd.techniques.xtec._smooth import smoothing
from ainerd.techniques.xtec._transitions import posteriors, transitions

QUANTILES = (np.arange(15) + 0.5) / 15  # of all change, at which the embedding has the temperature
MOST_NAMED = 4  # transitions in the summary
BRIGHT = 3.0  # times the cut: Bragg peaks rather than background


@dataclass(frozen=True)
class Known:
    """What steering sees of a ramp: temperatures (n,), mean trajectories of clusters (k, n), their standard errors."""

    temperatures: NDArray[np.float64]
    means: NDArray[np.float64]
    errors: NDArray[np.float64]


def said(
    settings: XTECSettings,
    t: NDArray[np.float64],
    x: NDArray[np.float32],
    mean: NDArray[np.float64],
    bright: Cut,
    moves: Moves | None,
    left_out: int,
) -> tuple[Analysis, Known]:
    """The result of a ramp, and what steering sees of it.

    From temperatures (n,), intensities (m, n) of kept pixels, which are scaled in place, and the mean frame (ny, nx).
    """
    keep = bright.keep.reshape(mean.shape)
    patch = patches(keep)
    counts, size = averages(x, patch, patch.max() + 1)
    rescale(x, settings.scale)
    of_patches = rescale(counts.astype(np.float32), settings.scale)
    find = partial(find_clusters, k=settings.clusters, most=settings.most_clusters, seed=settings.seed)
    if settings.smooth == "patches":
        found = find(of_patches)
        found = replace(found, labels=found.labels[patch])
    else:
        cell = settings.cell if settings.smooth == "cells" else None
        smooth = None if settings.smooth == "none" else smoothing(np.argwhere(keep), settings.length, cell)
        found = find(x, smooth=smooth)
    k = found.mixture.k
    parts, place = np.unique(patch * k + found.labels, return_inverse=True)  # of patches, by cluster
    of_parts, pixels = averages(x, place, len(parts))
    share = (parts % k == np.arange(k)[:, None]) * pixels
    share = share / share.sum(axis=1, keepdims=True)
    means = share @ of_parts
    spread = np.sqrt(np.maximum(averages(x, found.labels, k, 2)[0] - means**2, 0))
    n_pixels = np.bincount(found.labels, minlength=k)
    errors = np.sqrt(share**2 @ (of_parts - means[parts % k]) ** 2 + spread**2 / n_pixels[:, None])
    posterior = posteriors(t, means, errors)
    posterior = replace(posterior, evidence=np.where(found.told, posterior.evidence, np.nan))
    shared = transitions(t, posterior)
    brightness = np.array([np.median(mean[keep][found.labels == i]) for i in range(k)])
    level = np.exp(bright.level) if np.isfinite(bright.level) else np.median(mean[keep])
    guess = np.select(
        [posterior.evident & (posterior.order > 0.5), posterior.evident, ~found.told, brightness > BRIGHT * level],
        ["order parameter", "critical scattering", "noise", "Bragg"],
        "background",
    )
    odd = odd_patches(of_patches.astype(np.float64), size, counts.mean(axis=1))
    compared = int(np.isfinite(odd).sum())
    oddest = np.argwhere(keep)[patch == np.nanargmin(odd)].mean(axis=0).tolist() if compared else (None, None)
    labels = np.full(keep.shape, -1, np.int16)
    labels[keep] = found.labels
    summary: dict[str, Any] = {
        "clusters": k,
        "stability": "stable" if found.stable else "unstable",
        "starts_agree": found.starts,
        "halves_agree": found.halves,
        "bic_clusters": int(found.tried["clusters"][np.nan_to_num(found.tried["bic"], nan=np.inf).argmin()]),
        "log_likelihood": found.mixture.score,
        "pixels": int(keep.sum()),
        "cut_counts": float(level),
        "temperatures": t.size,
        "lowest": float(t[0]),
        "highest": float(t[-1]),
        "direction": settings.direction,
        "frames_left_out": left_out,
        "transitions": len(shared),
        "noise_clusters": int(np.sum(~found.told)),
        **_moved(settings.follow, moves),
        "odd_patches": int(np.sum(is_novel(odd * compared, settings.alpha))),
        "oddest_row": oddest[0],
        "oddest_column": oddest[1],
    }
    for number, s in enumerate(sorted(sorted(shared, key=lambda s: -s.evidence)[:MOST_NAMED], key=lambda s: s.at), 1):
        name = f"transition_{number}"
        summary |= {name: s.at, f"{name}_low": s.low, f"{name}_high": s.high}
    units = dict.fromkeys((n for n, value in summary.items() if isinstance(value, int | float)), "1")
    units |= {n: settings.unit for n in units if n.startswith("transition_") or n in ("lowest", "highest")}
    units |= {n: "px" for n in units if n in ("expansion_px", "oddest_row", "oddest_column")}
    units |= {"temperature": settings.unit, "transition": settings.unit, "trajectories": "1", "counts": "1"}
    tables: dict[str, dict[str, NDArray]] = {
        "cluster": {
            "pixels": n_pixels,
            "counts": brightness,
            "guess": guess,
            "transition": np.array([next((s.at for s in shared if i in s.clusters), np.nan) for i in range(k)]),
            "evidence": posterior.evidence,
        },
        "tried": found.tried,
    }
    if shared:
        columns = {name: np.array([getattr(s, name) for s in shared]) for name in ("at", "low", "high", "evidence")}
        clusters = np.array([", ".join(map(str, s.clusters)) for s in shared])
        tables["transition"] = columns | {"clusters": clusters}
    arrays: dict[str, tuple[NDArray, tuple[str, ...]]] = {
        "labels": (labels, ("row", "column")),
        "trajectories": (means.astype(np.float32), ("cluster", "step")),
        "trajectories_sd": (spread.astype(np.float32), ("cluster", "step")),
        "temperature": (t, ("step",)),
        "mean_frame": (mean.astype(np.float32), ("row", "column")),
    }
    analysis = Analysis(
        embedding=_embedding(t, means),
        novelty_p=float(min(1.0, np.nanmin(odd) * compared)) if compared else None,
        arrays={name: array for name, (array, _) in arrays.items()},
        dims={name: dims for name, (_, dims) in arrays.items()},
        tables=tables,
        summary=summary,
        units=units,
        calibration={"id": "own-patches", "n": compared, "alpha": settings.alpha},
    )
    return analysis, Known(t, means, errors)


def _moved(asked: bool, moves: Moves | None) -> dict[str, Any]:
    if moves is None:
        return {"followed": "no: too few peaks could be followed" if asked else "not asked for"}
    far = moves.farthest_px
    return {"expansion_px": far, "followed": "yes" if far > MOVED_PX else "no: not more than a pixel"}


def _embedding(t: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float32]:
    """Temperatures by which shares of all change of the trajectories have happened, over the root of their number.

    A distance is then the rms shift in temperature.
    """
    change = np.abs(np.diff(means, axis=1)).sum(axis=0) + 1e-9
    at = np.interp(QUANTILES, np.append(0, np.cumsum(change)) / change.sum(), t)
    return (at / np.sqrt(at.size)).astype(np.float32)
