"""Analysis of one exposure while its frames arrive."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, RunAnalysis, RunInfo
from ainerd.threads import one_thread
from ainerd.words import number_of
from ainerd_xpcs import numerics
from ainerd_xpcs.technique import _cycle_results, _numbers, _picture
from ainerd_xpcs.technique._cells import MANY, Cells
from ainerd_xpcs.technique._cycles import Cycles
from ainerd_xpcs.technique._field import COUNTS, INTENSITIES, unit_of
from ainerd_xpcs.technique._verdict import (
    SPECKLE_PIXELS,
    Judgement,
    filled,
    holes,
    judge,
    pooled_contrast,
    prepare,
    speckle_px,
)

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

DIMS = {
    "c2": ("roi", "t1", "t2"),
    "latent": ("roi", "component"),
    "g2": ("roi", "tau"),
    "g2_err": ("roi", "tau"),
    "tau": ("tau",),
    "g2_by_age": ("roi", "age", "tau"),
    "age": ("age",),
    "denoised": ("roi", "t1", "t2"),
    "g2_denoised": ("roi", "tau_denoised"),
    "tau_denoised": ("tau_denoised",),
    **_picture.DIMS,
    **_cycle_results.DIMS,
}
UNITS = {
    "counts_per_pixel": COUNTS,
    **dict.fromkeys(("tau", "age", "tau_denoised", "tau_denoised_s"), "s"),
    **dict.fromkeys(("c2", "g2", "g2_err", "g2_by_age", "latent", "denoised", "g2_denoised"), "1"),
    **dict.fromkeys(("pixels_left_out", "frames_left_out"), "1"),
    "moved_s": "s",
    **_picture.UNITS,
}
FEWEST_FRAMES = 64  # the encoder sees 64 × 64 cells; with fewer frames many cells would hold the same frame
DENOISED = 64  # cells of a denoised map; finer cells would add nothing


class ExposureAnalysis(RunAnalysis):
    """Analysis of one exposure, with the options of its technique.

    An exposure that ends early, or whose length was not announced, is analysed with the frames that arrived.
    """

    def __init__(self, technique: "RheoXPCS", run: RunInfo) -> None:
        assert run.frame_time_s is not None  # checked by `begin`
        self._technique = technique
        self._n_frames, self._frame_time_s = run.n_frames, run.frame_time_s
        partition = technique.partition
        self._screen: numerics.Screen | None = None  # made with the first frames, for dense ones or events
        flat = None if technique.flat is None else technique.flat.ravel()[partition.pixels]
        self._reducer = numerics.TwoTimeReducer(partition, run.n_frames, flat=flat)
        self._correlator = numerics.MultiTau(partition, flat)
        self._cycles = Cycles(technique.cycles, partition, run.readings, run.frame_time_s, flat)
        self._has_ticks = run.has_ticks
        self._picture = _picture.Picture(technique.field, run.n_frames, technique.flat)
        self._readings = run.readings
        self._prepared = False  # whether the calibration was requested
        self._n_lost = 0  # frames that never came

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the partition's pixels."""
        return self._technique.partition.pixels

    @property
    def every(self) -> int:
        """Interval of whole frames."""
        return self._picture.every

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Add a whole frame to the mean frame and I(q)."""
        self._picture.see(frame, number)

    def open_events(self, path: Path, pixel_order: str) -> numerics.RigakuReader:
        """Open the files of a Rigaku detector."""
        return numerics.RigakuReader(path, self._technique.partition, order=pixel_order)  # type: ignore[arg-type]

    def push(self, block: NDArray[Any] | numerics.Events, first: int = 0) -> None:
        """Take the next frames: counts, (b, n_pixels), or events; their numbers count from `first`."""
        if self._screen is None:
            kind = numerics.EventScreen if isinstance(block, numerics.Events) else numerics.Screen
            self._screen = kind(self._technique.partition, self._n_frames)
        frames, start = (block.moved(first), None) if isinstance(block, numerics.Events) else (block, first)
        try:
            for screened in self._screen.push(frames, first=start):
                self._correlate(screened)
        except ValueError as error:  # no counts, more frames than announced, or too many bad pixels
            raise AnalysisError(str(error)) from error
        if self._n_frames is None or self._prepared or (start or 0) + len(frames) >= self._n_frames:
            return  # after the last frame `finish` calibrates
        if self._reducer.n_pushed >= self._n_frames / 2:
            self._prepared = True
            self._prepare(self._n_frames / self._reducer.n_pushed)

    def _correlate(self, screened: numerics.Screened) -> None:
        screened.to(self._reducer, self._correlator)
        self._cycles.push(screened)

    def lost(self, n_frames: int) -> None:
        """Widen the errors of relaxation times: these frames may be missing between the others."""
        self._n_lost = n_frames

    def so_far(self) -> NDArray[np.float32] | None:
        """Return the mean map over all bins so far; None with too few frames, or without a photon."""
        if self._reducer.n_pushed < FEWEST_FRAMES:
            return None
        try:
            maps = self._reducer.maps(partial=True)
        except ValueError:  # no photon
            return None
        valid = np.isfinite(maps)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(valid, maps, 0).sum(0) / valid.sum(0))

    def _disorder(self, mean: NDArray[Any]) -> str | None:
        """Return why the frames are not in the order in which they were taken."""
        assert self._screen is not None
        return self._screen.swapped or numerics.disorder(mean) or numerics.shifted(mean, self._reducer)

    def _prepare(self, share: float) -> None:
        """Calibrate for the expected statistics of the run; this takes seconds, and frames still arrive."""
        technique, size, n = self._technique, self._speckle_px(), round(share * self._reducer.n_pushed)
        if self._cycles.oscillates:
            curves, n_cycles = self._cycles.so_far(), self._cycles.n_cycles(n)
            if curves is not None and n_cycles >= _cycle_results.FEWEST:
                prepare(technique.of_cycles, *_cycle_results.seen(curves, technique.rings, n_cycles), size)
            return
        if not (photons := self._photons()).any():
            return
        g2 = self._correlator.result()
        contrasts = [_numbers.contrast_within(ring, g2) for ring in technique.rings]
        pooled = [pooled_contrast((beta, sigma * share**-0.5), technique.contrast) for beta, sigma in contrasts]
        prepare(technique, share * photons, pooled, Cells.of_whole(n), size)

    @one_thread
    def finish(self) -> Analysis:
        """Return the result of the frames that arrived."""
        try:
            for screened in [] if self._screen is None else self._screen.flush():
                self._correlate(screened)
        except ValueError as error:
            raise AnalysisError(str(error)) from error
        technique, n_frames = self._technique, self._reducer.n_pushed
        if n_frames < FEWEST_FRAMES:
            raise AnalysisError(f"{number_of(n_frames, 'frame')}: a map needs at least {FEWEST_FRAMES}")
        assert self._screen is not None  # it passed these frames on
        left_out, photons = self._screen.left_out, self._photons()
        if not photons.any():
            raise AnalysisError("zero photons in the bins: is the shutter open, the beam on the centre?")
        maps = self._reducer.maps(partial=True)
        whole, _ = filled(maps)
        g2, by_age = self._correlator.result(), self._correlator.by_age()
        if np.average(np.isfinite(g2.parts0), weights=g2.part_weight) < 0.5:
            raise AnalysisError(f"{left_out.n_pixels} pixels are bad, and most of them were found late: mask them")
        fitted = _numbers.numbers(g2, by_age, technique.partition, technique.rings, self._frame_time_s)
        mean, no_contrast = whole.mean(0), self._screen.no_contrast
        if sparse := holes(maps, technique.partition.numbers):
            sparse += _why(left_out)
        n_came = n_frames - left_out.n_missing
        if self._has_ticks and 2 * n_came < n_frames:
            sparse = f"{n_came} frames came in {n_frames} ticks: rows of a map hold unequal numbers of them"
        doubt = self._screen.no_relaxation or (None if sparse else self._disorder(mean))
        doubt = doubt or (None if left_out.n_missing else self._behind())
        n_pixels = numerics.per_bin(self._reducer.sums.pixels[-1:], technique.partition)[0]
        per_frame = float(np.average(photons, weights=n_pixels) / (n_frames - left_out.n_frames))
        if not no_contrast:  # other counts have another contrast anyway
            doubt = doubt or numerics.no_light(g2, per_frame)
        fitted = fitted.with_lost(self._n_lost / n_frames)
        if no_contrast or doubt:
            fitted = fitted.without_fits() if doubt else fitted.without_contrast()
        pairs = zip(fitted.contrasts, fitted.rings["speckle"], strict=True)
        pooled = [None if speckle == "no" else pooled_contrast(of, technique.contrast) for of, speckle in pairs]
        cycle_result = self._cycles.finish()
        doubt = no_contrast or doubt
        if cycle_result is not None:
            cycles = _cycle_results.cycle_numbers(cycle_result, technique.partition, technique.rings)
            judgement = _cycle_results.judge_cycles(technique, cycle_result.curves, self._speckle_px(), doubt)
        else:
            reason = self._cycles.reason
            cycles = _cycle_results.CycleNumbers({}, {}, {"no_echoes": reason} if reason else {})
            unknown = f"it may oscillate: {reason}" if reason else None
            cells = None if n_frames >= MANY else Cells.of(self._reducer.operator.toarray())
            doubt = doubt or sparse or unknown
            judgement = judge(technique, whole, photons, pooled, self._speckle_px(), doubt, cells)
        denoised, denoised_summary = self._denoised(whole)
        edges = _picture.time_edges(n_frames, technique.partition.n_roi)
        counts = numerics.per_bin(self._reducer.photons_between(edges), technique.partition)
        bad = np.concatenate([*left_out.pixels.values(), np.empty(0, np.int64)])
        pictures, picture_summary = self._picture.finish(bad)
        pictures |= _picture.intensities(counts, n_pixels, self._frame_time_s, edges, left_out.missing)
        incident, incident_of = _picture.incident(self._readings, technique.incident)
        pictures |= {name: pictures[name] / np.float32(incident) for name in INTENSITIES if name in pictures}
        summary = {
            "counts_per_pixel": per_frame,
            **judgement.summary,
            **fitted.summary,
            **denoised_summary,
            **picture_summary,
            "pixels_left_out": left_out.n_pixels,
            "frames_left_out": left_out.n_frames,
            **({"incident": incident, "incident_of": incident_of} if incident_of else {}),
            **({"flat_field": technique.flat_field} if technique.flat_field else {}),
            **({"bins_of": of, "bins_sha256": technique.parameters["partition"]} if (of := technique.bins_of) else {}),
            "moved_s": float(left_out.moved[0] * self._frame_time_s) if left_out.moved.size else None,
            **cycles.summary,
        }
        arrays = {"c2": maps, "latent": judgement.latent, **fitted.arrays, **denoised, **pictures, **cycles.arrays}
        per = dict.fromkeys(INTENSITIES, unit_of(incident_of))
        tables = fitted.tables(judgement.p_of_ring) | _left_out_table(left_out) | cycles.tables
        units = _numbers.UNITS | per | _cycle_results.UNITS
        analysis = analysis_of(technique, judgement, arrays, tables, summary, units)
        return analysis if self._n_frames in (None, n_frames) else replace(analysis, status="partial")

    def _behind(self) -> str | None:
        """Return why frames do not belong to the monitor's values; None if they do, or if these are not per frame."""
        keys = self._technique.incident
        if not keys or isinstance(self._screen, numerics.EventScreen):  # events have numbers of their own
            return None
        photons = self._reducer.photons_between(np.arange(self._reducer.n_pushed + 1)).sum(1)
        return numerics.behind(photons, self._readings.of_frames(keys[0]))

    def _photons(self) -> NDArray[np.float64]:
        """Return photons per pixel of each bin so far, in the frames that are not left out, (n_roi,)."""
        partition, pixels = self._technique.partition, self._reducer.sums.pixels[-1:]
        counts, n_pixels = (numerics.per_bin(x, partition)[0] for x in (self._reducer.photons()[None], pixels))
        return np.asarray(counts / np.maximum(n_pixels, 1))

    def _speckle_px(self) -> float:
        """Return the number of pixels that see the same speckle, from the frames so far."""
        partition = self._technique.partition
        sizes = np.diff(partition.static_edges)  # within a sub-bin the profile of the scattering is nearly flat
        bins = np.repeat(np.arange(sizes.size), sizes)
        return speckle_px(self._reducer.means(SPECKLE_PIXELS), partition.shape, partition.pixels, bins)

    def _denoised(self, maps: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], dict[str, float | None]]:
        """Return denoised maps, g2 along their diagonals, and the relaxation time of its mean over the bins."""
        if self._technique.denoiser is None:
            return {}, {}
        denoised = self._technique.denoiser.denoise(maps, size=DENOISED)
        g2 = numerics.g2_from_two_time(denoised)
        tau = np.arange(1, DENOISED) * self._reducer.n_pushed / DENOISED * self._frame_time_s
        fit = numerics.fit_curves(tau, g2.mean(0), left_over=numerics.LEFT_OVER)
        arrays: dict[str, NDArray[Any]] = {"denoised": denoised, "g2_denoised": g2, "tau_denoised": tau}
        return arrays, {"tau_denoised_s": float(fit.tau[0]) if np.isfinite(fit.tau[0]) else None}


