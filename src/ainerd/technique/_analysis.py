"""Results that a technique returns, for one run and for many runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


class AnalysisError(Exception):
    """Raised if a run cannot be analysed; the message becomes the reason of the result."""


def _check_array(what: str, dtype: Any, shape: tuple[int, ...], dims: tuple[str, ...] | None) -> None:
    if np.dtype(dtype).kind in "OV":
        raise ValueError(f"{what} must be of numbers or text, got {dtype}")
    if any(n < 0 for n in shape):
        raise ValueError(f"{what} must have a shape of numbers from 0 on, got {shape}")
    if dims is not None and (isinstance(dims, str) or len(set(dims)) != len(shape)):
        raise ValueError(f"{what} has shape {shape}, its dims must be as many different names: {dims!r}")


def is_novel(p: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Return whether p-values are at most alpha; NaN is not novel. No other code compares p-values with alpha."""
    return np.less_equal(p, alpha)


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Result of a technique for one run, event or series.

    Attributes
    ----------
    embedding : ndarray, shape (d,), float32
        Point of the latent space, from which regimes and suggestions are computed.
    novelty_p : float or None
        Conformal p-value of the run, compared with the fixed bank; None without a verdict.
    arrays : mapping of str to ndarray
        Arrays to store, by name.
    dims : mapping of str to tuple of str
        Names of the dimensions of each array.
    tables : mapping of str to mapping of str to ndarray
        Tables to store, each with columns (n,) by name. A reader gets a whole table with one request.
    summary : mapping of str to number or str
        Numbers and texts by which people can filter results. `units` has the units of the numbers.
    units : mapping of str to str
        Units of the numbers in `summary`, of the arrays and of the columns of tables.
    model, calibration : mapping
        Encoder and bank behind the verdict: {name, sha256} and {id, n, alpha}.
    status : {"complete", "partial"}
        Partial if the run had fewer frames than announced, or announced no number of frames; the result is usable.

    Raises
    ------
    ValueError
        If an array or a table cannot be stored because of its name, dtype or dimensions.
    """

    embedding: NDArray[np.float32]
    novelty_p: float | None
    arrays: Mapping[str, NDArray[Any]]
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    summary: Mapping[str, float | int | str | None] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["complete", "partial"] = "complete"

    def __post_init__(self) -> None:
        for name in (*self.arrays, *self.tables):
            if not name or set(name) & set("./"):
                raise ValueError(f"the name of an array or a table, {name!r}, is empty or has a dot or a slash")
        for name, array in self.arrays.items():
            _check_array(f"arrays[{name!r}]", np.asarray(array).dtype, np.shape(array), self.dims.get(name))
        for name, columns in self.tables.items():
            if name in self.arrays:
                raise ValueError(f"{name!r} is an array and a table: give one of them another name")
            shapes = {column: np.shape(values) for column, values in columns.items()}
            if not shapes or len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 1:
                raise ValueError(f"tables[{name!r}] must hold columns of one dimension and length, got {shapes}")
            for column, values in columns.items():
                _check_array(f"tables[{name!r}][{column!r}]", np.asarray(values).dtype, np.shape(values), None)

    @property
    def novel(self) -> bool | None:
        """Whether ``novelty_p <= calibration["alpha"]``, see `is_novel`; None without a p-value.

        Raises
        ------
        ValueError
            If there is a p-value but no alpha.
        """
        if self.novelty_p is None:
            return None
        if self.calibration.get("alpha") is None:
            raise ValueError("calibration has no 'alpha': say at which novelty_p a run counts as novel")
        return bool(is_novel(self.novelty_p, self.calibration["alpha"]))


@dataclass(frozen=True, kw_only=True)
class Regimes:
    """Regimes of many results.

    Attributes
    ----------
    labels : ndarray of int, shape (n,)
        Regime of each result; -1 if unassigned.
    n_regimes : int
        Number of regimes.
    supported_range : tuple of int
        Smallest and largest number of regimes that the data support.
    predict : callable
        Returns the regimes of further results from their embeddings, (m, d), without a refit; -1 if unassigned.
    """

    labels: NDArray[np.int64]
    n_regimes: int
    supported_range: tuple[int, int]
    predict: Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Runs of known kinds, for orientation in pictures of the latent space.

    Attributes
    ----------
    embeddings : ndarray, shape (n, d), float32
        Must not change for a technique, so that the axes that they fix never rotate.
    names : list of str
        Name of the kind of each run.
    """

    embeddings: NDArray[np.float32]
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class NullRegimes:
    """Simulated regimes of known kinds, analysed and grouped as an agent with this technique would do.

    Attributes
    ----------
    by_look : ndarray, shape (6, n)
        Evidence of n regimes: the mean of -log p over their first one, two, … exposures.
    smallest : ndarray, shape (m,)
        For m regimes of simulated nights, the smallest rank of the evidence among `by_look`.
    """

    by_look: NDArray[np.float64]
    smallest: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Data that all results of the same parameters share.

    Attributes
    ----------
    instrument : mapping of str to number or str
        Numbers of the instrument, such as ``distance_m``.
    arrays : mapping of str to ndarray
    dims : mapping of str to tuple of str
    units : mapping of str to str
        Units of the arrays.
    """

    instrument: Mapping[str, float | int | str | None] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
