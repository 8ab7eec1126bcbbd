"""Two-time maps of other programs: their analysis, also for a run that names their file."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, RunAnalysis
from ainerd.threads import one_thread
from ainerd_files._curves_of_bins import Curves
from ainerd_files._map_noise import MapNoise, Neighbours
from ainerd_files._maps import MapFile
from ainerd_xpcs.latent import SIZE, block_mean
from ainerd_xpcs.numerics import (
    LEFT_OVER,
    ONE_MODE,
    Partition,
    diagonal_errors,
    lags_of_map,
    mean_over_bins,
)
from ainerd_xpcs.technique import (
    CHANGING,
    Numbers,
    RheoXPCS,
    Ring,
    Share,
    across,
    analysis_of,
    clock_of,
    filled,
    holes,
    judge,
    named,
    of_run,
    opposite_pairs,
    pooled_contrast,
    with_clocks,
)

NOISE = ("contrast", "contrast_err", "shot_noise", "noise_pixels", "speckle_px")  # columns of the table of bins


def technique_of(bins: Partition, like: RheoXPCS | None = None) -> RheoXPCS:
    """Return the technique of maps of other programs, with models, contrast and alpha of another technique."""
    if like is None:
        return RheoXPCS(bins, of_maps=True)
    return RheoXPCS(bins, like.encoder, like.bank, contrast=like.contrast, alpha=like.alpha, of_maps=True)


@one_thread
def analyse_maps(file: MapFile, technique: RheoXPCS, report: Callable[[int], None] = lambda n: None) -> Analysis:
    """Read and reduce the maps of a file and place them in the latent space.

    Parameters
    ----------
    file : MapFile
    technique : RheoXPCS
        From `technique_of`.
    report : callable
        Called with the number of maps read so far.

    Returns
    -------
    Analysis
        Maps, latent vectors, g2 of the file or along the diagonals, relaxation times, and a p-value. Without one
        `no_claim` says why. Its frames are the rows of the stored maps.

    Raises
    ------
    ValueError
        If a map cannot be used, or no row of any holds a photon.
    """
    read, partition = [], file.partition
    for c2 in file.maps():
        read.append(c2)
        report(len(read))
    maps = np.array(read)
    if np.isnan(maps).all():
        raise ValueError(f"{file.path}: no row of its maps holds a photon")
    whole, doubt = filled(maps), holes(maps, partition.numbers)
    noises = Noises(technique, file.neighbours, whole, has_pixels=not file.no_partition)
    judgement = judge(noises.technique, noises.maps, noises.photons, noises.contrasts, doubt=doubt)
    fitted = map_numbers(file, noises, doubt)
    summary: dict[str, Any] = {**fitted.summary, **judgement.summary}
    if judgement.p is not None:
        summary["noise_of"] = "the maps"
    else:
        summary["no_claim"] = doubt or next(filter(None, noises.reasons), summary["no_claim"])
    if np.isfinite(file.counts).all():
        summary["counts_per_pixel"] = float(np.average(file.counts, weights=partition.n_pixels))
    arrays = {"c2": maps, "latent": judgement.latent, **fitted.arrays}
    tables = fitted.share(judgement.p_of_ring).tables
    of_bins = {"bin": partition.numbers, "q": partition.q, "phi": partition.phi}
    tables["bins"] = (
        of_bins | {"n_pixels": partition.n_pixels, "mean_counts": file.counts} | noises.columns | fitted.bins
    )
    for name in ("contrast", "contrast_err"):  # without a fit that of the ring, by the noise
        tables["bins"][name] = np.where(np.isnan(fitted.bins["contrast"]), noises.columns[name], fitted.bins[name])
    if "rings" in tables:
        tables["rings"]["no_claim"] = np.array([reason or "" for reason in noises.reasons])
    analysis = analysis_of(technique, judgement, Share(arrays, tables, summary, units=dict.fromkeys(NOISE, "1")))
    return replace(analysis, n_frames=file.n_rows, frame_time_s=file.row_s)


class Noises:
    """The noise of the rings of maps, as `judge` takes it.

    Parameters
    ----------
    technique : RheoXPCS
    neighbours : sequence of Neighbours
        Of each bin.
    maps : ndarray, shape (n_roi, 256, 256)
        Without missing rows.
    has_pixels : bool
        Whether the bins have the pixels of a detector.

    Attributes
    ----------
    technique : RheoXPCS
        The same, with the pixels in its rings that the noise of the maps shows.
    maps : ndarray
        The maps with the diagonal extrapolated to lag 0.
    photons : ndarray, shape (n_roi,)
        Photons per pixel in the whole exposure.
    contrasts : list of (float, float) or None
        Contrast of each ring, and its relative error.
    shots : list of float
        Shot noise of a row for a speckle of each ring, NaN if it is unknown.
    reasons : list of str or None
        Why a ring has no p-value.
    columns : dict of str to ndarray
        `NOISE` of each bin, NaN where it is unknown.
    """

    def __init__(
        self, technique: RheoXPCS, neighbours: Sequence[Neighbours], maps: NDArray[np.float32], *, has_pixels: bool
    ) -> None:
        n = len(maps)
        self.maps, self.photons = maps.copy(), np.ones(n)
        self.columns = {name: np.full(n, np.nan) for name in NOISE}
        self.contrasts, self.reasons = list[tuple[float, float] | None](), list[str | None]()
        self.shots = list[float]()
        self.technique, rings = copy(technique), list[Ring]()
        small = block_mean(maps)
        for ring in technique.rings:
            noise, reason = None, None
            try:
                pairs = [] if ring.phi_deg is None else opposite_pairs(ring.phi_deg)
                pixels = float(ring.pixels.mean()) if has_pixels else np.nan
                noise = MapNoise.of([neighbours[k] for k in ring.bins], small[ring.bins], pairs, pixels)
            except ValueError as error:
                reason = str(error)
            self.reasons.append(reason)
            self.contrasts.append(None)
            self.shots.append(np.nan if noise is None else noise.shot_of_speckles(1.0))
            if noise is not None:
                self.contrasts[-1] = pooled_contrast((noise.contrast, noise.contrast_err), technique.contrast)
                ring = self._seen(ring, noise, neighbours[0].n_rows)
            rings.append(ring)
        self.technique.rings = rings

    def _seen(self, ring: Ring, noise: MapNoise, n_rows: int) -> Ring:
        """Note the noise of a ring; return the ring with the pixels that have it."""
        cells = np.arange(self.maps.shape[-1])
        for k in ring.bins:
            self.maps[k, cells, cells] += noise.lost * cells.size / n_rows
        self.photons[ring.bins] = SIZE / noise.shot_of_speckles(n_rows / SIZE)
        values = noise.contrast, noise.contrast_err, noise.shot, noise.n_pixels, noise.speckle_px
        for name, value in zip(NOISE, values, strict=True):
            self.columns[name][ring.bins] = value
        return replace(ring, pixels=ring.pixels * noise.speckles / ring.pixels.mean())


def map_numbers(file: MapFile, noises: Noises, doubt: str | None) -> Numbers:
    """Fit the g2 of the bins of maps that were read, one by one and ring by ring, and the clock of each ring.

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
        whole = whole if len(ring.bins) == 1 else _with_mean(whole, ring)
    why = np.full(len(whole.g2), "", dtype=object)
    for ring, own, reason in zip(rings, of_ring, reasons, strict=True):
        why[ring.bins] = why[own] = reason
    duration_s = file.n_rows * file.row_s
    clocks = [
        None if reason or np.isnan(shot) else clock_of(ring, noises.maps, noises.photons, duration_s)
        for ring, shot, reason in zip(rings, noises.shots, reasons, strict=True)
    ]
    if any(clock is not None and clock.word in CHANGING for clock in clocks):
        options["models"] = ONE_MODE
    whole = replace(whole, g2=np.where((why != "")[:, None], np.nan, whole.g2))
    both = [rows for rows in np.split(np.arange(len(why)), [len(curves.g2)]) if rows.size]  # a mean is no further curve
    fits = [named(whole.only(rows).fit(**options)) for rows in both]
    columns = {name: np.concatenate([each[name] for each in fits]) for name in fits[0]}
    columns["no_tau"] = np.where(why != "", why, columns["no_tau"]).astype(str)
    together = {name: column[of_ring] for name, column in columns.items()}
    of_bins = {name: column[: len(curves.g2)] for name, column in columns.items()}
    together, of_bins, more = with_clocks(rings, together, of_bins, clocks)
    return Numbers(
        arrays={"g2": curves.g2, "g2_err": curves.error, "tau": curves.tau_s, **more.arrays},
        summary=of_run(rings, together, of_bins)
        | more.summary
        | {"g2_of": "the diagonals of the maps" if file.curves is None else "the file"},
        rings={"q": np.array([ring.q for ring in rings]), **together},
        bins=of_bins,
        contrasts=noises.contrasts,
        tables=more.tables,
    )


