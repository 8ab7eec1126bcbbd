"""Analysis of one exposure while its frames arrive, from parts that are merged at its end."""

from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, EventReader, RunAnalysis, RunInfo
from ainerd.threads import one_thread
from ainerd.words import number_of
from ainerd_xpcs import numerics
from ainerd_xpcs.technique import _difference, _numbers, _picture, _sample_clock
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._checks import Doubts
from ainerd_xpcs.technique._correlated import Correlated
from ainerd_xpcs.technique._difference import outline
from ainerd_xpcs.technique._parts import Share, installed, merged
from ainerd_xpcs.technique._verdict import Judgement, judge, pooled_contrast, prepare
from ainerd_xpcs.technique.field import COUNTS

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

DIMS = {
    "c2": ("roi", "t1", "t2"),
    "latent": ("roi", "component"),
    "g2": ("roi", "tau"),
    "g2_err": ("roi", "tau"),
    "tau": ("tau",),
    **_sample_clock.DIMS,
    "denoised": ("roi", "t1", "t2"),
    **_difference.DIMS,
    **_picture.DIMS,
}
UNITS = {
    "counts_per_pixel": COUNTS,
    **dict.fromkeys(("tau", "moved_s"), "s"),
    **dict.fromkeys(("c2", "g2", "g2_err", "latent", "denoised"), "1"),
    **dict.fromkeys(("pixels_left_out", "frames_left_out"), "1"),
    **_picture.UNITS,
    **_sample_clock.UNITS,
    **_difference.UNITS,
}
FEWEST_FRAMES = 64  # the encoder sees 64 × 64 cells; with fewer frames many cells would hold the same frame
CALIBRATES = (0.1, 0.5)  # shares of the frames after which it calibrates: early, as that may take long, and surely
JUDGED = 0.9  # share of the announced frames without which there is no verdict: it would need a calibration of its own
DENOISED = 64  # cells of a denoised map; finer cells would add nothing


