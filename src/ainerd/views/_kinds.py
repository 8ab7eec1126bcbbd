"""The known kind that each regime resembles."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

MOST_ALIKE = 0.6  # share of the results of a regime that name it


def regime_kinds(
    regimes: ArrayLike,
    nearest: "Sequence[Any] | pd.Series[Any]",
    novel: ArrayLike,
    new: Collection[int] = (),
    components: Sequence[Sequence[int]] = (),
) -> dict[int, str]:
    """Return the kind that each regime resembles, by number: "like stationary", or "new (nearest kind: stationary)".

    A regime of which most results with a verdict are novel is new if it, or one without a gap to it, is claimed to be
    new; otherwise it has no name. Another regime is like a known kind if at least two of its results, and three in
    five, are nearest to that kind.

    Parameters
    ----------
    regimes : array_like, shape (n,)
        Regime of each result; missing or negative for none.
    nearest : sequence of str or None, length n
        Known kind under which each result is most likely.
    novel : array_like, shape (n,)
        1 for novel, 0 for not novel, missing without a verdict.
    new : collection of int
        Regimes that are claimed to be new.
    components : sequence of sequence of int
        Regimes without a gap between them, which get one name.

    Examples
    --------
    >>> regime_kinds([0, 0, 1], ["ageing", "ageing", "flow"], [False, False, True], new=[1])
    {0: 'like ageing', 1: 'new (nearest kind: flow)'}
    """
    of = {regime: group[0] for group in components for regime in group}
    new = {of.get(regime, regime) for regime in new}
    known = pd.DataFrame({"regime": regimes, "kind": nearest, "novel": np.asarray(novel, float)}).dropna()
    known, kinds = known[known["regime"] >= 0].astype({"regime": int}), dict[int, str]()
    for number, group in known.groupby(known["regime"].replace(of)):
        counts = group["kind"].value_counts()
        alike = f"like {counts.index[0]}" if counts.iloc[0] >= max(2, MOST_ALIKE * len(group)) else None
        for regime, of_regime in group.groupby("regime"):
            if of_regime["novel"].mean() > 0.5:
                kinds |= {int(str(regime)): f"new (nearest kind: {counts.index[0]})"} if number in new else {}
            elif alike is not None:
                kinds[int(str(regime))] = alike
    return kinds
