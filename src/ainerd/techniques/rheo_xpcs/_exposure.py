"""One exposure of rheo-XPCS, analysed while its frames arrive."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, Layout, RunAnalysis, RunInfo
from ainerd.techniques.rheo_xpcs import _picture
from ainerd.techniques.rheo_xpcs._numbers import Numbers, numbers
from ainerd.techniques.rheo_xpcs._picture import Picture
from ainerd.techniques.rheo_xpcs._seen import Seen, pooled_contrast, speckle_px
from ainerd.techniques.rheo_xpcs._verdict import filled, judge
from ainerd.threads import one_thread
from ainerd.xpcs import LeftOut, MultiTau, Screen, TwoTimeReducer, fit_kww, g2_from_two_time, per_bin

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

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
}
UNITS = {
    "counts_per_pixel": "photons/pixel/frame",
    **dict.fromkeys(("tau", "age", "tau_denoised", "tau_denoised_s"), "s"),
    **dict.fromkeys(("c2", "g2", "g2_err", "g2_by_age", "latent", "denoised", "g2_denoised"), "1"),
    **dict.fromkeys(("pixels_left_out", "frames_left_out"), "1"),
    "moved_s": "s",
    **_picture.UNITS,
}
FEWEST_FRAMES = 64  # the encoder looks at 64 × 64; fewer frames would be the same frame in many cells
DENOISED = 64  # cells of a denoised map: finer ones hold nothing more


class Exposure(RunAnalysis):
    """One exposure being analysed, with the options of its technique.

    One that ends early, or that never said how long it would be, is that of the frames that came.
    """

    def __init__(self, technique: "RheoXPCS", run: RunInfo) -> None:
        assert run.frame_time_s is not None  # seen to by `begin`
        self._technique = technique
        self._n_frames, self._frame_time_s = run.n_frames, run.frame_time_s
        partition = technique.partition
        self._screen = Screen(partition, run.n_frames)
        self._reducer = TwoTimeReducer(partition, run.n_frames, **technique.reduction)
        self._correlator = MultiTau(partition, run.n_frames)
        self._picture = Picture(technique.field, run.n_frames, partition.n_roi)
        self._prepared = False  # whether the calibration has been asked for

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the partition's pixels."""
        return self._technique.partition.pixels

    @property
    def every(self) -> int:
        """Of so many frames one is seen whole."""
        return self._picture.every

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Look at a whole frame, for the mean frame and I(q)."""
        self._picture.see(frame, number)

    @property
    def layouts(self) -> dict[str, Layout]:
        """Of what `finish` gives the larger part, of as many frames as were announced."""
        n_roi, size = self._technique.partition.n_roi, self._reducer.size
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "c2": ((n_roi, size, size), "float32"),
            "latent": ((n_roi, self._technique.encoder.n_latent), "float32"),
        }
        if self._n_frames is not None:
            n_tau = self._correlator.lag.size
            shapes |= {
                "g2": ((n_roi, n_tau), "float64"),
                "g2_err": ((n_roi, n_tau), "float64"),
                "tau": ((n_tau,), "float64"),
            }
        if self._technique.denoiser:
            shapes |= {
                "denoised": ((n_roi, DENOISED, DENOISED), "float32"),
                "g2_denoised": ((n_roi, DENOISED - 1), "float64"),
                "tau_denoised": ((DENOISED - 1,), "float64"),
            }
        return {name: Layout(shape, dtype, DIMS[name]) for name, (shape, dtype) in shapes.items()}

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames."""
        try:
            for screened in self._screen.push(block):
                screened.to(self._reducer, self._correlator)
        except ValueError as error:  # no counts, more frames than were announced, or more bad pixels than can be
            raise AnalysisError(str(error)) from error
        if self._n_frames is not None and not self._prepared and self._reducer.n_pushed >= self._n_frames / 2:
            self._prepared = True
            self._prepare(self._n_frames / self._reducer.n_pushed)

    def so_far(self) -> NDArray[np.float32] | None:
        """The mean over all bins of the map of the frames that have come; None of too few, or of a part of a run."""
        if self._reducer.n_pushed < FEWEST_FRAMES:
            return None
        try:
            maps = self._reducer.maps(partial=True)
        except ValueError:  # only "area" maps a part of a run
            return None
        seen = np.isfinite(maps)
        with np.errstate(invalid="ignore"):
            return np.where(seen, maps, 0).sum(0) / seen.sum(0)

    def _prepare(self, share: float) -> None:
        """Calibrate for what the run will be: seconds' work, better done while frames still come."""
        technique, photons = self._technique, self._photons(self._screen.left_out)
        if not photons.any():
            return
        g2 = self._correlator.result()
        value, error = np.nan_to_num(g2.contrast0), np.nan_to_num(g2.contrast0_err)
        size = self._speckle_px()
        for ring in technique.rings:
            of_ring = float(ring.weights @ photons[ring.bins]) * share
            beta = float(ring.weights @ value[ring.bins])
            sigma = float(np.hypot.reduce(ring.weights * error[ring.bins]))
            contrast = pooled_contrast(beta, sigma * share**-0.5, technique.contrast)
            if of_ring > 0 and contrast is not None and not technique.gap(contrast):
                technique.scorer(
                    Seen(
                        photons=of_ring,
                        contrast=contrast[0],
                        contrast_err=contrast[1],
                        n_pixels=ring.pixels,
                        phi_deg=ring.phi_deg,
                        speckle_px=size,
                    ).bank()
                )

    @one_thread
    def finish(self) -> Analysis:
        """Say what the exposure was, as far as it came."""
        try:
            for screened in self._screen.flush():
                screened.to(self._reducer, self._correlator)
        except ValueError as error:
            raise AnalysisError(str(error)) from error
        technique, n_frames, left_out = self._technique, self._reducer.n_pushed, self._screen.left_out
        if n_frames < FEWEST_FRAMES:
            raise AnalysisError(f"{n_frames} frame(s): a map needs at least {FEWEST_FRAMES}")
        photons = self._photons(left_out)
        if not photons.any():
            raise AnalysisError("zero photons in the bins: is the shutter open, the beam on the centre?")
        try:
            maps = self._reducer.maps(partial=True)
        except ValueError as error:  # only "area" maps a part of a run
            raise AnalysisError(str(error)) from error
        whole = filled(maps)
        if whole is None:
            empty = int(np.isnan(maps).all(2).any(0).sum())
            why = ", ".join(f"{len(frames)} {reason}" for reason, frames in left_out.frames.items() if len(frames))
            raise AnalysisError(
                f"{empty} of {maps.shape[1]} rows of the map hold no valid frame with a photon"
                + (f"; left out are frames: {why}" if why else "")
            )
        g2 = self._correlator.result()
        found = numbers(g2, self._correlator.by_age(), technique.partition, technique.rings, self._frame_time_s)
        judged = judge(technique, whole, photons, self._contrast(found), self._speckle_px())
        denoised, told = self._denoised(whole)
        counts = per_bin(self._reducer.sums.counts[:n_frames], technique.partition)
        n_pixels = per_bin(self._reducer.sums.pixels[-1:], technique.partition)[0]
        bad = np.concatenate([*left_out.pixels.values(), np.empty(0, np.int64)])
        pictured, seen = self._picture.finish(counts, n_pixels, self._frame_time_s, bad)
        summary = {
            "counts_per_pixel": float(np.average(photons, weights=n_pixels) / (n_frames - left_out.n_frames)),
            **judged.summary,
            **found.summary,
            **told,
            **seen,
            "pixels_left_out": left_out.n_pixels,
            "frames_left_out": left_out.n_frames,
            "moved_s": float(left_out.moved[0] * self._frame_time_s) if left_out.moved.size else None,
        }
        arrays = {"c2": maps, "latent": judged.latent, **found.arrays, **denoised, **pictured}
        units = UNITS | found.units | {name: "1" for name in summary if name.startswith("strangeness_")}
        tables = found.tables(judged.p_of_ring) | _left_out_table(left_out)
        kept = {*arrays, *summary, *(column for table in tables.values() for column in table)}
        return Analysis(
            embedding=judged.embedding,
            novelty_p=judged.p,
            arrays=arrays,
            dims={name: DIMS[name] for name in arrays},
            tables=tables,
            summary=summary,
            units={name: unit for name, unit in units.items() if name in kept},
            model={"name": technique.encoder.name, "sha256": technique.encoder.sha256},
            calibration={"id": technique.bank.id, "n": technique.bank.n, "alpha": technique.alpha},
            status="complete" if n_frames == self._n_frames else "partial",
        )

    def _photons(self, left_out: LeftOut) -> NDArray[np.float64]:
        """Photons a pixel of each bin so far, in the frames that are not left out, (n_roi,)."""
        n, sums = self._reducer.n_pushed, self._reducer.sums
        valid = np.ones(n)
        for frames in left_out.frames.values():
            valid[frames[frames < n]] = 0
        partition = self._technique.partition
        counts = per_bin((valid @ sums.counts[:n])[None], partition)[0]
        return counts / np.maximum(per_bin(sums.pixels[-1:], partition)[0], 1)

    def _contrast(self, found: Numbers) -> list[tuple[float, float] | None]:
        """Of each ring, with its relative error: what was found and what was told; None if there is no speckle."""
        pooled = []
        for contrast, speckle in zip(found.contrasts, found.rings["speckle"], strict=True):
            beta, error = contrast or (None, None)
            pooled.append(None if speckle == "no" else pooled_contrast(beta, error, self._technique.contrast))
        return pooled

    def _speckle_px(self) -> float:
        """Pixels that see the same speckle, from the frames that have come."""
        partition, reducer = self._technique.partition, self._reducer
        rows = reducer.rows
        sizes = np.diff(partition.static_edges)  # within a sub-bin the profile of the scattering is nearly flat
        return speckle_px(rows, partition.shape, partition.pixels, np.repeat(np.arange(sizes.size), sizes))

    def _denoised(self, maps: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], dict[str, float | None]]:
        """The maps without their noise, g2 along their diagonals, and the median of its relaxation times."""
        if self._technique.denoiser is None:
            return {}, {}
        denoised = self._technique.denoiser.denoise(maps, size=DENOISED)
        g2 = g2_from_two_time(denoised)
        tau = np.arange(1, DENOISED) * self._reducer.n_pushed / DENOISED * self._frame_time_s
        fit = fit_kww(tau, g2)
        arrays: dict[str, NDArray[Any]] = {"denoised": denoised, "g2_denoised": g2, "tau_denoised": tau}
        return arrays, {"tau_denoised_s": float(np.nanmedian(fit.tau)) if fit.ok.any() else None}


def _left_out_table(left_out: LeftOut) -> dict[str, dict[str, NDArray[Any]]]:
    """Each pixel (its flat index) and frame (its number, from 0) that is left out, and why."""
    rows = [
        (what, reason, index)
        for what, found in (("pixel", left_out.pixels), ("frame", left_out.frames))
        for reason, indices in found.items()
        for index in indices.tolist()
    ]
    if not rows:
        return {}
    what, reason, index = zip(*rows, strict=True)
    return {"left_out": {"what": np.array(what), "reason": np.array(reason), "index": np.array(index)}}
