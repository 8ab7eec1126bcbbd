"""Judge the regimes of a session by their p-values: whether one is new, with a bound on false discoveries.

Exposures of one regime share its dynamics: if these look strange by chance, all its exposures do. So their p-values are
not independent, and their product would be far too small. The evidence of a regime is ranked among simulated regimes
instead, whose exposures are equally dependent and are grouped by the same code as an agent's results.

The evidence of a regime after k exposures, k at most `LOOKS`, is the mean of -log p of the first k in the order they
were taken. It is converted to its rank among simulated regimes of k exposures. The smallest of these ranks so far is
kept, so that it does not matter when one looks or stops, and is ranked in turn among the regimes of simulated nights.

Half of alpha is for the claim that the sample as a whole, its largest component, is new. The other half is divided over
regimes: a regime is a discovery if its p-value is at most `share` of it, and the shares of all possible regimes sum to
one. So the probability of any false discovery is at most alpha, under any dependence.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.novelty._gaps import components
from ainerd.novelty._regimes import Find, grouped
from ainerd.technique import is_novel

LOOKS = 6  # exposures of a regime that count
LEAST_OF_SAMPLE = 3  # exposures of the largest component, from which on the whole sample is judged
OF_SAMPLE = 0.5  # share of alpha for the claim that the sample is of one new kind
_FIRST, _OF_FIRST = 6, 0.9  # the first regimes share this part of alpha equally, each later one half of the rest


def share(number: int) -> float:
    """Return the share of alpha allotted to the regime with this number.

    Examples
    --------
    >>> round(sum(share(number) for number in range(60)), 6)
    1.0
    """
    return _OF_FIRST / _FIRST if number < _FIRST else (1 - _OF_FIRST) * 0.5 ** (number - _FIRST + 1)


class RegimeTest:
    """p-values of regimes.

    Parameters
    ----------
    by_look : array_like, shape (LOOKS, n)
        Evidence of n simulated regimes after 1, 2, … exposures.
    smallest, whole : array_like, shape (m,) and (l,)
        Smallest ranks of m regimes of simulated nights, and of the largest component of each of l nights.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=(400, LOOKS))  # of exposures of known kinds
    >>> z = (10 * rng.normal(size=(400, 1, 4)) + 0.1 * rng.normal(size=(400, LOOKS, 4))).astype(np.float32)
    >>> find = lambda points, earlier: find_regimes(points, earlier, width=2.0)
    >>> test = RegimeTest.calibrated(p, z, find, width=2.0, alpha=0.05, rng=rng, regimes=100, exposures=6)
    >>> [round(test.p(test.rank(exposures)), 2) for exposures in ([0.4, 0.6], [0.001, 0.001])]
    [0.48, 0.01]
    """

    def __init__(self, by_look: ArrayLike, smallest: ArrayLike, whole: ArrayLike) -> None:
        self.by_look, self.smallest, self.whole = np.sort(by_look), np.sort(smallest), np.sort(whole)
        if self.by_look.ndim != 2 or len(self.by_look) != LOOKS or self.smallest.ndim != 1:
            raise ValueError(f"by_look must be ({LOOKS}, n), got {self.by_look.shape}")

    @classmethod
    def calibrated(
        cls,
        p: NDArray[np.float64],
        z: NDArray[np.float32],
        find: Find,
        *,
        width: float,
        alpha: float,
        rng: np.random.Generator,
        regimes: int = 5000,
        exposures: int = 30,
    ) -> Self:
        """Calibrate on simulated nights of one to six regimes.

        Parameters
        ----------
        p : ndarray, shape (n, k)
            p-values of k exposures of each of n regimes of known kinds.
        z : ndarray, shape (n, k, d)
            Their embeddings.
        find, width, alpha
            Grouping as by the agent: `Technique.regimes`, `regime_width`, and the level at which an exposure is novel.
        rng : numpy.random.Generator
        regimes : int
            Least number of regimes in all nights together.
        exposures : int
            Number of exposures in a night.
        """
        evidence = np.cumsum(-np.log(p[:, :LOOKS]), axis=1) / np.arange(1, LOOKS + 1)
        test = cls(evidence.T, np.ones(1), np.ones(1))
        smallest, whole = list[float](), list[float]()
        while len(smallest) < regimes:
            of, number = night(p.shape, exposures, rng)
            ranks, rank = test.night(p[of, number], z[of, number], find, width=width, alpha=alpha)
            smallest += ranks.values()
            whole.append(rank)
        return cls(test.by_look, smallest, whole)

    def night(
        self, p: NDArray[np.float64], z: NDArray[np.float32], find: Find, *, width: float, alpha: float
    ) -> tuple[dict[int, float], float]:
        """Group the exposures (n,) of a night one by one.

        Return the smallest rank of each regime by its number, and that of the whole sample.
        """
        labels, highest, smallest, whole = np.empty(0, dtype=np.int64), -1, dict[int, float](), 1.0
        for n in range(1, len(p) + 1):
            before = np.append(labels, -1)
            novel = is_novel(p[:n], alpha).astype(int)
            labels = grouped(find, z[:n], before, novel, width=width, highest=highest)[0].labels
            highest = max(highest, int(labels.max()))
            for number in np.unique(labels[(labels >= 0) & ((labels != before) | (labels == labels[-1]))]):
                rank = self.rank(p[:n][labels == number])
                smallest[int(number)] = min(rank, smallest.get(int(number), 1.0))
            largest = components(z[:n], labels, width).largest(labels)
            if largest.sum() >= LEAST_OF_SAMPLE:
                whole = min(self.rank(p[:n][largest]), whole)
        return smallest, whole

    def rank(self, p: Sequence[float] | NDArray[np.float64]) -> float:
        """Return the smallest rank over looks of a regime with these p-values, in the order they were taken."""
        first = -np.log(np.maximum(p, np.finfo(float).tiny)[:LOOKS])
        evidence = np.cumsum(first) / np.arange(1, len(first) + 1)
        n = self.by_look.shape[1]
        stranger = [n - np.searchsorted(row, value) for row, value in zip(self.by_look, evidence, strict=False)]
        return float((1 + min(stranger, default=n)) / (1 + n))

    def p(self, rank: float) -> float:
        """Return the p-value of a regime with this smallest rank."""
        return _lower(self.smallest, rank)

    def p_of_sample(self, rank: float) -> float:
        """Return the p-value of a sample whose largest component has this smallest rank."""
        return _lower(self.whole, rank)


def _lower(ranks: NDArray[np.float64], rank: float) -> float:
    return float(1 + np.searchsorted(ranks, rank, "right")) / (1 + ranks.size)


def night(shape: tuple[int, ...], exposures: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Draw the exposures of a night: the regime of each, (m,), and its number within the regime, (m,).

    There are one to six regimes out of ``shape[0]``, with uneven shares and at most ``shape[1]`` exposures each.

    Examples
    --------
    >>> regimes, numbers = night((6, 20), 10, np.random.default_rng(0))
    >>> [sorted(numbers[regimes == regime].tolist()) for regime in np.unique(regimes)]  # none is drawn twice
    [[0, 1], [0], [0, 1], [0, 1, 2, 3, 4]]
    """
    n = int(rng.integers(1, 7))
    which = rng.choice(shape[0], n, replace=False)
    of = rng.choice(n, exposures, p=rng.dirichlet(np.full(n, 2.0)))
    number = np.array([(of[:i] == kind).sum() for i, kind in enumerate(of)])
    kept = number < shape[1]
    return which[of[kept]], number[kept]


