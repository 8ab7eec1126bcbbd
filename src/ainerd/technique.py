"""The one seam: what an agent asks of a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many results into regimes. The agent
knows this protocol, and nothing of what a technique computes. Installed techniques are found by entry points:

===================== ==============================================================================================
group                 what the entry, named as the technique, points to
===================== ==============================================================================================
``ainerd.techniques`` the class, a `Technique`
``ainerd.panels``     a module with what it draws, see `Panels`; importing it needs no more than a light install
``ainerd.commands``   a `typer.Typer`, which becomes ``ainerd <name> …``
===================== ==============================================================================================
"""

import difflib
import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class AnalysisError(Exception):
    """The run cannot be analysed; the message says why and becomes the result's reason."""


class TechniqueError(ValueError):
    """There is no such technique, or it cannot be loaded; the message says which there are."""


@dataclass(frozen=True)
class Series:
    """Unit of a technique whose result grows over several runs: those with one value of a key of the start document.

    A run without the key is a series of its own. The plan closes a series with ``{f"{key}_ends": True}`` in the start
    document of its last run; a person does with ``agent.close_series(value)``.

    Attributes
    ----------
    key : str
        Such as ``"ramp"``: ``RE(scan(…), ramp="cooling 1")``.
    """

    key: str


Unit = Literal["event", "run"] | Series


class Readings(Protocol):
    """What was read and recorded beside the frames, as far as documents have come: ask again after each block.

    Keys are data keys of the documents, such as ``sample_x``.
    """

    def value(self, key: str) -> float | None:
        """First value in the run (of its event, where the unit is the event); None if it was not read."""

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Value at each frame that was pushed, (n_frames,), NaN where there is none.

        Of what is read with each frame it is that frame's; of what was read once, the same for all.
        """

    def series(self, key: str) -> NDArray[np.float64]:
        """Times (seconds since 1970) and values, (2, n), by time."""


class NoReadings:
    """`Readings` of frames that came without documents."""

    value = staticmethod(lambda key: None)
    of_frames = staticmethod(lambda key: np.empty(0))
    series = staticmethod(lambda key: np.empty((2, 0)))


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What is known of a run (or event, or the first run of a series) before its first frame.

    Attributes
    ----------
    raw_uid : str
        Uid of the run's start document.
    n_frames : int or None
        Frames to expect: by the detector's configuration, or by ``num_points`` of the start document. None: as many as
        come.
    frame_shape : tuple of int
        (ny, nx).
    frame_time_s : float or None
        Time from one frame to the next, in seconds; None where the detector does not say.
    start : mapping
        The start document.
    event : int or None
        Number of the event in the run, from 1, where the unit is the event.
    readings : Readings
        Grows while frames come.
    """

    raw_uid: str
    n_frames: int | None
    frame_shape: tuple[int, int]
    frame_time_s: float | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    event: int | None = None
    readings: Readings = field(default_factory=NoReadings)


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

    def __post_init__(self) -> None:
        _check_array("layout", self.dtype, self.shape, self.dims)

    @classmethod
    def of(cls, array: NDArray[Any], dims: tuple[str, ...] | None = None) -> Self:
        """The form of an array."""
        return cls(array.shape, str(array.dtype), dims)


def _check_array(what: str, dtype: Any, shape: tuple[int, ...], dims: tuple[str, ...] | None) -> None:
    if np.dtype(dtype).kind in "OV":
        raise ValueError(f"{what} must be of numbers or text, got {dtype}")
    if any(n < 0 for n in shape):
        raise ValueError(f"{what} must have a shape of numbers from 0 on, got {shape}")
    if dims is not None and (isinstance(dims, str) or len(set(dims)) != len(shape)):
        raise ValueError(f"{what} has shape {shape}, its dims must be as many different names: {dims!r}")


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What a technique says of one run, event or series.

    Attributes
    ----------
    embedding : ndarray, shape (d,), float32
        One point of the latent space: what steering and regimes see.
    novelty_p : float or None
        Conformal p-value of the run against the frozen bank; None where the bank makes no claim.
    arrays : mapping of str to ndarray
        Everything worth keeping, by name.
    dims : mapping of str to tuple of str
        Names of the dimensions of each array.
    tables : mapping of str to mapping of str to ndarray
        Tables, each of columns (n,) by name: many numbers of the same things, which one request reads.
    summary : mapping of str to number or str
        Technique's own numbers a person may filter on; units in `units`.
    units : mapping of str to str
        Units of the numbers in `summary`, of the arrays and of the columns of tables.
    model, calibration : mapping
        Which encoder and which bank said so: {name, sha256} and {id, n, alpha}.
    status : {"complete", "partial"}
        Partial: of fewer frames than were announced, or of a run that announced none; usable.

    Raises
    ------
    ValueError
        If an array or a table has a name, a dtype or dimensions with which it cannot be kept.
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
        """Whether ``novelty_p <= calibration["alpha"]``: decided here and nowhere else. None without a claim.

        Raises
        ------
        ValueError
            If there is a p-value and no alpha.
        """
        if self.novelty_p is None:
            return None
        if self.calibration.get("alpha") is None:
            raise ValueError("calibration has no 'alpha': say at which novelty_p a run counts as novel")
        return bool(self.novelty_p <= self.calibration["alpha"])


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
    """One run (event, series) being analysed while its frames arrive.

    Of a series, `next_run(run: RunInfo)`, where there is such a method, is called before the frames of each further
    run, and `finish` after each run.
    """

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the pixels wanted of each frame; blocks come gathered in this order."""

    @property
    def layouts(self) -> Mapping[str, Layout]:
        """Arrays that `finish` will give, as far as is known: room is made for them while frames come."""

    def push(self, block: NDArray[Any]) -> None:
        """Take the next frames, (b, n_pixels) counts."""

    def finish(self) -> Analysis:
        """Say what the run was. Raises `AnalysisError` if that cannot be said."""


class Technique(Protocol):
    """What an agent is built around; see also the optional protocols below."""

    name: str
    unit: Unit  # what one result is of
    alpha: float  # level at which a result is called novel
    embedding_size: int
    regime_width: float | None  # distance of embeddings that two results of one regime seldom exceed; None: not known

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build it from its own section of the TOML; relative paths count from `folder`.

        Raises
        ------
        ValueError
            In one line a problem, each naming its key; `ainerd.config.read_section` does that.
        """

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the numbers, JSON-serialisable; its digest is part of every result's key."""

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Prepare for a run. Raises `AnalysisError` if it cannot be analysed."""

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Regimes of many results, (n, d); `ainerd.novelty.find_regimes` does for most.

        A regime that persists keeps the number it has in `previous`, (n,), -1 where a result has none yet.
        """


