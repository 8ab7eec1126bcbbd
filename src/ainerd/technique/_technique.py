"""Base classes of a technique and of its analysis of one run, and the classes that their methods return."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import new_class
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ainerd.technique._analysis import Analysis, AnalysisError, Common, Landmarks, NullRegimes, Regimes
from ainerd.technique._run import RunInfo, Unit


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that ``ainerd init`` asks; the answer goes into the TOML.

    Attributes
    ----------
    key : str
        Key in the technique's section, such as ``"width"`` or ``"size.inner"``.
    asked : str
        Text of the question, with the unit; also the comment of the key in the TOML.
    default : value of TOML or None
        Answer if the user enters nothing; None leaves the key out.
    example : value of TOML or None
        Value in a commented-out line of the TOML, if the key is left out.
    array : ndarray or None
        Array to save as a .npy file beside the TOML; the answer is the name of the file.
    """

    key: str
    asked: str
    default: Any = None
    example: Any = None
    array: NDArray[Any] | None = None


@dataclass(frozen=True)
class Finding:
    """Outcome of one check of ``ainerd doctor``.

    Attributes
    ----------
    what : str
        Subject of the check.
    said : str
        State of the subject.
    todo : str
        How to correct it; empty if there is nothing to correct.
    """

    what: str
    said: str
    todo: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to correct."""
        return not self.todo


class RunAnalysis:
    """Base class for the analysis of one unit (event, run or series) while its frames arrive.

    The methods `push` and `finish` and the attribute `pixels` are required. The other methods are optional: by default
    they do nothing.

    Attributes
    ----------
    pixels : ndarray of int64, shape (n_pixels,)
        Flat indices of the pixels that `push` needs; blocks are gathered in this order.
    every : int or None
        Interval of the frames that `whole` gets: 10 selects frames 9, 19, …; None selects no frame. It is read again
        while frames arrive, and may grow to a multiple of its value.
    """

    if TYPE_CHECKING:  # subclasses may use plain attributes as well

        @property
        def pixels(self) -> NDArray[np.int64]: ...

        @property
        def every(self) -> int | None: ...
    else:
        every = None

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames, (b, n_pixels) counts."""
        raise NotImplementedError

    def finish(self) -> Analysis:
        """Return the result; raise `AnalysisError` if the run cannot be analysed. Called after each run of a series."""
        raise NotImplementedError

    def next_run(self, run: RunInfo) -> None:
        """Continue a series with another run. Called before the first frame of that run."""

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take a whole frame, (ny, nx), in the dtype of the detector. Called after `push` of the block with this frame.

        `frame` is read-only. `number` counts the frames of the run (or event) from 0. Whole frames take longer to read
        than selected pixels; one frame in fifty makes no noticeable difference.
        """

    def so_far(self) -> NDArray[Any] | None:
        """Return a picture of the frames so far, (n, m), for the page of a campaign, or None.

        Both axes run from the start of the run to now. The method is called between two blocks of frames. It should
        return within tens of milliseconds, and must not change the analysis.
        """
        return None


class Technique:
    """Base class of a technique: how frames become results, and how results form regimes.

    The attributes and the methods `from_settings`, `begin` and `regimes` are required. The other methods are optional:
    by default they do nothing, and the agent works without them.

    Attributes
    ----------
    name : str
        Section of the TOML, and name of the entry points.
    unit : {"event", "run"} or Series
        Unit of one result.
    alpha : float
        A result is novel if its p-value is at most alpha.
    embedding_size : int
    regime_width : float or None
        Distance that the embeddings of two results of one regime seldom exceed; None if unknown.
    parameters : mapping
        Everything that changes the numbers of a result, JSON-serialisable. Its digest is part of the key of a result.
    """

    name: str
    unit: Unit
    alpha: float
    embedding_size: int
    regime_width: float | None

    if TYPE_CHECKING:  # a subclass may use a plain attribute as well

        @property
        def parameters(self) -> Mapping[str, Any]: ...

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build the technique from its own section of the TOML. Relative paths start at `folder`.

        Raises
        ------
        ValueError
            If the section is invalid. The message has one line for each problem, which names the key;
            `ainerd.config.read_section` raises such an error.
        """
        raise NotImplementedError

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Start the analysis of a run; raise `AnalysisError` if the run cannot be analysed."""
        raise NotImplementedError

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group results into regimes by their embeddings, (n, d); `ainerd.novelty.find_regimes` suits most techniques.

        `previous`, (n,), has the earlier regime of each result, or -1. A regime that persists keeps its number.
        """
        raise NotImplementedError

    def landmarks(self) -> Landmarks | None:
        """Return runs of known kinds, which fix the axes of pictures of the latent space. They must never change."""
        return None

    def null_regimes(self) -> NullRegimes | None:
        """Return simulated regimes of known kinds. The agent needs them to decide whether a regime is new.

        `ainerd.novelty.RegimeTest.calibrated` computes them. Without them (None) the agent never claims a new regime.
        """
        return None

    def warm_up(self) -> None:
        """Compile or load in advance everything that the first run needs.

        Called once, in a thread of its own, possibly during a run.
        """

    def check(self) -> Iterable[Finding]:
        """Check models, geometry and so on for ``ainerd check`` and ``ainerd doctor``; return one finding for each."""
        return ()

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw the parts of a frame that the technique uses in a matplotlib figure, for ``ainerd check --draw``.

        `frame` is a mean frame, (ny, nx), with NaN at pixels that the detector marks; None draws without a frame.
        Raises ValueError if the shape of the frame does not fit.
        """

    @classmethod
    def questions(cls, frame: NDArray[np.float64] | None = None) -> Generator[Question, Any, None]:
        """Yield the questions of ``ainerd init`` for the technique's section of the TOML; `frame` is as in `sketch`.

        The generator receives the answer to each question: a TOML value or None.
        """
        yield from ()

    def common(self) -> Common | None:
        """Return the data that all results with the same parameters share, such as the pixels of each bin.

        They are stored once, in ``ainerd/configurations``.
        """
        return None

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """Return a bluesky-adaptive `Optimizer`, or None to use `ainerd.steering.Explorer`.

        The optimizer must have `suggest` and `ingest`, and may have other methods of `Explorer`.
        """
        return None


_Base = TypeVar("_Base")
_REQUIRED: dict[type, set[str]] = {Technique: {"from_settings", "begin", "regimes"}, RunAnalysis: {"push", "finish"}}


@cache
def _defaults(base: type) -> type:
    """Return a class with the optional parts of `base`."""
    parts = {k: v for k, v in vars(base).items() if not k.startswith("_") and k not in _REQUIRED[base]}
    return type("Defaults", (), {"__slots__": (), **parts})


@cache
def complete_class(kind: type, base: type) -> Any:
    """Return `kind` if it inherits from `base`, otherwise a subclass of `kind` with the defaults of `base`."""
    if issubclass(kind, (base, _defaults(base))):
        return kind
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return new_class(kind.__name__, (kind, _defaults(base)), exec_body=lambda body: body.update(names, __slots__=()))


def complete(given: Any, base: type[_Base]) -> _Base:
    """Add the defaults of `base` to a technique or an analysis that does not inherit from `base`, and return it."""
    kind = complete_class(type(given), base)  # type: ignore[arg-type]  # mypy does not accept a class as hashable
    if kind is not type(given):
        object.__setattr__(given, "__class__", kind)
    return given


def provides(given: object, name: str) -> bool:
    """Return whether a technique or an analysis defines this part itself, and does not use the default."""
    defaults = {Technique, RunAnalysis, _defaults(Technique), _defaults(RunAnalysis)}
    if defaults.isdisjoint(type(given).__mro__):
        return hasattr(given, name)
    own = [vars(kind) for kind in type(given).__mro__ if kind not in defaults]
    return any(name in names for names in (getattr(given, "__dict__", {}), *own))


def begin(technique: Technique, run: RunInfo) -> RunAnalysis:
    """Start the analysis of a run, and add the defaults of `RunAnalysis` to it.

    Raises
    ------
    AnalysisError
        If the technique refuses the run, or returns nothing.
    """
    analysis = technique.begin(run)
    if analysis is None:
        raise AnalysisError(f"technique {technique.name}: begin() returned nothing")
    return complete(analysis, RunAnalysis)
