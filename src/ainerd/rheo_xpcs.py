"""Rheo-XPCS: the technique that reads dynamics from speckle movies of a sample that was sheared."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.latent import (
    REGIME_SCATTER,
    Bank,
    Encoder,
    NoveltyScorer,
    RegimeModel,
    calibrated,
    match_labels,
    run_embedding,
    run_features,
)
from ainerd.technique import Analysis, AnalysisError, Landmarks, Layout, Regimes, RunInfo
from ainerd.threads import one_thread
from ainerd.xpcs import MultiTau, Partition, TwoTimeReducer, fit_kww, g2_from_two_time

FEWEST_FRAMES = 64  # the encoder looks at 64 × 64; fewer frames would be the same frame in many cells
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
DENOISED = 64  # cells of a denoised map: finer ones hold nothing more
# Middle of what the bank covers, whatever the instrument: axes through the landmarks are the same everywhere.
LANDMARKS: dict[str, Any] = {"n_frames": 1.0, "counts": 250.0, "n_pixels": 600.0, "contrast": 0.2}
STEP = 0.1  # calibrations are shared by runs whose counts differ by less, in natural logarithm


class RheoXPCS:
    """C2 of every azimuthal bin, its place in the latent space, and how surprising it is.

    Parameters
    ----------
    partition : Partition
    encoder : Encoder
    bank : Bank
        Frozen exposures that novelty is calibrated against.
    contrast : float
        Speckle contrast beta of the instrument.
    alpha : float
        Level at which an exposure is called novel.
    denoiser : Encoder, optional
        What takes the noise off the maps that are kept beside the measured ones; without it none are.
    **reduction
        Options of `TwoTimeReducer`.
    """

    name = "rheo_xpcs"

    def __init__(
        self,
        partition: Partition,
        encoder: Encoder,
        bank: Bank,
        *,
        contrast: float,
        alpha: float = 0.05,
        denoiser: Encoder | None = None,
        **reduction: Any,
    ) -> None:
        if 64 not in encoder.sizes:
            raise ValueError(f"encoder {encoder.name!r} cannot be calibrated, it takes no maps of 64 px: give 'pca'")
        if len(np.unique(partition.q)) > 1:
            raise ValueError("the partition has several rings in q: an embedding is that of one, give n_q = 1")
        self.partition, self.encoder, self.bank, self.denoiser = partition, encoder, bank, denoiser
        self.contrast, self.alpha = contrast, alpha
        self.reduction = {
            "reduction": "area",
            "diagonal": "poisson",
            "normalization": "smoothed",
            **reduction,
        }
        self.regime_width = RegimeModel.CUT * REGIME_SCATTER
        self.embedding_size = run_embedding(encoder, np.zeros((partition.n_roi, encoder.n_latent))).size
        self.pixels_per_bin = int(np.median(partition.n_pixels))
        self._landmarks: Landmarks | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What changes the numbers."""
        maps = hashlib.sha256(self.partition.roi_map.tobytes() + self.partition.static_map.tobytes())
        return {
            "technique": self.name,
            "partition": maps.hexdigest(),
            "n_roi": self.partition.n_roi,
            "reducer": {"size": 256, **self.reduction},
            "encoder": self.encoder.sha256,
            **({"denoiser": self.denoiser.sha256} if self.denoiser else {}),
            "bank": self.bank.id,
            "contrast": self.contrast,
        }

    def begin(self, run: RunInfo) -> "_Exposure":
        """Prepare for a run.

        Raises
        ------
        AnalysisError
            If its frames do not fit the partition, or are too few.
        """
        if tuple(run.frame_shape) != self.partition.shape:
            raise AnalysisError(
                f"frames of {run.frame_shape[0]} × {run.frame_shape[1]} pixels, the partition is for "
                f"{self.partition.shape[0]} × {self.partition.shape[1]}"
            )
        if run.n_frames < FEWEST_FRAMES:
            raise AnalysisError(f"{run.n_frames} frame(s): a map needs at least {FEWEST_FRAMES}")
        return _Exposure(self, run)

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Regimes of many runs."""
        model = RegimeModel(noise=self.regime_width / RegimeModel.CUT, random_state=0).fit(embeddings)
        labels = model.labels_ if previous is None else match_labels(model.labels_, previous)
        number = np.full(model.n_regimes_ + 1, -1)  # the last is for -1
        number[model.labels_] = labels
        return Regimes(
            labels=labels,
            n_regimes=model.n_regimes_,
            supported_range=model.supported_range_,
            predict=lambda z: number[model.predict(z)],
        )

    def landmarks(self) -> Landmarks:
        """The exposures of the bank, by family."""
        if self._landmarks is None:
            embeddings, names = self.bank.landmarks(self.encoder, **LANDMARKS)
            self._landmarks = Landmarks(embeddings=embeddings, names=names)
        return self._landmarks

    def reconstruct(self, latent: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maps that latent vectors (n_roi, m) hold, (n_roi, 256, 256)."""
        return self.encoder.decode(latent)

    def gap(self, photons: float) -> str | None:
        """Why nothing can be said of the novelty of a run with so many photons a pixel; None if something can."""
        if (self.reduction["reduction"], self.reduction["diagonal"]) != ("area", "poisson"):
            return "the bank is calibrated for reduction 'area' and diagonal 'poisson'"
        return self.bank.gap(n_frames=1, counts=photons, n_pixels=self.pixels_per_bin, contrast=self.contrast)

    def scorer(self, photons: float) -> NoveltyScorer:
        """The scorer calibrated for runs of so many photons a pixel, spread over however many frames."""
        return calibrated(
            self.bank,
            self.encoder,
            photons=float(np.exp(np.round(np.log(photons) / STEP) * STEP)),
            n_pixels=self.pixels_per_bin,
            contrast=self.contrast,
            n_roi=self.partition.n_roi,
        )


