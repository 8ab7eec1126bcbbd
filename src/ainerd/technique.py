"""The interface between an agent and a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many results into regimes. The agent
uses only this interface; it does not depend on the computation. Entry points announce the installed techniques:

===================== ==============================================================================================
group                 target of the entry, which has the name of the technique
===================== ==============================================================================================
``ainerd.techniques`` the class, a `Technique`
``ainerd.panels``     a module of drawing functions, see `Panels`; a light install must be able to import it
``ainerd.commands``   a `typer.Typer`, which becomes ``ainerd <name> …``
===================== ==============================================================================================
"""

import difflib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Analysis", "AnalysisError", "Common", "EventReader", "Finding", "Landmarks", "NoReadings", "NullRegimes",
    "Outcome", "Pace", "Panels", "Question", "Readings", "Regimes", "RunAnalysis", "RunInfo", "Series", "Technique",
    "TechniqueError", "Unit", "begin", "is_novel", "load", "names", "panels", "provides",
]  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """Unit of a technique whose result covers several runs: those with the same value of a key in the start document.

    A run without the key is a series of its own. The plan closes a series with ``{f"{key}_ends": True}`` in the start
    document of its last run. A person closes it with ``agent.close_series(value)``.

    Attributes
    ----------
    key : str
        Key of the start document, such as ``"ramp"``: ``RE(scan(…), ramp="cooling 1")``.

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, Feed
    >>> dim, bright = (ExampleRun(frames=np.full((4, 6, 8), counts), start={"ramp": "cooling 1"}) for counts in (2, 6))
    >>> feed = Feed(Toy(unit="ramp"), dim).push().next_run(bright).push()  # Toy's unit is Series("ramp")
    >>> float(feed.finish().summary["counts"])  # of both runs
    4.0
    """

    key: str


Unit = Literal["event", "run"] | Series


class Readings(Protocol):
    """Readings besides the frames, from the documents that have arrived; they grow with each block.

    Keys are data keys of the documents, such as ``sample_x``.

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, Feed
    >>> run = ExampleRun(frames=np.ones((4, 6, 8)), readings={"temperature": np.array([300, 301, 302, 303])})
    >>> readings = Feed(Toy(), run).push(2)  # it provides those of the frames so far
    >>> readings.value("temperature"), readings.of_frames("temperature")
    (300.0, array([300., 301.]))
    """

    def value(self, key: str) -> float | None:
        """Return the first value in the run, or in the event if the unit is the event; None without a reading."""

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Return the value at each pushed frame, (n_frames,); NaN if missing.

        A key with a single reading has the same value at all frames.
        """

    def series(self, key: str) -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values, (2, n), in order of time."""


class NoReadings:
    """Empty `Readings`, for frames without documents.

    Examples
    --------
    >>> readings = NoReadings()
    >>> readings.value("temperature") is None, readings.series("temperature").shape
    (True, (2, 0))
    """

    value = staticmethod(lambda key: None)
    of_frames = staticmethod(lambda key: np.empty(0))
    series = staticmethod(lambda key: np.empty((2, 0)))


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """Description of a run, of an event, or of the first run of a series, before the first frame.

    Attributes
    ----------
    raw_uid : str
        Uid of the run's start document.
    n_frames : int or None
        Expected number of frames, from the detector's configuration or ``num_points`` of the start document; None if
        unknown.
    frame_shape : tuple of int
        (ny, nx).
    frame_time_s : float or None
        Time from one frame to the next, in seconds; None if the detector does not provide it.
    has_ticks : bool
        Whether frames come at any times, as `frame_time_s` times their number, so that most numbers may be missing.
        Then `n_frames` is None.
    start : mapping
        The start document.
    event : int or None
        Number of the event in the run, from 1; None unless the unit is the event.
    readings : Readings
        Readings besides the frames; they grow while frames arrive.

    Examples
    --------
    >>> run = RunInfo(raw_uid="6f1d", n_frames=20, frame_shape=(6, 8), frame_time_s=0.1)
    >>> begin(Toy(), run).pixels.size  # the toy looks at all pixels
    48
    """

    raw_uid: str
    n_frames: int | None
    frame_shape: tuple[int, int]
    frame_time_s: float | None = None
    has_ticks: bool = False
    start: Mapping[str, Any] = field(default_factory=dict)
    event: int | None = None
    readings: Readings = field(default_factory=NoReadings)


