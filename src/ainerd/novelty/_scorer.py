"""Test whether a run is new: a conformal p-value against the bank.

A run can be new in its embedding and the residual of the encoder, in the structure of its maps, and in the steps of its
rate. For each of these terms every known kind has a density. The kind under which a run is most likely is its nearest.
Its improbability there, in all terms together, is ranked among the calibration runs with the same nearest kind. So the
rate of false alarms is the same in every kind (Mondrian conformal prediction: Vovk, Gammerman and Shafer, Algorithmic
Learning in a Random World, 2nd ed., section 4.6), and a broad kind, such as avalanches, does not hide runs close to a
narrow one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from ainerd.novelty._merged import FEWEST, Merged
from ainerd.novelty._regimes import checked
from ainerd.threads import one_thread

_FOLDS = 10
_REGULARISATION = 0.005  # added to the variances of the whitened features
_LEAST_SPREAD = 1e-6
_ROWS = 500  # points at a time, so that the distances need little memory
_RUNS_PER_COMPONENT = 200
_TOLERANCE, _MOST_STEPS = 0.01, 1000  # of the mean log density; ranks calibrate any density


_Excess = tuple[NDArray[np.float64], NDArray[np.intp]]
"""The excess in each term (n, terms), and the number of the nearest kind (n,), in a fold."""


@dataclass(frozen=True)
class Verdict:
    """The p-value of a run, and its reasons.

    Attributes
    ----------
    p : float
        Conformal p-value.
    nearest : str
        Known kind under which the run is most likely.
    excess : dict of str to float
        By term, how much less likely the run is than the median run of that kind, in units of the distance from the
        median to the 90th percentile: about 1 is common, 3 is rare.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(0, 1, (60, 2))
    >>> scorer = NoveltyScorer(terms={"decay": slice(0, 1), "jumps": slice(1, 2)}, n_components=1).fit(features)
    >>> (verdict,) = scorer.explain([[0.0, 9.0]])
    >>> verdict.p < 0.05, max(verdict.excess, key=verdict.excess.get)
    (True, 'jumps')
    """

    p: float
    nearest: str
    excess: Mapping[str, float]

    @property
    def strangest_term(self) -> str:
        """Term in which the run is strangest."""
        return max(self.excess, key=lambda term: self.excess[term])


class NoveltyScorer:
    """Score the novelty of runs, calibrated on known ones.

    The runs of each kind are divided into folds. Each fold calibrates the densities fitted to the others, and the ranks
    of a new run in all folds are combined (cross-conformal: Vovk, Ann. Math. Artif. Intell. 74, 9, 2015). For runs
    exchangeable with the bank's, of any nearest kind, P(p <= alpha) is proven to be at most about 2 alpha, and measured
    to be alpha (``python -m studies.novelty``).

    Parameters
    ----------
    terms : mapping of str to slice, optional
        Columns of each density, by the name used in `Verdict`: together all columns, in order. Without it one density
        takes all columns.
    residuals : mapping of str to slice, optional
        Columns of each residual, after those of the terms; see `Merged`. Known runs may lack them (NaN). They count if
        at least 1,000 known runs have them.
    weights : mapping of str to float, optional
        Weights of residuals, 1 by default.
    n_components : int
        Least number of Gaussians in a density; large kinds have one for each 200 runs.

    Attributes
    ----------
    kinds_ : ndarray of str
        Known kinds.
    n_calibration_ : int
        Number of calibration runs: all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(0, 1, (120, 3)) + np.repeat([[0], [10]], 60, axis=0)
    >>> scorer = NoveltyScorer(n_components=1).fit(features, np.repeat(["ageing", "flow"], 60))
    >>> scorer.p_values([[0, 0, 0], [10, 10, 10], [5, 5, 5]]).round(2)  # between both kinds is novel
    array([0.98, 1.  , 0.02])
    """

    def __init__(
        self,
        *,
        terms: Mapping[str, slice] | None = None,
        residuals: Mapping[str, slice] | None = None,
        weights: Mapping[str, float] | None = None,
        n_components: int = 4,
    ) -> None:
        self.terms = terms
        self.residuals = residuals
        self.weights = weights
        self.n_components = n_components

    def fit(self, features: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit densities to features (n, d) of runs of the kinds `y`, (n,); all of one kind by default.

        Raises
        ------
        ValueError
            If a kind has fewer than six runs for each component, a value is not finite, the terms leave columns out, or
            the columns of a term are the same in all runs.
        """
        import sklearn.mixture  # not for a restored scorer; before the limit, which is for libraries that are loaded

        features, beside = self._divided(features)
        kinds = np.full(len(features), "known") if y is None else np.asarray(y)
        if kinds.shape != (len(features),):
            raise ValueError(f"kinds must be one a run, ({len(features)},), got {kinds.shape}")
        self.kinds_, kinds, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
        for kind, size in zip(self.kinds_, sizes, strict=True):
            if size < 6 * self.n_components:
                raise ValueError(
                    f"{size} runs of kind {str(kind)!r} are too few for a density of {self.n_components} components"
                )
        self._n_of_terms, self.n_features_in_ = features.shape[1], features.shape[1] + beside.shape[1]
        self.n_calibration_ = len(features)
        self.terms_ = self._terms()
        for name, columns in self.terms_.items():
            if not np.ptp(features[:, columns], axis=0).any():
                raise ValueError(f"the columns of term {name!r} are the same in all runs: leave them out")
        rng, fold = np.random.default_rng(0), np.empty(len(features), dtype=int)
        for number, size in enumerate(sizes):
            fold[kinds == number] = rng.permutation(size) % _FOLDS
        quick = sklearn.config_context(
            assume_finite=True, skip_parameter_validation=True
        )  # a tenth of the time of small fits
        with quick, one_thread, threadpool_limits(1, "openmp"):  # the OpenMP limit is one of each thread
            self._folds = [_Fold.fitted(self, features, kinds, fold == held) for held in range(_FOLDS)]
            self._merged = self._of_residuals(features, beside, fold)
        return self

    def _of_residuals(
        self, features: NDArray[np.float64], beside: NDArray[np.float64], fold: NDArray[np.int64]
    ) -> Merged | None:
        """Return the residuals of known runs; None if too few have them."""
        there = np.isfinite(beside).all(1)
        if not self.residuals or there.sum() < FEWEST:
            return None
        excess, nearest = np.empty(len(features)), np.empty(len(features), dtype=np.intp)
        for held, of in enumerate(self._folds):
            each, nearest[fold == held] = of.excess(features[fold == held])
            excess[fold == held] = each.sum(1)
        kinds, terms = len(self.kinds_), self._columns_beside()
        return Merged.fitted(beside[there], nearest[there], excess[there], kinds, terms, self.weights or {})

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all fitted arrays by name, for `restored`."""
        folds = {f"{number}.{name}": array for number, fold in enumerate(self._folds) for name, array in fold.state()}
        return folds if self._merged is None else folds | self._merged.state()

    @classmethod
    def restored(
        cls,
        state: Mapping[str, NDArray[Any]],
        kinds: Sequence[str],
        terms: Mapping[str, slice] | None = None,
        residuals: Mapping[str, slice] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Return a scorer of these kinds, terms and residuals, with default settings, from the arrays of `state`."""
        scorer = cls(terms=terms, residuals=residuals, weights=weights)
        scorer.kinds_ = np.array(kinds)
        scorer._folds = [_Fold.restored(state, f"{number}.", len(kinds)) for number in range(_FOLDS)]
        scorer.n_calibration_ = sum(runs.size for fold in scorer._folds for runs in fold.calibration)
        scorer._n_of_terms = sum(density.mean.size for density in scorer._folds[0].densities)
        scorer.n_features_in_ = scorer._n_of_terms + scorer._n_beside()
        scorer.terms_ = scorer._terms()
        scorer._merged = Merged.restored(state, scorer._columns_beside(), weights or {}, len(kinds))
        return scorer

    def p_values(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the conformal p-value (n,) of each run; small is novel."""
        return self._p_values(*self._excesses(features))

    def explain(self, features: ArrayLike) -> list[Verdict]:
        """Return the p-value of each run with its reasons; the nearest kind is that of the first fold."""
        of_folds, beside = self._excesses(features)
        excess, nearest = np.mean([excess for excess, _ in of_folds], axis=0), of_folds[0][1]
        terms = dict(zip(self.terms_, excess.T, strict=True))
        if self._merged is not None:
            terms |= self._merged.excess(beside, nearest)
        return [
            Verdict(float(p), str(kind), dict(zip(terms, map(float, values), strict=True)))
            for p, kind, *values in zip(
                self._p_values(of_folds, beside), self.kinds_[nearest], *terms.values(), strict=True
            )
        ]

    def _excesses(self, features: ArrayLike) -> tuple[list[_Excess], NDArray[np.float64]]:
        """Return the excess and the nearest kind of each fold, and the columns of the residuals."""
        x = checked(features, "features", 2)
        if x.shape[1] != self.n_features_in_:
            raise ValueError(f"features must be (n, {self.n_features_in_}), got {x.shape}")
        return [fold.excess(x[:, : self._n_of_terms]) for fold in self._folds], x[:, self._n_of_terms :]

    def _p_values(self, of_folds: list[_Excess], beside: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._merged is not None:
            excess = np.mean([each.sum(1) for each, _ in of_folds], axis=0)
            return self._merged.p_values(beside, of_folds[0][1], excess)
        stranger, n = np.sum([fold.ranks(*each) for fold, each in zip(self._folds, of_folds, strict=True)], axis=0)
        return np.asarray((1 + stranger) / (1 + n))

    def _n_beside(self) -> int:
        """Return the number of columns of the residuals."""
        return sum(of.stop - of.start for of in (self.residuals or {}).values())

    def _columns_beside(self) -> dict[str, slice]:
        """Return the columns of each residual, from the first of all residuals."""
        n = self._n_of_terms
        return {name: slice(of.start - n, of.stop - n) for name, of in (self.residuals or {}).items()}

    def _divided(self, features: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the columns of the terms and those of the residuals, of known runs."""
        x = np.asarray(features, dtype=np.float64)
        n = x.shape[1] - self._n_beside() if x.ndim == 2 and self.residuals else None
        of_terms = checked(x if n is None else x[:, :n], "features", 2)
        return of_terms, np.empty((len(x), 0)) if n is None else x[:, n:]

    def _terms(self) -> dict[str, slice]:
        """Return the terms whose columns exist; raise ValueError if they are not all columns in order."""
        n, terms = self._n_of_terms, self.terms or {"all": slice(None)}
        columns = {name: range(*of.indices(n)) for name, of in terms.items()}
        if [i for of in columns.values() for i in of] != [*range(n)]:
            raise ValueError(f"terms must be all of the {n} columns, in order, got {terms}")
        return {name: of for name, of in terms.items() if columns[name]}


@dataclass
class _Fold:
    """Densities of each term fitted to the runs of other folds, calibrated by those of this one.

    `middle` and `spread`, (kinds, terms), are the median of the strangeness and the distance to its 90th percentile;
    `calibration` holds the sorted excess of this fold's runs nearest to each kind.
    """

    densities: "list[_Density]"
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    calibration: list[NDArray[np.float64]]

    @classmethod
    def fitted(
        cls, scorer: NoveltyScorer, features: NDArray[np.float64], kinds: NDArray[np.intp], held: NDArray[np.bool_]
    ) -> Self:
        densities = [_Density.fitted(scorer, features[~held][:, c], kinds[~held]) for c in scorer.terms_.values()]
        shape = len(scorer.kinds_), len(densities)
        fold = cls(densities, np.zeros(shape), np.ones(shape), [])
        strangeness, nearest = fold._strangeness(features[~held])
        levels = [
            np.percentile(strangeness[near if near.any() else ...], [50, 90], axis=0)
            for near in (nearest == kind for kind in range(len(scorer.kinds_)))
        ]
        fold.middle = np.array([middle for middle, _ in levels])
        fold.spread = np.maximum([high - middle for middle, high in levels], _LEAST_SPREAD)
        excess, nearest = fold.excess(features[held])
        fold.calibration = [np.sort(excess[nearest == kind].sum(1)) for kind in range(len(scorer.kinds_))]
        return fold

    def state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield all arrays by name."""
        yield from (("middle", self.middle), ("spread", self.spread))
        yield from ((f"calibration.{kind}", runs) for kind, runs in enumerate(self.calibration))
        for term, density in enumerate(self.densities):
            yield from ((f"density.{term}.{name}", array) for name, array in vars(density).items())

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[Any]], prefix: str, n_kinds: int) -> Self:
        calibration = [state[f"{prefix}calibration.{kind}"] for kind in range(n_kinds)]
        middle, names = state[f"{prefix}middle"], [field.name for field in fields(_Density)]
        terms = (f"{prefix}density.{term}." for term in range(middle.shape[1]))
        densities = [_Density(*(state[term + name] for name in names)) for term in terms]
        return cls(densities, middle, state[f"{prefix}spread"], calibration)

    def excess(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the excess in each term (n, terms), and the number of the nearest kind (n,)."""
        strangeness, nearest = self._strangeness(features)
        return (strangeness - self.middle[nearest]) / self.spread[nearest], nearest

    def ranks(self, excess: NDArray[np.float64], nearest: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return how many calibration runs of the nearest kind are at least as strange, and their number, (2, n)."""
        calibration = [self.calibration[kind] for kind in nearest]
        n = np.array([len(runs) for runs in calibration])
        below = [np.searchsorted(runs, total) for runs, total in zip(calibration, excess.sum(1), strict=True)]
        return np.stack([n - below, n])

    def _strangeness(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return minus the log density in each term (n, terms) under the nearest kind, and its number (n,)."""
        edges = np.cumsum([0, *(density.mean.size for density in self.densities)])
        logs = np.stack(
            [density.logs(features[:, i:j]) for density, i, j in zip(self.densities, edges, edges[1:], strict=False)]
        )
        nearest = logs.sum(0).argmax(1)
        return -logs[:, np.arange(len(features)), nearest].T, nearest


@dataclass
class _Density:
    """Density of one term under each kind: mixtures of Gaussians in coordinates whitened over all runs.

    `mean` (d,) and `white` (d, e) define the coordinates. The g Gaussians of all kinds have the number of their `kind`
    (g,), `log_weights` (g,), `means` (g, e) and `factors` (g, e (e + 1) / 2), the upper triangles of the Cholesky
    factors of the precisions. These are rounded to single precision, so that files are small; the ranks are computed
    after that.
    """

    mean: NDArray[np.float64]
    white: NDArray[np.float64]
    kind: NDArray[np.int64]
    log_weights: NDArray[np.float32]
    means: NDArray[np.float32]
    factors: NDArray[np.float32]

    @classmethod
    def fitted(cls, scorer: NoveltyScorer, x: NDArray[np.float64], kinds: NDArray[np.intp]) -> Self:
        from sklearn.mixture import GaussianMixture

        mean, scale = x.mean(0), np.maximum(x.std(0), _LEAST_SPREAD)
        _, sizes, axes = np.linalg.svd(
            np.linalg.qr((x - mean) / scale, mode="r"), full_matrices=False
        )  # fast: of few rows
        there = sizes > _LEAST_SPREAD * sizes[0]
        # in the memory layout of a file, because the last bits of a product depend on it
        white = np.ascontiguousarray((axes[there] / scale).T / (sizes[there] / np.sqrt(len(x))))
        mixtures = []
        for kind in range(len(scorer.kinds_)):
            runs = (x[kinds == kind] - mean) @ white
            count = max(scorer.n_components, round(len(runs) / _RUNS_PER_COMPONENT))
            options = {"tol": _TOLERANCE, "max_iter": _MOST_STEPS, "reg_covar": _REGULARISATION, "random_state": 0}
            mixtures.append(GaussianMixture(count, **options).fit(runs))
        upper = np.triu_indices(white.shape[1])
        numbers = [np.full(mixture.n_components, kind) for kind, mixture in enumerate(mixtures)]
        log_weights = [np.log(mixture.weights_) for mixture in mixtures]
        means = [mixture.means_ for mixture in mixtures]
        factors = [mixture.precisions_cholesky_[:, *upper] for mixture in mixtures]
        rounded = [np.concatenate(each).astype(np.float32, order="C") for each in (log_weights, means, factors)]
        return cls(mean, white, np.concatenate(numbers), *rounded)

    def logs(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log densities (n, kinds)."""
        white = (x - self.mean) @ self.white
        size = white.shape[1]
        upper = np.zeros((len(self.kind), size, size))
        upper[:, *np.triu_indices(size)] = self.factors
        constant = self.log_weights - size / 2 * np.log(2 * np.pi)
        constant += np.log(np.diagonal(upper, axis1=1, axis2=2)).sum(1)
        logs = np.empty((len(x), int(self.kind.max()) + 1))
        for kind in range(logs.shape[1]):
            some = self.kind == kind
            means, factors = self.means[some], upper[some]
            product, shift = np.concatenate(factors, axis=1), np.einsum("ce,cef->cf", means, factors)
            for first in range(0, len(x), _ROWS):
                rows = slice(first, first + _ROWS)
                away = (white[rows] @ product - shift.ravel()).reshape(-1, *shift.shape)  # from all Gaussians at once
                each = constant[some] - np.einsum("nce,nce->nc", away, away) / 2
                most = each.max(1)
                logs[rows, kind] = most + np.log(np.exp(each - most[:, None]).sum(1))
        return logs