def analysis_of(
    technique: "RheoXPCS",
    judgement: Judgement,
    arrays: dict[str, NDArray[Any]],
    tables: dict[str, dict[str, NDArray[Any]]],
    summary: dict[str, Any],
    units: dict[str, str],
) -> Analysis:
    """Return the result of frames, or of maps; `units` are those of names that are not in `UNITS`."""
    names = {*arrays, *summary, *(column for table in tables.values() for column in table)}
    units = UNITS | {name: "1" for name in summary if name.startswith("strangeness_")} | units
    return Analysis(
        embedding=judgement.embedding,
        novelty_p=judgement.p,
        arrays=arrays,
        dims={name: DIMS[name] for name in arrays},
        tables=tables,
        summary=summary,
        units={name: unit for name, unit in units.items() if name in names},
        model={"name": technique.encoder.name, "sha256": technique.encoder.sha256},
        calibration={"id": technique.bank.id, "n": technique.bank.n, "alpha": technique.alpha},
    )


def _why(left_out: numerics.LeftOut) -> str:
    """Return why rows are missing: the end of a sentence, "" if no frame is left out."""
    numbers = {"missing": left_out.n_missing} | {why: len(frames) for why, frames in left_out.frames.items()}
    why = ", ".join(f"{n} {reason}" for reason, n in numbers.items() if n)
    return f"; left out are frames: {why}" if why else ""


def _left_out_table(left_out: numerics.LeftOut) -> dict[str, dict[str, NDArray[Any]]]:
    """Return a table of pixels (flat index) and frames (number from 0) that are left out, with reasons.

    Consecutive pixels or frames with the same reason have one row, with their number `n`.
    """
    ranges = {("pixel", reason): _ranges(indices) for reason, indices in left_out.pixels.items()}
    ranges[("frame", "missing")] = left_out.missing
    ranges |= {("frame", reason): _ranges(indices) for reason, indices in left_out.frames.items()}
    rows = [(*key, *row) for key, of_key in ranges.items() for row in of_key.tolist()]
    if not rows:
        return {}
    columns = zip(("what", "reason", "index", "n"), zip(*rows, strict=True), strict=True)
    return {"left_out": {name: np.array(column) for name, column in columns}}


def _ranges(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first of consecutive indices and their number, (m, 2)."""
    indices = np.unique(indices)
    first = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
    return np.column_stack([indices[first], np.diff(first, append=indices.size)])