class AnalysisError(Exception):
    """Raised if a run cannot be analysed; the message becomes the reason of the result.

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, analyse
    >>> analyse(Toy(), ExampleRun(frames=np.zeros((20, 6, 8))))
    Traceback (most recent call last):
        ...
    ainerd.technique.AnalysisError: 20 frames without finite counts: is the shutter open?
    """


def _check_array(what: str, dtype: Any, shape: tuple[int, ...], dims: tuple[str, ...] | None) -> None:
    if np.dtype(dtype).kind in "OV":
        raise ValueError(f"{what} must be of numbers or text, got {dtype}")
    if any(n < 0 for n in shape):
        raise ValueError(f"{what} must have a shape of numbers from 0 on, got {shape}")
    if dims is not None and (isinstance(dims, str) or len(set(dims)) != len(shape)):
        raise ValueError(f"{what} has shape {shape}, its dims must be as many different names: {dims!r}")


def is_novel(p: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Return whether p-values are at most alpha; NaN is not novel. No other code compares p-values with alpha.

    Examples
    --------
    >>> is_novel([0.01, 0.2, np.nan], 0.05).tolist()
    [True, False, False]
    """
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

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, analyse
    >>> frames = np.random.default_rng(0).poisson(4.0, (20, 6, 8))
    >>> analysis = analyse(Toy(usual_counts=[1.0, 1.1, 1.2]), ExampleRun(frames=frames))
    >>> float(analysis.novelty_p), analysis.novel, f"{analysis.summary['counts']:.1f}"  # p is at least 1 / (3 + 1)
    (0.25, False, '3.9')
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast an exposure changes, as far as its frames tell.

    Attributes
    ----------
    tau_s, error_s : float or None
        Relaxation time with its standard error.
    above_s, below_s : float or None
        Limits of the relaxation time, if it is not known: it does not decay, or it is faster than a frame.
    contrast : float or None
        Speckle contrast beta.
    counts : float or None
        Counts per pixel and frame.

    Examples
    --------
    >>> Pace(tau_s=0.5, error_s=0.02, contrast=0.2).tau_s
    0.5
    """

    tau_s: float | None = None
    error_s: float | None = None
    above_s: float | None = None
    below_s: float | None = None
    contrast: float | None = None
    counts: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of a unit, as far as the campaign and the plans need it.

    Examples
    --------
    >>> Outcome(raw_uid="6f1d", key="6f1d", trial_id="1", status="complete", positions={"sample_x": 3.0}).regime
    -1
    """

    raw_uid: str
    key: str  # of the result
    trial_id: str  # the suggestion that led to the run; the result's key for a run taken by hand
    status: str  # complete, partial, growing or failed
    positions: Mapping[str, float]
    scan_id: int | None = None
    event: int | None = None  # number in the run, where the unit is the event
    embedding: NDArray[np.float32] | None = None  # (d,)
    novelty_p: float | None = None
    novel: bool | None = None  # see `Analysis.novel`
    own_p: float | None = None  # against earlier exposures of the session
    regime: int = -1  # -1: unassigned, or failed
    readings: Mapping[str, float] = field(default_factory=dict)  # by the names of `recorded.readings`
    exposure_s: float | None = None  # duration of the exposure
    pace: Pace | None = None
    reason: str = ""  # why it failed, or has no numbers yet
    is_recalled: bool = False  # the result existed: the run came again, or another agent was faster
    awaits_regime: str = ""  # when the result was written, if it has no regime yet
    is_of_another: bool = False  # whether another agent wrote the result
    is_in_tiled: bool = True  # false for a run that Tiled did not accept

    @classmethod
    def recalled(
        cls, key: str, metadata: Mapping[str, Any], positions: Iterable[str], readings: Iterable[str], **more: Any
    ) -> Self:
        """Return the outcome of a result with these metadata, and `more` fields; `positions`, `readings` are names."""
        known = {name: x for name, x in metadata.items() if x is not None}
        names = {"raw_uid", "status", "scan_id", "event", "novelty_p", "novel", "own_p", "regime", "awaits_regime"}
        same = known.keys() & names
        return cls(
            **{name: known[name] for name in same},
            key=key,
            trial_id=known.get("suggestion_id") or key,
            positions={name: known[name] for name in positions if name in known},
            readings={name: float(x) for name in readings if isinstance(x := known.get(name), int | float)},
            is_recalled=True,
            **more,
        )


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

    Examples
    --------
    >>> z = np.array([[0.0], [0.1], [9.0], [9.1]], np.float32)
    >>> regimes = Toy().regimes(np.tile(z, 4))
    >>> regimes.labels.tolist(), regimes.n_regimes
    ([0, 0, 1, 1], 2)
    >>> regimes.predict(np.full((1, 4), 9.05, np.float32))
    array([1])
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

    Examples
    --------
    >>> Landmarks(embeddings=np.zeros((2, 4), np.float32), names=["ageing", "flow"]).names
    ['ageing', 'flow']
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
    whole : ndarray, shape (l,)
        The same for the largest component of each of l simulated nights.
    own : ndarray, shape (14, k)
        For k regimes, the distance of an exposure from 5 to 18 earlier ones of its regime; see
        `ainerd.novelty.null_distances`.

    Examples
    --------
    >>> from ainerd.novelty import LOOKS, RegimeTest
    >>> rng = np.random.default_rng(0)
    >>> evidence = np.cumsum(-np.log(rng.uniform(size=(400, LOOKS))), axis=1) / np.arange(1, LOOKS + 1)
    >>> smallest, whole = rng.uniform(size=400), rng.uniform(size=50)
    >>> null = NullRegimes(by_look=evidence.T, smallest=smallest, whole=whole, own=np.ones((14, 1)))
    >>> test = RegimeTest(null.by_look, null.smallest, null.whole)
    >>> test.p(test.rank([1e-4, 1e-4])) < 0.01  # a regime of two exposures that no known kind resembles
    True
    """

    by_look: NDArray[np.float64]
    smallest: NDArray[np.float64]
    whole: NDArray[np.float64]
    own: NDArray[np.float64]


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

    Examples
    --------
    >>> Common(arrays={"mask": np.ones((6, 8))}, dims={"mask": ("row", "column")}).dims["mask"]
    ('row', 'column')
    """

    instrument: Mapping[str, float | int | str | None] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that ``ainerd init`` asks; the answer goes into the TOML.

    Attributes
    ----------
    key : str
        Key in the technique's section, such as ``"width"`` or ``"size.inner"``.
    text : str
        Text of the question, with the unit; also the comment of the key in the TOML.
    default : value of TOML or None
        Answer if the user enters nothing; None leaves the key out.
    example : value of TOML or None
        Value in a commented-out line of the TOML, if the key is left out.
    array : ndarray or None
        Array to save as a .npy file beside the TOML; the answer is the name of the file.

    Examples
    --------
    >>> questions = load("xtec").questions()  # those that `ainerd init` asks
    >>> question = next(questions)
    >>> question.key, question.text
    ('temperature', 'data key of what is ramped, read with each frame')
    """

    key: str
    text: str
    default: Any = None
    example: Any = None
    array: NDArray[Any] | None = None


@dataclass(frozen=True)
class Finding:
    """Outcome of one check of ``ainerd doctor``.

    Attributes
    ----------
    subject : str
        Subject of the check.
    state : str
        State of the subject.
    remedy : str
        How to correct it; empty if there is nothing to correct.

    Examples
    --------
    >>> Finding("disk", "3 GB free", "delete old frames").remedy
    'delete old frames'
    """

    subject: str
    state: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to correct."""
        return not self.remedy


class EventReader(Protocol):
    """Reads the files of an exposure in which a detector recorded events, see `RunAnalysis.open_events`.

    Examples
    --------
    >>> from ainerd_xpcs.numerics import Partition, RigakuReader
    >>> frame, pixel, count = np.array([0, 0, 2]), np.array([5, 1029, 5]), np.array([1, 2, 1])
    >>> (frame << 40 | pixel << 16 | count).astype("<u8").tofile(folder / "a.bin")
    >>> reader = RigakuReader(folder / "a.bin", Partition.from_roi_map(np.ones((512, 1024), int)), order="rows")
    >>> reader.reaches(3), reader.reaches(4)
    (True, False)
    >>> [len(events) for events in reader.blocks(0, 3, None, 0)]
    [3]
    >>> reader.close()
    """

    def reaches(self, stop: int) -> bool:
        """Return whether each file holds an event of frame `stop` - 1 or of a later one."""

    def blocks(self, start: int, stop: int, viewer: "RunAnalysis | None", first: int) -> Iterator[Any]:
        """Yield frames `start` to `stop` - 1 of the files in the form that `push` takes; `start` never goes back.

        ``len(block)`` is the number of frames in a block, also of those without an event. After each block `viewer`
        gets its whole frames, whose numbers count from frame `first`. ValueError says why the files cannot be read.
        """

    def close(self) -> None:
        """Close the files."""


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

    Examples
    --------
    >>> analysis = begin(Toy(), RunInfo(raw_uid="6f1d", n_frames=20, frame_shape=(6, 8), frame_time_s=0.1))
    >>> analysis.push(np.full((12, 48), 2), first=0)
    >>> analysis.push(np.full((8, 48), 7), first=12)
    >>> float(analysis.finish().summary["counts"])  # (12 × 2 + 8 × 7) / 20
    4.0
    """

    if TYPE_CHECKING:  # subclasses may use plain attributes as well

        @property
        def pixels(self) -> NDArray[np.int64]:
            """Flat indices of the pixels that `push` needs."""

        @property
        def every(self) -> int | None:
            """Interval of the frames that `whole` gets."""
    else:
        every = None

    def push(self, block: NDArray[Any], first: int) -> None:
        """Take the next frames: counts (b, n_pixels), or a block from the reader of `open_events`.

        `first` is the number of the first frame in the run (or event), from 0. Skipped numbers are missing frames; the
        numbers never go back.
        """
        raise NotImplementedError

    def finish(self) -> Analysis:
        """Return the result; raise `AnalysisError` if the run cannot be analysed. Called after each run of a series."""
        raise NotImplementedError

    def next_run(self, run: RunInfo) -> None:
        """Continue a series with another run. Called before the first frame of that run."""

    def whole(self, frame: NDArray[Any], number: int) -> None:
        """Take a whole frame, (ny, nx), in the dtype of the detector. Called after `push` of the block with this frame.

        `frame` is read-only. `number` counts the frames of the run (or event) from 0, with missing ones. Whole frames
        take longer to read than selected pixels; one frame in fifty makes no noticeable difference.
        """

    def open_events(self, path: Path, pixel_order: str) -> EventReader | None:
        """Open files in which a detector recorded events, to get them in `push`; None if the technique takes none.

        Parameters
        ----------
        path : Path
            The only file, or the first one; the others lie beside it.
        pixel_order : {"rows", "columns"}
            How a module numbers its pixels.
        """
        return None

    def lost(self, n_frames: int) -> None:
        """Take the number of frames that never came although the run ended well, before `finish`.

        They are missing at the end, or between the others without a gap in the numbers.
        """

    def enough(self, error: float) -> str | None:
        """Return why the frames so far are enough, in one sentence, or None if they are not.

        Called at an eighth, a quarter and a half of the announced frames, until it returns a sentence, if
        ``steering.enough`` is given; that is `error`, the wanted relative error. Then a plan may end the exposure, and
        `finish` is called after these frames or a few more. The p-value and the embedding must mean the same as those
        of a whole exposure. A sample whose unsteadiness is not excluded needs all frames.
        """
        return None

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
    numbered : bool
        Whether the numbers of frames change the result, so that missing frames must not be ignored. `check_technique`
        tests it.
    parameters : mapping
        Everything that changes the numbers of a result, JSON-serialisable. Its digest is part of the key of a result.

    Examples
    --------
    >>> class Brightness(Technique):
    ...     name, unit, alpha, embedding_size, regime_width = "brightness", "run", 0.05, 1, None
    ...     parameters = {"technique": "brightness", "version": 1}
    >>> technique = Brightness()
    >>> technique.landmarks() is None, list(technique.check())  # optional methods do nothing
    (True, [])
    >>> provides(technique, "landmarks")
    False
    """

    name: str
    unit: Unit
    alpha: float
    embedding_size: int
    regime_width: float | None
    numbered = False

    if TYPE_CHECKING:  # a subclass may use a plain attribute as well

        @property
        def parameters(self) -> Mapping[str, Any]:
            """Everything that changes the numbers of a result."""

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

    def pace(self, summary: Mapping[str, Any]) -> Pace | None:
        """Return how fast an exposure changes, from the summary of its result; None if the technique does not tell.

        The agent needs it to propose frame time, number of frames and transmission.
        """
        return None

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

    @classmethod
    def average(
        cls, results: Sequence[Any], names: Sequence[str], dose: Sequence[float] | None, dose_name: str
    ) -> "Average":
        """Average repeats, `ainerd.results.LoadedResult` with the parts `Panels.averaged`, for ``results.average(…)``.

        `names` are those of the results, `dose` a number for each, None for their order. Raises ValueError if they
        cannot be averaged, with the name of the result.
        """
        raise ValueError(f"results of the technique {cls.name!r} cannot be averaged")

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """Return a bluesky-adaptive `Optimizer`, or None to use `ainerd.steering.Explorer`.

        The optimizer must have `suggest` and `ingest`, and may have other methods of `Explorer`.
        """
        return None


def provides(given: object, name: str) -> bool:
    """Return whether a technique or an analysis defines this part itself, and does not use the default.

    Examples
    --------
    >>> provides(Toy(), "regimes"), provides(Toy(), "landmarks")
    (True, False)
    """
    own = [vars(kind) for kind in type(given).__mro__ if kind not in (Technique, RunAnalysis)]
    return any(name in names for names in (getattr(given, "__dict__", {}), *own))


def begin(technique: Technique, run: RunInfo) -> RunAnalysis:
    """Start the analysis of a run.

    Raises
    ------
    AnalysisError
        If the technique refuses the run, or does not return a `RunAnalysis`.

    Examples
    --------
    >>> analysis = begin(Toy(), RunInfo(raw_uid="6f1d", n_frames=2, frame_shape=(6, 8), frame_time_s=0.1))
    >>> analysis.push(np.array([[1] * 48, [3] * 48]), first=0)
    >>> analysis.finish().arrays["trajectory"]
    array([1., 3.])
    """
    analysis = technique.begin(run)
    if analysis is None:
        raise AnalysisError(f"technique {technique.name}: begin() returned nothing")
    if not isinstance(analysis, RunAnalysis):
        got = type(analysis).__name__
        raise AnalysisError(f"technique {technique.name}: {got} must inherit from ainerd.technique.RunAnalysis")
    return analysis


class Panels(Protocol):
    """Drawing functions of a technique: a module or an object with any of these functions.

    The functions get results in the form that Tiled stores, and draw with matplotlib only.

    Examples
    --------
    >>> drawing = panels("xtec")
    >>> drawing.thumbnail, drawing.quantities
    ('labels?format=image/png', ('clusters', 'transition_1'))
    """

    # Names of the arrays in ``scene.arrays``, by panel: {"gallery": …, "strip": …}. `gallery` gets the arrays of the
    # newest run and of its nearest one, `strip` those of the newest 60 runs.
    arrays: Mapping[str, Sequence[str]]
    # For pages in a browser. `quantities`: names of the numbers in time series and tables. `thumbnail`: the array of
    # the small picture, with its slice as in Tiled's URL. `view`: a script that draws a result on the page. `averaged`,
    # `together`: the arrays and tables of a result that `Technique.average` and `plot_together` need.
    quantities: Sequence[str]
    averaged: Sequence[str]
    together: Sequence[str]
    thumbnail: str
    view: Path

    def plot(self, result: Any, figure: Any) -> None:
        """Draw an `ainerd.results.AinerdResult` in a matplotlib figure or subfigure: ``result.plot()``."""

    def plot_together(self, results: Any, values: Sequence[float], name: str, figure: Any) -> None:
        """Draw many results, coloured by a number of each that has this name: ``store.plot([12, 13, 14])``."""

    def image(self, result: Any) -> NDArray[np.uint8]:
        """Return a gray picture of a result: ``result.image()``."""

    def gallery(self, figure: Any, scene: Any, runs: Any) -> None:
        """Draw the newest run and its nearest one, beside the map in a campaign's figure (`ainerd.views.Scene`)."""

    def strip(self, axes: Any, scene: Any, runs: Any) -> None:
        """Draw a column for each run, below the novelty in the figure of a campaign."""

    def sentences(self, summary: Mapping[str, Any]) -> list[str]:
        """Return plain sentences about the numbers of a result, for ``agent.explain()``."""

    def details(self, summary: Mapping[str, Any]) -> list[str]:
        """Return more sentences, with the statistics, for ``agent.explain(details=True)``."""

    def columns(self, summary: Mapping[str, Any], units: Mapping[str, str]) -> Mapping[str, str]:
        """Return the cells of one result in the table of results, by heading: ``{"tau (s)": "1.2 ± 0.1"}``."""

    def coordinates(self, result: Any, sizes: Mapping[str, int]) -> Mapping[str, tuple[str, NDArray[Any], str]]:
        """Return coordinates by name: each has its dimension, values and unit. `sizes` gives the size by dimension."""

    def export(self, store: Any, key: str, path: Path) -> Path:
        """Write a result to a file in the usual format of the field: ``ainerd export KEY FILE``."""


class Average(Protocol):
    """An average of results, as people see it. A technique may add its numbers."""

    def sentences(self) -> list[str]:
        """Return sentences about the repeats that were left out, and about the trends of all repeats."""

    def plot(self) -> Any:
        """Return a matplotlib figure of it."""

    def write(self, path: Path) -> None:
        """Write it to a file."""


class TechniqueError(ValueError):
    """Raised if a technique is not installed or cannot be imported.

    Examples
    --------
    >>> load("saxs")
    Traceback (most recent call last):
        ...
    ainerd.technique.TechniqueError: there is no technique 'saxs'. Installed: rheo_xpcs, xtec
    """


def names() -> list[str]:
    """Return the names of the installed techniques.

    Examples
    --------
    >>> names()
    ['rheo_xpcs', 'xtec']
    """
    return sorted(entry_points(group="ainerd.techniques").names)


def load(name: str) -> type[Technique]:
    """Return the class of an installed technique.

    Raises
    ------
    TechniqueError
        If no technique has this name, it cannot be imported, or it is no `Technique`. The message is one line.

    Examples
    --------
    >>> load("xtec").__name__
    'XTEC'
    """
    entry = _entry("ainerd.techniques", name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), 1)
        hint = f": did you mean {close[0]!r}?" if close else "."
        raise TechniqueError(f"there is no technique {name!r}{hint} Installed: {', '.join(names()) or 'none'}")
    try:
        kind: type[Technique] = entry.load()
    except Exception as error:  # code of a third party
        raise TechniqueError(f"technique {name!r} ({entry.value}) cannot be imported: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Technique)):
        raise TechniqueError(f"technique {name!r}: {entry.value} must inherit from ainerd.technique.Technique")
    return kind


@cache
def panels(name: str) -> Panels | None:
    """Return the panels of an installed technique, or None.

    Panels that cannot be imported are logged and count as None.
    """
    entry = _entry("ainerd.panels", name)
    if entry is None:
        return None
    try:
        found: Panels = entry.load()
    except Exception as error:  # code of a third party
        logger.warning("the panels of technique %r (%s) cannot be imported: %s", name, entry.value, error)
        return None
    return found


def _entry(group: str, name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=group, name=name)), None)
