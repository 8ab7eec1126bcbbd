"""The one seam: what an agent asks of a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many runs into regimes. The agent
knows this protocol and nothing of C2 or any other quantity behind it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray


class AnalysisError(Exception):
    """The run cannot be analysed; the message says why and becomes the result's reason."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What is known of a run before its first frame.

    Attributes
    ----------
    raw_uid : str
        Uid of the run's start document.
    n_frames : int
        Frames announced.
    frame_shape : tuple of int
        (ny, nx).
    frame_time_s : float
        Time from one frame to the next, in seconds.
    """

    raw_uid: str
    n_frames: int
    frame_shape: tuple[int, int]
    frame_time_s: float


@dataclass(frozen=True)
class Layout:
    """Form of an array before its numbers are there.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        Of numpy, such as ``float32``.
    dims : tuple of str or None
        Names of the dimensions.
    """

    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...] | None = None

    @classmethod
    def of(cls, array: NDArray[Any], dims: tuple[str, ...] | None = None) -> Self:
        """The form of an array."""
        return cls(array.shape, str(array.dtype), dims)


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What a technique says of one run.

    Attributes
    ----------
    embedding : ndarray, shape (d,), float32
        The run as one point of the latent space: what steering and regimes see.
    novelty_p : float or None
        Conformal p-value of the run against the frozen bank; None where the bank makes no claim.
    arrays : mapping of str to ndarray
        Everything worth keeping, by name.
    dims : mapping of str to tuple of str
        Names of the dimensions of each array.
    summary : mapping of str to number or str
        Technique's own numbers a person may filter on; units in `units`.
    units : mapping of str to str
        Units of the numbers in `summary` and of the arrays.
    model, calibration : mapping
        Which encoder and which bank said so: {name, sha256} and {id, n, alpha}.
    """

    embedding: NDArray[np.float32]
    novelty_p: float | None
    arrays: Mapping[str, NDArray[Any]]
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    summary: Mapping[str, float | int | str | None] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Regimes:
    """The regimes of many runs.

    Attributes
    ----------
    labels : ndarray of int, shape (n,)
        Regime of each run; -1 is unassigned.
    n_regimes : int
        How many there are.
    supported_range : tuple of int
        Fewest and most regimes the data speak for.
    predict : callable
        Regime of each of more runs, from their embeddings (m, d), without a refit; -1 for one that is like none.
    """

    labels: NDArray[np.int64]
    n_regimes: int
    supported_range: tuple[int, int]
    predict: Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Runs of known kinds: where a person who looks at the latent space finds their way.

    Attributes
    ----------
    embeddings : ndarray, shape (n, d), float32
        Always the same for one technique, so that axes drawn through them never turn.
    names : list of str
        What each is called.
    """

    embeddings: NDArray[np.float32]
    names: list[str]


class RunAnalysis(Protocol):
    """One run being analysed while its frames arrive."""

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the pixels wanted of each frame; blocks come gathered in this order."""
        ...

    @property
    def layouts(self) -> Mapping[str, Layout]:
        """Arrays that `finish` will give, as far as is known: room is made for them while frames come."""
        ...

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames, (b, n_pixels) counts."""
        ...

    def finish(self) -> Analysis:
        """Say what the run was. Raises `AnalysisError` if that cannot be said."""
        ...


class Technique(Protocol):
    """What an agent is built around."""

    name: str
    alpha: float
    embedding_size: int
    regime_width: float  # distance of embeddings that two runs of one regime seldom exceed

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the numbers, JSON-serialisable; its digest is part of every result's key."""
        ...

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Prepare for a run. Raises `AnalysisError` if it cannot be analysed."""
        ...

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Regimes of many runs, (n, d).

        A regime that persists keeps the number it has in `previous`, (n,), -1 where a run has none yet.
        """
        ...

    def landmarks(self) -> Landmarks:
        """Runs of known kinds, for pictures of the latent space."""
        ...

    def reconstruct(self, latent: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the array ``latent`` of a result holds of its ``c2``, (n_roi, t, t)."""
        ...