# What a technique may have as well. What it does not have is not drawn, not checked and not kept.


@runtime_checkable
class SeesWholeFrames(Protocol):
    """An analysis of a run that sees some of the frames whole, beside its pixels of all: for a mean frame, say.

    They cost more than the pixels do: one in fifty is not noticed. An analysis without `whole` is given none.
    """

    @property
    def every(self) -> int | None:
        """Of so many frames the last is wanted: with 10 numbers 9, 19, …; None: none.

        It is asked again as frames come, and may grow to a multiple of what it was.
        """

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take a frame, (ny, nx), in the dtype of the detector, not to be changed, after the block that holds it.

        `number` counts frames of the run (the event) that goes on, from 0.
        """


@runtime_checkable
class ShowsProgress(Protocol):
    """An analysis of a run that can be looked at while frames come, on the page of a campaign."""

    def so_far(self) -> NDArray[Any] | None:
        """One picture of what has come, (n, m), axes from the start of the run to now; None while there is none.

        It changes nothing, and takes tens of milliseconds: it is asked for between two blocks of frames.
        """


@runtime_checkable
class HasLandmarks(Protocol):
    """Knows runs of known kinds, which fix the axes of pictures of the latent space."""

    def landmarks(self) -> Landmarks:
        """The same ones each time."""


@runtime_checkable
class KnowsNullRegimes(Protocol):
    """Has simulated regimes of known kinds: then the agent says of a whole regime whether it is new."""

    def null_regimes(self) -> "NullRegimes | None":
        """What they say, as `ainerd.novelty.RegimeTest.calibrated` finds it; None where there is nothing to go by."""


@runtime_checkable
class WarmsUp(Protocol):
    """Compiles or loads something when it is first used, and can do so before the first run comes."""

    def warm_up(self) -> None:
        """Once, in a thread of its own: runs may be analysed meanwhile."""


@runtime_checkable
class HasChecks(Protocol):
    """Has something for ``ainerd check`` and ``ainerd doctor`` to look at: models, geometry."""

    def check(self) -> Iterable["Finding"]:
        """One finding for each thing that was looked at."""


@runtime_checkable
class HasSketch(Protocol):
    """Can draw what it wants of a frame, before there is a run."""

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw it in a matplotlib figure for ``ainerd check --draw``, on a mean frame (ny, nx) or an empty one.

        NaN are pixels that the detector marks itself. ValueError if the frame does not fit.
        """


@runtime_checkable
class HasQuestions(Protocol):
    """Has ``ainerd init`` ask for what belongs into its section of the TOML."""

    @classmethod
    def questions(cls, frame: NDArray[np.float64] | None = None) -> Generator["Question", Any, None]:
        """Questions in turn; each gives the answer, a value of TOML or None. `frame` is as for `HasSketch.sketch`."""


@runtime_checkable
class HasCommon(Protocol):
    """Has something in common to all results of the same parameters that is worth keeping: the pixels of bins, say."""

    def common(self) -> "Common":
        """Written once, under ``ainerd/configurations``."""


@runtime_checkable
class HasOptimizer(Protocol):
    """Chooses the next position by an optimizer of its own instead of `ainerd.steering.Explorer`."""

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """A bluesky-adaptive `Optimizer`: `suggest` and `ingest`, and what else of `Explorer` it has."""