class ExposureAnalysis(RunAnalysis):
    """Analysis of one exposure, with the options of its technique.

    An exposure that ends early, or whose length was not announced, is analysed with the frames that arrived.
    """

    def __init__(self, technique: "RheoXPCS", run: RunInfo) -> None:
        self._run, self._given = run, technique
        self._screen: numerics.Screen | None = None  # made with the first frames, for dense ones or events
        self._use(technique)
        is_cut = len(technique.partition.static_roi) > technique.partition.n_roi
        self._first: list[tuple[NDArray[Any], int]] | None = None if is_cut else []  # frames by which to cut the bins
        self._order: NDArray[np.int64] | None = None  # in which the cut bins have the pixels
        self._picture = _picture.Picture(technique.field, run.n_frames)
        self._prepare_at = [max(share * (run.n_frames or 0), FEWEST_FRAMES) for share in CALIBRATES]
        self._n_lost = 0  # frames that never came

    def _use(self, technique: "RheoXPCS") -> None:
        self._technique = technique
        self._reducer = numerics.TwoTimeReducer(technique.partition, self._run.n_frames)
        self._correlator = numerics.MultiTau(technique.partition)
        parts = technique.parts.items()
        self._parts = [installed()[name](settings, technique, self._run) for name, settings in parts]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the partition's pixels."""
        return self._given.partition.pixels

    @property
    def every(self) -> int:
        """Interval of whole frames."""
        return self._picture.every

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Add a whole frame to the mean frame and I(q)."""
        self._picture.see(frame, number)

    def open_events(self, path: Path, pixel_order: str) -> EventReader:
        """Open the files of a Rigaku detector, with the reader of the entry point ``ainerd_xpcs.event_files``."""
        (entry,) = entry_points(group="ainerd_xpcs.event_files", name="rigaku")
        reader: EventReader = entry.load()(path, self._technique.partition, order=pixel_order)
        return reader

    def push(self, block: NDArray[Any] | numerics.Events, first: int = 0) -> None:
        """Take the next frames: counts, (b, n_pixels), or events; their numbers count from `first`."""
        if self._first is None or isinstance(block, numerics.Events):
            self._take(block, first)
            return
        self._first.append((block.copy(), first))
        n_frames = sum(len(frames) for frames, _ in self._first)
        if n_frames >= FEWEST_FRAMES or first + len(block) == self._run.n_frames:
            self._cut()

    def _cut(self) -> None:
        """Cut bins without static sub-bins by the brightness of the first frames, and take these."""
        (held, self._first), partition = (self._first or [], None), self._given.partition
        if all(frames.shape[1:] == partition.pixels.shape for frames, _ in held):
            counts = np.sum([frames.sum(0, dtype=float) for frames, _ in held], axis=0)
            cut = numerics.by_brightness(partition, counts) if held else partition
            if cut is not partition:
                place = np.empty(partition.roi_map.size, np.int64)
                place[partition.pixels] = np.arange(len(partition.pixels))
                self._order = place[cut.pixels]
                self._use(self._given.with_partition(cut))
        for frames, first in held:
            self._take(frames, first)

    def _take(self, block: NDArray[Any] | numerics.Events, first: int) -> None:
        """Screen and correlate the next frames."""
        if self._order is not None and not isinstance(block, numerics.Events):
            block = block[:, self._order]
        if self._screen is None:
            kind = numerics.EventScreen if isinstance(block, numerics.Events) else numerics.Screen
            self._screen = kind(self._technique.partition, self._run.n_frames)
        frames, start = (block.moved(first), None) if isinstance(block, numerics.Events) else (block, first)
        try:
            self._correlate(self._screen.push(frames, first=start))
        except ValueError as error:  # no counts, more frames than announced, or too many bad pixels
            raise AnalysisError(str(error)) from error
        n_frames = self._run.n_frames
        if n_frames is None or (start or 0) + len(frames) >= n_frames:
            return  # after the last frame `finish` calibrates
        if self._prepare_at and self._reducer.n_pushed >= self._prepare_at[0]:
            self._prepare_at = [at for at in self._prepare_at if at > self._reducer.n_pushed]
            self._prepare(self._correlated(), n_frames)

    def _correlate(self, screened: list[numerics.Screened]) -> None:
        for block in screened:
            block.to(self._reducer, self._correlator)
            for part in self._parts:
                part.push(block)

    def lost(self, n_frames: int) -> None:
        """Widen the errors of relaxation times: these frames may be missing between the others."""
        self._n_lost = n_frames

    def so_far(self) -> NDArray[np.float32] | None:
        """Return the mean map over all bins so far; None with too few frames, or without a photon."""
        if self._reducer.n_pushed < FEWEST_FRAMES:
            return None
        try:
            maps = self._reducer.maps()
        except ValueError:  # no photon
            return None
        valid = np.isfinite(maps)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(valid, maps, 0).sum(0) / valid.sum(0))

    def _correlated(self) -> Correlated:
        assert self._screen is not None  # it has passed frames on
        return Correlated(self._technique, self._run, self._screen, self._reducer, self._correlator, self._n_lost)

    def _prepare(self, so_far: Correlated, n_frames: int) -> None:
        """Calibrate for the expected statistics of the run; this takes seconds, and frames still arrive."""
        if any(part.prepare(so_far, n_frames) for part in self._parts) or not so_far.photons.any():
            return
        technique, share = self._technique, n_frames / so_far.n_frames
        contrasts = [_numbers.contrast_within(ring, so_far.g2) for ring in technique.rings]
        pooled = [pooled_contrast((beta, sigma * share**-0.5), technique.contrast) for beta, sigma in contrasts]
        prepare(technique, share * so_far.photons, pooled, Cells.of_whole(n_frames), so_far.speckle_px)

    @one_thread
    def finish(self) -> Analysis:
        """Return the result of the frames that arrived."""
        frames = self._all_frames()
        doubts = Doubts.of(frames)
        fitted = _numbers.of_frames(frames, doubts)
        others = [part.finish(frames, doubts.frames) for part in self._parts]
        doubt = doubts.frames or doubts.maps or next((each.doubt for each in others if each.doubt), None)
        if doubt is None and frames.n_frames < JUDGED * (self._run.n_frames or 0):
            doubt = f"the exposure was stopped after {frames.n_frames} of {self._run.n_frames} frames"
        judgement = next((each.judgement for each in others if each.judgement), None)
        judgement = judgement or self._judged(frames, fitted, doubt)
        shares = [
            Share(self._maps(frames) | {"latent": judgement.latent}, summary=judgement.summary),
            Share({} if doubt else outline(self._technique.rings, frames.whole, frames.photons, frames.speckle_px)),
            fitted.share(judgement.p_of_ring),
            self._picture.share(frames),
            _left_out(frames),
            _bins_of(self._given),
            *others,
        ]
        analysis = analysis_of(self._technique, judgement, merged(shares))
        return analysis if self._run.n_frames in (None, frames.n_frames) else replace(analysis, status="partial")

    def _all_frames(self) -> Correlated:
        """Correlate the last frames; raise AnalysisError if no maps or no g2 can be computed from all of them."""
        if self._first:
            self._cut()
        try:
            self._correlate([] if self._screen is None else self._screen.flush())
        except ValueError as error:
            raise AnalysisError(str(error)) from error
        if self._reducer.n_pushed < FEWEST_FRAMES:
            n_frames = number_of(self._reducer.n_pushed, "frame")
            raise AnalysisError(f"{n_frames}: a map needs at least {FEWEST_FRAMES}")
        frames = self._correlated()
        if not frames.photons.any():
            raise AnalysisError("zero photons in the bins: is the shutter open, the beam on the centre?")
        if np.average(np.isfinite(frames.g2.parts0), weights=frames.g2.part_weight) < 0.5:
            n_bad = frames.left_out.n_pixels
            raise AnalysisError(f"{n_bad} pixels are bad, and most of them were found late: mask them")
        return frames

    def _maps(self, frames: Correlated) -> dict[str, NDArray[Any]]:
        """Return the maps, also denoised if the technique does that."""
        denoiser = self._technique.denoiser
        denoised = {} if denoiser is None else {"denoised": denoiser.denoise(frames.whole, size=DENOISED)}
        return {"c2": frames.maps, **denoised}

    def _judged(self, frames: Correlated, fitted: _numbers.Numbers, doubt: str | None) -> Judgement:
        """Judge the maps of the frames."""
        pairs = zip(fitted.contrasts, fitted.rings["speckle"], strict=True)
        pooled = [None if speckle == "no" else pooled_contrast(of, self._technique.contrast) for of, speckle in pairs]
        of_noise = frames.speckle_px, frames.pixel_noise
        return judge(self._technique, frames.whole, frames.photons, pooled, *of_noise, doubt=doubt, cells=frames.cells)


def _bins_of(technique: "RheoXPCS") -> Share:
    """Name the bins of a q map that the run names."""
    names = {"bins_of": technique.bins_of, "bins_sha256": technique.parameters["partition"]}
    return Share(summary=names if technique.bins_of else {})


def _left_out(frames: Correlated) -> Share:
    """Return how many pixels and frames are left out, their table, and when the pattern changed for good."""
    left_out, moved_s = frames.left_out, None
    if left_out.moved.size and frames.run.frame_time_s is not None:
        moved_s = float(left_out.moved[0] * frames.run.frame_time_s)
    n_left_out = {"pixels_left_out": left_out.n_pixels, "frames_left_out": left_out.n_frames}
    return Share(tables=_left_out_table(left_out), summary={**n_left_out, "moved_s": moved_s})


def analysis_of(technique: "RheoXPCS", judgement: Judgement, share: Share) -> Analysis:
    """Return the result of frames, or of maps; the dimensions and units of a share come before `DIMS` and `UNITS`."""
    names = {*share.arrays, *share.summary, *(column for table in share.tables.values() for column in table)}
    strange = {name: "1" for name in share.summary if name.startswith("strangeness_")}
    units, dims = UNITS | _numbers.UNITS | strange | dict(share.units), DIMS | dict(share.dims)
    return Analysis(
        embedding=judgement.embedding,
        novelty_p=judgement.p,
        arrays=share.arrays,
        dims={name: dims[name] for name in share.arrays},
        tables=share.tables,
        summary=share.summary,
        units={name: unit for name, unit in units.items() if name in names},
        model={"name": technique.encoder.name, "sha256": technique.encoder.sha256},
        calibration={"id": technique.bank.id, "n": technique.bank.n, "alpha": technique.alpha},
    )


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
