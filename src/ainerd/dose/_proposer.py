"""The next exposure of a spot: frame time, number of frames and transmission, from the results nearby."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.knobs import Exposure, ExposureOptions
from ainerd.technique import Pace
from ainerd.words import rounded

Floats = NDArray[np.float64]

UNKNOWN = 0.0, 1.3  # mean and spread of log10(tau in s) before the first exposure
NARROWEST = 0.15  # spread of log10(tau) between neighbours
MARGIN = 2.0  # spreads of log10(tau) that an exposure covers on either side
EACH_TAU = 5.0  # frames in the shortest relaxation time
TAUS = 15.0  # relaxation times, the longest, in an exposure; at least FEWEST_TAUS of the middle one
FEWEST_TAUS = 5.0
LONGER, FASTER = (1.2, 0.8), (-1.0, 0.7)  # where log10(tau) is expected beyond a limit, and its spread
CONTRAST, COST = 0.15, 0.042  # start values: beta, and the error of tau with one photon in a frame, see `_plan`
SHARE = 0.25  # quantile of results whose cost counts: those that photons limited
TRIES = 3  # exposures of a spot, at most


@dataclass(frozen=True)
class Known:
    """The pace of an exposure, with its position (d,) in lengths, and its settings if they are known."""

    position: Floats
    pace: Pace
    exposure: Exposure | None


class Proposer:
    """Proposes exposures within the modes of a detector and the dose that is left.

    Parameters
    ----------
    options : ExposureOptions
    reach : float
        Distance, in lengths, over which neighbours tell about a spot.
    beam : float
        Exposures closer than this are of one spot.
    """

    def __init__(self, options: ExposureOptions, reach: float, beam: float) -> None:
        self._options, self._reach, self._beam = options, reach, beam
        self._known: list[Known] = []
        self._contrast, self._cost = CONTRAST, COST
        self._costs, self._contrasts = list[float](), list[float]()

    def learn(self, known: Known) -> None:
        """Learn from an exposure."""
        self._known.append(known)
        pace, exposure = known.pace, known.exposure
        if pace.contrast is not None and 0 < pace.contrast <= 1 and pace.tau_s is not None:
            self._contrasts.append(pace.contrast)
            self._contrast = float(np.median(self._contrasts))
        if exposure is None or not pace.counts:
            return
        if pace.tau_s is not None and pace.error_s is not None and pace.contrast and pace.error_s < 0.5 * pace.tau_s:
            photons = pace.contrast * pace.counts * _pairs(exposure.n_frames, pace.tau_s, exposure.frame_time_s)
            self._costs.append(pace.error_s / pace.tau_s * photons)
            if len(self._costs) > 2:
                self._cost = float(np.quantile(self._costs, SHARE))

    def propose(self, position: Floats, dose_left: float) -> tuple[Exposure, str] | None:
        """Return the next exposure at a position (d,), and the reason; None if the dose that is left allows none."""
        mean, spread, reason = self._expected(position)
        exposure = self._plan(mean, spread, self._counts_at(position), dose_left)
        return None if exposure is None else (exposure, reason)

    def again(self, position: Floats) -> str | None:
        """Return the reason to expose a spot (d,) once more, with other settings; None if there is none."""
        of_spot = self._at(position)
        if not of_spot or len(of_spot) >= TRIES or of_spot[-1].exposure is None:
            return None
        pace = of_spot[-1].pace
        if pace.tau_s is not None:
            if pace.error_s is None or pace.error_s <= 1.2 * self._options.precision * pace.tau_s:
                return None
            return f"the relaxation time is known only to {100 * pace.error_s / pace.tau_s:.0f} %"
        return _limit(pace) or "no relaxation time was measured"

    def _at(self, position: Floats) -> list[Known]:
        return [each for each in self._known if np.linalg.norm(each.position - position) < self._beam]

    def _expected(self, position: Floats) -> tuple[float, float, str]:
        """Return mean and spread of log10(tau in s) at a position, and where they come from."""
        if of_spot := self._at(position):
            return self._from_spot(of_spot)
        if not self._known:
            return *UNKNOWN, "no relaxation time is known yet"
        guess = np.array([_guess(each) for each in self._known])
        weight, distance = self._weights(self._known, position)
        mean = float(weight @ guess[:, 0])
        far = 0.6 * min(1.0, distance / (2 * self._reach))
        among = weight @ ((guess[:, 0] - mean) ** 2 + guess[:, 1] ** 2)
        spread = min(math.sqrt(among + NARROWEST**2 + far**2), UNKNOWN[1])
        where = (
            "in the neighbourhood" if distance < 2 * self._reach else "far from here, where the nearest exposures are"
        )
        return mean, spread, f"the relaxation time is about {rounded(10**mean, 2)} s {where}"

    def _weights(self, known: Sequence[Known], position: Floats) -> tuple[Floats, float]:
        """Return how much each exposure tells about a position, (n,) with the sum one, and how far the nearest is."""
        distance = np.linalg.norm(np.array([each.position for each in known]) - position, axis=1)
        nearest = float(distance.min())  # the farther ones count less, also if all are far
        weight = np.exp(-0.5 * (distance / self._reach) ** 2) + 0.02 * np.exp((nearest - distance) / (2 * self._reach))
        return weight / weight.sum(), nearest

    def _counts_at(self, position: Floats) -> float:
        """Return the counts per pixel and second in the open beam that the neighbourhood makes likely."""
        lit = [(each, each.exposure, each.pace.counts) for each in self._known if each.exposure and each.pace.counts]
        if not lit:
            return self._options.counts_per_s
        rates = [counts / (exposure.frame_time_s * exposure.transmission) for _, exposure, counts in lit]
        return float(np.exp(self._weights([each for each, _, _ in lit], position)[0] @ np.log(rates)))

    def _from_spot(self, of_spot: Sequence[Known]) -> tuple[float, float, str]:
        """Return mean and spread of log10(tau in s) at a spot that was exposed, from its exposures."""
        last = of_spot[-1]
        mean, spread = _guess(last)
        if last.pace.tau_s is not None:
            about = f"the relaxation time here is about {rounded(last.pace.tau_s, 2)} s, not precisely known"
            return mean, max(spread, 0.1), about
        limit = _limit(last.pace)
        return mean, spread, limit or "nothing was seen here: more photons"

    def _plan(self, mean: float, spread: float, counts_per_s: float, dose_left: float) -> Exposure | None:
        """Return the exposure that covers the expected range of tau at the least dose, or the next that dose allows.

        In shot noise the relative error of tau is cost / (beta k sqrt(T tau / dt)) with k photons per pixel and frame:
        the cost, which depends on the number of pixels and the fit, is learned from results.
        """
        options, left = self._options, dose_left / self._options.dose_per_s  # s of the open beam
        shortest, middle = 10 ** (mean - MARGIN * spread), 10**mean
        longest = 10 ** (mean + MARGIN * spread)
        best: tuple[tuple[float, ...], Exposure] | None = None
        for mode in options.modes:
            fewest, most = mode.frames
            for frame_time_s in mode.frame_times_s:
                most_here = min(most, int(options.longest_s / frame_time_s * (1 + 1e-9)))
                if most_here < fewest:
                    continue
                n_frames = int(np.clip(math.ceil(TAUS * longest / frame_time_s), fewest, most_here))
                seconds = n_frames * frame_time_s
                short = max(math.log(FEWEST_TAUS * middle / seconds), 0.0)  # too short for the middle tau
                coarse = max(math.log(EACH_TAU * frame_time_s / shortest), 0.0)  # too slow for the shortest
                coarse_for_middle = max(math.log(2 * frame_time_s / middle), 0.0)
                # photons per pixel and frame for the precision, with a margin
                photons = self._cost / (options.precision * self._contrast)
                photons *= (2.0 if spread > 0.5 else 1.5) / _pairs(n_frames, 10 ** (mean - 0.7 * spread), frame_time_s)
                transmission = self._transmission(photons / (counts_per_s * frame_time_s))
                exposure = Exposure(frame_time_s, n_frames, transmission)
                while (fitted := self._fitted(exposure, left)) is None and exposure.n_frames > fewest:
                    exposure = Exposure(frame_time_s, max(exposure.n_frames // 2, fewest), options.transmissions[-1])
                if fitted is None:
                    continue
                lack = max(math.log(n_frames / fitted.n_frames), 0.0)
                score = (round(4 * (short + coarse_for_middle), 1), round(coarse + lack, 1), fitted.seconds)
                if best is None or score < best[0]:
                    best = score, fitted
        return None if best is None else best[1]

    def _transmission(self, wanted: float) -> float:
        """Return the least transmission that is enough; the largest if none is."""
        enough = [each for each in self._options.transmissions if each >= wanted]
        return enough[-1] if enough else self._options.transmissions[0]

    def _fitted(self, exposure: Exposure, left: float) -> Exposure | None:
        """Return the exposure with the largest transmission, at most its own, that the open beam left allows."""
        for each in self._options.transmissions:
            if each <= exposure.transmission and each * (exposure.seconds + self._options.overhead_s) <= left:
                return Exposure(exposure.frame_time_s, exposure.n_frames, each)
        return None


def _pairs(n_frames: int, tau_s: float, frame_time_s: float) -> float:
    """Return the root of the number of pairs of frames from which tau is known, see `Proposer._plan`."""
    return math.sqrt(n_frames * max(tau_s / frame_time_s, 1.0))


def _limit(pace: Pace) -> str | None:
    """Return a limit of tau in words; None if there is none."""
    if pace.above_s is not None and pace.below_s is not None:
        return f"the relaxation time lies between {rounded(pace.above_s, 2)} and {rounded(pace.below_s, 2)} s"
    if pace.above_s is not None:
        return f"the relaxation time is longer than {rounded(pace.above_s, 2)} s"
    return None if pace.below_s is None else f"the relaxation time is shorter than {rounded(pace.below_s, 2)} s"


def _guess(known: Known) -> tuple[float, float]:
    """Return mean and spread of log10(tau in s) that an exposure makes likely."""
    pace, exposure = known.pace, known.exposure
    if pace.tau_s is not None:
        error = 0.3 if pace.error_s is None else pace.error_s / pace.tau_s
        return math.log10(pace.tau_s), min(error, 0.5)
    above, below = pace.above_s, pace.below_s
    if above is not None and below is not None:
        return (math.log10(above) + math.log10(below)) / 2, max(math.log10(below / above) / 4, NARROWEST)
    if above is not None:
        return math.log10(max(above, 0.3 * exposure.seconds if exposure else 0.0)) + LONGER[0], LONGER[1]
    if below is not None:
        return math.log10(below) + FASTER[0], FASTER[1]
    return UNKNOWN if exposure is None else (math.log10(exposure.frame_time_s) + 1.0, 1.0)
