"""X-TEC as a technique: clusters of pixel trajectories through a ramp, and the choice of the next temperature."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ainerd.config import located, read_map, read_section
from ainerd.novelty import find_regimes
from ainerd.technique import Regimes, RunInfo, Series, Technique
from ainerd.threads import one_thread
from ainerd_xtec._pixels import cut
from ainerd_xtec._ramp import POINT, Ramp
from ainerd_xtec._settings import XTECSettings
from ainerd_xtec._transitions import Trajectories

VERSION = 8  # of the formulas
SERIES = "series_id"  # key of the start document that runs of one ramp share
NOT_NUMBERS = {"mask", "alpha", "unit"}  # settings that do not change numbers
ALIKE = 5.0  # largest difference of two series of one regime, in the unit of the temperature
EVEN = 4  # first temperatures, evenly spread, including both ends
CURIOUS = 0.3  # bend of a gap in which no trajectory bends
STEPS = 150  # of the range: smaller steps in temperature add nothing


class XTEC(Technique):
    """Diffraction over temperature (or strain, field, time): clusters of pixels, and temperatures of transitions.

    Venderley et al., PNAS 119, e2109665119 (2022).

    Parameters
    ----------
    settings : XTECSettings, optional
    mask : ndarray of bool, shape (ny, nx), optional
        True where a pixel must not be used.
    **options
        Settings, by name.

    Attributes
    ----------
    known : Trajectories or None
        Trajectories of the newest ramp, for steering.
    """

    name = "xtec"
    embedding_size = POINT

    def __init__(
        self,
        settings: XTECSettings | None = None,
        *,
        mask: NDArray[np.bool_] | None = None,
        **options: Any,
    ) -> None:
        self.settings = settings or XTECSettings(**options)
        self.mask = mask
        self.known: Trajectories | None = None
        self.unit = Series(SERIES)
        self.alpha, self.regime_width = self.settings.alpha, ALIKE

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build it from ``[xtec]``; see `XTECSettings`."""
        settings = read_section(XTECSettings, section, cls.name)
        mask = None if settings.mask is None else read_map(located(settings.mask, folder), "xtec.mask").astype(bool)
        return cls(settings, mask=mask)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings and the mask, which change the numbers."""
        settings = self.settings.model_dump(mode="json", exclude=NOT_NUMBERS)
        mask = {} if self.mask is None else {"mask": hashlib.sha256(self.mask.tobytes()).hexdigest()}
        return {"technique": self.name, "version": VERSION, **settings, **mask}

    def begin(self, run: RunInfo) -> Ramp:
        """Prepare for a series; raise AnalysisError if its frames do not fit the mask."""
        return Ramp(self, run)

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group series whose transitions are at the same temperatures."""
        return find_regimes(embeddings, previous, width=self.regime_width)

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> "NextTemperature":
        """Return the optimizer that chooses the next temperature."""
        return NextTemperature(self, bounds)

    @classmethod
    def template(cls) -> str:
        """Return the section of the TOML that ``ainerd init`` writes."""
        return files("ainerd_xtec").joinpath("template.toml").read_text("utf-8")

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw the kept pixels on a mean frame, and the histogram with the cut.

        Raise ValueError if the mask does not fit, or there is nothing to cut.
        """
        image, logs = figure.subplots(1, 2)
        if frame is None:
            image.set_title("no frame: pixels are kept by their counts")
            return
        if self.mask is not None and self.mask.shape != frame.shape:
            raise ValueError(f"the frame has {frame.shape} pixels, xtec.mask is of {self.mask.shape}")
        used = np.isfinite(frame) & (True if self.mask is None else ~self.mask)
        mean = np.where(used, frame, 0.0)
        bright = cut(mean.ravel(), self.settings.cut)
        image.imshow(np.log(np.maximum(mean, 1e-3)), cmap="gray")
        image.imshow(np.where(bright.keep.reshape(mean.shape), 1.0, np.nan), cmap="autumn", alpha=0.6)
        image.set_title(f"{int(bright.keep.sum())} pixels kept")
        logs.hist(np.log(mean[mean > 0]), 200, histtype="step")
        logs.axvline(bright.level, color="C3")
        logs.set(xlabel="log counts", ylabel="pixels", yscale="log")


class NextTemperature:
    """A bluesky-adaptive `Optimizer` of one temperature; other actuators stay in the middle of their bounds.

    It chooses the temperature of one frame at a time. The first ones are spread evenly. Each later one is the middle of
    a gap between temperatures: that with the largest width times bend. The bend is the change of slope at either end,
    of trajectories that span 1 over the range, summed over the clusters of the newest ramp (`XTEC.known`).

    Parameters
    ----------
    technique : XTEC
        Technique whose newest ramp gives the trajectories.
    bounds : mapping of str to (float, float)
        Bounds of actuators; the one named as the temperature in the settings is moved, or else the first.
    """

    def __init__(self, technique: XTEC, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._technique = technique
        self._name = ([n for n in bounds if technique.settings.temperature.startswith(n)] or list(bounds))[0]
        self._within = bounds[self._name]
        self._middle = {name: sum(limits) / 2 for name, limits in bounds.items() if name != self._name}
        self._at: list[float] = []  # requested or measured, but not in the newest ramp

    @one_thread
    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return the next temperatures, each with a reason."""
        return [self._next() for _ in range(num_points or 1)]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Record measured temperatures; their trajectories are in the technique's newest ramp."""
        if self._technique.known is not None:
            self._at.clear()
        self.register_failures(points)

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Record temperatures without a result yet, so that they are not requested again."""
        self._at += [float(p[self._name]) for p in suggestions if np.isfinite(p.get(self._name, np.nan))]

    def should_stop(self) -> tuple[bool, str]:
        """Return whether no gap is left that is worth another frame, and why."""
        if np.diff(self._edges()).max() > 2 * np.ptp(self._within) / STEPS:
            return False, "there are gaps between temperatures in which trajectories are not certain"
        return True, "all gaps between temperatures are closed"

    def _next(self) -> dict[str, Any]:
        even, taken = np.linspace(*self._within, EVEN), self._taken()
        near = np.ptp(self._within) / EVEN / 2
        far = [at for at in even.tolist() if not (np.abs(taken - at) <= near).any()]
        at, reason = (far[0], f"one of {EVEN} temperatures that are spread evenly") if far else self._in_a_gap()
        self._at.append(at)
        return {self._name: at, **self._middle, "reason": reason}

    def _in_a_gap(self) -> tuple[float, str]:
        edges, unit = self._edges(), self._technique.settings.unit
        gaps, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
        bend = self._bend(middle)
        i = int(((bend + CURIOUS) * gaps).argmax())
        if bend[i] > CURIOUS:
            return float(middle[i]), f"trajectories bend most between {edges[i]:.4g} and {edges[i + 1]:.4g} {unit}"
        return float(middle[i]), "the middle of the widest gap between temperatures"

    def _bend(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bend of the trajectories around the gap at each of `at` (n,)."""
        known = self._technique.known
        if known is None:
            return np.zeros(at.size)
        t, y = known.temperatures, known.means / np.maximum(np.ptp(known.means, axis=1), 1e-9)[:, None]
        bend = np.pad(np.abs(np.diff(np.diff(y, axis=1) / np.diff(t), axis=1)), ((0, 0), (1, 1)))
        of_gaps = np.maximum(bend[:, 1:], bend[:, :-1]).sum(axis=0) * np.ptp(self._within)
        return np.asarray(of_gaps[np.clip(np.searchsorted(t, at) - 1, 0, t.size - 2)])

    def _taken(self) -> NDArray[np.float64]:
        known = self._technique.known
        return np.append(self._at, [] if known is None else known.temperatures)

    def _edges(self) -> NDArray[np.float64]:
        """Return the ends of the gaps: those of the range, and the temperatures within it."""
        return np.unique([*self._within, *np.clip(self._taken(), *self._within)])