class _Exposure:
    """One run being analysed."""

    def __init__(self, technique: RheoXPCS, run: RunInfo) -> None:
        self._technique, self._run = technique, run
        self._reducer = TwoTimeReducer(technique.partition, run.n_frames, **technique.reduction)
        self._correlator = MultiTau(technique.partition, run.n_frames)
        self._tau = self._correlator.lag * run.frame_time_s
        self._prepared = False  # whether the calibration has been asked for

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the partition's pixels."""
        return self._technique.partition.pixels

    @property
    def layouts(self) -> dict[str, Layout]:
        """All that `finish` gives."""
        n_roi, n_tau = self._technique.partition.n_roi, self._tau.size
        size = self._reducer.size
        shapes = {
            "c2": ((n_roi, size, size), "float32"),
            "latent": ((n_roi, self._technique.encoder.n_latent), "float32"),
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
        self._reducer.push(block)
        self._correlator.push(block)
        if not self._prepared and self._reducer.n_pushed >= self._run.n_frames / 2:
            # a second's work, better done while frames still come
            self._prepared = True
            photons = self._photons * self._run.n_frames / self._reducer.n_pushed
            if photons > 0 and not self._technique.gap(photons):
                self._technique.scorer(photons)

    def _denoised(self, maps: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], dict[str, float | None]]:
        """The maps without their noise, g2 along their diagonals, and the median of its relaxation times."""
        if self._technique.denoiser is None:
            return {}, {}
        denoised = self._technique.denoiser.denoise(maps, size=DENOISED)
        g2 = g2_from_two_time(denoised)
        tau = np.arange(1, DENOISED) * self._run.n_frames / DENOISED * self._run.frame_time_s
        fit = fit_kww(tau, g2)
        arrays: dict[str, NDArray[Any]] = {"denoised": denoised, "g2_denoised": g2, "tau_denoised": tau}
        return arrays, {"tau_denoised_s": float(np.nanmedian(fit.tau)) if fit.ok.any() else None}

    @property
    def _photons(self) -> float:
        """Photons a pixel so far."""
        return float(self._reducer.sums.counts.sum(dtype=np.float64) / len(self.pixels))

    @one_thread
    def finish(self) -> Analysis:
        """Say what the run was."""
        technique, run = self._technique, self._run
        photons = self._photons
        if photons == 0:
            raise AnalysisError("zero photons in the bins: is the shutter open, the beam on the centre?")
        maps = self._reducer.maps()
        empty = int(np.isnan(maps).all(2).any(0).sum())
        if empty:
            raise AnalysisError(f"{empty} of {maps.shape[1]} rows of the map hold no valid frame with a photon")
        latent = technique.encoder.encode(maps)
        features = run_features(technique.encoder, maps, n_frames=1, counts=photons, n_pixels=technique.pixels_per_bin)
        no_claim = technique.gap(photons)
        verdict = None if no_claim else technique.scorer(photons).explain(features[None])[0]
        g2 = self._correlator.result()
        fit = fit_kww(self._tau, g2.value)
        denoised, told = self._denoised(maps)
        return Analysis(
            embedding=run_embedding(technique.encoder, latent),
            novelty_p=verdict.p if verdict else None,
            arrays={"c2": maps, "latent": latent, "g2": g2.value, "g2_err": g2.error, "tau": self._tau, **denoised},
            dims=DIMS,
            summary={
                "counts_per_pixel": photons / run.n_frames,
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
        )
