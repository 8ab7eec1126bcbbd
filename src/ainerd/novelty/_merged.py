"""Residuals beside densities: statistics that are ranked on their own, and merged with that of the densities.

A density of many columns dilutes one strong sign. A residual is a test of its own: what a model of all known runs
leaves. The rank r of each, and that of the densities, give cot(pi r), and a weighted sum is ranked among the known runs
(Cauchy combination: Liu and Xie, J. Am. Stat. Assoc. 115, 393, 2020; the last rank makes it exact under any
dependence). Ranks above a half give zero, so that a run that is ordinary in one way does not hide what is strange in
another. The tail of a statistic is continued as an exponential, so that one beyond all known runs counts for more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64] | NDArray[np.intp]

FEWEST = 1000  # known runs with residuals; ranks among fewer are too coarse for a sum
_FEWEST_OF_A_KIND = 40  # otherwise runs of all kinds are compared
_TAIL = 0.1  # share of the known runs that determines the exponential
_LEAST_RANK = 1e-9
_LEAST_SPREAD = 1e-6
_DENSITIES = "densities"


@dataclass
class Merged:
    """Residuals of known runs.

    A term of one column is a statistic, which is large if a run is strange, and is compared with all known runs. One of
    several columns is measured by its Mahalanobis distance from the runs of the nearest kind, and compared with those,
    as the excess under the densities is.

    Attributes
    ----------
    terms : dict of str to slice
        Columns of each residual, from 0.
    weights : mapping of str to float
        Weight of a residual in the sum, 1 by default.
    centre, precision : dict of str to ndarray
        For each kind, (kinds, c) and (kinds, c, c).
    ranked : dict of str to list of ndarray
        Sorted statistics of the known runs that are compared, for each kind; those of the densities as well.
    totals : ndarray, shape (n,)
        Sorted sums of the known runs.
    """

    terms: dict[str, slice]
    weights: Mapping[str, float]
    centre: dict[str, Floats]
    precision: dict[str, Floats]
    ranked: dict[str, list[Floats]]
    totals: Floats

    @classmethod
    def fitted(
        cls,
        columns: Floats,
        nearest: Ints,
        excess: Floats,
        n_kinds: int,
        terms: Mapping[str, slice],
        weights: Mapping[str, float],
    ) -> Self:
        """Return those of known runs from columns (n, d), nearest kinds (n,) and excesses under densities (n,).

        Terms that are the same in all runs are left out.
        """
        every = np.arange(len(nearest))
        mine = [np.flatnonzero(nearest == kind) for kind in range(n_kinds)]
        of_kinds = [some if some.size >= _FEWEST_OF_A_KIND else every for some in mine]
        used = {name: of for name, of in terms.items() if np.ptp(columns[:, of], axis=0).all()}
        merged = cls(used, weights, {}, {}, {}, excess)
        known = {_DENSITIES: excess}
        for name, of in merged.terms.items():
            x = columns[:, of]
            merged.centre[name] = np.array([x[some].mean(0) for some in of_kinds])
            spread = [np.atleast_2d(np.cov(x[some].T)) + _LEAST_SPREAD * np.eye(x.shape[1]) for some in of_kinds]
            merged.precision[name] = np.asarray(np.linalg.inv(spread), dtype=np.float64)
            known[name] = merged._statistics(name, x, nearest)
            if x.shape[1] > 1:
                sizes = np.array([some.size for some in of_kinds], dtype=float)
                known[name] = _without_itself(known[name], sizes[nearest])
        for name, values in known.items():
            is_of_all = name in terms and terms[name].stop - terms[name].start == 1
            merged.ranked[name] = [np.sort(values[every if is_of_all else some]) for some in of_kinds]
        merged.totals = np.sort(merged._totals(known, nearest, itself=1))
        return merged

    def _statistics(self, name: str, x: Floats, nearest: Ints) -> Floats:
        if x.shape[1] == 1:
            return x[:, 0]
        away = x - self.centre[name][nearest]
        return np.asarray(np.einsum("ni,nij,nj->n", away, self.precision[name][nearest], away))

    def _totals(self, statistics: Mapping[str, Floats], nearest: Ints, itself: int = 0) -> Floats:
        """Return the sums (n,) for statistics (n,) by name; `itself` is 1 if each run is one of the known."""
        out = np.zeros(len(nearest))
        for name, values in statistics.items():
            for kind in np.unique(nearest):
                runs, mine = self.ranked[name][kind], nearest == kind
                rank = (1 - itself + len(runs) - np.searchsorted(runs, values[mine])) / (1 + len(runs))
                begin = np.quantile(runs, 1 - _TAIL)
                beyond = np.maximum(values[mine] - begin, 0)
                size = max((runs[runs > begin] - begin).mean(), _LEAST_SPREAD) if (runs > begin).any() else np.inf
                rank = np.where(beyond > 0, _TAIL * np.exp(-beyond / size), rank)
                out[mine] += self.weights.get(name, 1.0) / np.tan(np.pi * np.clip(rank, _LEAST_RANK, 0.5))
        return out

    def p_values(self, columns: Floats, nearest: Ints, excess: Floats) -> Floats:
        """Return the p-values (n,) of runs from the same numbers."""
        statistics = {name: self._statistics(name, columns[:, of], nearest) for name, of in self.terms.items()}
        total = self._totals({_DENSITIES: excess} | statistics, nearest)
        return np.asarray((1 + len(self.totals) - np.searchsorted(self.totals, total)) / (1 + len(self.totals)))

    def excess(self, columns: Floats, nearest: Ints) -> dict[str, Floats]:
        """Return by term how far each run is above the median of the known runs, (n,).

        The unit is the distance from the median to the 90th percentile.
        """
        out = {}
        for name, of in self.terms.items():
            levels = np.array([np.quantile(runs, [0.5, 1 - _TAIL]) for runs in self.ranked[name]])[nearest]
            known = self._statistics(name, columns[:, of], nearest)
            out[name] = (known - levels[:, 0]) / np.maximum(levels[:, 1] - levels[:, 0], _LEAST_SPREAD)
        return out

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, for `restored`."""
        out: dict[str, NDArray[Any]] = {"residual.totals": self.totals}
        for name in self.terms:
            out[f"residual.{name}.centre"], out[f"residual.{name}.precision"] = self.centre[name], self.precision[name]
        for name, of_kinds in self.ranked.items():
            out |= {f"residual.{name}.{kind}": runs for kind, runs in enumerate(of_kinds)}
        return out

    @classmethod
    def restored(
        cls, state: Mapping[str, NDArray[Any]], terms: Mapping[str, slice], weights: Mapping[str, float], n_kinds: int
    ) -> Self | None:
        """Return those of a state; None if it has none."""
        if "residual.totals" not in state:
            return None
        used = {name: of for name, of in terms.items() if f"residual.{name}.centre" in state}
        centre, precision = ({n: state[f"residual.{n}.{x}"] for n in used} for x in ("centre", "precision"))
        ranked = {name: [state[f"residual.{name}.{kind}"] for kind in range(n_kinds)] for name in [_DENSITIES, *used]}
        return cls(used, weights, centre, precision, ranked, state["residual.totals"])


def _without_itself(distances: Floats, n: Floats) -> Floats:
    """Return the distances of known runs from the n - 1 others of the kind, from those from all n."""
    q = distances / (n - 1)
    return np.asarray((n / (n - 1)) ** 2 * (n - 2) * q / np.maximum(1 - n / (n - 1) * q, 1 / n))
