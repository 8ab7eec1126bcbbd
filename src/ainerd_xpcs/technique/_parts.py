"""Parts of the analysis of an exposure: each takes its frames as they arrive, and gives a share of the result.

Other packages add parts by entry points:

====================== =============================================================================================
group                  target of the entry, whose name is that of a section ``[rheo_xpcs.NAME]`` of the settings
====================== =============================================================================================
``ainerd_xpcs.parts``  the class, a `Part`
``ainerd_xpcs.panels`` a module with its drawings and sentences, see `_part_panels`
====================== =============================================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from ainerd.config import Section
    from ainerd.technique import RunInfo
    from ainerd_xpcs.numerics import Screened
    from ainerd_xpcs.technique._correlated import Correlated
    from ainerd_xpcs.technique._technique import RheoXPCS
    from ainerd_xpcs.technique._verdict import Judgement

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Share:
    """Arrays, tables and numbers of a part, with their dimensions and units.

    Attributes
    ----------
    judgement : Judgement or None
        In place of that of the maps of frames.
    doubt : str or None
        Reason why the maps of frames cannot be judged.
    """

    arrays: Columns = field(default_factory=dict)
    tables: dict[str, Columns] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    judgement: "Judgement | None" = None
    doubt: str | None = None


def merged(shares: Sequence[Share]) -> Share:
    """Return all shares as one, without judgement and doubt."""
    arrays, tables, summary, dims, units = (
        {key: x for share in shares for key, x in getattr(share, name).items()}
        for name in ("arrays", "tables", "summary", "dims", "units")
    )
    return Share(arrays, tables, summary, dims, units)


class Part:
    """A part of the analysis of one exposure.

    Parameters
    ----------
    settings : Settings
        Its section of the settings.
    technique : RheoXPCS
    run : RunInfo

    Attributes
    ----------
    Settings : type
        Of the section ``[rheo_xpcs.NAME]``; without this section there is no part.
    version : int
        Of its numbers; if they change it increases, and results get other keys.
    """

    Settings: ClassVar["type[Section]"]
    version: ClassVar[int] = 1

    def __init__(self, settings: Any, technique: "RheoXPCS", run: "RunInfo") -> None:
        self.settings, self.technique, self.run = settings, technique, run

    def push(self, frames: "Screened") -> None:
        """Take the next frames."""

    def prepare(self, so_far: "Correlated", n_frames: int) -> bool:
        """Calibrate for a run of so many frames; return whether this part judges it."""
        return False

    def finish(self, frames: "Correlated", doubt: str | None) -> Share:
        """Return the share of this part; `doubt` is a reason why the frames cannot be judged."""
        raise NotImplementedError


@cache
def installed() -> dict[str, type[Part]]:
    """Return the installed parts by name."""
    return {entry.name: entry.load() for entry in entry_points(group="ainerd_xpcs.parts")}
