"""The base classes of a technique and of its analysis of a unit, and the record that an analysis returns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.technique._records import Common, Finding, Landmarks, NullRegimes, Regimes, RunInfo, Series


class AnalysisError(Exception):
    """Raised if a run cannot be analysed; the message becomes the reason of the result.

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, analyse
    >>> analyse(Toy(), ExampleRun(frames=np.zeros((20, 6, 8))))
    Traceback (most recent call last):
        ...
    ainerd.technique._technique.AnalysisError: 20 frames without finite counts: is the shutter open?
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
        Numbers and texts by which people can filter results. `units` has the units of the numbers. Sentences about the
        result use ``no_claim`` (the reason without a p-value) and ``strangeness_…`` (distances from known exposures; 1
        is their 90th percentile). Regimes have the word of their exposures in ``dynamics``, such as "slows".
    units : mapping of str to str
        Units of the numbers in `summary`, of the arrays and of the columns of tables.
    model, calibration : mapping
        Encoder and bank behind the verdict: {name, sha256} and {id, n, alpha}.
    n_frames, frame_time_s : int and float, optional
        Number of frames and the time from one to the next, of a file that the analysis read by itself.
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
    n_frames: int | None = None
    frame_time_s: float | None = None
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


class EventReader(Protocol):
    """Reads the files of an exposure in which a detector recorded events, see `RunAnalysis.open_events`.

    Examples
    --------
    >>> from ainerd_files import RigakuReader
    >>> from ainerd_xpcs.numerics import Partition
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
    >>> analysis = Toy().begin(RunInfo(raw_uid="6f1d", n_frames=20, frame_shape=(6, 8), frame_time_s=0.1))
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
    regime_width : float
        Distance that the embeddings of two results of one regime seldom exceed.
    compares : tuple of str
        Arrays of a result that `difference` needs.
    agrees : tuple of str
        Tables of a result that `agree` needs.
    parameters : mapping
        Everything that changes the numbers of a result, JSON-serialisable. Its digest is part of the key of a result.

    Examples
    --------
    >>> class Brightness(Technique):
    ...     name, unit, alpha, embedding_size, regime_width = "brightness", "run", 0.05, 1, 2.0
    ...     parameters = {"technique": "brightness", "version": 1}
    >>> technique = Brightness()
    >>> technique.landmarks() is None, list(technique.check())  # optional methods do nothing
    (True, [])
    >>> provides(technique, "landmarks")
    False
    """

    name: str
    unit: Literal["event", "run"] | Series
    alpha: float
    embedding_size: int
    regime_width: float
    compares: tuple[str, ...] = ()
    agrees: tuple[str, ...] = ()

    if TYPE_CHECKING:  # a subclass may use a plain attribute as well

        @property
        def parameters(self) -> Mapping[str, Any]:
            """Everything that changes the numbers of a result."""

    @classmethod
    def from_settings(cls, section: Mapping[str, object], folder: Path) -> Self:
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

    def file_of(self, start: Mapping[str, object]) -> str | None:
        """Return the path of a file that a start document names, which is analysed in place of frames, or None."""
        return None

    def begin_file(self, path: Path, start: Mapping[str, object]) -> RunAnalysis:
        """Start the analysis of the file from `file_of`, of which only `finish` is called."""
        raise NotImplementedError

    def files_digest(self, start: Mapping[str, object]) -> str:
        """Return a digest of the files that a start document names and that change the numbers of its run, or "".

        The key of a result contains it beside `parameters`: if such a file changes, a replay gives a new result.
        """
        return ""

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group results into regimes by their embeddings, (n, d); `ainerd.novelty.find_regimes` suits most techniques.

        `previous`, (n,), has the earlier regime of each result, or -1. A regime that persists keeps its number.
        """
        raise NotImplementedError

    def difference(
        self, new: Mapping[str, NDArray[Any]], others: Sequence[Mapping[str, NDArray[Any]]]
    ) -> tuple[float, float] | None:
        """Return reduced chi square of a result beside the mean of others, and its p-value; None without a comparison.

        The arrays are those named in `compares`.
        """
        return None

    def agree(
        self, results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> tuple[str, Sequence[Mapping[str, float | int | str | None]]]:
        """Return how the numbers of results change, because all of them are of one regime.

        Parameters
        ----------
        results : sequence of (tables, metadata)
            Of the results of a regime, the newest last; the tables are those named in `agrees`.

        Returns
        -------
        sentence : str
            For the log, if numbers change that people have seen; otherwise "".
        changes : sequence of mapping
            For each result the numbers of its summary that change; None removes one.
        """
        return "", [{} for _ in results]

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
        """Check models, geometry and so on for ``ainerd check``; return one finding for each."""
        return ()

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw the parts of a frame that the technique uses in a matplotlib figure, for ``ainerd check --draw``.

        `frame` is a mean frame, (ny, nx), with NaN at pixels that the detector marks; None draws without a frame.
        Raises ValueError if the shape of the frame does not fit.
        """

    def before(self, beside: Sequence[Any]) -> Callable[[], Any] | None:
        """Return a function that makes the plan to run at each position before the exposure, or None.

        `beside` are the devices that are read beside the detector. Raises ValueError if one that it needs is not there.
        """
        return None

    @classmethod
    def template(cls) -> str:
        """Return the technique's sections of the TOML that ``ainerd init`` writes, with a comment for each key.

        Lines of general sections, such as ``[recorded.units]``, are added to these.
        """
        return f"[{cls.name}]"

    def common(self) -> Common | None:
        """Return the data that all results with the same parameters share, such as the pixels of each bin.

        They are stored once, in ``ainerd/configurations``.
        """
        return None

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """Return a bluesky-adaptive `Optimizer`, or None to use `ainerd.steering.propose`.

        The optimizer must have `suggest` and `ingest`, and may have the methods of `CanRegisterSuggestions`,
        `TrialFaultAware` and `SupportsStoppingCriteria`, and `get_best_points`.
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
