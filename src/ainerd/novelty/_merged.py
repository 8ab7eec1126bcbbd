"""Residuals beside densities: statistics that are ranked on their own, and merged with the rank under the densities.

A density of many columns dilutes one strong sign. A residual is a test of its own: what a model of all known runs
leaves. Each rank r, that under the densities and those of the residuals, gives cot(pi r), and their sum is ranked among
the known runs (Cauchy combination: Liu and Xie, J. Am. Stat. Assoc. 115, 393, 2020; the rank makes it exact under any
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


@dataclass
class Merged:
    """Residuals of known runs.

    A term of one column is a statistic, which is large if a run is strange, and is compared with all known runs. One of
    several columns is measured by its Mahalanobis distance from the runs of the nearest kind, and compared with those.

    Attributes
    ----------
    terms : dict of str to slice
        Columns of each residual, from 0.
    centre, precision : dict of str to ndarray
        For each kind, (kinds, c) and (kinds, c, c).
    ranked : dict of str to list of ndarray
        Sorted statistics of the known runs that are compared, for each kind.
    totals : ndarray, shape (n,)
        Sorted sums of the known runs.
    """

    terms: dict[str, slice]
    centre: dict[str, Floats]
    precision: dict[str, Floats]
    ranked: dict[str, list[Floats]]
    totals: Floats

    @classmethod
    def fitted(cls, columns: Floats, nearest: Ints, rank: Floats, n_kinds: int, terms: Mapping[str, slice]) -> Self:
        """Return those of known runs from their columns (n, d), nearest kinds (n,) and ranks under densities (n,).

        Terms that are the same in all runs are left out.
        """
        every = np.arange(len(nearest))
        of_kinds = [
            mine if (mine := np.flatnonzero(nearest == kind)).size >= _FEWEST_OF_A_KIND else every
            for kind in range(n_kinds)
        ]
        sizes = np.array([len(mine) for mine in of_kinds])
        used = {name: of for name, of in terms.items() if np.ptp(columns[:, of], axis=0).all()}
        merged = cls(used, {}, {}, {}, np.empty(0))
        total = _score(rank)
        for name, of in used.items():
            x = columns[:, of]
            merged.centre[name] = np.array([x[mine].mean(0) for mine in of_kinds])
            spread = [np.atleast_2d(np.cov(x[mine].T)) + _LEAST_SPREAD * np.eye(x.shape[1]) for mine in of_kinds]
            merged.precision[name] = np.asarray(np.linalg.inv(spread), dtype=np.float64)
            known = merged._statistics(name, x, nearest)
            if x.shape[1] > 1:
                known = _without_itself(known, sizes[nearest].astype(float))
            compared = of_kinds if x.shape[1] > 1 else [every] * n_kinds
            merged.ranked[name] = [np.sort(known[mine]) for mine in compared]
            total += _score(merged._ranks(name, known, nearest, itself=1))
        merged.totals = np.sort(total)
        return merged

    def _statistics(self, name: str, x: Floats, nearest: Ints) -> Floats:
        if x.shape[1] == 1:
            return x[:, 0]
        away = x - self.centre[name][nearest]
        return np.asarray(np.einsum("ni,nij,nj->n", away, self.precision[name][nearest], away))

    def _ranks(self, name: str, statistics: Floats, nearest: Ints, itself: int = 0) -> Floats:
        """Return the ranks (n,) of statistics; `itself` is 1 if each is one of the known runs."""
        out = np.empty(len(statistics))
        for kind in np.unique(nearest):
            runs, mine = self.ranked[name][kind], nearest == kind
            above = 1 - itself + len(runs) - np.searchsorted(runs, statistics[mine])
            begin = np.quantile(runs, 1 - _TAIL)
            beyond = statistics[mine] - begin
            size = max((runs[runs > begin] - begin).mean(), _LEAST_SPREAD)
            tail = _TAIL * np.exp(-np.maximum(beyond, 0) / size)
            out[mine] = np.where(beyond > 0, tail, above / (1 + len(runs)))
        return out

    def p_values(self, columns: Floats, nearest: Ints, rank: Floats) -> Floats:
        """Return the p-values (n,) of runs from the same numbers."""
        total = _score(rank)
        for name, of in self.terms.items():
            total += _score(self._ranks(name, self._statistics(name, columns[:, of], nearest), nearest))
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
            out |= {f"residual.{name}.{kind}": runs for kind, runs in enumerate(self.ranked[name])}
        return out

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[Any]], terms: Mapping[str, slice], n_kinds: int) -> Self | None:
        """Return those of a state; None if it has none."""
        if "residual.totals" not in state:
            return None
        used = {name: of for name, of in terms.items() if f"residual.{name}.centre" in state}
        centre, precision = ({n: state[f"residual.{n}.{x}"] for n in used} for x in ("centre", "precision"))
        ranked = {name: [state[f"residual.{name}.{kind}"] for kind in range(n_kinds)] for name in used}
        return cls(used, centre, precision, ranked, state["residual.totals"])


def _without_itself(distances: Floats, n: Floats) -> Floats:
    """Return the distances of known runs from the n - 1 others of the kind, from those from all n."""
    q = distances / (n - 1)
    return np.asarray((n / (n - 1)) ** 2 * (n - 2) * q / np.maximum(1 - n / (n - 1) * q, 1 / n))


def _score(rank: Floats) -> Floats:
    return np.asarray(1 / np.tan(np.pi * np.clip(rank, _LEAST_RANK, 0.5)))
