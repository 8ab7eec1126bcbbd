"""Base classes of a technique and of its analysis of one run, and the classes that their methods return."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import new_class
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ainerd.technique._analysis import Analysis, AnalysisError, Common, Landmarks, Layout, NullRegimes, Regimes
from ainerd.technique._run import RunInfo, Unit


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that ``ainerd init`` asks; the answer goes into the TOML.

    Attributes
    ----------
    key : str
        Key in the technique's section, such as ``"width"`` or ``"size.inner"``.
    asked : str
        Text of the question, with the unit; it is also written as a comment.
    default : value of TOML or None
        Answer if the user gives none; None leaves the key out.
    example : value of TOML or None
        Value that is written behind a # if the key is left out.
    array : ndarray or None
        Saved as a .npy file beside the TOML, under the name that the user gives.
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
        Its state.
    todo : str
        How to correct it; empty if it is correct.
    """

    what: str
    said: str
    todo: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to correct."""
        return not self.todo


class RunAnalysis:
    """Analysis of one run (event, series) while its frames arrive.

    `push` and `finish` are required, and the attributes `pixels` and `layouts`. The other methods are optional: by
    default they do nothing.

    Attributes
    ----------
    pixels : ndarray of int64, shape (n_pixels,)
        Flat indices of the pixels that `push` needs; blocks are gathered in this order.
    layouts : mapping of str to Layout
        Arrays that `finish` will return, as far as they are known: space is reserved for them while frames arrive.
    every : int or None
        `whole` gets the last of every so many frames: with 10 numbers 9, 19, …; None: no frame. It is read again as
        frames arrive, and may grow to a multiple of its value.
    """

    if TYPE_CHECKING:  # subclasses may use plain attributes as well

        @property
        def pixels(self) -> NDArray[np.int64]: ...

        @property
        def layouts(self) -> Mapping[str, Layout]: ...

        @property
        def every(self) -> int | None: ...
    else:
        every = None

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames, (b, n_pixels) counts."""
        raise NotImplementedError

    def finish(self) -> Analysis:
        """Return the result; raises `AnalysisError` if there is none. Called after each run of a series."""
        raise NotImplementedError

    def next_run(self, run: RunInfo) -> None:
        """Continue a series with another run; called before its frames."""

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take one of the whole frames, (ny, nx), in the dtype of the detector, after the block that contains it.

        Whole frames cost more than pixels do: one in fifty is not noticed. `frame` is read-only, `number` counts the
        frames of the run (the event) from 0.
        """

    def so_far(self) -> NDArray[Any] | None:
        """Return a picture of the frames so far, (n, m), for the page of a campaign; None if there is none.

        Both axes run from the start of the run to now. The method is called between two blocks of frames: it should
        take tens of milliseconds, and must change nothing.
        """
        return None


class Technique:
    """Base class of a technique: how frames become results, and how results form regimes.

    `from_settings`, `begin` and `regimes` are required, and the attributes. The other methods are optional: by default
    they do nothing, and the agent goes without them.

    Attributes
    ----------
    name : str
        Section of the TOML, and name of the entry points.
    unit : {"event", "run"} or Series
        Unit of one result.
    alpha : float
        Level at which a result is novel.
    embedding_size : int
    regime_width : float or None
        Distance of embeddings that two results of one regime seldom exceed; None if unknown.
    parameters : mapping
        Everything that changes the numbers, JSON-serialisable; its digest is part of every result's key.
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
        """Build the technique from its own section of the TOML; relative paths start at `folder`.

        Raises
        ------
        ValueError
            With one line for each problem, which names the key; `ainerd.config.read_section` does that.
        """
        raise NotImplementedError

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Start the analysis of a run. Raises `AnalysisError` if it cannot be analysed."""
        raise NotImplementedError

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group results into regimes by their embeddings, (n, d); `ainerd.novelty.find_regimes` suits most techniques.

        A regime that persists keeps its number in `previous`, (n,), which is -1 where a result has none yet.
        """
        raise NotImplementedError

    def landmarks(self) -> Landmarks | None:
        """Return runs of known kinds, always the same ones: they fix the axes of pictures of the latent space."""
        return None

    def null_regimes(self) -> NullRegimes | None:
        """Return simulated regimes of known kinds, from which the agent computes whether a whole regime is new.

        `ainerd.novelty.RegimeTest.calibrated` computes them. With None the agent makes no claims.
        """
        return None

    def warm_up(self) -> None:
        """Compile or load what the first run needs; called once, in its own thread, possibly beside a run."""

    def check(self) -> Iterable[Finding]:
        """Check models, geometry and the like for ``ainerd check`` and ``ainerd doctor``; one finding for each."""
        return ()

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw in a matplotlib figure which parts of a frame are used, for ``ainerd check --draw``.

        `frame` is a mean frame (ny, nx), NaN at pixels that the detector itself marks; None draws without one.
        Raises ValueError if the frame does not fit.
        """

    @classmethod
    def questions(cls, frame: NDArray[np.float64] | None = None) -> Generator[Question, Any, None]:
        """Yield what ``ainerd init`` asks for the technique's section of the TOML; `frame` is as in `sketch`.

        Each question receives its answer, a value of TOML or None.
        """
        yield from ()

    def common(self) -> Common | None:
        """Return data that all results of the same parameters share, such as the pixels of bins.

        They are written once, under ``ainerd/configurations``.
        """
        return None

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """Return a bluesky-adaptive `Optimizer` to use instead of `ainerd.steering.Explorer`; None for the latter.

        It has `suggest` and `ingest`, and may have other methods of `Explorer`.
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
    """Return `kind` itself if it inherits from `base`, otherwise a subclass of it with the defaults of `base`."""
    if issubclass(kind, (base, _defaults(base))):
        return kind
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return new_class(kind.__name__, (kind, _defaults(base)), exec_body=lambda body: body.update(names, __slots__=()))


def complete(given: Any, base: type[_Base]) -> _Base:
    """Give a technique or an analysis that does not inherit from its `base` the defaults of `base`, and return it."""
    kind = complete_class(type(given), base)  # type: ignore[arg-type]  # mypy does not accept a class as hashable
    if kind is not type(given):
        object.__setattr__(given, "__class__", kind)
    return given


def provides(given: object, name: str) -> bool:
    """Return whether a technique or an analysis has this part of its own, not as a default of its base class."""
    defaults = {Technique, RunAnalysis, _defaults(Technique), _defaults(RunAnalysis)}
    if defaults.isdisjoint(type(given).__mro__):
        return hasattr(given, name)
    own = [vars(kind) for kind in type(given).__mro__ if kind not in defaults]
    return any(name in names for names in (getattr(given, "__dict__", {}), *own))


def begin(technique: Technique, run: RunInfo) -> RunAnalysis:
    """Start a technique's analysis of a run, completed by the defaults of `RunAnalysis`.

    Raises
    ------
    AnalysisError
        If the technique refuses the run, or returns nothing.
    """
    analysis = technique.begin(run)
    if analysis is None:
        raise AnalysisError(f"technique {technique.name}: begin() returned nothing")
    return complete(analysis, RunAnalysis)
