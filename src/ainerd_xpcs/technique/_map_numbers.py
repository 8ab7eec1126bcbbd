"""Relaxation times of two-time maps of other programs: fits of the g2 of their file, or of g2 along their diagonals."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ainerd_xpcs.numerics import LEFT_OVER, Partition, diagonal_errors, lags_of_map, mean_over_bins
from ainerd_xpcs.technique._curves_of_bins import Curves
from ainerd_xpcs.technique._features import Ring
from ainerd_xpcs.technique._numbers import Numbers, named, of_run, opposite

if TYPE_CHECKING:
    from ainerd_xpcs.technique._map_run import Noises
    from ainerd_xpcs.technique._maps import MapFile

DIAGONALS = "the diagonals of the maps"


def map_numbers(file: "MapFile", noises: "Noises", doubt: str | None) -> Numbers:
    """Fit the g2 of the bins of maps that were read, one by one and ring by ring.

    Without g2 in the file it is that along the diagonals. A ring whose noise is unknown then has no numbers but the
    reason, and so have all if there is a `doubt`.
    """
    rings = noises.technique.rings
    curves, reasons, options = file.curves, [""] * len(rings), dict[str, Any]()
    if curves is None:
        curves = _of_diagonals(file, noises)
        options = {"normalised": True, "errors_of": "of the noise of the maps", "left_over": LEFT_OVER}
        unknown = [reason or "no speckle was found in the run" for reason in noises.reasons]
        reasons = [doubt or ("" if shot == shot else why) for shot, why in zip(noises.shots, unknown, strict=True)]
    whole, of_ring = curves, np.empty(len(rings), dtype=np.int64)
    for k, ring in enumerate(rings):
        of_ring[k] = ring.bins[0] if len(ring.bins) == 1 else len(whole.g2)
        whole = whole if len(ring.bins) == 1 else _with_mean(whole, ring, file.partition)
    why = np.full(len(whole.g2), "", dtype=object)
    for ring, own, reason in zip(rings, of_ring, reasons, strict=True):
        why[ring.bins] = why[own] = reason
    columns = named(replace(whole, g2=np.where((why != "")[:, None], np.nan, whole.g2)).fit(**options))
    columns["no_tau"] = np.where(why != "", why, columns["no_tau"]).astype(str)
    together = {name: column[of_ring] for name, column in columns.items()}
    return Numbers(
        arrays={"g2": curves.g2, "g2_err": curves.error, "tau": curves.tau_s},
        summary=of_run(rings, together) | {"g2_of": DIAGONALS if options else "the file"},
        rings={"q": np.array([ring.q for ring in rings]), **together},
        bins={name: column[: len(curves.g2)] for name, column in columns.items()},
        contrasts=noises.contrasts,
    )


def _of_diagonals(file: "MapFile", noises: "Noises") -> Curves:
    """Return g2 along the diagonals, with the errors and the speckles that the noise of the maps gives."""
    partition, g2 = file.partition, np.array(file.diagonals)
    lag, level = lags_of_map(file.n_rows)
    error, (speckles, counts) = np.full_like(g2, np.nan), np.full((2, len(g2)), np.nan)
    for ring, shot in zip(noises.technique.rings, noises.shots, strict=True):
        if shot == shot:
            speckles[ring.bins], counts[ring.bins] = ring.pixels, 1 / shot
            error[ring.bins] = diagonal_errors(lag, level, g2[ring.bins], shot, ring.pixels, file.n_rows)
    return Curves(
        file.layout, lag * file.row_s, g2, error, q=partition.q, phi=partition.phi, numbers=partition.numbers,
        n_pixels=speckles, mean_counts=counts, frame_time_s=file.row_s, n_frames=file.n_rows, level=level,
    )  # fmt: skip


def _with_mean(curves: Curves, ring: Ring, partition: Partition) -> Curves:
    """Return curves with the mean of the bins of a ring as another one."""
    bins, across = ring.bins, opposite(partition, ring)[ring.bins]
    place = {int(k): i for i, k in enumerate(bins)}
    weight = np.where(np.isfinite(curves.n_pixels[bins]), curves.n_pixels[bins], ring.pixels)
    facing = np.array([place.get(int(k), -1) for k in across])
    g2, error, twice = mean_over_bins(curves.tau_s, curves.g2[bins], curves.error[bins], weight, facing)
    counts = float(np.average(curves.mean_counts[bins], weights=weight))
    more = {"g2": g2, "error": error, "q": ring.q, "phi": np.nan, "numbers": 0, "mean_counts": counts}
    more["n_pixels"] = float(curves.n_pixels[bins].sum()) / twice
    columns: dict[str, Any] = {name: np.concatenate([getattr(curves, name), [x]]) for name, x in more.items()}
    return replace(curves, partition=None, **columns)
