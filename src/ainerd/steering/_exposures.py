"""The exposures of a campaign: one table, in the order of arrival."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.steering._stability import Stability
from ainerd.technique import is_novel


class Exposures:
    """A row for each result, in the order of arrival; one object for each would take a kilobyte.

    Parameters
    ----------
    names : sequence of str
        Actuators.
    size : int
        Length of an embedding.
    alpha : float
        An exposure without a verdict is novel if its p-value is at most alpha.

    Attributes
    ----------
    own_level : float or None
        Level at which ``own_p`` is novel; None while the verdicts of the technique count.
    stability : Stability
        Regimes of the last exposures.

    Examples
    --------
    >>> exposures = Exposures(["sample_x"], size=2)
    >>> exposures.add("a result", {"sample_x": 3.0}, [0.5, 0.1], p=0.01)
    >>> exposures["position"], exposures.novel
    (array([[3.]]), array([ True]))
    """

    def __init__(self, names: Sequence[str], size: int = 0, alpha: float = 0.05) -> None:
        self._names, self._alpha, self.stability = tuple(names), alpha, Stability()
        self.own_level: float | None = None
        self._row: dict[str, int] = {}
        self._suggestions: list[str] = []
        fields = [
            ("position", float, (len(self._names),)),  # in the units of the knobs; NaN where it is unknown
            ("embedding", np.float32, (size,)),
            ("p", float),  # NaN without a p-value
            ("own_p", float),
            ("verdict", np.int8),  # of the technique: 1 novel, 0 not, -1 no claim
            ("regime", np.int64),  # -1: none
            ("measured", bool),  # the others have failed
            ("of_another", bool),  # whether another agent wrote the result
            ("left_out", bool),  # whether a person left it out
            ("former", np.int64),  # its regime before
        ]
        self._table = np.zeros(16, np.dtype(fields))

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column (n, …)."""
        return self._table[column][: len(self)]

    def row(self, key: str) -> int:
        """Return the number of the row of a result; KeyError if it is unknown."""
        return self._row[key]

    def regime(self, key: str) -> int:
        """Return the regime of a result; -1 without one."""
        return int(self["regime"][self._row[key]])

    def is_measured(self, key: str) -> bool:
        """Return whether a result is known that has not failed."""
        return key in self._row and bool(self["measured"][self._row[key]])

    def add(
        self,
        key: str,
        position: Mapping[str, float],
        embedding: ArrayLike | None,
        *,
        suggestion: str = "",
        p: float | None = None,
        novel: bool | None = None,
        own_p: float | None = None,
        regime: int = -1,
    ) -> None:
        """Add a result; a known one keeps its place and its regime. A failed one has no embedding."""
        if (row := self._row.get(key)) is None:
            row = self._row[key] = len(self._row)
            self._suggestions.append(suggestion)
            if row == len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table["regime"][row] = regime
        values = {
            "position": [position.get(name, math.nan) for name in self._names],
            "embedding": math.nan if embedding is None else embedding,
            "p": math.nan if p is None else p,
            "own_p": math.nan if own_p is None else own_p,
            "verdict": -1 if novel is None else int(novel),
            "measured": embedding is not None,
        }
        for name, value in values.items():
            self._table[name][row] = value

    def give(self, key: str, **values: ArrayLike) -> None:
        """Set values of a known result."""
        for name, value in values.items():
            self._table[name][self._row[key]] = value

    def leave_out(self, keys: Collection[str]) -> bool:
        """Leave out these results and no others; return whether this changes anything."""
        now, regime, former = np.array([key in keys for key in self._row], bool), self["regime"], self["former"]
        out, back = now & ~self["left_out"], self["left_out"] & ~now
        former[out], regime[back] = regime[out], former[back]
        regime[now] = -1
        self["left_out"][:] = now
        return bool(out.any() or back.any())

    def suggestion(self, row: int) -> str:
        """Return the suggestion of a row; the key for an exposure that nobody suggested."""
        return self._suggestions[row]

    def keys(self, rows: ArrayLike) -> list[str]:
        """Return the keys of some rows, by number or mask."""
        return np.array([*self._row, None], object)[:-1][rows].tolist()  # type: ignore[no-any-return, index]

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Whether the position is known, (n,)."""
        return np.asarray(np.isfinite(self["position"]).all(1))

    @property
    def used(self) -> NDArray[np.bool_]:
        """Whether the exposure was measured, and no person left it out, (n,)."""
        return np.asarray(self["measured"] & ~self["left_out"])

    @property
    def n_failed(self) -> int:
        """Number of failed exposures at known positions."""
        return int((self.placed & ~self["measured"]).sum())

    @property
    def novel(self) -> NDArray[np.bool_]:
        """Whether the exposure counts as novel now, (n,)."""
        if self.own_level is not None:
            return is_novel(self["own_p"], self.own_level)
        is_claimed = np.where(self["verdict"] < 0, is_novel(self["p"], self._alpha), self["verdict"] == 1)
        return np.asarray(is_claimed & ~np.isnan(self["p"]))

    @property
    def p_value(self) -> NDArray[np.float64]:
        """The p-value behind `novel`, (n,)."""
        return self["p"] if self.own_level is None else self["own_p"]

    def most_novel(self) -> list[tuple[str, dict[str, float], float]]:
        """Return suggestion, position by name and p-value of the novel exposures, the most novel first.

        An exposure that nobody suggested, or the second one of a suggestion, has its key in place of the suggestion.
        """
        chosen = np.flatnonzero(self.novel & self.placed & self.used)
        chosen = chosen[np.argsort(self.p_value[chosen], kind="stable")]
        first = {id: row for row, id in reversed([*enumerate(self._suggestions)])}
        of = {row: id for id, row in first.items() if id}
        ids = [of.get(row, key) for row, key in zip(chosen.tolist(), self.keys(chosen), strict=True)]
        positions, p = self["position"][chosen].tolist(), self.p_value[chosen].tolist()
        return [(id, dict(zip(self._names, x, strict=True)), one) for id, x, one in zip(ids, positions, p, strict=True)]

    def settle(self) -> None:
        """Record the regimes as they are after a result."""
        rows = np.flatnonzero(self.used & self.placed)
        self.stability.record(self["regime"][rows], rows)
