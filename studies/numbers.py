"""Whether the numbers of a result are right, and their errors.

Frames are made by code that shares nothing with `ainerd_xpcs.dynamics`.

fits     fits of one relaxation: Gaussian speckle of a known g1, contrast and counts
models   choice between models of curves of g2, and pulls of their parameters
without  numbers of curves without a model: errors and limits
maps     fits of maps of other programs, along the diagonals and of the g2 in their files: pulls
material one model and tau within its errors in all exposures of one material
published g2 of a gel in files of averages: false statements, pulls, and how many curves get their numbers

``--quick`` takes fewer runs of each kind.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_xpcs import MultiTau, Partition, fit_relaxation
from studies import _numbers_models, _other_programs, _published
from studies._exposures import Squared, bins, frames, plain
from studies._tools import Row, Study, report

N_FRAMES = 512
SHAPES = ((0.7, 5), (1.0, 2), (1.4, 10), (1.8, 3))  # exponent, coherent modes, which are 1 / contrast
TAUS = (0.01, 0.03, 0.1, 0.3)  # of the run

study = Study(__doc__)


@study.part
def fits(quick: bool = False) -> None:
    """Measure fits and their errors."""
    report("numbers_fits", fitted(quick), least={"tau 2s": 0.8, "contrast 2s": 0.8}, quick=quick)


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
    rows = list(_numbers_models.without_model(quick))
    pooled = pd.DataFrame([row for row in rows if row["pixels"] >= 100])
    print(f"median of cells of 100 pixels and more:\n{pooled.iloc[:, 3:].median().to_string(float_format='%.3f')}")
    most = {
        "half limit wrong": 0.1,
        "e2 limit wrong": 0.1,
        **{f"{x} rms": 1.5 for x in ("half", "e2", "left", "slope")},
    }
    report("numbers_without", rows, most=most, quick=quick)


@study.part
def material(quick: bool = False) -> None:
    """Measure whether exposures of one material get one model, and a tau within its errors."""
    report("numbers_material", _numbers_models.materials(quick), least={"either in 3": 0.7}, quick=quick)


@study.part
def published(quick: bool = False) -> None:
    """Measure fits of averages of a gel with two modes, as others publish them."""
    most = {"false": 0, "tau sd": 1.2, "share sd": 1.2}
    least = {"given": 0.9, "tau sd": 0.85, "share sd": 0.85, "hold": 0.9}
    report("numbers_published", _published.of_files(quick), most=most, least=least, quick=quick)


@study.part
def maps(quick: bool = False) -> None:
    """Measure pulls of fits of maps that boost_corr and pychx make of independent frames."""
    most, least = {"tau sd": 1.2, "contrast sd": 1.2}, {"tau sd": 0.85, "contrast sd": "least", "with tau": 0.95}
    report("numbers_maps", of_maps(quick), most=most, least=least, quick=quick)


def of_maps(quick: bool = False) -> Iterator[Row]:
    """Yield a row for each layout: pulls of bins of 600 pixels and 256 rows, over times, exponents, counts, contrasts.

    With 168 bins the standard error of a pull's sd is .055.
    """
    layouts = {**_other_programs.PROGRAMS, "boost_corr with g2": _other_programs.with_g2}
    pulls: dict[str, list[NDArray[np.float64]]] = {}
    of, cells = (
        bins((600,) * 4, None),
        [(tau, p, n) for tau, p in ((0.05, 0.7), (0.1, 1.0), (0.2, 1.5)) for n in (5, 2)],
    )
    for i, (tau, p, modes) in enumerate(cells * (1 if quick else 7)):
        rng, photons = np.random.default_rng(i), (450.0, 9000.0)[i // 6 % 2]
        counts = frames(plain(tau, p), 256, of.shape, rng, photons=photons, modes=modes)
        for name, layout in layouts.items():
            fit = _other_programs.fitted(layout, counts, of).bins
            truth = {"tau": 256 * tau * _other_programs.FRAME_S, "contrast": 1 / modes, "exponent": p}
            columns = {"tau": "tau_s", "contrast": "contrast", "exponent": "kww_exponent"}
            z = [(fit[at] - truth[x]) / fit[f"{at}_err"] for x, at in columns.items()]
            z[0] = np.log(fit["tau_s"] / truth["tau"]) * fit["tau_s"] / fit["tau_s_err"]
            pulls.setdefault(name, []).append(np.array(z))
    for name, every in pulls.items():
        z = np.concatenate(every, axis=1)
        out: Row = {"file": name, "bins": z.shape[1], "with tau": float(np.isfinite(z[0]).mean())}
        for x, values in zip(("tau", "contrast", "exponent"), z, strict=True):
            out |= {f"{x} mean": float(np.nanmean(values)), f"{x} sd": float(np.nanstd(values))}
        # the fit of g2 in files leaves out that their means have speckle too
        yield out | {"least": 0.75 if name not in _other_programs.PROGRAMS else 0.85}


def fitted(quick: bool) -> Iterator[Row]:
    """Yield a row for each kind of run and cell of photons and pixels; `quick` makes a tenth of the fits."""
    for photons in (0.05, 0.5):
        some = [fit(seed, still, np.inf, np.nan, 5, photons) for seed in range(4 if quick else 20)]
        yield row("static", photons, 570, some)
    some = [fit(seed, None, np.nan, np.nan, 0, (0.05, 0.5)[seed % 2]) for seed in range(6 if quick else 40)]
    yield row("flat field", np.nan, 570, some)
    some = [fit(seed, plain(0.3 / 300, 1.0), 0.3, 1.0, 5, 0.5) for seed in range(4 if quick else 20)]
    yield row("within a frame", 0.5, 570, some)
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
