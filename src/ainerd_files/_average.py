"""The average of repeats of g2, with those that are left out, and whether the beam damages the sample."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ainerd.words import rounded
from ainerd_files._curves_of_bins import Curves
from ainerd_files._fields import opened
from ainerd_files._fitted import FittedCurves
from ainerd_files._map_layouts import began
from ainerd_files._repeats import Repeats, Trend, average_repeats, log_tau_shifts
from ainerd_xpcs.numerics import LEFT_OVER
from ainerd_xpcs.technique import new_figure

Floats = NDArray[np.float64]
LEFT_OUT = "#D55E00"


@dataclass(frozen=True, kw_only=True)
class Average:
    """The mean of repeats with its fit, and a test of the repeats for damage by the beam.

    Attributes
    ----------
    fitted : FittedCurves
        Mean g2 of each bin with its fit.
    repeats : Repeats
        Which repeats are left out and why, and how they differ.
    names : tuple of str
        Names of the repeats.
    g2 : ndarray, shape (m, n_roi, n)
        Of all repeats.
    dose : ndarray, shape (m,)
        Dose of each repeat, or its number from 1.
    dose_name : str
        Empty if the order of the repeats is not known: there is no test for trends.
    log_tau : ndarray, shape (m,)
        Logarithm of tau of each repeat over that of the mean; NaN without one.
    counts : ndarray, shape (m, n_roi)
        Photons per pixel and frame; NaN where unknown.

    Examples
    --------
    >>> lag, one = np.geomspace(0.01, 1, 20), np.ones(1)
    >>> several = 1 + 0.2 * np.exp(-2 * lag / 0.1) + np.random.default_rng(0).normal(0, 0.001, (2, 1, 20))
    >>> about = {"q": one, "phi": one, "numbers": np.array([1]), "n_pixels": one, "mean_counts": one}
    >>> curves = [Curves("simulated", lag, g2, np.full_like(g2, 0.001), **about) for g2 in several]
    >>> Average.of(curves, ["first", "second"]).sentences()[0]
    '2 of 2 repeats are averaged'
    """

    fitted: FittedCurves
    repeats: Repeats
    names: tuple[str, ...]
    g2: Floats
    dose: Floats
    dose_name: str
    log_tau: Floats
    counts: Floats

    @classmethod
    def of(
        cls,
        curves: Sequence[Curves],
        names: Sequence[str],
        *,
        dose: ArrayLike | None = None,
        dose_name: str = "repeat number",
        **options: Any,
    ) -> Self:
        """Average curves that have the same bins and lags, and fit the mean, with options of `fit_curves`.

        A lag counts with its pairs of photons: pixels, frames and the square of the photons per pixel and frame; where
        photons are not known for all repeats, with its pairs of frames.

        Raises
        ------
        ValueError
            If there are fewer than two, or if they have other bins or lags than the first; the message names it.
        """
        if len(curves) < 2:
            raise ValueError(f"an average needs two repeats or more, got {len(curves)}")
        for other, name in zip(curves[1:], names[1:], strict=True):
            _check_same(curves[0], names[0], other, name)
        doses = np.arange(1.0, len(curves) + 1) if dose is None else np.asarray(dose, dtype=float)
        if doses.shape != (len(curves),) or not np.isfinite(doses).all():
            raise ValueError(f"{dose_name} must be a number for each of the {len(curves)} repeats, got {doses}")
        g2, error = (np.stack([getattr(each, name) for each in curves]) for name in ("g2", "error"))
        counts = np.stack([each.mean_counts for each in curves])
        repeats = average_repeats(
            curves[0].tau_s, g2, error, weight=_pairs(curves, counts), numbers=[*curves[0].numbers], unit="s"
        )
        kept = [each for each, is_kept in zip(curves, repeats.kept, strict=True) if is_kept]
        lengths = [each.n_frames for each in kept if each.n_frames is not None]
        mean = replace(
            curves[0],
            layout=f"mean of {len(kept)} of {len(curves)} repeats",
            g2=repeats.g2,
            error=repeats.error,
            mean_counts=np.sqrt(np.mean(counts[repeats.kept] ** 2, axis=0)),
            n_frames=int(np.median(lengths)) if len(lengths) == len(kept) else None,
            n_files=sum(each.n_files for each in kept),
        )
        fitted = FittedCurves.of(mean, errors_of=repeats.errors, left_over=LEFT_OVER, **options)
        precision = np.where(error > 0, 1 / np.maximum(error, 1e-300) ** 2, np.nan)
        shifts = log_tau_shifts(mean.tau_s, g2, fitted.fit, precision if np.isfinite(precision).any() else None)
        return cls(
            fitted=fitted, repeats=repeats, names=tuple(names), g2=g2, dose=doses, dose_name=dose_name,
            log_tau=shifts, counts=counts,
        )  # fmt: skip

    def sentences(self) -> list[str]:
        """Describe the rejected repeats, the differences between repeats, and trends of tau and I(q)."""
        repeats, m = self.repeats, len(self.names)
        out = [f"{int(repeats.kept.sum())} of {m} repeats are averaged"]
        out += [f"{name} is left out: {why}" for name, why in zip(self.names, repeats.reasons, strict=True) if why]
        chi2 = repeats.chi2[np.isfinite(repeats.chi2)]
        if chi2.size:
            ends = f"{chi2.min():.2g}" + (f" to {chi2.max():.2g}" if chi2.size > 1 else "")
            out.append(f"χ² per degree of freedom of the repeats is {ends} (1 if they differ by their errors alone)")
        return [*out, *self._damage()]

    def _damage(self) -> Iterator[str]:
        """Say whether tau, the intensity, or the shape of I(q) has a trend."""
        if not self.dose_name:
            yield "no test for trends: start times or one number in the names must order the repeats"
            return
        first = f"from the smallest to the largest {self.dose_name}"
        of_tau = Trend.of(self.dose, self.log_tau)
        if not np.isfinite(of_tau.p):
            why = "the average has no τ" if np.isnan(self.log_tau).all() else "a test needs five repeats"
            yield f"no test for a trend of τ: {why}"
        else:
            yield _trend("τ", of_tau, first, of_tau.is_sure())
        known = (self.counts > 0).all(0)
        if not known.any():
            yield "no test for a trend of I(q): the photons of the repeats are not known"
            return
        log = np.log(self.counts[:, known])
        total = log.mean(1)
        of_total = Trend.of(self.dose, total)
        if not np.isfinite(of_total.p):
            return
        yield _trend("the intensity", of_total, first, of_total.is_sure())
        bins = np.flatnonzero(known)
        if len(bins) > 1:
            trends = [Trend.of(self.dose, row - total) for row in log.T]
            k = int(np.argmin([trend.p for trend in trends]))
            sure = trends[k].is_sure(len(bins))
            yield _trend(f"the share of bin {self.fitted.curves.numbers[bins[k]]} in I(q)", trends[k], first, sure)

    def plot(self) -> Figure:
        """Draw the mean of some bins with the repeats behind it, tau and I(q) over the dose, and tau over q."""
        figure = new_figure(15, 5.5)
        left, middle, right = figure.subfigures(1, 3, width_ratios=(3, 1.6, 1.6))  # type: ignore[misc]
        for k, axes in self.fitted.draw(left).items():
            for row, is_kept in zip(self.g2[:, k], self.repeats.kept, strict=True):
                style: dict[str, Any] = {"color": "0.8"} if is_kept else {"color": LEFT_OUT, "ls": "--"}
                axes.plot(self.fitted.curves.tau_s, row, lw=0.6, zorder=1 if is_kept else 2, **style)
        m, n = len(self.names), int((~self.repeats.kept).sum())
        left.suptitle(f"mean of {m - n} of {m} repeats (gray)" + (f", {n} left out (dashed)" if n else ""), fontsize=10)
        self._draw_dose(middle)
        self.fitted.draw_over_q(right)
        return figure

    def _draw_dose(self, figure: Any) -> None:
        """Draw tau and the intensity of each repeat over the dose, relative to the mean and to the median."""
        rows = [(np.exp(self.log_tau), "τ / τ of the mean")]
        known = (self.counts > 0).all(0)
        if known.any():  # not every file has counts
            total = self.counts[:, known].mean(1)
            rows.append((total / np.median(total), "intensity / median"))
        kept, panels = self.repeats.kept, figure.subplots(len(rows), 1, sharex=True, squeeze=False).ravel()
        for axes, (values, label) in zip(panels, rows, strict=True):
            axes.plot(self.dose[kept], values[kept], ".", color="black", ms=4)
            axes.plot(self.dose[~kept], values[~kept], "x", color=LEFT_OUT, label="left out")
            axes.axhline(1, lw=1, color="0.7")
            axes.set_ylabel(label)
        axes.set_xlabel(self.dose_name or "repeats, in no order")
        if (self.dose == np.round(self.dose)).all():
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    def write(self, path: Path) -> None:
        """Write the average as `ainerd analyze` writes curves, and the repeats in the table ``repeats``."""
        repeats = {
            "name": np.array(self.names), "reason": np.array(self.repeats.reasons), "kept": self.repeats.kept,
            "g2": self.g2, "counts": self.counts, "log_tau": self.log_tau, "dose": self.dose,
        }  # fmt: skip
        tables = {"repeats": repeats, "scatter": {"chi2": self.repeats.chi2}}
        self.fitted.write(path, tables, sentences="\n".join(self.sentences()), dose_name=self.dose_name)


def order_of(files: Sequence[Path]) -> tuple[list[float] | None, str]:
    """Return what orders repeats, and its name: their start times in s, or a number in the names; None and "" without.

    All files must have it, no two the same. The names must differ in this number alone.
    """
    times = [_start(file) for file in files]
    known = [time for time in times if time is not None]
    if len(set(known)) == len(files):
        return [time - min(known) for time in known], "start time (s)"
    names = [re.split(r"(\d+)", str(file)) for file in files]  # text and digits in turn
    columns = zip(*(map(float, name[1::2]) for name in names), strict=False)
    differ = [list(column) for column in columns if len(set(column)) > 1]
    if len({tuple(name[::2]) for name in names}) == len(differ) == 1 and len(set(differ[0])) == len(files):
        return differ[0], "number in the name"
    return None, ""


def _start(file: Path) -> float | None:
    with opened(file) as opened_file:
        return began(opened_file)


DAMAGE = "damage by the beam, or a change of the sample or the beam"


def _trend(what: str, trend: Trend, first: str, sure: bool) -> str:
    percent, *ends = (round(float(100 * np.expm1(x)), 6) + 0.0 for x in (trend.change, trend.low, trend.high))
    change = f"{percent:+.3g} % {first} (95 %: {ends[0]:+.3g} to {ends[1]:+.3g}), p = {trend.p:.1g}"
    return f"{what} has a trend, {change}: {DAMAGE}" if sure else f"{what} has no trend: {change}"


def _pairs(curves: Sequence[Curves], counts: Floats) -> Floats:
    """Return the pairs behind each lag, (m, n_roi, n), in numbers that are proportional to them."""
    known = np.isfinite(counts).all() and bool((counts > 0).any())
    out = np.empty((len(curves), *curves[0].g2.shape))
    for pairs, each, photons in zip(out, curves, counts, strict=True):
        step = each.frame_time_s if each.frame_time_s > 0 else each.tau_s[0]
        frames = each.tau_s / step
        long = each.n_frames or int(np.ceil(2 * frames[-1])) + 1
        left = np.maximum(long - frames, 1) * each.n_files
        pixels = np.where(np.isfinite(each.n_pixels), each.n_pixels, 1.0)
        pairs[:] = (pixels * (photons**2 if known else 1.0))[:, None] * left
    return out


def _check_same(one: Curves, its_name: str, other: Curves, name: str) -> None:
    """Raise ValueError unless two curves have the same bins and lags."""
    apart = np.setxor1d(one.numbers, other.numbers)
    if apart.size:
        has, lacks = (its_name, name) if apart[0] in one.numbers else (name, its_name)
        raise ValueError(f"{has} has bin {apart[0]}, {lacks} has none of this number: only equal bins are averaged")
    a, b = one.tau_s, other.tau_s
    if a.size != b.size or not np.allclose(a, b, rtol=1e-6, atol=0):
        lags = [f"{x.size} lags from {rounded(x[0], 4)} to {rounded(x[-1], 4)} s" for x in (b, a)]
        raise ValueError(f"{name} has {lags[0]}, {its_name} has {lags[1]}: only equal lags are averaged")
    both = np.isfinite(one.q) & np.isfinite(other.q)
    apart = both & ~np.isclose(one.q, other.q, rtol=1e-3)
    if apart.any():
        k = int(apart.argmax())
        raise ValueError(
            f"bin {other.numbers[k]} of {name} is at q = {other.q[k]:.4g}/nm, of {its_name} at {one.q[k]:.4g}/nm: "
            "only equal bins are averaged"
        )