@dataclass(frozen=True, kw_only=True)
class NullRegimes:
    """Simulated regimes of known kinds, as an agent that judges like the technique would have met them.

    Attributes
    ----------
    by_look : ndarray, shape (6, n)
        Evidence of n regimes, the mean of -log p of their exposures, after one, two, … exposures.
    smallest : ndarray, shape (m,)
        Smallest rank among these of m regimes of simulated nights.
    """

    by_look: NDArray[np.float64]
    smallest: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Common:
    """What all results of the same parameters have in common.

    Attributes
    ----------
    instrument : mapping of str to number or str
        Such as ``distance_m``.
    arrays : mapping of str to ndarray
    dims : mapping of str to tuple of str
    units : mapping of str to str
        Of the arrays.
    """

    instrument: Mapping[str, float | int | str | None] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing that ``ainerd init`` asks, and writes into the TOML.

    Attributes
    ----------
    key : str
        In the technique's section, such as ``"width"`` or ``"size.inner"``.
    asked : str
        What it is, with its unit; a comment in the file, too.
    default : value of TOML or None
        The answer of somebody who gives none; None: the key is left out.
    example : value of TOML or None
        What stands in the file, behind a #, where the key is left out.
    array : ndarray or None
        What is kept as a .npy beside the TOML, under the name that is answered.
    """

    key: str
    asked: str
    default: Any = None
    example: Any = None
    array: NDArray[Any] | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that ``ainerd doctor`` looked at.

    Attributes
    ----------
    what : str
    said : str
        How it is.
    todo : str
        What to do about it; empty if it is as it should be.
    """

    what: str
    said: str
    todo: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return not self.todo


class Panels(Protocol):
    """What a technique draws, a module or an object with any of these functions; one that is missing is not drawn.

    They get results as Tiled has them, and draw with matplotlib alone.
    """

    # Names of the arrays that {"gallery": …, "strip": …} want, by way of ``scene.arrays``: `gallery` gets those of the
    # newest run and the nearest, `strip` those of the newest 60.
    arrays: Mapping[str, Sequence[str]]
    # For pages in a browser: names of the numbers of a result that they show over time and in tables; the array that
    # makes a small picture, with its slice, as Tiled's address has it; and a script that draws a result on the page.
    quantities: Sequence[str]
    thumbnail: str
    view: Path

    def plot(self, result: Any, figure: Any) -> None:
        """One result, an `ainerd.results.AinerdResult`, in a matplotlib figure or part of one: ``result.plot()``."""

    def image(self, result: Any) -> NDArray[np.uint8]:
        """One result as a grey picture: ``result.image()``."""

    def gallery(self, figure: Any, scene: Any, runs: Any) -> None:
        """The newest run and what it is like, beside the map in the campaign's figure (`ainerd.views.Scene`)."""

    def strip(self, axes: Any, scene: Any, runs: Any) -> None:
        """Something of each run, a column each, under the novelty of the campaign's figure."""

    def sentences(self, summary: Mapping[str, Any]) -> list[str]:
        """What the numbers of a result mean, in words, for ``agent.explain()``."""

    def columns(self, summary: Mapping[str, Any], units: Mapping[str, str]) -> Mapping[str, str]:
        """What the table of results shows of one, as text by heading: ``{"tau (s)": "1.2 ± 0.1"}``."""

    def coordinates(self, result: Any, sizes: Mapping[str, int]) -> Mapping[str, tuple[str, NDArray[Any], str]]:
        """What is known of the dimensions of a result's arrays, of these `sizes`: by name, dimension, values, unit."""

    def export(self, store: Any, key: str, path: Path) -> Path:
        """Write one result to a file of the field's format: ``ainerd export KEY FILE``."""


def names() -> list[str]:
    """Names of the techniques that are installed."""
    return sorted(entry_points(group="ainerd.techniques").names)


def load(name: str) -> type[Technique]:
    """The class of an installed technique.

    Raises
    ------
    TechniqueError
        If there is none of that name, or it cannot be imported; in one line.
    """
    entry = _entry("ainerd.techniques", name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), 1)
        hint = f": did you mean {close[0]!r}?" if close else "."
        raise TechniqueError(f"there is no technique {name!r}{hint} Installed: {', '.join(names()) or 'none'}")
    try:
        return entry.load()
    except Exception as error:  # it may be anybody's code
        raise TechniqueError(f"technique {name!r} ({entry.value}) cannot be imported: {error}") from error


@cache
def panels(name: str) -> Panels | None:
    """What an installed technique draws; None if it draws nothing, or cannot be imported (which is logged)."""
    entry = _entry("ainerd.panels", name)
    if entry is None:
        return None
    try:
        return entry.load()
    except Exception as error:  # it may be anybody's code
        logger.warning("the panels of technique %r (%s) cannot be imported: %s", name, entry.value, error)
        return None


def _entry(group: str, name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=group, name=name)), None)
