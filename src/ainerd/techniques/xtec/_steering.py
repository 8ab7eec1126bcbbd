"""The next temperature: where trajectories between those that were measured are least certain."""

import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ainerd.techniques.xtec._technique import XTEC

EVEN = 5  # temperatures that are spread evenly first, both ends among them
CLOSE = 1 / 150  # of the range: what is closer to a measured temperature tells nothing more
CURIOUS = 0.15  # weight of a gap in which trajectories seem straight


class NextTemperature:
    """A bluesky-adaptive `Optimizer` of one temperature; other actuators stay in the middle of their bounds.

    The first temperatures are spread evenly. After that it halves the gap in which a straight line between measured
    points is least sure: where the trajectories of the clusters bend at both its ends.

    Parameters
    ----------
    technique : XTEC
        Whose newest ramp says how trajectories go.
    bounds : mapping of str to (float, float)
        Of actuators; what the settings call the temperature is moved, or else the first.
    """

    def __init__(self, technique: "XTEC", bounds: Mapping[str, tuple[float, float]]) -> None:
        self._technique, self._bounds = technique, dict(bounds)
        names = list(bounds)
        named = [name for name in names if technique.settings.temperature.startswith(name)]
        self._name = (named or names)[0]
        self._at: list[float] = []  # asked for or measured
        self._lock = threading.Lock()

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next temperatures, each with a reason."""
        with self._lock:
            return [self._next() for _ in range(num_points or 1)]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take note of what was measured; what it says is in the technique's newest ramp."""
        self.register_failures(points)

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Temperatures that gave no result yet are not asked for again."""
        with self._lock:
            self._at += [float(p[self._name]) for p in suggestions if np.isfinite(p.get(self._name, np.nan))]

    def should_stop(self) -> tuple[bool, str]:
        """When no gap is left that is worth halving."""
        with self._lock:
            gaps, _ = self._gaps()
            if gaps.size and gaps.max() > 0:
                return False, "there are gaps between temperatures in which trajectories are not certain"
            return bool(gaps.size), "all gaps between temperatures are closed"

    def _next(self) -> dict[str, Any]:
        low, high = self._bounds[self._name]
        even = [x for x in np.linspace(low, high, EVEN) if not self._is_near(float(x), (high - low) / EVEN / 2)]
        if even:
            at, reason = float(even[0]), f"one of {EVEN} temperatures that are spread evenly"
        else:
            score, edges = self._gaps()
            best = int(score.argmax())
            at = float(edges[best : best + 2].mean())
            reason = self._why(float(edges[best]), float(edges[best + 1]))
        self._at.append(at)
        middle = {name: sum(limits) / 2 for name, limits in self._bounds.items() if name != self._name}
        return {"_id": uuid.uuid4().hex, self._name: at, **middle, "reason": reason}

    def _gaps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How uncertain each gap is, and the temperatures between which they lie."""
        low, high = self._bounds[self._name]
        edges = np.unique(np.clip([low, high, *self._at], low, high))
        gap = np.diff(edges) / (high - low)
        unsure = self._unsure(edges)
        score = unsure / max(float(unsure.max()), 1e-30) + CURIOUS * gap
        return np.where(gap > CLOSE, score, 0.0), edges

    def _unsure(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area of the triangle between the chord across each gap and the lines that go on from either side."""
        known = self._technique.known
        if known is None or known.temperatures.size < 4:
            return np.zeros(len(edges) - 1)
        t = known.temperatures
        y = known.means / np.maximum(np.ptp(known.means, axis=1, keepdims=True), 0.3)
        kink = np.abs(np.diff(np.diff(y, axis=1) / np.diff(t), axis=1))
        kink = np.pad(kink, ((0, 0), (1, 1)))
        left, right = kink[:, :-1], kink[:, 1:]
        area = np.diff(t) ** 2 * left * right / np.maximum(left + right, 1e-30) / 2
        of_gap = np.clip(np.searchsorted(t, (edges[:-1] + edges[1:]) / 2) - 1, 0, t.size - 2)
        return area.max(axis=0)[of_gap]

    def _why(self, low: float, high: float) -> str:
        unit, known = self._technique.settings.unit, self._technique.known
        where = f"between {low:.4g} and {high:.4g} {unit}"
        near = [s for s in (known.transitions if known else ()) if s.low <= high and s.high >= low]
        if near:
            half = (near[0].high - near[0].low) / 2
            return f"{where} lies the transition at {near[0].at:.4g} {unit}, known to ± {half:.2g}"
        return f"{where} the trajectories of the clusters bend most, or the gap is the widest"

    def _is_near(self, x: float, distance: float) -> bool:
        return any(math.isclose(x, at, rel_tol=0, abs_tol=distance) for at in self._at)
