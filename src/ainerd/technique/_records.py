"""Values that an agent and a technique exchange: a run, readings, regimes, landmarks, findings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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


class Readings(Protocol):
    """Readings besides the frames, from the documents that have arrived; they grow with each block.

    Keys are data keys of the documents, such as ``sample_x``. Name the unit of each number that enters a formula:
    values are converted from the unit that the documents state; UnitError, a ValueError, names a unit that does not
    fit. Without a unit on one side, values stay as they are.

    Examples
    --------
    >>> from ainerd.testing import ExampleRun, Feed
    >>> run = ExampleRun(frames=np.ones((4, 6, 8)), readings={"temperature": np.array([300, 301, 302, 303])})
    >>> readings = Feed(Toy(), run).push(2)  # it provides those of the frames so far
    >>> readings.value("temperature"), readings.of_frames("temperature")
    (300.0, array([300., 301.]))
    """

    def value(self, key: str, unit: str = "") -> float | None:
        """Return the first value in the run, or in the event if the unit is the event; None without a reading."""

    def of_frames(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return the value at each pushed frame, (n_frames,); NaN if missing.

        A key with a single reading has the same value at all frames.
        """

    def series(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values, (2, n), in order of time."""


class NoReadings:
    """Empty `Readings`, for frames without documents.

    Examples
    --------
    >>> readings = NoReadings()
    >>> readings.value("temperature") is None, readings.series("temperature").shape
    (True, (2, 0))
    """

    value = staticmethod(lambda key, unit="": None)
    of_frames = staticmethod(lambda key, unit="": np.empty(0))
    series = staticmethod(lambda key, unit="": np.empty((2, 0)))


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
    >>> Toy().begin(run).pixels.size  # the toy looks at all pixels
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


@dataclass(frozen=True)
class Finding:
    """Outcome of one check of ``ainerd check``.

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
