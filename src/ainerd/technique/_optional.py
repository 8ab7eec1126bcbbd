"""What a technique may have as well: what it does not have is not drawn, not checked and not kept."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ainerd.technique._many import Common, Landmarks, NullRegimes


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

    def null_regimes(self) -> NullRegimes | None:
        """What they say, as `ainerd.novelty.RegimeTest.calibrated` finds it; None where there is nothing to go by."""


@runtime_checkable
class WarmsUp(Protocol):
    """Compiles or loads something when it is first used, and can do so before the first run comes."""

    def warm_up(self) -> None:
        """Once, in a thread of its own: runs may be analysed meanwhile."""


@runtime_checkable
class HasChecks(Protocol):
    """Has something for ``ainerd check`` and ``ainerd doctor`` to look at: models, geometry."""

    def check(self) -> Iterable[Finding]:
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
    def questions(cls, frame: NDArray[np.float64] | None = None) -> Generator[Question, Any, None]:
        """Questions in turn; each gives the answer, a value of TOML or None. `frame` is as for `HasSketch.sketch`."""


@runtime_checkable
class HasCommon(Protocol):
    """Has something in common to all results of the same parameters that is worth keeping: the pixels of bins, say."""

    def common(self) -> Common:
        """Written once, under ``ainerd/configurations``."""


@runtime_checkable
class HasOptimizer(Protocol):
    """Chooses the next position by an optimizer of its own instead of `ainerd.steering.Explorer`."""

    def optimizer(self, bounds: Mapping[str, tuple[float, float]]) -> Any:
        """A bluesky-adaptive `Optimizer`: `suggest` and `ingest`, and what else of `Explorer` it has."""
