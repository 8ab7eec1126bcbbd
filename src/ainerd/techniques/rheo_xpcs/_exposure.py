"""One exposure of rheo-XPCS, analysed while its frames arrive."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.latent import run_embedding
from ainerd.technique import Analysis, AnalysisError, Layout, RunInfo
from ainerd.techniques.rheo_xpcs._features import run_features
from ainerd.threads import one_thread
from ainerd.xpcs import MultiTau, TwoTimeReducer, fit_kww, g2_from_two_time

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

DIMS = {
    "c2": ("roi", "t1", "t2"),
    "latent": ("roi", "component"),
    "g2": ("roi", "tau"),
    "g2_err": ("roi", "tau"),
    "tau": ("tau",),
    "denoised": ("roi", "t1", "t2"),
    "g2_denoised": ("roi", "tau_denoised"),
    "tau_denoised": ("tau_denoised",),
}
FEWEST_FRAMES = 64  # the encoder looks at 64 × 64; fewer frames would be the same frame in many cells
OPEN_FRAMES = 1_000_000  # lags of a run that announces no number of frames go as far as those of one with so many
DENOISED = 64  # cells of a denoised map: finer ones hold nothing more


class Exposure:
    """One exposure being analysed, with the options of its technique.

    One that ends early, or that never said how long it would be, is that of the frames that came.
    """

    def __init__(self, technique: "RheoXPCS", run: RunInfo) -> None:
        assert run.frame_time_s is not None  # seen to by `begin`
        self._technique, self._run = technique, run
        self._n_frames, self._frame_time_s = run.n_frames, run.frame_time_s
        self._reducer = TwoTimeReducer(technique.partition, run.n_frames, **technique.reduction)
        self._correlator = MultiTau(technique.partition, run.n_frames or OPEN_FRAMES)
        self._prepared = False  # whether the calibration has been asked for

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the partition's pixels."""
        return self._technique.partition.pixels

    @property
    def layouts(self) -> dict[str, Layout]:
        """All that `finish` gives of as many frames as were announced."""
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
            self._reducer.push(block)
            self._correlator.push(block)
        except ValueError as error:  # no counts, or more frames than were announced
            raise AnalysisError(str(error)) from error
        if self._n_frames is not None and not self._prepared and self._reducer.n_pushed >= self._n_frames / 2:
            # a second's work, better done while frames still come
            self._prepared = True
            photons = self._photons * self._n_frames / self._reducer.n_pushed
            if photons > 0 and not self._technique.gap(photons):
                self._technique.scorer(photons)

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

    @property
    def _photons(self) -> float:
        """Photons a pixel so far."""
        return float(self._reducer.sums.counts.sum(dtype=np.float64) / len(self.pixels))

    @one_thread
    def finish(self) -> Analysis:
        """Say what the exposure was, as far as it came."""
        technique, n_frames = self._technique, self._reducer.n_pushed
        if n_frames < FEWEST_FRAMES:
            raise AnalysisError(f"{n_frames} frame(s): a map needs at least {FEWEST_FRAMES}")
        photons = self._photons
        if photons == 0:
            raise AnalysisError("zero photons in the bins: is the shutter open, the beam on the centre?")
        try:
            maps = self._reducer.maps(partial=True)
        except ValueError as error:  # only "area" maps a part of a run
            raise AnalysisError(str(error)) from error
        empty = int(np.isnan(maps).all(2).any(0).sum())
        if empty:
            raise AnalysisError(f"{empty} of {maps.shape[1]} rows of the map hold no valid frame with a photon")
        latent = technique.encoder.encode(maps)
        features = run_features(technique.encoder, maps, n_frames=1, counts=photons, n_pixels=technique.pixels_per_bin)
        no_claim = technique.gap(photons)
        verdict = None if no_claim else technique.scorer(photons).explain(features[None])[0]
        g2 = self._correlator.result()
        tau = g2.lag * self._frame_time_s
        fit = fit_kww(tau, g2.value)
        denoised, told = self._denoised(maps)
        return Analysis(
            embedding=run_embedding(technique.encoder, latent),
            novelty_p=verdict.p if verdict else None,
            arrays={"c2": maps, "latent": latent, "g2": g2.value, "g2_err": g2.error, "tau": tau, **denoised},
            dims=DIMS,
            summary={
                "counts_per_pixel": photons / n_frames,
                "no_claim": no_claim,
                "nearest_known": verdict.nearest if verdict else None,
                "strangest_in": verdict.spoke if verdict else None,
                **({f"strangeness_{term}": x for term, x in verdict.excess.items()} if verdict else {}),
                "tau_s": float(np.nanmedian(fit.tau)) if fit.ok.any() else None,
                "kww_exponent": float(np.nanmedian(fit.exponent)) if fit.ok.any() else None,
                "g2_contrast": float(np.nanmedian(fit.contrast)) if fit.ok.any() else None,
                "g2_fits": int(fit.ok.sum()),
                **told,
            },
            units={"counts_per_pixel": "photons/pixel/frame", "tau_s": "s", "tau": "s"}
            | dict.fromkeys(("tau_denoised", *told) if denoised else (), "s")
            | dict.fromkeys(("kww_exponent", "g2_contrast", "g2_fits", "c2", "g2", "g2_err", "latent"), "1")
            | dict.fromkeys(("denoised", "g2_denoised") if denoised else (), "1")
            | dict.fromkeys((f"strangeness_{term}" for term in (verdict.excess if verdict else ())), "1"),
            model={"name": technique.encoder.name, "sha256": technique.encoder.sha256},
            calibration={"id": technique.bank.id, "n": technique.bank.n, "alpha": technique.alpha},
            status="complete" if n_frames == self._n_frames else "partial",
        )
