"""Whether the numbers of a result are right, and their errors.

Frames are made by code that shares nothing with `ainerd_xpcs.dynamics`.

fits     fits of one relaxation: Gaussian speckle of a known g1, contrast and counts
failed   the contrast of bins without tau
models   choice between models of curves of g2, and pulls of their parameters
without  numbers of curves without a model: errors and limits
maps     fits of maps of other programs, along the diagonals and of the g2 in their files: pulls, ageing, limits
rings    bins of a ring with a static share, or with two modes: tau and its errors
material one model and tau within its errors in all exposures of one material
regime   tau of the exposures of a regime, by the model that all of them prefer: pulls, and those of each alone
flow     a velocity, a spread or neither for flows of one velocity, of linear and of other profiles
gradients tau in bins whose brightness falls with the distance from the beam
published g2 of a gel in files of averages: false statements, pulls, and how many curves get their numbers

``--quick`` takes fewer runs of each kind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_xpcs import MultiTau, Partition, fit_relaxation
from ainerd_xpcs.technique import NAMES, agreed, table_of
from studies import _flows, _gradients, _numbers_models, _other_programs, _published
from studies._exposures import Squared, ageing, bins, frames, plain
from studies._tools import Row, Study, report

N_FRAMES = 512
SHAPES = ((0.7, 5), (1.0, 2), (1.4, 10), (1.8, 3))  # exponent, coherent modes, which are 1 / contrast
TAUS = (0.01, 0.03, 0.1, 0.3)  # of the run

Field = Callable[[NDArray], NDArray]
# g1 over the lag as a share of the run
FAILING: dict[str, Callable[[np.random.Generator], Field]] = {
    "static": lambda rng: np.ones_like,
    "slow": lambda rng: stretched(rng.uniform(0.5, 20), rng.uniform(0.6, 1.5)),
    "two steps": lambda rng: mixed(
        rng.uniform(0.3, 0.7), stretched(rng.uniform(0.004, 0.02), rng.uniform(0.5, 1)),
        stretched(rng.uniform(0.5, 5), rng.uniform(0.6, 1.2)),
    ),
    "a static share": lambda rng: mixed(
        rng.uniform(0.3, 0.7), stretched(rng.uniform(0.004, 0.02), rng.uniform(0.5, 1)), np.ones_like
    ),
    "swinging": lambda rng: swinging(2 * np.pi * rng.uniform(3, 20), rng.uniform(0.1, 1)),
}  # fmt: skip
study = Study(__doc__)


@study.part
def fits(quick: bool = False) -> None:
    """Measure fits and their errors."""
    report("numbers_fits", fitted(quick), least={"tau 2s": 0.8, "contrast 2s": 0.8}, quick=quick)


@study.part
def failed(quick: bool = False) -> None:
    """Measure the contrast of bins whose fits give no tau: it is g2 - 1 at the first lag."""
    report("numbers_failed", of_failed(quick), least={"in 1": 0.63, "in 2": 0.92}, most={"beyond 4": 0.01}, quick=quick)


@study.part
def models(quick: bool = False) -> None:
    """Measure the choice between models, and how many curves get their tau."""
    report("numbers_models", _numbers_models.pulls(quick), most={"tau sd": 1.7, "contrast sd": 1.7}, quick=quick)
    report(
        "numbers_found",
        _numbers_models.with_tau(quick),
        least={"of these with tau": 0.9, "within 3": 0.95},
        quick=quick,
    )


@study.part
def without(quick: bool = False) -> None:
    """Measure numbers of curves that need no model."""
    most = {"half limit wrong": 0.1, "half rms": 1.5, "left rms": 1.5}
    report("numbers_without", _numbers_models.without_model(quick), most=most, quick=quick)


@study.part
def material(quick: bool = False) -> None:
    """Measure whether exposures of one material get one model, and a tau within its errors."""
    report("numbers_material", _numbers_models.materials(quick), least={"either in 3": 0.7}, quick=quick)


@study.part
def rings(quick: bool = False) -> None:
    """Measure pulls of tau in bins that take the modes, and the part that does not decay, from their ring."""
    report("numbers_rings", of_rings(quick), least={"with tau": 0.9, "in 3": "least"}, quick=quick)


@study.part
def regime(quick: bool = False) -> None:
    """Measure whether tau of the exposures of a regime scatters as its errors say, by their common model."""
    report("numbers_regime", of_regimes(quick), most={"sd": 1.3}, least={"sd": "least", "with tau": 0.9}, quick=quick)


@study.part
def flow(quick: bool = False) -> None:
    """Measure fits of flows, and how often one gets a number that it does not have."""
    most = {"false": 0, "misfit": 0.01, "sd": 1.2}
    report("numbers_flow", _flows.of_flows(8 if quick else 40), most=most, least={"sd": 0.85}, quick=quick)


@study.part
def gradients(quick: bool = False) -> None:
    """Measure pulls of tau in bins that are labels, across which the brightness falls; 30 bins for each."""
    least = {"in 1": 0.5, "in 3": 0.95}
    report("numbers_gradients", _gradients.of_gradients(quick), most={"sd": 1.5}, least=least, quick=quick)


@study.part
def published(quick: bool = False) -> None:
    """Measure fits of averages of a gel with two modes, as others publish them."""
    most = {"false": 0, "tau sd": 1.2, "share sd": 1.2}
    least = {"given": 0.9, "tau sd": 0.85, "share sd": 0.85, "hold": 0.9}
    report("numbers_published", _published.of_files(quick), most=most, least=least, quick=quick)


@study.part
def maps(quick: bool = False) -> None:
    """Measure pulls of fits of maps that boost_corr and pychx make of independent frames."""
    most = {"tau sd": 1.2, "contrast sd": 1.2, "beyond 4": 0.003}
    least = {"tau sd": 0.8, "contrast sd": "least", "with tau": 0.95}
    report("numbers_maps", of_maps(quick), most=most, least=least, quick=quick)
    least = {"ageing": "least", "limits hold": 0.95}
    report("numbers_maps_ages", of_ages(quick), most={"ageing": "most"}, least=least, quick=quick)


@dataclass(frozen=True)
class Maps:
    """Maps of one kind of sample, in bins of `pixels`: tau in frames and exponent of each, and a static share."""

    n_frames: int
    pixels: tuple[int, ...]
    relaxations: tuple[tuple[float, float], ...]
    static: float = 0.0
    photons: tuple[float, float] = (2.0, 35.0)  # per pixel and frame
    modes: tuple[int, ...] = (5, 2)


MAPS = {
    "600 pixels": Maps(256, (600,) * 4, ((13, 0.7), (26, 1.0), (51, 1.5))),
    "static .3, exponent .65": Maps(512, (360,) * 12, ((10, 0.65), (20, 0.65), (40, 0.65)), 0.3, (0.5, 2.0), (5, 4)),
    "20 to 40 pixels": Maps(256, (20, 25, 30, 40) * 6, ((8, 0.8), (20, 1.0), (20, 1.5)), modes=(4, 2)),
    "tau .3 to 1 T": Maps(256, (300,) * 12, ((80, 1.0), (160, 0.8), (200, 1.5), (256, 1.0)), photons=(1.0, 2.0)),
}


def of_maps(quick: bool = False) -> Iterator[Row]:
    """Yield a row for each sample and layout: pulls of bins over times, exponents, counts and contrasts.

    With 168 bins the standard error of a pull's sd is .055.
    """
    layouts = {**_other_programs.PROGRAMS, "boost_corr with g2": _other_programs.with_g2}
    for sample, kind in MAPS.items():
        z: dict[str, list[NDArray[np.float64]]] = {}
        of = bins(kind.pixels, None)
        cells = [(tau, p, n) for tau, p in kind.relaxations for n in kind.modes]
        for i, (tau, p, modes) in enumerate(cells * (1 if quick else 7 if len(kind.pixels) < 6 else 3)):
            rng, photons = np.random.default_rng(i), kind.photons[i // 6 % 2] * kind.n_frames
            g1 = mixed(1 - kind.static, stretched(tau / kind.n_frames, p), np.ones_like)
            counts = frames(squared_of(g1), kind.n_frames, of.shape, rng, photons=photons, modes=modes)
            for name, layout in layouts.items() if sample == "600 pixels" else [("pychx", _other_programs.pychx)]:
                fit = _other_programs.fitted(layout, counts, of).bins
                truth = {"tau_s": tau * _other_programs.FRAME_S, "contrast": 1 / modes, "kww_exponent": p}
                off = [(fit[at] - true) / fit[f"{at}_err"] for at, true in truth.items()]
                off[0] = np.log(fit["tau_s"] / truth["tau_s"]) * fit["tau_s"] / fit["tau_s_err"]
                z.setdefault(name, []).append(np.array(off))
        for name, every in z.items():
            pulls = np.concatenate(every, axis=1)
            known = pulls[0][np.isfinite(pulls[0])]
            out: Row = {"sample": sample, "file": name, "bins": pulls.shape[1], "with tau": known.size / pulls.shape[1]}
            for x, values in zip(("tau", "contrast", "exponent"), pulls, strict=True):
                out |= {f"{x} mean": float(np.nanmean(values)), f"{x} sd": float(np.nanstd(values))}
            # the fit of g2 in files leaves out that their means have speckle too
            yield out | {"beyond 4": (np.abs(known) > 4).mean(), "least": 0.75 if name == "boost_corr" else 0.65}


def of_ages(quick: bool) -> Iterator[Row]:
    """Yield a row for each kind of sample: maps called ageing, bins with a tau, limits of tau, and those that hold.

    Twelve bins of 300 pixels. tau grows by (1 + t / onset)^mu, or is constant within the run, slower or faster.
    """
    of, kinds = bins((300,) * 12, None), {"ages": (2, 15), "steady": (4, 80), "slow": (256, 5120), "fast": (0.2, 1)}
    for kind, reach in kinds.items():
        called, limits, given = list[bool](), list[NDArray[np.bool_]](), list[float]()
        for seed in range(12 if quick else 60):
            rng = np.random.default_rng([seed, *kind.encode()])
            tau, onset = np.exp(rng.uniform(np.log([reach[0] / 256, 0.02]), np.log([reach[1] / 256, 0.2])))
            p, mu, modes, photons = (
                rng.uniform(0.7, 1.5),
                rng.uniform(0.4, 1.2),
                rng.integers(2, 6),
                rng.uniform(0.5, 3),
            )
            squared = ageing(tau, p, mu, onset) if kind == "ages" else plain(tau, p)
            counts = frames(squared, 256, of.shape, rng, photons=256 * photons, modes=int(modes))
            fit = _other_programs.fitted(_other_programs.pychx, counts, of)
            called.append(bool(np.isfinite(fit.rings["ageing_exponent"]).any()))
            given.append(np.isfinite(fit.bins["tau_s"]).mean())
            true = tau * 256 * _other_programs.FRAME_S
            for side, sign in (("above", -1), ("below", 1)):
                limit = fit.bins[f"tau_s_{side}"]
                limits.append(sign * (limit[np.isfinite(limit)] - true) >= 0)
        hold = np.concatenate(limits) if kind != "ages" else np.empty(0)
        yield {
            "sample": kind, "maps": len(called), "ageing": np.mean(called), "with tau": np.mean(given),
            "limits": hold.size, "limits hold": hold.mean() if hold.size else np.nan,
            "least": 0.95 * (kind == "ages"), "most": 1.0 if kind == "ages" else 0.05,
        }  # fmt: skip


def of_failed(quick: bool) -> Iterator[Row]:
    """Yield a row for each sample that fits seldom describe: deviations of the contrast in its errors.

    Six bins each of 60 to 1000 pixels, with .05 to 3 photons per pixel and frame, of contrast 1/4.
    """
    for kind, field in FAILING.items():
        z: list[float] = []
        for seed in range(8 if quick else 40):
            rng = np.random.default_rng([seed, *kind.encode()])
            size, photons = np.exp(rng.uniform(np.log([60, 0.05]), np.log([1000, 3])))
            g1 = field(rng)
            counts = frames(squared_of(g1), N_FRAMES, (6, int(size)), rng, photons=photons * N_FRAMES, modes=4)
            correlator = MultiTau(Partition.from_roi_map(np.repeat(np.arange(1, 7), int(size)).reshape(6, -1)))
            correlator.push(counts)
            result = fit_relaxation(correlator.result())
            off = (result.contrast - g1(np.array(1 / N_FRAMES)) ** 2 / 4) / result.contrast_err
            z += off[np.isnan(result.tau) & np.isfinite(off)].tolist()
        size_of = np.abs(z)
        yield {
            "sample": kind, "bins": len(z), "mean": np.mean(z), "sd": np.std(z), "in 1": (size_of < 1).mean(),
            "in 2": (size_of < 2).mean(), "beyond 4": (size_of > 4).mean(),
        }  # fmt: skip


def of_regimes(quick: bool) -> Iterator[Row]:
    """Yield a row for each sample: pulls of tau of its exposures together, and of each alone with its own model.

    Exposures have a ring of 3,000 pixels at .5 photons per pixel and frame, of contrast 1/4; tau is 30 of 512
    frames, of two modes 6.
    """
    once = stretched(30 / N_FRAMES, 1.0)
    samples: dict[str, Field] = {
        "plain": once,
        "stretched, .7": stretched(30 / N_FRAMES, 0.7),
        "static .1": mixed(0.9, once, np.ones_like),
        "static .3": mixed(0.7, once, np.ones_like),
        "static .6": mixed(0.4, once, np.ones_like),
        "two modes × 20": mixed(0.5, stretched(6 / N_FRAMES, 1.0), stretched(120 / N_FRAMES, 1.0)),
    }
    for sample, g1 in samples.items():
        tau, tables, alone = 6.0 if "two" in sample else 30.0, [], []
        for seed in range(12 if quick else 40):
            rng, shape = np.random.default_rng([seed, *sample.encode()]), (30, 100)
            correlator = MultiTau(Partition.from_roi_map(np.ones(shape, int)))
            correlator.push(frames(squared_of(g1), N_FRAMES, shape, rng, photons=0.5 * N_FRAMES, modes=4))
            ring = fit_relaxation(correlator.result(), together=True)
            tables.append(table_of([ring], NAMES))
            alone.append(np.log(ring.tau[0] / tau) * ring.tau[0] / ring.tau_err[0])
        _, numbers = agreed(tables, [{}] * len(tables), NAMES)
        given = [(x["tau_s"], x["tau_s_err"]) for x in numbers if x["tau_s"] is not None]
        z, own = np.array([np.log(x / tau) * x / error for x, error in given]), np.array(alone)
        yield {
            "sample": sample, "exposures": len(tables), "model": numbers[0]["g2_model"],
            "or": numbers[0]["g2_model_or"] or "", "odds": numbers[0]["g2_model_odds"],
            "with tau": len(z) / len(tables), "mean": z.mean(), "sd": z.std(),
            "error of τ": float(np.median([error / x for x, error in given])),
            "alone: with tau": np.isfinite(own).mean(), "alone: sd": np.nanstd(own),
            "least": 0.5 if quick else 0.8,  # the sd of 12 has an error of .2
        }  # fmt: skip


def of_rings(quick: bool) -> Iterator[Row]:
    """Yield a row for each sample and number of bins: pulls of tau, or of the nearer one if there are two models.

    Bins of 200 pixels, or of 300 for two modes, at .5 photons per pixel and frame, of contrast 1/4. Four bins together
    do not show a static share of .1.
    """
    slow, once = stretched(100 / N_FRAMES, 1.0), stretched(20 / N_FRAMES, 1.0)
    samples: dict[str, tuple[Field, int, int]] = {
        "plain": (once, 20, 200),
        "static .1": (mixed(0.9, once, np.ones_like), 20, 200),
        "static .3": (mixed(0.7, once, np.ones_like), 20, 200),
        "two modes × 20": (mixed(0.5, stretched(5 / N_FRAMES, 1.0), slow), 5, 300),
        "two modes × 20, share .3": (mixed(0.3, stretched(5 / N_FRAMES, 1.0), slow), 5, 300),
    }
    for (sample, (g1, tau, n_pixels)), n_bins in product(samples.items(), (18, 4)):
        alone, alike = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
        for seed in range(3 if quick else 12):
            rng, shape = np.random.default_rng([seed, *sample.encode()]), (n_bins, n_pixels)
            correlator = MultiTau(Partition.from_roi_map(np.repeat(np.arange(1, n_bins + 1), n_pixels).reshape(shape)))
            correlator.push(frames(squared_of(g1), N_FRAMES, shape, rng, photons=0.5 * N_FRAMES, modes=4))
            g2 = correlator.result()
            for pulls, like in ((alone, None), (alike, fit_relaxation(g2, together=True))):
                fit = fit_relaxation(g2, like=like)
                values = (fit.tau, fit.tau_err), (fit.tau_either, fit.tau_either_err)
                first, other = (np.log(x / tau) * x / err for x, err in values)
                pulls.append(np.where(np.abs(other) < np.abs(first), other, first))
        free, z = np.concatenate(alone), np.concatenate(alike)
        known, is_seen = z[np.isfinite(z)], (sample, n_bins) != ("static .1", 4)
        yield {
            "sample": sample, "bins of a ring": n_bins, "bins": z.size, "with tau": known.size / z.size,
            "mean": known.mean(), "sd": known.std(), "in 1": (np.abs(known) < 1).mean(),
            "in 3": (np.abs(known) < 3).mean(),
            "alone: with tau": np.isfinite(free).mean(), "alone: in 3": (np.abs(free[np.isfinite(free)]) < 3).mean(),
            "least": 0.95 if is_seen else 0.5,
        }  # fmt: skip


def fitted(quick: bool) -> Iterator[Row]:
    """Yield a row for each kind of run and cell of photons and pixels; `quick` makes a tenth of the fits."""
    n = 4 if quick else 20
    for photons in (0.05, 0.5):
        some = [fit(seed, still, np.inf, np.nan, 5, photons) for seed in range(n)]
        yield row("static", photons, 570, some)
    some = [fit(seed, None, np.nan, np.nan, 0, (0.05, 0.5)[seed % 2]) for seed in range(6 if quick else 40)]
    yield row("flat field", np.nan, 570, some)
    some = [fit(seed, plain(0.3 / 300, 1.0), 0.3, 1.0, 5, 0.5) for seed in range(n)]
    yield row("within a frame", 0.5, 570, some)
    some = [fit(seed, plain((1 + seed % 3) / 300, 1.0), 1 + seed % 3, 1.0, 5, 0.5, together=False) for seed in range(n)]
    few_numbers = {"tau 2s": np.nan, "contrast 2s": np.nan}  # limits are right
    yield row("1 to 3 frames", 0.5, 570, some) | few_numbers
    every = []
    for photons in (0.05, 0.5, 5.0):
        for n_pixels, n_bins in ((12, 48), (50, 48), (500, 12), (5000, 6)):
            shape = {"bins": (n_bins // 3 if quick else n_bins, n_pixels, 1), "n_frames": N_FRAMES, "together": False}
            some = [
                fit(10 * j + 100 * i + n_pixels * 1000, *decay(of_run, exponent), modes, photons, **shape)
                for i, of_run in enumerate(TAUS)
                for j, (exponent, modes) in enumerate(SHAPES)
                if not quick or (i + j) % 4 == 0
            ]
            every += some
            yield row("bins", photons, n_pixels, some)
    yield row("bins, pooled", np.nan, np.nan, every)
    some = [
        fit(run + 10 * j + 100 * i, *decay(of_run, exponent), modes, 0.5, bins=(18, 100, 1), n_frames=N_FRAMES)
        for i, of_run in enumerate(TAUS[1:])
        for j, (exponent, modes) in enumerate(SHAPES)
        for run in range(1 if quick else 8)
    ]
    yield row("runs", 0.5, 100, some)


def stretched(tau: float, exponent: float) -> Field:
    """Return g1 of a stretched exponential."""
    return lambda t: np.exp(-((t / tau) ** exponent))


def mixed(share: float, fast: Field, slow: Field) -> Field:
    """Return g1 of two shares of the field."""
    return lambda t: share * fast(t) + (1 - share) * slow(t)


def squared_of(g1: Field) -> Squared:
    """Return |g1|² of two times."""
    return lambda t, phi: g1(np.abs(t[:, None] - t)) ** 2


def swinging(rate: float, tau: float) -> Field:
    """Return g1 that swings while it decays."""
    return lambda t: np.exp(-t / tau) * (0.6 + 0.4 * np.cos(rate * t))


def still(t: NDArray, phi: float) -> NDArray:
    """Return |g1|² of a static sample."""
    return np.ones((len(t), len(t)))


def decay(tau: float, exponent: float) -> tuple[Squared, float, float]:
    """Return |g1|² of a relaxation in a share `tau` of `N_FRAMES`, its time in frames, and its exponent."""
    return plain(tau, exponent), tau * N_FRAMES, exponent


def fit(
    seed: int,
    squared: Squared | None,
    tau: float,
    exponent: float,
    modes: int,
    photons: float,
    *,
    bins: tuple[int, int, int] = (18, 570, 4),
    n_frames: int = 300,
    together: bool = True,
) -> pd.DataFrame:
    """Fit a run with a known truth; without `squared` it has no speckle. Return a row for each fit, with its pulls.

    `bins` are their number, their pixels, and the number of static sub-bins of each.
    """
    rng, (n_bins, n_pixels, n_sub) = np.random.default_rng(seed), bins
    roi = np.repeat(np.arange(1, n_bins + 1), n_pixels).reshape(n_bins, n_pixels)
    static = np.tile(np.arange(n_pixels) * n_sub // n_pixels + 1, (n_bins, 1))
    correlator = MultiTau(Partition.from_roi_map(roi, static_map=static))
    if squared is None:
        correlator.push(rng.poisson(photons, (n_frames, *roi.shape)).astype(np.uint16))
    else:
        correlator.push(frames(squared, n_frames, roi.shape, rng, photons=photons * n_frames, modes=modes))
    result, contrast = fit_relaxation(correlator.result(), together=together), 1 / modes if modes else np.nan
    above, below, has_number = result.tau_above, result.tau_below, np.isfinite(result.tau)
    missing, needed = np.isnan(above) & np.isnan(below), tau < 1 or np.isinf(tau)
    holds = ~missing & ~(above > tau) & ~(below < tau)
    judged = has_number | np.isinf(tau)
    return pd.DataFrame(
        {
            "number": has_number,
            "limit holds": np.where(missing & (not needed), np.nan, holds),
            "no speckle": result.speckle == "no",
            "contrast found": result.contrast / contrast,
            "tau": (result.tau - tau) / result.tau_err,
            "exponent": (result.exponent - exponent) / result.exponent_err,
            "contrast": np.where(judged, result.contrast - contrast, np.nan) / result.contrast_err,
        }
    )


def row(what: str, photons: float, pixels: float, fits: list[pd.DataFrame]) -> Row:
    """Return how many fits give a number, and how often errors and limits of tau hold."""
    table = pd.concat(fits)
    means = {name: table[name].mean() for name in ("limit holds", "no speckle", "contrast found")}
    covered = {
        f"{name} {k}s": table[name].abs().dropna().lt(k).mean()
        for name in ("tau", "exponent", "contrast")
        for k in (1, 2)
    }
    counted = {"what": what, "photons": photons, "pixels": pixels, "fits": len(table), "numbers": table["number"].sum()}
    return counted | means | covered


if __name__ == "__main__":
    study()
