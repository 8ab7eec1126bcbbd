"""The word that the exposures of a regime share."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ainerd.results import ResultStore

if TYPE_CHECKING:
    Floats = NDArray[np.float64]

MOST_ALIKE = 0.6  # share of the results of a regime that have its word


def regime_kinds(
    regimes: ArrayLike,
    words: "Sequence[Any] | pd.Series[Any]",
    novel: ArrayLike,
    new: Collection[int] = (),
    components: Sequence[Sequence[int]] = (),
) -> dict[int, str]:
    """Return the word that the exposures of each regime share, by number, such as "steady" or "slows", or "new".

    A regime of which most results with a verdict are novel is new if it, or one without a gap to it, is claimed to be
    new; otherwise it has no word. Another regime has the word of at least two of its results, and of three in five.

    Parameters
    ----------
    regimes : array_like, shape (n,)
        Regime of each result; missing or negative for none.
    words : sequence of str or None, length n
        What the sample does in each result.
    novel : array_like, shape (n,)
        1 for novel, 0 for not novel, missing without a verdict.
    new : collection of int
        Regimes that are called new.
    components : sequence of sequence of int
        Regimes without a gap between them, which get one word.

    Examples
    --------
    >>> regime_kinds([0, 0, 1], ["slows", "slows", "flows"], [False, False, True], new=[1])
    {0: 'slows', 1: 'new'}
    """
    of = {regime: group[0] for group in components for regime in group}
    new = {of.get(regime, regime) for regime in new}
    known = pd.DataFrame({"regime": regimes, "word": words, "novel": np.asarray(novel, float)}).dropna()
    known, kinds = known[known["regime"] >= 0].astype({"regime": int}), dict[int, str]()
    for number, group in known.groupby(known["regime"].replace(of)):
        counts = group["word"].value_counts()
        shared = str(counts.index[0]) if counts.iloc[0] >= max(2, MOST_ALIKE * len(group)) else None
        for regime, of_regime in group.groupby("regime"):
            if of_regime["novel"].mean() > 0.5:
                kinds |= {int(str(regime)): "new"} if number in new else {}
            elif shared is not None:
                kinds[int(str(regime))] = shared
    return kinds


def kinds_of(store: ResultStore, new: Collection[int], components: Sequence[Sequence[int]]) -> dict[int, str]:
    """Return the words of the regimes of a store; empty if its technique has no words.

    `new` and `components` are as for `regime_kinds`.
    """
    table = store.table(all=True)
    if (words := table.get("dynamics")) is None:
        return {}
    novel = table["novel"].astype("Float64").to_numpy(float, na_value=np.nan)
    return regime_kinds(table["regime"].astype(float), words, novel, new, components)


def names_in_map(placed: "Floats", names: Sequence[str]) -> "dict[str, tuple[float, float]]":
    """Return where the name of each kind stands, above the middle of its landmarks, which are `placed` at (n, 2)."""
    groups = pd.DataFrame(placed).groupby(np.asarray(names))
    return {str(name): (float(of[0].median()), float(of[1].quantile(0.75))) for name, of in groups}


def principal_axes(points: NDArray[np.float64]) -> "tuple[Floats, Floats, Floats]":
    """Return the mean (d,), the first two principal directions (2, d) and their shares of the variance (2,) of (n, d).

    The largest component of each direction is positive, so that a picture does not flip.

    Examples
    --------
    >>> mean, directions, shares = principal_axes(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.1]], np.float32))
    >>> mean.round(2), shares.round(2)
    (array([2.  , 0.03], dtype=float32), array([1., 0.]))
    """
    n, d = points.shape if points.size else (0, 2)
    middle = points.mean(axis=0) if n else np.zeros(d)
    directions, share = np.eye(2, max(d, 2))[:, :d], np.zeros(2)
    if n > 1:
        _, weights, axes = np.linalg.svd(points - middle, full_matrices=False)
        kept = min(2, len(axes))
        largest = np.abs(axes[:kept]).argmax(axis=1)
        directions[:kept] = axes[:kept] * np.sign(axes[np.arange(kept), largest])[:, None]
        share[:kept] = weights[:kept] ** 2 / max((weights**2).sum(), np.finfo(float).tiny)
    return middle, directions, share
