"""Relaxation times from simulated frames, with exposures that are chosen within limits of dose."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

from ainerd.dose import DoseBook, Known, Proposer
from ainerd.knobs import Exposure, ExposureOptions
from ainerd.technique import Pace
from ainerd_xpcs import MultiTau, Partition, fit_relaxation
from studies._tools import Case, Row, interval

ATTENUATORS = tuple(float(x) for x in 10.0 ** -np.arange(0, 4.01, 0.25))
DETECTOR = {
    "modes": [
        {"frame_time_s": (2e-5, 1e-3), "frames": (500, 20000)},
        {"frame_time_s": (1e-3, 5.0), "frames": (500, 20000)},
    ],
    "transmissions": ATTENUATORS,
    "longest_s": 6 * 3600.0,
}
SPOTS = 8  # of a sample
FIXED = Exposure(1e-3, 10000, 1.0)
WITHIN = 0.2
TRIES = 3
PIXELS, SPECKLES = 2000, 1000
BLOCK = 100  # speckles that are made together
FINE = 16  # parts of a frame, at most, over which a fast speckle is averaged
WHERE = Partition.from_roi_map(np.ones((PIXELS // 100, 100), dtype=int), np.array([0.024]))


def tau_field(rng: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
    """Return positions (n, 2) and log10(tau in s): two to four regimes of 1 ms to 1000 s, and a slow gradient."""
    place, regimes = rng.random((n, 2)), int(rng.integers(2, 5))
    centre, mean = rng.random((regimes, 2)), rng.uniform(-3, 3, regimes)
    of = ((place[:, None] - centre) ** 2).sum(2).argmin(1)
    log_tau = mean[of] + (place - 0.5) @ rng.normal(0, 0.4, 2) + rng.normal(0, 0.08, n)
    return place, np.clip(log_tau, -3, 3)


def on_sample(seed: int, case: Case) -> Row:
    """Return a row for each spot of a sample, by our exposures; every third one by the fixed protocol, too."""
    rate, i = float(case[0]), case[1]
    rng = np.random.default_rng([seed, i, 11])
    place, log_tau = tau_field(rng, SPOTS)
    exponent, contrast = rng.uniform(0.6, 1.0), rng.uniform(0.1, 0.3)
    options = ExposureOptions(**DETECTOR, flux=1.0, limit=100.0, counts_per_s=100.0)
    proposer, book = Proposer(options, 0.15, 0.01), DoseBook(options, {"x": 0.01, "y": 0.01})
    spots = []
    for k in range(SPOTS):
        tau_s, position = float(10 ** log_tau[k]), {"x": place[k, 0], "y": place[k, 1]}
        shown: list[tuple[Exposure, Pace]] = []
        while len(shown) < TRIES and (not shown or proposer.again(place[k])):
            proposed = proposer.propose(place[k], book.left(position))
            if proposed is None:
                break
            book.enter(f"{k}.{len(shown)}", position, proposed[0])
            shown.append((proposed[0], seen(counts_of(tau_s, exponent, contrast, rate, proposed[0], rng), proposed[0])))
            proposer.learn(Known(place[k], shown[-1][1], proposed[0]))
        is_fixed = k % 3 == 0
        fixed = seen(counts_of(tau_s, exponent, contrast, rate, FIXED, rng), FIXED) if is_fixed else None
        spots.append(
            {
                "tau_s": tau_s,
                "ours": [is_right(pace, tau_s) for _, pace in shown],
                "dose": sum(exposure.seconds * exposure.transmission for exposure, _ in shown),
                "beam_s": sum(exposure.seconds for exposure, _ in shown),
                "fixed": None if fixed is None else is_right(fixed, tau_s),
                "shown": [
                    [exposure.text, pace.tau_s, pace.error_s, pace.above_s, pace.below_s] for exposure, pace in shown
                ],
            }
        )
    return {"rate": rate, "spots": spots}


def is_right(pace: Pace, tau_s: float) -> bool:
    """Return whether a relaxation time is known, and right to 20 %."""
    return pace.tau_s is not None and abs(pace.tau_s / tau_s - 1) < WITHIN


def by_rate(rows: list[Row]) -> Iterator[Row]:
    """Yield a row for each count rate: share of spots with tau within 20 %, dose and beam time, ours and fixed."""
    for rate in sorted({row["rate"] for row in rows}):
        spots = [spot for row in rows if row["rate"] == rate for spot in row["spots"]]
        ours = [any(spot["ours"][-1:]) for spot in spots]
        fixed = [spot["fixed"] for spot in spots if spot["fixed"] is not None]
        dose, fixed_dose = np.mean([spot["dose"] for spot in spots]), FIXED.seconds
        yield {
            "photons a pixel and s": rate,
            "spots": len(spots),
            "tau within 20 %": np.mean(ours),
            "95 %": interval(sum(ours), len(ours)),
            "fixed 1 ms × 10,000": np.mean(fixed),
            "dose / fixed": dose / fixed_dose,
            "largest / fixed": max(spot["dose"] for spot in spots) / fixed_dose,
            "exposures a spot": np.mean([len(spot["ours"]) for spot in spots]),
            "beam time (s), median": np.median([spot["beam_s"] for spot in spots]),
            "beam time (s), mean": np.mean([spot["beam_s"] for spot in spots]),
        }


# frames of one spot with a known relaxation time, and the numbers of their g2


def counts_of(
    tau_s: float, exponent: float, contrast: float, counts_per_s: float, exposure: Exposure, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return counts (T, pixels): a static part and complex Gaussian fields of g1 = exp(-(t/tau)^p), two pixels each.

    The intensity of a speckle that changes within a frame is averaged over up to `FINE` parts of the frame.
    """
    n = exposure.n_frames
    parts = int(np.clip(np.ceil(4 * exposure.frame_time_s / tau_s), 1, FINE))
    step_s, size = exposure.frame_time_s / parts, 2 * n * parts
    lag = np.minimum(np.arange(size), size - np.arange(size)) * step_s
    root = np.sqrt(np.maximum(fft(np.exp(-((lag / tau_s) ** exponent))).real, 0) / size).astype(np.float32)
    moving = np.sqrt(contrast)
    light = counts_per_s * exposure.frame_time_s * exposure.transmission
    out = np.empty((n, PIXELS), dtype=np.float32)
    each = PIXELS // SPECKLES
    at_once = max(BLOCK // parts, 1)
    for first in range(0, SPECKLES, at_once):
        some = min(at_once, SPECKLES - first)
        white = rng.standard_normal((some, size, 2), dtype=np.float32).view(np.complex64)[..., 0]
        field = fft(white * root, axis=-1)[:, : size // 2]
        intensity = (np.abs(field) ** 2 / 2).reshape(some, n, parts).mean(2)
        mean = light * (1 - moving + moving * intensity)
        for k in range(each):
            out[:, each * first + k : each * (first + some) : each] = rng.poisson(mean).T
    return out


def seen(counts: NDArray[np.float32], exposure: Exposure) -> Pace:
    """Return the numbers of the agent's g2 and fit of frames."""
    g2 = MultiTau(WHERE)
    for first in range(0, len(counts), 64):
        g2.push(counts[first : first + 64])
    fit: Any = fit_relaxation(g2.result(), exposure.frame_time_s, two_modes=False)
    known = {
        name: None if not np.isfinite(x := float(getattr(fit, field)[0])) else x
        for name, field in (
            ("tau_s", "tau"),
            ("error_s", "tau_err"),
            ("above_s", "tau_above"),
            ("below_s", "tau_below"),
            ("contrast", "contrast"),
        )
    }
    return Pace(**known, counts=float(counts.mean()))