def _of_diagonals(file: MapFile, noises: Noises) -> Curves:
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
        n_pixels=speckles, mean_counts=counts, frame_time_s=file.row_s, n_frames=file.n_rows,
    )  # fmt: skip


def _with_mean(curves: Curves, ring: Ring) -> Curves:
    """Return curves with the mean of the bins of a ring as another one."""
    bins, facing = ring.bins, across(ring)
    weight = np.where(np.isfinite(curves.n_pixels[bins]), curves.n_pixels[bins], ring.pixels)
    g2, error, twice = mean_over_bins(curves.tau_s, curves.g2[bins], curves.error[bins], weight, facing)
    counts = float(np.average(curves.mean_counts[bins], weights=weight))
    more = {"g2": g2, "error": error, "q": ring.q, "phi": np.nan, "numbers": 0, "mean_counts": counts}
    more["n_pixels"] = float(curves.n_pixels[bins].sum()) / twice
    columns: dict[str, Any] = {name: np.concatenate([getattr(curves, name), [x]]) for name, x in more.items()}
    return replace(curves, partition=None, **columns)


@dataclass
class ReadMaps(RunAnalysis):
    """Analysis of the two-time maps in a file, for a run that names it; entry point ``ainerd_xpcs.result_files``.

    The bins are those of the file. Without any they are those of the technique, if these are as many as the maps.

    Parameters
    ----------
    technique : RheoXPCS
    path : Path
    about : mapping
        `RESULT_FILE` of the start document.
    """

    technique: RheoXPCS
    path: Path
    about: Mapping[str, Any]

    def finish(self) -> Analysis:
        """Read the file and return the result; ValueError if it is not as it was when its run was made."""
        self._check()
        with MapFile(self.path, frame_time_s=self.about["row_s"], otherwise=self.technique.partition) as file:
            analysis = analyse_maps(file, technique_of(file.partition, self.technique))
        self._check()
        names = {"layout": file.layout} | ({} if file.no_partition else {"bins_of": "the file"})
        return replace(analysis, summary={**analysis.summary, **names})

    def _check(self) -> None:
        stat = self.path.stat()
        if (stat.st_size, stat.st_mtime) != (self.about["size"], self.about["changed"]):
            with self.path.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != self.about["sha256"]:
                    raise ValueError(f"{self.path} has changed since its run was made")