class Discoveries:
    """Discoveries as results arrive: each new regime once, with the p-value that decided.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=(400, LOOKS))  # of exposures of known kinds
    >>> evidence = np.cumsum(-np.log(p), axis=1) / np.arange(1, LOOKS + 1)
    >>> test = RegimeTest(evidence.T, rng.uniform(size=400), rng.uniform(size=400))
    >>> discoveries = Discoveries(test, alpha=0.1)
    >>> discoveries.update({0: [0.4, 0.6]}), [*discoveries.update({0: [0.4], 1: [1e-4, 1e-4]})]  # regime 1 is new
    ({}, [1])
    >>> discoveries.update({1: [1e-4, 1e-4, 1e-4]})  # regime 1 was reported before
    {}
    """

    def __init__(self, test: RegimeTest, alpha: float) -> None:
        self._test, self.alpha = test, alpha
        self._of_regimes, self._of_sample = (1 - OF_SAMPLE) * alpha, OF_SAMPLE * alpha
        self._smallest: dict[int, float] = {}
        self._smallest_of_sample = 1.0
        self.p_values: dict[int, float] = {}  # p-value of each discovery, by regime number

    def update(self, p_values: Mapping[int, Sequence[float]]) -> dict[int, float]:
        """Return the p-values of new discoveries, by number, given those of the exposures in the order they were taken.

        Regimes without p-values, and earlier discoveries, are skipped.
        """
        new = {}
        for number, p in p_values.items():
            if not len(p) or number in self.p_values:
                continue
            self._smallest[number] = min(self._test.rank(p), self._smallest.get(number, 1.0))
            of_regime = self._test.p(self._smallest[number])
            if of_regime <= self._of_regimes * share(number):
                new[number] = of_regime
        self.p_values |= new
        return new

    def judge_sample(self, p: Sequence[float]) -> float | None:
        """Return the p-value of the whole sample if it is a discovery, given those of its largest component."""
        if len(p) < LEAST_OF_SAMPLE:
            return None
        self._smallest_of_sample = min(self._test.rank(p), self._smallest_of_sample)
        of_sample = self._test.p_of_sample(self._smallest_of_sample)
        return of_sample if of_sample <= self._of_sample else None

    def decides(self, number: int, p: Sequence[float]) -> bool:
        """Return whether one more exposure, the strangest possible, would make this regime a discovery."""
        strangest = float(np.exp(-self._test.by_look[0, -1]))
        return 0 < len(p) < LOOKS and self._test.p(self._test.rank([*p, strangest])) <= self._of_regimes * share(number)
