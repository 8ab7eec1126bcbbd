"""The next temperature: where a frame is expected to say most about the temperatures of transitions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from ainerd.techniques.xtec._transitions import LEAST, curves, scaled, weighed
from ainerd.threads import one_thread

if TYPE_CHECKING:
    from ainerd.techniques.xtec._said import Known
    from ainerd.techniques.xtec._technique import XTEC

EVEN = 4  # temperatures that are spread evenly first, both ends among them
STEPS = 150  # of the range: temperatures that differ by less than one tell nothing more
CURIOUS = 0.02  # nats for a gap as wide as the range, where no trajectory tells where to go
PLACES = 60  # at which a transition is thought of
EXPONENTS, WIDTHS, SHAPES = (0.33, 0.66, 1.0), (0.02, 0.04, 0.08), ("none", "cusp", "lorentzian")


class NextTemperature:
    """A bluesky-adaptive `Optimizer` of one temperature; other actuators stay in the middle of their bounds.

    It chooses one frame's temperature at a time. The first are spread evenly. Each one after that is where a frame is
    expected to lower the entropy of the temperatures of transitions most, summed over the clusters of the newest ramp.
    Of results it is told where they were taken; trajectories it finds in `XTEC.known`.

    Parameters
    ----------
    technique : XTEC
        Whose newest ramp says how trajectories go.
    bounds : mapping of str to (float, float)
        Of actuators; what the settings call the temperature is moved, or else the first.
    """

    def __init__(self, technique: "XTEC", bounds: Mapping[str, tuple[float, float]]) -> None:
        self._technique = technique
        self._name = ([n for n in bounds if technique.settings.temperature.startswith(n)] or list(bounds))[0]
        self._within = bounds[self._name]
        self._steps = np.linspace(*self._within, STEPS + 1)
        self._middle = {name: sum(limits) / 2 for name, limits in bounds.items() if name != self._name}
        self._at: list[float] = []  # asked for or measured, as far as the newest ramp does not have them

    @one_thread
    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Next temperatures, each with a reason."""
        return [self._next() for _ in range(num_points or 1)]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take note of what was measured; what it says is in the technique's newest ramp."""
        if self._technique.known is not None:
            self._at.clear()
        self.register_failures(points)

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Temperatures that gave no result yet are not asked for again."""
        self._at += [float(p[self._name]) for p in suggestions if np.isfinite(p.get(self._name, np.nan))]

    def should_stop(self) -> tuple[bool, str]:
        """When no gap is left that is worth another frame."""
        if self._ahead().size:
            return False, "there are gaps between temperatures in which trajectories are not certain"
        return True, "all gaps between temperatures are closed"

    def _next(self) -> dict[str, Any]:
        even = np.linspace(*self._within, EVEN)
        far = even[self._distance(even) > np.ptp(self._within) / EVEN / 2]
        if far.size:
            at, reason = float(far[0]), f"one of {EVEN} temperatures that are spread evenly"
        else:
            at, reason = self._most_telling()
        self._at.append(at)
        return {self._name: at, **self._middle, "reason": reason}

    def _most_telling(self) -> tuple[float, str]:
        known, unit = self._technique.known, self._technique.settings.unit
        ahead = self._ahead() if self._ahead().size else self._steps
        distance = self._distance(ahead)
        curious = CURIOUS * 2 * distance / np.ptp(self._within)
        if known is not None:
            told, at, sd = information(known, ahead, self._within)
            best = int((told.sum(axis=0) + curious).argmax())
            k = int(told[:, best].argmax())
            if told[k, best] > curious[best]:
                where = f"near {at[k]:.4g} {unit}, now known to ± {sd[k]:.2g} {unit}"
                return float(ahead[best]), f"here a frame says most about the transition {where}"
        return float(ahead[distance.argmax()]), "the middle of the widest gap between temperatures"

    def _ahead(self) -> NDArray[np.float64]:
        """Temperatures that are far enough from all that were measured."""
        return self._steps[self._distance(self._steps) > 0.99 * np.ptp(self._within) / STEPS]

    def _distance(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        known = self._technique.known
        taken = np.append(self._at, [] if known is None else known.temperatures)
        return np.abs(np.subtract.outer(x, taken)).min(axis=1, initial=np.inf)


def information(
    known: "Known", ahead: NDArray[np.float64], within: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What a frame at other temperatures is expected to say about the transition in each trajectory.

    A trajectory is a line, an order parameter and critical scattering, of unknown heights (Gaussian) with a transition
    anywhere; or it has none, and is a parabola. The posterior of all that is known in closed form on a grid. A frame
    lowers the variance of the transition's temperature by that with the frame's intensity in the posterior, to second
    order; the logarithm of that counts as much as a transition is probable, down to a `STEPS`-th of the range. A
    cluster tells nothing of a transition that another knows better.

    Parameters
    ----------
    known : Known
        The mean trajectories of k clusters.
    ahead : ndarray, shape (c,)
    within : (float, float)
        Where transitions may be.

    Returns
    -------
    told : ndarray, shape (k, c)
        In nats.
    at, sd : ndarray, shape (k,)
        Of the transition's temperature in the posterior.
    """
    low, span = within[0], within[1] - within[0]
    fine = span / STEPS
    grid = low + span * (np.arange(PLACES) + 0.5) / PLACES
    both, n = np.append(known.temperatures, ahead), known.temperatures.size
    y, noise = scaled(known.means, known.errors)
    of_shapes = []
    for shape in SHAPES:
        seen, further = np.split(curves(both, grid, within, shape, EXPONENTS, WIDTHS), [n], axis=1)
        logs, heights, left, inverse = weighed(seen, y, noise)
        variance = 1 + ((further @ inverse) * further).sum(axis=2)
        of_shapes.append((logs, further @ heights, variance[..., None] * left[:, None] / (n + 2)))
    logs, predicted, variance = map(np.concatenate, zip(*of_shapes, strict=True))
    parabola = np.vander((known.temperatures - low) / span - 0.5, 3, increasing=True)[None]
    smooth = weighed(parabola, y, noise)[0][0] + np.log(len(SHAPES))
    total = np.maximum(logsumexp(logs, axis=0), LEAST)
    sure, weight = expit(total - smooth), np.exp(logs - total)
    place = np.tile(grid, len(weight) // PLACES)
    at = place @ weight
    off = predicted - np.einsum("mk,mck->ck", weight, predicted)
    covariance = np.einsum("mk,mck->kc", weight * (place[:, None] - at), off)
    before = np.sum(weight * (place[:, None] - at) ** 2, axis=0)
    spread = np.einsum("mk,mck->kc", weight, off**2 + variance)
    after = before[:, None] - covariance**2 / np.maximum(spread, 1e-30)
    told = 0.5 * sure[:, None] * np.log((before[:, None] + fine**2) / (np.maximum(after, 0) + fine**2))
    sd = np.sqrt(before)
    sharper = (sd < sd[:, None]) & (sure > 0.5) & (np.abs(at - at[:, None]) < sd[:, None])
    return np.where(sharper.any(axis=1)[:, None], 0.0, told), at, sd
