"""X-TEC: trajectories of pixels through a ramp, in clusters."""

import hashlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ainerd.config import read_map, read_section
from ainerd.novelty import find_regimes
from ainerd.technique import Question, Regimes, RunInfo, Series, Technique, Unit
from ainerd.techniques.xtec._cut import cut
from ainerd.techniques.xtec._ramp import Ramp
from ainerd.techniques.xtec._said import QUANTILES, Known
from ainerd.techniques.xtec._settings import XTECSettings
from ainerd.techniques.xtec._steering import NextTemperature

VERSION = 4  # of the formulas
# Settings that do not change the numbers.
NOT_NUMBERS = {"series", "mask", "dark", "memory_gb", "alike", "alpha", "unit"}


class XTEC(Technique):
    """Diffraction over temperature (or strain, field, time): clusters of pixels, and temperatures of transitions.

    Venderley et al., PNAS 119, e2109665119 (2022).

    Parameters
    ----------
    settings : XTECSettings, optional
    mask : ndarray of bool, shape (ny, nx), optional
        True where a pixel must not be used.
    dark : ndarray, shape (ny, nx), optional
        Counts of a frame without beam.
    **options
        Settings, by name.

    Attributes
    ----------
    known : Known or None
        What the newest ramp says, for steering.
    """

    name = "xtec"
    embedding_size = QUANTILES.size

    def __init__(
        self,
        settings: XTECSettings | None = None,
        *,
        mask: NDArray[np.bool_] | None = None,
        dark: NDArray[np.float64] | None = None,
        **options: Any,
    ) -> None:
        self.settings = settings or XTECSettings(**options)
        self.mask, self.dark = mask, dark
        self.known: Known | None = None
        self.unit: Unit = Series(self.settings.series)
        self.alpha, self.regime_width = self.settings.alpha, self.settings.alike

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build it from ``[xtec]``; see `XTECSettings`."""
        settings = read_section(XTECSettings, section, cls.name)
        mask = None if settings.mask is None else read_map(folder / settings.mask, "xtec.mask").astype(bool)
        dark = None if settings.dark is None else read_map(folder / settings.dark, "xtec.dark")
        return cls(settings, mask=mask, dark=dark)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What changes the numbers."""
        settings = self.settings.model_dump(mode="json", exclude=NOT_NUMBERS)
        said = {"technique": self.name, "version": VERSION, **settings}
        for name, array in (("mask", self.mask), ("dark", self.dark)):
            if array is not None:
                said[name] = hashlib.sha256(array.tobytes()).hexdigest()
        return said

    def begin(self, run: RunInfo) -> Ramp:
        """Prepare for a series; AnalysisError if its frames do not fit mask or dark."""
        return Ramp(self, run)

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Series that change at the same temperatures."""
        return find_regimes(embeddings, previous, width=self.regime_width)

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> NextTemperature:
        """Chooses the next temperature."""
        return NextTemperature(self, bounds)

    @classmethod
    def questions(cls, frame: NDArray[np.float64] | None = None) -> Generator[Question, Any, None]:
        """What ``ainerd init`` asks."""
        ramped = "data key of what is ramped, read with each frame"
        yield Question(key="temperature", asked=ramped, default="temperature")
        yield Question(key="unit", asked="its unit", default="K")
        shared = "key of the start document that runs of one ramp share"
        yield Question(key="series", asked=shared, default="series_id")
        yield Question(key="monitor", asked="data key of the beam's intensity at each frame", example="i0")
        if frame is not None and not np.isfinite(frame).all():
            unused = "a .npy of booleans, True where a pixel must not be used"
            yield Question(key="mask", asked=unused, default="mask.npy", array=~np.isfinite(frame))
        yield Question(key="clusters", asked="how many clusters; without it as many as are stable", example=4)

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Kept pixels on a mean frame, and the histogram they are cut from.

        ValueError if the mask does not fit, or there is nothing to cut.
        """
        image, logs = figure.subplots(1, 2)
        if frame is None:
            image.set_title("no frame: pixels are kept by their counts")
            return
        if self.mask is not None and self.mask.shape != frame.shape:
            raise ValueError(f"the frame has {frame.shape} pixels, xtec.mask is of {self.mask.shape}")
        mean = np.where(np.isfinite(frame) & (True if self.mask is None else ~self.mask), frame, 0.0)
        bright = cut(mean.ravel(), self.settings.cut)
        image.imshow(np.log(np.maximum(mean, 1e-3)), cmap="gray")
        image.imshow(np.where(bright.keep.reshape(mean.shape), 1.0, np.nan), cmap="autumn", alpha=0.6)
        image.set_title(f"{int(bright.keep.sum())} pixels kept")
        logs.hist(np.log(mean[mean > 0]), 200, histtype="step")
        logs.axvline(bright.level, color="C3")
        logs.set(xlabel="log counts", ylabel="pixels", yscale="log")
